//! systemd's units that somebody has made for the disks of a machine (systemd.mount(5), systemd.swap(5), systemd.unit(5)).

use std::collections::BTreeSet;

use super::fstab::Entry;
use super::source::{is_disk_unit, unit_of};

/// A unit file, or a drop-in of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The unit's name.
    pub name: String,
    /// What the file says.
    pub text: String,
    /// Whether it is a drop-in.
    pub is_drop_in: bool,
}

impl Unit {
    /// What it mounts, or swaps to; `automount` is whether it has an automount unit beside it.
    pub fn entry(&self, automount: bool) -> Option<Entry> {
        let swap = self.name.ends_with(".swap");
        let section = if swap { "Swap" } else { "Mount" };
        let is_file = !self.is_drop_in && (swap || self.name.ends_with(".mount"));
        let source = is_file.then(|| self.values(section, "What").last().copied())??.to_owned();
        let value = |key| self.values(section, key).last().map(|value| (*value).to_owned());
        let mut options: Vec<String> =
            value("Options").iter().flat_map(|list| list.split(',')).map(str::to_owned).collect();
        // Whether it is started stands elsewhere.
        options.retain(|option| option != "noauto");
        options.extend(automount.then(|| "x-systemd.automount".to_owned()));
        Some(Entry {
            source,
            target: if swap { "none".to_owned() } else { value("Where")? },
            kind: if swap { "swap".to_owned() } else { value("Type").unwrap_or_else(|| "auto".to_owned()) },
            options,
        })
    }

    /// Without which units it is not started.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        ["Requires", "Requisite", "BindsTo"].into_iter().flat_map(|key| self.words(key))
    }

    /// The units that it names for a key.
    pub fn words(&self, key: &str) -> impl Iterator<Item = &str> + use<'_> {
        self.values("Unit", key).into_iter().flat_map(str::split_whitespace)
    }

    /// What a section assigns to a key, in the file's order.
    fn values(&self, section: &str, key: &str) -> Vec<&str> {
        values(&self.text, section, key)
    }
}

/// What a section of a file in systemd's syntax assigns to a key, in its order.
pub fn values<'a>(text: &'a str, section: &str, key: &str) -> Vec<&'a str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name == section;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| inside) {
            found.extend((name.trim() == key).then(|| value.trim()));
        }
    }
    found
}

/// Units that wait for a disk that is none of `here`, or for one of `gone`, and what waits for them.
pub fn waiting(units: &[Unit], gone: &BTreeSet<String>, here: &[String]) -> BTreeSet<String> {
    let disk = |name: &str| is_disk_unit(name) && !here.iter().any(|known| known == name);
    let mut waiting = held_up(units, &|unit| unit.needs().any(|name| disk(name) || gone.contains(name)));
    waiting.retain(|name| !gone.contains(name));
    waiting
}

/// Units that wait, and what waits for them.
pub fn held_up(units: &[Unit], waits: &dyn Fn(&Unit) -> bool) -> BTreeSet<String> {
    let mut waiting: BTreeSet<String> = BTreeSet::new();
    loop {
        let waits = |unit: &&Unit| waits(unit) || unit.needs().any(|name| waiting.contains(name));
        let next: BTreeSet<String> = units.iter().filter(waits).map(|unit| unit.name.clone()).collect();
        if next == waiting {
            return waiting;
        }
        waiting = next;
    }
}

/// Whether a link that starts a unit is for one of these; an instance is for its template.
pub fn starts(link: &str, units: &BTreeSet<String>) -> bool {
    let template =
        link.split_once('@').zip(link.rsplit_once('.')).map(|((name, _), (_, kind))| format!("{name}@.{kind}"));
    units.contains(link) || template.is_some_and(|name| units.contains(&name))
}

/// The automount unit of a mount unit.
pub fn automount_of(mount: &str) -> Option<String> {
    mount.strip_suffix(".mount").map(|stem| format!("{stem}.automount"))
}

/// The device unit of an encrypted volume.
pub fn device_of(volume: &str) -> String {
    unit_of(&format!("/dev/mapper/{volume}"), "device")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str, text: &str) -> Unit {
        let drop_in = name.strip_suffix(".d");
        Unit { name: drop_in.unwrap_or(name).to_owned(), text: text.to_owned(), is_drop_in: drop_in.is_some() }
    }

    #[test]
    fn units_are_read_as_lines_of_fstab_are() {
        let mount =
            unit("data.mount", "[Unit]\nWhat=no\n[Mount]\nWhat=UUID=1\nWhere=/data\nType=ext4\nOptions=noauto,ro\n");
        let entry = |options: &[&str]| Entry {
            source: "UUID=1".into(),
            target: "/data".into(),
            kind: "ext4".into(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        assert_eq!(mount.entry(false), Some(entry(&["ro"])));
        assert_eq!(mount.entry(true), Some(entry(&["ro", "x-systemd.automount"])));
        assert!(unit("dev-sda2.swap", "[Swap]\nWhat = /dev/sda2\n").entry(false).unwrap().is_swap());
        for (name, text) in [
            ("a.mount", "[Mount]\nWhere=/a\n"),
            ("a.service", "[Mount]\nWhat=x\nWhere=/a\n"),
            ("a.mount.d", "[Mount]\nWhat=x\nWhere=/a\n"),
        ] {
            assert_eq!(unit(name, text).entry(false), None, "{name}");
        }
    }

    #[test]
    fn what_waits_for_a_disk_is_found_through_others() {
        let gone = BTreeSet::from(["data.mount".to_owned()]);
        let units = [
            unit("a.service", "[Unit]\nBindsTo=dev-disk-by\\x2dlabel-A.device\n"),
            unit("b.service.d", "[Unit]\nRequires=network.target data.mount\n"),
            unit("c.service", "[Unit]\nRequires=b.service\n"),
            unit("d.service", "[Unit]\nWants=data.mount\nAfter=data.mount\n"),
            unit("e.service", "[Service]\nRequires=data.mount\n"),
            unit("f@.service", "[Unit]\nBindsTo=dev-%i.device\n"),
            unit("g@.service", "[Unit]\nBindsTo=dev-sda1.device\n"),
            unit("data.mount", "[Unit]\nBindsTo=dev-sda1.device\n"),
            unit("h.service", "[Unit]\nRequires=dev-mapper-vault.device\n"),
        ];
        let here = [device_of("vault")];
        let waiting = waiting(&units, &gone, &here);
        assert_eq!(waiting.iter().collect::<Vec<_>>(), ["a.service", "b.service", "c.service", "g@.service"]);
        for (link, expected) in
            [("a.service", true), ("g@x.service", true), ("f@x.service", false), ("d.service", false)]
        {
            assert_eq!(starts(link, &waiting), expected, "{link}");
        }
    }
}

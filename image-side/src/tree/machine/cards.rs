//! Units that wait for a network card of the machine. Network cards have names by their place or address there
//! (systemd.net-naming-scheme(7)); names of the kernel, as eth0, are those of a card of any machine.

use std::collections::BTreeSet;
use std::path::Path;

use super::units::{self, Unit};
use super::{Left, Tree, UNITS};

/// Where units of packages lie.
const PACKAGES: [&str; 2] = ["usr/lib/systemd/system", "lib/systemd/system"];

/// How the names of device units of network cards begin, and how they end.
const DEVICE: (&str, &str) = ("sys-subsystem-net-devices-", ".device");

/// It waits with a program and not with a device unit.
const WAIT_ONLINE: &str = "systemd-networkd-wait-online@";

/// Names of cards that only this machine has.
struct Cards {
    /// Those that somebody has given them.
    given: BTreeSet<String>,
}

impl Cards {
    /// Whether a name, perhaps that of a VLAN, is one of them; the escapes of unit names may be in it.
    fn has(&self, name: &str) -> bool {
        let name = name.replace("\\x2d", "-");
        let card = name.split('.').next().unwrap_or_default();
        self.given.contains(card) || is_by_place(card)
    }

    fn has_device(&self, unit: &str) -> bool {
        unit.strip_prefix(DEVICE.0).and_then(|rest| rest.strip_suffix(DEVICE.1)).is_some_and(|name| self.has(name))
    }

    /// Whether a boot that starts the unit waits for one of them.
    fn keep(&self, unit: &Unit) -> bool {
        let online = unit.name.strip_prefix(WAIT_ONLINE).and_then(|rest| rest.strip_suffix(".service"));
        // The state that it is to have may follow its name.
        let online = online.and_then(|instance| instance.split(':').next()).is_some_and(|name| self.has(name));
        let after: Vec<&str> = unit.words("After").collect();
        online
            || unit.needs().any(|name| self.has_device(name))
            || unit.words("Wants").any(|name| self.has_device(name) && after.contains(&name))
    }
}

/// Whether udev has made a name from a card's place or address: kind, and then digits behind letters, as in enp0s31f6, wlx0011….
fn is_by_place(name: &str) -> bool {
    let Some(place) = ["en", "ib", "sl", "wl", "ww"].iter().find_map(|kind| name.strip_prefix(kind)) else {
        return false;
    };
    let digits = |text: &str, of: fn(&char) -> bool| text.chars().next().is_some_and(|first| of(&first));
    match place.strip_prefix('x') {
        Some(address) => address.len() == 12 && address.chars().all(|c| c.is_ascii_hexdigit()),
        // A bus's name and number, or a letter for the kind of place.
        None => {
            let rest = place.trim_start_matches(|c: char| c.is_ascii_alphabetic());
            let letters = &place[..place.len() - rest.len()];
            matches!(letters, "a" | "b" | "c" | "d" | "o" | "p" | "s" | "u" | "v" | "P")
                && digits(rest, char::is_ascii_digit)
        }
    }
}

impl Tree<'_> {
    /// The links that start what waits for a card.
    pub(super) fn cards(&self, left: &mut Left) {
        let cards = Cards { given: self.given_names() };
        let starts: Vec<_> =
            self.starts().into_iter().filter(|(path, _)| !path.to_string_lossy().contains(DEVICE.0)).collect();
        let mut units: Vec<Unit> = self.units().into_iter().map(|(_, unit)| unit).collect();
        let mut names: BTreeSet<&str> = starts.iter().map(|(_, name)| name.as_str()).collect();
        let needed: Vec<String> = units.iter().flat_map(Unit::needs).map(str::to_owned).collect();
        names.extend(needed.iter().map(String::as_str));
        units.extend(names.into_iter().flat_map(|name| self.instance(name)));
        let waiting = units::held_up(&units, &|unit| cards.keep(unit));
        let idle = starts.into_iter().filter(|(path, name)| waiting.contains(name) && !left.removed.contains(path));
        left.remove("starts of units that wait for its network cards", idle.map(|(path, _)| path).collect());
    }

    /// Names that .link files give to one card: those files do not travel.
    fn given_names(&self) -> BTreeSet<String> {
        let links = self.link_files().into_iter();
        links
            .flat_map(|file| units::values(&self.text(&file), "Link", "Name").last().map(|name| (*name).to_owned()))
            .collect()
    }

    /// An instance of a template: its file and its drop-ins, with the instance's name in them.
    fn instance(&self, name: &str) -> Vec<Unit> {
        let Some(((stem, rest), (_, kind))) = name.split_once('@').zip(name.rsplit_once('.')) else {
            return Vec::new();
        };
        let instance = rest.strip_suffix(kind).and_then(|rest| rest.strip_suffix('.')).unwrap_or_default();
        let template = format!("{stem}@.{kind}");
        let dirs = || UNITS.into_iter().chain(PACKAGES);
        let file = dirs().find_map(|dir| self.file(&format!("{dir}/{template}")));
        let drop_ins = dirs().flat_map(|dir| {
            let dir = format!("{dir}/{template}.d");
            let names = self.names(&dir).into_iter().filter(|name| name.ends_with(".conf"));
            names.filter_map(|name| self.file(&format!("{dir}/{name}"))).collect::<Vec<_>>()
        });
        let text =
            |file: &Path| ["%i", "%I", "%j"].iter().fold(self.text(file), |text, mark| text.replace(mark, instance));
        let all = file.into_iter().map(|file| (file, false)).chain(drop_ins.map(|file| (file, true)));
        all.map(|(file, is_drop_in)| Unit { name: name.to_owned(), text: text(&file), is_drop_in }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_place_are_those_of_one_machine() {
        let cards = Cards { given: BTreeSet::from(["lan-1".to_owned()]) };
        for (name, expected) in [
            ("eno1", true),
            ("ens3", true),
            ("enp0s31f6", true),
            ("enp2s0.10", true),
            ("enP1p2s0", true),
            ("enx001122334455", true),
            ("wlp3s0", true),
            ("wwp0s20u4", true),
            ("ibp5s0", true),
            ("enc1000", true),
            ("end0", true),
            ("lan\\x2d1", true),
            ("lan-1", true),
            ("eth0", false),
            ("wlan0", false),
            ("br0", false),
            ("wg0", false),
            ("entry", false),
            ("ens", false),
            ("enx1", false),
            ("slow1", false),
            ("enclave0", false),
            ("", false),
        ] {
            assert_eq!(cards.has(name), expected, "{name}");
        }
    }
}

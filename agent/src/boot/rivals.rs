//! Several media that match: which one is used, and why, is said to a person.

use super::{Boot, Tone};
use crate::config::Config;
use crate::facts::Device;
use crate::source::discover::{self, By, Candidate};

impl Boot<'_> {
    /// Says which of several media is used. A disk and its partition are one medium, and so are the disks of one btrfs.
    pub(super) fn say_rivals(&mut self, chosen: &Candidate, others: &[Candidate]) {
        let devices = self.devices();
        if let Some((tone, line)) = rivals(self.config, &devices, chosen, others) {
            self.say(tone, line);
        }
    }
}

fn rivals(config: &Config, devices: &[Device], chosen: &Candidate, others: &[Candidate]) -> Option<(Tone, String)> {
    let device = |name: &str| devices.iter().find(|device| device.name == name);
    let holds = |disk: &str, part: &str| device(part).is_some_and(|part| part.parent.as_deref() == Some(disk));
    let members = device(&chosen.name).map(|chosen| discover::members(chosen, devices)).unwrap_or_default();
    let member = |other: &str| members.iter().any(|member| member.name == other);
    let same = |other: &str| holds(other, &chosen.name) || holds(&chosen.name, other) || member(other);
    let named: Vec<_> = others.iter().filter(|other| !same(&other.name)).collect();
    let has_part = |disk: &Candidate| named.iter().any(|other| holds(&disk.name, &other.name));
    let others: Vec<_> = named.iter().filter(|other| !has_part(other)).collect();
    let nodes: Vec<_> = others.iter().map(|other| format!("/dev/{}", other.name)).collect();
    let (name, list) = (&chosen.name, nodes.join(", "));
    let identity = device(name).and_then(|device| device.for_reading().superblock?.identity());
    // Media of one label may have one UUID as well, as copies have.
    let differs = |other: &&&&Candidate| {
        device(&other.name).and_then(|device| device.for_reading().superblock?.identity()) != identity
    };
    let decides = match &identity {
        Some(uuid) if others.iter().filter(differs).count() == others.len() => format!("rd.live.medium=UUID={uuid}"),
        _ => "root=live:/dev/disk/by-id/… or by-path".to_owned(),
    };
    match (&config.medium, chosen.certain) {
        _ if others.is_empty() => None,
        _ if chosen.by == By::Mark => {
            Some((Tone::Notice, format!("{list} matches too; using /dev/{name}, which the boot loader came from")))
        }
        (Some(_), true) if others.iter().all(|other| !other.certain) => {
            Some((Tone::Notice, format!("{list} matches too; using /dev/{name}, which the boot loader came from")))
        }
        (Some(_), true) => Some((
            Tone::Warning,
            format!(
                "{list} is the medium the boot loader came from as well; using /dev/{name}, the first by name; {decides} decides"
            ),
        )),
        (Some(medium), false) => Some((
            Tone::Warning,
            format!(
                "{list} matches too, and none is {medium}; using /dev/{name}, the first by name; {decides} decides"
            ),
        )),
        (None, _) => Some((
            Tone::Warning,
            format!("{list} matches too; using /dev/{name}, the first by name; {decides} decides"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpret_text;
    use crate::format::{Kind, Superblock};

    fn medium(name: &str, parent: Option<&str>, uuid: &str) -> Device {
        Device {
            name: name.to_owned(),
            node: format!("/dev/{name}").into(),
            parent: parent.map(str::to_owned),
            size: 1 << 30,
            superblock: Some(Superblock {
                label: Some("LIVE".to_owned()),
                uuid: Some(uuid.to_owned()),
                ..Superblock::new(Kind::Iso9660)
            }),
            ..Device::default()
        }
    }

    #[test]
    fn which_of_two_and_why_table() {
        let (a, b, copy) = (medium("sda", None, "A"), medium("sdb", None, "B"), medium("sdc", None, "A"));
        let (part, second) = (medium("sda1", Some("sda"), "A"), medium("sda2", Some("sda"), "B"));
        let of_two = |name: &str| {
            let mut device = medium(name, None, "C");
            device.superblock = device.superblock.map(|found| Superblock { devices: Some(2), ..found });
            device
        };
        let (first_of_two, second_of_two) = (of_two("sda"), of_two("sdb"));
        for (kargs, devices, tone, expected) in [
            ("", vec![&a], None, ""),
            (
                "",
                vec![&a, &b],
                Some(Tone::Warning),
                "/dev/sdb matches too; using /dev/sda, the first by name; rd.live.medium=UUID=A decides",
            ),
            ("", vec![&a, &copy], Some(Tone::Warning), "root=live:/dev/disk/by-id/… or by-path decides"),
            ("", vec![&a, &b, &copy], Some(Tone::Warning), "/dev/sdb, /dev/sdc matches too"),
            (
                "rd.live.medium=UUID=B",
                vec![&a, &b],
                Some(Tone::Notice),
                "/dev/sda matches too; using /dev/sdb, which the boot loader",
            ),
            (
                "rd.live.medium=UUID=A",
                vec![&a, &copy],
                Some(Tone::Warning),
                "/dev/sdc is the medium the boot loader came from as well",
            ),
            ("rd.live.medium=UUID=X", vec![&a, &b], Some(Tone::Warning), "none is UUID=X; using /dev/sda"),
            ("", vec![&part, &second], Some(Tone::Warning), "/dev/sda2 matches too; using /dev/sda1"),
            // A stick and its partition.
            ("", vec![&a, &part], None, ""),
            ("", vec![&first_of_two, &second_of_two], None, ""),
        ] {
            let devices: Vec<Device> = devices.into_iter().cloned().collect();
            let (config, _) = interpret_text(&format!("root=live:LABEL=LIVE {kargs}"));
            let mut candidates: Vec<_> = devices
                .iter()
                .flat_map(|device| {
                    discover::media(
                        &config,
                        &crate::config::Selector::Label("LIVE".into()),
                        std::slice::from_ref(device),
                    )
                })
                .collect();
            candidates.sort_by_key(|candidate| !candidate.certain);
            let found = rivals(&config, &devices, &candidates[0], &candidates[1..]);
            assert_eq!(found.as_ref().map(|(tone, _)| *tone), tone, "{kargs}: {found:?}");
            assert!(found.map_or("".to_owned(), |(_, line)| line).contains(expected), "{kargs}");
        }
    }
}

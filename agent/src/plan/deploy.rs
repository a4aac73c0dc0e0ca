//! Whether an image is written to a disk, and what that may cost (docs/decisions/0035-deployment.md).

use super::act::{NetAct, Onto};
use super::step::Step;
use crate::config::System;
use crate::error::{Code, Stop};
use crate::facts::{Device, Unfinished, human};
use crate::format::Kind;

/// What is done about a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deployment {
    /// The image is there.
    There,
    /// It lacks its first bytes, which are kept at the end of the disk.
    Close,
    /// It is fetched.
    Fetch(Onto),
}

/// Decides by what is there. `named`: what may be wiped is this disk.
///
/// # Errors
/// [`Code::TargetHolds`] with the karg that gives it away, [`Code::TargetUnusable`].
pub fn decide(
    system: &System,
    device: &Device,
    unfinished: Option<Unfinished>,
    named: bool,
) -> Result<Deployment, Stop> {
    let node = device.node.display();
    let unusable = |why: &str| Err(Stop::new(Code::TargetUnusable, format!("{node} {why}")));
    if let Some(why) = &device.unreadable {
        return unusable(&format!("cannot be read: {why}"));
    }
    let held = device.superblock.as_ref();
    let is_image = held.is_some_and(|found| matches!(found.kind, Kind::Iso9660 | Kind::Squashfs | Kind::Erofs));
    let is_there = unfinished.is_none() && is_image && device.beside_raid.is_none();
    if is_there && !system.reset {
        return Ok(Deployment::There);
    }
    if device.optical || device.size == 0 {
        return unusable("has no room for an image");
    }
    if device.read_only {
        return unusable("is write-protected");
    }
    let fetch = |given| Ok(Deployment::Fetch(Onto { device: device.seen(), given }));
    match unfinished {
        Some(Unfinished::Writing) => return fetch(false),
        Some(Unfinished::Closing) if system.reset => return fetch(true),
        Some(Unfinished::Closing) => return Ok(Deployment::Close),
        None if is_there => return fetch(true),
        None => {}
    }
    // What looks empty is read before anything is written.
    if held.is_none() && device.table.is_empty() {
        return fetch(false);
    }
    match &system.wipe {
        Some(name) if !is_proper(name) => {
            Err(refused(device).wanted(format!("a name that stays with the disk or ends with its content, not {name}")))
        }
        Some(name) if !named => {
            Err(refused(device).wanted(format!("{name}, which rd.kiwi.live.system.wipe= gives away")))
        }
        Some(_) => fetch(true),
        None => Err(refused(device)),
    }
}

/// Whether a name may give a disk away: one that another disk can have at the next boot may not.
fn is_proper(name: &crate::config::Selector) -> bool {
    use crate::config::Selector;
    name.stays() || name.readings().iter().all(|reading| matches!(reading, Selector::Uuid(_)))
}

/// The disk holds something else. What has to be typed stands at the end.
fn refused(device: &Device) -> Stop {
    let held = match (&device.superblock, device.table.len()) {
        (Some(found), _) => found.kind.name().to_owned(),
        (None, partitions) => format!("a table with {partitions} partition{}", if partitions == 1 { "" } else { "s" }),
    };
    let cause =
        format!("{} ({}) holds {held}, so the image is not written there", device.node.display(), human(device.size));
    let uuid = device.superblock.as_ref().and_then(|found| found.uuid.as_ref()).map(|uuid| format!("UUID={uuid}"));
    let name = device.lasting_name().or(uuid);
    let name = name.as_deref().unwrap_or("/dev/disk/by-id/…");
    Stop::new(Code::TargetHolds, cause)
        .wanted("an empty disk, or one with an earlier image")
        .found([device.summary()])
        .advice(format!("if nothing on it is needed: rd.kiwi.live.system.wipe={name}"))
}

/// Writes the first bytes of an image that lacks them.
#[must_use]
pub fn close(device: &Device) -> Vec<Step> {
    vec![Step::Net(NetAct::Close { device: device.seen() })]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpret_text;
    use crate::format::Superblock;

    fn disk() -> Device {
        let links = vec!["ata-DISK_123".to_owned()];
        Device { name: "sda".into(), node: "/dev/sda".into(), size: 8 << 30, links, ..Device::default() }
    }

    fn holding(kind: Kind) -> Device {
        let found = Superblock { uuid: Some("ab-12".into()), ..Superblock::new(kind) };
        Device { superblock: Some(found), ..disk() }
    }

    fn decided(kargs: &str, device: &Device, unfinished: Option<Unfinished>) -> String {
        let system =
            interpret_text(&format!("root=live:http://h/x rd.kiwi.live.system=/dev/sda {kargs}")).0.system.unwrap();
        let named = system.wipe.as_ref().is_some_and(|wipe| crate::source::discover::is_named(wipe, device));
        match decide(&system, device, unfinished, named) {
            Ok(Deployment::Fetch(onto)) => format!("fetch, given: {}", onto.given),
            Ok(other) => format!("{other:?}"),
            Err(stop) => stop.with_advice().to_string(),
        }
    }

    #[test]
    fn t55_t57_t58_sd26_what_becomes_of_a_disk() {
        const RESET: &str = "rd.kiwi.live.reset";
        const BY_ID: &str = "rd.kiwi.live.system.wipe=/dev/disk/by-id/ata-DISK_123";
        let table = Device { table: vec![1 << 20, 4 << 20], ..disk() };
        let (iso, ext4) = (holding(Kind::Iso9660), holding(Kind::Ext4));
        for (kargs, device, unfinished, expected) in [
            ("", &disk(), None, "fetch, given: false"),
            (RESET, &disk(), None, "fetch, given: false"),
            ("", &iso, None, "There"),
            ("", &holding(Kind::Squashfs), None, "There"),
            (BY_ID, &iso, None, "There"),
            (RESET, &iso, None, "fetch, given: true"),
            ("", &disk(), Some(Unfinished::Writing), "fetch, given: false"),
            ("", &disk(), Some(Unfinished::Closing), "Close"),
            ("", &iso, Some(Unfinished::Closing), "Close"),
            (RESET, &iso, Some(Unfinished::Closing), "fetch, given: true"),
            (BY_ID, &ext4, None, "fetch, given: true"),
            (BY_ID, &table, None, "fetch, given: true"),
            ("rd.kiwi.live.system.wipe=UUID=AB-12", &ext4, None, "fetch, given: true"),
        ] {
            assert_eq!(decided(kargs, device, unfinished), expected, "{kargs} {device:?} {unfinished:?}");
        }
    }

    #[test]
    fn what_is_not_given_away_is_refused_with_the_karg_to_type() {
        let table = Device { table: vec![1 << 20], ..disk() };
        let ext4 = holding(Kind::Ext4);
        let nameless = Device { links: Vec::new(), ..ext4.clone() };
        for (kargs, device, cause, advice) in [
            ("", &ext4, "RDL-073: /dev/sda (8 GiB) holds ext4", "wipe=/dev/disk/by-id/ata-DISK_123"),
            // A reset is no consent.
            ("rd.kiwi.live.reset", &table, "holds a table with 1 partition,", "wipe=/dev/disk/by-id/ata-DISK_123"),
            ("", &nameless, "holds ext4", "wipe=UUID=ab-12"),
            ("rd.kiwi.live.system.wipe=/dev/sda", &ext4, "holds ext4", "wipe=/dev/disk/by-id/ata-DISK_123"),
            ("rd.kiwi.live.system.wipe=LABEL=x", &ext4, "holds ext4", "wipe=/dev/disk/by-id/ata-DISK_123"),
            ("rd.kiwi.live.system.wipe=/dev/disk/by-id/ata-OTHER", &ext4, "holds ext4", "by-id/ata-DISK_123"),
            ("rd.kiwi.live.system.wipe=UUID=ab-13", &ext4, "holds ext4", "by-id/ata-DISK_123"),
        ] {
            let said = decided(kargs, device, None);
            assert!(said.contains(cause) && said.contains(advice), "{kargs}: {said}");
        }
        for (device, cause) in [
            (Device { read_only: true, ..disk() }, "RDL-074: /dev/sda is write-protected"),
            (Device { optical: true, ..disk() }, "has no room"),
            (Device { size: 0, ..disk() }, "has no room"),
            (Device { unreadable: Some("EIO".into()), ..disk() }, "cannot be read: EIO"),
        ] {
            let said = decided("", &device, None);
            assert!(said.contains(cause), "{said}");
        }
        assert_eq!(decided("", &Device { read_only: true, ..holding(Kind::Iso9660) }, None), "There");
    }
}

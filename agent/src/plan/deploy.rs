//! Whether an image is written to a disk, and what that may cost (docs/decisions/0035-deployment.md).

use super::act::{NetAct, Onto};
use super::step::Step;
use crate::config::{Given, Selector, System};
use crate::error::{Code, Stop};
use crate::facts::{Deployed, Deployment as Held, Device, human};
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

/// Whether a disk bears what was fetched from a URL, or a part of that. What only looks like it bears nothing.
#[must_use]
pub fn bears(device: &Device, deployed: &Deployed, url: &str) -> bool {
    deployed.url == url && (deployed.state != Held::Whole || holds_image(device))
}

fn holds_image(device: &Device) -> bool {
    let held = device.superblock.as_ref();
    held.is_some_and(|found| matches!(found.kind, Kind::Iso9660 | Kind::Squashfs | Kind::Erofs))
        && device.beside_raid.is_none()
}

/// The disk among others that the image of a URL is on: a disk may have got another name. One that has all of it comes first.
///
/// # Errors
/// [`Code::TargetUnusable`] where there are several.
pub fn elsewhere(url: &str, others: Vec<(Device, Deployed)>) -> Result<Option<(Device, Deployed)>, Stop> {
    let (whole, parts): (Vec<_>, Vec<_>) = others
        .into_iter()
        .filter(|(device, deployed)| bears(device, deployed, url))
        .partition(|(_, deployed)| deployed.state != Held::Writing);
    let found = if whole.is_empty() { parts } else { whole };
    if let [(one, _), (other, _), ..] = found.as_slice() {
        let name = one.lasting_name().unwrap_or_else(|| one.node.display().to_string());
        let cause = format!("the image of {url} is on {} and on {}", one.node.display(), other.node.display());
        return Err(Stop::new(Code::TargetUnusable, cause)
            .found(found.iter().map(|(device, _)| device.summary()))
            .advice(format!("say which: rd.kiwi.live.system={name}")));
    }
    Ok(found.into_iter().next())
}

/// What is said when an image is on another disk than the one that was named.
#[must_use]
pub fn moved(system: &System, device: &Device, deployed: &Deployed) -> String {
    let (node, url) = (device.node.display(), &deployed.url);
    let what = match deployed.state {
        Held::Whole => "the image of",
        Held::Writing | Held::Closing => "a part of the image of",
    };
    let name = device.lasting_name().map_or_else(String::new, |name| format!("; rd.kiwi.live.system={name} stays"));
    format!(
        "{what} {url} is on {node}, not on {}, which rd.kiwi.live.system= names: using {node}, for disks change places{name}",
        system.device
    )
}

/// Decides by what is there. `named`: what may be wiped is this disk; `parts`: its partitions.
///
/// # Errors
/// [`Code::TargetHolds`] with the karg that gives it away, [`Code::TargetUnusable`].
pub fn decide(
    system: &System,
    device: &Device,
    deployed: Option<Held>,
    named: bool,
    parts: &[Device],
) -> Result<Deployment, Stop> {
    let node = device.node.display();
    let unusable = |why: &str| Err(Stop::new(Code::TargetUnusable, format!("{node} {why}")));
    if let Some(why) = &device.unreadable {
        return unusable(&format!("cannot be read: {why}"));
    }
    let held = device.superblock.as_ref();
    let is_there = matches!(deployed, None | Some(Held::Whole)) && holds_image(device);
    if is_there && !system.reset {
        return Ok(Deployment::There);
    }
    if device.optical || device.size == 0 {
        return unusable("has no room for an image");
    }
    if device.read_only {
        return unusable("is write-protected");
    }
    let fetch = |given| {
        let disk = device.lasting_name().unwrap_or_default();
        Ok(Deployment::Fetch(Onto { device: device.seen(), disk, given }))
    };
    match deployed {
        Some(Held::Writing) => return fetch(false),
        Some(Held::Closing) if system.reset => return fetch(true),
        Some(Held::Closing) => return Ok(Deployment::Close),
        _ if is_there => return fetch(true),
        _ => {}
    }
    // What looks empty is read before anything is written.
    if held.is_none() && device.table.is_empty() {
        return fetch(false);
    }
    match &system.wipe {
        Some(name) if !is_proper(name) => Err(refused(device, parts)
            .wanted(format!("a name that stays with the disk or ends with its content, not {name}"))),
        Some(name) if !named => {
            Err(refused(device, parts).wanted(format!("{name}, which rd.kiwi.live.system.wipe= gives away")))
        }
        Some(_) => fetch(true),
        None => Err(refused(device, parts)),
    }
}

/// Whether a name may give a disk away: one that another disk can have at the next boot may not.
fn is_proper(name: &Given) -> bool {
    let Given::Device(name) = name else { return true };
    name.stays() || name.readings().iter().all(|reading| matches!(reading, Selector::Uuid(_)))
}

/// The disk holds something else. What has to be typed stands at the end.
fn refused(device: &Device, parts: &[Device]) -> Stop {
    let held = match (&device.superblock, device.table.len()) {
        (Some(found), _) => found.kind.name().to_owned(),
        (None, partitions) => format!("a table with {partitions} partition{}", if partitions == 1 { "" } else { "s" }),
    };
    let cause =
        format!("{} ({}) holds {held}, so the image is not written there", device.node.display(), human(device.size));
    let uuid = device.superblock.as_ref().and_then(|found| found.uuid.as_ref()).map(|uuid| format!("UUID={uuid}"));
    let table = device.table_id.as_ref().map(|id| format!("PTUUID={id}"));
    let name = device.lasting_name().or(uuid).or(table);
    let name = name.as_deref().unwrap_or("/dev/disk/by-id/…");
    Stop::new(Code::TargetHolds, cause)
        .wanted("an empty disk, or one with an earlier image")
        .found([device].into_iter().chain(parts).map(Device::summary))
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

    fn decided(kargs: &str, device: &Device, deployed: Option<Held>) -> String {
        let system =
            interpret_text(&format!("root=live:http://h/x rd.kiwi.live.system=/dev/sda {kargs}")).0.system.unwrap();
        let named = system
            .wipe
            .as_ref()
            .is_some_and(|wipe| crate::source::given::gives(wipe, device, std::slice::from_ref(device)));
        match decide(&system, device, deployed, named, &[]) {
            Ok(Deployment::Fetch(onto)) => format!("fetch, given: {}", onto.given),
            Ok(other) => format!("{other:?}"),
            Err(stop) => stop.with_advice().to_string(),
        }
    }

    #[test]
    fn t55_t57_t58_sd26_what_becomes_of_a_disk() {
        const RESET: &str = "rd.kiwi.live.reset";
        const BY_ID: &str = "rd.kiwi.live.system.wipe=/dev/disk/by-id/ata-DISK_123";
        let table = Device { table: vec![1 << 20, 4 << 20], table_id: Some("ab-9".into()), ..disk() };
        let (iso, ext4) = (holding(Kind::Iso9660), holding(Kind::Ext4));
        for (kargs, device, deployed, expected) in [
            ("", &disk(), None, "fetch, given: false"),
            (RESET, &disk(), None, "fetch, given: false"),
            ("", &iso, None, "There"),
            ("", &holding(Kind::Squashfs), None, "There"),
            (BY_ID, &iso, None, "There"),
            (RESET, &iso, None, "fetch, given: true"),
            ("", &disk(), Some(Held::Writing), "fetch, given: false"),
            ("", &disk(), Some(Held::Closing), "Close"),
            ("", &iso, Some(Held::Closing), "Close"),
            (RESET, &iso, Some(Held::Closing), "fetch, given: true"),
            (BY_ID, &ext4, None, "fetch, given: true"),
            (BY_ID, &table, None, "fetch, given: true"),
            ("rd.kiwi.live.system.wipe=PTUUID=AB-9", &table, None, "fetch, given: true"),
            ("rd.kiwi.live.system.wipe=UUID=AB-12", &ext4, None, "fetch, given: true"),
        ] {
            assert_eq!(decided(kargs, device, deployed), expected, "{kargs} {device:?} {deployed:?}");
        }
    }

    /// network-field.md kind 22a: by its mark on any disk.
    #[test]
    fn sd7_an_image_is_found_on_another_disk() {
        const URL: &str = "http://h/x";
        let on = |name: &str, kind: Kind, url: &str, state| {
            let device = Device { name: name.into(), node: format!("/dev/{name}").into(), ..holding(kind) };
            (device, Deployed { url: url.to_owned(), state })
        };
        let iso = |name, state| on(name, Kind::Iso9660, URL, state);
        for (others, expected) in [
            (vec![], Ok(None)),
            (vec![iso("sdb", Held::Whole)], Ok(Some("sdb"))),
            (vec![on("sdb", Kind::Iso9660, "http://h/y", Held::Whole)], Ok(None)),
            // Something else was written over it, and the mark is left.
            (vec![on("sdb", Kind::Ext4, URL, Held::Whole)], Ok(None)),
            (vec![on("sdb", Kind::Ext4, URL, Held::Writing)], Ok(Some("sdb"))),
            (vec![iso("sdb", Held::Writing), iso("sdc", Held::Whole)], Ok(Some("sdc"))),
            (vec![iso("sdb", Held::Writing), iso("sdc", Held::Closing)], Ok(Some("sdc"))),
            (vec![iso("sdb", Held::Whole), iso("sdc", Held::Whole)], Err("on /dev/sdb and on /dev/sdc")),
            (vec![iso("sdb", Held::Writing), iso("sdc", Held::Writing)], Err("on /dev/sdb and on /dev/sdc")),
        ] {
            let shown = format!("{others:?}");
            match (elsewhere(URL, others), expected) {
                (Ok(found), Ok(expected)) => {
                    assert_eq!(found.as_ref().map(|(device, _)| device.name.as_str()), expected, "{shown}");
                }
                (Err(stop), Err(cause)) => {
                    let said = stop.with_advice().to_string();
                    assert!(said.contains(cause) && said.contains("system=/dev/disk/by-id/ata-DISK_123"), "{said}");
                }
                (found, expected) => panic!("{shown}: {found:?}, not {expected:?}"),
            }
        }
        let (system, (device, deployed)) = (
            interpret_text("root=live:http://h/x rd.kiwi.live.system=/dev/sda").0.system.unwrap(),
            iso("sdb", Held::Whole),
        );
        assert_eq!(
            moved(&system, &device, &deployed),
            "the image of http://h/x is on /dev/sdb, not on /dev/sda, which rd.kiwi.live.system= names: using /dev/sdb, \
             for disks change places; rd.kiwi.live.system=/dev/disk/by-id/ata-DISK_123 stays"
        );
    }

    #[test]
    fn what_is_not_given_away_is_refused_with_the_karg_to_type() {
        let table = Device { table: vec![1 << 20], ..disk() };
        let ext4 = holding(Kind::Ext4);
        let nameless = Device { links: Vec::new(), ..ext4.clone() };
        let bare = Device { links: Vec::new(), table_id: Some("ab-9".into()), ..table.clone() };
        for (kargs, device, cause, advice) in [
            ("", &ext4, "RDL-073: /dev/sda (8 GiB) holds ext4", "wipe=/dev/disk/by-id/ata-DISK_123"),
            // A reset is no consent.
            ("rd.kiwi.live.reset", &table, "holds a table with 1 partition,", "wipe=/dev/disk/by-id/ata-DISK_123"),
            ("", &nameless, "holds ext4", "wipe=UUID=ab-12"),
            ("", &bare, "holds a table with 1 partition", "wipe=PTUUID=ab-9"),
            ("rd.kiwi.live.system.wipe=PTUUID=ab-8", &bare, "holds a table with 1 partition", "wipe=PTUUID=ab-9"),
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

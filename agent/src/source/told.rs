//! What is told of a search that has found nothing.

use std::path::Path;

use crate::config::Selector;
use crate::facts::Device;
use crate::format::{Kind, Unknown};

/// What there is where nothing has any bytes.
pub fn nothing(devices: &[Device]) -> String {
    let empty: Vec<_> = devices.iter().filter(|device| device.size == 0).map(|device| device.name.as_str()).collect();
    let drives = if empty.len() == 1 { "drive" } else { "drives" };
    match empty.as_slice() {
        [] => "no disk at all, and no drive".to_owned(),
        names => format!("no disk at all; {} {drives} without a medium: {}", names.len(), names.join(", ")),
    }
}

/// What to do where something that may have been the medium has lost its beginning.
pub fn lost(devices: &[Device]) -> Option<String> {
    let with = |what| devices.iter().filter(move |device| device.unknown == Some(what));
    let sure = with(Unknown::IsoHeader).find(|device| device.parent.is_none()).or(with(Unknown::IsoHeader).next());
    let perhaps = || with(Unknown::Zeros).find(|device| device.parent.is_none());
    let device = sure.or_else(perhaps)?;
    Some(format!("if {} is to be the medium, write it again: its beginning is lost", device.node.display()))
}

/// What to do where the name is one that a volume gets when it is opened, and there is a device that nobody has opened.
pub fn closed(wanted: &Selector, devices: &[Device]) -> Option<String> {
    let opened = |name: &Selector| matches!(name, Selector::Path(path) if is_of_a_volume(path));
    if !wanted.readings().into_iter().any(opened) {
        return None;
    }
    let kind = |device: &Device| device.superblock.as_ref().map(|found| found.kind);
    let (device, module, karg) = devices.iter().find_map(|device| match kind(device)? {
        Kind::Lvm | Kind::Lvm1 => Some((device, "lvm", "rd.lvm.lv=GROUP/VOLUME")),
        Kind::Luks => Some((device, "crypt", "rd.luks.uuid=UUID")),
        Kind::Raid => Some((device, "mdraid", "rd.md.uuid=UUID")),
        _ => None,
    })?;
    let node = device.node.display();
    Some(format!("if it is in {node}: dracut's module {module} opens that, asked by {karg}; a native initrd does not"))
}

/// `/dev/mapper/NAME`, `/dev/md/NAME`, and LVM's `/dev/GROUP/VOLUME`.
fn is_of_a_volume(path: &Path) -> bool {
    let Ok(name) = path.strip_prefix("/dev") else { return false };
    name.components().count() == 2 && !["disk", "block", "bus", "pts", "shm"].iter().any(|dir| name.starts_with(dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Superblock;

    fn device(name: &str, size: u64, unknown: Option<Unknown>) -> Device {
        Device { name: name.into(), node: format!("/dev/{name}").into(), size, unknown, ..Device::default() }
    }

    #[test]
    fn where_nothing_has_any_bytes_the_drives_are_named() {
        let drives = ["sr0", "sda"].map(|name| device(name, 0, None));
        for (devices, expected) in [
            (&drives[..0], "no disk at all, and no drive"),
            (&drives[..1], "no disk at all; 1 drive without a medium: sr0"),
            (&drives[..], "no disk at all; 2 drives without a medium: sr0, sda"),
        ] {
            assert_eq!(nothing(devices), expected);
        }
    }

    #[test]
    fn what_has_lost_its_beginning_is_to_be_written_again() {
        let (zeros, iso) = (device("vda", 9, Some(Unknown::Zeros)), device("sda", 9, Some(Unknown::IsoHeader)));
        let said = |devices: &[Device]| lost(devices).unwrap_or_default();
        assert!(said(&[zeros.clone(), iso]).starts_with("if /dev/sda is to be the medium, write it again"));
        assert!(said(&[zeros]).starts_with("if /dev/vda is"));
        assert_eq!(lost(&[device("sdb", 9, None)]), None);
    }

    #[test]
    fn a_volume_that_nobody_has_opened_is_told_with_what_opens_it() {
        let of = |kind| Device { superblock: Some(Superblock::new(kind)), ..device("sda2", 9, None) };
        let said = |wanted: Selector, kind| closed(&wanted, &[device("sdb", 9, None), of(kind)]);
        let path = |text: &str| Selector::Path(text.into());
        for (wanted, kind, expected) in [
            ("/dev/vg/live", Kind::Lvm, "/dev/sda2: dracut's module lvm opens that, asked by rd.lvm.lv="),
            ("/dev/mapper/vg-live", Kind::Lvm, "module lvm"),
            ("/dev/mapper/luks-1", Kind::Luks, "module crypt opens that, asked by rd.luks.uuid="),
            ("/dev/md/live", Kind::Raid, "module mdraid opens that, asked by rd.md.uuid="),
        ] {
            let text = said(path(wanted), kind).unwrap_or_default();
            assert!(text.contains(expected) && text.ends_with("; a native initrd does not"), "{wanted}: {text}");
        }
        let grub = Selector::Grub { written: path("/dev/vg/a\\\\b").into(), meant: path("/dev/vg/a\\b").into() };
        assert!(said(grub, Kind::Lvm).is_some());
        for (wanted, kind) in [
            (path("/dev/sdc1"), Kind::Lvm),
            (path("/dev/disk/by-id/x"), Kind::Lvm),
            (Selector::Label("LIVE".into()), Kind::Lvm),
            (path("/dev/vg/live"), Kind::Ext4),
        ] {
            assert_eq!(said(wanted.clone(), kind), None, "{wanted:?} {kind:?}");
        }
    }
}

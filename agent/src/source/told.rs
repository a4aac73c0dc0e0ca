//! What is told of a search that has found nothing.

use crate::facts::Device;
use crate::format::Unknown;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}

//! Which disk is given away by name.

use super::discover;
use crate::config::Given;
use crate::facts::Device;

/// Whether a name gives this disk away, and none of the others: what a copy has too gives nothing away.
#[must_use]
pub fn gives(name: &Given, device: &Device, devices: &[Device]) -> bool {
    match name {
        Given::Table(id) => {
            let has = |device: &Device| device.table_id.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(id));
            has(device) && devices.iter().filter(|device| has(device)).count() == 1
        }
        Given::Device(name) => {
            discover::is_named(name, device) && (name.stays() || discover::named(name, devices).len() == 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Selector;
    use crate::format::{Kind, Superblock};

    fn disk() -> Device {
        let superblock = Some(Superblock { uuid: Some("ab-12".into()), ..Superblock::new(Kind::Ext4) });
        let links = vec!["ata-DISK_123".to_owned()];
        Device { name: "sda".into(), node: "/dev/sda".into(), size: 8 << 30, links, superblock, ..Device::default() }
    }

    #[test]
    fn sd26_what_a_copy_has_too_gives_nothing_away() {
        let one = Device { table_id: Some("ab-9".into()), ..disk() };
        let other = Device { name: "sdb".into(), node: "/dev/sdb".into(), links: Vec::new(), ..one.clone() };
        let by = |name: &str| Given::Device(Selector::parse(name).unwrap());
        for (name, alone, beside) in [
            (Given::Table("ab-9".into()), true, false),
            (by("UUID=ab-12"), true, false),
            (by("/dev/disk/by-id/ata-DISK_123"), true, true),
            (Given::Table("ab-8".into()), false, false),
        ] {
            let both = [one.clone(), other.clone()];
            let given = |devices: &[Device]| gives(&name, &one, devices);
            assert_eq!((given(&both[..1]), given(&both)), (alone, beside), "{name}");
        }
    }
}

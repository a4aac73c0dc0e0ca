//! A btrfs that lies on several devices (field.md G).

use super::*;

/// One of two devices of the file system.
fn half(name: &str) -> Event {
    let mut device = device(name, "LIVE");
    let found = Superblock { uuid: Some("one".into()), devices: Some(2), ..device.superblock.unwrap() };
    device.superblock = Some(Superblock { kind: Kind::Btrfs, ..found });
    Comes(Box::new(device))
}

#[test]
fn it_waits_for_all_of_its_devices() {
    for (kargs, events, expected) in [
        ("root=live:LABEL=LIVE", vec![(100, half("sda")), (9000, half("sdb"))], (9000, "sda")),
        // Another medium of that name is not held up.
        ("root=live:LABEL=LIVE", vec![(100, half("sda")), (3000, comes("sdc", "LIVE"))], (3000, "sdc")),
        ("iso-scan/filename=/x.iso", vec![(100, half("sda")), (3000, comes("sdc", "LIVE"))], (3000, "sdc")),
        // The kernel has the last word.
        ("root=live:LABEL=LIVE rd.retry=20", vec![(100, half("sda"))], (15_000, "sda")),
        ("iso-scan/filename=/x.iso rd.retry=20", vec![(100, half("sda"))], (15_000, "sda")),
        ("root=live:LABEL=LIVE", vec![(100, half("sda")), (3000, Key)], (3000, "sda")),
    ] {
        let (tried, result) = searched(kargs, &events);
        assert_eq!(result, Ok(()), "{kargs}");
        let (at, name) = tried.first().unwrap();
        let after = *at >= expected.0 && *at <= expected.0 + 5000;
        assert!(after && name == expected.1, "{kargs} {events:?}: {tried:?}");
    }
}

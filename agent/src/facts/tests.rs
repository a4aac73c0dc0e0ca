use serde_json::json;

use super::*;

#[test]
fn optical_names() {
    for (name, expected) in [("sr0", true), ("sr12", true), ("sra", false), ("sda1", false), ("sr", false)] {
        assert_eq!(is_optical(name), expected, "{name}");
    }
}

#[test]
fn a_name_that_lasts_is_that_of_the_partition_then_the_serial_number_then_the_port() {
    let port = "pci-0000:00:05.0-usb-0:1:1.0-scsi-0:0:0:0";
    for (part_uuid, partition, links, expected) in [
        (Some("ab-01"), Some(1), vec!["usb-X_Y-0:0"], Some("PARTUUID=ab-01".to_owned())),
        (None, None, vec![port, "usb-X_Y-0:0"], Some("/dev/disk/by-id/usb-X_Y-0:0".to_owned())),
        (None, None, vec![port], Some(format!("/dev/disk/by-path/{port}"))),
        (None, Some(2), vec![port], Some(format!("/dev/disk/by-path/{port}-part2"))),
        (None, Some(2), vec!["usb-X_Y-0:0-part2"], Some("/dev/disk/by-id/usb-X_Y-0:0-part2".to_owned())),
        (None, None, vec![], None),
    ] {
        let links: Vec<String> = links.into_iter().map(str::to_owned).collect();
        let device =
            Device { part_uuid: part_uuid.map(str::to_owned), partition, links: links.clone(), ..Device::default() };
        assert_eq!(device.lasting_name(), expected, "{links:?}");
        // What is advised is accepted.
        let accepted = |name: &String| crate::config::Selector::parse(name).unwrap().stays();
        assert!(device.lasting_name().iter().all(accepted));
    }
}

#[test]
fn a_disc_is_told_by_all_but_the_number_of_its_drive() {
    let drive = Device { node: "/dev/sr0".into(), sequence: Some(9), size: 4096, optical: true, ..Device::default() };
    let (disc, disk) = (drive.seen(), Device { optical: false, ..drive }.seen());
    assert_eq!((disc.sequence, disc.size), (None, 4096));
    assert_eq!(disk.sequence, Some(9));
}
use crate::terminal::tests::with_each_text;

#[test]
fn f12_a_device_is_one_line_whatever_is_on_it() {
    let sample = json!({
        "name": "sda1", "node": "/dev/sda1", "size": 7, "part_uuid": "p", "part_label": "l", "links": ["a"],
        "superblock": { "kind": "btrfs", "label": "x", "uuid": "y", "dirty": false },
    });
    let read = |value| serde_json::from_value::<Device>(value).ok();
    assert_eq!(with_each_text(&sample, read, |device| vec![device.summary()]), 7);
    let sample = json!({ "name": "sda1", "node": "/dev/sda1", "size": 7, "unreadable": "EIO" });
    assert_eq!(with_each_text(&sample, read, |device| vec![device.summary()]), 3);
}

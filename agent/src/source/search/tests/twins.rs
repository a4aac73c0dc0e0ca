//! A disk and its partition with one volume.

use super::*;

/// A stick whose first partition is shorter than the volume that begins with it, as some images make it.
#[test]
fn a_disk_is_taken_where_its_partition_is_shorter_than_the_volume() {
    let twin = |name: &str, parent: Option<&str>, size: u64| {
        let mut device = device(name, "x");
        device.superblock = Some(Superblock { size: Some(64 << 20), ..device.superblock.unwrap() });
        Comes(Box::new(Device { parent: parent.map(str::to_owned), partition: parent.map(|_| 1), size, ..device }))
    };
    for (what, part, expected) in [("the partition is long enough", 64 << 20, "sda1"), ("it is short", 4 << 20, "sda")]
    {
        let events = [(50, twin("sda", None, 1 << 30)), (60, twin("sda1", Some("sda"), part))];
        tries(what, LIVE, &events, &[(160, expected)]);
    }
}

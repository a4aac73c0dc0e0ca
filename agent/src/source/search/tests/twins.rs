//! A disk and its partition with one volume.

use super::*;

/// A stick whose first partition is shorter than the volume that begins with it, as some images make it.
#[test]
fn a_disk_has_its_turn_behind_its_partition() {
    let twin = |name: &str, parent: Option<&str>, label: &str| {
        let mut device = device(name, label);
        device.superblock.as_mut().unwrap().uuid = Some("u".to_owned());
        Comes(Box::new(Device { parent: parent.map(str::to_owned), partition: parent.map(|_| 1), ..device }))
    };
    let both = |part: &str, disk: &str| vec![(50, twin("sda", None, disk)), (60, twin("sda1", Some("sda"), part))];
    let kargs = "root=live:UUID=u";
    tries("the partition is good", kargs, &both("x", "x"), &[(160, "sda1")]);
    tries("the partition is short", kargs, &both("bad", "x"), &[(160, "sda1"), (160, "sda")]);
    let mut others = both("bad", "bad");
    others.push((70, twin("sdb", None, "x")));
    tries("neither is good, and another one is", kargs, &others, &[(170, "sda1"), (170, "sdb")]);
}

//! Media whose files were copied to another file system (field.md D).

use super::*;

const MARKED: &str = "root=live:LABEL=LIVE_0123456789 rd.live.medium=UUID=uuid-cd,ID=0123456789abcdef rd.retry=30";
const UNMARKED: &str = "root=live:LABEL=Live_0123456789 rd.retry=30";

/// A file system; those called `sd` are sticks.
fn copy(name: &str, kind: Kind, label: &str) -> Event {
    let mut device = device(name, label);
    device.superblock = Some(Superblock { kind, ..device.superblock.unwrap() });
    Comes(Box::new(Device { removable: name.starts_with("sd"), ..device }))
}

#[test]
fn the_mark_is_looked_for_where_no_name_is_that_of_the_loaders_medium() {
    for (what, events, expected) in [
        ("on a stick at once", vec![(50, copy("sda1", Kind::Vfat, "LIVE_012345"))], vec![(150, "sda1")]),
        ("under any label", vec![(50, copy("sda1", Kind::Ext4, "photos"))], vec![(150, "sda1")]),
        ("on a fixed disk later", vec![(50, copy("nvme0n1p1", Kind::Ntfs, "data"))], vec![(10_050, "nvme0n1p1")]),
        (
            "the medium itself comes first",
            vec![(50, copy("sda1", Kind::Vfat, "other")), (60, copy("cd", Kind::Iso9660, "LIVE_0123456789"))],
            vec![(60, "cd")],
        ),
        (
            "one that has not the mark is no end",
            vec![(50, copy("sda1", Kind::Vfat, "empty")), (9000, copy("sdb1", Kind::Exfat, "x"))],
            vec![(150, "sda1"), (9100, "sdb1")],
        ),
        (
            "before another medium of the wanted label",
            vec![(50, copy("sda1", Kind::Iso9660, "LIVE_0123456789")), (60, copy("sdb1", Kind::Vfat, "x"))],
            vec![(160, "sda1"), (160, "sdb1")],
        ),
        (
            "which has its turn behind",
            vec![(50, copy("sda1", Kind::Iso9660, "LIVE_0123456789")), (60, copy("sdb1", Kind::Vfat, "empty"))],
            vec![(160, "sda1"), (160, "sdb1"), (10_050, "sda1")],
        ),
    ] {
        tries(what, MARKED, &events, &expected);
    }
    // The label was kept on both: the mark decides, and a medium without it has its turn by its name.
    for (kargs, events, expected) in [
        (
            MARKED,
            vec![
                (50, copy("sda1", Kind::Iso9660, "LIVE_0123456789")),
                (60, copy("sdb1", Kind::Vfat, "LIVE_0123456789")),
            ],
            vec![(160, "sda1"), (160, "sdb1")],
        ),
        (
            "root=live:LABEL=x rd.live.medium=ID=0123456789abcdef rd.retry=30",
            vec![(50, copy("sda1", Kind::Vfat, "x")), (60, copy("sdb1", Kind::Vfat, "x"))],
            vec![(160, "sda1")],
        ),
    ] {
        tries("two of one label", kargs, &events, &expected);
    }
    // Who names a node, or asks for no mark, means that.
    for kargs in ["root=live:/dev/sdb rd.live.medium=ID=0123456789abcdef rd.retry=3", "root=live:LABEL=y rd.retry=3"] {
        ends(kargs, kargs, &[(50, copy("sda1", Kind::Vfat, "x"))], &[], (3000, Code::MediumNotFound));
    }
    // A luks volume, a swap space and what holds nothing known are not mounted.
    for kind in [Kind::Luks, Kind::Swap, Kind::Hibernation] {
        ends("it is left alone", MARKED, &[(50, copy("sda1", kind, "x"))], &[], (30_000, Code::MediumNotFound));
    }
}

#[test]
fn a_label_as_fat_keeps_it_is_the_last_resort() {
    for (kind, label, likes) in [
        (Kind::Vfat, "LIVE_012345", true),
        (Kind::Vfat, "Live_012345", true),
        (Kind::Exfat, "Live_012345", true),
        (Kind::Vfat, "LIVE_01234", false),
        (Kind::Vfat, "LIVE_0123456", false),
        (Kind::Ext4, "LIVE_012345", false),
    ] {
        let events = [(50, copy("sda1", kind, label))];
        match likes {
            true => tries(label, UNMARKED, &events, &[(10_050, "sda1")]),
            false => ends(label, UNMARKED, &events, &[], (30_000, Code::MediumNotFound)),
        }
    }
    let both = [(50, copy("sda1", Kind::Vfat, "LIVE_012345")), (5000, copy("sdb", Kind::Iso9660, "Live_0123456789"))];
    tries("the label itself is better", UNMARKED, &both, &[(5100, "sdb")]);
}

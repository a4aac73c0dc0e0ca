//! Disks whose sectors have 4096 bytes.

use std::fs::File;

use crate::machine::{Disk, Machine, Stick};
use crate::{STICK, kept, remember};

const SECTOR: u32 = 4096;

#[test]
fn loop_area_on_a_stick_with_sectors_of_4096_bytes() {
    for (cowfs, size) in [("ext4", STICK), ("xfs", 400 << 20)] {
        let machine = Machine::new();
        let (label, name) = (machine.label(), format!("P{}", machine.name));
        let stick = Stick::plain_with_sectors(&machine, &label, size, SECTOR);
        let kargs = format!(
            "root=live:LABEL={label} rd.retry=20 rd.overlay=LABEL={name} rd.live.autooverlay rd.live.overlay.cowfs={cowfs}"
        );
        for expected in [None, Some(cowfs)] {
            let booted = machine.boot(&kargs);
            assert_eq!(booted.mode().persistence, "named", "{cowfs}: {:?}", booted.report.fallbacks);
            assert_eq!(kept(&booted).as_deref(), expected, "{cowfs}");
            remember(&booted, cowfs);
        }
        assert_eq!(stick.table().partitions.len(), 2, "{cowfs}");
        assert_eq!(stick.last_by_others(), ["Linux filesystem", cowfs, &name], "{cowfs}");
    }
}

#[test]
fn loop_blank_partition_with_sectors_of_4096_bytes() {
    let machine = Machine::new();
    let (label, medium) = (machine.label(), machine.medium(&machine.label()));
    let _medium = Disk::attach(&machine, medium, &label);
    let path = machine.path("disk");
    File::create(&path).unwrap().set_len(STICK).unwrap();
    let disk = Disk::with_sectors(&machine, path, "", SECTOR);
    let whole = File::open(&disk.node).unwrap();
    rdlive_sys::blkpg::add_partition(&whole, 1, 1 << 20, 48 << 20).unwrap();
    let kargs = format!("root=live:LABEL={label} rd.retry=20 rd.overlay={}p1 rd.live.overlay.cowfs=ext4", disk.node);
    for expected in [None, Some("kept")] {
        let booted = machine.boot(&kargs);
        assert_eq!(booted.mode().persistence, "named", "{:?}", booted.report.fallbacks);
        assert_eq!(kept(&booted).as_deref(), expected);
        remember(&booted, "kept");
    }
}

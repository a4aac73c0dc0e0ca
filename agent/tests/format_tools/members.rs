//! Members of RAIDs, volume groups and snapshots. Making real ones takes kernel drivers, so these are written byte by
//! byte, with the checksums that blkid demands.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rdlive::format::Kind;

use crate::superblocks::{agrees_with_blkid, read};
use crate::tools::blank;

/// Writes `bytes` at `offset` of a new image of 4 MiB and `extra` bytes, and compares.
fn compare(dir: &Path, name: &str, kind: Kind, extra: u64, (offset, bytes): (u64, &[u8])) {
    let image = blank(dir, name, 4);
    let file = OpenOptions::new().write(true).open(&image).unwrap();
    file.set_len((4 << 20) + extra).unwrap();
    file.write_all_at(bytes, offset).unwrap();
    let found = read(&image);
    assert_eq!(found.kind, kind, "{name}");
    agrees_with_blkid(name, &image, &found);
}

fn put(sb: &mut [u8], at: usize, bytes: &[u8]) {
    sb[at..at + bytes.len()].copy_from_slice(bytes);
}

fn raid_1(offset: u64) -> Vec<u8> {
    let mut sb = vec![0; 256];
    put(&mut sb, 0, &0xa92b_4efcu32.to_le_bytes());
    put(&mut sb, 4, &1u32.to_le_bytes());
    put(&mut sb, 16, &std::array::from_fn::<u8, 16, _>(|i| i as u8));
    put(&mut sb, 32, b"host:0");
    put(&mut sb, 144, &(offset / 512).to_le_bytes());
    let words = sb.as_chunks::<4>().0.iter();
    let sum: u64 = words.map(|word| u64::from(u32::from_le_bytes(*word))).sum();
    let folded = (sum & 0xffff_ffff) + (sum >> 32);
    put(&mut sb, 216, &(folded as u32).to_le_bytes());
    sb
}

#[test]
fn raid_of_every_version() {
    let dir = tempfile::tempdir().unwrap();
    let end = 4 << 20;
    for (name, extra, offset) in
        [("1.0", 0, end - 8192), ("1.0 at an odd end", 4608, end + 4096 - 8192), ("1.1", 0, 0), ("1.2", 0, 4096)]
    {
        compare(dir.path(), name, Kind::Raid, extra, (offset, &raid_1(offset)));
    }
    let mut sb = vec![0; 4096];
    put(&mut sb, 0, &0xa92b_4efcu32.to_le_bytes());
    put(&mut sb, 8, &90u32.to_le_bytes());
    put(&mut sb, 20, &[1, 2, 3, 4]);
    put(&mut sb, 52, &[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    compare(dir.path(), "0.90", Kind::Raid, 512, (end - 0x1_0000, &sb));
}

#[test]
fn physical_volume() {
    let dir = tempfile::tempdir().unwrap();
    let mut label = vec![0; 512];
    put(&mut label, 0, b"LABELONE\x01");
    put(&mut label, 20, &[32]);
    put(&mut label, 24, b"LVM2 001");
    put(&mut label, 32, b"cQA0QH7gY0eZ64WQm4N8aYheoqI3013C");
    let mut crc = 0xf597_a6cfu32;
    for byte in &label[20..] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    put(&mut label, 16, &crc.to_le_bytes());
    compare(dir.path(), "pv", Kind::Lvm, 0, (512, &label));
}

#[test]
fn snapshot_store() {
    let dir = tempfile::tempdir().unwrap();
    let header = b"SnAp\x01\0\0\0\x01\0\0\0\x08\0\0\0";
    compare(dir.path(), "cow", Kind::SnapshotCow, 0, (0, header));
}

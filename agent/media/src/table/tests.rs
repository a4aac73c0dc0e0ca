//! Every prefix of the writes, on tables in memory. Real tables and the real tools are in `tests/table_tools.rs`.

mod claims;

use std::io::Cursor;

use super::*;
use crate::format::partition::{self, Table, TableKind};

const MIB: u64 = 1 << 20;

/// A GPT as an image of 8 MiB has it: one partition of 6 MiB, then put on a larger disk.
fn gpt(size: u64, sector: u64, count: usize) -> Vec<u8> {
    let mut disk = vec![0; (8 * MIB) as usize];
    disk[446..462].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f]);
    // A boot entry beside the guard, as gpt_hybrid_mbr images have it.
    disk[462..478].copy_from_slice(&[0x80, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[..440].fill(0xcd);
    let entries_sectors = (count as u64 * 128).div_ceil(sector);
    let last = 8 * MIB / sector - 1;
    let mut entries = vec![0; count * 128];
    entries[..16].fill(7);
    entries[16..32].fill(9);
    entries[32..40].copy_from_slice(&(MIB / sector).to_le_bytes());
    entries[40..48].copy_from_slice(&(7 * MIB / sector - 1).to_le_bytes());
    for (here, other, place) in [(1, last, 2), (last, 1, last - entries_sectors)] {
        let mut header = vec![0; sector as usize];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..16].copy_from_slice(&[0, 0, 1, 0, 92, 0, 0, 0]);
        for (at, value) in
            [(24, here), (32, other), (40, 2 + entries_sectors), (48, last - entries_sectors - 1), (72, place)]
        {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[56..72].fill(3);
        header[80..84].copy_from_slice(&(count as u32).to_le_bytes());
        header[84..88].copy_from_slice(&128u32.to_le_bytes());
        header[88..92].copy_from_slice(&crate::format::crc::crc32(&entries).to_le_bytes());
        let crc = crate::format::crc::crc32(&header[..92]);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        let at = (here * sector) as usize;
        disk[at..at + header.len()].copy_from_slice(&header);
        let at = (place * sector) as usize;
        disk[at..at + entries.len()].copy_from_slice(&entries);
    }
    disk.resize(size as usize, 0);
    disk
}

fn mbr(size: u64, entries: &[(u8, u8, u32, u32)]) -> Vec<u8> {
    let mut disk = vec![0; size as usize];
    disk[..440].fill(0xcd);
    for (slot, (flag, kind, start, sectors)) in entries.iter().enumerate() {
        let entry = &mut disk[446 + slot * 16..462 + slot * 16];
        (entry[0], entry[4]) = (*flag, *kind);
        entry[8..12].copy_from_slice(&start.to_le_bytes());
        entry[12..].copy_from_slice(&sectors.to_le_bytes());
    }
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

fn disk(bytes: &[u8], sector: u32) -> Disk {
    Disk { size: bytes.len() as u64, sector, image: 7 * MIB, least: 2 * MIB }
}

fn add(bytes: &[u8], sector: u32) -> Result<Addition, TableError> {
    let random = std::array::from_fn(|i| i as u8 * 17);
    disk(bytes, sector).addition(&mut Cursor::new(bytes), &[], random)
}

fn table(bytes: &[u8]) -> Table {
    partition::table(&mut Cursor::new(bytes), bytes.len() as u64).unwrap().unwrap()
}

/// Applies the writes one by one, and inside each sector by sector, in either direction; the table must be valid at
/// every moment and be the old one until the last write.
fn check_every_prefix(name: &str, before: &[u8], addition: &Addition) -> Vec<u8> {
    let old = table(before).partitions;
    let mut now = before.to_vec();
    let commit = addition.writes.len() - 1;
    for (number, write) in addition.writes.iter().enumerate() {
        let sectors: Vec<_> = write.bytes.chunks(512).enumerate().collect();
        for order in [sectors.iter().collect::<Vec<_>>(), sectors.iter().rev().collect()] {
            let mut torn = now.clone();
            for (step, (index, sector)) in order.into_iter().enumerate() {
                let at = write.offset as usize + index * 512;
                torn[at..at + 512].copy_from_slice(sector);
                // A checksum of the entries takes its time: of a long write every fifth state is looked at.
                if step % 5 != 0 && sectors.len() > 5 {
                    continue;
                }
                let found = table(&torn);
                if let TableKind::Gpt { primary_ok, .. } = found.kind {
                    assert!(primary_ok, "{name}: primary bad in {} at {index}", write.what);
                }
                if number < commit {
                    assert_eq!(found.partitions, old, "{name}: {} at {index}", write.what);
                }
            }
            if number == commit {
                assert_eq!(write.bytes.len(), 512, "{name}: the commit is one sector");
            }
        }
        let at = write.offset as usize;
        now[at..at + write.bytes.len()].copy_from_slice(&write.bytes);
    }
    let new = table(&now).partitions;
    assert_eq!(new.len(), old.len() + 1, "{name}");
    let added = new.iter().find(|entry| entry.number == addition.gap.number).unwrap();
    assert_eq!((added.start, added.size), (addition.gap.start, addition.gap.size), "{name}");
    assert!(new.iter().filter(|entry| *entry != added).eq(old.iter()), "{name}: other entries changed");
    now
}

#[test]
fn gpt_with_the_copy_where_the_image_ended() {
    for count in [4, 128, 248] {
        let before = gpt(32 * MIB, 512, count);
        let addition = add(&before, 512).unwrap();
        assert_eq!(addition.gap, Gap { number: 2, start: 8 * MIB, size: 23 * MIB }, "{count}");
        let after = check_every_prefix(&format!("{count} entries"), &before, &addition);
        let found = table(&after);
        assert_eq!(found.kind, TableKind::Gpt { primary_ok: true, backup_ok: true });
        let new = &found.partitions[1];
        assert_eq!(sgdisk_names(&after, 2), "Linux filesystem", "{count} entries");
        assert_eq!(new.name.as_deref(), Some(PARTITION_NAME));
        assert_eq!(before[..512], after[..512], "boot code and hybrid entries");
        assert_eq!(before[MIB as usize..31 * MIB as usize], after[MIB as usize..31 * MIB as usize], "the image");
    }
}

/// What sgdisk calls the type of a partition, in a table in which it finds no problem.
fn sgdisk_names(disk: &[u8], number: u32) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), disk).unwrap();
    let said = |arguments: &[&str]| {
        let output = std::process::Command::new("sgdisk").args(arguments).arg(file.path()).output();
        String::from_utf8(output.expect("sgdisk is missing: cargo lab install brings it").stdout).unwrap()
    };
    let verdict = said(&["-v"]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let info = said(&["-i", &number.to_string()]);
    let name = info.lines().next().and_then(|line| line.split_once('(')?.1.strip_suffix(')'));
    name.unwrap_or_else(|| panic!("{info}")).to_owned()
}

#[test]
fn a_second_run_finds_the_table_as_it_is() {
    let before = gpt(32 * MIB, 512, 128);
    let addition = add(&before, 512).unwrap();
    let after = check_every_prefix("first", &before, &addition);
    assert!(matches!(add(&after, 512), Err(TableError::NoRoom { .. })), "all room is used");
    // The same disk grown again: the copy moves once more, the numbers go on.
    let mut grown = after.clone();
    grown.resize(64 * MIB as usize, 0);
    let addition = add(&grown, 512).unwrap();
    assert_eq!(addition.gap, Gap { number: 3, start: 32 * MIB, size: 31 * MIB });
    check_every_prefix("grown", &grown, &addition);
}

#[test]
fn gpt_at_its_right_place_keeps_its_header() {
    let mut before = gpt(8 * MIB, 512, 128);
    before.truncate(8 * MIB as usize);
    let wish = Disk { image: 0, least: MIB, ..disk(&before, 512) };
    // One partition of 6 MiB from 1 MiB on: no room for another aligned one before the copy.
    assert!(matches!(wish.gap(&mut Cursor::new(&before), &[]), Err(TableError::NoRoom { largest: 0, .. })));
}

#[test]
fn an_interrupted_addition_is_simply_done_again() {
    let before = gpt(32 * MIB, 512, 128);
    let first = add(&before, 512).unwrap();
    for done in 0..first.writes.len() {
        let mut cut = before.clone();
        for write in &first.writes[..done] {
            let at = write.offset as usize;
            cut[at..at + write.bytes.len()].copy_from_slice(&write.bytes);
        }
        let again = disk(&cut, 512).addition(&mut Cursor::new(&cut), &[], [0x5a; 16]).unwrap();
        assert_eq!(again.gap, first.gap, "{done}");
        check_every_prefix(&format!("after {done} writes"), &cut, &again);
    }
}

#[test]
fn sectors_of_4096_bytes() {
    let before = gpt(32 * MIB, 4096, 128);
    let addition = add(&before, 4096).unwrap();
    assert!(addition.writes.iter().all(|write| write.offset % 4096 == 0 && write.bytes.len() % 4096 == 0));
    assert!(matches!(add(&before, 512), Err(TableError::OtherSectors(512))));
    assert!(matches!(add(&gpt(32 * MIB, 512, 128), 4096), Err(TableError::OtherSectors(4096))));
}

#[test]
fn mbr_entries_and_what_has_no_room() {
    let iso = (0x80, 0x17, 0, 7 * 2048);
    let esp = (0, 0xef, 100, 2880);
    let rows = [
        ("BIOS only", vec![iso], Some(Gap { number: 2, start: 7 * MIB, size: 25 * MIB })),
        ("with ESP", vec![iso, esp], Some(Gap { number: 3, start: 7 * MIB, size: 25 * MIB })),
        (
            "isohybrid type 0",
            vec![(0x80, 0, 0, 9 * 2048 + 4)],
            Some(Gap { number: 2, start: 10 * MIB, size: 22 * MIB }),
        ),
        ("full", vec![iso, esp, (0, 0x83, 9 * 2048, 10), (0, 0x83, 10 * 2048, 10)], None),
        ("data to the end", vec![iso, (0, 7, 8 * 2048, 24 * 2048)], None),
    ];
    for (name, entries, expected) in rows {
        let before = mbr(32 * MIB, &entries);
        let found = add(&before, 512);
        match expected {
            Some(gap) => {
                let addition = found.unwrap();
                assert_eq!(addition.gap, gap, "{name}");
                let after = check_every_prefix(name, &before, &addition);
                let at = 446 + (gap.number as usize - 1) * 16;
                assert!((0..after.len()).all(|i| before[i] == after[i] || (at..at + 16).contains(&i)), "{name}");
            }
            None => assert!(matches!(found, Err(TableError::Full | TableError::NoRoom { .. })), "{name}: {found:?}"),
        }
    }
}

#[test]
fn damaged_and_foreign_tables_are_left_alone() {
    let sound = gpt(32 * MIB, 512, 128);
    let damage = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    let rows = [
        ("header", damage(512 + 56), "damaged"),
        ("signature", damage(512), "damaged"),
        ("entries", damage(1024 + 300), "damaged"),
        ("image cut short", sound[..6 * MIB as usize].to_vec(), "larger disk"),
        ("no table", vec![0; 32 << 20], "no partition table"),
        ("a boot sector", damage(446), "no partition table"),
    ];
    for (name, bytes, words) in rows {
        let error = add(&bytes, 512).unwrap_err().to_string();
        assert!(error.contains(words), "{name}: {error}");
    }
}

#[test]
fn a_hybrid_entry_behind_the_image_is_no_room() {
    let mut before = gpt(32 * MIB, 512, 128);
    before[478..494].copy_from_slice(&[0, 0, 0, 0, 0x0c, 0, 0, 0, 0, 0x50, 0, 0, 0, 0x90, 0, 0]);
    let addition = add(&before, 512).unwrap();
    assert_eq!((addition.gap.start, addition.gap.size), (28 * MIB, 3 * MIB), "entry at 10 MiB + 18 MiB");
}

#[test]
fn what_lies_where_the_copy_belongs_is_not_overwritten() {
    // An entry from 40 to 64 MiB: there is a gap before it, but the copy would have to go into its last sectors.
    let mut hybrid = gpt(64 * MIB, 512, 128);
    hybrid[478..494].copy_from_slice(&[0, 0, 0, 0, 0x0c, 0, 0, 0, 0, 0x40, 1, 0, 0, 0xc0, 0, 0]);
    let mut one_sector = hybrid.clone();
    one_sector[486..494].copy_from_slice(&[0xdf, 0xff, 1, 0, 1, 0, 0, 0]);
    let mut behind_usable = gpt(64 * MIB, 512, 4);
    used(&mut behind_usable, 1, 40 * 2048, 64 * 2048 - 1);
    for (name, before) in [("hybrid entry", hybrid), ("its first sector", one_sector), ("GPT entry", behind_usable)] {
        let found = add(&before, 512);
        assert!(matches!(found, Err(TableError::EndTaken)), "{name}: {found:?}");
    }
    let mut beside = gpt(64 * MIB, 512, 128);
    beside[478..494].copy_from_slice(&[0, 0, 0, 0, 0x0c, 0, 0, 0, 0, 0x40, 1, 0, 0xdf, 0xbf, 0, 0]);
    assert_eq!(add(&beside, 512).unwrap().gap, Gap { number: 2, start: 8 * MIB, size: 32 * MIB });
}

#[test]
fn entries_that_end_nowhere_are_no_room_and_no_panic() {
    for (first, last) in [(40, u64::MAX), (u64::MAX, u64::MAX), (u64::MAX, 0), (9 * 2048, u64::MAX / 512)] {
        let mut before = gpt(32 * MIB, 512, 4);
        used(&mut before, 1, first, last);
        for move_copy in [false, true] {
            if move_copy {
                header(&mut before, 32, 32 * MIB / 512 - 1);
            }
            // Refused or not, what it gives never meets the entry.
            if let Ok(addition) = add(&before, 512) {
                assert!(addition.gap.start / 512 > last || (addition.gap.start + addition.gap.size) / 512 <= first);
            }
        }
    }
}

/// Fills an entry of a table with 4, checksums included.
fn used(disk: &mut [u8], slot: usize, first: u64, last: u64) {
    let at = 1024 + slot * 128;
    disk[at..at + 16].fill(7);
    disk[at + 32..at + 40].copy_from_slice(&first.to_le_bytes());
    disk[at + 40..at + 48].copy_from_slice(&last.to_le_bytes());
    let crc = crate::format::crc::crc32(&disk[1024..1536]);
    header(disk, 88, u64::from(crc));
}

/// Sets a field of the header and its checksum.
fn header(disk: &mut [u8], field: usize, value: u64) {
    let length = if field == 88 { 4 } else { 8 };
    disk[512 + field..512 + field + length].copy_from_slice(&value.to_le_bytes()[..length]);
    disk[512 + 16..512 + 20].fill(0);
    let crc = crate::format::crc::crc32(&disk[512..604]);
    disk[512 + 16..512 + 20].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn a_full_gpt_has_no_entry_left() {
    let mut before = gpt(32 * MIB, 512, 4);
    (1..4).for_each(|slot| used(&mut before, slot, 1, 1));
    assert!(matches!(add(&before, 512), Err(TableError::Full)));
}

/// By its mark an image that was deployed is found again, whatever its disk is called then.
#[test]
fn the_mark_of_a_deployment_stays() {
    let entries = [(0, 0xcd, 64, 12_000)];
    for size in [32 * MIB, 32 * MIB + 600 * 1024, 32 * MIB + 512] {
        for plain in [gpt(size, 512, 128), mbr(size, &entries)] {
            let mut marked = plain.clone();
            let mark = (size - DEPLOYED_ROOM) as usize;
            marked[mark..mark + 16].copy_from_slice(DEPLOYED_MAGIC);
            let [free, kept] = [&plain, &marked].map(|bytes| add(bytes, 512).unwrap());
            assert!(kept.gap.start + kept.gap.size <= mark as u64, "{size}: {}", kept.gap);
            assert!(kept.gap.start == free.gap.start && kept.gap.size + MIB >= free.gap.size, "{size}: {}", kept.gap);
            let writes =
                |one: &Write| one.offset < mark as u64 + 4096 && mark as u64 <= one.offset + one.bytes.len() as u64;
            assert!(!kept.writes.iter().any(|one| one.offset > 0 && writes(one)), "{size}");
        }
    }
}

//! What anybody claims of a disk (attacks.md F2).

use std::io::Cursor;

use super::*;

/// PHOTOS of attacks.md F2: from 10 to 20 MiB, in the second entry.
const PHOTOS: (u64, u64) = (10 * 2048, 20 * 2048 - 1);

fn photos(entries: usize) -> Vec<u8> {
    let mut disk = gpt(32 * MIB, 512, entries);
    used(&mut disk, 1, PHOTOS.0, PHOTOS.1);
    disk
}

/// Replaces the entries of the master boot record.
fn with_record(mut disk: Vec<u8>, entries: &[(u8, u8, u32, u32)]) -> Vec<u8> {
    let record = mbr(512, entries);
    disk[..512].copy_from_slice(&record);
    disk
}

/// A copy of the table at the very end, whose second entry is PHOTOS, with this disk GUID and name.
fn with_copy(mut disk: Vec<u8>, guid: u8, name: &str) -> Vec<u8> {
    let last = disk.len() / 512 - 1;
    let mut entries = disk[1024..1536].to_vec();
    entries[128..144].fill(7);
    entries[160..168].copy_from_slice(&PHOTOS.0.to_le_bytes());
    entries[168..176].copy_from_slice(&PHOTOS.1.to_le_bytes());
    for (place, unit) in entries[184..].chunks_exact_mut(2).zip(name.encode_utf16()) {
        place.copy_from_slice(&unit.to_le_bytes());
    }
    let mut header = disk[512..1024].to_vec();
    header[56..72].fill(guid);
    for (at, value) in [(24, last as u64), (32, 1), (48, last as u64 - 2), (72, last as u64 - 1)] {
        header[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    header[88..92].copy_from_slice(&crate::format::crc::crc32(&entries).to_le_bytes());
    header[16..20].fill(0);
    let crc = crate::format::crc::crc32(&header[..92]);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    disk[(last - 1) * 512..last * 512].copy_from_slice(&entries);
    disk[last * 512..].copy_from_slice(&header);
    disk
}

/// A bit of the header in the last sector is wrong.
fn damaged(mut disk: Vec<u8>) -> Vec<u8> {
    let last = disk.len() - 512;
    disk[last + 57] ^= 1;
    disk
}

/// A disk, and what must hold the gap; `None`: nothing may be written.
type Row = (&'static str, Vec<u8>, Option<(u64, u64)>);

const ISO: (u8, u8, u32, u32) = (0x80, 0x17, 0, 7 * 2048);
const WHOLE: u32 = 32 * 2048;
const FREE: Option<(u64, u64)> = Some((7 * MIB, 32 * MIB));
const BEHIND: Option<(u64, u64)> = Some((20 * MIB, 32 * MIB));

fn plain() -> Vec<u8> {
    gpt(32 * MIB, 512, 4)
}

/// The disk with a change.
fn with(mut disk: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut disk);
    disk
}

/// The first extended boot record names a partition behind its container.
fn chain(disk: Vec<u8>) -> Vec<u8> {
    let at = 8 * MIB as usize;
    let offset = PHOTOS.0 as u32 - 8 * 2048;
    let record = mbr(512, &[(0, 0x83, offset, (PHOTOS.1 - PHOTOS.0 + 1) as u32)]);
    with(disk, |disk| disk[at..at + 512].copy_from_slice(&record))
}

fn guards() -> Vec<Row> {
    vec![
        ("guarded", photos(4), BEHIND),
        ("a guard that begins behind the header", with_record(photos(4), &[(0, 0xee, 2, 7 * 2048)]), BEHIND),
        ("a guard that begins at 0 covers all", with_record(photos(4), &[(0, 0xee, 0, WHOLE)]), None),
        (
            "a second guard covers what it says",
            with_record(plain(), &[(0, 0xee, 1, 2047), (0, 0xee, 9 * 2048, 15 * 2048)]),
            Some((24 * MIB, 32 * MIB)),
        ),
        ("no guard at all", with_record(photos(4), &[ISO]), BEHIND),
        ("no guard, a damaged header", with_record(with(photos(4), |disk| disk[512 + 56] ^= 1), &[ISO]), None),
        ("a guard without a header", with_record(vec![0; 32 << 20], &[(0, 0xee, 1, WHOLE)]), None),
        ("a GPT in sectors of 4096 bytes, an MBR now", with_record(gpt(32 * MIB, 4096, 4), &[ISO]), None),
        ("an extended partition", mbr(32 * MIB, &[ISO, (0, 5, 8 * 2048, 12 * 2048)]), BEHIND),
        ("a logical one outside of it", chain(mbr(32 * MIB, &[ISO, (0, 0x0f, 8 * 2048, 2048)])), BEHIND),
        (
            "both place it alike",
            with_record(photos(4), &[(0, 0xee, 1, 2047), (0, 0x83, PHOTOS.0 as u32, (PHOTOS.1 - PHOTOS.0 + 1) as u32)]),
            BEHIND,
        ),
        (
            "both place it differently",
            with_record(photos(4), &[(0, 0xee, 1, 2047), (0, 0x83, PHOTOS.0 as u32, 2048)]),
            None,
        ),
    ]
}

fn copies() -> Vec<Row> {
    let copy = |guid: u8, name: &str| with_copy(plain(), guid, name);
    let elsewhere = |disk: &mut Vec<u8>| used(disk, 1, PHOTOS.0, PHOTOS.0 + 2047);
    vec![
        ("the copy of this table", copy(3, "PHOTOS"), BEHIND),
        ("the copy of this table, without a guard", with_record(copy(3, "PHOTOS"), &[ISO]), BEHIND),
        ("the copy of an earlier life", copy(4, "PHOTOS"), FREE),
        ("the copy of an earlier life, an MBR now", with_copy(mbr(32 * MIB, &[ISO]), 4, "PHOTOS"), FREE),
        ("our own addition that was cut short", copy(3, PARTITION_NAME), FREE),
        ("the copy places it differently", with(copy(3, "PHOTOS"), elsewhere), None),
        (
            "the copy describes the image of an earlier life, which had the same GUID",
            with(copy(3, PARTITION_NAME), |disk| used(disk, 0, 2048, 6 * 2048 - 1)),
            FREE,
        ),
        (
            "a damaged copy, where the header says that it is",
            damaged(with(copy(3, "PHOTOS"), |disk| header(disk, 32, 32 * 2048 - 1))),
            None,
        ),
        ("a damaged copy of any earlier life", damaged(copy(3, "PHOTOS")), FREE),
    ]
}

/// attacks.md F2: a byte is free only if everyone says so.
#[test]
fn f2_what_anybody_claims_is_not_free() {
    for (name, bytes, expected) in guards().into_iter().chain(copies()) {
        let found = disk(&bytes, 512).gap(&mut Cursor::new(&bytes), &[]);
        match (&found, expected) {
            (Ok(gap), Some((start, end))) => {
                assert!(gap.start >= start && gap.start + gap.size <= end, "{name}: {gap:?}");
                // Most of the room is used, all but the ends.
                assert!(gap.size + 2 * MIB >= end - start, "{name}: {gap:?}");
            }
            (Err(_), None) => {}
            _ => panic!("{name}: {found:?}"),
        }
    }
}

/// The kernel goes by the MBR and gets the new partition; the copy of the GPT that others read is nobody's room.
#[test]
fn f2_the_copy_of_a_gpt_without_a_guard_stays() {
    let mut bytes = gpt(32 * MIB, 512, 4);
    let last = 32 * 2048 - 1;
    header(&mut bytes, 32, last);
    let bytes = with_record(with_copy(bytes, 3, "PHOTOS"), &[(0x80, 0x17, 0, 7 * 2048)]);
    let gap = disk(&bytes, 512).gap(&mut Cursor::new(&bytes), &[]).unwrap();
    assert_eq!((gap.start, gap.start + gap.size), (20 * MIB, 31 * MIB), "{gap:?}");
}

#[test]
fn f2_what_the_kernel_shows_is_not_free() {
    let bytes = gpt(32 * MIB, 512, 4);
    let gap = |shown: &[Shown]| disk(&bytes, 512).gap(&mut Cursor::new(&bytes), shown).unwrap();
    let free = gap(&[]);
    assert_eq!((free.number, free.start), (2, 8 * MIB));
    let photos = Shown { number: 3, start: 10 * MIB, size: 10 * MIB };
    assert_eq!(gap(&[photos]), Gap { number: 4, start: 20 * MIB, size: 11 * MIB });
    assert!(Shown { number: 2, start: free.start, size: free.size }.is(free));
    let record = mbr(32 * MIB, &[(0x80, 0x17, 0, 7 * 2048)]);
    let shown = disk(&record, 512).gap(&mut Cursor::new(&record), &[photos]).unwrap();
    assert_eq!(shown, Gap { number: 4, start: 20 * MIB, size: 12 * MIB });
}

/// sfdisk takes the copy for the table then, the kernel the MBR (found by generated disks).
#[test]
fn f2_a_guard_elsewhere_and_only_a_copy_of_a_gpt_are_refused() {
    let whole = gpt(8 * MIB, 512, 128);
    let record = mbr(512, &[(0x80, 0x83, 64, 2048), (0, 0xee, 14 * 1024, 1024)]);
    let mut plain = vec![0; (8 * MIB) as usize];
    plain[..512].copy_from_slice(&record);
    let mut copy = plain.clone();
    let end = copy.len() - 33 * 512;
    copy[end..].copy_from_slice(&whole[end..]);
    // Room behind the image: between 4 and 7 MiB.
    let found = |bytes: &[u8]| Disk { image: 4 * MIB, ..disk(bytes, 512) }.gap(&mut Cursor::new(bytes), &[]);
    assert!(found(&plain).is_ok(), "without a copy the MBR alone counts: {:?}", found(&plain));
    assert!(matches!(found(&copy), Err(TableError::Damaged(_))), "{:?}", found(&copy));
}

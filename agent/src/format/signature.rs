//! What others keep on disks, known by a signature alone, so that nobody takes it for nothing (attacks.md F7). Names and places
//! are those of libblkid; nothing here is ever mounted.

use std::io::{Read, Seek};

use super::bytes::Fields;
use super::source::Source;
use super::{Error, Kind, Superblock};

/// A signature at the start: what it is, at which byte, and the bytes.
type Row = (Kind, usize, &'static [u8]);

/// Signatures in the head of an input. The weak ones, of two bytes, come last and have a second condition below.
const START: [Row; 49] = [
    (Kind::Bitlocker, 3, b"-FVE-FS-"),
    (Kind::Bitlocker, 424, b"\x3b\xd6\x76\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01"),
    (Kind::Refs, 0, b"\0\0\0ReFS\0"),
    (Kind::Apfs, 32, b"NXSB"),
    (Kind::CephBluestore, 0, b"bluestore block device"),
    (Kind::Lvm1, 0, b"HM\x01\0"),
    (Kind::Lvm1, 0, b"HM\x02\0"),
    (Kind::Vdo, 0, b"dmvdo001"),
    (Kind::Integrity, 0, b"integrt\0"),
    (Kind::Verity, 0, b"verity\0\0"),
    (Kind::Stratis, 516, b"!Stra0tis"),
    (Kind::Stratis, 4612, b"!Stra0tis"),
    (Kind::OracleAsm, 32, b"ORCLDISK"),
    (Kind::Bcachefs, 4120, b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"),
    (Kind::Bcache, 4120, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
    (Kind::F2fs, 1024, b"\x10\x20\xf5\xf2"),
    (Kind::Jfs, 32_768, b"JFS1"),
    (Kind::Reiserfs, 65_588, b"ReIsErFs"),
    (Kind::Reiserfs, 65_588, b"ReIsEr2Fs"),
    (Kind::Reiserfs, 65_588, b"ReIsEr3Fs"),
    (Kind::Reiserfs, 65_536, b"ReIsEr4"),
    (Kind::Reiserfs, 8244, b"ReIsErFs"),
    (Kind::Ocfs2, 1024, b"OCFSV2"),
    (Kind::Ocfs2, 2048, b"OCFSV2"),
    (Kind::Ocfs2, 4096, b"OCFSV2"),
    (Kind::Ocfs2, 8192, b"OCFSV2"),
    (Kind::Gfs2, 65_536, b"\x01\x16\x19\x70\0\0\0\x01"),
    (Kind::Ufs, 9564, b"\x54\x19\x01\0"),
    (Kind::Ufs, 9564, b"\0\x01\x19\x54"),
    (Kind::Ufs, 9564, b"\x19\x01\x54\x19"),
    (Kind::Ufs, 66_908, b"\x19\x01\x54\x19"),
    (Kind::Ufs, 66_908, b"\x19\x54\x01\x19"),
    (Kind::Ufs, 66_908, b"\x54\x19\x01\0"),
    (Kind::Vxfs, 1024, b"\xf5\xfc\x01\xa5"),
    (Kind::Befs, 544, b"1SFB"),
    (Kind::Hpfs, 8192, b"\x49\xe8\x95\xf9"),
    (Kind::Romfs, 0, b"-rom1fs-"),
    (Kind::Cramfs, 0, b"\x45\x3d\xcd\x28"),
    (Kind::Cramfs, 0, b"\x28\xcd\x3d\x45"),
    (Kind::Ubi, 0, b"UBI#"),
    (Kind::Ubi, 0, b"\x31\x18\x10\x06"),
    (Kind::Zonefs, 0, b"SFOZ"),
    (Kind::Nilfs2, 1030, b"\x34\x34"),
    (Kind::Hfsplus, 1024, b"H+"),
    (Kind::Hfsplus, 1024, b"HX"),
    (Kind::Hfs, 1024, b"BD"),
    (Kind::Minix, 1040, b"\x7f\x13"),
    (Kind::Minix, 1040, b"\x8f\x13"),
    (Kind::Minix, 1040, b"\x68\x24"),
];
/// The other words of minix, at their places.
const MINIX: [(usize, &[u8]); 2] = [(1040, b"\x78\x24"), (1048, b"\x5a\x4d")];

/// Both places of a volume of VMFS, and its words.
const VMFS: [(u64, &[u8]); 2] = [(1 << 20, b"\x0d\xd0\x01\xc0"), (2 << 20, b"\x5e\xf1\xab\x2f")];

/// Bytes of a label of ZFS; there are two at the start and two at the end. Its list of names and values begins here.
const ZFS_LABEL: u64 = 256 << 10;
const ZFS_LIST: u64 = 16 << 10;
const ZFS_LIST_BYTES: usize = 64;

/// Bytes at the end that hold the records of most RAIDs of mainboards.
const TAIL: u64 = 64 << 10;
/// Sectors before the end where Promise's RAIDs keep their record.
const PROMISE: [u64; 13] = [63, 255, 256, 16, 399, 591, 675, 735, 911, 974, 991, 951, 3087];

/// What the head says.
pub(super) fn parse(head: &[u8]) -> Option<Superblock> {
    let rows = START.iter().find(|(kind, at, bytes)| head.has(*at, bytes) && is_meant(*kind, head)).map(|row| row.0);
    let minix = || MINIX.iter().any(|(at, bytes)| head.has(*at, bytes) && is_meant(Kind::Minix, head));
    let zfs = || head.span(as_index(ZFS_LIST)?, ZFS_LIST_BYTES).filter(|list| is_zfs(list)).map(|_| Kind::Zfs);
    rows.or_else(zfs).or_else(|| minix().then_some(Kind::Minix)).map(Superblock::new)
}

/// What has the form of a FAT as well, on purpose.
pub(super) fn before_fat(head: &[u8]) -> Option<Superblock> {
    parse(head).filter(|found| found.kind == Kind::Bitlocker)
}

/// Two bytes alone say little.
fn is_meant(kind: Kind, head: &[u8]) -> bool {
    match kind {
        // Its revision, and that its superblock fits.
        Kind::Nilfs2 => head.le32(1024) == Some(2) && head.le16(1032).is_some_and(|bytes| (1..=1024).contains(&bytes)),
        // Of versions 4 and 5 for H+ and HX; a block of allocation is a multiple of 512 bytes.
        Kind::Hfsplus => head.be16(1026).is_some_and(|version| version == 4 || version == 5),
        Kind::Hfs => head.be32(1044).is_some_and(|bytes| bytes > 0 && bytes % 512 == 0),
        // Inodes, and zones that are blocks.
        Kind::Minix => {
            head.le16(1024).is_some_and(|inodes| inodes > 0) || head.le32(1024).is_some_and(|inodes| inodes > 0)
        }
        _ => true,
    }
}

fn as_index(offset: u64) -> Option<usize> {
    usize::try_from(offset).ok()
}

/// An XDR list of version 0 with unique names, whose first name is `version`.
fn is_zfs(list: &[u8]) -> bool {
    list.has(0, b"\x01") && list.has(2, b"\0\0\0\0\0\0\0\0\0\x01") && list.windows(7).any(|word| word == b"version")
}

/// What lies near the end, as far as a few small reads tell.
pub(super) fn at_end<R: Read + Seek>(source: &mut Source<R>) -> Result<Option<Superblock>, Error> {
    let size = source.size()?;
    let start = size.saturating_sub(TAIL) & !511;
    let tail = source.read("the end", start, as_index(size - start).unwrap_or(0))?;
    let sectors = size / 512;
    let before = |count: u64| as_index(sectors.checked_sub(count)?.checked_mul(512)?.checked_sub(start)?);
    let has = |count: u64, at: usize, bytes: &[u8]| before(count).is_some_and(|sector| tail.has(sector + at, bytes));
    let raid = has(2, 0, b"Intel Raid ISM Cfg Sig. ")
        || has(1, 0, b"\xde\x11\xde\x11")
        || has(2, 0, b"NVIDIA")
        || has(1, 0, b"$XIDE$")
        || has(1, 0, b"\x37\xfc\x4d\x1e")
        || has(1, 96, b"\0\0\0\x2f")
        || has(11, 0, b"\xf3\x16\x78\x5a")
        || has(11, 0, b"\xfd\x16\x78\x5a");
    if raid {
        return Ok(Some(Superblock::new(Kind::FirmwareRaid)));
    }
    // DRBD keeps its own in the last whole block of 4096 bytes.
    let block = (size & !4095).checked_sub(4096).and_then(|at| as_index(at.checked_sub(start)?));
    if block.is_some_and(|at| tail.be32(at + 60).is_some_and(|magic| (0x8374_026b..=0x8374_026d).contains(&magic))) {
        return Ok(Some(Superblock::new(Kind::Drbd)));
    }
    for back in [2, 1] {
        let label = (size & !(ZFS_LABEL - 1)).checked_sub(back * ZFS_LABEL);
        let Some(label) = label else { continue };
        let list = source.read("a label of ZFS", label + ZFS_LIST, ZFS_LIST_BYTES)?;
        if is_zfs(&list) {
            return Ok(Some(Superblock::new(Kind::Zfs)));
        }
    }
    Ok(None)
}

/// What lies at places that only a proof of emptiness is worth reading.
pub(super) fn elsewhere<R: Read + Seek>(source: &mut Source<R>) -> Result<Option<Superblock>, Error> {
    let size = source.size()?;
    for (at, bytes) in VMFS {
        if at < size && source.read("a volume of VMFS", at, bytes.len())? == bytes {
            return Ok(Some(Superblock::new(Kind::Vmfs)));
        }
    }
    for sectors in PROMISE {
        let at = (size / 512).checked_sub(sectors).map(|sector| sector * 512);
        if let Some(at) = at
            && source.read("a record of a RAID", at, 24)? == b"Promise Technology, Inc."
        {
            return Ok(Some(Superblock::new(Kind::FirmwareRaid)));
        }
    }
    if size > ZFS_LABEL {
        let list = source.read("a label of ZFS", ZFS_LABEL + ZFS_LIST, ZFS_LIST_BYTES)?;
        if is_zfs(&list) {
            return Ok(Some(Superblock::new(Kind::Zfs)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::format::{identify, identify_all};

    const SIZE: u64 = 64 << 20;

    fn image(places: &[(u64, &[u8])]) -> Cursor<Vec<u8>> {
        let mut image = vec![0; SIZE as usize];
        for (at, bytes) in places {
            image[*at as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        Cursor::new(image)
    }

    #[test]
    fn each_signature_is_known_alone_and_at_its_place() {
        let second: [(Kind, u64, &[u8]); 4] = [
            (Kind::Nilfs2, 1024, b"\x02\0\0\0\0\0\x34\x34\x18\x01"),
            (Kind::Hfsplus, 1026, b"\0\x04"),
            (Kind::Hfs, 1044, b"\0\0\x02\0"),
            (Kind::Minix, 1024, b"\x20\0"),
        ];
        for (kind, at, bytes) in START.into_iter().chain(MINIX.map(|(at, bytes)| (Kind::Minix, at, bytes))) {
            let mut places = vec![(at as u64, bytes)];
            places.extend(second.iter().filter(|(of, ..)| *of == kind).map(|(_, at, bytes)| (*at, *bytes)));
            let found = identify(&mut image(&places)).unwrap().map(|found| found.kind);
            assert_eq!(found, Some(kind), "{kind} at {at}");
            assert_eq!(identify_all(&mut image(&places)).unwrap()[0].kind, kind, "{kind} at {at}");
            let elsewhere = identify(&mut image(&[(at as u64 + 16, bytes)])).unwrap().map(|found| found.kind);
            assert_ne!(elsewhere, Some(kind), "{kind} at {at} and 16");
        }
    }

    #[test]
    fn records_at_the_end_are_known() {
        let list = b"\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\0\0\x24\0\0\0\x20\0\0\0\x07version\0";
        let drbd = b"\x83\x74\x02\x6d";
        for (kind, at, bytes) in [
            (Kind::FirmwareRaid, SIZE - 1024, &b"Intel Raid ISM Cfg Sig. 1.3"[..]),
            (Kind::FirmwareRaid, SIZE - 512, b"\xde\x11\xde\x11"),
            (Kind::FirmwareRaid, SIZE - 1024, b"NVIDIA  "),
            (Kind::FirmwareRaid, SIZE - 512, b"$XIDE$"),
            (Kind::FirmwareRaid, SIZE - 3087 * 512, b"Promise Technology, Inc."),
            (Kind::Drbd, SIZE - 4096 + 60, drbd),
            (Kind::Zfs, (16 << 10), list),
            (Kind::Zfs, (256 << 10) + (16 << 10), list),
            (Kind::Zfs, SIZE - (512 << 10) + (16 << 10), list),
            (Kind::Zfs, SIZE - (256 << 10) + (16 << 10), list),
            (Kind::Vmfs, 1 << 20, b"\x0d\xd0\x01\xc0"),
            (Kind::Vmfs, 2 << 20, b"\x5e\xf1\xab\x2f"),
        ] {
            let found = identify_all(&mut image(&[(at, bytes)])).unwrap();
            assert_eq!(found.first().map(|found| found.kind), Some(kind), "{kind} at {at}");
        }
        for size in [0, 1, 511, 512, 4096, 65_535, 65_537, 300_000] {
            assert_eq!(identify_all(&mut Cursor::new(vec![0; size])).unwrap(), [], "{size}");
        }
    }
}

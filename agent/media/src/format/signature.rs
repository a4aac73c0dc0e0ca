//! What others keep on disks, known by a signature alone, so that nobody takes it for nothing (attacks.md F7). Names and places
//! are those of libblkid; nothing here is ever mounted.

use std::io::{Read, Seek};

use super::bytes::Fields;
use super::source::Source;
use super::{Error, Kind, Superblock};

/// The longest signature that is compared; what is longer is cut.
const LONGEST: usize = 18;

/// A signature: what it is, at which byte, and the bytes. These lie in the row, where they need no address of their own.
struct Row {
    at: u32,
    kind: Kind,
    length: u8,
    bytes: [u8; LONGEST],
}

impl Row {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Whether it stands in the head of an input.
    fn is_in(&self, head: &[u8]) -> bool {
        usize::try_from(self.at).is_ok_and(|at| head.has(at, self.bytes()))
    }
}

const fn row(kind: Kind, at: u32, bytes: &[u8]) -> Row {
    let length = if bytes.len() < LONGEST { bytes.len() } else { LONGEST };
    let mut row = Row { at, kind, length: length as u8, bytes: [0; LONGEST] };
    row.bytes.split_at_mut(length).0.copy_from_slice(bytes.split_at(length).0);
    row
}

/// Signatures in the head of an input. The weak ones, of two bytes, come last and have a second condition below.
///
/// Where they come from: `include/uapi/linux/magic.h` and the headers below `fs/` and `drivers/` of Linux for what it
/// knows (BFS, cramfs, HPFS, minix, romfs, System V, UBI, UFS, VxFS, XFS, zonefs, the targets of device-mapper), the
/// DDF of SNIA, the documents of libbde, libfvde, libvmfs and ZFS, and for the rest the manual pages and answers of libblkid.
/// All of them are compared with libblkid, and most with the program that makes them (`tests/format_tools/judged.rs`).
static START: [Row; 71] = [
    row(Kind::Bitlocker, 3, b"-FVE-FS-"),
    row(Kind::Bitlocker, 424, b"\x3b\xd6\x76\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01"),
    row(Kind::Refs, 0, b"\0\0\0ReFS\0"),
    row(Kind::Apfs, 32, b"NXSB"),
    row(Kind::CephBluestore, 0, b"bluestore block device"),
    row(Kind::Lvm1, 0, b"HM\x01\0"),
    row(Kind::Lvm1, 0, b"HM\x02\0"),
    row(Kind::Vdo, 0, b"dmvdo001"),
    row(Kind::Integrity, 0, b"integrt\0"),
    row(Kind::Verity, 0, b"verity\0\0"),
    row(Kind::Stratis, 516, b"!Stra0tis\x86\xff\x02^\x41rh"),
    row(Kind::Stratis, 4612, b"!Stra0tis\x86\xff\x02^\x41rh"),
    row(Kind::OracleAsm, 32, b"ORCLDISK"),
    row(Kind::Bcachefs, 4120, b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"),
    row(Kind::Bcache, 4120, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
    row(Kind::F2fs, 1024, b"\x10\x20\xf5\xf2"),
    row(Kind::F2fs, 5120, b"\x10\x20\xf5\xf2"),
    row(Kind::Jfs, 32_768, b"JFS1"),
    row(Kind::Reiserfs, 65_588, b"ReIsErFs"),
    row(Kind::Reiserfs, 65_588, b"ReIsEr2Fs"),
    row(Kind::Reiserfs, 65_588, b"ReIsEr3Fs"),
    row(Kind::Reiserfs, 65_536, b"ReIsEr4"),
    row(Kind::Reiserfs, 8244, b"ReIsErFs"),
    row(Kind::Reiserfs, 8212, b"ReIsErFs"),
    row(Kind::Ocfs2, 1024, b"OCFSV2"),
    row(Kind::Ocfs2, 2048, b"OCFSV2"),
    row(Kind::Ocfs2, 4096, b"OCFSV2"),
    row(Kind::Ocfs2, 8192, b"OCFSV2"),
    row(Kind::Ocfs2, 8192, b"OracleCFS"),
    row(Kind::Gfs2, 65_536, b"\x01\x16\x19\x70\0\0\0\x01"),
    row(Kind::Vxfs, 1024, b"\xf5\xfc\x01\xa5"),
    row(Kind::Vxfs, 8192, b"\xa5\x01\xfc\xf5"),
    row(Kind::Befs, 32, b"1SFB"),
    row(Kind::Befs, 32, b"BFS1"),
    row(Kind::Befs, 544, b"1SFB"),
    row(Kind::Befs, 544, b"BFS1"),
    row(Kind::Hpfs, 8192, b"\x49\xe8\x95\xf9"),
    row(Kind::Romfs, 0, b"-rom1fs-"),
    row(Kind::Cramfs, 0, b"\x45\x3d\xcd\x28"),
    row(Kind::Cramfs, 0, b"\x28\xcd\x3d\x45"),
    // Behind a boot sector, where Linux looks as well.
    row(Kind::Cramfs, 512, b"\x45\x3d\xcd\x28"),
    row(Kind::Cramfs, 512, b"\x28\xcd\x3d\x45"),
    row(Kind::Ubi, 0, b"UBI#"),
    row(Kind::Ubi, 0, b"\x31\x18\x10\x06"),
    row(Kind::Zonefs, 0, b"SFOZ"),
    row(Kind::Bfs, 0, b"\xce\xfa\xad\x1b"),
    row(Kind::Xenix, 2040, b"\x44\x55\x2b\0"),
    row(Kind::Xenix, 2040, b"\0\x2b\x55\x44"),
    row(Kind::Nss, 4096, b"SPB5"),
    row(Kind::Mpool, 0, b"mpoolDev"),
    row(Kind::Exfs, 0, b"EXFS"),
    row(Kind::Fvault, 88, b"CS\x01\0\0\0"),
    row(Kind::Drbd, 0, b"DRBDdlh*"),
    row(Kind::Drbd, 0, b"$DRBDmgr=q"),
    // HighPoint's 37x: a head of 32 bytes in sector 9.
    row(Kind::FirmwareRaid, 4640, b"\xf0\x16\x78\x5a"),
    row(Kind::FirmwareRaid, 4640, b"\xfd\x16\x78\x5a"),
    row(Kind::Squashfs3, 0, b"hsqs"),
    row(Kind::Squashfs3, 0, b"sqsh"),
    row(Kind::Nilfs2, 1030, b"\x34\x34"),
    row(Kind::Hfsplus, 1024, b"H+"),
    row(Kind::Hfsplus, 1024, b"HX"),
    row(Kind::Hfs, 1024, b"BD"),
    row(Kind::Minix, 1040, b"\x7f\x13"),
    row(Kind::Minix, 1040, b"\x8f\x13"),
    row(Kind::Minix, 1040, b"\x68\x24"),
    row(Kind::Minix, 1040, b"\x78\x24"),
    row(Kind::Minix, 1048, b"\x5a\x4d"),
    // The same of a big-endian machine, of which libblkid knows the first two versions.
    row(Kind::Minix, 1040, b"\x13\x7f"),
    row(Kind::Minix, 1040, b"\x13\x8f"),
    row(Kind::Minix, 1040, b"\x24\x68"),
    row(Kind::Minix, 1040, b"\x24\x78"),
];

/// Signatures near the end; their place is counted back from the end of the last whole sector.
static END: [Row; 13] = [
    row(Kind::FirmwareRaid, 1024, b"Intel Raid ISM Cfg Sig. "),
    // The same on sectors of 4096 bytes.
    row(Kind::FirmwareRaid, 8192, b"Intel Raid ISM Cfg Sig. "),
    // DDF, and its copy.
    row(Kind::FirmwareRaid, 512, b"\xde\x11\xde\x11"),
    row(Kind::FirmwareRaid, 512, b"\x11\xde\x11\xde"),
    row(Kind::FirmwareRaid, 257 * 512, b"\xde\x11\xde\x11"),
    row(Kind::FirmwareRaid, 257 * 512, b"\x11\xde\x11\xde"),
    row(Kind::FirmwareRaid, 1024, b"NVIDIA"),
    // LSI.
    row(Kind::FirmwareRaid, 512, b"$XIDE$"),
    // Adaptec.
    row(Kind::FirmwareRaid, 512, b"\x37\xfc\x4d\x1e"),
    // Silicon Image.
    row(Kind::FirmwareRaid, 512 - 96, b"\0\0\0\x2f"),
    // HighPoint's 45x.
    row(Kind::FirmwareRaid, 11 * 512, b"\xf3\x16\x78\x5a"),
    row(Kind::FirmwareRaid, 11 * 512, b"\xfd\x16\x78\x5a"),
    // JMicron.
    row(Kind::FirmwareRaid, 512, b"JM"),
];

/// The words of UFS in either order of bytes, and where they lie in the head: behind 0, 8 and 64 KiB. The fourth place is far.
const UFS: [u32; 6] = [0x0001_1954, 0x1954_0119, 0x0019_5612, 0x0009_5014, 0x0061_2195, 0x0523_1994];
const UFS_PLACES: [usize; 3] = [1372, (8 << 10) + 1372, (64 << 10) + 1372];
const UFS_FAR: u64 = (256 << 10) + 1372;

/// The word of System V in either order of bytes, and where it may lie.
const SYSV: [u32; 1] = [0xfd18_7e20];
const SYSV_PLACES: [usize; 4] = [1016, 10_232, 16_376, 19_448];

/// The first word of a record in a log of XFS. What a log on a device of its own begins with may be any part of it.
const XFS_LOG: u32 = 0xfeed_babe;

/// The words of DRBD 8, 8 that was not shut down, and 9, in the last whole block of 4096 bytes.
const DRBD: std::ops::RangeInclusive<u32> = 0x8374_026b..=0x8374_026d;
const DRBD_PLACE: usize = 60;

/// Both places of a volume of VMFS, and its words.
const VMFS: [(u64, &[u8]); 2] = [(1 << 20, b"\x0d\xd0\x01\xc0"), (2 << 20, b"\x5e\xf1\xab\x2f")];

/// Bytes of a label of ZFS; there are two at the start and two at the end. Its list of names and values begins here.
const ZFS_LABEL: u64 = 256 << 10;
const ZFS_LIST: u64 = 16 << 10;
const ZFS_LIST_BYTES: usize = 64;

/// Bytes at the end that hold the records of most RAIDs of mainboards: up to the copy of a DDF.
const TAIL: u64 = 257 * 512;
/// Sectors before the end where Promise's RAIDs keep their record.
const PROMISE_WORD: &[u8] = b"Promise Technology, Inc.";
const PROMISE: [u64; 13] = [63, 255, 256, 16, 399, 591, 675, 735, 911, 974, 991, 951, 3087];

/// What the head says.
pub(super) fn parse(head: &[u8]) -> Option<Superblock> {
    let rows = || START.iter().find(|row| row.is_in(head) && is_meant(row.kind, head)).map(|row| row.kind);
    let zfs = || head.span(as_index(ZFS_LIST)?, ZFS_LIST_BYTES).filter(|list| is_zfs(list)).map(|_| Kind::Zfs);
    let ufs = || UFS_PLACES.iter().any(|at| is_word(head, *at, &UFS)).then_some(Kind::Ufs);
    let sysv = || SYSV_PLACES.iter().any(|at| is_word(head, *at, &SYSV)).then_some(Kind::Sysv);
    let log = || is_xfs_log(head).then_some(Kind::XfsLog);
    rows().or_else(zfs).or_else(ufs).or_else(sysv).or_else(log).map(Superblock::new)
}

/// One of these words, in either order of bytes.
fn is_word(data: &[u8], at: usize, words: &[u32]) -> bool {
    data.le32(at).is_some_and(|found| words.iter().any(|word| found == *word || found.swap_bytes() == *word))
}

/// Records of an XFS that is not here: of version 1 or 2, and not empty.
fn is_xfs_log(head: &[u8]) -> bool {
    let is_record = |sector: &[u8]| {
        sector.be32(0) == Some(XFS_LOG)
            && matches!(sector.be32(8), Some(1 | 2))
            && sector.be32(12).is_some_and(|n| n > 0)
    };
    !head.has(0, b"XFSB") && head.chunks(512).any(is_record)
}

/// What has the form of a FAT as well, on purpose.
pub(super) fn before_fat(head: &[u8]) -> Option<Superblock> {
    parse(head).filter(|found| found.kind == Kind::Bitlocker)
}

/// Two bytes alone say little.
fn is_meant(kind: Kind, head: &[u8]) -> bool {
    match kind {
        Kind::Nilfs2 => head.get(1024..).is_some_and(is_nilfs),
        // Older than 4, in the order of bytes of the machine that made it.
        Kind::Squashfs3 => matches!((head.le16(28), head.be16(28)), (Some(1..=3), _) | (_, Some(1..=3))),
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

/// Its revision, its word, and that the superblock fits.
fn is_nilfs(sb: &[u8]) -> bool {
    sb.le32(0) == Some(2) && sb.has(6, b"\x34\x34") && sb.le16(8).is_some_and(|bytes| (1..=1024).contains(&bytes))
}

/// VIA's record: a word that ends any boot sector as well, a version, and the sum of 50 bytes.
fn is_via(sector: &[u8]) -> bool {
    let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    sector.has(0, b"\x55\xaa") && sector.u8(2).is_some_and(|v| v <= 2) && sector.span(0, 50).map(sum) == sector.u8(50)
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
    let end = size & !511;
    let place = |back: u64| as_index(end.checked_sub(back)?.checked_sub(start)?);
    let is_at = |row: &&Row| place(row.at.into()).is_some_and(|at| tail.has(at, row.bytes()));
    if let Some(row) = END.iter().find(is_at) {
        return Ok(Some(Superblock::new(row.kind)));
    }
    if place(512).and_then(|at| tail.get(at..)).is_some_and(is_via) {
        return Ok(Some(Superblock::new(Kind::FirmwareRaid)));
    }
    // DRBD keeps its own in the last whole block of 4096 bytes, and NILFS2 its copy.
    let block = (size & !4095).checked_sub(4096).and_then(|at| as_index(at.checked_sub(start)?));
    if let Some(block) = block.and_then(|at| tail.get(at..)) {
        if block.be32(DRBD_PLACE).is_some_and(|word| DRBD.contains(&word)) {
            return Ok(Some(Superblock::new(Kind::Drbd)));
        }
        if is_nilfs(block) {
            return Ok(Some(Superblock::new(Kind::Nilfs2)));
        }
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
            && source.read("a record of a RAID", at, PROMISE_WORD.len())? == PROMISE_WORD
        {
            return Ok(Some(Superblock::new(Kind::FirmwareRaid)));
        }
    }
    if is_word(&source.read("a superblock of UFS", UFS_FAR, 4)?, 0, &UFS) {
        return Ok(Some(Superblock::new(Kind::Ufs)));
    }
    if size > ZFS_LABEL {
        let list = source.read("a label of ZFS", ZFS_LABEL + ZFS_LIST, ZFS_LIST_BYTES)?;
        if is_zfs(&list) {
            return Ok(Some(Superblock::new(Kind::Zfs)));
        }
    }
    Ok(None)
}

/// A signature as it would lie on a device: for tests, which go through all of them.
#[derive(Clone, Debug)]
pub struct Signature {
    /// What it says.
    pub kind: Kind,
    /// What has to be written for that, and where. The first is the signature, what follows are its second conditions.
    pub writes: Vec<(u64, Vec<u8>)>,
}

/// Every signature of this file, at every place, on a device of `size` bytes.
#[must_use]
pub fn signatures(size: u64) -> Vec<Signature> {
    let mut all = Vec::new();
    let mut add = |kind, at: u64, bytes: &[u8]| all.push(Signature { kind, writes: vec![(at, bytes.to_vec())] });
    START.iter().for_each(|row| add(row.kind, row.at.into(), row.bytes()));
    END.iter().for_each(|row| add(row.kind, (size & !511) - u64::from(row.at), row.bytes()));
    let far = UFS_PLACES.iter().map(|at| *at as u64).chain([UFS_FAR]);
    let ufs = far.flat_map(|at| UFS.map(|word| (Kind::Ufs, at, word)));
    for (kind, at, word) in ufs.chain(SYSV_PLACES.map(|at| (Kind::Sysv, at as u64, SYSV[0]))) {
        add(kind, at, &word.to_le_bytes());
        add(kind, at, &word.to_be_bytes());
    }
    let block = (size & !4095) - 4096;
    DRBD.for_each(|word| add(Kind::Drbd, block + DRBD_PLACE as u64, &word.to_be_bytes()));
    add(Kind::Nilfs2, block + 6, b"\x34\x34");
    PROMISE.iter().for_each(|back| add(Kind::FirmwareRaid, (size / 512 - back) * 512, PROMISE_WORD));
    VMFS.iter().for_each(|(at, word)| add(Kind::Vmfs, *at, word));
    let last = size & !(ZFS_LABEL - 1);
    for label in [0, ZFS_LABEL, last - 2 * ZFS_LABEL, last - ZFS_LABEL] {
        add(Kind::Zfs, label + ZFS_LIST, b"\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\0\0\x24\0\0\0\x20\0\0\0\x07version\0");
    }
    // A version 2, whose sum is that of its first three bytes.
    add(Kind::FirmwareRaid, (size & !511) - 512, b"\x55\xaa\x02");
    add(Kind::XfsLog, 0, &XFS_LOG.to_be_bytes());
    add(Kind::XfsLog, 512, &XFS_LOG.to_be_bytes());
    all.iter_mut().for_each(Signature::complete);
    all
}

impl Signature {
    /// Adds the second conditions.
    fn complete(&mut self) {
        let Some((at, bytes)) = self.writes.first().cloned() else { return };
        let more: &[(u64, &[u8])] = match self.kind {
            Kind::Nilfs2 => &[(at - 6, b"\x02\0"), (at + 2, b"\x18\x01")],
            Kind::Hfsplus if bytes == b"HX" => &[(1026, b"\0\x05")],
            Kind::Hfsplus => &[(1026, b"\0\x04")],
            Kind::Hfs => &[(1044, b"\0\0\x02\0")],
            Kind::Minix => &[(1024, b"\x20\0")],
            Kind::Squashfs3 if bytes == b"sqsh" => &[(28, b"\0\x03")],
            Kind::Squashfs3 => &[(28, b"\x03\0")],
            Kind::XfsLog => &[(at + 8, b"\0\0\0\x02\0\0\x02\0")],
            Kind::FirmwareRaid if bytes == b"\x55\xaa\x02" => &[(at + 50, b"\x01")],
            _ => &[],
        };
        self.writes.extend(more.iter().map(|(at, bytes)| (*at, bytes.to_vec())));
    }
}

#[cfg(test)]
mod tests;

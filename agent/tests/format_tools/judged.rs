//! Every signature that we know has a judge: the program that makes it, or libblkid, or a reason why there is none.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use rdlive::format::{Kind, Signature, signatures};

use crate::made;
use crate::tools::{blank, blkid, types};

const MIB: u64 = 64;
const END: u64 = MIB << 20;

const ZFS_LIST: &[u8] = include_bytes!("zfs-list");

/// Signatures without a judge: kind, place, first byte, and why. Those of newer versions are judged where blkid is new enough.
const NOT_JUDGED: [(Kind, u64, u8, &str); 7] = [
    (Kind::Bcachefs, 4120, 0xc6, "newer: libblkid has it since 2.39, and Debian 12 has no bcachefs-tools"),
    (Kind::Fvault, 88, b'C', "newer: libblkid has it since 2.39, and only macOS makes it"),
    (Kind::Cramfs, 512, 0x45, "libblkid does not look behind a boot sector, where Linux does (fs/cramfs/inode.c)"),
    (Kind::Cramfs, 512, 0x28, "libblkid does not look behind a boot sector, where Linux does (fs/cramfs/inode.c)"),
    (Kind::Xenix, 2040, 0x44, "libblkid looks 8 bytes behind the word of Linux (include/linux/sysv_fs.h)"),
    (Kind::Xenix, 2040, 0, "libblkid looks 8 bytes behind the word of Linux (include/linux/sysv_fs.h)"),
    (Kind::FirmwareRaid, END - 8192, b'I', "libblkid takes every sector to have 512 bytes, mdadm asks the disk"),
];

fn crc(polynomial: u32, seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { polynomial } else { 0 })
    })
}

fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    crc(0x82f6_3b78, seed, bytes)
}

/// A structure, filled field by field.
struct Fields(Vec<u8>);

impl Fields {
    fn new(length: usize) -> Self {
        Self(vec![0; length])
    }

    fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }
}

/// What libblkid asks for beside the words, at the places of its structures.
fn more(signature: &Signature) -> Vec<(u64, Vec<u8>)> {
    let (at, bytes) = &signature.writes[0];
    let one = |at: u64, bytes: &[u8]| vec![(at, bytes.to_vec())];
    match (signature.kind, *at) {
        (Kind::Bitlocker, 3) => one(0, b"\xeb\x52\x90"),
        // Of a stick: the place of the metadata stands behind the GUID.
        (Kind::Bitlocker, _) => [one(0, b"\xeb\x58\x90MSWIN4.1"), one(440, &[0, 16]), one(4096, b"-FVE-FS-")].concat(),
        (Kind::CephBluestore, _) => one(18, b"vice"),
        (Kind::Integrity | Kind::Verity, _) => one(8, &[1]),
        (Kind::Stratis, at) => {
            let sector = Fields::new(512).with(4, bytes);
            one(at - 4, &(!crc32c(!0, &sector.0[4..])).to_le_bytes())
        }
        (Kind::Reiserfs, at) if bytes != b"ReIsEr4" => {
            let start = at / 8192 * 8192;
            // Where the journal begins, and the size of a block.
            [one(start + 12, &[18]), one(start + 44, &[0, 16])].concat()
        }
        (Kind::Befs, at) => befs(at - 32, bytes == b"1SFB"),
        // Blocks of both maps; the order does not matter for more than none.
        (Kind::Minix, 1040) => one(1028, &[2, 2, 2, 2]),
        (Kind::Minix, _) => one(1030, &[1, 1, 1, 1]),
        (Kind::Hpfs, _) => one(8704, b"\x49\x18\x91\xf9"),
        (Kind::Mpool, _) => {
            let head = Fields::new(62).with(0, bytes);
            one(62, &(!crc32c(!0, &head.0)).to_le_bytes())
        }
        (Kind::Exfs, _) => {
            let sb = Fields::new(128).with(0, bytes).with(4, &4096u32.to_be_bytes()).with(8, &1024u64.to_be_bytes());
            let sb = sb.with(80, &1u32.to_be_bytes()).with(84, &1024u32.to_be_bytes()).with(88, &1u32.to_be_bytes());
            // Sectors of 512 bytes, inodes of 256; then the logarithms of block, sector, inode and inodes of a block.
            one(0, &sb.with(102, &[2, 0, 1, 0]).with(120, &[12, 9, 8, 4]).0)
        }
        (Kind::Fvault, _) => {
            let sb = Fields::new(512).with(8, &[1, 0, 16]).with(88, bytes).with(168, &[16]).with(172, &[2]);
            let sum = crc32c(0, &sb.0[8..]);
            one(0, &sb.with(0, &sum.to_le_bytes()).0)
        }
        (Kind::Drbd, 0) if bytes[0] == b'$' => one(11, b"0123456789abcdef0123456789abcdef\n"),
        (Kind::Hfsplus, _) => one(1064, &4096u32.to_be_bytes()),
        (Kind::FirmwareRaid, at) if bytes.starts_with(b"Intel") => one(at + 18, b" Sig. 1.0.00"),
        (Kind::FirmwareRaid, at) if bytes == b"\x37\xfc\x4d\x1e" => one(at + 256, b"DPTM"),
        // The negative sum of all words of 16 bits before it.
        (Kind::FirmwareRaid, at) if bytes == b"\0\0\0\x2f" => {
            one(at - 0x60 + 0x13e, &(0u16.wrapping_sub(0x2f00)).to_le_bytes())
        }
        // The sum of the record is 0 or 1 for whoever adds it up.
        (Kind::FirmwareRaid, at) if bytes == b"JM" => one(at + 4, &(0u16.wrapping_sub(0x4d4a)).to_le_bytes()),
        // The whole list of a pool that zfs-fuse 0.7.0 made, since Debian 12 has no other ZFS without a module; and four of the
        // blocks that say which state is the last one.
        (Kind::Zfs, at) => {
            let block = |n: u64| (at - (16 << 10) + (128 << 10) + n * 1024, 0x00ba_b10cu64.to_le_bytes().to_vec());
            (4..8).map(block).chain([(at, ZFS_LIST.to_vec())]).collect()
        }
        // The sizes and places of its parts, as drbdmeta writes them for 64 MiB.
        (Kind::Drbd, at) if at > 0 => {
            let fields = [0x50, 0xffff_fffcu32, 0x101, 0xffff_ffb8, 4096];
            one(at + 4, &fields.map(u32::to_be_bytes).concat())
        }
        (Kind::FirmwareRaid, at) if bytes == b"NVIDIA" => {
            let head = Fields::new(12).with(0, b"NVIDIA  ").with(8, &[30]);
            let sum =
                head.0.as_chunks::<4>().0.iter().fold(0u32, |sum, word| sum.wrapping_sub(u32::from_le_bytes(*word)));
            [one(at, &head.0), one(at + 12, &sum.to_le_bytes())].concat()
        }
        (Kind::Zonefs, _) => one(4, &crc(0xedb8_8320, !0, &Fields::new(4096).with(0, bytes).0).to_le_bytes()),
        (Kind::XfsLog, at) => one(at + 300, &1u32.to_be_bytes()),
        _ => Vec::new(),
    }
}

/// A superblock of BeOS with its other two words, and the inode of the directory that it names.
fn befs(start: u64, little: bool) -> Vec<(u64, Vec<u8>)> {
    let long = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let short = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let sb = Fields::new(132).with(4, &long(0x4249_4745)).with(8, &long(1024)).with(12, &long(10));
    let sb = sb.with(36, &long(0xdd12_1031)).with(80, &long(0x15b6_830e)).with(88, &short(8)).with(90, &short(1));
    vec![(start + 36, sb.0.split_at(4).1.to_vec()), (8192, long(0x3bbe_0ad9).to_vec())]
}

#[test]
fn every_signature_has_a_judge() {
    let dir = tempfile::tempdir().unwrap();
    let made = made::signatures_found(dir.path());
    let all = signatures(END);
    let mut used = [false; NOT_JUDGED.len()];
    let (mut by_blkid, mut wrong) = (0, Vec::new());
    for (number, signature) in all.iter().enumerate() {
        let (kind, at) = (signature.kind, signature.writes[0].0);
        let path = blank(dir.path(), "image", MIB);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        for (at, bytes) in more(signature).iter().chain(&signature.writes) {
            file.write_all_at(bytes, *at).unwrap();
        }
        let said = blkid(&path).remove("TYPE").unwrap_or_default();
        let agrees = types(kind).contains(&said.as_str());
        by_blkid += usize::from(agrees);
        let first = signature.writes[0].1[0];
        let reason = NOT_JUDGED.iter().position(|row| (row.0, row.1, row.2) == (kind, at, first));
        match (reason, agrees || made.contains(&number)) {
            (Some(reason), judged) => {
                used[reason] = true;
                let newer = NOT_JUDGED[reason].3.starts_with("newer");
                assert!(newer || !judged, "{kind} at {at} is judged: {}", NOT_JUDGED[reason].3);
            }
            (None, true) => {}
            (None, false) => wrong.push(format!("{kind} at {at}, {:x?}: blkid says {said:?}", signature.writes)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(used.iter().all(|used| *used), "reasons for what is not in the table: {used:?}");
    println!("{} signatures: {by_blkid} by blkid, {} by programs", all.len(), made.len());
    assert!(by_blkid > 100 && made.len() > 25, "{by_blkid} {}", made.len());
}

//! What others keep on disks, made by the programs that make it. They and blkid agree on what it is, and so must we.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rdlive::format::{Kind, identify_all, signatures};
use rdlive_sys::loopdev::{self, Setup};

use crate::superblocks::{read, tree};
use crate::tools::{blank, blkid, run, text, tool, types};

/// An image to make: file name, size in MiB, what it is, tool, arguments. `IMG` and `TREE` stand for the paths, `AUX` for a
/// file beside the image.
type Row = (&'static str, u64, Kind, &'static str, &'static [&'static str]);

const ROWS: [Row; 38] = [
    ("f2fs", 64, Kind::F2fs, "mkfs.f2fs", &["-q", "IMG"]),
    ("jfs", 16, Kind::Jfs, "mkfs.jfs", &["-q", "IMG"]),
    ("reiserfs 3.6", 64, Kind::Reiserfs, "mkreiserfs", &["-q", "-f", "-f", "IMG"]),
    ("reiserfs 3.5", 64, Kind::Reiserfs, "mkreiserfs", &["-q", "-f", "-f", "--format", "3.5", "IMG"]),
    ("reiser4", 64, Kind::Reiserfs, "mkfs.reiser4", &["-f", "-y", "IMG"]),
    ("nilfs2", 256, Kind::Nilfs2, "mkfs.nilfs2", &["-q", "-f", "IMG"]),
    ("minix 1", 16, Kind::Minix, "mkfs.minix", &["-1", "IMG"]),
    ("minix 1, short names", 16, Kind::Minix, "mkfs.minix", &["-1", "-n", "14", "IMG"]),
    ("minix 2", 16, Kind::Minix, "mkfs.minix", &["-2", "IMG"]),
    ("minix 2, short names", 16, Kind::Minix, "mkfs.minix", &["-2", "-n", "14", "IMG"]),
    ("minix 3", 16, Kind::Minix, "mkfs.minix", &["-3", "IMG"]),
    ("bfs", 16, Kind::Bfs, "mkfs.bfs", &["IMG"]),
    ("cramfs", 0, Kind::Cramfs, "mkfs.cramfs", &["-N", "little", "TREE", "IMG"]),
    ("cramfs of a big-endian machine", 0, Kind::Cramfs, "mkfs.cramfs", &["-N", "big", "TREE", "IMG"]),
    ("romfs", 0, Kind::Romfs, "genromfs", &["-f", "IMG", "-d", "TREE"]),
    ("ocfs2, 512", 256, Kind::Ocfs2, "mkfs.ocfs2", &["-q", "-x", "-M", "local", "-b", "512", "IMG"]),
    ("ocfs2, 1024", 256, Kind::Ocfs2, "mkfs.ocfs2", &["-q", "-x", "-M", "local", "-b", "1024", "IMG"]),
    ("ocfs2, 2048", 256, Kind::Ocfs2, "mkfs.ocfs2", &["-q", "-x", "-M", "local", "-b", "2048", "IMG"]),
    ("ocfs2, 4096", 256, Kind::Ocfs2, "mkfs.ocfs2", &["-q", "-x", "-M", "local", "-b", "4096", "IMG"]),
    ("gfs2", 256, Kind::Gfs2, "mkfs.gfs2", &["-q", "-O", "-p", "lock_nolock", "-J", "8", "IMG"]),
    ("hfs", 64, Kind::Hfs, "hformat", &["-f", "IMG"]),
    ("apfs", 520, Kind::Apfs, "mkapfs", &["IMG"]),
    ("bcache, behind", 64, Kind::Bcache, "make-bcache", &["-B", "IMG"]),
    ("bcache, in front", 64, Kind::Bcache, "make-bcache", &["-C", "IMG"]),
    ("drbd 8", 64, Kind::Drbd, "drbdmeta", &["--force", "0", "v08", "IMG", "internal", "create-md"]),
    ("drbd 9", 64, Kind::Drbd, "drbdmeta", &["--force", "0", "v09", "IMG", "internal", "create-md", "1"]),
    ("ufs 1", 0, Kind::Ufs, "makefs", &["-t", "ffs", "-s", "16m", "-o", "version=1", "IMG", "TREE"]),
    ("ufs 2", 0, Kind::Ufs, "makefs", &["-t", "ffs", "-s", "16m", "-o", "version=2", "IMG", "TREE"]),
    ("ufs 1, big", 0, Kind::Ufs, "makefs", &["-t", "ffs", "-B", "be", "-s", "16m", "-o", "version=1", "IMG", "TREE"]),
    ("ufs 2, big", 0, Kind::Ufs, "makefs", &["-t", "ffs", "-B", "be", "-s", "16m", "-o", "version=2", "IMG", "TREE"]),
    ("ubifs", 0, Kind::Ubi, "mkfs.ubifs", &["-r", "TREE", "-m", "512", "-e", "15872", "-c", "100", "-o", "IMG"]),
    ("ubi", 0, Kind::Ubi, "ubinize", &["-o", "IMG", "-m", "512", "-p", "16KiB", "AUX"]),
    ("verity", 1, Kind::Verity, "veritysetup", &["format", "AUX", "IMG"]),
    ("xfs", 320, Kind::Xfs, "mkfs.xfs", &["-q", "-l", "logdev=AUX,size=64m", "IMG"]),
    ("log of xfs", 64, Kind::XfsLog, "mkfs.xfs", &["-q", "-l", "logdev=IMG,size=64m", "AUX"]),
    (
        "log of xfs, version 1",
        64,
        Kind::XfsLog,
        "mkfs.xfs",
        &["-q", "-m", "crc=0", "-l", "version=1,logdev=IMG,size=64m", "AUX"],
    ),
    ("swap", 1, Kind::Swap, "mkswap", &["-q", "IMG"]),
    ("jbd", 16, Kind::Jbd, "mke2fs", &["-q", "-F", "-O", "journal_dev", "IMG"]),
];

/// Which of [`signatures`] stand in the images, by their numbers.
pub fn signatures_found(dir: &Path) -> BTreeSet<usize> {
    let tree = tree(dir);
    let mut found = BTreeSet::new();
    for row in &ROWS {
        let image = make(dir, &tree, row);
        let file = File::open(&image).unwrap();
        for (number, signature) in signatures(file.metadata().unwrap().len()).into_iter().enumerate() {
            let (at, bytes) = &signature.writes[0];
            let mut there = vec![0; bytes.len()];
            if signature.kind == row.2 && file.read_exact_at(&mut there, *at).is_ok() && there == *bytes {
                found.insert(number);
            }
        }
        fs::remove_file(image).unwrap();
    }
    found
}

/// What the tool of a row reads or writes beside the image.
fn beside(dir: &Path, name: &str) -> PathBuf {
    let aux = dir.join("beside");
    match name {
        "ubi" => {
            let volume = blank(dir, "volume", 1);
            let text = format!("[v]\nmode=ubi\nimage={}\nvol_id=0\nvol_type=static\nvol_name=v\n", text(&volume));
            fs::write(&aux, text).unwrap();
        }
        "verity" => drop(blank(dir, "beside", 1)),
        _ => File::create(&aux).unwrap().set_len(320 << 20).unwrap(),
    }
    aux
}

fn make(dir: &Path, tree: &Path, (name, mib, _, program, args): &Row) -> PathBuf {
    let (image, aux) = (blank(dir, "image", *mib), beside(dir, name));
    let paths = [("IMG", &image), ("TREE", &tree.to_owned()), ("AUX", &aux)];
    let filled =
        args.iter().map(|arg| paths.iter().fold((*arg).to_owned(), |arg, (word, path)| arg.replace(word, text(path))));
    // hformat keeps a note in the home directory.
    let output = tool(program).args(filled).env("HOME", dir).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    // On what is no larger than a floppy disk libblkid does not look for half of its kinds.
    let file = OpenOptions::new().write(true).open(&image).unwrap();
    file.set_len(file.metadata().unwrap().len().max(4 << 20)).unwrap();
    image
}

/// We say the kind, blkid says a type, and both are the same by the table of pairs.
fn both_say(name: &str, image: &Path, kind: Kind) {
    assert_eq!(read(image).kind, kind, "{name}");
    let all = identify_all(&mut File::open(image).unwrap()).unwrap();
    assert_eq!(all.first().map(|found| found.kind), Some(kind), "{name}: {all:?}");
    let said = blkid(image).remove("TYPE").unwrap_or_default();
    assert!(types(kind).contains(&said.as_str()), "{name}: blkid says {said:?}");
}

#[test]
fn what_their_own_programs_make_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    for row in &ROWS {
        let image = make(dir.path(), &tree, row);
        both_say(row.0, &image, row.2);
        fs::remove_file(image).unwrap();
    }
}

/// xorriso puts an HFS+ beside the ISO, in a partition of its own.
#[test]
fn hfsplus_of_xorriso_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, iso) = (tree(dir.path()), dir.path().join("iso"));
    let output = format!("stdio:{}", text(&iso));
    run("xorriso", &["-outdev", &output, "-hfsplus", "on", "-map", text(&tree), "/"]);
    let disk = fs::read(&iso).unwrap();
    // The entries of an Apple partition map, in blocks of 2048 bytes.
    let entry =
        disk.chunks(2048).find(|entry| entry.starts_with(b"PM") && entry[48..].starts_with(b"Apple_HFS")).unwrap();
    let number = |at: usize| u32::from_be_bytes(entry[at..at + 4].try_into().unwrap()) as usize * 2048;
    let image = dir.path().join("hfsplus");
    fs::write(&image, &disk[number(8)..number(8) + number(12)]).unwrap();
    both_say("hfsplus", &image, Kind::Hfsplus);
}

/// The program wants a device. It may look at this one alone, since tests beside this one own the others.
#[test]
fn loop_physical_volume_of_lvm_is_known() {
    assert!(rustix::process::geteuid().is_root(), "needs root: run `cargo lab test` as root");
    let dir = tempfile::tempdir().unwrap();
    let image = blank(dir.path(), "pv", 64);
    let file = OpenOptions::new().read(true).write(true).open(&image).unwrap();
    let setup = Setup { autoclear: true, ..Setup::default() };
    let device = loopdev::attach(Path::new("/dev"), &file, "pv", setup).unwrap();
    let node = format!("/dev/loop{}", device.number);
    let made =
        tool("pvcreate").args(["--devices", &node, "--devicesfile", "", "-q", "-ff", "-y", &node]).output().unwrap();
    drop(device);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    both_say("pv", &image, Kind::Lvm);
}

/// The second superblock is found alone. libblkid does so for NILFS2 only.
#[test]
fn copies_are_known_where_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    for (name, kind) in [("nilfs2", Kind::Nilfs2), ("f2fs", Kind::F2fs)] {
        let row = ROWS.iter().find(|row| row.0 == name).unwrap();
        let image = make(dir.path(), &tree, row);
        OpenOptions::new().write(true).open(&image).unwrap().write_all_at(&[0; 4096], 0).unwrap();
        assert_eq!(read(&image).kind, kind);
        if kind == Kind::Nilfs2 {
            both_say(name, &image, kind);
        }
        fs::remove_file(image).unwrap();
    }
}

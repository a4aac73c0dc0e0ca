//! One image per file system and option that changes what its superblock says.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rdlive::area::Identity;
use rdlive::format::{Compressor, Kind, Superblock, identify, identify_all, udev_encode};

use crate::tools::{blank, blkid, run, text};

/// An image to make: file name, size in MiB, what it is, tool, arguments; `IMG` and `TREE` stand for the paths.
type Row = (&'static str, u64, Kind, &'static str, &'static [&'static str]);

const ROWS: [Row; 25] = [
    ("ext2", 16, Kind::Ext2, "mke2fs", &["-q", "-F", "-t", "ext2", "-L", "root fs", "IMG"]),
    ("ext3", 16, Kind::Ext3, "mke2fs", &["-q", "-F", "-t", "ext3", "-L", "a/b", "IMG"]),
    ("ext4", 16, Kind::Ext4, "mke2fs", &["-q", "-F", "-t", "ext4", "-b", "4096", "-L", "sixteen letters!", "IMG"]),
    ("ext4-1k", 16, Kind::Ext4, "mke2fs", &["-q", "-F", "-t", "ext4", "-b", "1024", "IMG"]),
    (
        "ext4-nojournal",
        16,
        Kind::Ext4,
        "mke2fs",
        &["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-L", "Größe", "IMG"],
    ),
    ("jbd", 16, Kind::Jbd, "mke2fs", &["-q", "-F", "-O", "journal_dev", "-L", "log", "IMG"]),
    ("xfs", 320, Kind::Xfs, "mkfs.xfs", &["-q", "-L", "twelve chars", "IMG"]),
    ("xfs-v4", 320, Kind::Xfs, "mkfs.xfs", &["-q", "-m", "crc=0", "-b", "size=1024", "IMG"]),
    ("btrfs", 128, Kind::Btrfs, "mkfs.btrfs", &["-q", "-L", "a long label of a file system", "IMG"]),
    ("fat12", 1, Kind::Vfat, "mkfs.vfat", &["-F", "12", "-n", "MY STICK", "IMG"]),
    ("fat16", 16, Kind::Vfat, "mkfs.vfat", &["-F", "16", "-n", "ELEVENCHARS", "-i", "0000abcd", "IMG"]),
    ("fat32", 64, Kind::Vfat, "mkfs.vfat", &["-F", "32", "-n", "ESP", "IMG"]),
    ("fat32-nolabel", 64, Kind::Vfat, "mkfs.vfat", &["-F", "32", "IMG"]),
    ("fat32-4k", 600, Kind::Vfat, "mkfs.vfat", &["-F", "32", "-S", "4096", "-n", "BIG", "IMG"]),
    ("exfat", 16, Kind::Exfat, "mkfs.exfat", &["-L", "ex fat", "IMG"]),
    ("exfat-nolabel", 16, Kind::Exfat, "mkfs.exfat", &["IMG"]),
    ("ntfs", 16, Kind::Ntfs, "mkntfs", &["-q", "-F", "-L", "Win Größe", "IMG"]),
    ("ntfs-4k", 32, Kind::Ntfs, "mkntfs", &["-q", "-F", "-s", "4096", "-c", "4096", "-L", "fourk", "IMG"]),
    ("swap", 1, Kind::Swap, "mkswap", &["-q", "-L", "swap label", "IMG"]),
    ("swap-64k", 1, Kind::Swap, "mkswap", &["-q", "-p", "65536", "-L", "big", "IMG"]),
    (
        "luks1",
        32,
        Kind::Luks,
        "cryptsetup",
        &["luksFormat", "-q", "--type", "luks1", "--pbkdf-force-iterations", "1000", "IMG", "TREE/key"],
    ),
    (
        "luks2",
        32,
        Kind::Luks,
        "cryptsetup",
        &[
            "luksFormat",
            "-q",
            "--type",
            "luks2",
            "--label",
            "live cow",
            "--pbkdf",
            "pbkdf2",
            "--pbkdf-force-iterations",
            "1000",
            "IMG",
            "TREE/key",
        ],
    ),
    ("udf", 32, Kind::Udf, "mkudffs", &["--label=Udf", "IMG"]),
    ("udf-2k", 32, Kind::Udf, "mkudffs", &["--blocksize=2048", "--label=Udf", "IMG"]),
    ("erofs", 0, Kind::Erofs, "mkfs.erofs", &["-zlz4hc", "-U", "01234567-89ab-cdef-0123-456789abcdef", "IMG", "TREE"]),
];

/// A small tree to pack, with the key file that cryptsetup wants.
pub fn tree(dir: &Path) -> PathBuf {
    let tree = dir.join("tree");
    fs::create_dir_all(tree.join("LiveOS")).unwrap();
    fs::write(tree.join("key"), "a key that protects nothing").unwrap();
    fs::write(tree.join("LiveOS/data"), "compressible ".repeat(5000)).unwrap();
    tree
}

pub fn make(dir: &Path, tree: &Path, row: &Row) -> PathBuf {
    let (name, mib, _, tool, args) = row;
    let image = blank(dir, name, *mib);
    let args: Vec<String> =
        args.iter().map(|arg| arg.replace("IMG", text(&image)).replace("TREE", text(tree))).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run(tool, &args);
    image
}

/// Every image of this file; the ISO images are elsewhere.
pub fn all(dir: &Path) -> Vec<PathBuf> {
    let tree = tree(dir);
    let mut images: Vec<PathBuf> = ROWS.iter().map(|row| make(dir, &tree, row)).collect();
    images.push(squashfs(dir, &tree, "zstd"));
    images
}

pub fn read(image: &Path) -> Superblock {
    identify(&mut File::open(image).unwrap())
        .unwrap()
        .unwrap_or_else(|| panic!("{} is not recognised", image.display()))
}

pub fn agrees_with_blkid(name: &str, image: &Path, found: &Superblock) {
    let expected = blkid(image);
    let get = |key: &str| expected.get(key).cloned();
    assert_eq!(Some(found.kind.name().to_owned()), get("TYPE"), "{name}: type");
    if found.kind == Kind::Udf {
        return;
    }
    assert_eq!(found.label.as_deref().map(udev_encode), get("LABEL_ENC"), "{name}: label");
    assert_eq!(found.uuid, get("UUID"), "{name}: uuid");
    // For XFS blkid means the sector.
    if found.kind != Kind::Xfs && get("BLOCK_SIZE").is_some() {
        assert_eq!(found.block_size.map(|size| size.to_string()), get("BLOCK_SIZE"), "{name}: block size");
    }
}

#[test]
fn agree_with_blkid() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    for row in &ROWS {
        let image = make(dir.path(), &tree, row);
        let found = read(&image);
        assert_eq!(found.kind, row.2, "{}", row.0);
        agrees_with_blkid(row.0, &image, &found);
        assert!(!found.dirty, "{}: fresh is clean", row.0);
        let all = identify_all(&mut File::open(&image).unwrap()).unwrap();
        assert_eq!(all.iter().map(|f| f.kind).collect::<Vec<_>>(), [row.2], "{}", row.0);
    }
}

/// No file system says it is larger than its device; most use nearly all of it.
#[test]
fn sizes_fit_the_device() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    for row in &ROWS {
        let image = make(dir.path(), &tree, row);
        let actual = fs::metadata(&image).unwrap().len();
        let found = read(&image);
        assert_eq!(found.truncated(actual), None, "{}", row.0);
        let Some(size) = found.size else {
            assert!(matches!(row.2, Kind::Luks | Kind::Udf), "{}: no size", row.0);
            continue;
        };
        assert!(size >= actual - actual / 8, "{}: {size} of {actual}", row.0);
        assert_eq!(found.truncated(size - 1), Some(1), "{}", row.0);
    }
}

fn squashfs(dir: &Path, tree: &Path, compressor: &str) -> PathBuf {
    let image = dir.join(format!("squashfs-{compressor}"));
    let _ = fs::remove_file(&image);
    let arguments = ["-comp", compressor, "-quiet", "-no-progress", "-noappend"];
    let mut all = vec![text(tree), text(&image)];
    all.extend(arguments);
    run("mksquashfs", &all);
    image
}

#[test]
fn six_squashfs_compressors() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    for (name, compressor) in [
        ("gzip", Compressor::Gzip),
        ("lzma", Compressor::Lzma),
        ("lzo", Compressor::Lzo),
        ("xz", Compressor::Xz),
        ("lz4", Compressor::Lz4),
        ("zstd", Compressor::Zstd),
    ] {
        let image = squashfs(dir.path(), &tree, name);
        let found = read(&image);
        assert_eq!(found.compressor, Some(compressor), "{name}");
        assert_eq!(compressor.name(), name);
        agrees_with_blkid(name, &image, &found);
        let actual = fs::metadata(&image).unwrap().len();
        let size = found.size.unwrap();
        assert!(size <= actual && actual - size < 4096, "{name}: {size} of {actual}");
    }
}

#[test]
fn erofs_with_and_without_compression() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    for (name, option, compressor) in
        [("none", "-d0", Compressor::None), ("lz4", "-zlz4", Compressor::Lz4), ("lz4hc", "-zlz4hc", Compressor::Lz4)]
    {
        let image = dir.path().join(name);
        run("mkfs.erofs", &["--quiet", option, text(&image), text(&tree)]);
        let found = read(&image);
        assert_eq!(found.compressor, Some(compressor), "{name}");
        assert_eq!(found.size, Some(fs::metadata(&image).unwrap().len()), "{name}");
        agrees_with_blkid(name, &image, &found);
    }
}

#[test]
fn ext4_that_needs_recovery_or_was_not_unmounted() {
    let dir = tempfile::tempdir().unwrap();
    for (name, command) in [("recovery", "feature needs_recovery"), ("unclean", "set_super_value state 0")] {
        let image = blank(dir.path(), name, 16);
        run("mke2fs", &["-q", "-F", "-t", "ext4", text(&image)]);
        assert!(!read(&image).dirty, "{name}: before");
        run("debugfs", &["-w", "-R", command, text(&image)]);
        assert!(read(&image).dirty, "{name}: after");
    }
}

#[test]
fn hibernation_images_in_swap() {
    let dir = tempfile::tempdir().unwrap();
    for signature in ["S1SUSPEND\0", "S2SUSPEND\0", "ULSUSPEND\0", "LINHIB0001"] {
        let image = blank(dir.path(), "swap", 1);
        run("mkswap", &["-q", "-L", "resume", text(&image)]);
        let file = OpenOptions::new().write(true).open(&image).unwrap();
        file.write_all_at(signature.as_bytes(), 4086).unwrap();
        let found = read(&image);
        assert_eq!(found.kind, Kind::Hibernation, "{signature:?}");
        agrees_with_blkid(signature, &image, &found);
    }
}

/// A label written over the one from mkfs: another place in the record, another length.
#[test]
fn changed_ntfs_label() {
    let dir = tempfile::tempdir().unwrap();
    let image = blank(dir.path(), "ntfs", 16);
    run("mkntfs", &["-q", "-F", "-L", "x", text(&image)]);
    run("ntfslabel", &["-f", text(&image), "A much longer label äöü"]);
    let found = read(&image);
    assert_eq!(found.label.as_deref(), Some("A much longer label äöü"));
    agrees_with_blkid("ntfslabel", &image, &found);
}

#[test]
fn overwritten_first_luks2_header() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    let row = ROWS.iter().find(|row| row.0 == "luks2").unwrap();
    let image = make(dir.path(), &tree, row);
    let file = OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(&[0; 4096], 0).unwrap();
    let found = read(&image);
    assert_eq!(found.kind, Kind::Luks);
    assert_eq!(found.label.as_deref(), Some("live cow"));
}

/// What marks an encrypted area fits into the field that it is for, as cryptsetup and blkid know that field.
#[test]
fn the_longest_mark_fits_into_a_luks2_header() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    let volume_id = Some("A volume id of 32 characters, a!".to_owned());
    let mark = Identity { volume_id, image_uuid: Some("x".to_owned()), agent: "1".to_owned() }.header_mark();
    let image = make(dir.path(), &tree, ROWS.iter().find(|row| row.0 == "luks2").unwrap());
    // The second one shows that the field is used up: cryptsetup cuts the byte that is too much.
    for text_in in [mark.clone(), format!("{mark}x")] {
        run("cryptsetup", &["config", "--label", "lukscow", "--subsystem", &text_in, text(&image)]);
        let dump = run("cryptsetup", &["luksDump", text(&image)]);
        let said = dump.lines().find_map(|line| line.strip_prefix("Subsystem:")).unwrap();
        assert_eq!(said.trim(), mark, "{text_in}");
        assert_eq!(run("blkid", &["-p", "-o", "value", "-s", "SUBSYSTEM", text(&image)]).trim(), mark, "{text_in}");
    }
}

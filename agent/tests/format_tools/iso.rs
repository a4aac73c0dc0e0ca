//! ISO images made by xorriso.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rdlive::format::iso9660::{Platform, Volume};
use rdlive::format::partition::{TableKind, table};
use rdlive::format::{Kind, identify, identify_all, udev_encode};

use crate::tools::{blank, blkid, run, text};

const LONG: usize = 240;

/// Files that are hard to name: deep, long, with spaces, empty, larger than a sector, many.
fn tree(dir: &Path) -> PathBuf {
    let tree = dir.join("tree");
    let deep = tree.join("a/b/c/d/e/f/g/h/i/j");
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir_all(tree.join("LiveOS")).unwrap();
    fs::create_dir_all(tree.join("many")).unwrap();
    fs::write(deep.join("deep.txt"), "deep").unwrap();
    fs::write(tree.join("LiveOS/squashfs.img"), vec![7; 100_000]).unwrap();
    fs::write(tree.join("x".repeat(LONG)), "long").unwrap();
    fs::write(tree.join("with space"), "space").unwrap();
    fs::write(tree.join("empty"), "").unwrap();
    fs::write(tree.join("boot.img"), vec![0x90; 2048]).unwrap();
    for i in 0..500 {
        fs::write(tree.join(format!("many/file-{i:04}.txt")), i.to_string()).unwrap();
    }
    std::os::unix::fs::symlink("LiveOS", tree.join("link")).unwrap();
    tree
}

fn iso(dir: &Path, name: &str, tree: &Path, options: &[&str]) -> PathBuf {
    let image = dir.join(name);
    let mut args = vec!["-as", "mkisofs", "-quiet", "-o", text(&image)];
    args.extend(options);
    args.push(text(tree));
    run("xorriso", &args);
    image
}

/// A CD and a stick in one, with a GPT, an appended ESP and two boot entries.
pub fn hybrid(dir: &Path) -> PathBuf {
    let tree = tree(dir);
    let esp = blank(dir, "esp.img", 4);
    run("mkfs.vfat", &["-n", "ESP", text(&esp)]);
    let options = [
        "-V",
        "RDLIVE",
        "-R",
        "-J",
        "-b",
        "boot.img",
        "-no-emul-boot",
        "-boot-load-size",
        "4",
        "-append_partition",
        "2",
        "0xef",
        text(&esp),
        "-appended_part_as_gpt",
        "-eltorito-alt-boot",
        "-e",
        "--interval:appended_partition_2:all::",
        "-no-emul-boot",
        "-partition_offset",
        "16",
    ];
    iso(dir, "hybrid.iso", &tree, &options)
}

#[test]
fn labels_and_dates_agree_with_blkid() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    for (volume_id, options) in [
        ("RDLIVE", &["-R"][..]),
        ("My Live", &["-R", "-J"]),
        ("a/b_c", &["-R", "-J"]),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", &["-R"]),
        ("Größe", &["-R", "-J"]),
    ] {
        let mut all = vec!["-V", volume_id];
        all.extend(options);
        let image = iso(dir.path(), "x.iso", &tree, &all);
        let found = identify(&mut File::open(&image).unwrap()).unwrap().unwrap();
        let expected = blkid(&image);
        assert_eq!(found.kind, Kind::Iso9660, "{volume_id}");
        assert_eq!(found.label.as_deref().map(udev_encode), expected.get("LABEL_ENC").cloned(), "{volume_id}");
        assert_eq!(found.uuid, expected.get("UUID").cloned(), "{volume_id}");
        let actual = fs::metadata(&image).unwrap().len();
        assert_eq!(found.truncated(actual), None, "{volume_id}");
        assert!(found.truncated(actual / 2).is_some(), "{volume_id}");
    }
}

#[test]
fn files_under_every_way_to_store_names() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    let long = "x".repeat(LONG);
    let rock_ridge: &[(&str, &str)] = &[
        ("a/b/c/d/e/f/g/h/i/j/deep.txt", "deep"),
        (&long, "long"),
        ("with space", "space"),
        ("many/file-0499.txt", "499"),
        ("empty", ""),
    ];
    let joliet: &[(&str, &str)] =
        &[("with space", "space"), ("MANY/file-0007.txt", "7"), ("a/b/c/d/e/f/g/h/i/j/deep.txt", "deep")];
    let plain: &[(&str, &str)] =
        &[("empty", ""), ("a/b/c/d/e/f/g/h/i/j/deep.txt", "deep"), ("A/B/C/D/E/F/G/H/I/J/DEEP.TXT", "deep")];
    for (options, files) in [
        (&["-R"][..], rock_ridge),
        (&["-R", "-J"], rock_ridge),
        (&["-R", "-rr_reloc_dir", "moved"], rock_ridge),
        (&["--norock", "-J"], joliet),
        (&["--norock", "-iso-level", "3"], plain),
    ] {
        let image = iso(dir.path(), "x.iso", &tree, options);
        let mut volume = Volume::open(File::open(&image).unwrap()).unwrap();
        for (path, content) in files {
            let read = volume.read(path, 1000).unwrap_or_else(|e| panic!("{options:?} {path}: {e}"));
            assert_eq!(read, content.as_bytes(), "{options:?} {path}");
        }
        let container = volume.find("/LiveOS/squashfs.img").unwrap().unwrap();
        assert_eq!(container.size, 100_000, "{options:?}");
        assert_eq!(volume.find("/LiveOS/none").unwrap(), None, "{options:?}");
        assert!(volume.read("/LiveOS/squashfs.img", 99_999).is_err(), "{options:?}");
        assert_eq!(volume.list("many").unwrap().unwrap().len(), 500, "{options:?}");
        assert_eq!(volume.list("empty").unwrap(), None, "{options:?}");
    }
}

#[test]
fn a_listing_is_the_tree() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    let image = iso(dir.path(), "x.iso", &tree, &["-R", "-J"]);
    let mut volume = Volume::open(File::open(&image).unwrap()).unwrap();
    let mut names: Vec<String> = volume.list("/").unwrap().unwrap().into_iter().map(|e| e.name).collect();
    let mut expected: Vec<String> =
        fs::read_dir(&tree).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
    assert!(volume.entry("link").unwrap().unwrap().is_symlink);
}

#[test]
fn hybrid_has_boot_entries_and_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let image = hybrid(dir.path());
    let mut file = File::open(&image).unwrap();
    let size = file.metadata().unwrap().len();
    assert_eq!(identify(&mut file).unwrap().unwrap().kind, Kind::Iso9660);
    let all = identify_all(&mut file).unwrap();
    assert_eq!(all.len(), 1, "{all:?}");

    let partitions = table(&mut file, size).unwrap().unwrap();
    let both = TableKind::Gpt { primary_ok: true, backup_ok: true };
    assert_eq!(partitions.kind, both);
    let esp = &partitions.partitions[1];
    assert_eq!((esp.number, esp.size), (2, 4 << 20));

    let mut volume = Volume::open(&mut file).unwrap();
    let entries = volume.boot_entries().unwrap();
    let platforms: Vec<Platform> = entries.iter().map(|e| e.platform).collect();
    assert_eq!(platforms, [Platform::Bios, Platform::Uefi]);
    assert_eq!(Some(entries[0].offset()), volume.find("boot.img").unwrap().map(|e| e.offset));
    assert_eq!(entries[0].sectors, 4);
    assert_eq!(entries[1].offset(), esp.start);
    assert!(entries.iter().all(|e| e.bootable));
    assert_eq!(volume.descriptors().application_use.len(), 512);
}

/// A stick larger than the image written to it.
#[test]
fn hybrid_on_a_larger_disk() {
    let dir = tempfile::tempdir().unwrap();
    let image = hybrid(dir.path());
    let mut file = File::options().read(true).write(true).open(&image).unwrap();
    let before = table(&mut file, fs::metadata(&image).unwrap().len()).unwrap();
    file.set_len(512 << 20).unwrap();
    assert_eq!(table(&mut file, 512 << 20).unwrap(), before);
}

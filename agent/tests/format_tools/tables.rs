//! Partition tables made by sfdisk and sgdisk.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rdlive::format::partition::{Partition, Table, TableKind, table};
use serde_json::Value;

use crate::tools::{blank, run, text, tool};

fn read(image: &Path) -> Option<Table> {
    let mut file = File::open(image).unwrap();
    let size = file.metadata().unwrap().len();
    table(&mut file, size).unwrap()
}

fn sfdisk(image: &Path, script: &str) {
    let mut child = tool("sfdisk")
        .args(["--quiet", "--no-reread", "--no-tell-kernel"])
        .arg(image)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{script}");
}

/// Compares with `sfdisk --json`: number, place, type, name, flag.
fn agrees_with_sfdisk(image: &Path, found: &Table) {
    let json: Value = serde_json::from_str(&run("sfdisk", &["--json", text(image)])).unwrap();
    let expected = &json["partitiontable"];
    let sector = expected["sectorsize"].as_u64().unwrap_or(512);
    assert_eq!(u64::from(found.sector_size), sector);
    let rows = expected["partitions"].as_array().unwrap();
    assert_eq!(found.partitions.len(), rows.len());
    for (ours, row) in found.partitions.iter().zip(rows) {
        assert!(row["node"].as_str().unwrap().ends_with(&ours.number.to_string()), "{row}");
        assert_eq!(Some(ours.start / sector), row["start"].as_u64(), "{row}");
        assert_eq!(Some(ours.size / sector), row["size"].as_u64(), "{row}");
        agrees_in_type(ours, row);
    }
}

fn agrees_in_type(ours: &Partition, row: &Value) {
    let kind = row["type"].as_str().unwrap();
    match ours.type_id.strip_prefix("0x") {
        Some(hex) => {
            assert_eq!(hex.trim_start_matches('0'), kind.trim_start_matches('0'), "{row}");
            assert_eq!(ours.active, row["bootable"].as_bool().unwrap_or(false), "{row}");
        }
        None => {
            assert_eq!(ours.type_id, kind.to_lowercase(), "{row}");
            assert_eq!(ours.uuid, row["uuid"].as_str().map(str::to_lowercase), "{row}");
            assert_eq!(ours.name.as_deref(), row["name"].as_str(), "{row}");
        }
    }
}

#[test]
fn mbr_with_logical_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let image = blank(dir.path(), "disk", 64);
    let script = "label: dos\nlabel-id: 0x1a2b3c4d\n2048,2048,c,*\n,2048,ef\n,4096,83\n,,5\n,2048,83\n,4096,82\n,2048,7\n,1024,83\n";
    sfdisk(&image, script);
    let found = read(&image).unwrap();
    assert_eq!(found.kind, TableKind::Mbr);
    assert_eq!(found.id.as_deref(), Some("1a2b3c4d"));
    assert_eq!(found.partitions.len(), 8);
    assert_eq!(found.partitions[7].uuid.as_deref(), Some("1a2b3c4d-08"));
    agrees_with_sfdisk(&image, &found);
}

fn gpt(dir: &Path) -> PathBuf {
    let image = blank(dir, "gpt", 64);
    let script = "label: gpt\nsize=4MiB, type=U, name=\"EFI system\", attrs=LegacyBIOSBootable\nsize=8MiB, type=L, name=\"Größe\"\ntype=L\n";
    sfdisk(&image, script);
    image
}

#[test]
fn gpt_with_names_and_attributes() {
    let dir = tempfile::tempdir().unwrap();
    let image = gpt(dir.path());
    let found = read(&image).unwrap();
    let expected = TableKind::Gpt { primary_ok: true, backup_ok: true };
    assert_eq!(found.kind, expected);
    assert!(found.partitions[0].active && !found.partitions[1].active);
    agrees_with_sfdisk(&image, &found);
}

#[test]
fn gpt_with_damaged_copies() {
    for (damage, primary_ok, backup_ok) in [(512, false, true), ((64 << 20) - 512, true, false)] {
        let dir = tempfile::tempdir().unwrap();
        let image = gpt(dir.path());
        let before = read(&image).unwrap();
        let file = OpenOptions::new().write(true).open(&image).unwrap();
        file.write_all_at(b"damaged!", damage).unwrap();
        let found = read(&image).unwrap();
        let expected = TableKind::Gpt { primary_ok, backup_ok };
        assert_eq!(found.kind, expected, "{damage}");
        assert_eq!(found.partitions, before.partitions, "{damage}");
    }
}

/// sgdisk keeps as many entries as it is told, and gives partitions any number.
#[test]
fn gpt_with_gaps_and_many_entries() {
    let dir = tempfile::tempdir().unwrap();
    let image = blank(dir.path(), "disk", 64);
    run("sgdisk", &["--resize-table=256", "-n", "3:0:+1M", "-n", "200:0:+1M", "-c", "200:last", text(&image)]);
    let found = read(&image).unwrap();
    let numbers: Vec<u32> = found.partitions.iter().map(|p| p.number).collect();
    assert_eq!(numbers, [3, 200]);
    assert_eq!(found.partitions[1].name.as_deref(), Some("last"));
    agrees_with_sfdisk(&image, &found);
}

#[test]
fn file_systems_are_no_tables() {
    let dir = tempfile::tempdir().unwrap();
    for (tool, options) in [
        ("mkfs.vfat", &["-F", "32"][..]),
        ("mkfs.vfat", &["-F", "16"]),
        ("mkntfs", &["-q", "-F"]),
        ("mkfs.exfat", &[]),
        ("mke2fs", &["-q", "-F"]),
    ] {
        let image = blank(dir.path(), "fs", 64);
        let mut args = options.to_vec();
        args.push(text(&image));
        run(tool, &args);
        assert_eq!(read(&image), None, "{tool} {options:?}");
    }
}

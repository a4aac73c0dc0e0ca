//! A partition added to tables made by sfdisk, sgdisk and xorriso, judged by sgdisk and sfdisk. Needs those programs.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rdlive::format::partition::{Table, TableKind, table};
use rdlive::table::{Addition, Disk};

const MIB: u64 = 1 << 20;

fn run(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).env("LC_ALL", "C").output();
    let output =
        output.unwrap_or_else(|e| panic!("{program}: {e} (cargo lab install brings the programs of the tests)"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

/// An image of 16 MiB with a table from an sfdisk script, then the same on a disk of 64 MiB.
fn image(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("disk");
    let file = File::create(&path).unwrap();
    file.set_len(16 * MIB).unwrap();
    let mut child = Command::new("sfdisk")
        .args(["--quiet", "--no-reread", "--no-tell-kernel"])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{script}");
    let noise: Vec<u8> = (0..440u32).map(|i| (i * 7) as u8).collect();
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&noise, 0).unwrap();
    file.set_len(64 * MIB).unwrap();
    path
}

fn read(path: &Path) -> Table {
    let mut file = File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    table(&mut file, size).unwrap().unwrap()
}

fn add(path: &Path, image: u64) -> Addition {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let disk = Disk { size: file.metadata().unwrap().len(), sector: 512, image, least: 4 * MIB };
    let addition = disk.addition(&mut file, &[], [0xa7; 16]).unwrap();
    for write in &addition.writes {
        file.write_all_at(&write.bytes, write.offset).unwrap();
        if let TableKind::Gpt { primary_ok, .. } = read(path).kind {
            assert!(primary_ok, "after {}", write.what);
        }
        // The kernel's and everybody's reading of it: sfdisk fails on a table it does not believe.
        run("sfdisk", &["--json"], path);
    }
    addition
}

/// Checksums, places and sizes of both copies, as sgdisk sees them: it succeeds whatever it finds.
fn no_problems(path: &Path) {
    let verdict = run("sgdisk", &["-v"], path);
    assert!(verdict.contains("No problems found"), "{verdict}");
}

/// The type of a partition as sfdisk names it: a number would only agree with the one that we write.
fn type_of(path: &Path, number: usize) -> String {
    let listed = run("sfdisk", &["--list", "--output", "type"], path);
    let mut types = listed.lines().skip_while(|line| *line != "Type").skip(1);
    types.nth(number - 1).map(|name| name.trim().to_owned()).unwrap_or_else(|| panic!("no {number} in {listed}"))
}

/// Every byte outside of the writes is the old one.
fn only_the_writes_changed(before: &[u8], path: &Path, addition: &Addition) {
    let after = fs::read(path).unwrap();
    assert_eq!(before.len(), after.len());
    let inside = |at: u64| {
        addition.writes.iter().any(|write| (write.offset..write.offset + write.bytes.len() as u64).contains(&at))
    };
    let stray = (0..after.len()).find(|&at| before[at] != after[at] && !inside(at as u64));
    assert_eq!(stray, None);
}

#[test]
fn t18_gpt_grown_to_a_larger_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = image(dir.path(), "label: gpt\nsize=8MiB, type=L, name=\"Live\"\nsize=4MiB, type=U, name=\"ESP\"\n");
    let before = fs::read(&path).unwrap();
    let addition = add(&path, 14 * MIB);
    only_the_writes_changed(&before, &path, &addition);
    assert_eq!((addition.gap.number, addition.gap.start % MIB), (3, 0));
    assert_eq!(before[..512], fs::read(&path).unwrap()[..512], "the first sector stays");
    no_problems(&path);
    let info = run("sgdisk", &["-i", "3"], &path);
    assert!(info.contains("'rdlive-cow'") && info.contains("(Linux filesystem)"), "{info}");
    let uuid = info.lines().find_map(|line| line.strip_prefix("Partition unique GUID: ")).unwrap();
    let parsed = run("uuidparse", &["-n", "-o", "variant,type"], Path::new(uuid));
    assert_eq!(parsed.split_whitespace().collect::<Vec<_>>(), ["DCE", "random"], "{uuid}");
    assert_eq!(type_of(&path, 3), "Linux filesystem");
    assert_eq!(read(&path).kind, TableKind::Gpt { primary_ok: true, backup_ok: true });
}

#[test]
fn t32_hybrid_mbr_keeps_its_boot_entry() {
    let dir = tempfile::tempdir().unwrap();
    let path = image(dir.path(), "label: gpt\nsize=8MiB, type=L\nsize=4MiB, type=U\n");
    run("sgdisk", &["--hybrid", "1"], &path);
    let before = fs::read(&path).unwrap();
    let addition = add(&path, 14 * MIB);
    only_the_writes_changed(&before, &path, &addition);
    assert_eq!(before[..512], fs::read(&path).unwrap()[..512], "the hybrid MBR stays byte for byte");
    no_problems(&path);
}

#[test]
fn t19_t20_mbr() {
    for (script, number) in [
        ("label: dos\nlabel-id: 0x1a2b3c4d\nstart=64,size=16000,type=17,bootable\n", 2),
        ("label: dos\nlabel-id: 0x1a2b3c4d\nstart=64,size=16000,type=17,bootable\nsize=2880,type=ef\n", 3),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = image(dir.path(), script);
        let before = fs::read(&path).unwrap();
        let addition = add(&path, 10 * MIB);
        let after = fs::read(&path).unwrap();
        let entry = 446 + (number - 1) * 16..446 + number * 16;
        let stray = (0..after.len()).find(|at| before[*at] != after[*at] && !entry.contains(at));
        assert_eq!(stray, None, "{script}");
        assert_eq!(addition.gap.number as usize, number, "{script}");
        let json: serde_json::Value = serde_json::from_str(&run("sfdisk", &["--json"], &path)).unwrap();
        let new = &json["partitiontable"]["partitions"][number - 1];
        assert_eq!(type_of(&path, number), "Linux");
        assert_eq!(new["start"].as_u64(), Some(addition.gap.start / 512), "{json}");
        assert_eq!(new["size"].as_u64(), Some(addition.gap.size / 512), "{json}");
        // What fdisk shows for "beyond what cylinders can say", and writes itself.
        let columns = run("fdisk", &["--list", "--output", "Start-C/H/S,End-C/H/S"], &path);
        let rows = columns.lines().skip_while(|line| !line.starts_with("Start-C/H/S")).skip(1);
        let row: Vec<&str> = rows.last().unwrap().split_whitespace().collect();
        assert_eq!(row, ["1023/254/63", "1023/254/63"], "{columns}");
    }
}

#[test]
fn xorriso_hybrid_image() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), vec![5; 3 << 20]).unwrap();
    let esp = dir.path().join("esp");
    fs::write(&esp, vec![6; 2 << 20]).unwrap();
    let path = dir.path().join("disk");
    let status = Command::new("xorriso")
        .args(["-as", "mkisofs", "-quiet", "-V", "LIVE", "-partition_offset", "16", "-appended_part_as_gpt"])
        .args(["-append_partition", "2", "0xef"])
        .arg(&esp)
        .arg("-o")
        .args([&path, &tree])
        .status()
        .unwrap();
    assert!(status.success());
    let image = fs::metadata(&path).unwrap().len();
    File::options().write(true).open(&path).unwrap().set_len(64 * MIB).unwrap();
    let before = fs::read(&path).unwrap();
    let old = read(&path);
    // The size that the volume itself states is enough: the table knows the rest.
    let addition = add(&path, 4 * MIB);
    only_the_writes_changed(&before, &path, &addition);
    assert!(addition.gap.start >= image, "{:?} reaches into the image of {image} bytes", addition.gap);
    let new = read(&path);
    assert_eq!(new.partitions[..old.partitions.len()], old.partitions[..]);
    assert_eq!(new.partitions.len(), old.partitions.len() + 1);
    let added = new.partitions.last().unwrap().number as usize;
    assert_eq!(type_of(&path, added), "Linux filesystem");
    no_problems(&path);
}

//! Boot structures and identity of the image, as independent programs see them.
#![allow(missing_docs)]

mod tiny;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rdlive_media::format::iso9660::{Platform, Volume};
use rdlive_media::format::partition::{self, TableKind};
use tiny::{Tiny, run};

#[test]
fn b01_gpt_image_has_every_boot_structure() {
    let tiny = Tiny::new();
    let iso = tiny.build(&[]);
    let check = run(Command::new("sgdisk").arg("-v").arg(&iso));
    assert!(check.contains("No problems found"), "{check}");
    let report = run(Command::new("xorriso").arg("-indev").arg(&iso).args([
        "-report_el_torito",
        "plain",
        "-report_system_area",
        "plain",
    ]));
    for part in [
        "MBR protective-msdos-label grub2-mbr",
        "boot-info-table grub2-boot-info",
        "MBR partition      :   1   0x00  0xee",
        "MBR partition      :   2   0x80  0x00",
        "Partition offset   : 16",
        "/boot/grub/eltorito.img",
    ] {
        assert!(report.contains(part), "{part:?} is not in {report}");
    }
    // Number, platform, bootable, emulation, load segment, system type.
    let entries: Vec<String> = report
        .lines()
        .filter_map(|line| line.strip_prefix("El Torito boot img :"))
        .map(|line| line.split_whitespace().take(6).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(entries, ["1 BIOS y none 0x0000 0x00", "2 UEFI y none 0x0000 0x00"], "{report}");
    let mut file = fs::File::open(&iso).unwrap();
    let size = file.metadata().unwrap().len();
    let table = partition::table(&mut file, size).unwrap().unwrap();
    assert_eq!(table.kind, TableKind::Gpt { primary_ok: true, backup_ok: true });
    let esp = &table.partitions[1];
    assert!(esp.size < 32 << 20, "{} bytes", esp.size);
    let mut volume = Volume::open(file).unwrap();
    let entries = volume.boot_entries().unwrap();
    assert_eq!(entries.iter().map(|e| e.platform).collect::<Vec<_>>(), [Platform::Bios, Platform::Uefi]);
    assert_eq!(entries[0].sectors, 4);
    assert_eq!(entries[1].offset(), esp.start, "the UEFI entry is the EFI partition");
    assert_eq!(u64::from(entries[1].sectors) * 512, esp.size);
}

/// seed-audit SD-3, SD-6: live-grub-stick's menu starts these, and people extract them.
#[test]
fn sd3_kernel_and_initrd_have_kiwis_names_too_which_cost_nothing() {
    let tiny = Tiny::new();
    let iso = tiny.build(&[]);
    let lba = |path: &str| {
        let report = run(Command::new("xorriso").arg("-indev").arg(&iso).args(["-find", path, "-exec", "report_lba"]));
        let line = report.lines().find(|line| line.starts_with("File data lba:")).unwrap_or_else(|| panic!("{report}"));
        line.rsplit_once(" , ").unwrap().0.to_owned()
    };
    for (ours, kiwis) in
        [("/boot/vmlinuz", "/boot/x86_64/loader/linux"), ("/boot/initrd.img", "/boot/x86_64/loader/initrd")]
    {
        assert_eq!(lba(ours), lba(kiwis));
    }
}

/// What blkid finds in a file.
fn blkid(file: &Path, options: &[&str]) -> BTreeMap<String, String> {
    let text = run(Command::new("blkid").args(["-p", "-o", "export"]).args(options).arg(file));
    // Characters that a shell would take for its own have a backslash.
    let pair = |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.replace('\\', "")));
    text.lines().filter_map(pair).collect()
}

/// The types, as programs name them that have their own list of numbers: firmware has one too.
#[test]
fn b01_b03_other_programs_name_the_partition_types() {
    let tiny = Tiny::new();
    for (table, label, types) in
        [("gpt", "gpt", ["Microsoft basic data", "EFI System"]), ("msdos", "dos", ["unknown", "EFI (FAT-12/16/32)"])]
    {
        let iso = tiny.build(&["--table", table]);
        let listed = run(Command::new("sfdisk").args(["--list", "--output", "type"]).arg(&iso));
        let rows: Vec<&str> = listed.lines().skip_while(|line| *line != "Type").skip(1).map(str::trim).collect();
        assert_eq!(rows, types, "{listed}");
        let json: serde_json::Value =
            serde_json::from_str(&run(Command::new("sfdisk").arg("--json").arg(&iso))).unwrap();
        assert_eq!(json["partitiontable"]["label"], label, "{json}");
        if table == "gpt" {
            let id = json["partitiontable"]["id"].as_str().unwrap();
            let parsed = run(Command::new("uuidparse").args(["-n", "-o", "variant,type"]).arg(id));
            assert_eq!(parsed.split_whitespace().collect::<Vec<_>>(), ["DCE", "random"], "{id}");
            let info = run(Command::new("sgdisk").args(["-i", "2"]).arg(&iso));
            assert!(info.contains("(EFI system partition)"), "{info}");
        } else {
            assert_eq!(json["partitiontable"]["partitions"][0]["bootable"], true, "{json}");
        }
    }
}

/// The EFI system partition, cut out, as programs for FAT see it.
#[test]
fn b06_the_efi_system_partition_is_a_sound_fat16() {
    let tiny = Tiny::new();
    let bytes = fs::read(tiny.build(&[])).unwrap();
    let json = run(Command::new("sfdisk").arg("--json").arg(tiny.iso()));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let number = |key: &str| json["partitiontable"]["partitions"][1][key].as_u64().unwrap() as usize * 512;
    let esp = tiny.out().join("esp");
    fs::write(&esp, &bytes[number("start")..][..number("size")]).unwrap();
    run(Command::new("fsck.fat").arg("-n").arg(&esp));
    let found = blkid(&esp, &[]);
    for (key, value) in [("TYPE", "vfat"), ("VERSION", "FAT16"), ("LABEL", "EFI")] {
        assert_eq!(found[key], value, "{found:?}");
    }
    let program = run(Command::new("mdir").args(["-b", "-i"]).arg(&esp).arg("::/EFI/BOOT"));
    assert!(program.contains("BOOTX64.EFI"), "{program}");
    let kind = run(Command::new("file").arg("--brief").arg(tiny.extract(&tiny.iso(), "/EFI/BOOT/BOOTX64.EFI")));
    assert!(kind.starts_with("PE32+ executable (EFI application) x86-64"), "{kind}");
}

#[test]
fn b09_partition_one_is_a_volume_of_its_own() {
    let tiny = Tiny::new();
    let iso = tiny.build(&["--volume-id", "WHOLE"]);
    let json: serde_json::Value = serde_json::from_str(&run(Command::new("sfdisk").arg("--json").arg(&iso))).unwrap();
    let start = json["partitiontable"]["partitions"][0]["start"].as_u64().unwrap() * 512;
    assert_eq!(start, 16 * 2048);
    for start in [0, start] {
        let found = blkid(&iso, &["-O", &start.to_string()]);
        assert_eq!((found["TYPE"].as_str(), found["LABEL"].as_str()), ("iso9660", "WHOLE"), "at {start}");
    }
}

#[test]
fn b10_default_identity_is_unique_and_the_same_everywhere() {
    let tiny = Tiny::new();
    let label = |args: &[&str]| {
        let iso = tiny.build(args);
        let mut volume = Volume::open(fs::File::open(&iso).unwrap()).unwrap();
        // The kernel arguments must have the names that a system finds, not those that we read.
        let found = blkid(&iso, &[]);
        let (label, uuid) = (found["LABEL"].clone(), found["UUID"].clone());
        let menu = String::from_utf8(volume.read("/boot/grub/grub.cfg", 1 << 16).unwrap()).unwrap();
        assert_eq!(menu.matches(&format!("root=live:CDLABEL={label} ")).count(), 2, "{menu}");
        assert_eq!(menu.matches(&format!("rd.live.medium=UUID={uuid},ID=")).count(), 2, "{menu}");
        label
    };
    let first = label(&[]);
    assert!(first.starts_with("TINY_1-0_") && first.len() <= 32, "{first}");
    assert!(first.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "_-".contains(c)), "{first}");
    tiny.file("etc/changed", "x");
    assert_ne!(first, label(&[]));
}

#[test]
fn b12_grub_finds_the_medium_by_its_id_file() {
    let tiny = Tiny::new();
    let iso = tiny.build(&[]);
    let mut volume = Volume::open(fs::File::open(&iso).unwrap()).unwrap();
    let names: Vec<String> = volume.list("/.rdlive").unwrap().unwrap().into_iter().map(|entry| entry.name).collect();
    let id = names.iter().find(|name| *name != "info.json").unwrap();
    assert_eq!(volume.read(&format!("/.rdlive/{id}"), 99).unwrap(), format!("{id}\n").into_bytes());
    // The early configuration is stored as text in the UEFI program.
    let program = volume.read("/EFI/BOOT/BOOTX64.EFI", 1 << 24).unwrap();
    let wanted = format!("search.file /.rdlive/{id} root");
    assert!(program.windows(wanted.len()).any(|window| window == wanted.as_bytes()));
}

/// What an odd tree and odd kernel arguments make of the menus, as GRUB's own parser takes them.
#[test]
fn b50_b51_grub_parses_the_menus() {
    let tiny = Tiny::new();
    tiny.file("etc/os-release", "ID=tiny\nPRETTY_NAME=\"It's {a} $tiny; Linux\"\n");
    let iso = tiny.build(&["--append-karg", "a=b; c {d}"]);
    for name in ["grub.cfg", "loopback.cfg"] {
        let menu = tiny.extract(&iso, &format!("/boot/grub/{name}"));
        run(Command::new("grub-script-check").arg(&menu));
        let damaged = fs::read_to_string(&menu).unwrap() + "}";
        fs::remove_file(&menu).unwrap();
        fs::write(&menu, damaged).unwrap();
        assert!(!Command::new("grub-script-check").arg(&menu).output().unwrap().status.success(), "{name}: it looks");
    }
}

#[test]
fn b51_loopback_cfg_needs_only_iso_path() {
    let tiny = Tiny::new();
    let iso = tiny.build(&["--append-karg", "a=b c"]);
    let mut volume = Volume::open(fs::File::open(&iso).unwrap()).unwrap();
    let text = String::from_utf8(volume.read("/boot/grub/loopback.cfg", 1 << 16).unwrap()).unwrap();
    assert!(text.contains("'a=b c' \"iso-scan/filename=$iso_path\""), "{text}");
    let others: Vec<&str> = text.split('$').skip(1).filter(|rest| !rest.starts_with("iso_path\"")).collect();
    assert!(others.is_empty() && !text.contains("search"), "{text}");
}

#[test]
fn names_on_the_medium_reach_the_kernel() {
    let tiny = Tiny::new();
    let args =
        ["--live-dir", "my/live", "--squashimg", "root.sfs", "--volume-id", "has space", "--allow-unusual-volume-id"];
    let iso = tiny.build(&args);
    let mut volume = Volume::open(fs::File::open(&iso).unwrap()).unwrap();
    assert!(volume.find("/my/live/root.sfs").unwrap().is_some());
    let menu = String::from_utf8(volume.read("/boot/grub/grub.cfg", 1 << 16).unwrap()).unwrap();
    for part in ["'root=live:CDLABEL=has space'", "rd.live.dir=my/live", "rd.live.squashimg=root.sfs"] {
        assert!(menu.contains(part), "{part}: {menu}");
    }
}

#[test]
fn inspect_tells_what_was_built() {
    let tiny = Tiny::new();
    let iso = tiny.build(&["--volume-id", "INSPECT_ME", "--append-karg", "x=y z"]);
    let json = run(Command::new(env!("CARGO_BIN_EXE_rdlive-image")).arg("inspect").arg(&iso).arg("--json"));
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    for (pointer, expected) in [
        ("/volume-id", "INSPECT_ME"),
        ("/boot-entries/0/title", "Tiny Linux 1.0"),
        ("/boot-entries/0/kargs/0", "root=live:CDLABEL=INSPECT_ME"),
        ("/boot-entries/0/kargs/3", "x=y z"),
        ("/container/path", "/LiveOS/squashfs.img"),
        ("/container/kind", "squashfs"),
        ("/container/compression", "zstd"),
        ("/kernel/path", "/boot/vmlinuz"),
        ("/loopback", "/boot/grub/loopback.cfg"),
        ("/rdlive/kernel", tiny::VERSION),
        ("/rdlive/mode", "native"),
    ] {
        assert_eq!(found.pointer(pointer).and_then(|value| value.as_str()), Some(expected), "{pointer} in {json}");
    }
    assert_eq!(found["problems"], serde_json::json!([]), "{json}");
    let kind = run(Command::new("file").arg("--brief").arg(tiny.extract(&iso, "/LiveOS/squashfs.img")));
    assert!(kind.starts_with("Squashfs filesystem, little endian, version 4.0, zstd compressed"), "{kind}");
    assert!(found["rdlive"]["agent"].as_str().unwrap().starts_with("rdlive 9.9.9"));
    assert!(!json.contains(tiny.root().to_str().unwrap()), "a path of the build machine: {json}");
}

#[test]
fn inspect_sees_a_truncated_image() {
    let tiny = Tiny::new();
    let iso = tiny.build(&[]);
    let file = fs::OpenOptions::new().write(true).open(&iso).unwrap();
    file.set_len(file.metadata().unwrap().len() - (1 << 20)).unwrap();
    let text = run(Command::new(env!("CARGO_BIN_EXE_rdlive-image")).arg("inspect").arg(&iso));
    assert!(text.contains("problem") && text.contains("the file is incomplete"), "{text}");
}

#[test]
fn f13_an_iso_with_a_private_file_is_private() {
    let tiny = Tiny::new();
    let key = tiny.agent().with_file_name("key");
    fs::write(&key, "secret").unwrap();
    let add = format!("--add-file={}:/key", key.display());
    for (mode, expected) in [(0o600, 0o600), (0o644, 0o644)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let iso = tiny.build(&[&add]);
        assert_eq!(fs::metadata(&iso).unwrap().permissions().mode() & 0o7777, expected);
        let said = run(&mut tiny.command(&[&add, "--dry-run"]));
        assert_eq!(said.contains("only its owner may read"), expected == 0o600, "{said}");
    }
}

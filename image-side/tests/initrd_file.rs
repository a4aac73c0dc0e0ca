//! The native initramfs, unpacked again.
#![allow(missing_docs)]

mod tiny;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use rdlive::modindex::Index;
use tiny::{Tiny, run};

fn initrd(tiny: &Tiny, args: &[&str], epoch: Option<&str>) -> Vec<u8> {
    let output = tiny.out().join("initrd");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdlive-image"));
    command.arg("initrd").arg("--root").arg(tiny.root()).arg("--output").arg(&output).arg("--agent").arg(tiny.agent());
    command.args(args).env_remove("SOURCE_DATE_EPOCH");
    if let Some(epoch) = epoch {
        command.env("SOURCE_DATE_EPOCH", epoch);
    }
    run(&mut command);
    fs::read(output).unwrap()
}

/// Path → (mode, content).
fn unpack(bytes: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
    let plain = zstd::stream::decode_all(bytes).unwrap_or_else(|_| bytes.to_vec());
    let mut rest = &plain[..];
    let mut found = BTreeMap::new();
    loop {
        let mut reader = cpio::newc::Reader::new(rest).unwrap();
        if reader.entry().is_trailer() {
            return found;
        }
        let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut content).unwrap();
        found.insert(name, (mode, content));
        rest = reader.finish().unwrap();
    }
}

#[test]
fn agent_modules_index_and_configuration_are_in() {
    let tiny = Tiny::new();
    tiny.file("etc/modprobe.d/x.conf", "options sr_mod a=1\nblacklist loop\n");
    let extra = tiny.out().join("extra");
    fs::write(&extra, "more").unwrap();
    let add = format!("{}:/etc/extra", extra.display());
    let args = ["--conf", "dialect=kiwi", "--conf", "medium=UUID=1", "--add-file", &add, "--profile", "minimal"];
    let files = unpack(&initrd(&tiny, &args, None));
    assert_eq!(files["init"].0, 0o100_755);
    assert_eq!(files["dev/console"].0, 0o020_600);
    assert_eq!(files["etc/extra"].1, b"more");
    let conf = String::from_utf8(files["etc/rdlive.conf"].1.clone()).unwrap();
    assert!(conf.ends_with("dialect = kiwi\nmedium = UUID=1\n"), "{conf}");
    let text = String::from_utf8(files[rdlive::layout::MODULE_INDEX].1.clone()).unwrap();
    let index = Index::parse(&text).unwrap();
    assert_eq!(index.kernel(), tiny::VERSION);
    let order: Vec<_> = index.load_order("isofs").iter().map(|module| (module.name, module.file)).collect();
    assert_eq!(order.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["cdrom", "isofs"]);
    for (_, file) in order {
        assert!(files.contains_key(file.trim_start_matches('/')), "{file}");
    }
    assert_eq!(index.load_order("sr_mod")[1].parameters, "a=1");
    assert!(!index.contains("other") && index.matches("fs-iso9660") == ["isofs"]);
}

#[test]
fn added_modules_must_exist() {
    let tiny = Tiny::new();
    let files = unpack(&initrd(&tiny, &["--add-module", "other", "--compress", "none"], None));
    assert!(files.contains_key(&format!("usr/lib/modules/{}/kernel/net/other.ko.zst", tiny::VERSION)));
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdlive-image"));
    command.arg("initrd").arg("--root").arg(tiny.root()).args(["--add-module", "gone", "--output"]);
    let output = command.arg(tiny.out().join("x")).arg("--agent").arg(tiny.agent()).output().unwrap();
    assert!(!output.status.success());
    assert!(tiny::stderr(&output).contains("--add-module gone"), "{}", tiny::stderr(&output));
    assert!(!tiny.out().join("x").exists() && !tiny.out().join("x.partial").exists());
}

#[test]
fn modules_are_stored_as_zstd_whatever_the_distribution_does() {
    let tiny = Tiny::new();
    let base = format!("usr/lib/modules/{}", tiny::VERSION);
    tiny.file(&format!("{base}/modules.dep"), "kernel/drivers/scsi/hpsa.ko.xz:\n");
    tiny.file(&format!("{base}/kernel/drivers/scsi/hpsa.ko"), b"\x7fELF module");
    run(Command::new("xz").arg(tiny.root().join(&base).join("kernel/drivers/scsi/hpsa.ko")));
    for (args, expected) in [(&[][..], "hpsa.ko.zst"), (&["--plain-modules"], "hpsa.ko")] {
        let files = unpack(&initrd(&tiny, args, None));
        let text = String::from_utf8(files[rdlive::layout::MODULE_INDEX].1.clone()).unwrap();
        let index = Index::parse(&text).unwrap();
        let file = index.load_order("hpsa")[0].file;
        assert_eq!(Path::new(file).file_name().unwrap(), expected);
        let stored = &files[file.trim_start_matches('/')].1;
        let module = zstd::bulk::decompress(stored, 99).unwrap_or_else(|_| stored.clone());
        assert_eq!(module, b"\x7fELF module", "{args:?}");
    }
}

#[test]
fn b49_same_input_same_initramfs() {
    let one = Tiny::new();
    let two = Tiny::new();
    assert_eq!(initrd(&one, &[], Some("1700000000")), initrd(&two, &[], Some("1700000000")));
    assert_eq!(initrd(&one, &[], None), initrd(&two, &[], None), "the clock does not matter");
    assert_ne!(initrd(&one, &[], Some("1")), initrd(&one, &[], Some("2")));
}

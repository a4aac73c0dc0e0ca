//! The native initramfs, unpacked again.
#![allow(missing_docs)]

mod tiny;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use rdlive_media::modindex::Index;
use tiny::{Tiny, run};

fn initrd(tiny: &Tiny, args: &[&str], epoch: Option<&str>) -> Vec<u8> {
    make(tiny, args, epoch).0
}

/// The initramfs, and what the builder says.
fn make(tiny: &Tiny, args: &[&str], epoch: Option<&str>) -> (Vec<u8>, String) {
    let output = tiny.out().join("initrd");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdlive-image"));
    command.arg("initrd").arg("--root").arg(tiny.root()).arg("--output").arg(&output).arg("--agent").arg(tiny.agent());
    command.args(args).env_remove("SOURCE_DATE_EPOCH");
    if let Some(epoch) = epoch {
        command.env("SOURCE_DATE_EPOCH", epoch);
    }
    let said = run(&mut command);
    (fs::read(output).unwrap(), said)
}

fn index_text(tiny: &Tiny, initrd: &[u8]) -> String {
    String::from_utf8(unpack(tiny, initrd)[rdlive_media::layout::MODULE_INDEX].1.clone()).unwrap()
}

/// Path → (mode as ls shows it, content), as GNU's cpio and the zstd program read it; of a device, its numbers.
fn unpack(tiny: &Tiny, bytes: &[u8]) -> BTreeMap<String, (String, Vec<u8>)> {
    let dir = tempfile::tempdir_in(tiny.out()).unwrap();
    let (packed, plain) = (dir.path().join("packed"), dir.path().join("plain"));
    fs::write(&packed, bytes).unwrap();
    let kind = run(Command::new("file").args(["--brief", "--mime-type"]).arg(&packed));
    match kind.trim() {
        "application/zstd" => drop(run(Command::new("zstd").args(["-dq"]).arg(&packed).arg("-o").arg(&plain))),
        "application/x-cpio" => fs::rename(&packed, &plain).unwrap(),
        other => panic!("{other} is no initramfs"),
    }
    let cpio = |options: &[&str]| {
        let mut command = Command::new("cpio");
        let input = fs::File::open(&plain).unwrap();
        run(command.args(options).arg("--quiet").current_dir(dir.path()).stdin(input))
    };
    let listed = cpio(&["-tvn"]);
    fs::create_dir(dir.path().join("tree")).unwrap();
    // Only root makes devices.
    cpio(&["-idm", "-D", "tree", "--nonmatching", "dev/*"]);
    let names = cpio(&["-t"]);
    let entry = |(name, line): (&str, &str)| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let content = match line.starts_with('c') {
            // "crw------- 1 0 0 5, 1 Jan …"
            true => words[4..6].concat().into_bytes(),
            false => fs::read(dir.path().join("tree").join(name)).unwrap_or_default(),
        };
        (name.to_owned(), (line.split(' ').next().unwrap().to_owned(), content))
    };
    names.lines().zip(listed.lines()).map(entry).collect()
}

#[test]
fn agent_modules_index_and_configuration_are_in() {
    let tiny = Tiny::new();
    tiny.file("etc/modprobe.d/x.conf", "options sr_mod a=1\nblacklist loop\n");
    let extra = tiny.out().join("extra");
    fs::write(&extra, "more").unwrap();
    let add = format!("{}:/etc/extra", extra.display());
    let args = ["--conf", "dialect=kiwi", "--conf", "medium=UUID=1", "--add-file", &add, "--profile", "minimal"];
    let files = unpack(&tiny, &initrd(&tiny, &args, None));
    assert_eq!(files["init"].0, "-rwxr-xr-x");
    // Linux' list of devices, Documentation/admin-guide/devices.txt.
    for (node, mode, numbers) in [("dev/console", "crw-------", "5,1"), ("dev/null", "crw-rw-rw-", "1,3")] {
        assert_eq!(files[node], (mode.to_owned(), numbers.as_bytes().to_vec()), "{node}");
    }
    assert_eq!(files["etc/extra"].1, b"more");
    let conf = String::from_utf8(files["etc/rdlive.conf"].1.clone()).unwrap();
    assert!(conf.ends_with("dialect = kiwi\nmedium = UUID=1\n"), "{conf}");
    let text = String::from_utf8(files[rdlive_media::layout::MODULE_INDEX].1.clone()).unwrap();
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
    let files = unpack(&tiny, &initrd(&tiny, &["--add-module", "other", "--compress", "none"], None));
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
        let files = unpack(&tiny, &initrd(&tiny, args, None));
        let text = String::from_utf8(files[rdlive_media::layout::MODULE_INDEX].1.clone()).unwrap();
        let index = Index::parse(&text).unwrap();
        let file = index.load_order("hpsa")[0].file;
        assert_eq!(Path::new(file).file_name().unwrap(), expected);
        let stored = tiny.out().join(expected);
        fs::write(&stored, &files[file.trim_start_matches('/')].1).unwrap();
        // With --force it passes on what is not compressed.
        let module = run(Command::new("zstd").args(["-dcq", "--force"]).arg(&stored));
        assert_eq!(module, "\x7fELF module", "{args:?}");
        assert_eq!(Command::new("zstd").arg("-tq").arg(&stored).output().unwrap().status.success(), args.is_empty());
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

#[test]
fn f13_what_holds_a_private_file_is_private() {
    let tiny = Tiny::new();
    let (open, key, group) = (tiny.out().join("open"), tiny.out().join("key"), tiny.out().join("group"));
    for (path, mode) in [(&open, 0o644), (&key, 0o600), (&group, 0o640)] {
        fs::write(path, "secret").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let mode = |path: &Path| format!("{:o}", fs::metadata(path).unwrap().permissions().mode() & 0o7777);
    let add = |path: &Path| format!("--add-file={}:/etc/added", path.display());
    let output = tiny.out().join("initrd");
    for (args, expected) in
        [(vec![add(&open)], "644"), (vec![add(&open), add(&key)], "600"), (vec![add(&group)], "600")]
    {
        // What an earlier build has left, whole or not.
        for old in [&output, &output.with_extension("partial")] {
            fs::write(old, "").unwrap();
            fs::set_permissions(old, fs::Permissions::from_mode(0o644)).unwrap();
        }
        for compress in ["--compress=zstd", "--compress=none"] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_rdlive-image"));
            command.arg("initrd").arg("--root").arg(tiny.root()).arg("--output").arg(&output);
            let said = run(command.arg("--agent").arg(tiny.agent()).arg(compress).args(&args));
            assert_eq!(mode(&output), expected, "{args:?} {compress}");
            assert_eq!(said.contains("only its owner may read"), expected == "600", "{said}");
        }
    }
}

/// Vendors, distributions' kmods and dkms put drivers beside the kernel's own, which they replace.
#[test]
fn drivers_that_lie_beside_the_kernels_own_are_in() {
    let tiny = Tiny::new();
    let base = format!("usr/lib/modules/{}", tiny::VERSION);
    let dep = "kernel/drivers/scsi/scsi_transport_fc.ko:\nextra/drivers/scsi/same.ko:\nupdates/dkms/mpt3sas.ko:\n\
               weak-updates/kmod-smartpqi/smartpqi.ko:\nextra/newraid/newraid.ko: extra/newraid/compat.ko\n\
               extra/newraid/compat.ko:\nextra/class.ko:\nextra/card.ko:\nupdates/dkms/zfs.ko:\nupdates/dkms/qla2xxx.ko:\n\
               extra/newfc.ko: kernel/drivers/scsi/scsi_transport_fc.ko\nextra/scsi_debug.ko:\nextra/video.ko:\n";
    let order = "kernel/drivers/scsi/mpt3sas/mpt3sas.ko\nkernel/drivers/scsi/smartpqi/smartpqi.ko\n\
                 kernel/drivers/scsi/qla2xxx/qla2xxx.ko\nkernel/drivers/gpu/video.ko\n";
    let alias = "alias pci:v00001000d00000072sv*sd*bc*sc*i* newraid\nalias pci:v*d*sv*sd*bc01sc04i00* class\n\
                 alias pci:v00008086d00001000sv*sd*bc*sc*i* card\nalias pci:v00001077d00002031sv*sd*bc*sc*i* newfc\n\
                 alias devname:zfs zfs\n";
    let disk = b"\x7fELF \0scsi_host_alloc\0";
    for (name, text) in [("modules.dep", dep), ("modules.order", order), ("modules.alias", alias)] {
        tiny.file(&format!("{base}/{name}"), text);
    }
    tiny.file(&format!("{base}/kernel/drivers/scsi/scsi_transport_fc.ko"), "");
    for name in ["drivers/scsi/same", "newraid/compat", "class", "scsi_debug", "video"] {
        tiny.file(&format!("{base}/extra/{name}.ko"), "");
    }
    for name in
        ["extra/newraid/newraid", "extra/newfc", "updates/dkms/zfs", "updates/dkms/mpt3sas", "updates/dkms/qla2xxx"]
    {
        tiny.file(&format!("{base}/{name}.ko"), disk);
    }
    tiny.file(&format!("{base}/extra/card.ko"), b"\x7fELF \0alloc_etherdev_mqs\0");
    // As weak-modules makes them: of another kernel, by an absolute name, which must not be looked up on this machine.
    tiny.file("usr/lib/modules/6.1.0-old/extra/smartpqi.ko", b"\x7fELF of the tree");
    symlink("usr/lib", tiny.root().join("lib")).unwrap();
    fs::create_dir_all(tiny.root().join(&base).join("weak-updates/kmod-smartpqi")).unwrap();
    let link = tiny.root().join(&base).join("weak-updates/kmod-smartpqi/smartpqi.ko");
    symlink("/lib/modules/6.1.0-old/extra/smartpqi.ko", link).unwrap();

    let (bytes, said) = make(&tiny, &["--plain-modules"], None);
    let files = unpack(&tiny, &bytes);
    let text = index_text(&tiny, &bytes);
    let index = Index::parse(&text).unwrap();
    for (name, expected) in [
        ("same", true),
        ("mpt3sas", true),
        ("smartpqi", true),
        ("newraid", true),
        ("compat", true),
        ("class", true),
        ("card", false),
        ("zfs", false),
        ("qla2xxx", false),
        ("newfc", false),
        ("scsi_debug", false),
        ("video", false),
    ] {
        assert_eq!(index.contains(name), expected, "{name}: {text}");
    }
    let of_the_tree = &files[&format!("{base}/weak-updates/kmod-smartpqi/smartpqi.ko")].1;
    assert_eq!(of_the_tree, b"\x7fELF of the tree");
    let note = "drivers from outside the kernel's own directory are in the initramfs: class (extra/class.ko), \
                compat (extra/newraid/compat.ko), mpt3sas (updates/dkms/mpt3sas.ko), ";
    assert!(said.contains(note), "{said}");
    let planned = tiny.command(&["--dry-run"]).output().unwrap();
    assert!(String::from_utf8_lossy(&planned.stdout).contains(note), "{planned:?}");
    let minimal = index_text(&tiny, &initrd(&tiny, &["--profile", "minimal"], None));
    assert!(!minimal.contains("mpt3sas"), "{minimal}");
}

/// What a hardened system forbids itself must not keep it from its medium.
#[test]
fn drivers_of_media_are_not_on_the_blacklist() {
    let tiny = Tiny::new();
    let base = format!("usr/lib/modules/{}", tiny::VERSION);
    let names = ["usb-storage", "uas", "usbcore", "sdhci-pci", "firewire-ohci", "i8042", "hid-apple", "other", "aloof"];
    let dep: String = names.iter().map(|name| format!("kernel/{name}.ko:\n")).collect();
    tiny.file(&format!("{base}/modules.dep"), dep.replace("uas.ko:", "uas.ko: kernel/usbcore.ko"));
    names.iter().for_each(|name| tiny.file(&format!("{base}/kernel/{name}.ko"), ""));
    let lines = "install usb-storage /bin/true\ninstall sdhci_pci /usr/bin/false\ninstall aloof /bin/true\n\
                 install i8042 /sbin/modprobe --ignore-install i8042\n";
    let lists: String = names.iter().map(|name| format!("blacklist {name}\n")).collect();
    tiny.file("etc/modprobe.d/hard.conf", format!("{}{lines}", lists.replace("blacklist sdhci-pci\n", "")));
    let (bytes, said) = make(&tiny, &["--add-module", "other"], None);
    let text = index_text(&tiny, &bytes);
    let left: Vec<&str> = text.lines().filter(|line| line.starts_with("b ")).collect();
    // Keyboards are no media, and what was added may be for anything.
    assert_eq!(left, ["b hid_apple", "b i8042", "b other"]);
    let note = "modprobe.d forbids firewire_ohci, sdhci_pci, uas, usb_storage, usbcore: ";
    assert!(said.contains(note), "{said}");
    let planned = tiny.command(&["--dry-run"]).output().unwrap();
    assert!(String::from_utf8_lossy(&planned.stdout).contains(note), "{planned:?}");
    assert!(!String::from_utf8_lossy(&planned.stdout).contains("outside the kernel"), "{planned:?}");
}

/// Readers of cards tell no module's name: udev's rules know which one is for the card.
#[test]
fn readers_of_cards_bring_the_drivers_of_the_cards() {
    let tiny = Tiny::new();
    let base = format!("usr/lib/modules/{}", tiny::VERSION);
    let names = [
        ("dwc3-pci", ""),
        ("dwc3", ""),
        ("mtip32xx", ""),
        ("tifm_core", ""),
        ("tifm_7xx1", "tifm_core"),
        ("tifm_sd", "tifm_core"),
        ("tifm_ms", "tifm_core memstick"),
        ("cb710", ""),
        ("cb710-mmc", "cb710"),
        ("vub300", ""),
        ("ushc", ""),
        ("memstick", ""),
        ("ms_block", "memstick"),
        ("mspro_block", "memstick"),
        ("jmb38x_ms", "memstick"),
        ("r592", "memstick"),
        ("rtsx_usb_ms", "memstick"),
    ];
    let of = |deps: &str| deps.split_whitespace().map(|dep| format!(" kernel/{dep}.ko")).collect::<String>();
    let dep: String = names.iter().map(|(name, deps)| format!("kernel/{name}.ko:{}\n", of(deps))).collect();
    tiny.file(&format!("{base}/modules.dep"), dep);
    names.iter().for_each(|(name, _)| tiny.file(&format!("{base}/kernel/{name}.ko"), ""));
    let text = index_text(&tiny, &initrd(&tiny, &[], None));
    let index = Index::parse(&text).unwrap();
    for (name, _) in names {
        assert!(index.contains(name), "{name}: {text}");
    }
    let loaded = |name: &str| index.load_order(name).iter().map(|module| module.name).collect::<Vec<_>>();
    for (reader, card) in [("tifm_7xx1", "tifm_sd"), ("tifm_7xx1", "mspro_block"), ("r592", "ms_block")] {
        assert!(loaded(reader).contains(&card), "{reader}: {:?}", loaded(reader));
    }
}

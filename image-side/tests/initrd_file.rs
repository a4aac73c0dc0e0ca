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

/// A module without code that says this of itself.
fn module(facts: &[&str]) -> Vec<u8> {
    let facts: Vec<u8> = facts.iter().flat_map(|fact| [fact.as_bytes(), b"\0"].concat()).collect();
    let names = b"\0.modinfo\0.shstrtab\0";
    let mut elf = vec![0; 64];
    elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    // A relocatable file for x86-64; where the sections are described, and how large each description is.
    for (at, value) in [(16, 1), (18, 62), (20, 1), (52, 64), (58, 64), (60, 3), (62, 2)] {
        elf[at] = value;
    }
    let (facts_at, names_at) = (elf.len(), elf.len() + facts.len());
    elf.extend(&facts);
    elf.extend(names);
    let table = elf.len() as u64;
    elf[40..48].copy_from_slice(&table.to_le_bytes());
    let mut section = |name: u32, kind: u32, at: usize, size: usize| {
        let mut header = [name, kind].map(u32::to_le_bytes).concat();
        header.extend([0, 0, at as u64, size as u64, 0, 1, 0].map(u64::to_le_bytes).concat());
        header.resize(64, 0);
        elf.extend(header);
    };
    section(0, 0, 0, 0);
    section(1, 1, facts_at, facts.len());
    section(10, 3, names_at, names.len());
    elf
}

/// A tree with these modules, "NAME" or "DIRECTORY/NAME", and these aliases.
fn with_modules(names: &[(&str, Vec<u8>)], aliases: &str) -> Tiny {
    let tiny = Tiny::new();
    let base = format!("usr/lib/modules/{}", tiny::VERSION);
    let dep: String = names.iter().map(|(name, _)| format!("kernel/{name}.ko:\n")).collect();
    tiny.file(&format!("{base}/modules.dep"), dep);
    tiny.file(&format!("{base}/modules.alias"), aliases);
    names.iter().for_each(|(name, content)| tiny.file(&format!("{base}/kernel/{name}.ko"), content));
    tiny
}

/// Cards, the PHYs that they may find, USB cards and protocols; no others, and none where nobody wants a network.
#[test]
fn the_network_is_in_the_generic_profile() {
    const IN: &str = "virtio_net e1000 e1000e igb igc r8169 tg3 atlantic vmxnet3 hv_netvsc ena xen-netfront r8152 ax88179_178a cdc_ether \
                      ixgbe i40e bnxt_en 8139cp 8139too af_packet ipv6 8021q realtek broadcom";
    const OUT: &str = "mlx5_core iwlwifi qmi_wwan sfp";
    let names: Vec<(&str, Vec<u8>)> =
        IN.split(' ').chain(OUT.split(' ')).chain(["loop"]).map(|name| (name, Vec::new())).collect();
    let aliases = "alias mdio:0000000000011100110010?????????? realtek\nalias mdio:0000000000100000011000?????????? broadcom\n\
                   alias net-pf-17 af_packet\nalias virtio:d00000001v* virtio_net\nalias pci:v*bc02* mlx5_core\n";
    let tiny = with_modules(&names, aliases);
    tiny.file(&format!("usr/lib/modules/{}/modules.softdep", tiny::VERSION), "softdep r8169 pre: realtek\n");
    let (bytes, said) = make(&tiny, &[], None);
    let text = index_text(&tiny, &bytes);
    let index = Index::parse(&text).unwrap();
    for name in IN.split(' ') {
        assert!(index.contains(name), "{name}: {text}");
    }
    for name in OUT.split(' ') {
        assert!(!index.contains(name), "{name}: {text}");
    }
    // What the kernel asks modprobe for by itself.
    assert_eq!(index.matches("mdio:00000000000111001100100110010010"), ["realtek"]);
    assert_eq!(index.matches("net-pf-17"), ["af_packet"]);
    assert_eq!(index.load_order("r8169").iter().map(|module| module.name).collect::<Vec<_>>(), ["realtek", "r8169"]);
    assert!(said.contains("note: the network adds ") && said.contains("cards of PCs "), "{said}");
    for args in [&["--no-network"][..], &["--profile=minimal"]] {
        let (bytes, said) = make(&tiny, args, None);
        let text = index_text(&tiny, &bytes);
        let index = Index::parse(&text).unwrap();
        assert!(index.contains("loop"), "{args:?}: {text}");
        for name in IN.split(' ') {
            assert!(!index.contains(name), "{args:?}, {name}: {text}");
        }
        assert!(!said.contains("the network adds") && !said.contains("CA certificates"), "{args:?}: {said}");
    }
    let planned = tiny.command(&["--dry-run", "--no-network"]).output().unwrap();
    assert!(String::from_utf8_lossy(&planned.stdout).contains("native (generic, no network)"), "{planned:?}");
}

/// What a hardened system, or one with a vendor's driver instead, says of its cards holds: the next boot of it needs no network.
#[test]
fn cards_that_modprobe_d_forbids_are_left_alone() {
    let tiny = with_modules(&[("r8169", Vec::new()), ("usb-storage", Vec::new())], "");
    tiny.file("etc/modprobe.d/cards.conf", "blacklist r8169\nblacklist usb-storage\n");
    let text = index_text(&tiny, &initrd(&tiny, &[], None));
    assert!(text.contains("\nb r8169\n") && !text.contains("\nb usb_storage\n"), "{text}");
}

#[test]
fn drivers_bring_the_firmware_that_they_name() {
    let cards = [
        ("r8169", module(&["license=GPL", "firmware=rtl_nic/a.fw", "firmware=rtl_nic/b.fw", "firmware=rtl_nic/c.fw"])),
        ("tg3", module(&["firmware=tigon/tg3.bin"])),
        ("drivers/scsi/hpsa", module(&["firmware=other.bin"])),
        ("extra", module(&["firmware=extra/*.bin"])),
    ];
    let tiny = with_modules(&cards, "");
    for path in ["rtl_nic/a.fw.xz", "rtl_nic/real.fw", "other.bin", "extra/one.bin.zst", "extra/two.txt", "unasked.bin"]
    {
        tiny.file(&format!("usr/lib/firmware/{path}"), path);
    }
    symlink("usr/lib", tiny.root().join("lib")).unwrap();
    for name in ["b.fw", "c.fw"] {
        symlink("real.fw", tiny.root().join("usr/lib/firmware/rtl_nic").join(name)).unwrap();
    }
    let (bytes, said) = make(&tiny, &["--add-module=extra"], None);
    let files = unpack(&tiny, &bytes);
    let firmware: Vec<(&str, &str)> = files
        .iter()
        .filter(|(_, (mode, _))| !mode.starts_with('d'))
        .filter_map(|(name, (mode, _))| Some((name.strip_prefix("lib/firmware/")?, &mode[..1])))
        .collect();
    // A file that two names stand for is there once.
    let expected = [
        ("extra/one.bin.zst", "-"),
        ("other.bin", "-"),
        ("rtl_nic/a.fw.xz", "-"),
        ("rtl_nic/b.fw", "-"),
        ("rtl_nic/c.fw", "l"),
    ];
    assert_eq!(firmware, expected);
    assert_eq!(files["lib/firmware/rtl_nic/b.fw"].1, b"rtl_nic/real.fw");
    assert!(said.contains("firmware adds ") && said.contains(" in 5 files"), "{said}");
    let notes: Vec<&str> = said.lines().filter(|line| line.contains("lacks")).collect();
    let lacks =
        "note: tg3: the tree lacks 1 of 1 firmware files (tigon/tg3.bin); hardware that needs them may not work";
    assert_eq!(notes, [lacks]);
    let planned = tiny.command(&["--dry-run"]).output().unwrap();
    assert!(
        String::from_utf8_lossy(&planned.stdout).contains("tg3: the tree lacks 1 of 1 firmware files"),
        "{planned:?}"
    );
    // Without the network, still that of the disks.
    let files = unpack(&tiny, &initrd(&tiny, &["--no-network"], None));
    assert!(files.contains_key("lib/firmware/other.bin") && !files.contains_key("lib/firmware/rtl_nic/b.fw"));
}

#[test]
fn sd_11_the_trees_ca_certificates_come_with_the_network() {
    const TARGET: &str = "etc/ssl/certs/ca-certificates.crt";
    let tiny = Tiny::new();
    let (bytes, said) = make(&tiny, &[], None);
    assert!(!unpack(&tiny, &bytes).contains_key(TARGET));
    assert!(said.contains("note: the tree has no CA certificates") && said.contains("rd.live.ca="), "{said}");
    let own = tiny.out().join("own.crt");
    let pem = |of: &str| format!("# {of}\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    fs::write(&own, pem("own")).unwrap();
    let add = format!("--add-file={}:/{TARGET}", own.display());
    let (bytes, said) = make(&tiny, &[&add], None);
    assert_eq!(unpack(&tiny, &bytes)[TARGET].1, pem("own").into_bytes());
    assert!(!said.contains("no CA certificates"), "{said}");
    // As Fedora has it, through two links.
    tiny.file("etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", pem("Fedora"));
    fs::create_dir_all(tiny.root().join("etc/pki/tls/certs")).unwrap();
    let link = tiny.root().join("etc/pki/tls/certs/ca-bundle.crt");
    symlink("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", link).unwrap();
    let (bytes, said) = make(&tiny, &[], None);
    assert_eq!(unpack(&tiny, &bytes)[TARGET], ("-rw-r--r--".to_owned(), pem("Fedora").into_bytes()));
    assert!(said.contains("CA certificates ") && !said.contains("no CA certificates"), "{said}");
    assert!(!unpack(&tiny, &initrd(&tiny, &["--no-network"], None)).contains_key(TARGET));
}

//! Acceptance cases of the specs, as tables: dracut-live A1–A24, kiwi-live T-01–T-17 and T-26–T-28 (their config halves).

use std::path::PathBuf;
use std::time::Duration;

use super::registry::{self, Kind};
use super::*;
use crate::cmdline::Cmdline;

fn read(text: &str) -> Config {
    interpret_text(text).0
}

fn ids(text: &str) -> Vec<&'static str> {
    interpret_text(text).1.iter().map(|warning| warning.id).collect()
}

fn label(name: &str) -> Source {
    Source::Device(Selector::Label(name.to_owned()))
}

fn named(device: &str, path: Option<&str>) -> Option<Persistence> {
    let device = Selector::parse(device).unwrap();
    Some(Persistence::Named { device, path: path.map(PathBuf::from) })
}

fn automatic(text: &str) -> bool {
    matches!(read(text).overlay.persistence, Some(Persistence::Automatic { .. }))
}

const SNAPSHOT: Method = Method::Snapshot { thin: false };

#[test]
fn root_forms_a1_to_a11_and_t03_t04() {
    let device = Source::Device;
    let path = |path: &str| device(Selector::Path(path.into()));
    let file = |path: &str| Source::InitrdFile(path.into());
    let url = |url: &str| Source::Url(url.to_owned());
    let other = |root: &str| Source::NotLive(Some(root.to_owned()));
    let rows = [
        ("A1", "\"root=live:CDLABEL=My Live\"", label("My Live")),
        ("A1", "root=live:CDLABEL=My\\x20Live", label("My Live")),
        ("A1", "root=\"live:CDLABEL=My Live\"", label("My Live")),
        ("A2", "root=live:CDLABEL=\"My Live\"", label("My Live")),
        ("A3", "root=live:LABEL=a/b", label("a/b")),
        ("A3", "root=live:/dev/disk/by-label/a\\x2fb", label("a/b")),
        ("A4", "root=live:UUID=X", device(Selector::Uuid("X".into()))),
        ("A4", "root=live:PARTUUID=X", device(Selector::PartUuid("X".into()))),
        ("A4", "root=live:PARTLABEL=X", device(Selector::PartLabel("X".into()))),
        ("A5", "rd.live.image root=LABEL=x", label("x")),
        ("A5", "liveimg root=LABEL=x", label("x")),
        ("A6", "rd.live.image root=live:LABEL=x", label("x")),
        ("A7", "rd.live.image root=/dev/sda1", path("/dev/sda1")),
        ("A8", "rd.live.image=0 root=LABEL=x", other("LABEL=x")),
        ("A8", "root=LABEL=x", other("LABEL=x")),
        ("A8", "", Source::NotLive(None)),
        ("A8", "root=", Source::NotLive(None)),
        ("A8", "rd.live.image=0 root=live:LABEL=x", label("x")),
        ("A9", "root=live:/boot.ISO", file("/boot.ISO")),
        ("A9", "rd.live.image root=/a/b.iso", file("/a/b.iso")),
        ("A9", "root=live:/dev/disk/by-label/my.iso", label("my.iso")),
        ("A10", "root=live:/x.img", file("/x.img")),
        ("A10", "root=live:/dev/x.img", path("/dev/x.img")),
        ("A21", "root=http://h/x", url("http://h/x")),
        ("A21", "root=live:ftp://h/x.iso", url("ftp://h/x.iso")),
        ("A21", "rd.live.image root=ftp://h/x", url("ftp://h/x")),
        ("A21", "root=ftp://h/x", other("ftp://h/x")),
        ("nfs", "rd.live.image root=nfs4:server:/path", url("nfs4:server:/path")),
        ("nfs", "root=nfs4:server:/path", other("nfs4:server:/path")),
        ("T-01", "root=live:CDLABEL=CDROM", label("CDROM")),
        ("T-03", "root=CDLABEL=CDROM rd.live.image", label("CDROM")),
        ("T-04", "root=live:/dev/sr0", path("/dev/sr0")),
        ("T-05", "root=live:CDLABEL=My-Image.1_x", label("My-Image.1_x")),
        ("T-46", "root=live:AOEINTERFACE=e0.1", Source::Aoe("e0.1".into())),
        ("T-46", "root=live:AOEINTERFACE:e0.1", Source::Aoe("e0.1".into())),
        ("last wins", "root=live:LABEL=a root=live:LABEL=b", label("b")),
        ("others", "root=overlay:UUID=x", other("overlay:UUID=x")),
        ("others", "root=install:CDLABEL=x", other("install:CDLABEL=x")),
    ];
    for (case, text, expected) in rows {
        assert_eq!(read(text).source, expected, "{case}: {text}");
    }
}

#[test]
fn a2_a_quote_inside_the_value_is_reported() {
    assert_eq!(ids("root=live:CDLABEL=\"My Live\""), ["quotes"]);
    assert_eq!(ids("root=\"live:CDLABEL=My Live\""), [""; 0]);
    assert_eq!(ids("root=live:CDLABEL=a\"b"), ["quotes"]);
}

#[test]
fn a10_a11_unusable_live_roots_are_errors_with_the_accepted_forms() {
    let rows = [
        ("root=live:/x.squashfs", ".iso or .img"),
        ("root=live:NONSENSE", "NONSENSE"),
        ("root=live:sr0", "/dev/sr0"),
        ("root=live:cifs://h/x", "cifs"),
        ("root=live:", "nothing follows live:"),
        ("root=live:LABEL=", "nothing follows LABEL="),
        ("root=live:/some/dir", "neither below /dev"),
        ("root=live:AOEINTERFACE=eth0", "AoE node"),
        ("root=live:http:", "names no server"),
        ("rd.live.image", "root= is missing"),
        ("rd.live.image root=/x", "neither below /dev"),
    ];
    for (text, hint) in rows {
        let (config, warnings) = interpret_text(text);
        let Source::Malformed { why, .. } = &config.source else {
            panic!("{text}: {:?}", config.source);
        };
        assert!(why.contains(hint), "{text}: {why}");
        assert!(why.contains("live:CDLABEL=<label>"), "{text}: {why}");
        assert!(config.source.is_live(), "{text}");
        assert_eq!((warnings[0].id, warnings[0].level), ("root", Level::Error), "{text}");
    }
}

#[test]
fn overlay_method_a12_to_a18() {
    let rows = [
        ("A12", "", SNAPSHOT),
        ("A13", "rd.overlay", Method::Overlayfs),
        ("A13", "rd.overlay=1", Method::Overlayfs),
        ("A14", "rd.live.overlay.overlayfs=1", Method::Overlayfs),
        ("A14", "rd.live.overlay.overlayfs=0", SNAPSHOT),
        ("A17", "rd.live.overlay=none", Method::Direct),
        ("A17", "rd.overlay=none", Method::Direct),
        ("A17", "rd.live.overlay=none rd.overlay", Method::Direct),
        ("A17", "rd.live.overlay=none rd.overlay=LABEL=P", Method::Overlayfs),
        ("A18", "rd.overlay=0", SNAPSHOT),
        ("A18", "rd.overlay=0 rd.live.overlay.overlayfs", SNAPSHOT),
        ("A22", "rd.overlay rd.overlay=0", SNAPSHOT),
        ("A22", "rd.overlay=0 rd.overlay", Method::Overlayfs),
        ("A23", "rd-overlay rd_overlay RD.overlay", SNAPSHOT),
        ("1.4", "rd.overlay=yes", Method::Overlayfs),
        ("1.4", "rd.overlay=LABEL=P", Method::Overlayfs),
        ("1.4", "rd.live.overlay=LABEL=P", SNAPSHOT),
        ("1.4", "rd.live.overlay=1", SNAPSHOT),
        ("1.4", "rd.overlay=tmpfs:size=64M", Method::Overlayfs),
        ("1.4", "rd.live.overlay.thin", Method::Snapshot { thin: true }),
        ("1.4", "rd.overlay rd.live.overlay.thin", Method::Overlayfs),
        ("1.3", "rd.writable.fsimg", Method::Direct),
        ("kiwi", "rd.live.dialect=kiwi", Method::Overlayfs),
        ("kiwi", "rd.live.dialect=kiwi rd.overlay=0", SNAPSHOT),
        ("kiwi", "rd.live.dialect=kiwi rd.live.overlay.thin", Method::Snapshot { thin: true }),
    ];
    for (case, kargs, expected) in rows {
        let text = format!("root=live:LABEL=x {kargs}");
        assert_eq!(read(&text).overlay.method, expected, "{case}: {kargs}");
    }
}

#[test]
fn a14_to_a16_old_names_count_and_are_reported() {
    assert!(ids("rd.live.overlay.overlayfs").contains(&"deprecated"));
    let rows = [
        "rd.overlay.readonly",
        "rd.live.overlay.readonly",
        "readonly_overlay",
        "rd.live.overlayfs.readonly",
        "rd.overlayfs.readonly",
    ];
    for (row, name) in rows.iter().enumerate() {
        let text = format!("rd.overlay=LABEL=P {name}");
        assert!(read(&text).overlay.readonly, "A15, A16: {name}");
        assert_eq!(ids(&text).contains(&"deprecated"), row > 0, "A16: {name}");
    }
    assert!(!read("rd.overlay.readonly=0 rd.live.overlay.readonly").overlay.readonly, "the new name wins");
}

#[test]
fn a17_storage() {
    let on_medium = |path: Option<&str>| Some(Persistence::OnMedium { path: path.map(PathBuf::from) });
    let rows = [
        ("rd.overlay", None),
        ("rd.live.overlay=/dev/sdb1", named("/dev/sdb1", None)),
        ("rd.live.overlay=LABEL=P:/my/cow", named("LABEL=P", Some("my/cow"))),
        ("overlay=LABEL=P", named("LABEL=P", None)),
        ("rd.overlay=LABEL=P:auto", named("LABEL=P", None)),
        ("rd.overlay=1 rd.live.overlay=LABEL=P", named("LABEL=P", None)),
        ("rd.overlay=0 rd.live.overlay=LABEL=P", named("LABEL=P", None)),
        ("rd.overlay=LABEL=A rd.live.overlay=LABEL=B", named("LABEL=A", None)),
        ("rd.live.overlay=1 rd.live.overlay.overlayfs", None),
        ("rd.live.overlay=\"LABEL=My Data:/x y\"", named("LABEL=My Data", Some("x y"))),
        ("rd.live.overlay=:auto", on_medium(None)),
        ("rd.live.overlay=none", None),
        ("rd.overlay=tmpfs", None),
        ("rd.overlay=nonsense", None),
    ];
    for (text, expected) in rows {
        assert_eq!(read(text).overlay.persistence, expected, "{text}");
    }
}

#[test]
fn a19_t17_rootflags_are_a_list() {
    assert_eq!(read("rd.overlay rootflags=noatime,metacopy=on,").rootflags, ["noatime", "metacopy=on"]);
    assert_eq!(read("rootflags=").rootflags, [""; 0]);
}

#[test]
fn a23_nearly_right_names_are_ignored_with_a_hint() {
    for name in ["rd-overlay", "rd_overlay", "RD.overlay"] {
        let warnings = interpret_text(name).1;
        assert_eq!(warnings.len(), 1, "{name}");
        assert_eq!(warnings[0].id, "unknown", "{name}");
        assert!(warnings[0].message.contains("did you mean rd.overlay?"), "{name}: {}", warnings[0].message);
    }
}

#[test]
fn a24_t11_to_t13_places_on_the_medium() {
    let rows = [
        ("default", "", "LiveOS", "squashfs.img"),
        ("A24", "rd.live.dir=a rd.live.dir=b", "b", "squashfs.img"),
        ("T-11", "rd.live.dir=Foo rd.live.squashimg=bar.img", "Foo", "bar.img"),
        ("T-12", "live_dir=Foo", "Foo", "squashfs.img"),
        ("T-13", "live_dir=Foo rd.live.dir=Bar", "Bar", "squashfs.img"),
        ("slashes", "rd.live.dir=/a/b/ rd.live.squashimg=/c/d.img", "a/b", "c/d.img"),
        ("top", "rd.live.dir=/ rd.live.squashimg=rootfs.squashfs", "", "rootfs.squashfs"),
        ("empty", "rd.live.dir= rd.live.squashimg", "LiveOS", "squashfs.img"),
    ];
    for (case, text, dir, file) in rows {
        let config = read(text);
        assert_eq!((config.live_dir.as_str(), config.squashimg.as_str()), (dir, file), "{case}: {text}");
    }
    assert_eq!(ids("live_dir=Foo"), ["deprecated"], "T-12");
}

#[test]
fn t02_t26_to_t28_persistent() {
    let rows = [
        ("T-02", "rd.live.overlay.persistent", true),
        ("T-26", "rd.live.overlay.persistent=0", false),
        ("T-26", "rd.live.overlay.persistent=no", false),
        ("T-26", "rd.live.overlay.persistent=off", false),
        ("T-27", "rd.live.overlay.persistent=false", true),
        ("T-28", "rd.live.overlay.persistent rd.live.overlay.persistent=0", false),
        ("required", "rd.live.overlay.persistent=required", true),
    ];
    for (case, text, expected) in rows {
        assert_eq!(automatic(text), expected, "{case}: {text}");
        assert_eq!(ids(text).contains(&"not-built"), expected, "{case}: {text}");
    }
    assert!(ids("rd.live.overlay.persistent=false").contains(&"value"), "T-27 is worth a word");
}

#[test]
fn automatic_persistence_takes_its_details() {
    let text = "rd.live.overlay.persistent=required rd.live.overlay.cowfs=xfs rd.live.cowfile.mbsize=1024 rd.live.cowfile.path=/data/x.cow rd.live.encrypt";
    let expected = Persistence::Automatic {
        required: true,
        cowfs: "xfs".into(),
        cowfile_mib: 1024,
        cowfile_path: "data/x.cow".into(),
        encrypt: true,
    };
    assert_eq!(read(text).overlay.persistence, Some(expected));
    let expected = Persistence::Automatic {
        required: false,
        cowfs: "ext4".into(),
        cowfile_mib: 500,
        cowfile_path: "live_system.cow".into(),
        encrypt: false,
    };
    assert_eq!(read("rd.live.overlay.persistent rd.live.cowfile.mbsize=1K").overlay.persistence, Some(expected));
}

#[test]
fn t14_to_t16_sizes() {
    let kiwi = "rd.live.dialect=kiwi ";
    let rows = [
        ("T-14", "", TmpfsSize::Percent(50), ""),
        ("T-15", "rd.live.overlay.size=1g", TmpfsSize::Bytes(1 << 30), ""),
        ("T-15", "rd.live.overlay.size=25%", TmpfsSize::Percent(25), ""),
        ("T-16", "rd.live.overlay.size=32768", TmpfsSize::Bytes(32768 << 20), "unit"),
        ("bytes", "rd.live.overlay.size=2147483648", TmpfsSize::Bytes(2 << 30), ""),
        ("bad", "rd.live.overlay.size=lots", TmpfsSize::Percent(50), "value"),
        ("bad", "rd.live.overlay.size=0", TmpfsSize::Percent(50), "value"),
        ("C24", "rd.overlay=tmpfs:size=64M", TmpfsSize::Bytes(64 << 20), ""),
    ];
    for (case, kargs, expected, id) in rows {
        let text = format!("{kiwi}{kargs}");
        assert_eq!(read(&text).overlay.size, expected, "{case}: {text}");
        assert_eq!(ids(&text).join(" "), id, "{case}: {text}");
    }
    assert_eq!(ids("rd.live.overlay.size=32768"), [""; 0], "MiB is what dracut means");
    assert_eq!(ids("rd.live.overlay.size=2147483648"), ["unit"], "dracut would read MiB");
    assert_eq!(read("").overlay.store, TmpfsSize::Bytes(32768 << 20));
}

#[test]
fn c22_tmpfs_options() {
    let (config, warnings) = interpret_text("rd.overlay=tmpfs:size=32M,nr_inodes=100000,mode=7");
    assert_eq!(config.overlay.size, TmpfsSize::Bytes(32 << 20));
    assert_eq!(config.overlay.tmpfs_options, ["nr_inodes=100000"]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].message.contains("mode=7"), "{warnings:?}");
}

#[test]
fn t37_t45b_iso_scan() {
    let at = |device: Option<&str>, path: &str| {
        Some(IsoScan { device: device.map(|device| Selector::parse(device).unwrap()), path: path.into() })
    };
    let rows = [
        ("iso-scan/filename=linux.iso", at(None, "linux.iso")),
        ("iso-scan/filename=/a/linux.iso", at(None, "a/linux.iso")),
        ("\"iso-scan/filename=/my isos/x.iso\"", at(None, "my isos/x.iso")),
        ("iso-scan/filename=LABEL=STICK:/x.iso", at(Some("LABEL=STICK"), "x.iso")),
        ("iso-scan/filename=/dev/sdb1:/x.iso", at(Some("/dev/sdb1"), "x.iso")),
        ("iso-scan/filename=/a:/x.iso", at(None, "a:/x.iso")),
        ("iso-scan/filename=", None),
        ("iso-scan/filename", None),
        ("iso-scan/filename=/", None),
        ("iso-scan/filename=/../x", None),
    ];
    for (text, expected) in rows {
        assert_eq!(read(text).iso_scan, expected, "{text}");
        assert_eq!(ids(text).contains(&"value"), expected.is_none(), "{text}");
    }
}

#[test]
fn t06_deadline() {
    let rows = [
        ("", 180),
        ("rd.retry=20", 20),
        ("rd.retry=0", 0),
        ("rd.timeout=40", 40),
        ("rd.timeout=0", 180),
        ("rd.retry=20 rd.timeout=40", 20),
        ("rd.retry=soon", 180),
        ("rd.retry=soon rd.timeout=40", 40),
        ("rd.retry=-1", 180),
        ("rd.retry=99999999999999999999", 180),
    ];
    for (text, seconds) in rows {
        assert_eq!(read(text).deadline, Duration::from_secs(seconds), "{text}");
    }
    assert_eq!(ids("rd.retry=soon"), ["value"]);
}

#[test]
fn dialects() {
    let kiwi = Conf { dialect: Some("kiwi".into()), ..Conf::default() };
    let none = Conf::default();
    let odd = Conf { dialect: Some("other".into()), ..Conf::default() };
    let rows = [
        ("", &none, Dialect::Dmsquash),
        ("rd.kiwi.debug", &none, Dialect::Kiwi),
        ("rd.live.overlay.persistent=0", &none, Dialect::Kiwi),
        ("rd.live.cowfile.mbsize=1", &none, Dialect::Kiwi),
        ("mediacheck=1", &none, Dialect::Kiwi),
        ("root=live:AOEINTERFACE=e0.1", &none, Dialect::Kiwi),
        ("root=live:CDLABEL=x rd.live.image", &none, Dialect::Dmsquash),
        ("", &kiwi, Dialect::Kiwi),
        ("rd.overlay", &kiwi, Dialect::Kiwi),
        ("rd.live.dialect=dmsquash mediacheck", &kiwi, Dialect::Dmsquash),
        ("rd.live.dialect=what", &kiwi, Dialect::Kiwi),
        ("rd.live.dialect=what mediacheck", &none, Dialect::Kiwi),
        ("", &odd, Dialect::Dmsquash),
    ];
    for (text, conf, expected) in rows {
        let config = interpret(&Cmdline::parse(text), conf).0;
        assert_eq!(config.dialect, expected, "{text} {conf:?}");
        assert!(!config.dialect_reason.is_empty(), "{text}");
    }
}

#[test]
fn the_medium_comes_from_the_command_line_or_the_initrd() {
    let conf = Conf { medium: Some("LABEL=From Conf".into()), ..Conf::default() };
    let medium = |text: &str| interpret(&Cmdline::parse(text), &conf).0.medium;
    assert_eq!(medium(""), Some(Selector::Label("From Conf".into())));
    assert_eq!(medium("rd.live.medium=UUID=x"), Some(Selector::Uuid("x".into())));
    assert_eq!(medium("rd.live.medium=x"), Some(Selector::Label("From Conf".into())));
    assert_eq!(read("").medium, None);
}

#[test]
fn small_kargs() {
    use Access::{ReadOnly, ReadWrite};
    for (text, access) in
        [("", ReadOnly), ("ro rw", ReadWrite), ("rw ro", ReadOnly), ("rw=1", ReadOnly), ("rw quiet", ReadWrite)]
    {
        assert_eq!(read(text).medium_access, access, "{text}");
    }
    for (text, check) in [
        ("rd.live.check", true),
        ("rd.live.check=0", false),
        ("mediacheck=1", true),
        ("check", true),
        ("rd.live.check=0 mediacheck", true),
    ] {
        assert_eq!(read(text).check, check, "G3: {text}");
    }
    for (text, debug) in [
        ("rd.live.debug", true),
        ("rd.kiwi.debug", true),
        ("rd.debug", true),
        ("rdlivedebug", true),
        ("rd.debug=0", false),
        ("debug", false),
    ] {
        assert_eq!(read(text).debug, debug, "{text}");
    }
    assert_eq!(
        read("panic=-1 rd.shell=0 rd.emergency=poweroff").failure,
        Failure { shell: false, panic: Some(-1), emergency: Some(Emergency::Poweroff) }
    );
    assert_eq!(read("panic=x rd.emergency=explode").failure, Failure::default());
    assert_eq!(
        read("init=/bin/sh -- -c \"a b\"").init,
        Init { path: Some("/bin/sh".into()), args: vec!["-c".into(), "a b".into()] }
    );
    assert_eq!(read("rd.live.report=/dev/ttyS1").report, Some("/dev/ttyS1".into()));
    assert_eq!(read("rd.live.report=/etc/passwd").report, None);
    assert!(read("rd.live.ram").ram && read("live_ram").ram);
    assert_eq!(read("rd.minmem=256").ram_reserve_mib, 256);
}

#[test]
fn modules_lists_and_parameters() {
    let text = "rd.driver.blacklist=a,b-c modprobe.blacklist=d module_blacklist=e rd.driver.pre=squashfs rd.driver.pre=ext4 rd.driver.post=x \
        usb-storage.quirks=1:2:u usb_storage.delay_use=0 loop.max_loop=8 snd.flag \"dyndbg.x=file a b\" systemd.unit=x rd.luks.uuid=y net.ifnames=0 root.=1 .x=2";
    let expected = Modules {
        blacklist: ["a", "b_c", "d", "e"].map(String::from).to_vec(),
        pre: ["squashfs", "ext4"].map(String::from).to_vec(),
        post: vec!["x".to_owned()],
        parameters: [
            ("usb_storage", "quirks=1:2:u delay_use=0"),
            ("loop", "max_loop=8"),
            ("snd", "flag"),
            ("dyndbg", "x=\"file a b\""),
        ]
        .map(|(module, text)| (module.to_owned(), text.to_owned()))
        .to_vec(),
    };
    assert_eq!(read(text).modules, expected);
}

#[test]
fn network_kargs_are_kept_and_reported() {
    let (config, warnings) = interpret_text("root=live:http://h/x.iso ip=eth0:dhcp ip=dhcp BOOTIF=01-52 rd.neednet=0");
    let expected = [("ip", "eth0:dhcp"), ("ip", "dhcp"), ("BOOTIF", "01-52"), ("rd.neednet", "0")]
        .map(|(name, value)| Setting { name: name.to_owned(), value: Some(value.to_owned()) });
    assert_eq!(config.network, expected);
    let kargs: Vec<_> =
        warnings.iter().filter(|warning| warning.id == "not-built").map(|warning| warning.karg.as_str()).collect();
    assert_eq!(kargs, ["root=live:http://h/x.iso", "ip=dhcp", "BOOTIF=01-52"]);
}

#[test]
fn warnings_by_id() {
    let rows = [
        ("root=live:LABEL=x rd.live.image quiet splash", ""),
        ("rd.live.ram", "not-built"),
        ("rd.live.ram=0", ""),
        ("rd.live.check", "not-built"),
        ("rd.live.check=0", ""),
        ("rd.overlay=LABEL=P", "not-built"),
        ("rd.live.overlay.thin", "not-built"),
        ("rd.overlay.crypt=/dev/sdb", "not-built"),
        ("rd.kiwi.verity_options=panic-on-corruption", "not-built"),
        ("rd.overlay=0 rd.overlay.readonly", "not-built contradiction"),
        ("rd.overlay=false", "value"),
        ("rd.overlay=nonsense", "value"),
        ("rd.overlay=LABEL=P rd.live.overlay.persistent", "contradiction not-built not-built"),
        ("rd.overlay=0 rd.live.overlay.overlayfs", "deprecated contradiction"),
        ("rd.live.overlay.nouserconfirmprompt", "ignored"),
        ("rd.kiwi.live.pxe", "ignored"),
        ("findiso=/x.iso", "foreign"),
        ("boot=live toram persistence", "foreign foreign foreign"),
        ("rd.live.imag", "unknown"),
        ("rd.live.whatever.this.is", "unknown"),
        ("-- rd.live.ram", "after-dashes"),
        ("rd.lvm=0 rd.luks.uuid=x systemd.unit=rescue.target console=ttyS0", ""),
        ("iso-scan/filename=/x.iso root=live:http://h/x.iso", "not-built contradiction"),
    ];
    for (text, expected) in rows {
        let mut found = ids(text);
        let mut expected: Vec<_> = expected.split_whitespace().collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{text}: {:?}", interpret_text(text).1);
    }
}

#[test]
fn every_warning_has_a_documented_id_and_says_what_happens() {
    for text in soup(400) {
        for warning in interpret_text(&text).1 {
            assert!(explain::WARNING_IDS.iter().any(|(id, _)| *id == warning.id), "{}", warning.id);
            assert!(!warning.message.ends_with('.'), "{}", warning.message);
        }
    }
}

#[test]
fn every_alias_reads_as_its_karg() {
    for karg in registry::all() {
        let value = match karg.kind {
            Kind::Bool | Kind::Word => "",
            Kind::Number => "=17",
            Kind::Size => "=17m",
            Kind::Text | Kind::List => "=LABEL=x",
        };
        let context = "root=LABEL=y rd.overlay.size=1";
        let expected = read(&format!("{context} {}{value}", karg.name));
        for alias in karg.aliases {
            let text = format!("{context} {}{value}", alias.name);
            let mut found = read(&text);
            found.dialect_reason.clone_from(&expected.dialect_reason);
            assert_eq!(found, expected, "{text}");
            assert!(ids(&text).contains(&"deprecated"), "{text}");
        }
    }
}

/// Command lines of random tokens, the same ones in every run.
fn soup(count: usize) -> Vec<String> {
    let names: Vec<&str> = registry::all()
        .flat_map(|karg| karg.names().collect::<Vec<_>>())
        .chain(["rd.live.x", "mod.par", "--", "\"", "é"])
        .collect();
    let values = [
        "",
        "=",
        "=0",
        "=1",
        "=no",
        "=LABEL=x",
        "=live:",
        "=live:LABEL=\\x2",
        "=:",
        "=:/",
        "=::",
        "=tmpfs:size=",
        "=/dev/",
        "=99999999999999999999",
        "=-1",
        "=50%",
        "=\"a b\"",
        "=a\"b",
        "=live:/x.iso",
        "=live:http://",
        "=live:aoe:e",
        "=é:/ü",
        "=,",
        "=\\x",
        "=/dev/disk/by-label/",
    ];
    let mut state: u64 = 0x2545_F491_4F6C_DD1D;
    let mut next = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit as u64).unwrap()
    };
    (0..count)
        .map(|_| {
            let tokens = 1 + next(12);
            (0..tokens).map(|_| format!("{}{} ", names[next(names.len())], values[next(values.len())])).collect()
        })
        .collect()
}

#[test]
fn token_soup_never_panics() {
    for text in soup(3000) {
        let (config, warnings) = interpret_text(&text);
        let json = explain::explain_json(&config, &warnings, "");
        explain::explain_text(&config, &warnings, "");
        let back: Config = serde_json::from_value(json["config"].clone()).unwrap();
        assert_eq!(back, config, "{text}");
    }
}

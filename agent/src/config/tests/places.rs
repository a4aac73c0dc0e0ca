//! Where the live system is: `root=`, `iso-scan/filename=`, `rd.live.dir` and their relatives.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::*;

fn label(name: &str) -> Source {
    Source::Device(Selector::Label(name.to_owned()))
}

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
        ("A21", "root=ftp://h/x", url("ftp://h/x")),
        ("A21", "root=dolly://h/x", url("dolly://h/x")),
        ("A21", "root=nfs://h/x", other("nfs://h/x")),
        ("A21", "root=livenet:http://h/x", url("http://h/x")),
        ("A5", "root=liveiso:/images/x.iso", file("/images/x.iso")),
        ("nfs", "rd.live.image root=nfs4:server:/path", url("nfs4:server:/path")),
        ("nfs", "root=nfs4:server:/path", other("nfs4:server:/path")),
        ("T-01", "root=live:CDLABEL=CDROM", label("CDROM")),
        ("T-03", "root=CDLABEL=CDROM rd.live.image", label("CDROM")),
        ("T-04", "root=live:/dev/sr0", path("/dev/sr0")),
        ("T-05", "root=live:CDLABEL=My-Image.1_x", label("My-Image.1_x")),
        ("T-46", "root=live:AOEINTERFACE=e0.1", Source::Aoe(Some("e0.1".into()))),
        ("T-46", "root=live:AOEINTERFACE:e0.1", Source::Aoe(Some("e0.1".into()))),
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
fn t37_t45b_iso_scan() {
    let at = |device: Option<&str>, path: &str| {
        Some(IsoScan {
            device: device.map(|device| Selector::parse(device).unwrap()),
            path: path.into(),
            readings: Vec::new(),
        })
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
        // It is resolved inside its file system, as GRUB does.
        ("iso-scan/filename=/boot/grub/../../x.iso", at(None, "boot/grub/../../x.iso")),
    ];
    for (text, expected) in rows {
        assert_eq!(read(text).iso_scan, expected, "{text}");
        assert_eq!(ids(text).contains(&"value"), expected.is_none(), "{text}");
    }
}

#[test]
fn the_medium_comes_from_the_command_line_or_the_initrd() {
    let conf = Conf { medium: Some("LABEL=From Conf".into()), ..Conf::default() };
    let medium = |text: &str| interpret(&Cmdline::parse(text), &conf).0.medium;
    assert_eq!(medium(""), Some(Selector::Label("From Conf".into())));
    assert_eq!(medium("rd.live.medium=UUID=x"), Some(Selector::Uuid("x".into())));
    assert_eq!(medium("rd.live.medium=any"), None);
    let both = |text: &str| {
        let config = interpret(&Cmdline::parse(text), &conf).0;
        (config.medium, config.medium_id)
    };
    let (id, name) = ("0123456789abcdef", |text: &str| Selector::parse(text));
    for (text, expected) in [
        ("rd.live.medium=UUID=x,ID=0123456789abcdef", (name("UUID=x"), Some(id))),
        ("rd.live.medium=ID=0123456789abcdef", (None, Some(id))),
        ("\"rd.live.medium=LABEL=My, Live,ID=0123456789abcdef\"", (name("LABEL=My, Live"), Some(id))),
        // Neither of these is a mark.
        ("rd.live.medium=UUID=0123456789ABCDEF", (name("UUID=0123456789ABCDEF"), None)),
        ("rd.live.medium=LABEL=x,ID=7", (name("LABEL=x,ID=7"), None)),
        ("rd.live.medium=UUID=x,ID=0123456789ABCDEF", (name("UUID=x"), None)),
        ("rd.live.medium=ID=7", (name("LABEL=From Conf"), None)),
        ("", (name("LABEL=From Conf"), None)),
    ] {
        assert_eq!(both(text), (expected.0, expected.1.map(str::to_owned)), "{text}");
    }
    assert_eq!(medium("rd.live.medium=x"), Some(Selector::Label("From Conf".into())));
    assert_eq!(read("").medium, None);
}

/// field.md E.
#[test]
fn names_that_grub_has_written() {
    for (text, written, meant) in [
        (r"root=live:CDLABEL=My\\x20Live", r"LABEL=My\ Live", "LABEL=My Live"),
        (r"root=live:LABEL=it\'s", r"LABEL=it\'s", "LABEL=it's"),
        (r#""root=live:LABEL=a \"b c\"""#, r#"LABEL=a \"b c\""#, r#"LABEL=a "b c""#),
    ] {
        let Source::Device(selector) = read(text).source else { panic!("{text}") };
        assert_eq!(selector.readings().map(ToString::to_string), [written, meant], "{text}");
        assert_eq!(ids(text), ["grub"], "{text}");
    }
    for (text, path, readings) in [
        ("iso-scan/filename=(hd0,gpt2)/iso/x.iso", "(hd0,gpt2)/iso/x.iso", vec!["iso/x.iso"]),
        (r"iso-scan/filename=/it\'s.iso", r"it\'s.iso", vec!["it's.iso"]),
        ("iso-scan/filename=(hd0)/boot/../x.iso", "(hd0)/boot/../x.iso", vec!["boot/../x.iso"]),
    ] {
        let scan = read(text).iso_scan;
        let found = scan.map(|scan| (scan.path, scan.readings)).unwrap_or_default();
        assert_eq!(found, (path.into(), readings.into_iter().map(Into::into).collect()), "{text}");
    }
    // A name in Latin-1, as the command line shows its bytes.
    let latin = read(r"iso-scan/filename=/Gr\xf6\xdfe.iso").iso_scan.unwrap();
    assert_eq!(latin.readings, [PathBuf::from(OsString::from_vec(b"Gr\xf6\xdfe.iso".to_vec()))]);
    assert!(read(r"iso-scan/filename=/a\x20b.iso").iso_scan.unwrap().readings.is_empty());
    for (text, path) in [
        (r"rd.overlay=LABEL=data:/it\'s/ovl", "it's/ovl"),
        (r"rd.overlay=:/a\\b", r"a\b"),
        (r"rd.live.overlay=/dev/sda1:/a\x20b", r"a\x20b"),
    ] {
        let (Persistence::Named { path: found, .. } | Persistence::OnMedium { path: found }) =
            read(text).overlay.persistence.unwrap()
        else {
            panic!("{text}");
        };
        assert_eq!(found, Some(path.into()), "{text}");
    }
    let config = read(r"rd.live.dir=it\'s rd.live.squashimg=a\\b.img");
    assert_eq!((&*config.live_dir, &*config.squashimg), ("it's", r"a\b.img"));
    assert_eq!(ids(r"rd.live.dir=it\'s rd.live.squashimg=a\\b.img rd.overlay=LABEL=x:/it\'s"), ["grub"; 3]);
    assert_eq!(ids("iso-scan/filename=(hd0,gpt2)/iso/x.iso"), ["grub"]);
}

/// What is left out of a name is said, with what was expected.
#[test]
fn a_malformed_id_is_said() {
    for (medium, said) in [
        ("UUID=x,ID=0123456789abcdef", false),
        ("ID=0123456789abcdef", false),
        ("UUID=x", false),
        ("\"LABEL=My, Live,ID=0123456789abcdef\"", false),
        ("UUID=x,ID=0123456789ABCDEF", true),
        ("UUID=x,ID=0123456789abcde", true),
        ("UUID=x,ID=", true),
        ("UUID=x,ID=0123456789abcdeg", true),
        ("PARTUUID=x,ID=7", true),
        ("ID=7", true),
        // A label may end so, and is looked for.
        ("LABEL=x,ID=7", true),
    ] {
        let text = format!("root=live:LABEL=x rd.live.medium={}", medium.trim_matches('"'));
        let text = if medium.starts_with('"') {
            format!("root=live:LABEL=x \"rd.live.medium={}\"", medium.trim_matches('"'))
        } else {
            text
        };
        let warnings = interpret_text(&text).1;
        let found = warnings.iter().any(|warning| warning.id == "value" && warning.message.contains("16 "));
        assert_eq!(found, said, "{text}: {warnings:?}");
        let conf = Conf { medium: Some(medium.trim_matches('"').to_owned()), ..Conf::default() };
        let warnings = interpret(&Cmdline::parse("root=live:LABEL=x"), &conf).1.for_a_person();
        let found = warnings.iter().any(|warning| warning.id == "conf" && warning.message.contains("16 "));
        assert_eq!(found, said, "{medium}: {warnings:?}");
    }
}

/// seed-audit SD-6.
#[test]
fn sd6_kargs_of_sticks_made_for_kiwi() {
    let at = |device: &str, path: &str| {
        Some(IsoScan { device: Selector::parse(device), path: path.into(), readings: Vec::new() })
    };
    for (text, expected) in [
        ("isofrom_device=/dev/disk/by-uuid/AB-CD isofrom_system=/x.iso", at("UUID=AB-CD", "x.iso")),
        ("isofrom=/dev/sdb1:/isos/x.iso", at("/dev/sdb1", "isos/x.iso")),
        ("isofrom=LABEL=STICK:x.iso", at("LABEL=STICK", "x.iso")),
        ("isofrom_device=/dev/sdb1", None),
        ("isofrom=/x.iso", Some(IsoScan { device: None, path: "x.iso".into(), readings: Vec::new() })),
        ("isofrom=sdb1:/x.iso", None),
    ] {
        let config = read(text);
        let source = if expected.is_some() { Source::IsoVolume } else { Source::NotLive(None) };
        assert_eq!((&config.iso_scan, &config.source), (&expected, &source), "{text}");
        assert!(ids(text).contains(&"deprecated"), "{text}: {:?}", ids(text));
    }
    // What GRUB calls a device may be any.
    for text in [
        "isofrom_device=(hd0,gpt2) isofrom_system=/x.iso",
        "isofrom_device=hd0,msdos1 isofrom_system=/x.iso",
        "isofrom=(hd0,gpt2):/x.iso",
    ] {
        let found = read(text).iso_scan;
        assert_eq!(found, Some(IsoScan { device: None, path: "x.iso".into(), readings: Vec::new() }), "{text}");
        assert_eq!(ids(text).iter().filter(|id| **id == "grub").count(), 1, "{text}: {:?}", ids(text));
    }
    let found = read("isofrom=(hd0,gpt2)/a:b.iso").iso_scan.unwrap();
    assert_eq!((found.device, found.readings), (None, vec!["a:b.iso".into()]));
    // What is asked for today counts.
    let both = "isofrom=/dev/sdb1:/x.iso iso-scan/filename=/y.iso root=live:LABEL=Y";
    assert_eq!(read(both).iso_scan.unwrap().path, std::path::Path::new("y.iso"));
    assert_eq!(read(both).source, Source::Device(Selector::Label("Y".into())));
    assert_eq!(read("isofrom=/dev/sdb1:/x.iso root=none").source, Source::IsoVolume);
    let named = read("isofrom=/dev/sdb1:/x.iso root=live:LABEL=Y");
    assert_eq!((named.iso_scan.is_some(), named.source), (true, Source::Device(Selector::Label("Y".into()))));
}

/// seed-audit SD-6.
#[test]
fn sd6_the_cow_file_of_sticks_made_for_kiwi() {
    let stick = "isofrom=/dev/disk/by-uuid/AB-CD:/x.iso isofrom_device=/dev/disk/by-uuid/AB-CD isofrom_system=/x.iso";
    let at = |device: &str, path: &str| {
        let device = Selector::parse(device).unwrap();
        Some(Persistence::Named { device, path: Some(path.into()) })
    };
    let both = "kiwi_cowdevice=/dev/disk/by-uuid/AB-CD kiwi_cowsystem=/boot/x-cowfile";
    let label = || Some(Persistence::Named { device: Selector::Label("P".into()), path: None });
    for (text, place, warned) in [
        (both, at("UUID=AB-CD", "boot/x-cowfile"), ""),
        ("kiwi_cowdevice=/dev/sdb1 kiwi_cowsystem=x", at("/dev/sdb1", "x"), ""),
        ("kiwi_cowdevice=LABEL=STICK kiwi_cowsystem=//a/x", at("LABEL=STICK", "a/x"), ""),
        // What belongs to it.
        (&format!("{both} rd.live.overlay.persistent=required"), at("UUID=AB-CD", "boot/x-cowfile"), ""),
        (&format!("{both} rd.live.cowfile.mbsize=64"), at("UUID=AB-CD", "boot/x-cowfile"), ""),
        // Half of it, and what names no file.
        ("kiwi_cowdevice=/dev/sdb1", None, "without kiwi_cowsystem=/<path> beside it"),
        ("kiwi_cowdevice=/dev/sdb1 kiwi_cowsystem=", None, "without kiwi_cowsystem=/<path> beside it"),
        ("kiwi_cowsystem=/x", None, "without kiwi_cowdevice=<device> beside it"),
        ("kiwi_cowdevice=sdb1 kiwi_cowsystem=/x", None, "name a cow file"),
        ("kiwi_cowdevice=/dev/sdb1 kiwi_cowsystem=/../x", None, "name a cow file"),
        ("kiwi_cowdevice=(hd0,gpt3) kiwi_cowsystem=/x", None, "write kiwi_cowdevice=UUID=<uuid>"),
        ("kiwi_cowdevice=(hd0,msdos1) kiwi_cowsystem=/x", None, "GRUB's name of a device"),
        ("kiwi_cowdevice=/dev/sdb1 kiwi_cowsystem=/", None, "name a cow file"),
        // What is asked for today counts.
        (&format!("{both} rd.overlay=LABEL=P"), label(), "another karg says"),
        (&format!("{both} rd.live.overlay=LABEL=P"), label(), "another karg says"),
        (&format!("{both} rd.overlay=0"), None, "another karg says"),
        (&format!("{both} rd.overlay=none rw"), None, "another karg says"),
        (&format!("{both} rd.live.overlay.persistent=0"), None, "another karg says"),
        (&format!("{both} rd.overlay.crypt=/dev/sdc"), None, "another karg says"),
    ] {
        let text = format!("{stick} {text}");
        let (config, warnings) = interpret_text(&text);
        let overlay = &config.overlay;
        assert_eq!(overlay.persistence, place, "{text}");
        let named = place.is_some() && warned.is_empty();
        assert_eq!(overlay.cow_file_mib.is_some(), named, "{text}");
        assert!(!named || overlay.method == Method::Overlayfs, "{text}");
        let said = warnings.iter().filter(|warning| matches!(warning.id, "value" | "contradiction" | "ignored"));
        let said: Vec<_> = said.map(|warning| &*warning.message).collect();
        assert_eq!(
            (said.len(), said.concat().contains(warned)),
            (usize::from(!warned.is_empty()), true),
            "{said:?}: {text}"
        );
        assert!(
            warnings.iter().any(|warning| warning.id == "deprecated" && warning.karg.starts_with("kiwi_cow")),
            "{text}"
        );
    }
    let own = read(&format!("{stick} {both} rd.live.overlay.persistent rd.live.cowfile.path=own.cow"));
    assert_eq!(own.overlay.wish().map(|wish| wish.cowfile_path.clone()), Some("own.cow".into()));
    assert_eq!(own.overlay.cow_file_mib, None);
    let sized = read(&format!("{stick} {both} rd.live.overlay.cowfs=xfs rd.live.cowfile.mbsize=640"));
    assert_eq!(sized.overlay.blank.map(String::from), Some("xfs".to_owned()));
    assert_eq!(sized.overlay.cow_file_mib, Some(640));
}

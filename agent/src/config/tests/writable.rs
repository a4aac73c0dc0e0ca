//! The writable layer: method, storage, sizes.

use std::path::PathBuf;

use super::*;
use crate::format::Kind;

fn named(device: &str, path: Option<&str>) -> Option<Persistence> {
    let device = Selector::parse(device).unwrap();
    Some(Persistence::Named { device, path: path.map(PathBuf::from) })
}

fn automatic(text: &str) -> bool {
    matches!(read(text).overlay.persistence, Some(Persistence::Automatic(_)))
}

const SNAPSHOT: Method = Method::Snapshot { thin: false };

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
fn t02_t26_to_t28_persistent() {
    let rows = [
        ("T-02", "rd.live.overlay.persistent", true),
        ("T-26", "rd.live.overlay.persistent=0", false),
        ("T-26", "rd.live.overlay.persistent=no", false),
        ("T-26", "rd.live.overlay.persistent=off", false),
        ("T-27", "rd.live.overlay.persistent=false", true),
        ("T-28", "rd.live.overlay.persistent rd.live.overlay.persistent=0", false),
        ("required", "rd.live.overlay.persistent=required", true),
        ("accept", "rd.live.overlay.persistent=accept", true),
    ];
    for (case, text, expected) in rows {
        assert_eq!(automatic(text), expected, "{case}: {text}");
    }
    let words = |text: &str| match read(text).overlay.persistence {
        Some(Persistence::Automatic(wish)) => (wish.required, wish.accept),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(words("rd.live.overlay.persistent"), (false, false));
    assert_eq!(words("rd.live.overlay.persistent=accept"), (false, true));
    assert_eq!(words("rd.live.overlay.persistent=accept,required"), (true, true));
    for (text, expected) in [("", false), ("rd.live.overlay.persistent=accept", true)] {
        assert_eq!(read(&format!("rd.overlay=LABEL=P:/store {text}")).overlay.accept, expected, "{text}");
    }
    assert!(ids("rd.live.overlay.persistent=false").contains(&"value"), "T-27 is worth a word");
}

#[test]
fn automatic_persistence_takes_its_details() {
    let text = "rd.live.overlay.persistent=required rd.live.overlay.cowfs=xfs rd.live.cowfile.mbsize=1024 rd.live.cowfile.path=/data/x.cow rd.live.encrypt";
    let expected = Persistence::Automatic(Wish {
        required: true,
        accept: false,
        cowfs: AreaFs::Known(Kind::Xfs),
        cowfile_mib: 1024,
        cowfile_path: "data/x.cow".into(),
        encrypt: true,
    });
    assert_eq!(read(text).overlay.persistence, Some(expected));
    let expected = Persistence::Automatic(Wish {
        required: false,
        accept: false,
        cowfs: AreaFs::Known(Kind::Ext4),
        cowfile_mib: 500,
        cowfile_path: "live_system.cow".into(),
        encrypt: false,
    });
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

/// dracut-live spec 1.5, case C22: which command lines put an overlay over a root that is no live image.
#[test]
fn c22_ordinary_roots_table() {
    for (text, expected) in [
        ("root=LABEL=x", false),
        ("root=LABEL=x rd.overlay", true),
        ("rd.overlay", true),
        ("root=LABEL=x rd.overlay=1", true),
        ("root=LABEL=x rd.overlay=0", false),
        ("root=LABEL=x rd.overlay=none", false),
        ("root=LABEL=x rd.overlay=LABEL=OVERLAY", true),
        ("root=LABEL=x rd.overlay=/dev/disk/by-id/virtio-x", true),
        ("root=LABEL=x rd.overlay=tmpfs:size=32M,nr_inodes=100000", true),
        ("root=LABEL=x rd.overlay=anything", true),
        ("root=LABEL=x rd.live.overlay.overlayfs", true),
        ("root=LABEL=x rd.live.overlay=LABEL=P", false),
        ("root=LABEL=x rd.live.overlay.persistent", false),
        ("root=LABEL=x rd.overlay=0 rd.live.overlay.overlayfs", false),
        ("root=LABEL=x rd.overlay.crypt=LABEL=CRYPT", true),
        ("root=live:LABEL=x rd.overlay", false),
        ("rd.live.image root=LABEL=x rd.overlay", false),
    ] {
        assert_eq!(read(text).covers_root(), expected, "{text}");
        let live = text.contains("live:") || text.contains("rd.live.image ");
        assert_eq!(read(text).concerns_us(), expected || live, "{text}");
    }
    assert_eq!(read("rootfstype=ext4").rootfstype.as_deref(), Some("ext4"));
    assert_eq!(read("rootfstype=auto").rootfstype, None);
    assert_eq!(read("rootfstype=ext4,xfs").rootfstype, None);
}

#[test]
fn what_may_be_made_on_a_named_device_table() {
    for (text, partition, blank) in [
        ("rd.overlay=LABEL=P", None, None),
        ("rd.overlay=LABEL=P rd.live.autooverlay", Some("ext4"), Some("ext4")),
        ("rd.overlay=LABEL=P rd.live.autooverlay rd.live.overlay.cowfs=xfs", Some("xfs"), Some("xfs")),
        ("rd.overlay=/dev/sdb1 rd.live.overlay.cowfs=btrfs", None, Some("btrfs")),
    ] {
        let overlay = read(text).overlay;
        let named = |name: Option<&str>| name.map(|name| AreaFs::from(name.to_owned()));
        assert_eq!((overlay.autooverlay, overlay.blank), (named(partition), named(blank)), "{text}");
    }
    assert!(read("rd.overlay=LABEL=P rd.live.overlay.persistent=required").overlay.required);
    assert!(!read("rd.overlay=LABEL=P rd.live.overlay.persistent").overlay.required);
}

#[test]
fn a_cow_file_stays_below_the_top_of_its_host() {
    let path =
        |text: &str| match read(&format!("rd.live.overlay.persistent rd.live.cowfile.path={text}")).overlay.persistence
        {
            Some(Persistence::Automatic(wish)) => wish.cowfile_path,
            other => panic!("{text}: {other:?}"),
        };
    assert_eq!(path("/a/b.cow"), PathBuf::from("a/b.cow"));
    for text in ["/../x.cow", "a/../../x.cow", "..", "/."] {
        assert_eq!(path(text), PathBuf::from("live_system.cow"), "{text}");
        assert!(ids(&format!("rd.live.overlay.persistent rd.live.cowfile.path={text}")).contains(&"value"), "{text}");
    }
}

#[test]
fn what_was_to_be_encrypted_is_never_written_in_plain() {
    for text in [
        "rd.overlay.crypt=LABEL=S rd.live.overlay=none rw",
        "rd.overlay.crypt=LABEL=S rd.overlay=none rw",
        "rd.overlay.crypt=LABEL=S rd.writable.fsimg",
        "rd.live.encrypt rd.live.overlay=none rw",
        "rd.live.encrypt rd.live.overlay.persistent rd.live.overlay=none rw",
    ] {
        let overlay = read(text).overlay;
        assert_eq!((overlay.method, overlay.fsimg), (Method::Overlayfs, false), "{text}");
        assert!(ids(text).contains(&"contradiction"), "{text}");
    }
    for text in ["rd.overlay=LABEL=P", "rd.live.overlay.persistent", "rd.live.overlay=none rw"] {
        let overlay = read(&format!("{text} rd.overlay.crypt=nonsense")).overlay;
        assert_eq!((overlay.persistence, overlay.crypt), (None, None), "{text}");
        assert_ne!(overlay.method, Method::Direct, "{text}");
    }
}

#[test]
fn listed_words_are_known_in_any_letters() {
    for (typed, plain) in [
        ("rd.live.ram=Required", "rd.live.ram=required"),
        ("rd.live.overlay.persistent=REQUIRED,Accept", "rd.live.overlay.persistent=required,accept"),
        (
            "rd.live.overlay.persistent rd.live.overlay.cowfs=XFS",
            "rd.live.overlay.persistent rd.live.overlay.cowfs=xfs",
        ),
        ("rd.live.eject=Prompt", "rd.live.eject=prompt"),
        ("rd.emergency=PowerOff", "rd.emergency=poweroff"),
        ("rd.live.dialect=KIWI", "rd.live.dialect=kiwi"),
        ("rd.overlay=Auto", "rd.overlay=auto"),
        ("rd.overlay=TMPFS", "rd.overlay=tmpfs"),
        ("rd.live.overlay=None", "rd.live.overlay=none"),
    ] {
        let config = |text| Config { dialect_reason: String::new(), ..read(&format!("root=live:LABEL=x {text}")) };
        assert_eq!(config(typed), config(plain), "{typed}");
        assert!(config(typed) != config("") || plain == "rd.overlay=tmpfs", "{typed}");
    }
}

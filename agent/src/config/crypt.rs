//! Encrypted write areas: `rd.overlay.crypt` (dracut-live spec 1.5) and how areas are opened.

use std::path::PathBuf;

use super::lookup::{Lookup, split_list};
use super::meant::{self, question};
use super::registry::{LIVE_ENCRYPT, LIVE_ENCRYPT_KEYFILE, LIVE_ENCRYPT_TIMEOUT, OVERLAY_CRYPT};
use super::root::split_place;
use super::{KeyFile, Mkfs, OverlayCrypt, Selector, Unlocking};
use crate::format::Kind;

/// Longest name of a device-mapper device (`DM_NAME_LEN` without its zero byte).
const NAME_BYTES: usize = 127;
/// The longest time a prompt may be given: a day.
const LONGEST: i64 = 86400;

/// What `fstype=` may name.
const FILE_SYSTEMS: [Kind; 5] = [Kind::Ext4, Kind::Ext3, Kind::Ext2, Kind::Xfs, Kind::Btrfs];

/// `rd.overlay.crypt=`.
pub(super) fn device(lookup: &mut Lookup) -> Option<OverlayCrypt> {
    let token = lookup.token(&OVERLAY_CRYPT)?;
    let text = lookup.text(&OVERLAY_CRYPT).unwrap_or_default();
    let mut items = split_list(&text);
    let Some(device) = items.next().and_then(|device| Selector::parse(&device)) else {
        let why = meant::device(&text).map_or(String::new(), |why| format!(": {why}"));
        let message = format!("names no device, encrypting nothing and keeping changes in RAM{why}");
        lookup.warn("value", &token.raw, message);
        return None;
    };
    let mut wish = OverlayCrypt {
        device,
        mapname: "overlay-crypt".to_owned(),
        fstype: Kind::Ext4,
        mkfs: Mkfs::Empty,
        timeout_s: None,
    };
    for item in items {
        let (key, value) = item.split_once('=').unwrap_or((&item, ""));
        let kind = FILE_SYSTEMS.into_iter().find(|kind| key == "fstype" && kind.name() == value);
        if let Some(kind) = kind {
            wish.fstype = kind;
            continue;
        }
        match (key, value) {
            ("mapname", name) if is_name(name) => wish.mapname = name.to_owned(),
            ("mkfs", "0" | "no") => wish.mkfs = Mkfs::Never,
            ("mkfs", "1" | "yes") => wish.mkfs = Mkfs::Empty,
            ("mkfs", "force") => wish.mkfs = Mkfs::Force,
            // What cannot be understood must not be taken for consent.
            ("mkfs", _) => {
                lookup.warn("value", &token.raw, format!("{item} is not 1, 0 or force, using 0"));
                wish.mkfs = Mkfs::Never;
            }
            ("timeout", value) if seconds(value).is_some() => wish.timeout_s = seconds(value),
            ("mapname" | "fstype" | "timeout", _) => {
                lookup.warn("value", &token.raw, format!("{item} cannot be used, using the default"));
            }
            (key, _) => {
                let meant = question(key, &["mapname", "fstype", "mkfs", "timeout"]);
                lookup.warn("value", &token.raw, format!("{item} is no option of it that we know, ignoring{meant}"));
            }
        }
    }
    Some(wish)
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-_.".contains(c);
    let reserved = matches!(name, "control" | "." | "..");
    !name.is_empty() && !reserved && name.len() <= NAME_BYTES && name.chars().all(plain)
}

fn seconds(text: &str) -> Option<u64> {
    let number = text.trim_end_matches('s').parse::<i64>().ok()?;
    u64::try_from(number).ok().filter(|_| number <= LONGEST)
}

/// `rd.live.encrypt.keyfile` and `rd.live.encrypt.timeout`.
pub(super) fn unlocking(lookup: &mut Lookup) -> Unlocking {
    let mut unlocking = Unlocking { encrypt: lookup.flag(&LIVE_ENCRYPT, false), ..Unlocking::default() };
    if let Some(seconds) = lookup.number(&LIVE_ENCRYPT_TIMEOUT, 0..=LONGEST).and_then(|s| u64::try_from(s).ok()) {
        unlocking.timeout_s = seconds;
    }
    if let (Some(token), Some(text)) = (lookup.token(&LIVE_ENCRYPT_KEYFILE), lookup.text(&LIVE_ENCRYPT_KEYFILE)) {
        unlocking.key_file = key_file(&text);
        if unlocking.key_file.is_none() {
            let why = meant::device(&text).map_or(String::new(), |why| format!(": {why}"));
            let message = format!("is neither /path nor <device>:/path, asking for a passphrase instead{why}");
            lookup.warn("value", &token.raw, message);
        }
    }
    unlocking
}

fn key_file(text: &str) -> Option<KeyFile> {
    // A node has a place only if a colon says so; otherwise it is a path like any other.
    if let Some((device, path)) = split_place(text) {
        let path = path.trim_start_matches('/');
        let device = Selector::parse(device).filter(|_| !path.is_empty())?;
        return Some(KeyFile::On { device, path: PathBuf::from(path) });
    }
    text.starts_with('/').then(|| KeyFile::Initrd(PathBuf::from(text)))
}

impl std::fmt::Display for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Initrd(path) => write!(f, "{}", path.display()),
            Self::On { device, path } => write!(f, "{device}:/{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Method, interpret_text};

    fn wish(device: &str) -> OverlayCrypt {
        OverlayCrypt {
            device: Selector::parse(device).unwrap(),
            mapname: "overlay-crypt".into(),
            fstype: Kind::Ext4,
            mkfs: Mkfs::Empty,
            timeout_s: None,
        }
    }

    #[test]
    fn c23_overlay_crypt() {
        let rows = [
            ("LABEL=CRYPT", Some(wish("LABEL=CRYPT")), ""),
            (
                "/dev/sdb1,mapname=x,fstype=ext3,mkfs=0,timeout=7",
                Some(OverlayCrypt {
                    mapname: "x".into(),
                    fstype: Kind::Ext3,
                    mkfs: Mkfs::Never,
                    timeout_s: Some(7),
                    ..wish("/dev/sdb1")
                }),
                "",
            ),
            ("LABEL=C,mkfs=force", Some(OverlayCrypt { mkfs: Mkfs::Force, ..wish("LABEL=C") }), ""),
            ("LABEL=C,mkfs=yess", Some(OverlayCrypt { mkfs: Mkfs::Never, ..wish("LABEL=C") }), "value"),
            ("LABEL=C,mapname=a/b", Some(wish("LABEL=C")), "value"),
            ("LABEL=C,mapname=control", Some(wish("LABEL=C")), "value"),
            ("LABEL=C,fstype=vfat", Some(wish("LABEL=C")), "value"),
            ("LABEL=C,timeout=-1", Some(wish("LABEL=C")), "value"),
            ("LABEL=C,colour=red", Some(wish("LABEL=C")), "value"),
            ("sdb1", None, "value"),
            ("", None, "value"),
        ];
        for (value, expected, id) in rows {
            let (config, warnings) = interpret_text(&format!("root=live:LABEL=x rd.overlay.crypt={value}"));
            assert_eq!(config.overlay.crypt, expected, "{value}");
            let ids: Vec<_> = warnings.iter().map(|warning| warning.id).collect();
            assert_eq!(ids.join(" "), id, "{value}: {warnings:?}");
            let overlayfs = config.overlay.method == Method::Overlayfs;
            assert_eq!(overlayfs, expected.is_some(), "{value}: it works without rd.overlay");
        }
    }

    #[test]
    fn key_files() {
        let on = |device: &str, path: &str| {
            Some(KeyFile::On { device: Selector::parse(device).unwrap(), path: PathBuf::from(path) })
        };
        for (text, expected) in [
            ("/etc/live.key", Some(KeyFile::Initrd("/etc/live.key".into()))),
            ("LABEL=KEYS:/live.key", on("LABEL=KEYS", "live.key")),
            ("/dev/sdb1:/a/b", on("/dev/sdb1", "a/b")),
            ("LABEL=KEYS", None),
            ("LABEL=KEYS:/", None),
            ("live.key", None),
        ] {
            let (config, warnings) =
                interpret_text(&format!("rd.live.overlay.persistent rd.live.encrypt rd.live.encrypt.keyfile={text}"));
            assert_eq!(config.overlay.unlock.key_file, expected, "{text}");
            assert_eq!(warnings.len(), usize::from(expected.is_none()), "{text}: {warnings:?}");
        }
    }

    #[test]
    fn what_belongs_to_nothing_is_said() {
        for (text, id) in [
            ("rd.live.encrypt", "contradiction"),
            ("rd.overlay=LABEL=P rd.live.encrypt", "contradiction"),
            ("rd.overlay=LABEL=P rd.overlay.crypt=LABEL=C", "contradiction"),
            ("rd.live.overlay.persistent rd.live.encrypt", ""),
            ("rd.live.encrypt=0", ""),
            ("rd.overlay.crypt=LABEL=C rd.overlay.reset", ""),
        ] {
            let (_, warnings) = interpret_text(&format!("root=live:LABEL=x {text}"));
            let ids: Vec<_> = warnings.iter().map(|warning| warning.id).collect();
            assert_eq!(ids.join(" "), id, "{text}: {warnings:?}");
        }
        assert_eq!(interpret_text("rd.live.encrypt.timeout=0").0.overlay.unlock.timeout_s, 0);
        assert_eq!(interpret_text("rd.live.encrypt.timeout=x").0.overlay.unlock.timeout_s, 120);
    }
}

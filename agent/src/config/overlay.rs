//! The writable layer: `rd.overlay`, `rd.live.overlay` and their relatives (dracut-live spec 1.4 and 1.5, with its
//! "safer choices"; kiwi-live spec 1.4).

use std::path::{Component, Path, PathBuf};

use super::crypt;
use super::grub;
use super::lookup::{Lookup, split_list};
use super::meant::{self, question};
use super::registry::{
    AUTOOVERLAY, COWFILE_MBSIZE, COWFILE_PATH, HOST_AWAKE, LIVE_ENCRYPT, LIVE_OVERLAY, LIVE_OVERLAY_OVERLAYFS, OVERLAY,
    OVERLAY_COWFS, OVERLAY_CRYPT, OVERLAY_PERSISTENT, OVERLAY_READONLY, OVERLAY_RESET, OVERLAY_SIZE, OVERLAY_THIN,
    WRITABLE_FSIMG,
};
use super::root::split_place;
use super::size::{Bare, Size};
use super::{Access, AreaFs, Dialect, Method, Overlay, Persistence, Selector, TmpfsSize, Wish, stick};
use crate::cmdline::Token;

/// Values of `rd.overlay` that name no place.
const MODES: [&str; 6] = ["none", "tmpfs", "auto", "yes", "true", "off"];

/// What the value of `rd.overlay` or `rd.live.overlay` says.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    /// `0`, `no`, `off`.
    Off,
    /// Bare, `1` or a word for yes.
    On,
    /// `none`: write the image itself.
    Bare,
    /// `tmpfs:…`: options of the tmpfs.
    Tmpfs(Vec<String>),
    /// A place that keeps changes.
    Place(Persistence),
    /// Nothing we know.
    Nonsense,
}

/// All kargs of the writable layer.
pub(super) fn overlay(lookup: &mut Lookup, dialect: Dialect) -> Overlay {
    let new = said_by(lookup, lookup.token(&OVERLAY));
    let old = said_by(lookup, lookup.token(&LIVE_OVERLAY));
    let mut overlay = Overlay {
        readonly: lookup.flag(&OVERLAY_READONLY, false),
        reset: lookup.flag(&OVERLAY_RESET, false),
        fsimg: lookup.flag(&WRITABLE_FSIMG, false),
        crypt: crypt::device(lookup),
        unlock: crypt::unlocking(lookup),
        refused: new == Some(Said::Off),
        awake: lookup.flag(&HOST_AWAKE, false),
        ..Overlay::default()
    };
    overlay.ordinary = overlay.crypt.is_some()
        || match &new {
            Some(said) => !matches!(said, Said::Off | Said::Bare),
            None => lookup.flag(&LIVE_OVERLAY_OVERLAYFS, false),
        };
    sizes(lookup, &mut overlay, dialect);
    if let Some(Said::Tmpfs(options)) = &new {
        tmpfs(lookup, &mut overlay, options);
    }
    overlay.method = method(lookup, dialect, new.as_ref(), old.as_ref());
    // An encrypted device holds changes as files, so it asks for an overlay by itself (dracut-live spec 1.5).
    if overlay.crypt.is_some() && matches!(overlay.method, Method::Snapshot { .. }) {
        overlay.method = Method::Overlayfs;
    }
    let bare = (new == Some(Said::Bare), old == Some(Said::Bare));
    let misread = overlay.crypt.is_none() && lookup.has(&OVERLAY_CRYPT);
    if overlay.crypt.is_some() || overlay.unlock.encrypt || misread {
        not_direct(lookup, &mut overlay, bare);
    } else if overlay.fsimg {
        overlay.method = Method::Direct;
    }
    // A place that was to be encrypted and cannot be understood has no other place as its substitute.
    overlay.persistence = persistence(lookup, new, old).filter(|_| !misread);
    let mib = cowfile_mib(lookup);
    stick::cow_file(lookup, &mut overlay, mib);
    overlay.required = lookup.flag(&OVERLAY_PERSISTENT, false) && persistent_says(lookup, "required");
    overlay.accept = lookup.flag(&OVERLAY_PERSISTENT, false) && persistent_says(lookup, "accept");
    overlay.autooverlay = lookup.flag(&AUTOOVERLAY, false).then(|| cowfs(lookup));
    // Who names a file system for a new area wants one where there is none.
    overlay.blank = (overlay.autooverlay.is_some() || lookup.has(&OVERLAY_COWFS)).then(|| cowfs(lookup));
    overlay
}

/// What was to be encrypted is not written to the image in plain text.
fn not_direct(lookup: &mut Lookup, overlay: &mut Overlay, (new, old): (bool, bool)) {
    for (karg, said) in [(&WRITABLE_FSIMG, overlay.fsimg), (&OVERLAY, new), (&LIVE_OVERLAY, old)] {
        if let Some(token) = lookup.token(karg).filter(|_| said) {
            let message = "encryption was asked for, using an overlay and writing nothing to the image";
            lookup.warn("contradiction", &token.raw, message);
        }
    }
    overlay.fsimg = false;
    if overlay.method == Method::Direct {
        overlay.method = Method::Overlayfs;
    }
}

fn said_by(lookup: &mut Lookup, token: Option<&Token>) -> Option<Said> {
    let token = token?;
    let said = said(&lookup.clean(token).unwrap_or_default());
    match &said {
        Said::Nonsense if lookup.doubt_truth(token) => {}
        Said::Nonsense => {
            let value = token.value.as_deref().unwrap_or_default();
            let meant = meant::device(value).map_or_else(|| question(value, &MODES), |why| format!(": {why}"));
            let message = format!("names neither a device nor a mode, keeping changes in RAM only{meant}");
            lookup.warn("value", &token.raw, message);
        }
        Said::Tmpfs(_) if token.key == LIVE_OVERLAY.name => {
            lookup.warn("value", &token.raw, "only rd.overlay takes tmpfs options, ignoring");
        }
        _ => {}
    }
    Some(said)
}

/// Reads the value; empty stands for a bare karg.
fn said(value: &str) -> Said {
    match &*value.to_ascii_lowercase() {
        "0" | "no" | "off" => Said::Off,
        "" | "1" | "yes" | "on" | "true" | "tmpfs" | "tmpfs:" => Said::On,
        "none" => Said::Bare,
        "auto" => Said::Place(Persistence::OnMedium { path: None }),
        _ => match value.strip_prefix("tmpfs:") {
            Some(options) => Said::Tmpfs(split_list(options).collect()),
            None => place(value).map_or(Said::Nonsense, Said::Place),
        },
    }
}

/// `<device>[:<path>|:auto]` or `:<path>`, `:auto`. Only tags and short device names end at a colon that no slash
/// follows: names in `/dev/disk` may hold colons (dracut-live C13).
fn place(value: &str) -> Option<Persistence> {
    if let Some(path) = value.strip_prefix(':') {
        return Some(Persistence::OnMedium { path: path_below(path)? });
    }
    let (device, path) = if let Some(cut) = split_place(value) {
        cut
    } else if let Some(device) = value.strip_suffix(":auto").or_else(|| value.strip_suffix(':')) {
        (device, "")
    } else if value.starts_with("/dev/disk/by-id/") || value.starts_with("/dev/disk/by-path/") {
        (value, "")
    } else {
        value.rsplit_once(':').unwrap_or((value, ""))
    };
    let device = Selector::parse(device)?;
    Some(Persistence::Named { device, path: path_below(path)? })
}

/// A path without its leading slashes; `Some(None)` for the automatic one, `None` for one that leads out of the place or to
/// its top: a reset would empty all of it.
fn path_below(path: &str) -> Option<Option<PathBuf>> {
    match path.trim_start_matches('/') {
        "" | "auto" => Some(None),
        path => below_the_top(&grub::taken(path.to_owned())).map(Some),
    }
}

pub(super) fn below_the_top(path: &str) -> Option<PathBuf> {
    let parts = Path::new(path).components().map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    parts.collect()
}

/// `rd.live.cowfile.path`.
fn cowfile_path(lookup: &mut Lookup) -> PathBuf {
    let default = || PathBuf::from("live_system.cow");
    let (Some(token), Some(text)) = (lookup.token(&COWFILE_PATH), lookup.text(&COWFILE_PATH)) else { return default() };
    let Some(path) = path_below(&text) else {
        lookup.warn("value", &token.raw, "leads out of the file system that holds the ISO file, using live_system.cow");
        return default();
    };
    path.unwrap_or_else(default)
}

/// The boolean role: overlayfs or a snapshot; `none` wins over both.
fn method(lookup: &mut Lookup, dialect: Dialect, new: Option<&Said>, old: Option<&Said>) -> Method {
    let thin = lookup.flag(&OVERLAY_THIN, false);
    let overlayfs = match new {
        Some(Said::Bare) => return Method::Direct,
        Some(said) => Some(*said != Said::Off),
        None if lookup.has(&LIVE_OVERLAY_OVERLAYFS) => Some(lookup.flag(&LIVE_OVERLAY_OVERLAYFS, false)),
        None => None,
    };
    if old == Some(&Said::Bare) && !matches!(new, Some(Said::Place(_))) {
        return Method::Direct;
    }
    match overlayfs.unwrap_or(dialect == Dialect::Kiwi && !thin) {
        true => Method::Overlayfs,
        false => Method::Snapshot { thin },
    }
}

/// The storage role: `rd.overlay`'s place, else `rd.live.overlay`'s, else kiwi's automatic area.
fn persistence(lookup: &mut Lookup, new: Option<Said>, old: Option<Said>) -> Option<Persistence> {
    let automatic = automatic(lookup);
    other_place(lookup, new.as_ref(), old.as_ref());
    let named = match (new, old) {
        (Some(Said::Place(place)), _) | (_, Some(Said::Place(place))) => Some(place),
        _ => None,
    };
    if named.is_some()
        && automatic.is_some()
        && !["required", "accept"].iter().any(|word| persistent_says(lookup, word))
        && let Some(token) = lookup.token(&OVERLAY_PERSISTENT)
    {
        lookup.warn("contradiction", &token.raw, "another karg names the place for changes, using that one");
    }
    named.or(automatic)
}

/// Says that the older of two kargs names another place or none.
fn other_place(lookup: &mut Lookup, new: Option<&Said>, old: Option<&Said>) {
    let differs = match (new, old) {
        (Some(Said::Place(new)), Some(Said::Place(old))) => new != old,
        (Some(Said::Place(_)), Some(Said::Bare)) => true,
        _ => false,
    };
    if let Some(token) = lookup.token(&LIVE_OVERLAY).filter(|_| differs) {
        lookup.warn("contradiction", &token.raw, "rd.overlay says where changes are kept, using that");
    }
}

/// `rd.live.overlay.persistent` and what belongs to it.
fn automatic(lookup: &mut Lookup) -> Option<Persistence> {
    let cowfs = cowfs(lookup);
    let cowfile_mib = cowfile_mib(lookup);
    let cowfile_path = cowfile_path(lookup);
    let encrypt = lookup.flag(&LIVE_ENCRYPT, false);
    if !lookup.flag(&OVERLAY_PERSISTENT, false) {
        return None;
    }
    Some(Persistence::Automatic(Wish {
        required: persistent_says(lookup, "required"),
        accept: persistent_says(lookup, "accept"),
        cowfs,
        cowfile_mib,
        cowfile_path,
        encrypt,
    }))
}

fn cowfile_mib(lookup: &mut Lookup) -> u64 {
    lookup.number(&COWFILE_MBSIZE, 1..=1 << 40).and_then(|mib| u64::try_from(mib).ok()).unwrap_or(500)
}

/// Whether the list in `rd.live.overlay.persistent=` has a word.
fn persistent_says(lookup: &mut Lookup, word: &str) -> bool {
    lookup.text(&OVERLAY_PERSISTENT).as_deref().map(split_list).into_iter().flatten().any(|said| said == word)
}

fn cowfs(lookup: &mut Lookup) -> AreaFs {
    let fs = AreaFs::from(lookup.text(&OVERLAY_COWFS).unwrap_or_else(|| "ext4".to_owned()));
    if matches!(fs, AreaFs::Unknown(_))
        && let Some(token) = lookup.token(&OVERLAY_COWFS)
    {
        let meant = question(token.value.as_deref().unwrap_or_default(), OVERLAY_COWFS.words);
        lookup.warn("value", &token.raw, format!("not ext4, xfs or btrfs, creating no persistent area{meant}"));
    }
    fs
}

/// `rd.live.overlay.size`: of the tmpfs, and of the store of a snapshot.
fn sizes(lookup: &mut Lookup, overlay: &mut Overlay, dialect: Dialect) {
    let (Some(token), Some(text)) = (lookup.token(&OVERLAY_SIZE), lookup.text(&OVERLAY_SIZE)) else {
        return;
    };
    match text.parse::<Size>() {
        Ok(Size { size, bare }) => {
            overlay.size = size;
            overlay.store = size;
            unit_warning(lookup, token, bare, dialect);
            doubt(lookup, size, token);
        }
        Err(error) => lookup.warn("value", &token.raw, format!("{error}, using 50% of RAM")),
    }
}

/// Tells who comes from the other history how a bare number was read (kiwi-live T-16).
fn unit_warning(lookup: &mut Lookup, token: &Token, bare: Option<Bare>, dialect: Dialect) {
    let number = token.value.as_deref().unwrap_or_default();
    match (bare, dialect) {
        (Some(Bare::Mebibytes), Dialect::Kiwi) => {
            lookup.warn(
                "unit",
                &token.raw,
                format!("kiwi-live read bare numbers as bytes, using {number} MiB; write {number}m"),
            );
        }
        (Some(Bare::Bytes), Dialect::Dmsquash) => {
            lookup.warn(
                "unit",
                &token.raw,
                format!("dracut read bare numbers as MiB, using {number} bytes; write {number}B"),
            );
        }
        _ => {}
    }
}

/// `rd.overlay=tmpfs:size=…,nr_blocks=…,nr_inodes=…`.
fn tmpfs(lookup: &mut Lookup, overlay: &mut Overlay, options: &[String]) {
    let Some(token) = lookup.token(&OVERLAY) else { return };
    for option in options {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        match (key, value.parse::<Size>()) {
            ("size", Ok(size)) => tmpfs_size(lookup, overlay, size.size, token),
            ("size", Err(error)) => lookup.warn("value", &token.raw, format!("size \"{value}\": {error}, ignoring")),
            ("nr_blocks" | "nr_inodes", _) if !value.is_empty() => overlay.tmpfs_options.push(option.clone()),
            _ => {
                let meant = question(key, &["size", "nr_blocks", "nr_inodes"]);
                lookup.warn("value", &token.raw, format!("{option} is no tmpfs option we know, ignoring{meant}"));
            }
        }
    }
}

fn tmpfs_size(lookup: &mut Lookup, overlay: &mut Overlay, size: TmpfsSize, token: &Token) {
    if lookup.has(&OVERLAY_SIZE) && overlay.size != size {
        lookup.warn(
            "contradiction",
            &token.raw,
            "rd.live.overlay.size names another size, using the one of rd.overlay",
        );
    }
    overlay.size = size;
    doubt(lookup, size, token);
}

/// Says that a size is beyond sense; it is used all the same.
fn doubt(lookup: &mut Lookup, size: TmpfsSize, token: &Token) {
    if let Some(why) = size.beyond_sense() {
        lookup.warn("value", &token.raw, format!("{why}, using it all the same"));
    }
}

impl Overlay {
    /// How the place for changes is used: one that is only shown is only read.
    #[must_use]
    pub fn access(&self) -> Access {
        if self.readonly { Access::ReadOnly } else { Access::ReadWrite }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let named = |device: &str, path: Option<&str>| {
            let device = Selector::parse(device).unwrap();
            Said::Place(Persistence::Named { device, path: path.map(PathBuf::from) })
        };
        let on_medium = |path: Option<&str>| Said::Place(Persistence::OnMedium { path: path.map(PathBuf::from) });
        let by_path = "/dev/disk/by-path/pci-0000:00:1f.2-ata-1";
        let rows = [
            ("/dev/sdb1", named("/dev/sdb1", None)),
            ("/dev/sdb1:/my/cow", named("/dev/sdb1", Some("my/cow"))),
            ("/dev/sdb1:my/cow", named("/dev/sdb1", Some("my/cow"))),
            ("LABEL=P", named("LABEL=P", None)),
            ("LABEL=P:auto", named("LABEL=P", None)),
            ("LABEL=P:", named("LABEL=P", None)),
            ("LABEL=P:/", named("LABEL=P", None)),
            ("LABEL=P:LiveOS/overlay", named("LABEL=P", Some("LiveOS/overlay"))),
            ("LABEL=P:/a:/b", named("LABEL=P", Some("a:/b"))),
            (by_path, named(by_path, None)),
            (&format!("{by_path}:/path"), named(by_path, Some("path"))),
            (&format!("{by_path}:auto"), named(by_path, None)),
            ("auto", on_medium(None)),
            (":auto", on_medium(None)),
            (":/x", on_medium(Some("x"))),
            ("none", Said::Bare),
            ("0", Said::Off),
            ("yes", Said::On),
            ("tmpfs:size=1g,nr_inodes=5", Said::Tmpfs(vec!["size=1g".into(), "nr_inodes=5".into()])),
            ("false", Said::Nonsense),
            ("LABEL=", Said::Nonsense),
            ("sdb1:/x", Said::Nonsense),
            ("LABEL=P:/.", Said::Nonsense),
            ("LABEL=P:/..", Said::Nonsense),
            ("LABEL=P:/a/../../x", Said::Nonsense),
            (":/../x", Said::Nonsense),
            ("LABEL=P:/a//./b/", named("LABEL=P", Some("a/b"))),
        ];
        for (value, expected) in rows {
            assert_eq!(said(value), expected, "{value}");
        }
    }
}

//! What sticks made for KIWI before 8 have on their command line (seed-audit SD-6). live-grub-stick writes such menus: the ISO file is
//! named twice, and with `--suse-persistent` a file of zeros that is to keep changes.

use super::lookup::Lookup;
use super::overlay::below_the_top;
use super::registry::{
    COWDEVICE, COWFILE_PATH, COWSYSTEM, ISOFROM, ISOFROM_DEVICE, ISOFROM_SYSTEM, OVERLAY_CRYPT, OVERLAY_PERSISTENT,
};
use super::{Level, Method, Overlay, Persistence, Selector, grub};
use crate::cmdline::Token;

/// The ISO file, and the karg that names it: `isofrom_device=` and `isofrom_system=`, or `isofrom=`; grml's has no device. What GRUB calls a
/// device, only GRUB can find, so the file may lie on any.
pub(super) fn iso_file<'a>(lookup: &mut Lookup<'a>) -> Option<(&'a Token, Option<Selector>, String)> {
    let named = lookup.text(&ISOFROM_DEVICE).zip(lookup.text(&ISOFROM_SYSTEM));
    let (token, device, path) = match (named, lookup.text(&ISOFROM)) {
        (Some((device, path)), _) => (lookup.token(&ISOFROM_SYSTEM)?, Some(device), path),
        // A colon may be in the path behind GRUB's device.
        (None, Some(text)) if text.starts_with('(') && !text.contains("):") => (lookup.token(&ISOFROM)?, None, text),
        (None, Some(text)) => match text.rsplit_once(':') {
            Some((device, path)) => (lookup.token(&ISOFROM)?, Some(device.to_owned()), path.to_owned()),
            None => (lookup.token(&ISOFROM)?, None, text),
        },
        (None, None) => return None,
    };
    let named = device.as_deref().map(Selector::parse);
    match (named, device) {
        (Some(None), Some(device)) if grub::is_device(&device) => {
            let token = lookup.token(&ISOFROM_DEVICE).unwrap_or(token);
            let message = format!("{device} is GRUB's name of a device: {path} is looked for on all file systems");
            lookup.report(Level::Notice, "grub", &token.raw, message);
            Some((token, None, path))
        }
        (Some(None), _) => None,
        (named, _) => Some((token, named.flatten(), path)),
    }
}

/// The cow file that `kiwi_cowdevice=` and `kiwi_cowsystem=` name together, unless our own kargs say where changes are kept, or that
/// none are. A file system lies in it, so it asks for an overlay.
pub(super) fn cow_file(lookup: &mut Lookup, overlay: &mut Overlay, mib: u64) {
    let named = (lookup.text(&COWDEVICE), lookup.text(&COWSYSTEM));
    let Some(token) = lookup.token(&COWDEVICE).or(lookup.token(&COWSYSTEM)) else { return };
    let ours = match &overlay.persistence {
        Some(Persistence::Named { .. } | Persistence::OnMedium { .. }) => true,
        // It says that changes are kept, and not where.
        Some(Persistence::Automatic(_)) => lookup.has(&COWFILE_PATH),
        None => [&OVERLAY_CRYPT, &OVERLAY_PERSISTENT].iter().any(|karg| lookup.has(karg)),
    };
    if ours || overlay.refused || overlay.method == Method::Direct {
        lookup.warn(
            "contradiction",
            &token.raw,
            "another karg says where changes are kept, or that none are, using that",
        );
        return;
    }
    let place = match named {
        (Some(device), Some(path)) => Selector::parse(&device).zip(below_the_top(path.trim_start_matches('/'))),
        (device, _) => {
            let other = if device.is_some() { "kiwi_cowsystem=/<path>" } else { "kiwi_cowdevice=<device>" };
            lookup.warn("value", &token.raw, format!("names no cow file without {other} beside it, ignoring"));
            return;
        }
    };
    let Some((device, path)) = place.filter(|(_, path)| !path.as_os_str().is_empty()) else {
        // A file that changes are written to is not looked for on each file system, as an ISO file is.
        let message = if lookup.text(&COWDEVICE).is_some_and(|device| grub::is_device(&device)) {
            "is GRUB's name of a device, which nobody else can find, ignoring; write kiwi_cowdevice=UUID=<uuid>"
        } else {
            "a device (/dev/<name>, LABEL=, UUID=) and the path of a file on it name a cow file, ignoring"
        };
        lookup.warn("value", &token.raw, message);
        return;
    };
    overlay.persistence = Some(Persistence::Named { device, path: Some(path) });
    overlay.cow_file_mib = Some(mib);
    if matches!(overlay.method, Method::Snapshot { .. }) {
        overlay.method = Method::Overlayfs;
    }
}

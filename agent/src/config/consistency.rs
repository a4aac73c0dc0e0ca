//! What can only be judged when all is read: each token by itself, then the contradictions between them.

use super::lookup::Lookup;
use super::registry::spelling::foreign_karg;
use super::registry::*;
use super::{Access, Config, Dialect, Level, Method, Persistence, Source, meant, useless};
use crate::cmdline::Token;

/// Looks at each token: old, ignored, not built, misspelt, foreign.
pub(super) fn tokens(lookup: &mut Lookup, source: &Source) {
    for token in lookup.cmdline().tokens() {
        match find(&token.key) {
            Some(karg) => known(lookup, karg, token),
            None => stranger(lookup, token, source.is_live()),
        }
    }
    for word in lookup.cmdline().init_args() {
        let key = word.split('=').next().unwrap_or_default();
        if key.contains('.') && find(key).is_some() {
            lookup.warn("after-dashes", word, "stands after -- and belongs to init, ignoring");
        }
    }
}

fn known(lookup: &mut Lookup, karg: &'static Karg, token: &Token) {
    if token.key != karg.name {
        let message = match lookup.cmdline().get(karg.name) {
            Some(_) => format!("old name of {}, which is given too, ignoring", karg.name),
            None => format!("old name of {0}, using it as {0}", karg.name),
        };
        lookup.warn("deprecated", &token.raw, message);
    } else if let Some(name) = karg.replaced_by {
        let message = format!("the newer karg is {name}, using this one where that says nothing");
        lookup.report(Level::Notice, "deprecated", &token.raw, message);
    }
    let decides = lookup.token(karg).is_some_and(|last| std::ptr::eq(last, token));
    let off = karg.kind == ValueKind::Bool && !token.is_true();
    if !decides || off {
        return;
    }
    match karg.status {
        // Common words that concern the network only together with ip=.
        Status::NotBuilt(_) if BESIDE_IP.contains(&karg.name) && !lookup.has(&IP) => {}
        Status::NotBuilt(area) => not_built(lookup, area, &token.raw),
        Status::Ignored(why) => lookup.report(Level::Notice, "ignored", &token.raw, format!("{why}, ignoring")),
        Status::Built | Status::Elsewhere(_) => {}
    }
}

/// Kargs that complete an `ip=` which holds only an address.
const BESIDE_IP: [&str; 5] = [GATEWAY.name, NETMASK.name, HOSTNAME.name, KSDEVICE.name, MTU.name];

fn stranger(lookup: &mut Lookup, token: &Token, live: bool) {
    if let Some(foreign) = foreign_karg(&token.key, token.value.as_deref()) {
        // Another way to say what root= already says: a menu entry that serves two systems.
        if live && foreign.instead.starts_with("root=") {
            return;
        }
        let message = format!("belongs to {}, ignoring; here it is {}", foreign.owner, foreign.instead);
        lookup.warn("foreign", &token.raw, message);
        return;
    }
    lookup.stranger(token);
}

/// Says that a part is missing and what happens in its place.
pub(super) fn not_built(lookup: &mut Lookup, area: Area, karg: &str) {
    lookup.warn("not-built", karg, format!("{} is not built yet, {}", area.what(), area.instead()));
}

/// Kargs that set dmsquash's mode and mean nothing to kiwi-live.
const DMSQUASH_MODE: [&Karg; 4] = [&LIVE_OVERLAY, &OVERLAY_THIN, &WRITABLE_FSIMG, &OVERLAY_NO_PROMPT];

/// Kargs that cannot be meant together, and what wins.
pub(super) fn contradictions(lookup: &mut Lookup, config: &Config, guessed: bool) {
    if config.dialect == Dialect::Kiwi && guessed {
        for karg in DMSQUASH_MODE {
            let message = format!(
                "belongs to dracut, but {}, reading the line as kiwi; rd.live.dialect= decides",
                config.dialect_reason
            );
            contradiction(lookup, karg, &message);
        }
    }
    if config.dialect == Dialect::Dmsquash
        && !config.covers_root()
        && config.overlay.method == Method::Overlayfs
        && let Some(token) = lookup.token(&ROOTFLAGS).filter(|_| !config.rootflags.is_empty())
    {
        let message = "options for a root without an overlay, ignoring; dialect kiwi gives them to the overlay";
        lookup.report(Level::Notice, "ignored", &token.raw, message);
    }
    write_area(lookup, config);
    useless::without_effect(lookup, config);
    meant::misread(lookup, config);
    if config.source.is_live() && lookup.has(&LIVE_IMAGE) && !lookup.flag(&LIVE_IMAGE, true) {
        contradiction(lookup, &LIVE_IMAGE, "root=live: asks for a live system, looking for it");
    }
    if lookup.has(&OVERLAY) && lookup.has(&LIVE_OVERLAY_OVERLAYFS) {
        let old = lookup.flag(&LIVE_OVERLAY_OVERLAYFS, false);
        if old == config.overlay.refused {
            contradiction(lookup, &LIVE_OVERLAY_OVERLAYFS, "rd.overlay says the opposite, using rd.overlay");
        }
    }
    if config.iso_scan.is_some()
        && !matches!(config.source, Source::Device(_) | Source::IsoVolume)
        && config.source.is_live()
    {
        contradiction(lookup, &ISO_SCAN, "root= names no volume of an ISO file, using root= alone");
    }
}

/// What the persistent area and the method exclude.
fn write_area(lookup: &mut Lookup, config: &Config) {
    let overlay = &config.overlay;
    if overlay.persistence.is_none() && overlay.crypt.is_none() {
        if overlay.readonly {
            contradiction(lookup, &OVERLAY_READONLY, "no persistent area is named, using a temporary overlay");
        }
        if overlay.reset {
            contradiction(lookup, &OVERLAY_RESET, "no persistent area is named, emptying nothing");
        }
    }
    if overlay.unlock.encrypt && overlay.persistence.is_none() && !lookup.has(&OVERLAY_CRYPT) {
        let message = "no persistent area is asked for, encrypting nothing; rd.live.overlay.persistent asks for one";
        contradiction(lookup, &LIVE_ENCRYPT, message);
    }
    if overlay.refused && overlay.method != Method::Direct && (overlay.wish().is_some() || overlay.crypt.is_some()) {
        contradiction(lookup, &OVERLAY, "changes that are kept as files need an overlay, using one");
    }
    image_itself(lookup, config);
    if overlay.crypt.is_some() && overlay.persistence.is_some() {
        contradiction(lookup, &OVERLAY_CRYPT, "another karg names a place for changes too, using the encrypted device");
    }
    let plain = matches!(overlay.persistence, Some(Persistence::Named { .. } | Persistence::OnMedium { .. }));
    if overlay.unlock.encrypt && plain && overlay.crypt.is_none() {
        let message =
            "the named place is not encrypted, keeping changes in RAM; rd.overlay.crypt=<device> encrypts one";
        contradiction(lookup, &LIVE_ENCRYPT, message);
    }
    let snapshot = matches!(overlay.method, Method::Snapshot { .. });
    if !snapshot && lookup.flag(&OVERLAY_THIN, false) {
        contradiction(lookup, &OVERLAY_THIN, "only a device-mapper snapshot can be thin, ignoring");
    }
    if overlay.fsimg && overlay.persistence.is_some() {
        contradiction(lookup, &WRITABLE_FSIMG, "a copy in RAM is not kept, ignoring the persistent area");
    }
}

/// What excludes that the image itself is written.
fn image_itself(lookup: &mut Lookup, config: &Config) {
    let overlay = &config.overlay;
    if overlay.method != Method::Direct {
        return;
    }
    if !overlay.fsimg && matches!(overlay.persistence, Some(Persistence::Named { .. } | Persistence::OnMedium { .. })) {
        contradiction(lookup, &LIVE_OVERLAY, "rd.overlay=none writes the image itself, using no other place");
    }
    if overlay.fsimg && overlay.ordinary {
        contradiction(lookup, &OVERLAY, "rd.writable.fsimg writes into a copy of the image, using no overlay");
    }
    let writable = config.medium_access == Access::ReadWrite || config.ram || overlay.fsimg;
    if !writable && let Some(token) = lookup.token(&OVERLAY).or(lookup.token(&LIVE_OVERLAY)) {
        let message = "the image itself can be written only with rw beside it, keeping changes in RAM";
        lookup.report(Level::Notice, "ignored", &token.raw, message);
    }
}

/// Adds the warning for the token of an entry, if it is present.
fn contradiction(lookup: &mut Lookup, karg: &Karg, message: &str) {
    if let Some(token) = lookup.token(karg) {
        lookup.warn("contradiction", &token.raw, message);
    }
}

//! The disk that an image is written to (`rd.kiwi.live.system=` and its relatives).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::lookup::Lookup;
use super::registry::{KIWI_RESET, KIWI_SYSTEM, LIVE_SYSTEM_WIPE};
use super::{Level, Selector};

/// Where an image goes that is fetched, unless that is RAM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// The disk, partition or other block device.
    pub device: Selector,
    /// What may be wiped.
    pub wipe: Option<Given>,
    /// The image is fetched again, and what was kept beside it is gone.
    pub reset: bool,
}

/// What is given away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Given {
    /// A device.
    Device(Selector),
    /// The disk whose table has this id. It ends with the table.
    Table(String),
}

impl Given {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("PTUUID=") {
            Some(id) => Some(Self::Table(id.to_owned())).filter(|_| !id.is_empty()),
            None => Selector::parse(text).map(Self::Device),
        }
    }

    /// The name of a device.
    #[must_use]
    pub fn device(&self) -> Option<&Selector> {
        match self {
            Self::Device(selector) => Some(selector),
            Self::Table(_) => None,
        }
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(selector) => selector.fmt(f),
            Self::Table(id) => write!(f, "PTUUID={id}"),
        }
    }
}

/// What the command line says of it.
pub(super) fn system(lookup: &mut Lookup) -> Option<System> {
    let text = lookup.text(&KIWI_SYSTEM)?;
    // kiwi-live spec 1.5: its name for RAM.
    if text.starts_with("/dev/ram") {
        return None;
    }
    let Some(device) = Selector::parse(&text) else {
        let why = "is no device: /dev/…, LABEL=, UUID=, PARTUUID= or PARTLABEL=; the image goes to RAM";
        if let Some(token) = lookup.token(&KIWI_SYSTEM) {
            lookup.report(Level::Error, "value", &token.raw, why.to_owned());
        }
        return None;
    };
    let wipe = lookup.text(&LIVE_SYSTEM_WIPE).and_then(|text| Given::parse(&text));
    if let (None, Some(token)) = (&wipe, lookup.token(&LIVE_SYSTEM_WIPE)) {
        lookup.warn("value", &token.raw, "is no device, so nothing is given away");
    }
    Some(System { device, wipe, reset: lookup.flag(&KIWI_RESET, false) })
}

#[cfg(test)]
mod tests {
    use crate::config::{Given, Selector, interpret_text};

    #[test]
    fn t60_sd13_where_an_image_goes() {
        let of = |words: &str| interpret_text(&format!("root=live:http://h/x {words}"));
        let path = |path: &str| Selector::Path(path.into());
        for (words, expected) in [
            ("", None),
            ("rd.kiwi.live.system=/dev/ram0", None),
            ("rd.kiwi.live.system=/dev/sda", Some((path("/dev/sda"), None, false))),
            ("rd.kiwi.live.system=UUID=ab rd.kiwi.live.reset", Some((Selector::Uuid("ab".into()), None, true))),
            (
                "rd.kiwi.live.system=/dev/sda rd.kiwi.live.system.wipe=/dev/disk/by-id/x",
                Some((path("/dev/sda"), Some(Given::Device(path("/dev/disk/by-id/x"))), false)),
            ),
            (
                "rd.kiwi.live.system=/dev/sda rd.kiwi.live.system.wipe=PTUUID=ab-1",
                Some((path("/dev/sda"), Some(Given::Table("ab-1".into())), false)),
            ),
        ] {
            let found = of(words).0.system.map(|system| (system.device, system.wipe, system.reset));
            assert_eq!(found, expected, "{words}");
        }
        for (words, told) in [
            ("rd.kiwi.live.system=disk", "is no device"),
            ("rd.kiwi.live.system=/dev/sda rd.kiwi.live.system.wipe=yes", "nothing is given away"),
            ("rd.kiwi.live.system=/dev/sda rd.kiwi.live.system.wipe=PTUUID=", "nothing is given away"),
            ("rd.kiwi.live.reset", "rd.kiwi.live.system"),
            ("rd.kiwi.live.system.wipe=UUID=1", "rd.kiwi.live.system"),
            ("rd.kiwi.live.system=/dev/sda ramdisk_size=1000", "no RAM is taken"),
        ] {
            let warnings = of(words).1;
            assert!(warnings.iter().any(|said| said.message.contains(told)), "{words}: {warnings:?}");
        }
        let (_, warnings) = interpret_text("root=live:LABEL=x rd.kiwi.live.system=/dev/sda");
        assert!(warnings.iter().any(|said| said.message.contains("nothing is fetched")), "{warnings:?}");
    }
}

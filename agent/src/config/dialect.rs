//! Which of the two histories the kargs are read by (product.md §4).

use super::explain::without_secret;
use super::lookup::Lookup;
use super::meant::question;
use super::registry::{LIVE_DIALECT, ROOT};
use super::{Conf, Dialect};

/// Kargs that only kiwi-live has: one of them decides. A trailing `.` stands for any ending.
const KIWI_ONLY: [&str; 4] = ["rd.kiwi.", "rd.live.overlay.persistent", "rd.live.cowfile.", "mediacheck"];

/// The dialect, why, and whether that was only a guess from the kargs present.
pub(super) struct Choice {
    pub dialect: Dialect,
    pub reason: String,
    pub guessed: bool,
}

/// `rd.live.dialect=`, else the initrd's settings, else what the kargs look like.
pub(super) fn choose(lookup: &mut Lookup, conf: &Conf) -> Choice {
    if let Some(choice) = from_cmdline(lookup) {
        return choice;
    }
    if let Some(choice) = from_conf(lookup, conf) {
        return choice;
    }
    match kiwi_only(lookup) {
        Some(karg) => {
            Choice { dialect: Dialect::Kiwi, reason: format!("{karg} exists only in kiwi-live"), guessed: true }
        }
        None => Choice { dialect: Dialect::Dmsquash, reason: "no kiwi-only karg is present".to_owned(), guessed: true },
    }
}

fn from_cmdline(lookup: &mut Lookup) -> Option<Choice> {
    let token = lookup.token(&LIVE_DIALECT)?;
    let name = lookup.text(&LIVE_DIALECT)?;
    let Some(dialect) = by_name(&name) else {
        let meant = question(&name, LIVE_DIALECT.words);
        lookup.warn("value", &token.raw, format!("neither kiwi nor dmsquash, ignoring{meant}"));
        return None;
    };
    Some(Choice { dialect, reason: token.raw.clone(), guessed: false })
}

fn from_conf(lookup: &mut Lookup, conf: &Conf) -> Option<Choice> {
    let name = conf.dialect.as_deref()?;
    let Some(dialect) = by_name(name) else {
        lookup.warn("conf", "/etc/rdlive.conf", format!("dialect = {name} is neither kiwi nor dmsquash, ignoring"));
        return None;
    };
    Some(Choice { dialect, reason: format!("dialect = {name} in /etc/rdlive.conf"), guessed: false })
}

fn by_name(name: &str) -> Option<Dialect> {
    match name {
        "kiwi" => Some(Dialect::Kiwi),
        "dmsquash" => Some(Dialect::Dmsquash),
        _ => None,
    }
}

/// The first argument that only kiwi-live has.
fn kiwi_only(lookup: &Lookup) -> Option<String> {
    let tokens = lookup.cmdline().tokens().iter();
    let mut kiwi = tokens.filter(|token| {
        let by_key = KIWI_ONLY
            .iter()
            .any(|name| if name.ends_with('.') { token.key.starts_with(name) } else { token.key == *name });
        let aoe = token.value.as_deref().is_some_and(|value| value.starts_with("live:AOEINTERFACE="));
        by_key || (token.key == ROOT.name && aoe)
    });
    kiwi.next().map(|token| without_secret(&token.raw))
}

//! What a word that is not known may have meant: values from a list, tags of devices, and words that an unquoted blank has cut off.

use super::lookup::Lookup;
use super::registry::spelling::{Unknown, distance, foreign_karg, unknown};
use super::registry::{INIT, LIVE_IMAGE, ROOT, Status, ValueKind, find};
use super::{Config, Selector, Source};
use crate::cmdline::Token;

/// Tags that name a device.
const TAGS: [&str; 5] = ["CDLABEL", "LABEL", "UUID", "PARTUUID", "PARTLABEL"];

/// Words that all spell yes.
const YES: [&str; 8] = ["", "1", "yes", "on", "true", "y", "t", "enable"];

/// Bare words of the kernel and of programs that many command lines have; beside these, all that begin with `no`.
const COMMON: [&str; 32] = [
    "quiet",
    "splash",
    "rhgb",
    "debug",
    "single",
    "emergency",
    "rescue",
    "verbose",
    "text",
    "textmode",
    "rootwait",
    "threadirqs",
    "earlyprintk",
    "earlycon",
    "ignore_loglevel",
    "initcall_debug",
    "keep_bootcon",
    "forcepae",
    "selinux",
    "apparmor",
    "audit",
    "xforcevesa",
    "recovery",
    "fastboot",
    "forcefsck",
    "cdroot",
    "docache",
    "dokeymap",
    "fips",
    "textinstall",
    "serial",
    "kiosk",
];

/// The listed word that was probably meant; letter case does not count.
pub(super) fn nearest(typed: &str, words: &[&'static str]) -> Option<&'static str> {
    let plain = typed.to_ascii_lowercase();
    let far = |word: &str| if word.len() < 4 { 1 } else { 2 };
    let near = words.iter().map(|word| (distance(&plain, &word.to_ascii_lowercase()), *word));
    near.filter(|(distance, word)| *distance <= far(word) && *distance < word.len()).min().map(|(_, word)| word)
}

/// A value, its listed words in their own letter case: a person who types `Required` means the word.
pub(super) fn in_their_letters(value: String, words: &[&'static str]) -> String {
    let own = |item: &str| words.iter().find(|word| word.eq_ignore_ascii_case(item)).copied();
    match value.split(',').any(|item| own(item).is_some()) {
        true => value.split(',').map(|item| own(item).unwrap_or(item)).collect::<Vec<_>>().join(","),
        false => value,
    }
}

/// The question behind a message, if there is one to ask.
pub(super) fn question(typed: &str, words: &[&'static str]) -> String {
    nearest(typed, words).map_or(String::new(), |word| format!("; did you mean {word}?"))
}

/// Why a text names no device, if it looks as if it should: a tag that is not known, or a node without `/dev/`.
pub(super) fn device(text: &str) -> Option<String> {
    let (tag, name) = text.split_once('=')?;
    let word = !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-_".contains(&byte));
    let meant = nearest(tag, &TAGS).filter(|meant| word && !name.is_empty() && *meant != tag)?;
    Some(format!("{tag}= is no tag that is known; did you mean {meant}=?"))
}

/// What there is to say about the value of a switch that knows some words besides yes and no.
pub(super) fn odd_item(value: &str, words: &[&'static str]) -> Option<String> {
    let known = |item: &&str| {
        let item = item.to_ascii_lowercase();
        YES.contains(&&*item) || words.contains(&&*item) || item.bytes().all(|byte| byte.is_ascii_digit())
    };
    let odd = value.split(',').find(|item| !known(item))?;
    let list: Vec<&str> = ["1", "0"].iter().chain(words).copied().collect();
    let meant = question(odd, words);
    Some(format!("{odd} is none of {}; taking it as yes{meant}", list.join(", ")))
}

/// Says which words of the line were probably meant to be something else.
pub(super) fn misread(lookup: &mut Lookup, config: &Config) {
    cut_off(lookup);
    if let Source::NotLive(Some(root)) = &config.source {
        no_live_root(lookup, root);
    }
    if let Some(scan) = config.iso_scan.as_ref().filter(|scan| scan.device.is_none())
        && let Some((place, _)) = scan.path.to_str().and_then(|path| path.split_once(":/"))
        && let Some(token) = lookup.token(&super::registry::ISO_SCAN)
        && let Some(why) = device(place)
    {
        lookup.warn("value", &token.raw, format!("looking for a file of this whole name on all file systems: {why}"));
    }
}

/// A root that looks as if it was to be a live one.
fn no_live_root(lookup: &mut Lookup, root: &str) {
    let Some(token) = lookup.token(&ROOT) else { return };
    let (scheme, rest) = root.split_once(':').unwrap_or(("", root));
    let (scheme, rest) = root.strip_prefix("live=").map_or((scheme, rest), |rest| ("live", rest));
    let misspelt = nearest(scheme, &["live"]).is_some() && Selector::parse(rest).is_some();
    let live_only = root.starts_with("CDLABEL=") && !lookup.has(&LIVE_IMAGE);
    if misspelt || live_only {
        lookup.warn("value", &token.raw, format!("not taken for a live system; did you mean root=live:{rest}?"));
    }
}

/// A blank ends an argument unless quotes protect it. The rest of a label or path is a bare word then, which means nothing to anybody.
fn cut_off(lookup: &mut Lookup) {
    let tokens = lookup.cmdline().tokens();
    for (at, token) in tokens.iter().enumerate() {
        let listed = |next: &&Token| {
            next.value.is_none() && find(&token.key).is_some_and(|karg| karg.words.contains(&&*next.key))
        };
        if let Some(next) = tokens.get(at + 1).filter(listed) {
            let message = format!("the blank ends it, and {0} does nothing; write {1},{0}", next.key, token.raw);
            lookup.warn("quotes", &token.raw, message);
        }
        let rest: Vec<&str> =
            tokens[at + 1..].iter().take_while(|token| is_loose(token)).map(|token| token.raw.as_str()).collect();
        if !rest.is_empty() && names_something(token) {
            let whole = without_apostrophes(format!("{} {}", token.raw, rest.join(" ")));
            let message = format!(
                "the blank ends it, and nobody knows {}; if it belongs there, write \"{whole}\" in quotes",
                rest[0]
            );
            lookup.warn("quotes", &token.raw, message);
        }
    }
}

/// The kernel knows no apostrophes: a pair of them was to hold the words together.
fn without_apostrophes(whole: String) -> String {
    match whole.split('\'').collect::<Vec<_>>()[..] {
        [before, inside, ""] if before.ends_with(['=', ':']) => format!("{before}{inside}"),
        _ => whole,
    }
}

/// Whether the value of an argument is a name that may have a blank in it.
fn names_something(token: &Token) -> bool {
    let named = token.value.as_deref().is_some_and(|value| value.contains(['=', '/']) && !token.raw.contains('"'));
    // What follows init= goes to init, and is meant to.
    let ours = |key: &str| {
        find(key).is_some_and(|karg| {
            matches!(karg.kind, ValueKind::Text | ValueKind::List)
                && karg.status == Status::Built
                && karg.name != INIT.name
        })
    };
    named && ours(&token.key)
}

/// Whether an argument is a bare word that nobody is known to have.
fn is_loose(token: &Token) -> bool {
    let word = token.key.as_str();
    let numbered = word.starts_with(|c: char| c.is_ascii_digit());
    // Not an option of a module; a version and a file are none.
    let ends = |part: &str| part.starts_with(|c: char| c.is_ascii_digit()) || ["iso", "img"].contains(&part);
    let dotted = word.split('.').skip(1).any(|part| !ends(part));
    let plain = word.len() > 1
        && (numbered || word.contains('/') || !dotted)
        && !word.starts_with("no")
        && !word.starts_with('-')
        && !word.contains(':');
    plain
        && token.value.is_none()
        && !COMMON.contains(&word)
        && find(word).is_none()
        && foreign_karg(word, None).is_none()
        && unknown(word) == Unknown::Other
}

#[cfg(test)]
mod tests {
    use crate::config::interpret_text;
    use crate::config::registry::all;

    fn said(text: &str) -> String {
        let warnings = interpret_text(text).1;
        warnings.iter().map(|warning| format!("{} {}: {}\n", warning.id, warning.karg, warning.message)).collect()
    }

    #[test]
    fn misspelt_values_are_taken_as_before_and_said_table() {
        for (karg, meant) in [
            ("rd.live.overlay.persistent=requierd", "did you mean required?"),
            ("rd.live.overlay.persistent=accept,requird", "did you mean required?"),
            ("rd.live.overlay.persistent=Acept", "did you mean accept?"),
            ("rd.live.overlay.persistent=banana", "banana is none of 1, 0, required, accept; taking it as yes"),
            ("rd.live.ram=requried", "did you mean required?"),
            ("rd.live.ram=flase", "taking it as yes"),
            ("live_ram=reqired", "did you mean required?"),
            ("rd.live.eject=promt", "did you mean prompt?"),
            ("rd.live.dialect=kivi", "did you mean kiwi?"),
            ("rd.emergency=rebot", "did you mean reboot?"),
            ("rd.live.overlay.persistent rd.live.overlay.cowfs=brtfs", "did you mean btrfs?"),
            ("rd.overlay=nnoe", "did you mean none?"),
            ("rd.overlay=tmfps", "did you mean tmpfs?"),
            ("rd.overlay=tmpfs:sizee=1g", "did you mean size?"),
            ("rd.overlay=LABLE=P", "LABLE= is no tag that is known; did you mean LABEL=?"),
            ("rd.overlay=LABLE=P:/x", "did you mean LABEL=?"),
            ("rd.live.overlay=PARTUUD=x", "did you mean PARTUUID=?"),
            ("rd.overlay.crypt=UIID=x", "did you mean UUID=?"),
            ("rd.overlay.crypt=UUID=x,fstyp=xfs", "did you mean fstype?"),
            ("rd.live.medium=label=x", "did you mean LABEL=?"),
            ("rd.live.overlay.persistent rd.live.encrypt.keyfile=LABLE=K:/k", "did you mean LABEL=?"),
            ("iso-scan/filename=LABLE=S:/x.iso", "did you mean LABEL=?"),
        ] {
            let text = said(&format!("root=live:LABEL=x {karg}"));
            assert!(text.contains(meant), "{karg}: {text}");
        }
    }

    /// Every word of every list, with its first letters exchanged, gets the question.
    #[test]
    fn no_list_of_values_is_forgotten() {
        for karg in all() {
            for word in karg.words {
                assert!(karg.values.contains(&format!("`{word}`")), "{}: {word} is not in the page", karg.name);
                let mut letters: Vec<char> = word.chars().collect();
                letters.swap(0, 1);
                let wrong: String = letters.into_iter().collect();
                let text = said(&format!("root=live:LABEL=x rd.live.overlay.persistent {}={wrong}", karg.name));
                assert!(text.contains(&format!("did you mean {word}?")), "{}={wrong}: {text}", karg.name);
                let right = said(&format!("root=live:LABEL=x rd.live.overlay.persistent {}={word}", karg.name));
                assert!(!right.contains("did you mean"), "{}={word}: {right}", karg.name);
            }
        }
    }

    #[test]
    fn misspelt_tags_of_the_root_table() {
        for (root, meant) in [
            ("live:CDLABLE=x", "CDLABLE= is no tag that is known; did you mean CDLABEL=?"),
            ("live:LABLE=x", "did you mean LABEL=?"),
            ("live:UIID=x", "did you mean UUID=?"),
            ("live:PARTUUD=x", "did you mean PARTUUID=?"),
            ("live:PARTLABLE=x", "did you mean PARTLABEL=?"),
            ("live:label=x", "did you mean LABEL=?"),
            ("CDLABEL=x", "did you mean root=live:CDLABEL=x?"),
            ("lvie:CDLABEL=x", "did you mean root=live:CDLABEL=x?"),
            ("LIVE:/dev/sr0", "did you mean root=live:/dev/sr0?"),
            ("live=CDLABEL=x", "did you mean root=live:CDLABEL=x?"),
        ] {
            let text = said(&format!("root={root}"));
            assert!(text.contains(&format!(" root={root}: ")) && text.contains(meant), "{root}: {text}");
        }
        for root in ["UUID=x", "LABEL=live", "overlay:UUID=x", "nfs:server:/x", "/dev/sda1", "zfs:AUTO"] {
            assert_eq!(said(&format!("root={root}")), "", "{root}");
        }
    }

    #[test]
    fn a_blank_without_quotes_is_said_table() {
        for (text, whole) in [
            ("root=live:CDLABEL=MY LIVE", "\"root=live:CDLABEL=MY LIVE\" in quotes"),
            ("root=live:CDLABEL=MY live quiet", "\"root=live:CDLABEL=MY live\" in quotes"),
            ("root=live:CDLABEL=MY LIVE v1.0", "\"root=live:CDLABEL=MY LIVE v1.0\" in quotes"),
            ("root=live:CDLABEL='MY LIVE' quiet", "\"root=live:CDLABEL=MY LIVE\" in quotes"),
            ("iso-scan/filename=/isos/my live.iso", "\"iso-scan/filename=/isos/my live.iso\" in quotes"),
            ("rd.live.overlay.persistent=required accept", "write rd.live.overlay.persistent=required,accept"),
            ("root=live:CDLABEL=My Live 1.0 quiet", "\"root=live:CDLABEL=My Live 1.0\" in quotes"),
            ("root=live:LABEL=x rd.overlay=LABEL=My Data ro", "\"rd.overlay=LABEL=My Data\""),
            ("root=live:LABEL=x iso-scan/filename=/my isos/x.iso", "\"iso-scan/filename=/my isos/x.iso\""),
        ] {
            let found = said(text);
            assert!(found.starts_with("quotes ") && found.contains(whole), "{text}: {found}");
        }
        for text in [
            "\"root=live:CDLABEL=MY LIVE\" quiet",
            "root=live:CDLABEL=\\x20MY rd.live.image quiet rhgb",
            "root=live:CDLABEL=MY ro quiet splash nomodeset",
            "root=live:CDLABEL=MY S",
            "root=live:CDLABEL=MY 3",
            "root=live:CDLABEL=MY --- LIVE",
            "root=live:CDLABEL=MY init=/bin/sh single LIVE",
            "root=live:CDLABEL=MY BOOT_IMAGE=/x LIVE",
            "root=live:CDLABEL=MY usbcore.autosuspend",
        ] {
            assert_eq!(said(text), "", "{text}");
        }
    }
}

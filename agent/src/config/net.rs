//! Sources over the network, and the kargs that a network part will read.

use super::lookup::Lookup;
use super::registry::{self, Area, Karg, NETWORK_TABLE, Status};
use super::root::Unknown;
use super::{Setting, Share, Source};

/// Schemes of `root=live:<URL>` (kiwi-live spec 1.2, dracut-live spec 1.2).
const SCHEMES: [&str; 9] = ["http", "https", "ftp", "ftps", "tftp", "torrent", "nfs", "nfs4", "dolly"];

/// The URL or AoE node in the text after `live:`; `Err` explains one that is broken, `None` is something else.
pub(super) fn source(rest: &str) -> Option<Result<Source, Unknown>> {
    let node =
        ["AOEINTERFACE=", "AOEINTERFACE:", "aoe:", "/dev/etherd/"].iter().find_map(|start| rest.strip_prefix(start));
    if let Some(node) = node {
        return Some(aoe(node.trim_start_matches("/dev/etherd/")));
    }
    let (scheme, address) = rest.split_once(':')?;
    if !SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) {
        return None;
    }
    let empty = address.trim_start_matches('/').is_empty();
    // A dolly client listens: it needs no address (network spec 1.9).
    if empty && !scheme.eq_ignore_ascii_case("dolly") {
        return Some(Err(Unknown::NoServer(scheme.to_owned())));
    }
    if Share::is_one(rest)
        && let Err(error) = Share::parse(rest)
    {
        return Some(Err(Unknown::Share(error)));
    }
    Some(Ok(Source::Url(rest.to_owned())))
}

/// A URL without `live:` that is a live source by itself (dracut 110, which knows the first two).
pub(super) fn plain_url(root: &str) -> bool {
    ["http://", "https://", "ftp://", "ftps://", "tftp://", "dolly://"].iter().any(|start| root.starts_with(start))
}

/// Checks an AoE node: `e<shelf>.<slot>`, perhaps with a partition; without one the loader's is meant.
fn aoe(node: &str) -> Result<Source, Unknown> {
    if node.is_empty() {
        return Ok(Source::Aoe(None));
    }
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (disk, partition) = match node.split_once('p') {
        Some((disk, partition)) => (disk, Some(partition)),
        None => (node, None),
    };
    let address = disk.strip_prefix('e').and_then(|address| address.split_once('.'));
    let good = address.is_some_and(|(shelf, slot)| number(shelf) && number(slot)) && partition.is_none_or(number);
    if good { Ok(Source::Aoe(Some(node.to_owned()))) } else { Err(Unknown::Aoe(node.to_owned())) }
}

/// All kargs of the network area, in the order written.
pub(super) fn settings(lookup: &mut Lookup) -> Vec<Setting> {
    let mut settings = Vec::new();
    for token in lookup.cmdline().tokens() {
        let Some(karg) = registry::find(&token.key) else { continue };
        if is_setting(karg) {
            let value = lookup.clean(token);
            settings.push(Setting { name: karg.name.to_owned(), value });
        }
    }
    settings
}

/// Whether a part of the network reads it, today or later.
fn is_setting(karg: &'static Karg) -> bool {
    let is_of_table = NETWORK_TABLE.iter().any(|entry| std::ptr::eq(*entry, karg));
    let is_read = match karg.status {
        Status::Built | Status::NotBuilt(Area::Network) => true,
        // What it cannot do is said where it would have to.
        Status::Elsewhere(who) => who == registry::LAYERED,
        _ => false,
    };
    is_of_table && is_read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_sources() {
        let url = |text: &str| Some(Ok(Source::Url(text.to_owned())));
        let node = |text: &str| Some(Ok(Source::Aoe(Some(text.to_owned()))));
        let rows = [
            ("http://h/x.iso", url("http://h/x.iso")),
            ("HTTPS://h/x.iso?a=b&c", url("HTTPS://h/x.iso?a=b&c")),
            ("nfs4:server:/path", url("nfs4:server:/path")),
            ("dolly:", url("dolly:")),
            ("torrent:x", url("torrent:x")),
            ("AOEINTERFACE=e0.1", node("e0.1")),
            ("AOEINTERFACE:e10.254", node("e10.254")),
            ("aoe:/dev/etherd/e0.1p1", node("e0.1p1")),
            ("/dev/etherd/e0.1", node("e0.1")),
            ("AOEINTERFACE=", Some(Ok(Source::Aoe(None)))),
            ("cifs://h/x", None),
            ("LABEL=http:x", None),
            ("sr0", None),
        ];
        for (text, expected) in rows {
            assert_eq!(source(text), expected, "{text}");
        }
        for text in ["http:", "ftp:///", "AOEINTERFACE=eth0", "aoe:e0", "aoe:e.1", "aoe:e0.1p"] {
            assert!(matches!(source(text), Some(Err(_))), "{text}");
        }
    }
}

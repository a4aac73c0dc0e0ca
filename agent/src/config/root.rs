//! What `root=` asks for, and where the image lies on it.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::explain::without_password;
use super::lookup::Lookup;
use super::registry::{ISO_SCAN, LIVE_DIR, LIVE_IMAGE, LIVE_MEDIUM, LIVE_SQUASHIMG, ROOT, ROOTFSTYPE};
use super::{Access, Conf, IsoScan, Level, Selector, Share, Source, grub, meant, net, stick};
use crate::layout;

/// The forms `root=` may have, for messages.
pub const FORMS: &str = "accepted are live:CDLABEL=<label>, live:LABEL=, live:UUID=, live:PARTUUID=, live:PARTLABEL=, \
    live:/dev/<device>, live:/<file in the initrd>.iso or .img, live:AOEINTERFACE=<node> and live:<URL>";

/// In front of a live source: of both originals, and what dracut makes of it on its way (dracut-live spec 1.2, 1.6).
const PREFIXES: [&str; 3] = ["live:", "livenet:", "liveiso:"];

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLive(None) => f.write_str("not a live system: no root= and no rd.live.image"),
            Self::NotLive(Some(root)) => {
                let root = without_password(root);
                write!(f, "not a live system: root={root} does not begin with live: and rd.live.image is off")
            }
            Self::Malformed { value, .. } => write!(f, "unusable: root={}", without_password(value)),
            Self::Device(selector) => write!(f, "device {selector}"),
            Self::IsoVolume => f.write_str("the volume in the ISO file"),
            Self::InitrdFile(path) => write!(f, "file {} in the initrd", path.display()),
            Self::Aoe(Some(node)) => write!(f, "AoE node {node}"),
            Self::Aoe(None) => f.write_str("the AoE device that the loader has booted from"),
            Self::Url(url) => write!(f, "URL {}", without_password(url)),
        }
    }
}

impl Source {
    /// Whether a boot ends because this cannot be provided yet.
    #[must_use]
    pub fn is_not_built(&self) -> bool {
        match self {
            Self::Url(text) => !self.is_fetched() && !Share::is_one(text),
            Self::Aoe(_)
            | Self::NotLive(_)
            | Self::Malformed { .. }
            | Self::Device(_)
            | Self::IsoVolume
            | Self::InitrdFile(_) => false,
        }
    }
}

/// Reads `root=` in the light of `rd.live.image`. Both dialects take all forms of both (kiwi-live T-03, T-04).
pub(super) fn source(lookup: &mut Lookup) -> Source {
    let image = lookup.flag(&LIVE_IMAGE, false);
    let Some(root) = lookup.text(&ROOT) else {
        return match image {
            _ if stick::iso_file(lookup).is_some() => Source::IsoVolume,
            true => malformed(lookup, "", "rd.live.image is given, but root= is missing"),
            false => Source::NotLive(None),
        };
    };
    let rest = match PREFIXES.iter().find_map(|prefix| root.strip_prefix(prefix)) {
        Some(rest) => rest,
        None if image || net::plain_url(&root) => &root,
        // Nobody who names an ISO file so wants another root.
        None if stick::iso_file(lookup).is_some() => return Source::IsoVolume,
        None => return Source::NotLive(Some(root)),
    };
    match live_source(rest) {
        Ok(source) => source,
        Err(why) => malformed(lookup, &root, &why.to_string()),
    }
}

/// What is wrong with the text after `live:`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unknown {
    #[error("nothing follows live:")]
    Empty,
    #[error("nothing follows {0}=")]
    EmptyTag(String),
    #[error("a file in the initrd must end in .iso or .img, {0} does not")]
    Container(String),
    #[error("{0} is neither below /dev nor a file that ends in .iso or .img")]
    Path(String),
    #[error("{0} is not a scheme we know")]
    Scheme(String),
    #[error("{0}")]
    Tag(String),
    #[error("{0} is no known form; a device needs its whole path, as in /dev/{0}")]
    Form(String),
    #[error(transparent)]
    Share(#[from] super::ShareError),
    #[error("the {0} URL names no server")]
    NoServer(String),
    #[error("\"{0}\" is no AoE node such as e0.1")]
    Aoe(String),
}

/// The text after `live:`, or why it is none of the known forms.
fn live_source(rest: &str) -> Result<Source, Unknown> {
    if let Some(source) = net::source(rest) {
        return source;
    }
    let file = rest.starts_with('/').then(|| rest.rsplit_once('.')).flatten();
    let extension = file.map(|(_, extension)| extension.to_ascii_lowercase());
    let in_initrd = || Ok(Source::InitrdFile(PathBuf::from(rest)));
    match extension.as_deref() {
        // A label may end in .iso, a device node in /dev itself may not (dracut-live spec 1.2).
        Some("iso") if !rest.starts_with("/dev/disk/") => in_initrd(),
        Some("img") if !rest.starts_with("/dev/") => in_initrd(),
        _ => match Selector::parse(rest) {
            Some(selector) => Ok(Source::Device(selector)),
            None => Err(complaint(rest, extension.as_deref())),
        },
    }
}

/// What is wrong with a form we do not know.
fn complaint(rest: &str, extension: Option<&str>) -> Unknown {
    let text = rest.to_owned();
    match (rest.split_once('='), rest.split_once(':')) {
        _ if rest.is_empty() => Unknown::Empty,
        (Some((tag, "")), _) => Unknown::EmptyTag(tag.to_owned()),
        _ if meant::device(rest).is_some() => Unknown::Tag(meant::device(rest).unwrap_or_default()),
        _ if matches!(extension, Some("squashfs" | "erofs" | "sqfs")) => Unknown::Container(text),
        _ if rest.starts_with('/') => Unknown::Path(text),
        (_, Some((scheme, _))) => Unknown::Scheme(scheme.to_owned()),
        _ => Unknown::Form(text),
    }
}

fn malformed(lookup: &mut Lookup, value: &str, why: &str) -> Source {
    let why = format!("{why}; {FORMS}");
    let karg = lookup.token(&ROOT).or_else(|| lookup.token(&LIVE_IMAGE)).map_or("root=", |token| &token.raw);
    lookup.report(Level::Error, "root", karg, why.clone());
    Source::Malformed { value: value.to_owned(), why }
}

/// What the loader's medium is known by: a name of its device, and its mark.
type Known = (Option<Selector>, Option<String>);

/// `rd.live.medium=`, else what the initrd was told.
pub(super) fn medium(lookup: &mut Lookup, conf: &Conf) -> Known {
    const FORMS: &str = "is not LABEL=, UUID=, PARTUUID=, PARTLABEL=, nor ID= with 16 digits, ignoring";
    if let (Some(token), Some(text)) = (lookup.token(&LIVE_MEDIUM), lookup.text(&LIVE_MEDIUM)) {
        // Whatever this initrd was made for.
        if text == "any" {
            return (None, None);
        }
        let known = loader(&text);
        if known != (None, None) {
            malformed_id(&text, &known).into_iter().for_each(|why| lookup.warn("value", &token.raw, why));
            return known;
        }
        let why = meant::device(&text).map_or(String::new(), |why| format!(": {why}"));
        lookup.warn("value", &token.raw, format!("{FORMS}{why}"));
    }
    let Some(text) = conf.medium.as_deref() else { return (None, None) };
    let known = loader(text);
    let why = if known == (None, None) { Some(FORMS) } else { malformed_id(text, &known) };
    if let Some(why) = why {
        lookup.warn("conf", "/etc/rdlive.conf", format!("medium = {text} {why}"));
    }
    known
}

/// What to say of a mark behind a name that was not taken for one.
fn malformed_id(text: &str, known: &Known) -> Option<&'static str> {
    let label = text.starts_with("LABEL=");
    (known.1.is_none() && text.contains(",ID=")).then_some(match label {
        true => "has not 16 digits of 0-9 and a-f behind ID=, taking all of it for the label",
        false => "has not 16 digits of 0-9 and a-f behind ID=, ignoring what follows the comma",
    })
}

/// `<name>`, `ID=<16 hexadecimal digits>`, or both with a comma between.
fn loader(text: &str) -> Known {
    let is_id = |id: &str| id.len() == 16 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match text.rsplit_once("ID=").filter(|(name, _)| name.is_empty() || name.ends_with(',')) {
        Some((name, id)) if is_id(id) => (Selector::parse(name.trim_end_matches(',')), Some(id.to_owned())),
        // No UUID has a comma; a label may.
        Some((name, _)) if !name.starts_with("LABEL=") => (Selector::parse(name.trim_end_matches(',')), None),
        _ => (Selector::parse(text), None),
    }
}

/// `iso-scan/filename=<path>`, perhaps with a device before the path; else what sticks made for KIWI say.
pub(super) fn iso_scan(lookup: &mut Lookup) -> Option<IsoScan> {
    let text = lookup.text(&ISO_SCAN).unwrap_or_default();
    let (token, device, path) = match (lookup.token(&ISO_SCAN), split_place(&text)) {
        (Some(token), Some((device, path))) => (token, Selector::parse(device), path.to_owned()),
        (Some(token), None) => (token, None, text),
        (None, _) => stick::iso_file(lookup)?,
    };
    let path = path.as_str();
    // It is resolved inside its file system, so `..` leads nowhere else.
    let below = |path: &str| {
        let path = path.trim_start_matches('/');
        (!path.is_empty()).then(|| PathBuf::from(path))
    };
    let mut readings: Vec<_> = grub::readings(path).iter().filter_map(|path| below(path)).collect();
    readings.extend(bytes_again(path));
    let Some(path) = below(path) else {
        lookup.warn("value", &token.raw, "no path of a file, searching no ISO file");
        return None;
    };
    Some(IsoScan { device, path, readings })
}

/// A path whose names are no UTF-8: what the command line shows as `\xNN` is a byte of it again.
fn bytes_again(path: &str) -> Option<PathBuf> {
    let (mut bytes, mut rest, mut found) = (Vec::new(), path.trim_start_matches('/').as_bytes(), false);
    while let Some((first, behind)) = rest.split_first() {
        let digits = rest.strip_prefix(b"\\x").and_then(|digits| std::str::from_utf8(digits.get(..2)?).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|byte| !byte.is_ascii());
        found |= byte.is_some();
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &rest[4..] } else { behind };
    }
    found.then(|| PathBuf::from(OsString::from_vec(bytes)))
}

/// Cuts `<device>:/<path>` if the text begins with a device. Device names may hold colons but never `:/`.
pub(super) fn split_place(text: &str) -> Option<(&str, &str)> {
    let at = text.find(":/")?;
    let (device, path) = (&text[..at], &text[at + 1..]);
    Selector::parse(device).map(|_| (device, path))
}

/// `rd.live.dir` without slashes at its ends; `/` is the top of the medium.
pub(super) fn live_dir(lookup: &mut Lookup) -> String {
    let dir = lookup.text(&LIVE_DIR);
    dir.map_or(layout::LIVE_DIR.to_owned(), |dir| grub::taken(dir.trim_matches('/').to_owned()))
}

/// `rd.live.squashimg` without a leading slash.
pub(super) fn squashimg(lookup: &mut Lookup) -> String {
    let file = lookup.text(&LIVE_SQUASHIMG).unwrap_or_default();
    match file.trim_matches('/') {
        "" => layout::SQUASHIMG.to_owned(),
        file => grub::taken(file.to_owned()),
    }
}

/// `rootfstype=` when it names one driver; a list and `auto` mean the same as nothing.
pub(super) fn rootfstype(lookup: &mut Lookup) -> Option<String> {
    lookup.text(&ROOTFSTYPE).filter(|kind| !kind.is_empty() && kind != "auto" && !kind.contains(','))
}

/// The last bare `ro` or `rw`; read-only without either (dracut-live spec 1.1).
pub(super) fn medium_access(lookup: &Lookup) -> Access {
    let words = lookup.cmdline().tokens().iter().rev();
    let mut modes = words.filter(|token| token.value.is_none()).filter_map(|token| match token.key.as_str() {
        "ro" => Some(Access::ReadOnly),
        "rw" => Some(Access::ReadWrite),
        _ => None,
    });
    modes.next().unwrap_or(Access::ReadOnly)
}

//! A command line that did not arrive as it was written (network-field.md kind 25): loaders and kernels cut what is too long without a
//! word, and GRUB ends a command at `;` and `&`.

use super::explain::without_secret;
use super::lookup::Lookup;
use super::registry::ROOT;
use super::{Share, Source};

/// Bytes that a loader or a kernel keeps of a longer line: of the boot protocols before 2.02, of PXE loaders, of other processors, of x86,
/// and of the largest kernels.
const KEPT: [usize; 5] = [255, 511, 1023, 2047, 4095];
/// So much of the end is enough to find the place again.
const SHOWN: usize = 24;

/// Says that the whole line, or the URL in it, looks cut.
pub(super) fn complaints(lookup: &mut Lookup, source: &Source) {
    if let Some(line) = lookup.cmdline().kernel_line().filter(|line| KEPT.contains(&line.bytes)) {
        let message = format!(
            "has exactly {} bytes, as much as loaders and kernels keep of a longer one: the line may be cut, it ends with {}; what is \
             missing fits into /etc/cmdline.d of the initrd",
            line.bytes,
            end(&without_secret(&line.last))
        );
        lookup.warn("cut", "/proc/cmdline", message);
    }
    if let (Source::Url(url), Some(token)) = (source, lookup.token(&ROOT))
        && let Some(place) = stump(url)
    {
        lookup.warn("cut", &token.raw, format!("the URL ends {place}: {CAUSE}"));
    }
}

/// Why a URL is short, and what helps.
const CAUSE: &str = "it may be cut, for GRUB ends a command at ; and &; put the whole word into single quotes in its menu, or write %3B \
                     and %26";

/// What there is to say about a URL that looks cut, where nothing could be fetched from it.
#[must_use]
pub fn why_nothing_came(url: &str) -> Option<String> {
    stump(url).map(|place| format!("the URL ends {place}: {CAUSE}"))
}

/// Where a URL ends that names no file.
fn stump(url: &str) -> Option<&'static str> {
    let (scheme, rest) = url.split_once(':')?;
    if scheme.eq_ignore_ascii_case("dolly") || Share::is_one(url) {
        return None;
    }
    match rest.strip_prefix("//").unwrap_or(rest) {
        rest if rest.ends_with('?') => Some("at ?"),
        rest if rest.ends_with('=') => Some("at ="),
        rest if rest.split_once('/').is_none_or(|(_, path)| path.is_empty()) => Some("behind its server"),
        _ => None,
    }
}

/// The last characters of a word.
fn end(word: &str) -> String {
    let skipped = word.chars().count().saturating_sub(SHOWN);
    format!("{}{}", if skipped == 0 { "" } else { "…" }, word.chars().skip(skipped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use crate::cmdline::Cmdline;
    use crate::config::{Conf, interpret, interpret_text};

    fn said(text: &str) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("proc")).unwrap();
        std::fs::write(root.path().join("proc/cmdline"), text).unwrap();
        let cmdline = Cmdline::load(root.path()).unwrap();
        let (_, warnings) = interpret(&cmdline, &Conf::default());
        let cut = warnings.for_a_person().into_iter().filter(|warning| warning.id == "cut");
        cut.map(|warning| warning.message).collect()
    }

    #[test]
    fn k25_a_line_as_long_as_what_is_kept_of_a_longer_one_may_be_cut() {
        let line = |bytes: usize, end: &str| {
            let start = "root=live:LABEL=x ";
            let filler = "y".repeat(bytes - start.len() - end.len() - 1);
            format!("{start}{filler} {end}")
        };
        for bytes in [255, 511, 1023, 2047, 4095] {
            // The kernel puts an end of line behind it.
            for text in [line(bytes, "rd.live.ov"), line(bytes, "rd.live.ov") + "\n"] {
                let said = said(&text);
                assert_eq!(said.len(), 1, "{bytes}");
                assert!(said[0].contains(&format!("exactly {bytes} bytes")), "{said:?}");
                assert!(said[0].contains("may be cut, it ends with rd.live.ov;"), "{said:?}");
            }
            for other in [bytes - 1, bytes + 1] {
                assert_eq!(said(&line(other, "a")), [""; 0], "{other}");
            }
        }
        let long = &said(&line(2047, &format!("rd.live.mirror=http://u:secret@h/{}", "a".repeat(40))))[0];
        assert!(long.contains("ends with …aaaa") && !long.contains("secret"), "{long}");
        assert!(!said(&line(255, "rd.live.mirror=http://u:secret@"))[0].contains("secret"));
    }

    #[test]
    fn k25_bytes_count_and_not_how_they_are_shown() {
        let mut text = "root=live:LABEL=x ".to_owned();
        text.push_str(&"é".repeat(118));
        assert_eq!(text.len(), 254);
        assert_eq!(said(&text), [""; 0]);
        assert_eq!(said(&(text + "a")).len(), 1);
        // What was typed for an explanation was not read from a kernel.
        let (_, warnings) = interpret_text(&format!("root=live:LABEL=x {}", "y".repeat(255 - 18)));
        assert!(warnings.iter().all(|warning| warning.id != "cut"), "{warnings:?}");
    }

    #[test]
    fn k25_a_url_that_names_no_file_may_be_cut() {
        for (url, place) in [
            ("http://h", "behind its server"),
            ("http://h:8080/", "behind its server"),
            ("https://u:p@h", "behind its server"),
            ("ftp://h", "behind its server"),
            ("http://[fe80::1%25eth0]", "behind its server"),
            ("http://h/get?", "at ?"),
            ("http://h/get?file=", "at ="),
            ("http://h?a=", "at ="),
        ] {
            let found = said(&format!("root=live:{url} quiet"));
            assert_eq!(found.len(), 1, "{url}");
            assert!(found[0].starts_with(&format!("the URL ends {place}: it may be cut")), "{found:?}");
        }
        for url in [
            "http://h/x.iso",
            "http://h/get?file=x",
            "http://h/a=/b",
            "dolly:",
            "dolly://h",
            "nfs://h/x",
            "nfs:h:/x.iso",
        ] {
            assert_eq!(said(&format!("root=live:{url} quiet")), [""; 0], "{url}");
        }
    }
}

//! The URL under which the output is served. The image's path follows it, so it must be one that a path can follow.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A URL without query, fragment and last slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoBase {
    /// No `scheme://host`.
    #[error("need a URL with a server, such as http://192.168.1.1/live")]
    NoServer,
    /// A character that no URL has.
    #[error("{0:?} cannot stand in a URL: write it as % and two digits, a blank as %20")]
    Character(char),
    /// The path of the image could not follow.
    #[error(
        "need the URL of a directory, and {0:?} begins what stands behind a path; signed URLs are none of a directory"
    )]
    NotLast(char),
}

impl FromStr for BaseUrl {
    type Err = NoBase;

    fn from_str(text: &str) -> Result<Self, NoBase> {
        let (scheme, rest) = text.split_once("://").ok_or(NoBase::NoServer)?;
        let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        if !named || rest.is_empty() || rest.starts_with('/') {
            return Err(NoBase::NoServer);
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic() || "\"<>\\^`{|}".contains(*c)) {
            return Err(NoBase::Character(c));
        }
        if let Some(c) = text.chars().find(|c| matches!(c, '?' | '#')) {
            return Err(NoBase::NotLast(c));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BaseUrl {
    /// The URL of a file below it.
    #[must_use]
    pub fn of(&self, path: &str) -> String {
        format!("{}/{path}", self.0)
    }

    fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// Name or address of the server.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.authority().rsplit('@').next().unwrap_or_default();
        match host.strip_prefix('[') {
            Some(inner) => inner.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        }
    }

    /// The server's address, if it is of IPv4.
    #[must_use]
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        self.host().parse().ok()
    }

    /// Does it carry a user or a password?
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.authority().contains('@')
    }

    /// Whether it is `http://HOST` and nothing more: all that GRUB 2.06 can load from when firmware has fetched it by HTTP.
    #[must_use]
    pub fn is_plain_server(&self) -> bool {
        self.0 == format!("http://{}", self.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_directories() {
        for (text, host, url) in [
            ("http://192.168.1.1", "192.168.1.1", "http://192.168.1.1/a/b"),
            ("http://192.168.1.1:8080/live//", "192.168.1.1", "http://192.168.1.1:8080/live/a/b"),
            ("https://u:p@boot.example.org/x", "boot.example.org", "https://u:p@boot.example.org/x/a/b"),
            ("http://[fd50::1]:80/", "fd50::1", "http://[fd50::1]:80/a/b"),
            ("http://h/a;b&c$d", "h", "http://h/a;b&c$d/a/b"),
        ] {
            let base: BaseUrl = text.parse().unwrap();
            assert_eq!((base.host(), base.of("a/b").as_str()), (host, url), "{text}");
            assert_eq!(base.has_credentials(), text.contains('@'));
        }
    }

    #[test]
    fn what_no_path_can_follow_is_refused() {
        for (text, expected) in [
            ("", NoBase::NoServer),
            ("192.168.1.1/live", NoBase::NoServer),
            ("http:///live", NoBase::NoServer),
            ("://h/x", NoBase::NoServer),
            ("http://h/a b", NoBase::Character(' ')),
            ("http://h/a\"b", NoBase::Character('"')),
            ("http://h/${x}", NoBase::Character('{')),
            ("http://h/ä", NoBase::Character('ä')),
            ("http://h/a?token=1", NoBase::NotLast('?')),
            ("http://h/a#b", NoBase::NotLast('#')),
        ] {
            assert_eq!(text.parse::<BaseUrl>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_bare_server() {
        for (text, plain) in [
            ("http://h/", true),
            ("http://h:80", false),
            ("https://h", false),
            ("http://h/x", false),
            ("http://u@h", false),
        ] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().is_plain_server(), plain, "{text}");
        }
    }
}

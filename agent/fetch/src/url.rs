//! URLs as data: what is asked of a server is, byte for byte, what was written (network-field.md, kind 18).
//!
//! Why no crate: `url` follows the browsers and rewrites what it reads (`%2e`, `|`, back slashes, tabs), and brings tables for
//! international names; `fluent-uri` and `iri-string` keep the bytes, but know no zone of an IPv6 address (RFC 6874) and refuse the
//! blanks that people write, so everything but the split at six characters would have been here all the same.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

mod parse;
mod resolve;
#[cfg(test)]
mod tests;

/// The longest URL that is read, in bytes. A kernel command line has at most 4095; signed redirect targets are known up to about 4000.
pub const MAX_LEN: usize = 8192;

/// Why a text is no URL that can be fetched. No variant repeats a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Longer than [`MAX_LEN`].
    #[error("the URL has {0} bytes, at most {MAX_LEN} are read")]
    TooLong(usize),
    /// A line feed, a NUL or the like: it would reach the server as a part of the request, so it is refused instead of encoded.
    #[error("the URL contains the control character 0x{0:02x}; remove it, or write %{0:02X} if the file's name has it")]
    Control(u32),
    /// Nothing that looks like `scheme://`.
    #[error("the URL has no scheme; it begins with http://, https://, ftp://, ftps://, tftp:// or dolly://")]
    NoScheme,
    /// A scheme that nothing here fetches.
    #[error("rdlive does not fetch {0}: URLs; use http, https, ftp, ftps, tftp or dolly")]
    Scheme(String),
    /// `http:///file`, or a line that was cut after the scheme.
    #[error("the URL names no server")]
    NoHost,
    /// A name that no resolver can be asked for.
    #[error(
        "`{0}` is no host name, IPv4 address or IPv6 address in brackets (a name with other letters is written in its xn-- form)"
    )]
    Host(String),
    /// Not a number from 1 to 65535.
    #[error("`{0}` is no port: a number from 1 to 65535")]
    Port(String),
    /// A digest that cannot be one: whoever wrote it relies on it, so it is not ignored.
    #[error("`#sha256=` in a URL is followed by 64 hexadecimal digits; here are {0} characters")]
    Digest(usize),
}

/// What can be fetched from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1 (RFC 9112).
    Http,
    /// HTTP over TLS.
    Https,
    /// FTP (RFC 959).
    Ftp,
    /// FTP over TLS (RFC 4217).
    Ftps,
    /// TFTP (RFC 1350).
    Tftp,
    /// dolly (`network.md` section 1): the server connects to us.
    Dolly,
}

impl Scheme {
    const ALL: [Self; 6] = [Self::Http, Self::Https, Self::Ftp, Self::Ftps, Self::Tftp, Self::Dolly];

    /// The word in front of `://`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ftp => "ftp",
            Self::Ftps => "ftps",
            Self::Tftp => "tftp",
            Self::Dolly => "dolly",
        }
    }

    /// The port where the URL names none.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Ftp => 21,
            Self::Ftps => 990,
            Self::Tftp => 69,
            Self::Dolly => 9997,
        }
    }
}

/// The server of a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name, in lower case, for the resolver.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; the zone (an interface's name) where it was written, as `%25eth0` (RFC 6874) or `%eth0`.
    V6(Ipv6Addr, Option<String>),
}

impl Host {
    /// The address, where the URL has one and no name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address, _) => Some(IpAddr::V6(*address)),
        }
    }

    /// The interface that a link-local address belongs to.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        match self {
            Self::V6(_, zone) => zone.as_deref(),
            _ => None,
        }
    }
}

/// As in a URL and in the `Host` field; the zone is this machine's business and is left out (RFC 6874, section 3).
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => write!(f, "{address}"),
            Self::V6(address, _) => write!(f, "[{address}]"),
        }
    }
}

/// Name and password in front of the host, percent-decoded. Nothing prints them.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Name of the user.
    pub user: Vec<u8>,
    /// Password, empty where only a name was written.
    pub password: Vec<u8>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// A URL that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    credentials: Option<Credentials>,
    host: Host,
    port: Option<u16>,
    path: String,
    query: Option<String>,
    fragment: Option<String>,
}

impl Url {
    /// How it is fetched.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Name and password, if the URL has them.
    #[must_use]
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The server.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, the scheme's own where none was written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.port())
    }

    /// The path as it was written: with its slash, or empty. Blanks and what is not ASCII are percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What follows the question mark, as it was written.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The request target in origin form (RFC 9112, section 3.2.1): path and query as they were written.
    #[must_use]
    pub fn target(&self) -> String {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        self.query.as_ref().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
    }

    /// Path and query without the first slash, percent-decoded: the name of a file for protocols without queries.
    #[must_use]
    pub fn decoded(&self) -> Vec<u8> {
        let target = self.target();
        parse::percent_decode(target.strip_prefix('/').unwrap_or(&target))
    }

    /// Host and, unless it is the scheme's own, port: the `Host` field (RFC 9110, section 7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) if port != self.scheme.port() => format!("{}:{port}", self.host),
            _ => self.host.to_string(),
        }
    }

    /// The SHA-256 in the fragment, `#sha256=<64 hexadecimal digits>`. Another fragment means nothing to us.
    ///
    /// # Errors
    /// [`UrlError::Digest`] when something else follows `sha256=`.
    pub fn digest(&self) -> Result<Option<[u8; 32]>, UrlError> {
        let Some(hex) = self.fragment.as_deref().and_then(|fragment| fragment.strip_prefix("sha256=")) else {
            return Ok(None);
        };
        parse::digest(hex).map(Some).ok_or(UrlError::Digest(hex.chars().count()))
    }

    /// The same scheme, host and port (RFC 9110, section 4.3.1).
    #[must_use]
    pub fn same_origin(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.host == other.host && self.port() == other.port()
    }

    /// The last component of the path, percent-decoded where that is text: the name of the file. `None` when the path ends in a slash.
    #[must_use]
    pub fn file_name(&self) -> Option<String> {
        let name = self.path.rsplit('/').next().filter(|name| !name.is_empty())?;
        Some(String::from_utf8_lossy(&parse::percent_decode(name)).into_owned())
    }
}

/// For people and logs: without credentials, and without the values of parameters that are tokens. All of it is printable ASCII, except
/// where a host name was refused.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.path)?;
        let Some(query) = &self.query else { return Ok(()) };
        for (index, part) in query.split('&').enumerate() {
            f.write_str(if index == 0 { "?" } else { "&" })?;
            match part.split_once('=') {
                Some((name, _)) if is_secret(name) => write!(f, "{name}=…")?,
                _ => f.write_str(part)?,
            }
        }
        Ok(())
    }
}

/// Whether the parameter's name says that its value opens something: those of signed URLs (S3, Azure, GCS) and the usual ones.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["sig", "token", "key", "pass", "pwd", "secret", "auth", "cred"].into_iter().any(|word| name.contains(word))
}

//! A proxy, and what goes without it.

use std::net::IpAddr;

use crate::url::{Host, Scheme, Url, UrlError};

/// `proxy=`, as an HTTP proxy: absolute targets for http, tunnels for https.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Where it is, with its credentials.
    pub url: Url,
    /// What is asked directly.
    pub except: NoProxy,
}

/// Why a proxy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// It is no URL.
    #[error("proxy=: {0}")]
    Url(#[from] UrlError),
    /// SOCKS, or a proxy that itself wants TLS.
    #[error("proxy=: only HTTP proxies can be used (http://host:port), not {0}")]
    Scheme(String),
}

impl Proxy {
    /// Reads the karg; a scheme may be left out, as everywhere.
    ///
    /// # Errors
    /// It is no URL, or no HTTP proxy.
    pub fn parse(text: &str, except: NoProxy) -> Result<Self, ProxyError> {
        let url: Url = match text.contains("://") {
            true => text.parse(),
            false => format!("http://{text}").parse(),
        }
        .map_err(|error| match error {
            UrlError::Scheme(name) => ProxyError::Scheme(name),
            error => ProxyError::Url(error),
        })?;
        match url.scheme() {
            Scheme::Http => Ok(Self { url, except }),
            scheme => Err(ProxyError::Scheme(scheme.name().to_owned())),
        }
    }

    /// The proxy, if this URL goes through it.
    pub(super) fn serves(&self, url: &Url) -> Option<&Url> {
        (!self.except.contains(url)).then_some(&self.url)
    }
}

/// Servers that are asked directly: names with all names below them, addresses, networks, each with a port if wanted; `*` for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    what: What,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    All,
    Name(String),
    Network(IpAddr, u32),
}

impl NoProxy {
    /// Reads a list with commas or blanks. What is understood as nothing else is a name that does not occur.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        Self(words.map(Rule::parse).collect())
    }

    fn contains(&self, url: &Url) -> bool {
        self.0.iter().any(|rule| rule.matches(url))
    }
}

impl Rule {
    fn parse(word: &str) -> Self {
        let what = |text: &str| match text {
            "*" => Some(What::All),
            text => network(text),
        };
        if let Some(what) = what(word) {
            return Self { what, port: None };
        }
        let (rest, port) = match word.rsplit_once(':').map(|(rest, port)| (rest, port.parse().ok())) {
            Some((rest, Some(port))) => (rest, Some(port)),
            _ => (word, None),
        };
        let name = || What::Name(rest.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase());
        Self { what: what(rest).unwrap_or_else(name), port }
    }

    fn matches(&self, url: &Url) -> bool {
        if self.port.is_some_and(|port| port != url.port()) {
            return false;
        }
        match (&self.what, url.host()) {
            (What::All, _) => true,
            (What::Name(suffix), Host::Name(name)) => {
                let name = name.trim_end_matches('.');
                name.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (What::Network(network, bits), host) => {
                host.address().is_some_and(|address| within(address, *network, *bits))
            }
            _ => false,
        }
    }
}

fn network(text: &str) -> Option<What> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most))?;
    Some(What::Network(address, bits))
}

fn within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let same = |a: u128, b: u128, width: u32| bits == 0 || (a ^ b) >> (width - bits) == 0;
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_without_a_proxy() {
        for (list, url, direct) in [
            ("", "http://h/", false),
            ("*", "http://h/", true),
            ("example.com", "http://example.com/", true),
            ("example.com", "http://a.b.Example.com./", true),
            (".example.com", "http://a.example.com/", true),
            ("*.example.com", "http://a.example.com/", true),
            ("example.com", "http://badexample.com/", false),
            ("x, example.com:8080", "http://example.com:8080/", true),
            ("example.com:8080", "http://example.com/", false),
            ("10.0.2.2", "http://10.0.2.2/", true),
            ("10.0.2.2:81", "http://10.0.2.2/", false),
            ("10.0.0.0/8 fe80::/10", "http://10.200.0.1/", true),
            ("10.0.0.0/8", "http://11.0.0.1/", false),
            ("0.0.0.0/0", "http://11.0.0.1/", true),
            ("fe80::/10", "http://[fe80::1%25eth0]/", true),
            ("[2001:db8::1]", "http://[2001:db8::1]:5/", true),
            ("::/0", "http://10.0.0.1/", false),
            ("10.0.0.0/99", "http://10.0.0.1/", false),
            ("0.2", "http://10.0.0.2/", false),
        ] {
            assert_eq!(NoProxy::parse(list).contains(&url.parse().unwrap()), direct, "{list} {url}");
        }
    }

    #[test]
    fn proxies() {
        let proxy = |text: &str| Proxy::parse(text, NoProxy::default()).map(|proxy| proxy.url.to_string());
        assert_eq!(proxy("10.0.0.1:3128"), Ok("http://10.0.0.1:3128".into()));
        assert_eq!(proxy("http://u:p@proxy.lan:3128/"), Ok("http://proxy.lan:3128/".into()));
        assert_eq!(proxy("socks5://h"), Err(ProxyError::Scheme("socks5".into())));
        assert_eq!(proxy("https://h"), Err(ProxyError::Scheme("https".into())));
        assert_eq!(proxy(""), Err(ProxyError::Url(UrlError::NoHost)));
    }
}

//! What the kargs of the network say, typed: how addresses are had, and what is fetched from where.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use rdlive_fetch::url::{Scheme, Url, UrlError};
use rdlive_net::grammar::{Complaint, Effect, Wish, Word};

use super::curl::{Curl, CurlError};
use super::lookup::Lookup;
use super::registry::*;
use super::{Config, Level, Source};

/// Where an image comes from, and whom to trust (kargs of the table "Network").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// `rd.live.mirror=`, in order: URLs of the same file.
    pub mirrors: Vec<String>,
    /// `rd.live.sha256=`: of the file as the server has it.
    pub sha256: Option<String>,
    /// `rd.live.ca=`: a file of the initrd with CAs, or with the server's own certificate.
    pub ca: Option<PathBuf>,
    /// `rd.live.cert=` and `rd.live.key=`: files with which this machine says who it is.
    pub client: Option<(PathBuf, PathBuf)>,
    /// `rd.noverifyssl`: whoever answers is taken for the server.
    pub unverified: bool,
    /// `proxy=`.
    pub proxy: Option<String>,
    /// `no_proxy=`: what is asked without it.
    pub no_proxy: String,
    /// `rd.kiwi.live.dolly_options=`, all of them, as they were written.
    pub dolly: String,
    /// The longest time for one connection, where it was given.
    pub connect: Option<Duration>,
    /// The longest time without a new byte, where it is not that of the whole boot.
    pub patience: Option<Duration>,
    /// `ramdisk_size=`, in bytes: the image may take no more RAM.
    pub limit: Option<u64>,
}

impl Config {
    /// What the command line asks of the network, and what of it cannot be used.
    #[must_use]
    pub fn network_wish(&self) -> (Wish, Vec<Complaint>) {
        Wish::parse(self.network.iter().map(|setting| Word { key: &setting.name, value: setting.value.as_deref() }))
    }

    /// Whether the root, or a part of it, comes over the network.
    #[must_use]
    pub fn needs_network(&self) -> bool {
        matches!(self.source, Source::Url(_) | Source::Aoe(_)) || self.fetched_updates().is_some()
    }

    /// The URL of files that are copied over the root.
    #[must_use]
    pub fn fetched_updates(&self) -> Option<String> {
        let last = self.network.iter().rfind(|setting| setting.name == LIVE_UPDATES.name);
        last.and_then(|setting| setting.value.clone()).filter(|url| !url.is_empty())
    }

    /// What it says of a transfer.
    #[must_use]
    pub fn transfer(&self) -> Transfer {
        let all = |karg: &Karg| {
            let of = self.network.iter().filter(|setting| setting.name == karg.name);
            of.filter_map(|setting| setting.value.clone()).filter(|value| !value.is_empty()).collect::<Vec<_>>()
        };
        let last = |karg: &Karg| all(karg).pop();
        let file = |karg: &Karg| last(karg).map(PathBuf::from);
        let noverify = self.network.iter().rfind(|setting| setting.name == NOVERIFYSSL.name);
        let unverified = noverify.map(|setting| !matches!(setting.value.as_deref(), Some("0" | "no" | "off")));
        // Our own kargs win over what was meant for curl.
        let curl = self.curl().unwrap_or_default();
        Transfer {
            mirrors: all(&LIVE_MIRROR),
            sha256: last(&LIVE_SHA256),
            ca: file(&LIVE_CA).or(curl.ca),
            client: file(&LIVE_CERT).or(curl.client.0).zip(file(&LIVE_KEY).or(curl.client.1)),
            unverified: unverified.unwrap_or(curl.insecure),
            proxy: last(&PROXY).or(curl.proxy),
            no_proxy: last(&NO_PROXY).or(curl.no_proxy).unwrap_or_default(),
            dolly: all(&KIWI_DOLLY_OPTIONS).join(","),
            connect: curl.connect,
            patience: curl.patience,
            limit: last(&RAMDISK_SIZE).and_then(|kib| kib.parse::<u64>().ok()).map(|kib| kib.saturating_mul(1024)),
        }
    }

    /// What the options for curl mean.
    ///
    /// # Errors
    /// What of them is refused.
    pub fn curl(&self) -> Result<Curl, CurlError> {
        let of = self.network.iter().filter(|setting| setting.name == KIWI_CURL_OPTIONS.name);
        Curl::parse(&of.filter_map(|setting| setting.value.as_deref()).collect::<Vec<_>>().join(","))
    }
}

/// Says what of the network's kargs cannot be used as it is written, and what to write instead.
pub(super) fn complaints(lookup: &mut Lookup, config: &Config) {
    if config.transfer().limit.is_none()
        && let Some(token) = lookup.token(&RAMDISK_SIZE)
    {
        lookup.warn("value", &token.raw, "is no number of KiB, taking what the image needs");
    }
    for Complaint { key, value, fault } in config.network_wish().1 {
        let (level, effect) = match fault.effect() {
            Effect::Ignored => (Level::Warning, ", ignoring it"),
            Effect::PartIgnored => (Level::Warning, ", ignoring that part"),
            Effect::Used => (Level::Notice, ""),
        };
        let karg = if value.is_empty() { key } else { format!("{key}={value}") };
        lookup.report(level, "value", &karg, format!("{fault}{effect}; {}", fault.remedy()));
    }
}

impl Source {
    /// Whether it is a URL that is fetched today.
    #[must_use]
    pub fn is_fetched(&self) -> bool {
        self.url().is_some()
    }

    /// Whether it comes from a dolly server.
    #[must_use]
    pub fn is_dolly(&self) -> bool {
        self.url().is_some_and(|url| url.scheme() == Scheme::Dolly)
    }

    fn url(&self) -> Option<Url> {
        let Self::Url(text) = self else { return None };
        url(text).ok()
    }
}

/// A URL to fetch from. A dolly server comes by itself, so none needs to be named (network.md 1.9): then any will do.
///
/// # Errors
/// What is wrong with the text.
pub fn url(text: &str) -> Result<Url, UrlError> {
    let rest = text.get(..6).filter(|scheme| scheme.eq_ignore_ascii_case("dolly:")).and_then(|_| text.get(6..));
    match rest.map(|rest| (rest, rest.trim_start_matches('/'))) {
        Some((rest, path)) if path.is_empty() || rest.len() - path.len() != 2 => {
            format!("dolly://{}/{path}", Ipv4Addr::UNSPECIFIED).parse()
        }
        _ => text.parse(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::{Level, interpret_text};

    #[test]
    fn a_word_of_the_network_that_cannot_be_used_is_said() {
        for (words, expected) in [
            ("ip=dhpc", "Warning ip=dhpc: \"dhpc\" is no way to get an address, ignoring it; write ip=dhcp"),
            (
                "ip=10.0.0.5::10.0.0.1:255.255.255.0:a_b:eth0:none",
                "\"a_b\" is no name of a host, ignoring that part; use",
            ),
            ("ip=10.0.0.5:::::eth0:none", "Notice ip=10.0.0.5:::::eth0:none: it has no mask, /8 was guessed; write"),
            ("bond=bond0:eth0,eth1", "dracut mode"),
            ("rd.route=10.0.0.0/8", "Warning rd.route=10.0.0.0/8: "),
            ("nameserver=dns.example", "is no address of a server"),
            ("vlan=eth0.9999:eth0", "vlan=eth0.9999:eth0: "),
        ] {
            let told = |root: &str| {
                let (_, warnings) = interpret_text(&format!("root=live:{root} {words}"));
                let of_values = warnings.into_iter().filter(|warning| warning.id == "value");
                of_values.map(|said| format!("{:?} {}: {}", said.level, said.karg, said.message)).collect::<Vec<_>>()
            };
            let found = told("http://h/x.iso");
            assert!(matches!(found.as_slice(), [one] if one.contains(expected)), "{words}: {found:?}");
            // Who has no use for it is not bothered.
            assert_eq!(told("LABEL=x"), [""; 0], "{words}");
        }
        // The room that is to stay free counts for what is fetched, too; that is in RAM already.
        let (_, warnings) = interpret_text("root=live:http://h/x.iso rd.minmem=64 rd.live.ram rd.live.eject");
        let without: Vec<_> = warnings.iter().filter(|said| said.id == "ignored").map(|said| &said.karg).collect();
        assert_eq!(without, ["rd.live.ram", "rd.live.eject"], "{warnings:?}");
        let (_, warnings) = interpret_text("root=live:http://h/x.iso rd.minmem=64");
        assert!(warnings.iter().all(|said| said.id != "ignored"), "{warnings:?}");
        let (_, warnings) = interpret_text("root=live:ftp://h/x.iso rd.kiwi.live.dolly_options=-v");
        assert!(warnings.iter().any(|said| said.id == "ignored" && said.message.contains("dolly")), "{warnings:?}");
        let (_, warnings) = interpret_text("root=live:dolly://h/x rd.kiwi.live.dolly_options=-P,secret");
        assert!(warnings.iter().all(|said| said.id != "ignored"), "{warnings:?}");
        let (_, warnings) =
            interpret_text("root=live:http://h/x.iso ip=eth0:dhcp nameserver=10.0.0.1 rd.route=10.0.0.0/8:10.0.0.1");
        assert!(warnings.iter().all(|warning| warning.level != Level::Warning), "{warnings:?}");
    }

    #[test]
    fn options_for_curl_are_those_of_ours_unless_these_are_given() {
        let of = |words: &str| interpret_text(&format!("root=live:http://h/x {words}")).0.transfer();
        let curl = of("rd.kiwi.live.curl_options=-k,-x,http://p,--cacert,/a,--connect-timeout,7,--retry-max-time,9");
        assert!(curl.unverified && curl.connect == Some(Duration::from_secs(7)));
        assert_eq!(
            (curl.proxy.as_deref(), curl.ca, curl.patience.map(|time| time.as_secs())),
            (Some("http://p"), Some("/a".into()), Some(9))
        );
        let both =
            of("rd.kiwi.live.curl_options=-k,-x,http://p,--cacert,/a rd.noverifyssl=0 proxy=http://q rd.live.ca=/b");
        assert!(!both.unverified);
        assert_eq!((both.proxy.as_deref(), both.ca), (Some("http://q"), Some("/b".into())));
        assert_eq!(of("ramdisk_size=3545728").limit, Some(3_545_728 << 10));
        assert_eq!(of("").limit, None);
        let (_, warnings) = interpret_text("root=live:http://h/x ramdisk_size=2G");
        assert!(warnings.iter().any(|said| said.karg == "ramdisk_size=2G" && said.id == "value"), "{warnings:?}");
    }

    #[test]
    fn a_dolly_server_needs_no_name() {
        for (text, expected) in [
            ("dolly:", "dolly://0.0.0.0/"),
            ("dolly://", "dolly://0.0.0.0/"),
            ("dolly:///images/x.iso", "dolly://0.0.0.0/images/x.iso"),
            ("DOLLY:/x.iso", "dolly://0.0.0.0/x.iso"),
            ("dolly://10.0.0.1", "dolly://10.0.0.1"),
            ("dolly://h/x.iso", "dolly://h/x.iso"),
        ] {
            assert_eq!(super::url(text).unwrap().to_string(), expected, "{text}");
        }
        assert!(super::url("http://").is_err() && super::url("do").is_err());
    }
}

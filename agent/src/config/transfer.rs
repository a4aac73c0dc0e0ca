//! What the kargs of the network say, typed: how addresses are had, and what is fetched from where.

use std::path::PathBuf;

use rdlive_fetch::url::{Scheme, Url};
use rdlive_net::grammar::{Complaint, Wish, Word};

use super::registry::*;
use super::{Config, Source};

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
}

impl Config {
    /// What the command line asks of the network, and what of it cannot be used.
    #[must_use]
    pub fn network_wish(&self) -> (Wish, Vec<Complaint>) {
        Wish::parse(self.network.iter().map(|setting| Word { key: &setting.name, value: setting.value.as_deref() }))
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
        Transfer {
            mirrors: all(&LIVE_MIRROR),
            sha256: last(&LIVE_SHA256),
            ca: file(&LIVE_CA),
            client: file(&LIVE_CERT).zip(file(&LIVE_KEY)),
            unverified: noverify.is_some_and(|setting| !matches!(setting.value.as_deref(), Some("0" | "no" | "off"))),
            proxy: last(&PROXY),
            no_proxy: last(&NO_PROXY).unwrap_or_default(),
        }
    }
}

impl Source {
    /// Whether it is a URL that is fetched today.
    #[must_use]
    pub fn is_fetched(&self) -> bool {
        let Self::Url(text) = self else { return false };
        text.parse::<Url>().is_ok_and(|url| matches!(url.scheme(), Scheme::Http | Scheme::Https))
    }
}

//! What TLS says, in words that lead somewhere.

use std::time::Duration;

use rdlive_media::printable::printable;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};

use crate::date::Date;
use crate::policy::{Verdict, Whose};

/// Why certificates or key of the command line cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The file of this karg has no certificate.
    #[error("the file of {0} has no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    NoCertificate(&'static str),
    /// No key where one should be.
    #[error("the file of rd.live.key= has no private key in PEM form; one that is encrypted cannot be read")]
    NoKey,
    /// The key's text cannot be decoded.
    #[error("the private key of rd.live.key= is damaged")]
    BrokenKey,
    /// Two files that do not belong together.
    #[error("the private key of rd.live.key= does not belong to the certificate of rd.live.cert=")]
    OtherKey,
    /// A kind of key that is not known.
    #[error("the private key of rd.live.key= cannot be used: {0}")]
    UnusableKey(String),
    /// The library could not be set up; nothing that a user can do about it is known.
    #[error("TLS cannot be set up: {0}")]
    Library(String),
}

/// Why a server is not trusted, or does not trust us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// No CA at all.
    #[error("the initrd has no CA certificates, so no server can be trusted; add the server's with rd.live.ca=")]
    NoRoots,
    /// A host name that no certificate can have.
    #[error("`{0}` is no name that a certificate can be for")]
    Name(String),
    /// Its time is over.
    #[error(
        "the server's certificate expired on {not_after}; this machine's clock says {clock}: renew the certificate, or correct the clock"
    )]
    Expired {
        /// Its last second.
        not_after: Date,
        /// Our clock.
        clock: Date,
    },
    /// Its time has not begun: mostly the machine's clock is wrong.
    #[error(
        "the server's certificate is valid from {not_before}; this machine's clock says {clock}: correct it in the firmware's setup"
    )]
    NotYetValid {
        /// Its first second.
        not_before: Date,
        /// Our clock.
        clock: Date,
    },
    /// It is for others.
    #[error("the server's certificate is not for {host}, but for {}", names(.presented))]
    WrongName {
        /// Whom we wanted.
        host: String,
        /// Whom it is for, as the certificate says; made printable.
        presented: Vec<String>,
    },
    /// Nobody that we know has signed it.
    #[error("a CA that is not among the {roots} known ones issued the server's certificate; add it with rd.live.ca=")]
    UnknownIssuer {
        /// So many CAs are known.
        roots: usize,
    },
    /// Something else is wrong with it.
    #[error("the server's certificate is not valid: {0}")]
    Certificate(String),
    /// The server ended it with an alert; it may not like our certificate, or have none for this name.
    #[error("the server refuses the connection: {alert}{remedy}", alert = .0, remedy = remedy(.0))]
    Alert(String),
    /// No version or cipher in common.
    #[error("the server has no version of TLS or cipher that is known here (TLS 1.2 and 1.3): {0}")]
    Incompatible(String),
    /// What answers does not speak TLS.
    #[error("what answers does not speak TLS; should the URL begin with http://?")]
    NotTls,
    /// Anything else, in the library's words.
    #[error("TLS failed: {0}")]
    Other(String),
}

impl TlsError {
    pub(super) fn of(error: &Error, roots: usize) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::certificate(error, roots),
            Error::AlertReceived(alert) => Self::Alert(alert_words(*alert)),
            Error::PeerIncompatible(error) => Self::Incompatible(format!("{error:?}")),
            Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => Self::NotTls,
            error => Self::Other(printable(&error.to_string())),
        }
    }

    fn certificate(error: &CertificateError, roots: usize) -> Self {
        match error {
            CertificateError::ExpiredContext { time, not_after } => {
                Self::Expired { not_after: date(*not_after), clock: date(*time) }
            }
            CertificateError::NotValidYetContext { time, not_before } => {
                Self::NotYetValid { not_before: date(*not_before), clock: date(*time) }
            }
            CertificateError::NotValidForNameContext { expected, presented } => Self::WrongName {
                host: expected.to_str().into_owned(),
                presented: presented.iter().take(8).map(|name| printable(name)).collect(),
            },
            CertificateError::UnknownIssuer => Self::UnknownIssuer { roots },
            error => Self::Certificate(printable(&error.to_string())),
        }
    }

    /// What it means for the source. A certificate does not become better within a boot; an alert may come from a server that starts.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Alert(_) => Verdict::Missing,
            Self::Other(_) => Verdict::Again(Whose::Servers),
            _ => Verdict::Final,
        }
    }
}

fn names(presented: &[String]) -> String {
    // As rustls writes them: DnsName("x"), IpAddress(1.2.3.4).
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
        inner.trim_matches('"').to_owned()
    };
    if presented.is_empty() { "nobody".into() } else { presented.iter().map(bare).collect::<Vec<_>>().join(", ") }
}

/// The words of RFC 8446, section 6, without the library's way of writing them.
fn alert_words(alert: AlertDescription) -> String {
    let mut words = String::new();
    for c in format!("{alert:?}").chars() {
        if c.is_ascii_uppercase() && words.ends_with(|c: char| c.is_ascii_lowercase()) {
            words.push(' ');
        }
        words.push(c);
    }
    words.to_ascii_lowercase()
}

fn remedy(alert: &str) -> &'static str {
    match alert {
        "certificate required" | "bad certificate" | "handshake failure" => {
            "; does it want a client certificate (rd.live.cert=, rd.live.key=)?"
        }
        "unknown ca" => "; it does not know who issued the certificate of rd.live.cert=",
        _ => "",
    }
}

fn date(time: UnixTime) -> Date {
    Date::new(Duration::from_secs(time.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_in_words() {
        let alert = |alert| TlsError::of(&Error::AlertReceived(alert), 1).to_string();
        let unknown = "the server refuses the connection: unknown ca; it does not know who issued the certificate of rd.live.cert=";
        assert_eq!(alert(AlertDescription::UnknownCA), unknown);
        assert!(alert(AlertDescription::CertificateRequired).contains("rd.live.cert="));
        assert_eq!(alert(AlertDescription::UnrecognisedName), "the server refuses the connection: unrecognised name");
    }
}

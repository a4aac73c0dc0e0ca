//! What TLS says, in words that lead somewhere.

use std::fmt;
use std::time::Duration;

use rdlive_media::printable::printable;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};

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
    #[error("the server's certificate expired on {not_after}; this machine's clock says {clock}")]
    Expired {
        /// Its last second.
        not_after: Date,
        /// Our clock.
        clock: Date,
    },
    /// Its time has not begun: mostly the machine's clock is wrong.
    #[error("the server's certificate is valid from {not_before}; this machine's clock says {clock}: is it wrong?")]
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
                Self::Expired { not_after: Date::of(*not_after), clock: Date::of(*time) }
            }
            CertificateError::NotValidYetContext { time, not_before } => {
                Self::NotYetValid { not_before: Date::of(*not_before), clock: Date::of(*time) }
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

/// A moment in UTC, to the minute, for people: `2026-11-30 07:29 UTC`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Date(Duration);

impl Date {
    fn of(time: UnixTime) -> Self {
        Self(Duration::from_secs(time.as_secs()))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (year, month, day) = civil(seconds / 86_400);
        write!(f, "{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", seconds / 3600 % 24, seconds / 60 % 60)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Year, month and day of a day since 1970, in the Gregorian calendar. Years begin in March here, so that the leap day is the last one.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    (year + era * 400, month, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_704_067_199, "2023-12-31 23:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59 UTC"),
        ] {
            assert_eq!(Date(Duration::from_secs(seconds)).to_string(), text);
        }
        let _ = Date(Duration::from_secs(u64::MAX)).to_string();
    }

    #[test]
    fn alerts_in_words() {
        let alert = |alert| TlsError::of(&Error::AlertReceived(alert), 1).to_string();
        let unknown = "the server refuses the connection: unknown ca; it does not know who issued the certificate of rd.live.cert=";
        assert_eq!(alert(AlertDescription::UnknownCA), unknown);
        assert!(alert(AlertDescription::CertificateRequired).contains("rd.live.cert="));
        assert_eq!(alert(AlertDescription::UnrecognisedName), "the server refuses the connection: unrecognised name");
    }
}

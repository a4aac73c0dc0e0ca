//! `rd.kiwi.live.curl_options=`: what would be given to curl, as far as it makes sense here (kiwi-live spec 1.5).

use std::path::PathBuf;
use std::time::Duration;

/// With a value, and what they mean here.
const MAPPED: [(&[&str], Meaning); 9] = [
    (&["--connect-timeout"], Meaning::Connect),
    (&["--retry-max-time"], Meaning::Patience),
    (&["--cacert"], Meaning::Ca),
    (&["-E", "--cert"], Meaning::Cert),
    (&["--key"], Meaning::Key),
    (&["-x", "--proxy"], Meaning::Proxy),
    (&["--noproxy"], Meaning::NoProxy),
    (&["-u", "--user"], Meaning::User),
    (&["-k", "--insecure"], Meaning::Insecure),
];
/// Done anyway, or about what is not printed here; those with a value, then those without.
const WITH_VALUE: [&str; 9] = [
    "--retry",
    "--retry-delay",
    "-C",
    "--continue-at",
    "-m",
    "--max-time",
    "--speed-limit",
    "--speed-time",
    "--keepalive-time",
];
const WITHOUT: [&str; 19] = [
    "--retry-all-errors",
    "--retry-connrefused",
    "-L",
    "--location",
    "-f",
    "--fail",
    "-s",
    "--silent",
    "-S",
    "--show-error",
    "-#",
    "--progress-bar",
    "--no-progress-meter",
    "-v",
    "--verbose",
    "-N",
    "--no-buffer",
    "--tcp-nodelay",
    "--http1.1",
];
/// For messages.
const TAKEN: &str = "--connect-timeout S, --retry-max-time S, -k, --cacert FILE, --cert FILE, --key FILE, -x URL, --noproxy LIST, \
    -u USER:PASSWORD; --retry N, -L, -f, -s and the like mean what is done anyway";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Connect,
    Patience,
    Ca,
    Cert,
    Key,
    Proxy,
    NoProxy,
    User,
    Insecure,
}

/// What the options mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Curl {
    /// `--connect-timeout`.
    pub connect: Option<Duration>,
    /// `--retry-max-time`: as `rd.retry`.
    pub patience: Option<Duration>,
    /// `--cacert`.
    pub ca: Option<PathBuf>,
    /// `--cert` and `--key`.
    pub client: (Option<PathBuf>, Option<PathBuf>),
    /// `--proxy`.
    pub proxy: Option<String>,
    /// `--noproxy`.
    pub no_proxy: Option<String>,
    /// `--user`: a name and a password.
    pub user: Option<(String, String)>,
    /// `--insecure`.
    pub insecure: bool,
}

/// Why the options are refused. No value is repeated: it may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CurlError {
    /// An option that nothing here does.
    #[error("{0:?} is nothing that rdlive can do; it takes {TAKEN}")]
    Unknown(String),
    /// Nothing follows.
    #[error("{0} needs a value")]
    NoValue(&'static str),
    /// Not a number of seconds.
    #[error("{0} needs a number of seconds from 1 to 86400")]
    Seconds(&'static str),
}

impl Curl {
    /// Reads the argument's value: words between commas or blanks, as curl would get them.
    ///
    /// # Errors
    /// What is refused, by its name.
    pub fn parse(value: &str) -> Result<Self, CurlError> {
        let mut options = Self::default();
        let mut words = value.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            if let Some(name) = WITH_VALUE.into_iter().find(|name| *name == word) {
                words.next().ok_or(CurlError::NoValue(name))?;
            } else if !WITHOUT.contains(&word) {
                let mapped = MAPPED
                    .into_iter()
                    .find_map(|(names, meaning)| names.iter().find(|name| **name == word).map(|name| (*name, meaning)));
                let (name, meaning) = mapped.ok_or_else(|| CurlError::Unknown(shown(word)))?;
                let value = if meaning == Meaning::Insecure { Some("") } else { words.next() };
                options.set(name, meaning, value.ok_or(CurlError::NoValue(name))?)?;
            }
        }
        Ok(options)
    }

    fn set(&mut self, name: &'static str, meaning: Meaning, value: &str) -> Result<(), CurlError> {
        let seconds = || {
            let seconds = value.parse().ok().filter(|seconds| (1..=86400).contains(seconds));
            seconds.map(Duration::from_secs).ok_or(CurlError::Seconds(name))
        };
        match meaning {
            Meaning::Connect => self.connect = Some(seconds()?),
            Meaning::Patience => self.patience = Some(seconds()?),
            Meaning::Ca => self.ca = Some(value.into()),
            Meaning::Cert => self.client.0 = Some(value.into()),
            Meaning::Key => self.client.1 = Some(value.into()),
            Meaning::Proxy => self.proxy = Some(value.to_owned()),
            Meaning::NoProxy => self.no_proxy = Some(value.to_owned()),
            Meaning::User => {
                let (user, password) = value.split_once(':').unwrap_or((value, ""));
                self.user = Some((user.to_owned(), password.to_owned()));
            }
            Meaning::Insecure => self.insecure = true,
        }
        Ok(())
    }

    /// A URL with the user, where it has none of its own.
    #[must_use]
    pub fn signed(&self, url: &str) -> String {
        let (Some((user, password)), Some((scheme, rest))) = (&self.user, url.split_once("://")) else {
            return url.to_owned();
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return url.to_owned();
        }
        format!("{scheme}://{}:{}@{rest}", escaped(user), escaped(password))
    }
}

/// An option without what may be attached to it.
fn shown(word: &str) -> String {
    let name: String = word.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '#').collect();
    if word.starts_with("--") || !word.starts_with('-') { name } else { name.chars().take(2).collect() }
}

/// Percent-encoded for a URL's name or password (RFC 3986 3.2.1).
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t54_options_that_make_sense_are_taken() {
        let taken = Curl::parse(
            "--retry,3,--retry-delay,3,-L --connect-timeout,7,--retry-max-time,60,-k,--cacert,/ca.pem,--cert,/c,--key,/k,-x,http://p:1,--noproxy,*",
        );
        let expected = Curl {
            connect: Some(Duration::from_secs(7)),
            patience: Some(Duration::from_secs(60)),
            ca: Some("/ca.pem".into()),
            client: (Some("/c".into()), Some("/k".into())),
            proxy: Some("http://p:1".into()),
            no_proxy: Some("*".into()),
            user: None,
            insecure: true,
        };
        assert_eq!(taken, Ok(expected));
        assert_eq!(Curl::parse(""), Ok(Curl::default()));
    }

    #[test]
    fn what_is_not_taken_is_refused_by_its_name_and_with_the_list() {
        for (text, words) in [
            ("--output,/x", "\"--output\" is nothing"),
            ("-usecret:x", "\"-u\" is nothing"),
            ("http://u:secret@h/", "\"http\" is nothing"),
            ("--user=a:secret", "\"--user\" is nothing"),
            ("--retry", "--retry needs a value"),
            ("-u", "-u needs a value"),
            ("--connect-timeout,0", "--connect-timeout needs a number of seconds"),
            ("--retry-max-time,secret", "--retry-max-time needs a number"),
        ] {
            let error = Curl::parse(text).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("secret"), "{text}: {error}");
        }
        assert!(Curl::parse("-o").unwrap_err().to_string().contains("--cacert FILE"));
    }

    #[test]
    fn a_user_belongs_to_urls_without_one() {
        let curl = Curl::parse("-u,me:p@ss:w/rd").unwrap();
        for (url, expected) in [
            ("ftp://h/x", "ftp://me:p%40ss%3Aw%2Frd@h/x"),
            ("http://you@h/x", "http://you@h/x"),
            ("http://h/x@y", "http://me:p%40ss%3Aw%2Frd@h/x@y"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(curl.signed(url), expected, "{url}");
        }
        assert_eq!(Curl::default().signed("http://h/x"), "http://h/x");
    }
}

//! `rd.kiwi.live.dolly_options=`: what would be given to the program, as far as it makes sense for a receiver (network.md 1.9).

use std::time::Duration;

use rdlive_media::printable::printable;

use super::Wish;
use super::key::Key;

/// Taken with a value.
const WITH_VALUE: &str = "Paro";
/// Without effect here, and harmless: how much is said, attempts of an original client, its log file, address families.
const IGNORED: &str = "vqnroYR46";
/// What a server is told. `-b`, `-c` and `-u` are of generation 1.
const OF_SERVER: &str = "sSHIOfDXKdbcu";
const TAKEN: &str = "-P PASSWORD and -a SECONDS, and ignores -v -q -n -r N -o FILE -Y -R -4 -6";
/// Longest wait that can be asked for: a day.
const MAX_WAIT: u64 = 86_400;

/// What the options mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `-P`.
    pub key: Option<Key>,
    /// `-a`: how long to wait for a server.
    pub wait: Option<Duration>,
    /// Letters that have no effect.
    pub ignored: Vec<char>,
}

/// Why the options are refused. What is taken stands in each message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// An option that makes a server of dolly.
    #[error("-{0} is an option for a dolly server; a receiver takes {TAKEN}")]
    OfServer(char),
    /// No option of dolly.
    #[error("{0:?} is no option of a receiver; it takes {TAKEN}")]
    Unknown(String),
    /// Nothing follows.
    #[error("-{0} needs a value")]
    NoValue(char),
    /// `-a` with something else than seconds.
    #[error("-a needs a number of seconds from 1 to {MAX_WAIT}, not {0:?}")]
    Seconds(String),
}

impl Options {
    /// Reads the argument's value: words between commas or spaces, letters of one word may stand together.
    ///
    /// # Errors
    /// What is refused, by its name.
    pub fn parse(value: &str) -> Result<Self, OptionsError> {
        let mut options = Self::default();
        let mut words = value.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            let unknown = || OptionsError::Unknown(printable(word));
            let letters = word.strip_prefix('-').filter(|letters| !letters.is_empty()).ok_or_else(unknown)?;
            if letters.starts_with('-') {
                return Err(unknown());
            }
            for (at, letter) in letters.char_indices() {
                if OF_SERVER.contains(letter) {
                    return Err(OptionsError::OfServer(letter));
                }
                if !WITH_VALUE.contains(letter) && !IGNORED.contains(letter) {
                    return Err(unknown());
                }
                if !WITH_VALUE.contains(letter) {
                    options.ignored.push(letter);
                    continue;
                }
                let attached = &letters[at + letter.len_utf8()..];
                let value = if attached.is_empty() { words.next() } else { Some(attached) };
                options.set(letter, value.ok_or(OptionsError::NoValue(letter))?)?;
                break;
            }
        }
        Ok(options)
    }

    /// Puts what has an effect into a wish.
    pub fn apply(&self, wish: &mut Wish) {
        wish.key.clone_from(&self.key);
        if let Some(wait) = self.wait {
            wish.times.wait = wait;
        }
    }

    fn set(&mut self, letter: char, value: &str) -> Result<(), OptionsError> {
        match letter {
            'P' => self.key = Some(Key::of(value)),
            'a' => {
                let seconds = value.parse().ok().filter(|seconds| (1..=MAX_WAIT).contains(seconds));
                let seconds = seconds.ok_or_else(|| OptionsError::Seconds(printable(value)))?;
                self.wait = Some(Duration::from_secs(seconds));
            }
            other => self.ignored.push(other),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_receiver_is_told() {
        let options = Options::parse("-vn,-P secret -a,90,-r3,-o /tmp/x").unwrap();
        assert_eq!(options.key, Some(Key::of("secret")));
        assert_eq!(options.wait, Some(Duration::from_secs(90)));
        let mut wish = Wish::default();
        options.apply(&mut wish);
        assert_eq!((wish.key, wish.times.wait), (Some(Key::of("secret")), Duration::from_secs(90)));
        assert_eq!(options.ignored, ['v', 'n', 'r', 'o']);
        assert_eq!(Options::parse("-vPsecret").unwrap().key, Some(Key::of("secret")));
        assert_eq!(Options::parse("").unwrap(), Options::default());
        assert!(!format!("{options:?}").contains("secret"));
    }

    #[test]
    fn each_option_of_a_server_is_refused_by_its_name() {
        for letter in OF_SERVER.chars() {
            let refusal = Options::parse(&format!("-v,-{letter},x")).unwrap_err();
            assert_eq!(refusal, OptionsError::OfServer(letter));
            assert!(
                refusal.to_string().contains(&format!("-{letter} ")) && refusal.to_string().contains("-P PASSWORD")
            );
        }
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for word in ["-z", "file", "--help", "-", "-vz", "-\u{1b}"] {
            assert_eq!(Options::parse(word), Err(OptionsError::Unknown(printable(word))), "{word}");
        }
        assert_eq!(Options::parse("-P"), Err(OptionsError::NoValue('P')));
        for seconds in ["0", "x", "-1", "86401", "99999999999999999999"] {
            assert_eq!(Options::parse(&format!("-a {seconds}")), Err(OptionsError::Seconds(seconds.into())));
        }
    }
}

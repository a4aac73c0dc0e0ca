//! The time a build happens at: `SOURCE_DATE_EPOCH`, or now.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// Name of the variable that fixes all times (reproducible-builds.org).
pub const VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// The build's time in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Seconds since 1970-01-01 UTC.
    pub seconds: u32,
    /// True when the operator fixed it: then no file time may leak into the result.
    pub fixed: bool,
}

impl Epoch {
    /// Reads the environment.
    ///
    /// # Errors
    /// When the variable holds no number of seconds that fits 32 bits.
    pub fn from_environment() -> Result<Self> {
        match env::var(VARIABLE) {
            Ok(text) => {
                Ok(Self { seconds: text.parse().with_context(|| format!("reading {VARIABLE}={text}"))?, fixed: true })
            }
            Err(_) => Ok(Self {
                seconds: SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .ok()
                    .and_then(|time| u32::try_from(time.as_secs()).ok())
                    .context("the clock is before 1970 or after 2106")?,
                fixed: false,
            }),
        }
    }

    /// `YYYYMMDDHHMMSS` in UTC.
    pub fn digits(self) -> String {
        let seconds = self.seconds;
        let (year, month, day) = civil(seconds / 86400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
    }
}

/// Year, month, day of a day number counted from 1970-01-01 (proleptic Gregorian calendar).
fn civil(days: u32) -> (u32, u32, u32) {
    // Count from 0000-03-01 in eras of 400 years, so that leap days end a year.
    let day = days + 719_468;
    let era = day / 146_097;
    let of_era = day % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u32::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_the_calendar() {
        for (seconds, expected) in [
            (0, "19700101000000"),
            (951_782_400, "20000229000000"),
            (1_700_000_000, "20231114221320"),
            (4_102_444_799, "20991231235959"),
            (u32::MAX, "21060207062815"),
        ] {
            let epoch = Epoch { seconds, fixed: true };
            assert_eq!(epoch.digits(), expected, "{seconds}");
        }
    }
}

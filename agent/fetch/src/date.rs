//! Dates for people, and those of servers.

use std::fmt;
use std::time::Duration;

/// A moment in UTC, to the minute, for people: `2026-11-30 07:29 UTC`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(Duration);

/// The names of months in HTTP.
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Date {
    /// The moment so long after the beginning of 1970.
    #[must_use]
    pub fn new(since_1970: Duration) -> Self {
        Self(since_1970)
    }

    /// Reads the value of `Date:` in the form that servers have to send (RFC 9110 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
    #[must_use]
    pub fn of_http(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok().filter(|text| text.len() == 29)?;
        let mut words = text.split(' ').skip(1);
        let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let month = (0..).zip(MONTHS).find(|(_, name)| *name == month).map(|(number, _)| number)?;
        let mut clock = time.split(':').map(|part| part.parse::<u64>().ok());
        let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
        Self::of((year.parse().ok()?, month + 1, day.parse().ok()?), (hour, minute, second))
    }

    /// Reads the UUID of an ISO, which is its date: `2023-11-14-22-13-20-10`, the last two digits are hundredths.
    #[must_use]
    pub fn of_iso(uuid: &str) -> Option<Self> {
        let mut parts = uuid.split('-').map(|part| part.parse::<u64>().ok());
        let mut next = || parts.next().flatten();
        let (day, time) = ((next()?, next()?, next()?), (next()?, next()?, next()?));
        (next().is_some() && parts.next().is_none()).then(|| Self::of(day, time)).flatten()
    }

    fn of((year, month, day): (u64, u64, u64), (hour, minute, second): (u64, u64, u64)) -> Option<Self> {
        let days = days(Some(year).filter(|year| (1970..=9999).contains(year))?, month.checked_sub(1)?, day)?;
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
        (month <= 12 && hour < 24 && minute < 60 && second < 61).then(|| Self(Duration::from_secs(seconds)))
    }

    /// Since the beginning of 1970.
    #[must_use]
    pub fn since_1970(self) -> Duration {
        self.0
    }
}

/// The day since 1970; months and days of [`civil`], whose search it is.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let about = year.checked_sub(1970)? * 365 + month.min(12) * 30;
    let wanted = (year, month + 1, day);
    // Leap days, and months of 31 days: no more than this are missing.
    (about..about + year / 4 + 40).find(|days| civil(*days) == wanted)
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
    fn dates_of_isos() {
        let read = |text| Date::of_iso(text).map(|date| date.to_string());
        assert_eq!(read("2023-11-14-22-13-20-10").as_deref(), Some("2023-11-14 22:13 UTC"));
        for wrong in [
            "",
            "2023-11-14-22-13-20",
            "2023-11-14-22-13-20-10-1",
            "2023-00-14-22-13-20-10",
            "2023-13-14-22-13-20-10",
            "2023-18446744073709551615-14-22-13-20-10",
            "DATE-OF-THE-BUILD",
            "f0e1d2c3-0000-4000-8000-000000000001",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn dates_of_servers() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some("1994-11-06 08:49 UTC")),
            ("Thu, 29 Feb 2024 23:59:60 GMT", Some("2024-03-01 00:00 UTC")),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some("1970-01-01 00:00 UTC")),
            ("Fri, 31 Dec 2100 12:00:00 GMT", Some("2100-12-31 12:00 UTC")),
            ("Fri, 31 Dec 9999 12:00:00 GMT", Some("9999-12-31 12:00 UTC")),
            ("Fri, 30 Feb 2024 12:00:00 GMT", None),
            ("Fri, 00 Jan 2024 12:00:00 GMT", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun Nov  6 08:49:37 1994", None),
            ("Sun, 06 Nov 1969 08:49:37 GMT", None),
            ("", None),
        ] {
            let read = Date::of_http(text.as_bytes()).map(|date| date.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}

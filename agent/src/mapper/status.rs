//! How a device is doing, from the kernel's own words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The share of a store, in percent, at which it is time to say so.
pub const NEARLY_FULL: u64 = 80;

/// The state of a target that can run full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Status {
    /// In order.
    Used {
        /// Sectors of 512 bytes that are taken; of a pool, blocks.
        used: u64,
        /// Sectors there are; of a pool, blocks.
        total: u64,
    },
    /// The store is full: new changes are refused.
    Overflow,
    /// The store was lost: nothing can be read any more.
    Invalid,
    /// A target that does not run full, or words of a newer kernel.
    Other,
}

impl Status {
    /// Reads the status of a target that is `sectors` long.
    pub fn parse(kind: &str, sectors: u64, text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        let pair = |word: Option<&&str>| {
            let (used, total) = word?.split_once('/')?;
            Some(Self::Used { used: used.parse().ok()?, total: total.parse().ok()? })
        };
        let found = match (kind, words.first().copied()) {
            ("snapshot", Some("Overflow")) => Some(Self::Overflow),
            ("snapshot", Some("Invalid")) => Some(Self::Invalid),
            ("snapshot", _) => pair(words.first()),
            ("thin-pool", Some("Fail")) => Some(Self::Invalid),
            ("thin-pool", _) if words.contains(&"out_of_data_space") => Some(Self::Overflow),
            // transaction, used/total metadata, used/total data
            ("thin-pool", _) => pair(words.get(2)),
            ("thin", Some("Fail")) => Some(Self::Invalid),
            ("thin", Some(mapped)) => mapped.parse().ok().map(|used| Self::Used { used, total: sectors }),
            _ => None,
        };
        found.unwrap_or(Self::Other)
    }

    /// Percent taken; `None` where there is no such number.
    pub fn percent(self) -> Option<u64> {
        match self {
            Self::Used { used, total } => Some(used.saturating_mul(100) / total.max(1)),
            Self::Overflow => Some(100),
            Self::Invalid | Self::Other => None,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Used { used, total } => {
                let percent = self.percent().unwrap_or(0);
                write!(f, "{percent} % used ({used}/{total})")?;
                if percent >= NEARLY_FULL { write!(f, ", nearly full: save your work elsewhere") } else { Ok(()) }
            }
            Self::Overflow => {
                write!(f, "Overflow: full, changes are refused; save elsewhere what can be read, and reboot")
            }
            Self::Invalid => write!(f, "Invalid: lost, reboot"),
            Self::Other => write!(f, "in use"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b21_words_of_the_kernel() {
        let used = |used, total| Status::Used { used, total };
        let rows = [
            ("snapshot", "16/131072 16", used(16, 131_072), "0 % used (16/131072)"),
            ("snapshot", "104858/131072 400", used(104_858, 131_072), "80 % used (104858/131072), nearly full"),
            ("snapshot", "Overflow", Status::Overflow, "Overflow: full"),
            ("snapshot", "Invalid", Status::Invalid, "Invalid: lost"),
            ("snapshot", "Unknown", Status::Other, "in use"),
            ("thin-pool", "1 20/4161600 3/2048 - rw discard_passdown queue_if_no_space - 1024", used(3, 2048), "0 %"),
            ("thin-pool", "1 20/41 2048/2048 - out_of_data_space no_discard", Status::Overflow, "Overflow"),
            ("thin-pool", "Fail", Status::Invalid, "Invalid"),
            ("thin", "1024 2047", used(1024, 4096), "25 % used"),
            ("linear", "", Status::Other, "in use"),
        ];
        for (kind, text, expected, shown) in rows {
            let found = Status::parse(kind, 4096, text);
            assert_eq!(found, expected, "{kind} {text}");
            assert!(found.to_string().starts_with(shown), "{kind} {text}: {found}");
        }
    }
}

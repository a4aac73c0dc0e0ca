//! Names of hosts and domains, as RFC 952 and RFC 1123 (2.1) allow them. What a network or a command line says becomes one of these before
//! it reaches a file or a system call.

use std::fmt;

/// Bytes of the longest name (RFC 1123 2.1).
pub const MAX: usize = 255;
/// Bytes of the longest label (RFC 1035 2.3.4).
const MAX_LABEL: usize = 63;

/// A name of letters, digits, hyphens and dots, at most [`MAX`] bytes: labels of 1 to 63 bytes that neither begin nor end with a hyphen.
/// A dot at the end is left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hostname(String);

impl Hostname {
    /// The name, if it is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let name = text.strip_suffix('.').unwrap_or(text);
        (name.len() <= MAX && name.split('.').all(is_label)).then(|| Self(name.to_owned()))
    }

    /// The name of bytes that a network sent. Zeros at their end are left out: some servers count the end of the string.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Self::new(std::str::from_utf8(bytes.get(..length)?).ok()?)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as the kernel takes it, which has at most 64 bytes (`__NEW_UTS_LEN`): whole if it fits, else its first label, which does.
    #[must_use]
    pub fn for_kernel(&self) -> &str {
        if self.0.len() <= 64 { &self.0 } else { self.0.split('.').next().unwrap_or_default() }
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_letters_digits_hyphens_and_dots() {
        for good in
            ["a", "3com", "node-7.lab.test", "node7.", &format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(62))]
        {
            assert!(Hostname::new(good).is_some(), "{good}");
        }
        let long = format!("{0}.{0}.{0}.{0}.a", "a".repeat(63));
        for bad in [
            "",
            ".",
            "a..b",
            ".a",
            "-a",
            "a-",
            "a.-b",
            "a_b",
            "a b",
            "a\nb",
            "a;b",
            "ä",
            "a\u{202e}",
            &"a".repeat(64),
            &long,
        ] {
            assert_eq!(Hostname::new(bad), None, "{bad}");
        }
    }

    #[test]
    fn bytes_of_a_network_may_end_with_zeros() {
        assert_eq!(Hostname::from_bytes(b"node7\0\0").unwrap().as_str(), "node7");
        for bad in [&b""[..], b"\0", b"no\0de", b"node\x1b[2J", b"\xff"] {
            assert_eq!(Hostname::from_bytes(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_kernel_gets_at_most_64_bytes() {
        let long = Hostname::new(&format!("node.{}.{}", "a".repeat(40), "b".repeat(40))).unwrap();
        assert_eq!(long.for_kernel(), "node");
        assert_eq!(Hostname::new("node.lab").unwrap().for_kernel(), "node.lab");
    }
}

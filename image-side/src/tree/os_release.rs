//! What the system calls itself (os-release).

use std::fs;
use std::path::Path;

use super::resolve;

/// The parts of os-release that name an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID`, "linux" when absent.
    pub id: String,
    /// `VERSION_ID`, may be empty.
    pub version: String,
    /// `PRETTY_NAME`, "Linux" when absent.
    pub pretty_name: String,
}

impl OsRelease {
    /// Reads the tree's `/etc/os-release` or `/usr/lib/os-release`; a tree without one is called Linux.
    pub fn of_tree(root: &Path) -> Self {
        let text = ["etc/os-release", "usr/lib/os-release"]
            .iter()
            .find_map(|path| fs::read_to_string(resolve(root, Path::new(path))?).ok());
        Self::parse(&text.unwrap_or_default())
    }

    /// Parses the shell-like assignments.
    pub fn parse(text: &str) -> Self {
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))
                .next_back()
                .map(unquote)
                .filter(|value| !value.is_empty())
        };
        Self {
            id: value("ID").unwrap_or_else(|| "linux".into()),
            version: value("VERSION_ID").unwrap_or_default(),
            pretty_name: value("PRETTY_NAME").unwrap_or_else(|| "Linux".into()),
        }
    }
}

fn unquote(value: &str) -> String {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner.replace("\\\"", "\"").replace("\\$", "$");
        }
    }
    value.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_absence() {
        let debian = OsRelease::parse("PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nVERSION_ID='13'\nID=debian\n");
        assert_eq!(debian.pretty_name, "Debian GNU/Linux 13 (trixie)");
        assert_eq!((debian.id.as_str(), debian.version.as_str()), ("debian", "13"));
        let none = OsRelease::parse("");
        assert_eq!((none.id.as_str(), none.version.as_str(), none.pretty_name.as_str()), ("linux", "", "Linux"));
    }
}

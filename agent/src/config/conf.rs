//! `/etc/rdlive.conf`: what the builder or the dracut module wrote into the initrd.

use std::fs;
use std::io;
use std::path::Path;

use crate::cmdline::ReadError;
use crate::format::lossless;
use crate::layout;

/// Settings of the initrd: `key = value` lines, `#` starts a comment line, a value may be in double quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conf {
    /// `dialect`: how to read the kargs, unless `rd.live.dialect=` says so.
    pub dialect: Option<String>,
    /// `medium`: identity of the medium this initrd belongs to, unless `rd.live.medium=` says so.
    pub medium: Option<String>,
    /// `kernel-lacks`: options of [`crate::format::DECOMPRESSION_OPTIONS`] that the kernel of this initrd was built
    /// without, as far as the builder could tell.
    pub kernel_lacks: Vec<String>,
    /// Lines that say nothing we know.
    pub unknown: Vec<String>,
}

impl Conf {
    /// Reads the text of the file. The last line with a key wins.
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            let value = Some(unquoted(value.trim())).filter(|value| !value.is_empty());
            match key.trim() {
                "dialect" => conf.dialect = value,
                "medium" => conf.medium = value,
                "kernel-lacks" => {
                    conf.kernel_lacks =
                        value.iter().flat_map(|list| list.split_whitespace()).map(str::to_owned).collect();
                }
                _ => conf.unknown.push(line.to_owned()),
            }
        }
        conf
    }

    /// Reads [`layout::CONF`] below `root`; a missing file says nothing.
    ///
    /// # Errors
    /// The file exists but cannot be read.
    pub fn load(root: &Path) -> Result<Self, ReadError> {
        Self::text(root).map(|text| Self::parse(&text))
    }

    /// The text of that file; empty without one.
    ///
    /// # Errors
    /// As [`Conf::load`].
    pub fn text(root: &Path) -> Result<String, ReadError> {
        let path = root.join(layout::CONF);
        match fs::read(&path) {
            Ok(bytes) => Ok(lossless(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(source) => Err(ReadError { path, source }),
        }
    }
}

fn unquoted(value: &str) -> String {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let conf = Conf::parse(
            "# made by rdlive-image\n\ndialect = dmsquash\ndialect=kiwi\nmedium = \"LABEL=My Live\"\ncolour = red\nmedium2\n",
        );
        assert_eq!(conf.dialect.as_deref(), Some("kiwi"));
        assert_eq!(conf.medium.as_deref(), Some("LABEL=My Live"));
        assert_eq!(conf.unknown, ["colour = red", "medium2"]);
        assert_eq!(Conf::parse("dialect =\n"), Conf::default());
    }

    #[test]
    fn a_missing_file_says_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Conf::load(root.path()).unwrap(), Conf::default());
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/rdlive.conf"), "dialect = kiwi\n").unwrap();
        assert_eq!(Conf::load(root.path()).unwrap().dialect.as_deref(), Some("kiwi"));
    }
}

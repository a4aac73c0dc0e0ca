//! The sums of all files, as `sha256sum --check` reads them, and what a directory has become since (kind 16).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Component, Path};

use anyhow::Result;

use crate::digest;

/// Name of the file.
pub const FILE: &str = "SHA256SUMS";

/// SHA-256 by path, relative to the directory that the file lies in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest(BTreeMap<String, String>);

/// Why a text is no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A line that is not a sum, two blanks and a path.
    #[error("line {0} is no SHA-256 with a path behind it")]
    Line(usize),
    /// A path that leads out of the directory.
    #[error("line {0} names a file outside of its directory")]
    Outside(usize),
    /// Nothing in it.
    #[error("it names no file")]
    Empty,
}

/// How a file is not what the manifest says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// It is gone.
    #[error("{0}: is not there")]
    Missing(String),
    /// Its content is another one.
    #[error("{path}: has the SHA-256 {found}, and should have {expected}")]
    Content {
        /// Which file.
        path: String,
        /// The sum that was written down.
        expected: String,
        /// The sum that it has.
        found: String,
    },
}

impl Manifest {
    /// Notes a file. The path has only characters that we choose ourselves.
    pub fn add(&mut self, path: impl Into<String>, sum: impl Into<String>) {
        self.0.insert(path.into(), sum.into());
    }

    /// Takes over another one, whose files lie in a directory `dir` below.
    pub fn add_all(&mut self, dir: &str, other: &Self) {
        self.0.extend(other.0.iter().map(|(path, sum)| (format!("{dir}/{path}"), sum.clone())));
    }

    /// The sum of a file.
    #[must_use]
    pub fn sum(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// The paths, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (path, sum)| {
            let _ = writeln!(text, "{sum}  {path}");
            text
        })
    }

    /// Reads such a text, of any program.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let mut manifest = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let (sum, path) = line.split_once([' ', '\t']).ok_or(Unreadable::Line(number))?;
            // The second character is a blank for text, or a star for bytes.
            let path = path.strip_prefix([' ', '*']).unwrap_or(path);
            if sum.len() != 64 || !sum.chars().all(|c| c.is_ascii_hexdigit()) || path.is_empty() {
                return Err(Unreadable::Line(number));
            }
            if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
                return Err(Unreadable::Outside(number));
            }
            manifest.add(path, sum.to_ascii_lowercase());
        }
        if manifest.0.is_empty() {
            return Err(Unreadable::Empty);
        }
        Ok(manifest)
    }

    /// Reads every file that it names, and says which are different.
    ///
    /// # Errors
    /// A file is there and cannot be read, or we are interrupted.
    pub fn compare(&self, dir: &Path, mut reads: impl FnMut(&str)) -> Result<Vec<Difference>> {
        let mut differences = Vec::new();
        for (path, expected) in &self.0 {
            reads(path);
            match std::fs::metadata(dir.join(path)) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    differences.push(Difference::Missing(path.clone()));
                    continue;
                }
                _ => {}
            }
            let found = digest::of_file(&dir.join(path))?;
            if found != *expected {
                differences.push(Difference::Content { path: path.clone(), expected: expected.clone(), found });
            }
        }
        Ok(differences)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    const SUM: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

    #[test]
    fn sha256sum_reads_what_we_write_and_we_read_its() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("build")).unwrap();
        fs::write(dir.path().join("build/x"), "x").unwrap();
        let mut inner = Manifest::default();
        inner.add("x", SUM);
        let mut manifest = Manifest::default();
        manifest.add_all("build", &inner);
        assert_eq!(manifest.text(), format!("{SUM}  build/x\n"));
        fs::write(dir.path().join(FILE), manifest.text()).unwrap();
        let sha256sum = |args: &[&str]| Command::new("sha256sum").args(args).current_dir(dir.path()).output().unwrap();
        assert!(sha256sum(&["--check", "--strict", FILE]).status.success());
        for option in ["--text", "--binary"] {
            let theirs = String::from_utf8(sha256sum(&[option, "build/x"]).stdout).unwrap();
            assert_eq!(Manifest::parse(&theirs).unwrap(), manifest, "{theirs}");
        }
    }

    #[test]
    fn what_is_no_manifest() {
        for (text, expected) in [
            ("", Unreadable::Empty),
            ("x\n", Unreadable::Line(1)),
            (&format!("{SUM}  a\n{}  b\n", &SUM[1..]), Unreadable::Line(2)),
            (&format!("{SUM}  \n"), Unreadable::Line(1)),
            (&format!("{SUM}  ../a\n"), Unreadable::Outside(1)),
            (&format!("{SUM}  /etc/passwd\n"), Unreadable::Outside(1)),
        ] {
            assert_eq!(Manifest::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn differences_are_told_by_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("same"), "x").unwrap();
        fs::write(dir.path().join("other"), "y").unwrap();
        let mut manifest = Manifest::default();
        for path in ["gone", "other", "same", "same/inside"] {
            manifest.add(path, SUM);
        }
        let differences = manifest.compare(dir.path(), |_| {}).unwrap();
        let found: Vec<String> = differences.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0], "gone: is not there");
        assert!(found[1].starts_with("other: has the SHA-256 a1fce4363854") && found[1].ends_with(SUM), "{}", found[1]);
        assert_eq!(found[2], "same/inside: is not there");
    }
}

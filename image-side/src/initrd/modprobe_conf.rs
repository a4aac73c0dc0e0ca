//! What the tree's modprobe.d says: blacklists, parameters, further soft dependencies and aliases.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rdlive_media::modindex::normalise;

use crate::tree::resolve;

/// Lines of modprobe.d that matter to a loader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModprobeConf {
    /// Names after `blacklist`.
    pub blacklist: Vec<String>,
    /// Names after `install` with a command that does nothing, and those that an `alias` calls `off`.
    pub never: Vec<String>,
    /// `options NAME PARAMETERS`.
    pub options: Vec<(String, String)>,
    /// Whole `softdep …` lines.
    pub softdeps: Vec<String>,
    /// Whole `alias …` lines.
    pub aliases: Vec<String>,
}

impl ModprobeConf {
    /// Reads the tree's configuration; `/etc` hides files of the same name in `/usr/lib` and `/lib`.
    pub fn of_tree(root: &Path) -> Self {
        let mut conf = Self::default();
        for path in Self::files(root).values() {
            conf.parse(&fs::read_to_string(path).unwrap_or_default());
        }
        conf
    }

    /// The files of the tree's configuration that count, by name.
    pub fn files(root: &Path) -> BTreeMap<String, PathBuf> {
        let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
        for dir in ["lib/modprobe.d", "usr/lib/modprobe.d", "usr/local/lib/modprobe.d", "etc/modprobe.d"] {
            let Some(entries) = resolve(root, Path::new(dir)).and_then(|dir| fs::read_dir(dir).ok()) else { continue };
            for name in entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
                if let Some(path) = resolve(root, &Path::new(dir).join(&name)).filter(|_| name.ends_with(".conf")) {
                    files.insert(name, path);
                }
            }
        }
        files
    }

    /// Takes `names` off the blacklist. Returns those that were on it, or are never installed, which no loader but modprobe heeds.
    pub fn allow(&mut self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let is_one = |name: &String| names.contains(&normalise(name));
        let (taken, kept) = std::mem::take(&mut self.blacklist).into_iter().partition(is_one);
        self.blacklist = kept;
        let taken: Vec<String> = taken;
        taken.iter().chain(self.never.iter().filter(|name| is_one(name))).map(|name| normalise(name)).collect()
    }

    /// Adds the lines of one file; backslashes continue lines, unknown commands are passed over.
    pub fn parse(&mut self, text: &str) {
        for line in text.replace("\\\n", " ").lines() {
            let line = line.trim();
            let Some((command, rest)) = line.split_once(char::is_whitespace) else { continue };
            let rest = rest.trim();
            match command {
                "blacklist" => self.blacklist.push(rest.to_owned()),
                "install" => self.never.extend(does_nothing(rest)),
                "options" => {
                    if let Some((name, parameters)) = rest.split_once(char::is_whitespace) {
                        self.options.push((name.to_owned(), parameters.trim().to_owned()));
                    }
                }
                "softdep" => self.softdeps.push(line.to_owned()),
                // Older than `install`, and still written: there is no module of that name.
                "alias" => match rest.split_once(char::is_whitespace) {
                    Some((name, target)) if target.trim() == "off" => self.never.push(name.to_owned()),
                    _ => self.aliases.push(line.to_owned()),
                },
                _ => {}
            }
        }
    }
}

/// A file of modprobe.d without the lines that forbid one of `names`; `None` if it has none. All else stays as it is.
pub fn allowing(text: &str, names: &BTreeSet<String>) -> Option<String> {
    let forbids = |line: &str| {
        let mut conf = ModprobeConf::default();
        conf.parse(line);
        conf.blacklist.iter().chain(&conf.never).any(|name| names.contains(&normalise(name)))
    };
    let (mut kept, mut line, mut found) = (String::new(), String::new(), false);
    for piece in text.split_inclusive('\n') {
        line += piece;
        if piece.ends_with("\\\n") {
            continue;
        }
        let line = std::mem::take(&mut line);
        if forbids(&line) { found = true } else { kept += &line }
    }
    kept += &line;
    found.then_some(kept)
}

/// The name in `NAME COMMAND`, if the command is true or false.
fn does_nothing(install: &str) -> Option<String> {
    let (name, command) = install.split_once(char::is_whitespace)?;
    let program = command.split_whitespace().next()?.rsplit('/').next()?;
    ["true", "false", ":"].contains(&program).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_matter() {
        let mut conf = ModprobeConf::default();
        conf.parse("# c\nblacklist  floppy\noptions usb-storage delay_use=0 \\\n quirks=a\ninstall x /bin/true\ninstall y echo true\nsoftdep a pre: b\n");
        assert_eq!(conf.blacklist, ["floppy"]);
        assert_eq!(conf.never, ["x"]);
        assert_eq!(conf.options[0].0, "usb-storage");
        assert_eq!(conf.options[0].1.split_whitespace().collect::<Vec<_>>(), ["delay_use=0", "quirks=a"]);
        assert_eq!(conf.softdeps, ["softdep a pre: b"]);
    }

    #[test]
    fn lines_that_forbid_go_and_the_rest_stays() {
        let names = BTreeSet::from(["usb_storage".to_owned(), "squashfs".to_owned()]);
        for (text, kept) in [
            ("blacklist usb-storage\nblacklist floppy\n", Some("blacklist floppy\n")),
            ("alias usb_storage  off\nalias net-pf-31 off\nalias a b\n", Some("alias net-pf-31 off\nalias a b\n")),
            ("# hard\ninstall squashfs /bin/false", Some("# hard\n")),
            (
                "install \\\n squashfs \\\n /bin/true\noptions usb-storage a=1 \\\n b=2\n",
                Some("options usb-storage a=1 \\\n b=2\n"),
            ),
            ("blacklist floppy\ninstall squashfs /sbin/special\n# blacklist squashfs\n", None),
            ("options x a \\\n", None),
            ("", None),
        ] {
            assert_eq!(allowing(text, &names).as_deref(), kept, "{text}");
        }
    }

    #[test]
    fn etc_hides_the_vendor_file() {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("usr/lib/modprobe.d/a.conf", "blacklist vendor"),
            ("etc/modprobe.d/a.conf", "blacklist mine"),
            ("etc/modprobe.d/b.txt", "blacklist no"),
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert_eq!(ModprobeConf::of_tree(dir.path()).blacklist, ["mine"]);
    }
}

//! Lines of fstab (fstab(5), systemd-fstab-generator(8)).

use super::source::unit_of;

/// What the tree has at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing.
    Absent,
    /// A directory without anything in it, as a mount point is in a copy of the root alone.
    Empty,
    /// Something.
    There,
}

/// Asks the tree about an absolute path.
pub type Look<'a> = &'a dyn Fn(&str) -> Place;

/// A mount or a swap space that somebody has written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What is mounted.
    pub source: String,
    /// Where.
    pub target: String,
    /// File system.
    pub kind: String,
    /// Mount options.
    pub options: Vec<String>,
}

impl Entry {
    /// Reads a line; `None` for comments and for what the generator passes over.
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let mut fields = (!line.starts_with('#')).then(|| line.split_whitespace().map(unescape))?;
        let (source, target) = (fields.next()?, fields.next()?);
        let kind = fields.next().unwrap_or_else(|| "auto".to_owned());
        let options = fields.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        Some(Self { source, target, kind, options })
    }

    /// How a person is told of it.
    pub fn name(&self) -> String {
        let place = if self.is_swap() { "swap" } else { &self.target };
        format!("{place} ({})", self.source)
    }

    /// The unit that systemd makes of it.
    pub fn unit(&self) -> String {
        match self.is_swap() {
            true => unit_of(&self.source, "swap"),
            false => unit_of(&self.target, "mount"),
        }
    }

    /// Whether it is swap space.
    pub fn is_swap(&self) -> bool {
        self.kind == "swap"
    }

    /// Whether it is the root's.
    pub fn is_root(&self) -> bool {
        self.target == "/" && !self.is_swap()
    }

    pub(super) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|known| known == option)
    }

    pub(super) fn is_automount(&self) -> bool {
        self.has("x-systemd.automount") || self.has("comment=systemd.automount")
    }

    /// Is it left alone until somebody asks for it by hand?
    pub(super) fn is_by_hand(&self) -> bool {
        let pulled = |option: &String| {
            option.starts_with("x-systemd.wanted-by=") || option.starts_with("x-systemd.required-by=")
        };
        self.has("noauto") && !self.is_automount() && !self.options.iter().any(pulled)
    }

    /// Does nothing fail or wait where it cannot be mounted?
    pub(super) fn is_optional(&self) -> bool {
        self.is_automount() || self.has("nofail") || (self.kind.starts_with("nfs") && self.has("bg"))
    }

    /// Is it a program that stands for a file system?
    pub(super) fn is_program(&self) -> bool {
        let kind = self.kind.as_str();
        ["fuse", "fuseblk", "bindfs", "mergerfs"].contains(&kind) || kind.starts_with("fuse.")
    }

    /// Does it come over a network?
    pub(super) fn is_share(&self) -> bool {
        let source = self.source.as_str();
        let remote = source.starts_with("//") || source.split_once(":/").is_some_and(|(host, _)| !host.contains('/'));
        let marked = self.has("_netdev") && !source.starts_with('/');
        SHARES.contains(&self.kind.as_str()) || ((remote || marked) && self.kind != "overlay")
    }

    /// The value of an option.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.options.iter().find_map(|option| option.strip_prefix(key)?.strip_prefix('='))
    }

    /// Directories and files of the tree without which it fails.
    pub(super) fn paths(&self) -> Vec<&str> {
        if self.kind == "overlay" {
            let layers = LAYERS.iter().filter_map(|key| self.value(key));
            return layers.flat_map(|dirs| dirs.split(':')).filter(|path| path.starts_with('/')).collect();
        }
        let mut source = self.source.as_str();
        if self.is_program() {
            // The program may stand in front, and a pool has several branches, each with what may be done there.
            source = source.split_once('#').filter(|(name, _)| !name.contains('/')).map_or(source, |(_, rest)| rest);
            if source.split(':').all(|branch| branch.starts_with('/')) {
                let mode = |rest: &str| ["RW", "RO", "NC"].iter().any(|mode| rest.starts_with(mode));
                let dirs = source.split(':').map(|branch| match branch.rsplit_once('=') {
                    Some((dir, rest)) if mode(rest) => dir,
                    _ => branch,
                });
                return dirs.collect();
            }
        }
        Some(source).filter(|path| path.starts_with('/')).into_iter().collect()
    }
}

/// File systems that come over a network.
const SHARES: [&str; 19] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ceph",
    "glusterfs",
    "lustre",
    "afs",
    "ncp",
    "ncpfs",
    "davfs",
    "pvfs2",
    "orangefs",
    "gfs2",
    "ocfs2",
    "sshfs",
    "fuse.sshfs",
    "fuse.glusterfs",
];

/// Options of an overlay that name directories.
const LAYERS: [&str; 3] = ["lowerdir", "upperdir", "workdir"];

/// The octal escapes of fstab(5).
fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\043", "#"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_told_by_its_place() {
        let entry = |line| Entry::parse(line).unwrap();
        for (line, name, unit) in [
            ("UUID=1 /boot/efi vfat", "/boot/efi (UUID=1)", "boot-efi.mount"),
            ("/dev/sda2 none swap", "swap (/dev/sda2)", "dev-sda2.swap"),
            ("LABEL=a\\040b /x\\040y ext4", "/x y (LABEL=a b)", "x\\x20y.mount"),
        ] {
            assert_eq!((entry(line).name().as_str(), entry(line).unit().as_str()), (name, unit));
        }
    }
}

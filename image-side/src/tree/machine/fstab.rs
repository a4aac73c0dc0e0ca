//! Which lines of fstab are about the machine a tree came from (fstab(5), systemd-fstab-generator(8)).

use super::source::{is_disk, unit_of};

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

    fn has(&self, option: &str) -> bool {
        self.options.iter().any(|known| known == option)
    }

    fn is_automount(&self) -> bool {
        self.has("x-systemd.automount") || self.has("comment=systemd.automount")
    }

    /// Is it left alone until somebody asks for it by hand?
    fn is_by_hand(&self) -> bool {
        let pulled = |option: &String| {
            option.starts_with("x-systemd.wanted-by=") || option.starts_with("x-systemd.required-by=")
        };
        self.has("noauto") && !self.is_automount() && !self.options.iter().any(pulled)
    }

    /// Directories and files of the tree without which it fails.
    fn paths(&self) -> Vec<&str> {
        let layers = self
            .options
            .iter()
            .filter(|_| self.kind == "overlay")
            .filter_map(|option| LAYERS.iter().find_map(|key| option.strip_prefix(*key)));
        let source = (self.kind != "overlay").then_some(self.source.as_str());
        layers.flat_map(|dirs| dirs.split(':')).chain(source).filter(|path| path.starts_with('/')).collect()
    }
}

/// File systems that the kernel makes itself.
const PSEUDO: [&str; 23] = [
    "tmpfs",
    "ramfs",
    "devtmpfs",
    "proc",
    "sysfs",
    "devpts",
    "cgroup",
    "cgroup2",
    "debugfs",
    "tracefs",
    "securityfs",
    "configfs",
    "efivarfs",
    "hugetlbfs",
    "mqueue",
    "bpf",
    "fusectl",
    "binfmt_misc",
    "pstore",
    "selinuxfs",
    "usbfs",
    "rpc_pipefs",
    "nfsd",
];

/// Folders that the host of a virtual machine shares.
const OF_THE_HOST: [&str; 6] = ["9p", "virtiofs", "vboxsf", "vmhgfs", "fuse.vmhgfs-fuse", "prl_fs"];

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
const LAYERS: [&str; 3] = ["lowerdir=", "upperdir=", "workdir="];

/// Whether an entry makes the boot of another machine wait or fail; `gone` are the mount points of those that do already.
fn is_of_a_machine(entry: &Entry, look: Look, gone: &[&str], kept: &[&str]) -> bool {
    // The live root is made in the initrd. The options of this line would be set on it (systemd-remount-fs.service), `noauto` or not.
    if entry.target == "/" && !entry.is_swap() {
        return entry.kind != "overlay";
    }
    if entry.is_by_hand() || PSEUDO.contains(&entry.kind.as_str()) {
        return false;
    }
    let kind = entry.kind.as_str();
    let is_zram = entry.source.starts_with("/dev/") && !is_disk(&entry.source);
    if entry.is_swap() {
        // A file on an overlay cannot be swapped to either.
        return !is_zram;
    }
    if is_zram {
        return false;
    }
    if is_disk(&entry.source) || OF_THE_HOST.contains(&kind) {
        return true;
    }
    let remote =
        entry.source.starts_with("//") || entry.source.split_once(":/").is_some_and(|(host, _)| !host.contains('/'));
    if SHARES.contains(&kind) || (remote && kind != "overlay") {
        // With an automount nobody waits for it who does not go there.
        return !entry.is_automount();
    }
    // Pools of disks, and programs that stand for a file system.
    let program = ["fuse", "fuseblk"].contains(&kind) || kind.starts_with("fuse.");
    if kind == "zfs" || (program && kind != "fuse.squashfuse") {
        return true;
    }
    entry.paths().iter().any(|path| is_missing(path, look, gone, kept))
}

/// Whether nothing will be at a path in the live system, or only the empty mount point of what is not mounted there.
fn is_missing(path: &str, look: Look, gone: &[&str], kept: &[&str]) -> bool {
    let below = |dirs: &[&str]| {
        dirs.iter().any(|dir| path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    };
    match look(path) {
        Place::There => false,
        Place::Empty => below(gone),
        Place::Absent => !below(kept),
    }
}

/// The entries that are left out, each with the number of its line, counted from 0.
pub fn left_out(entries: &[(usize, Entry)], look: Look) -> Vec<(usize, Entry)> {
    let mut out: Vec<usize> = Vec::new();
    loop {
        let target = |want_out: bool| {
            let wanted = entries.iter().filter(|(line, entry)| out.contains(line) == want_out && entry.target != "/");
            wanted.map(|(_, entry)| entry.target.trim_end_matches('/')).collect::<Vec<_>>()
        };
        let (gone, kept) = (target(true), target(false));
        let next = entries
            .iter()
            .filter(|(line, entry)| out.contains(line) || is_of_a_machine(entry, look, &gone, &kept))
            .map(|(line, _)| *line)
            .collect::<Vec<_>>();
        if next == out {
            return entries.iter().filter(|(line, _)| out.contains(line)).cloned().collect();
        }
        out = next;
    }
}

/// The octal escapes of fstab(5).
fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\043", "#"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that go, by their number, where these paths exist, those with a slash at the end as empty directories.
    fn lines_out(text: &str, paths: &[&str]) -> Vec<usize> {
        let look = |path: &str| match paths {
            _ if paths.contains(&path) => Place::There,
            _ if paths.contains(&format!("{path}/").as_str()) => Place::Empty,
            _ => Place::Absent,
        };
        let entries: Vec<(usize, Entry)> =
            text.lines().enumerate().filter_map(|(line, text)| Some((line, Entry::parse(text)?))).collect();
        left_out(&entries, &look).into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn what_would_wait_for_the_machine_goes_and_nothing_else() {
        for (line, goes) in [
            ("# UUID=1 / ext4", false),
            ("", false),
            ("UUID=1", false),
            ("UUID=1 / ext4 errors=remount-ro 0 1", true),
            ("/dev/root / ext4 defaults,noauto", true),
            ("overlay / overlay rw 0 0", false),
            ("tmpfs / tmpfs size=1g 0 0", true),
            ("UUID=2B1C-9A07 /boot/efi vfat umask=0077 0 1", true),
            ("LABEL=BOOT\t/boot\text4", true),
            ("PARTUUID=1-01 /boot/efi vfat noauto,x-systemd.automount 0 0", true),
            ("PARTLABEL=x /boot vfat noauto,x-systemd.required-by=local-fs.target 0 0", true),
            ("/dev/sda3 /home ext4 nofail,x-systemd.device-timeout=5s 0 2", true),
            ("/dev/mapper/vg-srv /srv xfs defaults 0 0", true),
            ("UUID=1 /home btrfs subvol=@home 0 0", true),
            ("/dev/cdrom /media/cdrom0 udf,iso9660 user,noauto 0 0", false),
            ("/dev/zram1 /var/log ext4 defaults,discard 0 0", false),
            ("UUID=1 none swap sw 0 0", true),
            ("/dev/zram0 none swap pri=100 0 0", false),
            ("/swapfile swap swap defaults 0 0", true),
            ("UUID=1 none swap noauto 0 0", false),
            ("tmpfs /tmp tmpfs size=1g 0 0", false),
            ("none /sys/kernel/debug debugfs", false),
            ("proc /proc proc hidepid=2 0 0", false),
            ("nas:/export /nas nfs defaults 0 0", true),
            ("nas:/export /nas nfs _netdev,nofail 0 0", true),
            ("nas:/export /nas nfs noauto,user 0 0", false),
            ("nas:/export /nas nfs x-systemd.automount 0 0", false),
            ("//nas/x /nas cifs credentials=/etc/nas 0 0", true),
            ("[fe80::1]:/export /nas nfs4 noauto 0 0", false),
            ("user@host:/home /h fuse.sshfs defaults 0 0", true),
            ("share /mnt/host 9p trans=virtio 0 0", true),
            ("share /mnt/host virtiofs nofail 0 0", true),
            ("tank/home /home zfs defaults 0 0", true),
            ("/there/a.iso /snap/a/1 fuse.squashfuse ro,nodev 0 0", false),
            ("/absent.snap /snap/a/1 squashfs ro,nodev 0 0", true),
            ("/there /opt/x none bind 0 0", false),
            ("/absent /opt/x none bind 0 0", true),
            ("/there/a.iso /mnt iso9660 loop,ro 0 0", false),
            ("/absent.iso /mnt iso9660 loop,ro 0 0", true),
            ("overlay /etc overlay lowerdir=/there:/there,upperdir=/absent/u,workdir=/absent/w 0 0", true),
            ("overlay /etc overlay lowerdir=/there:/there/a.iso 0 0", false),
            ("/empty /opt/x none bind 0 0", false),
        ] {
            let line = line.replace("\\t", "\t");
            let out = lines_out(&line, &["/there", "/there/a.iso", "/empty/"]);
            assert_eq!(!out.is_empty(), goes, "{line}");
        }
    }

    #[test]
    fn what_lies_on_a_disk_that_is_gone_goes_too() {
        let text = "UUID=1 / ext4\nUUID=2 /data ext4\n/data/home /home none bind\n/home/x /opt/x none bind\n\
                    /data /var/lib/data none bind\ntmpfs /scratch tmpfs\n/scratch/a /b none bind\n/kept /c none bind\n";
        assert_eq!(lines_out(text, &["/data/", "/kept/"]), [0, 1, 2, 3, 4]);
        // The copy was made with all that was mounted.
        assert_eq!(lines_out(text, &["/data", "/data/home", "/home/x", "/kept"]), [0, 1]);
    }

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

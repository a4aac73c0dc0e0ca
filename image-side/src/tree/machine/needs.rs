//! Which lines of fstab make a live boot on another machine wait or fail.

use super::super::size::VOLATILE;
use super::fstab::{Entry, Look, Place};
use super::source::is_disk;

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

/// What an entry cannot be mounted without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// Nothing that another machine lacks.
    Nothing,
    /// A network that may not be there.
    Network,
    /// Its machine.
    Machine,
}

/// What is there beside an entry.
struct Around<'a> {
    look: Look<'a>,
    /// Encrypted volumes that are opened on every machine.
    volumes: &'a [String],
    /// The other entries, and what they need.
    others: Vec<(&'a Entry, Needs)>,
}

impl Around<'_> {
    fn needs(&self, entry: &Entry) -> Needs {
        let source = entry.source.as_str();
        // The live root is made in the initrd. The options of this line would be set on it (systemd-remount-fs.service).
        if entry.is_root() {
            return if entry.kind == "overlay" { Needs::Nothing } else { Needs::Machine };
        }
        let is_zram = source.starts_with("/dev/") && !is_disk(source);
        let is_made_anew = PSEUDO.contains(&entry.kind.as_str()) || self.is_volume(source);
        if is_zram || (!entry.is_swap() && is_made_anew) {
            return Needs::Nothing;
        }
        // A file on an overlay cannot be swapped to either. Pools of disks have names of their own.
        if is_disk(source) || entry.is_swap() || entry.kind == "zfs" || OF_THE_HOST.contains(&entry.kind.as_str()) {
            return Needs::Machine;
        }
        if entry.is_share() {
            return Needs::Network;
        }
        let layer = || entry.value("upperdir").filter(|_| entry.kind == "overlay");
        let needs = entry.paths().into_iter().map(|path| self.needs_of(path, entry.is_program()));
        match needs.max_by_key(|needs| *needs as u8).unwrap_or(Needs::Nothing) {
            Needs::Nothing if layer().is_some_and(|dir| !self.carries(dir, MOST_MOUNTS)) => Needs::Machine,
            needs => needs,
        }
    }

    fn is_volume(&self, source: &str) -> bool {
        let name = ["/dev/mapper/", "/dev/disk/by-id/dm-name-"].iter().find_map(|dir| source.strip_prefix(dir));
        name.is_some_and(|name| self.volumes.iter().any(|known| known == name))
    }

    /// What a path needs to be there in the live system, and not only as the empty mount point of what is not mounted. Programs take
    /// patterns for a path.
    fn needs_of(&self, path: &str, pattern: bool) -> Needs {
        let below = |needs| self.others.iter().any(|(other, its)| *its == needs && is_below(path, &other.target));
        if let Some(stem) = path.find(['*', '?', '[']).filter(|_| pattern).map(|at| &path[..at]) {
            let dir = &stem[..stem.rfind('/').unwrap_or_default()];
            let matching =
                |needs| self.others.iter().any(|(other, its)| *its == needs && other.target.starts_with(stem));
            return match self.needs_of(dir, false) {
                Needs::Nothing if matching(Needs::Machine) => Needs::Machine,
                Needs::Nothing if matching(Needs::Network) => Needs::Network,
                // Nothing is in it.
                Needs::Nothing if !dir.is_empty() && (self.look)(dir) == Place::Empty && !below(Needs::Nothing) => {
                    Needs::Machine
                }
                needs => needs,
            };
        }
        match (self.look)(path) {
            _ if path.is_empty() => Needs::Nothing,
            Place::There => Needs::Nothing,
            Place::Empty if below(Needs::Machine) => Needs::Machine,
            Place::Empty | Place::Absent if below(Needs::Network) => Needs::Network,
            Place::Absent if !below(Needs::Nothing) => Needs::Machine,
            Place::Empty | Place::Absent => Needs::Nothing,
        }
    }

    /// Whether a directory can be the upper layer of an overlay: the live root is one, and none carries another
    /// (Linux, `Documentation/filesystems/overlayfs.rst`).
    fn carries(&self, dir: &str, mounts: u8) -> bool {
        let on = self.others.iter().filter(|(other, needs)| *needs == Needs::Nothing && is_below(dir, &other.target));
        match on.map(|(other, _)| other).max_by_key(|other| other.target.trim_end_matches('/').len()) {
            None => VOLATILE.iter().any(|top| is_below(dir, &format!("/{top}"))),
            Some(other) if other.kind == "overlay" || mounts == 0 => false,
            Some(other) if other.has("bind") || other.has("rbind") => self.carries(&other.source, mounts - 1),
            Some(_) => true,
        }
    }
}

/// How many mounts that lie one on another are looked through.
const MOST_MOUNTS: u8 = 8;

/// Whether a path is a directory, other than the root, or lies below it.
fn is_below(path: &str, dir: &str) -> bool {
    let dir = dir.trim_end_matches('/');
    !dir.is_empty() && path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The entries that make the boot of another machine wait or fail, each with the number of its line, counted from 0. `volumes` are the
/// names of encrypted volumes that are opened there too.
pub fn left_out(entries: &[(usize, Entry)], look: Look, volumes: &[String]) -> Vec<(usize, Entry)> {
    let mut all = vec![Needs::Nothing; entries.len()];
    loop {
        let others = |at: usize| {
            let known = entries.iter().zip(&all).enumerate().filter(|(other, _)| *other != at);
            known.map(|(_, ((_, entry), needs))| (entry, *needs)).collect()
        };
        let needs = |at: usize| Around { look, volumes, others: others(at) }.needs(&entries[at].1);
        // What is gone does not come again, so this ends.
        let next: Vec<Needs> =
            (0..entries.len()).map(|at| if all[at] == Needs::Machine { all[at] } else { needs(at) }).collect();
        if next == all {
            break;
        }
        all = next;
    }
    let is_out = |entry: &Entry, needs: Needs| match needs {
        // The options of the root's line count whether or not it is mounted.
        Needs::Machine => entry.is_root() || !entry.is_by_hand(),
        Needs::Network => !entry.is_by_hand() && !entry.is_optional(),
        Needs::Nothing => false,
    };
    let out = entries.iter().zip(&all).filter(|((_, entry), needs)| is_out(entry, **needs));
    out.map(|(entry, _)| entry.clone()).collect()
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
        left_out(&entries, &look, &["vault".to_owned()]).into_iter().map(|(line, _)| line).collect()
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
            ("nas:/export /nas nfs _netdev 0 0", true),
            ("nas:/export /nas nfs _netdev,nofail 0 0", false),
            ("nas:/export /nas nfs noauto,user 0 0", false),
            ("nas:/export /nas nfs4 bg 0 0", false),
            ("nas:/export /nas nfs x-systemd.automount 0 0", false),
            ("//nas/x /nas cifs credentials=/etc/nas 0 0", true),
            ("[fe80::1]:/export /nas nfs4 noauto 0 0", false),
            ("user@host:/home /h fuse.sshfs defaults 0 0", true),
            ("user@host: /h fuse.sshfs _netdev 0 0", true),
            ("user@host:/home /h fuse.sshfs nofail,_netdev 0 0", false),
            ("sshfs#user@host:/home /h fuse defaults 0 0", true),
            ("sshfs#user@host:/home /h fuse noauto 0 0", false),
            ("remote:bucket /s fuse.rclone _netdev 0 0", true),
            ("remote:bucket /s fuse.rclone _netdev,x-systemd.automount 0 0", false),
            ("/there /h fuse.bindfs force-user=live 0 0", false),
            ("bindfs#/there /h fuse ro 0 0", false),
            ("/absent /h fuse.bindfs ro 0 0", true),
            ("/a=b /h fuse.bindfs ro 0 0", false),
            ("bindfs#/absent /h fuse ro 0 0", true),
            ("/there:/empty /pool fuse.mergerfs defaults 0 0", false),
            ("/there=RW:/empty=NC,1G /pool mergerfs defaults 0 0", false),
            ("/there:/absent /pool fuse.mergerfs defaults 0 0", true),
            ("/there* /pool fuse.mergerfs defaults 0 0", false),
            ("/absent/disk* /pool fuse.mergerfs defaults 0 0", true),
            ("/empty/disk* /pool fuse.mergerfs defaults 0 0", true),
            ("lxcfs /var/lib/lxcfs fuse.lxcfs defaults 0 0", false),
            ("/dev/sda5 /win fuse.ntfs-3g nofail 0 0", true),
            ("UUID=1 /win fuseblk defaults 0 0", true),
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
            ("overlay /etc overlay lowerdir=/there,upperdir=/empty,workdir=/empty 0 0", true),
            ("overlay /etc overlay lowerdir=/there,upperdir=/there,workdir=/there,nofail 0 0", true),
            ("overlay /etc overlay noauto,lowerdir=/there,upperdir=/there,workdir=/there 0 0", false),
            ("overlay /etc overlay lowerdir=/there,upperdir=/run/u,workdir=/run/w 0 0", false),
            ("/empty /opt/x none bind 0 0", false),
        ] {
            let line = line.replace("\\t", "\t");
            let out = lines_out(&line, &["/there", "/there/a.iso", "/empty/", "/a=b", "/run/u", "/run/w"]);
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

    /// No overlay takes an overlay as its upper layer, and the live root is one (Linux, `Documentation/filesystems/overlayfs.rst`).
    #[test]
    fn an_upper_layer_lies_on_what_can_carry_one() {
        let overlay = "overlay /etc overlay lowerdir=/etc,upperdir=/w/u,workdir=/w/w\n";
        let there = ["/etc", "/w", "/w/u", "/w/w", "/bound"];
        for (what, before, goes) in [
            ("in the tree", "", true),
            ("on a tmpfs", "tmpfs /w tmpfs 0 0\n", false),
            ("on an image file", "/bound /w ext4 loop 0 0\n", false),
            ("bound from the tree", "/bound /w none rbind 0 0\n", true),
            ("on an overlay", "overlay /w overlay lowerdir=/bound 0 0\n", true),
            ("beside a tmpfs", "tmpfs /w/x tmpfs 0 0\n", true),
            ("below a tmpfs and a bind", "tmpfs /w tmpfs 0 0\n/bound /w/u none bind 0 0\n", true),
            ("on a disk that is gone", "UUID=1 /w ext4 0 0\n", true),
        ] {
            let last = before.lines().count();
            assert_eq!(lines_out(&format!("{before}{overlay}"), &there).contains(&last), goes, "{what}");
        }
    }

    #[test]
    fn what_needs_something_that_may_be_absent_goes_unless_it_may_be_absent_too() {
        for (text, out) in [
            ("nas:/e /nas nfs nofail\n/nas/x /y none bind\n/nas/x /z none bind,nofail\n/z/a /b none bind", vec![1, 3]),
            ("nas:/e /nas nfs x-systemd.automount\n/nas/x /y none bind", vec![1]),
            ("UUID=1 /data ext4 noauto\n/data/x /y none bind\n/data/x /z none bind,nofail", vec![1, 2]),
            ("/a.iso /cd iso9660 loop,noauto\n/cd/x /y none bind", vec![]),
        ] {
            assert_eq!(lines_out(text, &["/nas/", "/a.iso"]), out, "{text}");
        }
    }

    #[test]
    fn what_lies_on_a_volume_that_stays_stays() {
        for (source, goes) in [
            ("/dev/mapper/vault", false),
            ("/dev/disk/by-id/dm-name-vault", false),
            ("/dev/mapper/other", true),
            ("/dev/mapper/vault2", true),
            ("UUID=1", true),
        ] {
            let text = format!("{source} /data ext4 defaults\n/data/x /y none bind\n");
            assert_eq!(lines_out(&text, &["/data/"]).len(), if goes { 2 } else { 0 }, "{source}");
        }
        assert_eq!(lines_out("/dev/mapper/vault none swap", &[]), [0]);
    }

    #[test]
    fn a_pool_of_disks_that_are_gone_goes_with_them() {
        let text = "UUID=1 /mnt/disk1 ext4\nUUID=2 /mnt/disk2 ext4\n/mnt/disk* /pool fuse.mergerfs\n/srv/disk* /b fuse.mergerfs\n\
                    /pool/x /x fuse.bindfs\n";
        assert_eq!(lines_out(text, &["/mnt", "/mnt/disk1/", "/mnt/disk2/", "/srv", "/pool/"]), [0, 1, 2, 4]);
    }
}

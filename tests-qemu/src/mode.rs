//! Which initrd finds the medium: ours in each of its habitats, the originals, or the floor.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::artifact;
use crate::guest::Tree;
use crate::lab::Lab;
use crate::machine::{self, Machine, Start};
use crate::{cache, floor, packages, sources, tool, vmlinux};

mod kiwi;

/// How the initrd was made, and so with which kernel it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Our own initramfs, the agent is PID 1; kernel of Debian 13.
    Native,
    /// As [`Mode::NativeWrite`] with the builder's whole network group. `Boot::net` chooses it.
    NativeNet,
    /// As [`Mode::Native`] with the kernel of Debian 12.
    Native12,
    /// As [`Mode::Native`], with the programs that make and check persistent areas.
    NativeWrite,
    /// As [`Mode::NativeWrite`] with the kernel of Debian 12.
    NativeWrite12,
    /// As [`Mode::NativeWrite`], with what encrypted areas need, and a key in `/etc/lab.key`.
    NativeCrypt,
    /// As [`Mode::NativeCrypt`], where a key is made of a passphrase as cheaply as argon2 can be. As people get it, that costs ten times
    /// the rest of a boot.
    NativeCryptQuick,
    /// As [`Mode::NativeCrypt`] with the kernel and the cryptsetup of Debian 12.
    NativeCrypt12,
    /// dracut 106 with systemd, Debian 13.
    Dracut106,
    /// dracut 106 without systemd, Debian 13.
    Dracut106Shell,
    /// As [`Mode::Dracut106`], where our module is asked for by the names of those it stands for ([`NAMES`]).
    Dracut106Named,
    /// As [`Mode::Dracut106`], made on a system that has no programs to make and check file systems.
    Dracut106Bare,
    /// As [`Mode::Dracut106`], made on a system with LVM, which dracut's module `lvm` opens.
    Dracut106Lvm,
    /// As [`Mode::Dracut106Shell`], made on a system with LVM.
    Dracut106LvmShell,
    /// As [`Mode::Dracut106`], made on a system whose dracut has systemd-networkd for the network.
    Dracut106Networkd,
    /// As [`Mode::Dracut106`], made on a system whose dracut has NetworkManager for the network.
    Dracut106Nm,
    /// dracut 059 with systemd, Debian 12.
    Dracut059,
    /// As [`Mode::Dracut059`], with dracut's own scripts for the network (network-legacy), which later versions have no more.
    Dracut059Legacy,
    /// The original dmsquash-live of dracut 059, Debian 12.
    DmsquashLive,
    /// The original kiwi-live, Debian 12.
    KiwiLive,
    /// The original livenet of dracut 106, Debian 13, with the network as dracut takes it there.
    Livenet106,
    /// The original kiwi-live of KIWI 11 in dracut 106, Debian 13: that of Debian 12 knows no HTTP, and Debian 13 has none.
    KiwiLive11,
    /// The floor of the bench, Debian 12.
    Floor,
}

/// Takes programs out of the tree before dracut runs; for [`dracut`], not for dracut.
const BARE: &str = "--bare";

/// Content of the key file in the initrds that have one.
pub const KEY: &str = "a key, and whoever has the initrd has it\n";

/// Names that people ask for our module by.
pub const NAMES: &[&str] =
    &["kiwi-live", "dmsquash-live", "dmsquash-live-autooverlay", "livenet", "overlayfs", "overlayfs-crypt"];

/// The modules that an initrd without systemd does without.
pub const SYSTEMD: &str = "systemd systemd-initrd dracut-systemd systemd-udevd systemd-journald systemd-sysctl systemd-modules-load \
                           systemd-tmpfiles systemd-sysusers systemd-ask-password systemd-cryptsetup systemd-pcrphase systemd-ac-power";

/// Kernel and initrd of a mode.
pub struct Pair {
    /// vmlinux, or vmlinuz where QEMU needs that.
    pub kernel: PathBuf,
    /// The initrd.
    pub initrd: PathBuf,
}

/// An initrd, and the release of the kernel whose modules it has.
pub struct Initrd {
    /// The release.
    pub version: String,
    /// The file.
    pub path: PathBuf,
}

impl Mode {
    /// The tree whose kernel and tools make the initrd.
    pub fn tree(self) -> Tree {
        match self {
            Self::Native
            | Self::NativeNet
            | Self::NativeWrite
            | Self::NativeCrypt
            | Self::NativeCryptQuick
            | Self::Dracut106
            | Self::Dracut106Shell
            | Self::Dracut106Named
            | Self::Dracut106Bare
            | Self::Dracut106Lvm
            | Self::Dracut106LvmShell
            | Self::Dracut106Networkd
            | Self::Dracut106Nm
            | Self::Livenet106
            | Self::KiwiLive11 => Tree::Trixie,
            Self::Native12
            | Self::NativeWrite12
            | Self::NativeCrypt12
            | Self::Dracut059
            | Self::Dracut059Legacy
            | Self::DmsquashLive
            | Self::KiwiLive
            | Self::Floor => Tree::Bookworm,
        }
    }

    /// Whether user-mode Linux can boot it: no certain kernel is its subject. dracut makes its initrd for that kernel, too.
    pub fn is_light(self) -> bool {
        matches!(self, Self::Native | Self::NativeNet | Self::NativeWrite | Self::NativeCrypt | Self::NativeCryptQuick)
            || self.is_dracut()
    }

    /// Whether dracut has made it with our module.
    pub fn is_dracut(self) -> bool {
        matches!(
            self,
            Self::Dracut106
                | Self::Dracut106Shell
                | Self::Dracut106Named
                | Self::Dracut106Bare
                | Self::Dracut106Lvm
                | Self::Dracut106LvmShell
                | Self::Dracut106Networkd
                | Self::Dracut106Nm
                | Self::Dracut059
                | Self::Dracut059Legacy
        )
    }

    /// A direct start with this command line.
    pub fn start(self, lab: &Lab, machine: Machine, append: String) -> Result<Start> {
        let pair = match machine {
            Machine::Qemu => self.pair(lab)?,
            Machine::Uml => self.light_pair(lab)?,
        };
        Ok(Start::Kernel { kernel: pair.kernel, initrd: Some(pair.initrd), append })
    }

    /// Makes (or finds) the initrd.
    pub fn pair(self, lab: &Lab) -> Result<Pair> {
        let (version, kernel) = self.tree().kernel(lab)?;
        let (programs, code) = (self.programs(lab), sources::initrds());
        let key = format!("initrd 1 {code:x} {self:?} {version} {} {programs}", self.tree().identity(lab)?);
        let make = |path: &Path| self.make(lab, None, &version, path);
        let initrd = lab.cache.file("initrd", &format!("initrd {self:?}"), &key, make)?;
        let key = format!("vmlinux 1 {code:x} {version} {}", self.tree().identity(lab)?);
        let kernel = lab.cache.file("vmlinux", &format!("kernel {version}"), &key, |path| unpacked(&kernel, path))?;
        Ok(Pair { kernel, initrd })
    }

    /// As [`Mode::pair`] for user-mode Linux: the same programs with its modules.
    fn light_pair(self, lab: &Lab) -> Result<Pair> {
        ensure!(self.is_light(), "{self:?} has no initrd for user-mode Linux");
        let kernel = machine::kernel(lab)?;
        let (programs, code) = (self.programs(lab), sources::initrds());
        let (made, tree) = (&kernel.identity, self.tree().identity(lab)?);
        let key = format!("initrd uml 2 {self:?} {} {made} {tree} {programs} {code:x}", kernel.version);
        let make = |path: &Path| self.make(lab, Some(&kernel.layer), &kernel.version, path);
        let initrd = lab.cache.file("initrd", &format!("initrd {self:?} for user-mode Linux"), &key, make)?;
        Ok(Pair { kernel: kernel.run, initrd })
    }

    /// Its initrds by the kernels that they are for: the distribution's, and that of user-mode Linux where there is one.
    ///
    /// # Errors
    /// One cannot be made.
    pub fn initrds(self, lab: &Lab) -> Result<Vec<Initrd>> {
        let mut initrds = vec![Initrd { version: self.tree().kernel(lab)?.0, path: self.pair(lab)?.initrd }];
        if let Ok(kernel) = machine::kernel(lab) {
            initrds.push(Initrd { version: kernel.version, path: self.light_pair(lab)?.initrd });
        }
        Ok(initrds)
    }

    /// What its programs are, for cache keys.
    fn programs(self, lab: &Lab) -> String {
        match self {
            Self::Native
            | Self::NativeNet
            | Self::NativeWrite
            | Self::NativeCrypt
            | Self::Native12
            | Self::NativeWrite12
            | Self::NativeCrypt12 => {
                format!("{:x} {:x}", lab.built.agent.hash, lab.built.builder.hash)
            }
            Self::NativeCryptQuick => {
                format!("{:x} {:x} {:x}", lab.built.agent.hash, lab.built.builder.hash, lab.built.guest.hash)
            }
            Self::Dracut106
            | Self::Dracut106Shell
            | Self::Dracut106Named
            | Self::Dracut106Bare
            | Self::Dracut106Lvm
            | Self::Dracut106LvmShell
            | Self::Dracut106Networkd
            | Self::Dracut106Nm
            | Self::Dracut059
            | Self::Dracut059Legacy => format!("{:x} {:x}", lab.built.agent.hash, lab.built.module_hash),
            Self::Floor => format!("{:x} {:?}", lab.built.guest.hash, floor::WANTED),
            Self::DmsquashLive | Self::KiwiLive | Self::Livenet106 => String::new(),
            Self::KiwiLive11 => kiwi::SHA256.to_owned(),
        }
    }

    /// With the modules of a version in the tree, or in the layer over it.
    fn make(self, lab: &Lab, over: Option<&Path>, version: &str, path: &Path) -> Result<()> {
        let names = if self == Self::Dracut106Named { NAMES } else { &[] };
        let over = match self.layer(lab)? {
            Some(layer) => Some(over.map_or_else(|| layer.clone(), |over| stacked(&layer, over))),
            None => over.map(Path::to_owned),
        };
        let over = over.as_deref();
        let with = |args: &[&str]| dracut(lab, self.tree(), over, version, (names, args), path);
        let add = |module: &str| with(&["--add", module]);
        match self {
            Self::Native
            | Self::NativeNet
            | Self::Native12
            | Self::NativeWrite
            | Self::NativeWrite12
            | Self::NativeCrypt
            | Self::NativeCryptQuick
            | Self::NativeCrypt12 => self.native(lab, over, version, path),
            Self::Dracut106 | Self::Dracut106Lvm | Self::Dracut059 => add("rdlive"),
            Self::Dracut106Shell | Self::Dracut106LvmShell => with(&["--omit", SYSTEMD, "--add", "rdlive"]),
            Self::Dracut059Legacy => add("rdlive network-legacy"),
            Self::Dracut106Networkd => add("rdlive systemd-networkd"),
            Self::Dracut106Nm => add("rdlive network-manager"),
            Self::Dracut106Named => add(&NAMES.join(" ")),
            Self::Dracut106Bare => with(&[BARE, "--add", "rdlive"]),
            Self::DmsquashLive => add("dmsquash-live"),
            Self::KiwiLive | Self::KiwiLive11 => add("kiwi-live"),
            Self::Livenet106 => add("livenet"),
            Self::Floor => floor::initrd(lab, self.tree(), version, path),
        }
    }

    /// What the system that it is made on has besides: the name of a layer, and its packages.
    fn packages(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Dracut106Lvm | Self::Dracut106LvmShell => Some(("lvm", "lvm2")),
            Self::Dracut106Networkd => Some(("networkd", "dracut-network")),
            Self::Dracut106Nm => Some(("nm", "dracut-network network-manager dbus")),
            // Its package only recommends curl, and does not work without.
            Self::Livenet106 => Some(("livenet", "dracut-network curl ca-certificates")),
            _ => None,
        }
    }

    /// The layer over the tree that these are in.
    fn layer(self, lab: &Lab) -> Result<Option<PathBuf>> {
        match self.packages() {
            Some((layer, packages)) => packages::over_debian(lab, layer, packages).map(Some),
            None if self == Self::KiwiLive11 => kiwi::layer(lab).map(Some),
            None => Ok(None),
        }
    }

    fn native(self, lab: &Lab, over: Option<&Path>, version: &str, path: &Path) -> Result<()> {
        const AREAS: &str = "--persistence=ext4,xfs,btrfs";
        // As small as users get it, one takes 20 to 27 CPU seconds to make, and each change of the agent makes all of them anew.
        const STORED: [&str; 2] = ["--compress=none", "--plain-modules"];
        let scratch = lab.cache.scratch("initrd")?;
        let mut args: Vec<String> = match self {
            Self::NativeNet | Self::NativeWrite | Self::NativeWrite12 => vec![AREAS.to_owned()],
            Self::NativeCrypt | Self::NativeCryptQuick | Self::NativeCrypt12 => {
                let key = scratch.join("key");
                fs::write(&key, KEY)?;
                let file = format!("--add-file={}:/etc/lab.key", key.display());
                let mut args = vec![AREAS.to_owned(), "--encryption".to_owned(), file];
                // A cipher that encrypts nothing, as initrds of dracut have it: without it the kernel itself would refuse.
                args.extend((self != Self::NativeCrypt12).then(|| "--add-module=crypto_null".to_owned()));
                if self == Self::NativeCryptQuick {
                    let (real, ours) = (self.tree().ensure(lab)?.join("usr/sbin/cryptsetup"), &lab.built.guest.path);
                    args.push(format!("--add-file={}:/usr/sbin/cryptsetup", ours.display()));
                    args.push(format!("--add-file={}:/usr/lib/lab/cryptsetup", real.display()));
                }
                args
            }
            _ => Vec::new(),
        };
        if !(self.is_as_shipped() && over.is_none()) {
            args.extend(STORED.map(str::to_owned));
        }
        // Their boots have no network, and 10 MB more to unpack would be a part of each. User-mode Linux has its only card built in.
        if !(self.is_as_shipped() || self == Self::NativeNet || over.is_some()) {
            args.push("--no-network".to_owned());
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let made = native(lab, self.tree(), over, version, &args, path);
        let _ = crate::remove::tree(&scratch);
        made
    }

    /// Whether QEMU boots it just as the builder makes it for people.
    fn is_as_shipped(self) -> bool {
        matches!(self, Self::Native | Self::Native12)
    }
}

/// Two layers as one, as overlayfs lists them.
fn stacked(upper: &Path, lower: &Path) -> PathBuf {
    let mut both = upper.as_os_str().to_owned();
    both.push(":");
    both.push(lower);
    both.into()
}

/// The kernel as QEMU starts it soonest.
fn unpacked(kernel: &Path, path: &Path) -> Result<()> {
    match vmlinux::unpack(kernel, path)? {
        true => Ok(()),
        false => fs::copy(kernel, path).map(drop).context("copying the kernel"),
    }
}

/// Runs the builder on a tree, with one more layer of files over it if there is one.
fn native(lab: &Lab, tree: Tree, over: Option<&Path>, version: &str, args: &[&str], path: &Path) -> Result<()> {
    let tree = tree.ensure(lab)?;
    let scratch = lab.cache.scratch("root")?;
    let over = over.unwrap_or(Path::new(""));
    let mut all: Vec<&Path> = vec![&tree, over, &scratch, &lab.built.builder.path, version.as_ref(), path];
    all.push(&lab.built.agent.path);
    all.extend(args.iter().map(Path::new));
    let made = tool::shell_with_mounts(NATIVE, &all);
    let _ = crate::remove::tree(&scratch);
    made.map(drop)
}

const NATIVE: &str = r#"
    root=$1 over=$2 scratch=$3 builder=$4 version=$5 output=$6 agent=$7; shift 7
    if [ -n "$over" ]; then mount -t overlay overlay -o "lowerdir=$over:$root" "$scratch"; root=$scratch; fi
    "$builder" initrd --profile generic --kernel "$version" "$@" --root "$root" --output "$output" --agent "$agent""#;

/// dracut in the tree's own system. Agent and module are laid over the tree for this one run, so it stays as it is. The module gets these
/// further names, in place of the modules that have them.
///
/// # Errors
/// dracut fails, or warns of our module.
pub fn dracut(
    lab: &Lab,
    tree: Tree,
    over: Option<&Path>,
    version: &str,
    (names, args): (&[&str], &[&str]),
    path: &Path,
) -> Result<()> {
    let dir = tree.ensure(lab)?;
    let scratch = lab.cache.scratch("dracut")?;
    let script = &format!(
        r#"{NAMED}
        tree=$1 work=$2 version=$3 agent=$4 module=$5 out=$6 over=$7 names=$8; shift 8
        exec 3>"$work/log"; exec >&3 2>&3
        mkdir -p "$work/root" "$work/tmp"
        mount -t tmpfs tmpfs "$work/root"
        mkdir "$work/root/upper" "$work/root/work" "$work/root/merged"
        root=$work/root/merged
        mount -t overlay overlay -o "lowerdir=${{over:+$over:}}$tree,upperdir=$work/root/upper,workdir=$work/root/work" "$root"
        system_dirs "$root"
        mount --bind "$work/tmp" "$root/var/tmp"
        if [ -d "$module" ]; then
            install -m 755 "$agent" "$root/usr/bin/rdlive"
            cp -a "$module" "$root/usr/lib/dracut/modules.d/50rdlive"
            named "$root/usr/lib/dracut/modules.d" $names
        fi
        if [ "$1" = --bare ]; then rm "$root"/usr/sbin/{{mkfs,mke2fs,e2fsck,fsck}}*; shift; fi
        chroot "$root" dracut --force --no-hostonly --kver "$version" --compress "zstd -q -1" --stdlog 3 "$@" /var/tmp/initrd
        mv "$work/tmp/initrd" "$out"
    "#
    );
    let mut all: Vec<&Path> = vec![&dir, &scratch, version.as_ref(), &lab.built.agent.path];
    let module = artifact::module_dir();
    // What it misses is the point of that one, and our module says so.
    let ours = (!names.is_empty() || args.iter().any(|arg| arg.starts_with("rdlive"))) && !args.contains(&BARE);
    let names = names.join(" ");
    all.extend([module.as_path(), path, over.unwrap_or(Path::new("")), names.as_ref()]);
    all.extend(args.iter().map(Path::new));
    let made = tool::shell_with_mounts(script, &all);
    let log = fs::read_to_string(scratch.join("log")).unwrap_or_default();
    let said = || format!("dracut {}:\n{}", args.join(" "), tool::tail(&log, 20));
    let made = made.with_context(said).and_then(|_| match warnings(&log) {
        warnings if ours && !warnings.is_empty() => bail!("dracut warns: {}", warnings.join("\n")),
        _ => Ok(()),
    });
    let _ = crate::remove::tree(&scratch);
    made
}

/// `named MODULES-DIRECTORY NAME…`: further names of our module, every other one by a link, in place of what had them.
pub const NAMED: &str = r#"
    named() {
        local dir=$1 name last=; shift
        for name in "$@"; do
            rm -rf --one-file-system "$dir"/[0-9][0-9]"$name"
            if [ "$last" = link ]; then
                mkdir "$dir/90$name"; printf 'check() { return 255; }\ndepends() { echo rdlive; }\n' > "$dir/90$name/module-setup.sh"; last=
            else
                ln -s 50rdlive "$dir/90$name"; last=link
            fi
        done
    }
"#;

/// What dracut (with `--stdlog 3`) warns of, but for what is none of our module's: it names the others that ours does without, and libraries
/// that systemd would use if they were there.
pub fn warnings(log: &str) -> Vec<&str> {
    let others = |line: &str| {
        let left_out = ["can't be installed", "cannot be found or installed"].iter().any(|text| line.contains(text));
        line.contains("could not locate dlopen dependency") || left_out && !line.contains("rdlive")
    };
    let dracut = |line: &&str| ["dracut: ", "dracut[", "dracut-install: "].iter().any(|start| line.starts_with(start));
    log.lines().filter(dracut).filter(|line| !others(line)).collect()
}

/// Key part for fixtures that hold a tree, with a kernel and its modules: the tiny one, made of parts of Debian 13's, borrows those.
pub fn kernel_key(tree: Tree, lab: &Lab) -> Result<String> {
    let kernel = if tree == Tree::Tiny { Tree::Trixie } else { tree }.kernel(lab)?.0;
    Ok(format!("{kernel} {}", cache::identity(&tree.ensure(lab)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dracut_warns_of_is_seen() {
        let log = "Creating group 'tty' with GID 5.\n\
                   dracut: dracut module 'dbus' depends on 'dbus-daemon', which can't be installed\n\
                   dracut[E]: Module 'systemd-pcrextend' depends on module 'systemd', which can't be installed\n\
                   dracut-install: WARNING: could not locate dlopen dependency for gcrypt feature requested by 'x'\n";
        assert_eq!(warnings(log), [""; 0]);
        for line in [
            "dracut: rdlive: no mkfs.ext4 here",
            "dracut[W]: rdlive: no mkfs.ext4 here",
            "dracut[E]: Module 'rdlive' depends on module 'dm', which can't be installed",
            "dracut-install: ERROR: installing 'modprobe'",
        ] {
            assert_eq!(warnings(&format!("{log}{line}\n")), [line]);
        }
    }
}

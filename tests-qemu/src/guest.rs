//! Guest trees: whole Debian systems and a tiny one, made once and kept in the cache.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cache::Cache;
use crate::lab::{self, Lab};
use crate::{cache, mirror, sources, tool};

/// A root file system to boot into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tree {
    /// lab-guest as init, busybox, and nothing else: a few MB, for the many quick boots.
    Tiny,
    /// Debian 13 with systemd, dracut 106 and the kernel of most scenarios.
    Trixie,
    /// Debian 12 with systemd, dracut 059 and both originals (dracut-live, kiwi-dracut-live).
    Bookworm,
}

/// What dracut calls while it makes an initrd must be there before dracut is configured.
const FIRST: &str = "dracut-core dracut dracut-live procps iproute2 kmod udev systemd systemd-sysv";
const THEN: &str =
    "linux-image-amd64 dbus busybox-static e2fsprogs xfsprogs btrfs-progs dosfstools zstd login cryptsetup-bin";

impl Tree {
    /// The suite's name, also the directory's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Trixie => "trixie",
            Self::Bookworm => "bookworm",
        }
    }

    fn extra(self) -> &'static str {
        match self {
            Self::Tiny | Self::Trixie => "",
            // kiwi-live makes its partition with these, but the package does not ask for them.
            Self::Bookworm => "kiwi-dracut-live fdisk parted",
        }
    }

    /// Makes the tree unless it is there; returns its directory, which nobody may change: other runs use it too.
    pub fn ensure(self, lab: &Lab) -> Result<PathBuf> {
        if self == Self::Tiny {
            let key =
                format!("tiny 2 {:016x} {:x} {}", lab.built.guest.hash, sources::trees(), Self::Trixie.identity(lab)?);
            return lab.cache.tree("tiny", "the tiny tree", &key, |dir| make_tiny(lab, dir));
        }
        let (name, base) = (self.name(), self.base(&lab.cache, lab.mirror.as_deref())?);
        // Debian trees outlive builds of lab-guest: each build has its own, of links.
        let key = format!("{} {:016x}", cache::identity(&base)?, lab.built.guest.hash);
        lab.cache.tree(&format!("{name}+guest"), &format!("links to the {name} tree"), &key, |dir| {
            tool::shell("cp -al \"$1/.\" \"$2\"", &[&base, dir])?;
            copy_program(&lab.built.guest.path, &dir.join("usr/bin/lab-guest"))
        })
    }

    /// A Debian tree without our programs: all that takes long.
    pub fn base(self, cache: &Cache, mirror: Option<&str>) -> Result<PathBuf> {
        let name = self.name();
        let what = format!("the {name} tree (debootstrap, kernel, dracut)");
        cache.tree(name, &what, &self.recipe(), |dir| self.make_debian(cache, mirror, dir))
    }

    /// What tells its packages from those of a tree that is made at another time. It outlives builds of lab-guest.
    pub fn identity(self, lab: &Lab) -> Result<String> {
        match self {
            Self::Tiny => cache::identity(&self.ensure(lab)?),
            Self::Trixie | Self::Bookworm => cache::identity(&self.base(&lab.cache, lab.mirror.as_deref())?),
        }
    }

    fn recipe(self) -> String {
        format!("{} 1 {FIRST} {THEN} {} {:x}", self.name(), self.extra(), sources::trees())
    }

    fn make_debian(self, cache: &Cache, mirror: Option<&str>, dir: &Path) -> Result<()> {
        let suite = self.name();
        let mirror = mirror::debian(mirror)?;
        let log = dir.with_extension("log");
        // Plain minbase first: kernel and dracut in --include would pull in initramfs-tools and fail.
        let script = r#"
            exec > "$5" 2>&1
            debootstrap --variant=minbase "$1" "$2" "$3"
            printf '#!/bin/sh\nexit 101\n' > "$2/usr/sbin/policy-rc.d"; chmod 755 "$2/usr/sbin/policy-rc.d"
            system_dirs "$2"
            cp -L /etc/resolv.conf "$2/etc/resolv.conf" || true
            export DEBIAN_FRONTEND=noninteractive INITRD=No LC_ALL=C
            apt() { chroot "$2" apt-get -y -q --no-install-recommends install $1 < /dev/null; }
            chroot "$2" apt-get -q update
            apt "$6" "$2"; apt "$7" "$2"
            chroot "$2" apt-get clean
            rm -rf --one-file-system "$2"/var/lib/apt/lists/* "$2"/usr/sbin/policy-rc.d
        "#;
        let first = FIRST.to_owned();
        let then = format!("{THEN} {}", self.extra());
        let made = tool::shell_with_mounts(
            script,
            &[suite.as_ref(), dir, mirror.as_ref(), "".as_ref(), &log, first.as_ref(), then.as_ref()],
        );
        if let Err(error) = made {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let logs = cache.scratch("log")?;
            fs::rename(&log, logs.join("debootstrap.log"))?;
            let kept = lab::keep(&format!("tree {suite}"), &logs)?;
            bail!("{error}\n{}\n(whole log: {})", tool::tail(&said, 20), kept.display());
        }
        finish_debian(dir)
    }

    /// The newest kernel in a Debian tree: (version, vmlinuz).
    pub fn kernel(self, lab: &Lab) -> Result<(String, PathBuf)> {
        let dir = self.ensure(lab)?;
        let modules = dir.join("usr/lib/modules");
        let mut versions: Vec<String> = fs::read_dir(&modules)
            .with_context(|| format!("reading {}", modules.display()))?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        versions.sort();
        let version = versions.pop().with_context(|| format!("no kernel in {}", modules.display()))?;
        let image = dir.join(format!("boot/vmlinuz-{version}"));
        Ok((version, image))
    }
}

/// What a live system's tree needs besides the packages: a password for the demo, the reporter as a service.
fn finish_debian(dir: &Path) -> Result<()> {
    fs::write(dir.join("etc/hostname"), "live\n")?;
    fs::write(dir.join("etc/fstab"), "")?;
    fs::write(dir.join("etc/machine-id"), "")?;
    tool::shell("echo root:live | chroot \"$1\" chpasswd", &[dir])?;
    // Starts only where a scenario asks for it, so that the same tree serves the demo.
    let unit = "[Unit]\nDescription=Report to the lab and power off\nConditionKernelCommandLine=lab.report\n\
                After=basic.target\nWants=basic.target\n\n[Service]\nType=oneshot\nExecStart=/usr/bin/lab-guest report\n\n\
                [Install]\nWantedBy=multi-user.target\n";
    fs::write(dir.join("etc/systemd/system/lab-report.service"), unit)?;
    let wants = dir.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    symlink("../lab-report.service", wants.join("lab-report.service"))?;
    Ok(())
}

/// busybox comes from the Debian tree: the host need not have it.
fn make_tiny(lab: &Lab, dir: &Path) -> Result<()> {
    let debian = Tree::Trixie.ensure(lab)?;
    for path in ["usr/bin", "usr/lib", "etc", "dev", "proc", "sys", "run", "tmp", "root", "var", "mnt", "oldroot"] {
        fs::create_dir_all(dir.join(path))?;
    }
    for (link, to) in
        [("bin", "usr/bin"), ("sbin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib"), ("usr/sbin", "bin")]
    {
        symlink(to, dir.join(link))?;
    }
    copy_program(&lab.built.guest.path, &dir.join("usr/bin/lab-guest"))?;
    copy_program(&debian.join("usr/bin/busybox"), &dir.join("usr/bin/busybox"))?;
    for name in ["sh", "cat", "ls", "mount", "sleep", "reboot", "poweroff", "mkdir", "ln"] {
        symlink("busybox", dir.join("usr/bin").join(name))?;
    }
    symlink("lab-guest", dir.join("usr/bin/init"))?;
    // busybox decides by its name: init=/usr/lib/busybox/init runs it as the real init.
    fs::create_dir_all(dir.join("usr/lib/busybox"))?;
    symlink("../../bin/busybox", dir.join("usr/lib/busybox/init"))?;
    fs::write(dir.join("etc/inittab"), "::once:/usr/bin/lab-guest report\n")?;
    // systemd's switch-root refuses a tree without it.
    fs::write(dir.join("usr/lib/os-release"), "ID=lab-tiny\nNAME=\"lab tiny\"\n")?;
    symlink("../usr/lib/os-release", dir.join("etc/os-release"))?;
    fs::write(dir.join("etc/lab-marker"), "tiny\n")?;
    Ok(())
}

/// Copies an executable.
pub fn copy_program(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

//! The systemd generator: tells systemd that `/sysroot` is the agent's.
//!
//! systemd runs generators before any unit and again at each reload. For a live root two things are written, into the
//! early directory so that they win over what dracut's and systemd's own generators make of the same `root=`:
//!
//! * `sysroot.mount`, which everything in an initrd waits for. systemd never mounts through it: its condition skips
//!   the start when the agent has mounted `/sysroot`, its assertion fails the start when the agent has not.
//! * links that make `initrd-root-fs.target` require that unit and the agent's service.
//! * a limit for the end of udev, which may wait for a disk that does not answer.
//! * conditions that keep systemd-networkd from starting where the agent brings the network up itself.
//!
//! `docs/decisions/0002-systemd-units.md` has the reasons.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::dracut::{self, Call};
use crate::error::Stop;
use crate::facts::Provider;
use crate::layout;
use crate::plan::provider::{self, Way};

/// The service that runs the agent, installed by the dracut module.
const SERVICE: &str = "/usr/lib/systemd/system/rdlive.service";
/// The service that runs it when the root has been mounted, to lay an overlay over it.
const OVERLAY_SERVICE: &str = "/usr/lib/systemd/system/rdlive-overlay.service";
/// Units that must be active before the initrd goes on.
const REQUIRED: &str = "initrd-root-fs.target.requires";

/// A worker of udev that reads a disk which does not answer cannot be stopped, and the switch of root waits for it: twice 90 s, by
/// systemd's default. Nor must it be killed: its end would hold the lock of the disk, for which systemd's own sync(2) at the switch
/// waits. udev looks at all devices again in the real system.
const UDEV: &str = "systemd-udevd.service.d/50-rdlive.conf";
const UDEV_STOP: &str = "# Written by rdlive-generator.\n[Service]\nTimeoutStopSec=2\nSendSIGKILL=no\n";

/// networkd starts in each initrd that has it, and asks on every interface where nobody has told it anything else: an address that it did
/// not make it takes away, and with it the transfer (network-field.md kind 23). A condition, for a mask would show as a failure.
const NETWORKD: [&str; 2] = ["systemd-networkd.service.d/50-rdlive.conf", "systemd-networkd.socket.d/50-rdlive.conf"];
const NETWORKD_STAYS_OUT: &str =
    "# Written by rdlive-generator: rdlive brings the network up.\n[Unit]\nConditionPathExists=!/usr/bin/rdlive\n";

/// Why the generator failed. systemd logs it and boots on without the units.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    /// Called with other arguments than systemd gives.
    #[error("generator: expected three directories (NORMAL EARLY LATE), got {0}")]
    Arguments(usize),
    /// The command line or the settings cannot be read.
    #[error("generator: {0}")]
    Config(#[from] Stop),
    /// A unit file, link or directory cannot be made.
    #[error("generator: writing {}: {source}", path.display())]
    Write {
        /// What was to be made.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A file or link below the generator's output directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Path relative to the output directory.
    pub path: PathBuf,
    /// What is there.
    pub body: Body,
}

/// The two kinds of [`Unit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A file with this text.
    Text(String),
    /// A symbolic link to this target.
    Link(PathBuf),
}

/// `rdlive generator NORMAL EARLY LATE`: reads this machine's command line and writes the units for it.
///
/// # Errors
/// See [`GeneratorError`]; a root that is not live is no error and writes nothing.
pub fn run(arguments: &[String]) -> Result<(), GeneratorError> {
    let [_, early, _] = arguments else { return Err(GeneratorError::Arguments(arguments.len())) };
    let call = Call { root: "/".into(), sysroot: "/sysroot".into(), cmdline: None, claims: true, labels: false };
    let (env, config, _) = dracut::read(&call)?;
    let mut units = units(&config);
    units.extend(alone(&config, Provider::of(&env)));
    write(&units, Path::new(early))
}

/// What keeps another program from the interfaces that the agent brings up.
fn alone(config: &Config, provider: Option<Provider>) -> Vec<Unit> {
    let is_followed = matches!(provider::choose(config, provider), Way::Follow(_));
    if provider != Some(Provider::Networkd) || is_followed || !config.needs_network() {
        return Vec::new();
    }
    NETWORKD.map(|path| Unit { path: path.into(), body: Body::Text(NETWORKD_STAYS_OUT.to_owned()) }).to_vec()
}

/// The units for a configuration; none if the root is not live. An ordinary root stays systemd's to mount; only the
/// service is added that lays an overlay over it.
pub fn units(config: &Config) -> Vec<Unit> {
    let required = |name: &str, target: &str| Unit {
        path: Path::new(REQUIRED).join(name),
        body: Body::Link(PathBuf::from(target)),
    };
    if config.covers_root() {
        return vec![required("rdlive-overlay.service", OVERLAY_SERVICE)];
    }
    if !config.source.is_live() {
        return Vec::new();
    }
    vec![
        Unit { path: "sysroot.mount".into(), body: Body::Text(sysroot_mount(config)) },
        required("sysroot.mount", "../sysroot.mount"),
        required("rdlive.service", SERVICE),
        Unit { path: UDEV.into(), body: Body::Text(UDEV_STOP.to_owned()) },
    ]
}

/// The unit of `/sysroot`. What, Type and Options only describe the usual root: which layers there are is known when
/// the image has been seen, long after generators ran. No device is named, for systemd would then wait for it.
fn sysroot_mount(config: &Config) -> String {
    let earlier_changes = if config.overlay.readonly { "/run/overlayfs-r:" } else { "" };
    format!(
        "# Written by rdlive-generator.\n\
         [Unit]\n\
         Description=Live root file system at /sysroot\n\
         DefaultDependencies=no\n\
         After=rdlive.service\n\
         Before=initrd-root-fs.target\n\
         Conflicts=umount.target\n\
         Before=umount.target\n\
         ConditionPathIsMountPoint=!/sysroot\n\
         AssertPathIsMountPoint=/sysroot\n\
         \n\
         [Mount]\n\
         What={source}\n\
         Where=/sysroot\n\
         Type=overlay\n\
         Options=lowerdir={earlier_changes}/run/rootfsbase,upperdir=/run/overlayfs,workdir=/run/ovlwork\n",
        source = layout::ROOT_SOURCE,
    )
}

/// Writes units below a directory. What is there under the same name is replaced.
fn write(units: &[Unit], directory: &Path) -> Result<(), GeneratorError> {
    for unit in units {
        let path = directory.join(&unit.path);
        put(&path, &unit.body).map_err(|source| GeneratorError::Write { path, source })?;
    }
    Ok(())
}

fn put(path: &Path, body: &Body) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match body {
        Body::Text(text) => fs::write(path, text),
        Body::Link(target) => symlink(target, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpret_text;

    fn text_of_mount(cmdline: &str) -> Option<String> {
        let (config, _) = interpret_text(cmdline);
        units(&config).into_iter().find_map(|unit| match unit.body {
            Body::Text(text) if unit.path == Path::new("sysroot.mount") => Some(text),
            _ => None,
        })
    }

    fn line<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
        unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
    }

    /// dracut-live spec 7.1. The originals choose between an overlay unit and one for `/dev/mapper/live-rw`, find out
    /// later that they guessed wrong and reload systemd (A20). Here one unit serves every method, so A12, A17 and A18
    /// differ from the originals on purpose: no device, no 3000 s time-out, no drop-in.
    #[test]
    fn a12_to_a21_mount_options() {
        const PLAIN: &str = "lowerdir=/run/rootfsbase,upperdir=/run/overlayfs,workdir=/run/ovlwork";
        const OVER_EARLIER: &str =
            "lowerdir=/run/overlayfs-r:/run/rootfsbase,upperdir=/run/overlayfs,workdir=/run/ovlwork";
        for (case, cmdline, options) in [
            ("A12", "root=live:LABEL=x", PLAIN),
            ("A13", "root=live:LABEL=x rd.overlay", PLAIN),
            ("A14", "root=live:LABEL=x rd.live.overlay.overlayfs=1", PLAIN),
            ("A15", "root=live:LABEL=x rd.overlay rd.overlay.readonly", OVER_EARLIER),
            // The original forgets the older spelling; we accept both.
            ("A16", "root=live:LABEL=x rd.overlay rd.live.overlay.readonly", OVER_EARLIER),
            ("A17a", "root=live:LABEL=x rd.live.overlay=none", PLAIN),
            ("A17b", "root=live:LABEL=x rd.overlay=none", PLAIN),
            ("A18", "root=live:LABEL=x rd.overlay=0", PLAIN),
            // rootflags= are for the block file system; an ext4 flag would make an overlay mount fail.
            ("A19", "root=live:LABEL=x rd.overlay rootflags=noatime", PLAIN),
            ("A21", "root=http://h/x", PLAIN),
            ("A5", "rd.live.image root=LABEL=x", PLAIN),
        ] {
            let unit = text_of_mount(cmdline).unwrap_or_else(|| panic!("{case}: no unit for {cmdline}"));
            assert_eq!(line(&unit, "Options"), [options], "{case}: {cmdline}");
            assert_eq!(line(&unit, "What"), ["LiveOS_rootfs"], "{case}: {cmdline}");
            assert_eq!(line(&unit, "Type"), ["overlay"], "{case}: {cmdline}");
        }
    }

    #[test]
    fn a_root_that_is_not_live_gets_no_units() {
        for cmdline in ["", "root=/dev/sda1", "root=LABEL=x rd.live.image=0", "root=LABEL=x rd.overlay=0"] {
            let (config, _) = interpret_text(cmdline);
            assert_eq!(units(&config), [], "{cmdline:?}");
        }
    }

    /// dracut-live spec 1.5: an ordinary root is mounted by systemd, then covered.
    #[test]
    fn c22_an_ordinary_root_gets_one_link_and_no_mount_unit() {
        for cmdline in ["root=LABEL=x rd.overlay", "rd.overlay=LABEL=P", "root=UUID=x rd.overlay=tmpfs:size=1g"] {
            let (config, _) = interpret_text(cmdline);
            let path = Path::new(REQUIRED).join("rdlive-overlay.service");
            assert_eq!(units(&config), [Unit { path, body: Body::Link(OVERLAY_SERVICE.into()) }], "{cmdline:?}");
        }
    }

    /// A wrong live root must end with the agent's message, so it is claimed too.
    #[test]
    fn a_malformed_live_root_is_claimed() {
        for cmdline in ["root=live:", "rd.live.image", "root=live:/x.squashfs"] {
            assert!(text_of_mount(cmdline).is_some(), "{cmdline:?}");
        }
    }

    /// network-field.md kind 23: of two that have one interface, one takes the other's address away.
    #[test]
    fn k23_networkd_stays_out_where_rdlive_brings_the_network_up() {
        const URL: &str = "root=live:http://h/x.iso";
        let networkd = Some(Provider::Networkd);
        for (line, provider, expected) in [
            (format!("{URL} ip=single-dhcp"), networkd, true),
            (URL.to_owned(), networkd, true),
            ("root=live:AOEINTERFACE=e0.1".to_owned(), networkd, true),
            ("root=live:LABEL=x live.updates=http://h/x.tar".to_owned(), networkd, true),
            (format!("{URL} ip=dhcp"), networkd, false),
            (format!("{URL} rd.neednet=1"), networkd, false),
            // Somebody else may want it for something else.
            ("root=live:LABEL=x".to_owned(), networkd, false),
            ("root=/dev/sda1 ip=single-dhcp".to_owned(), networkd, false),
            (URL.to_owned(), Some(Provider::NetworkManager), false),
            (URL.to_owned(), None, false),
        ] {
            let paths: Vec<PathBuf> =
                alone(&interpret_text(&line).0, provider).into_iter().map(|unit| unit.path).collect();
            let all: Vec<PathBuf> = if expected { NETWORKD.map(PathBuf::from).to_vec() } else { Vec::new() };
            assert_eq!(paths, all, "{line} {provider:?}");
        }
    }

    #[test]
    fn systemd_never_mounts_by_itself_and_waits_for_no_device() {
        let unit = text_of_mount("root=live:LABEL=x").unwrap();
        assert_eq!(line(&unit, "ConditionPathIsMountPoint"), ["!/sysroot"]);
        assert_eq!(line(&unit, "AssertPathIsMountPoint"), ["/sysroot"]);
        assert_eq!(line(&unit, "After"), ["rdlive.service"]);
        // Requires= or Wants= would start or stop the agent together with the mount at switch-root.
        assert_eq!(line(&unit, "Requires"), [""; 0]);
        assert_eq!(line(&unit, "Wants"), [""; 0]);
        assert!(!unit.contains("/dev/"), "{unit}");
    }

    #[test]
    fn files_and_links_are_written_and_replace_what_is_there() {
        let early = tempfile::tempdir().unwrap();
        let (config, _) = interpret_text("root=live:CDLABEL=x");
        fs::create_dir(early.path().join(REQUIRED)).unwrap();
        fs::write(early.path().join("sysroot.mount"), "of another generator").unwrap();
        symlink("/nowhere", early.path().join(REQUIRED).join("sysroot.mount")).unwrap();
        for round in ["first", "second"] {
            write(&units(&config), early.path()).unwrap();
            let unit = fs::read_to_string(early.path().join("sysroot.mount")).unwrap();
            assert!(unit.contains("LiveOS_rootfs"), "{round}: {unit}");
            for (name, target) in [("sysroot.mount", "../sysroot.mount"), ("rdlive.service", SERVICE)] {
                let link = fs::read_link(early.path().join(REQUIRED).join(name)).unwrap();
                assert_eq!(link, Path::new(target), "{round}: {name}");
            }
        }
    }

    #[test]
    fn other_arguments_are_refused() {
        let one = run(&["only".to_owned()]).unwrap_err();
        assert_eq!(one.to_string(), "generator: expected three directories (NORMAL EARLY LATE), got 1");
    }
}

//! The other way to an initramfs: the tree's own dracut, in a view of the tree, with our module added.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rdlive_media::layout;
use rdlive_media::modindex::normalise;

use super::Unwanted;
use super::modprobe_conf::{self, ModprobeConf};
use crate::epoch::{self, Epoch};
use crate::run::run;
use crate::scratch::Scratch;
use crate::tools;
use crate::tree::identity::Edits;
use crate::tree::{resolve, view};

/// Name of our module's directory below dracut's `modules.d`.
const MODULE: &str = "50rdlive";
const MODULES_D: &str = "usr/lib/dracut/modules.d";

/// Modules that compete with ours for the root, or that a live medium never needs.
const OMIT: &str = "dmsquash-live dmsquash-live-autooverlay dmsquash-live-ntfs livenet kiwi-live kiwi-dump kiwi-overlay \
                    kiwi-repart kiwi-lib resume hwdb";

/// What dracut is to make.
#[derive(Debug)]
pub struct Job<'a> {
    /// The input tree; it is not changed.
    pub root: &'a Path,
    /// Kernel release.
    pub kernel: &'a str,
    /// Directory of our dracut module.
    pub module: &'a Path,
    /// The agent's binary.
    pub agent: &'a Path,
    /// What is left out of the tree: dracut does not see the disks of another machine either.
    pub edits: &'a Edits,
    /// Content of `/etc/rdlive.conf`.
    pub conf: &'a str,
    /// What the tree keeps out of an initramfs, and a medium may need.
    pub unwanted: &'a Unwanted,
    /// The build's time.
    pub epoch: Epoch,
}

/// The given module directory, else one beside our own executable, in the source tree, installed, or in the tree.
///
/// # Errors
/// When none exists, or the tree has no dracut.
pub fn find_module(given: Option<&Path>, root: &Path) -> Result<PathBuf> {
    ensure!(
        resolve(root, Path::new("usr/bin/dracut")).is_some(),
        "--mode dracut: {} has no dracut (Debian package dracut, Fedora package dracut); install it into the tree",
        root.display()
    );
    let complete = |dir: &Path| dir.join("module-setup.sh").is_file();
    if let Some(dir) = given {
        ensure!(complete(dir), "--dracut-module {}: no module-setup.sh there", dir.display());
        return Ok(dir.to_owned());
    }
    let own = env::current_exe().context("finding our own executable")?;
    let beside = own.parent().unwrap_or(Path::new("/"));
    let mut places = vec![beside.join(MODULE), beside.join("../../dracut-module").join(MODULE)];
    places.extend([Path::new("/"), root].map(|root| root.join(MODULES_D).join(MODULE)));
    match places.iter().find(|dir| complete(dir)) {
        Some(dir) => Ok(dir.clone()),
        None => bail!(
            "the dracut module {MODULE} is in none of {}; name it with --dracut-module",
            places.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Runs dracut and moves its result to `output`.
///
/// # Errors
/// Without root rights, or when dracut fails.
pub fn make(job: &Job, scratch: &Scratch, output: &Path) -> Result<()> {
    let tree = view::mount(scratch, job.root, "dracut")?;
    view::apply(&tree, job.edits)?;
    prepare(job, &tree)?;
    allow(&tree, &job.unwanted.defied)?;
    for (kind, source, at) in [("proc", "proc", "proc"), ("sysfs", "sysfs", "sys"), ("tmpfs", "tmpfs", "run")] {
        make_dir(&tree.join(at))?;
        scratch.mount(&["-t", kind, source], &tree.join(at))?;
    }
    make_dir(&tree.join("dev"))?;
    scratch.mount(&["--bind", "/dev"], &tree.join("dev"))?;
    call(job, &tree).context("running dracut in the tree")?;
    let made = tree.join("rdlive-initrd");
    ensure!(made.is_file(), "dracut said nothing and made nothing");
    fs::copy(&made, output).with_context(|| format!("copying to {}", output.display()))?;
    scratch.unmount(&scratch.file("dracut"))
}

fn prepare(job: &Job, tree: &Path) -> Result<()> {
    let copy = |from: &Path, to: &Path| {
        fs::copy(from, to).map(drop).with_context(|| format!("copying {} to {}", from.display(), to.display()))
    };
    copy(job.agent, &tree.join("usr/bin/rdlive"))?;
    let conf = tree.join(layout::CONF);
    fs::write(&conf, job.conf).with_context(|| format!("writing {}", conf.display()))?;
    let target = tree.join(MODULES_D).join(MODULE);
    make_dir(&target)?;
    for entry in fs::read_dir(job.module).with_context(|| format!("reading {}", job.module.display()))? {
        let entry = entry?;
        copy(&entry.path(), &target.join(entry.file_name()))?;
    }
    Ok(())
}

/// dracut copies modprobe.d into the initramfs (of /etc, what its configuration has it install), where udev and modprobe obey it: there it
/// does not forbid what the medium may need.
fn allow(tree: &Path, modules: &BTreeSet<String>) -> Result<()> {
    for path in ModprobeConf::files(tree).values() {
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        if let Some(text) = modprobe_conf::allowing(&String::from_utf8_lossy(&bytes), modules) {
            fs::write(path, text).with_context(|| format!("changing {}", path.display()))?;
        }
    }
    Ok(())
}

fn call(job: &Job, tree: &Path) -> Result<()> {
    let mut command = tools::CHROOT.command()?;
    command.arg(tree).args(["/usr/bin/dracut", "--force", "--no-hostonly", "--no-hostonly-cmdline", "--reproducible"]);
    command.args(["--add", "rdlive", "--omit", OMIT, "/rdlive-initrd", job.kernel]);
    if !job.unwanted.omitted.is_empty() {
        command.args(["--add-drivers", &added(&job.unwanted.omitted)]);
    }
    // The builder's own environment must not steer the tree's shell scripts.
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C").env("TMPDIR", "/var/tmp");
    if job.epoch.fixed {
        command.env(epoch::VARIABLE, job.epoch.seconds.to_string());
    }
    run(&mut command).map(drop)
}

/// A word that is added is not omitted, if both are written in the same way. Of each list dracut writes the first dash as an underscore, so
/// each word comes with underscores, and twice as it is.
fn added(omitted: &[String]) -> String {
    let words = omitted.iter().flat_map(|word| [normalise(word), word.clone(), word.clone()]);
    words.collect::<Vec<_>>().join(" ")
}

fn make_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_is_omitted_is_added_in_each_spelling_that_dracut_compares() {
        let added = added(&["overlay".to_owned(), "usb-storage".to_owned()]);
        // As dracut does it before it compares.
        let seen = added.replacen('-', "_", 1);
        for word in ["overlay", "usb-storage", "usb_storage"] {
            assert!(seen.split(' ').any(|seen| seen == word), "{word} is not in {seen}");
        }
    }

    #[test]
    fn what_a_medium_needs_is_not_forbidden_in_what_dracut_sees() {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("etc/modprobe.d");
        fs::create_dir_all(&conf).unwrap();
        fs::write(conf.join("a.conf"), b"# \xe4\nblacklist usb-storage\nblacklist pcspkr\n").unwrap();
        fs::write(conf.join("b.conf"), b"# \xe4\nblacklist pcspkr\n").unwrap();
        allow(dir.path(), &BTreeSet::from(["usb_storage".to_owned()])).unwrap();
        let text = |name: &str| String::from_utf8_lossy(&fs::read(conf.join(name)).unwrap()).into_owned();
        assert_eq!(text("a.conf"), "# \u{fffd}\nblacklist pcspkr\n");
        assert_eq!(fs::read(conf.join("b.conf")).unwrap(), b"# \xe4\nblacklist pcspkr\n");
    }
}

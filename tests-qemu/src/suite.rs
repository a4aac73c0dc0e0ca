//! `cargo lab dracut-suite`: dracut-ng's own tests, with our module under the names that they ask for.
//!
//! The source of dracut 112 is fetched from the Debian mirror, and built in a layer over the tree of Debian 13; its `test/` is run there as
//! it is. Nothing of it is in this repository.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::guest::Tree;
use crate::lab::Lab;
use crate::mode::{self, NAMED, NAMES, SYSTEMD};
use crate::packages::{self, Then};
use crate::{artifact, machine, mirror, runner, tool};

/// The source package as Debian forky has it; 106 of Debian 13 lacks TEST-21 and TEST-31.
const SOURCE: &str = "pool/main/d/dracut/dracut_112.orig.tar.gz";
const SHA256: &str = "839d21eb4bd27bb0ee40d74c9da46df088c2e1425fcd8c3ea62b7e3a3dd28a91";
/// What builds it, and what the tests call. Those that want more of their host say so and are skipped, which counts as a failure.
const PACKAGES: &str = "ca-certificates curl cpio erofs-utils fdisk file gcc libc6-dev libkmod-dev libsystemd-dev make parted pkgconf \
                        python3 qemu-system-x86 squashfs-tools xorriso xz-utils";
/// What stands for the warnings of dracut 112.
const QUIET: &str = "dracut 112 warns of nothing";
/// How long one boot of a test may take, in seconds: more than rd.retry, so that the agent says what it did not find.
const BOOT_LIMIT: &str = "600";

/// One run of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    /// Its directory.
    test: String,
    /// What is particular to this run.
    how: &'static str,
    /// Further arguments of dracut; the tests split them at spaces.
    dracut: String,
    /// Further kargs.
    kargs: &'static str,
}

impl Row {
    fn new(test: &str, how: &'static str) -> Self {
        Self { test: test.to_owned(), how, dracut: String::new(), kargs: "" }
    }

    fn name(&self) -> String {
        format!("{} {}", self.test, self.how).trim_end().to_owned()
    }
}

/// What we do otherwise on purpose: a boot of a test that fails for this reason is no failure of ours. The test ends there.
struct Refused {
    test: &'static str,
    boot: &'static str,
    /// What stands in the log then.
    says: &'static str,
    page: &'static str,
}

const REFUSED: &[Refused] = &[Refused {
    test: "TEST-21-OVERLAYFS",
    boot: "encrypted overlay (new device, random password)",
    says: "holds ext4, which is not encrypted, and is left as it is",
    page: "docs/decisions/0024-encryption.md (nothing is wiped without consent)",
}];

/// Those of every run. TEST-30 names the modules of its initrd, and systemd is none of them.
fn rows() -> Vec<Row> {
    let words = |option: &str, names: &str| {
        names.split_whitespace().map(|name| format!("{option} {name}")).collect::<Vec<_>>().join(" ")
    };
    // The karg by which a person agrees to a new partition; the original makes one unasked (0020).
    let live = |how, dracut| Row { dracut, kargs: "rd.live.autooverlay", ..Row::new("TEST-30-DMSQUASH", how) };
    vec![
        live("without systemd", String::new()),
        Row::new("TEST-21-OVERLAYFS", "with systemd"),
        live("with systemd", words("--add", "systemd-initrd dracut-systemd")),
        Row { dracut: words("--omit", SYSTEMD), ..Row::new("TEST-21-OVERLAYFS", "without systemd") },
    ]
}

/// What the runs of every run are called.
pub fn names() -> Vec<String> {
    let runs = rows().into_iter().map(|row| format!("dracut-suite/{}", row.name()));
    [format!("dracut-suite/{QUIET}")].into_iter().chain(runs).collect()
}

/// How a run ended.
enum Verdict {
    Passed,
    /// It has failed where we do otherwise on purpose.
    Refused(&'static Refused),
    /// The reason.
    Failed(String),
}

/// Runs those whose name has one of these texts; without any, those of every run. The last line counts.
///
/// # Errors
/// The source cannot be fetched or built, or there is no such test.
pub fn run(lab: &Lab, wanted: &[String]) -> Result<ExitCode> {
    let Judged { passed, failed } = judge(lab, wanted)?;
    println!("{}", runner::summary(passed, failed.len(), 0));
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What came of some runs.
#[derive(Debug, Default)]
pub struct Judged {
    /// So many passed.
    pub passed: usize,
    /// Those that failed, with the reason.
    pub failed: Vec<String>,
}

/// As [`run`], without the last line.
///
/// # Errors
/// As [`run`].
pub fn judge(lab: &Lab, wanted: &[String]) -> Result<Judged> {
    let layer = layer(lab)?;
    let queue = Mutex::new(VecDeque::from(chosen(wanted, &layer.join(TESTS))?));
    let logs = artifact::workspace().join("target/lab/dracut-suite");
    fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
    let judged = Mutex::new(Judged::default());
    let count = |failure: Option<String>| {
        let mut judged = judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.passed += usize::from(failure.is_none());
        judged.failed.extend(failure);
    };
    if wanted.is_empty() {
        count(quiet(lab, &layer));
    }
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(4) {
            scope.spawn(|| {
                loop {
                    let Some(row) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else { return };
                    count(told(lab, &layer, &row, &logs));
                }
            });
        }
    });
    Ok(judged.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Says that dracut 112 makes an initrd with our module without a warning, or what it warns of.
fn quiet(lab: &Lab, layer: &Path) -> Option<String> {
    let made = lab.cache.scratch("dracut112").and_then(|scratch| {
        let (version, _) = Tree::Trixie.kernel(lab)?;
        let args: &[&str] = &["--add", "rdlive"];
        let made = mode::dracut(lab, Tree::Trixie, Some(layer), &version, (&[], args), &scratch.join("initrd"));
        let _ = crate::remove::tree(&scratch);
        made
    });
    let failure = made.err().map(|error| format!("{QUIET}: {error:#}"));
    lab.say(&failure.as_ref().map_or(format!("ok   {QUIET}"), |text| format!("FAIL {text}")));
    failure
}

/// Runs one and says how it ended; the failure, if it is one.
fn told(lab: &Lab, layer: &Path, row: &Row, logs: &Path) -> Option<String> {
    let (name, begun) = (row.name(), Instant::now());
    let log = logs.join(format!("{}.log", name.replace(' ', "-")));
    lab.say(&format!("running {name} (log: {})", log.display()));
    let verdict = match one(lab, layer, row, &log) {
        Ok(verdict) => verdict,
        Err(error) => Verdict::Failed(format!("{error:#}")),
    };
    let seconds = begun.elapsed().as_secs();
    match &verdict {
        Verdict::Passed => lab.say(&format!("ok   {name} ({seconds} s)")),
        Verdict::Refused(refused) => {
            let (boot, page) = (refused.boot, refused.page);
            lab.say(&format!("ok   {name} ({seconds} s), but for {boot:?}, which is refused on purpose: {page}"));
        }
        Verdict::Failed(why) => lab.say(&format!("FAIL {name} ({seconds} s): {why}")),
    }
    match verdict {
        Verdict::Failed(why) => Some(format!("dracut's {name}: {why}; log: {}", log.display())),
        Verdict::Passed | Verdict::Refused(_) => None,
    }
}

fn one(lab: &Lab, layer: &Path, row: &Row, log: &Path) -> Result<Verdict> {
    let (version, _) = Tree::Trixie.kernel(lab)?;
    let scratch = lab.cache.scratch("suite")?;
    let dracut = format!("--kver {version} {}", row.dracut);
    let kvm = if machine::has_kvm() { "kvm" } else { "" };
    let (tree, module, names) = (Tree::Trixie.ensure(lab)?, artifact::module_dir(), NAMES.join(" "));
    let args: [&Path; 12] = [
        &tree,
        layer,
        &scratch,
        &lab.built.agent.path,
        &module,
        log,
        names.as_ref(),
        row.test.as_ref(),
        dracut.as_ref(),
        row.kargs.as_ref(),
        kvm.as_ref(),
        BOOT_LIMIT.as_ref(),
    ];
    let ended = tool::shell_with_mounts(&format!("{NAMED}{RUN}"), &args);
    let _ = crate::remove::tree(&scratch);
    let said = fs::read_to_string(log).unwrap_or_default();
    Ok(match ended {
        Ok(_) => Verdict::Passed,
        Err(error) => verdict(&row.test, &said, || format!("{error:#}")),
    })
}

/// What a test says that has not passed.
fn verdict(test: &str, log: &str, otherwise: impl Fn() -> String) -> Verdict {
    let ends = log.lines().filter_map(|line| line.strip_prefix("CLIENT TEST END: "));
    let Some(boot) = ends.filter_map(|end| end.strip_suffix(" [FAILED]")).next_back() else {
        let skipped = log.lines().find(|line| line.contains("Skipping"));
        return Verdict::Failed(skipped.map_or_else(otherwise, str::to_owned));
    };
    let is = |refused: &&Refused| refused.test == test && refused.boot == boot && log.contains(refused.says);
    match REFUSED.iter().find(is) {
        Some(refused) => Verdict::Refused(refused),
        None => Verdict::Failed(format!("the boot {boot:?} fails")),
    }
}

/// Rows by their names, and any other test of the source by the beginning of its.
fn chosen(wanted: &[String], tests: &Path) -> Result<Vec<Row>> {
    let known = rows();
    if wanted.is_empty() {
        return Ok(known);
    }
    let mut chosen: Vec<Row> = Vec::new();
    for text in wanted {
        let found: Vec<Row> = known.iter().filter(|row| row.name().contains(text)).cloned().collect();
        if !found.is_empty() {
            chosen.extend(found);
            continue;
        }
        let names = fs::read_dir(tests).with_context(|| format!("reading {}", tests.display()))?;
        let mut names = names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        match names.find(|name| name.starts_with("TEST-") && name.starts_with(text.as_str())) {
            Some(name) => chosen.push(Row::new(&name, "")),
            None => bail!("no test of dracut is called {text:?}; its tests are in {}", tests.display()),
        }
    }
    Ok(chosen)
}

/// Where the tests are in the layer.
const TESTS: &str = "usr/src/dracut/test";

/// dracut 112 in place of the tree's own, its source, and what its tests call.
fn layer(lab: &Lab) -> Result<PathBuf> {
    let script = packages::script(Some(&BUILD));
    let key = format!("dracut-suite 1 {SHA256} {PACKAGES} {} {script}", Tree::Trixie.identity(lab)?);
    lab.cache.tree("dracut-suite", "dracut 112 and its tests over the tree", &key, |dir| {
        let url = format!("{}/{SOURCE}", mirror::debian(lab.mirror.as_deref())?);
        let made = packages::over_debian_then(lab, dir, PACKAGES, (&BUILD, &[&url, SHA256]));
        made.context("building dracut 112 over Debian's tree")
    })
}

/// dracut of the tree goes: the modules of 112 have other numbers.
const BUILD: Then = Then {
    removes: "/usr/lib/dracut",
    commands: r#"
        mkdir /usr/src/dracut; cd /usr/src/dracut
        curl -sSfL -o /tmp/dracut.tar.gz "$1"; echo "$2  /tmp/dracut.tar.gz" | sha256sum -c
        tar xzf /tmp/dracut.tar.gz --strip-components=1; rm /tmp/dracut.tar.gz
        ./configure --disable-documentation --enable-test; make; make install"#,
    args: &["url", "sum"],
};

// A machine has an id; the tree that media are made of has none. Kernels are named, for the host's may have none of these modules.
const RUN: &str = r#"
    tree=$1 layer=$2 work=$3 agent=$4 module=$5 log=$6 names=$7 test=$8 dracut=$9 kargs=${10} kvm=${11} limit=${12}
    mkdir -p "$work/root" "$work/tmp"
    mount -t tmpfs tmpfs "$work/root"
    mkdir "$work/root/upper" "$work/root/work" "$work/root/merged"
    root=$work/root/merged
    mount -t overlay overlay -o "lowerdir=$layer:$tree,upperdir=$work/root/upper,workdir=$work/root/work" "$root"
    system_dirs "$root"
    if [ -n "$kvm" ]; then mknod -m 666 "$root/dev/kvm" c 10 232; fi
    mount --bind "$work/tmp" "$root/var/tmp"
    echo 0123456789abcdef0123456789abcdef > "$root/etc/machine-id"
    install -m 755 "$agent" "$root/usr/bin/rdlive"
    cp -a "$module" "$root/usr/lib/dracut/modules.d/50rdlive"
    named "$root/usr/lib/dracut/modules.d" $names
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C TERM=dumb V=1 QEMU_TIMEOUT="$limit" \
        testdir=/usr/src/dracut/test TEST_DRACUT_ARGS="$dracut" TEST_KERNEL_CMDLINE="$kargs" \
        sh -c "cd /usr/src/dracut/test/$test && exec ./test.sh --all" < /dev/null > "$log" 2>&1"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_that_we_refuse_is_no_failure_and_any_other_is() {
        let log =
            |boot: &str, says: &str| format!("CLIENT TEST END: first [OK]\n{says}\nCLIENT TEST END: {boot} [FAILED]\n");
        let refused = &REFUSED[0];
        for (test, boot, says, expected) in [
            (refused.test, refused.boot, refused.says, true),
            (refused.test, refused.boot, "something else", false),
            (refused.test, "tmpfs overlay (rd.overlay)", refused.says, false),
            ("TEST-30-DMSQUASH", refused.boot, refused.says, false),
        ] {
            let found = verdict(test, &log(boot, says), String::new);
            assert_eq!(matches!(found, Verdict::Refused(_)), expected, "{test} {boot} {says}");
        }
        let Verdict::Failed(why) = verdict("TEST-30-DMSQUASH", &log("erofs", ""), String::new) else { panic!() };
        assert_eq!(why, "the boot \"erofs\" fails");
        let skipped = "Test needs mksquashfs... Skipping\n";
        let Verdict::Failed(why) = verdict("TEST-30-DMSQUASH", skipped, String::new) else { panic!() };
        assert_eq!(why, skipped.trim());
    }

    #[test]
    fn tests_are_chosen_by_name_and_a_typing_error_is_no_success() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["TEST-10-BASIC", "TEST-30-DMSQUASH", "modules.d"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let names = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|text| (*text).to_owned()).collect();
            chosen(&wanted, dir.path()).map(|rows| rows.iter().map(Row::name).collect::<Vec<_>>()).map_err(drop)
        };
        assert_eq!(names(&[]).unwrap().len(), 4);
        assert_eq!(names(&["TEST-30"]).unwrap(), ["TEST-30-DMSQUASH without systemd", "TEST-30-DMSQUASH with systemd"]);
        assert_eq!(names(&["TEST-10"]).unwrap(), ["TEST-10-BASIC"]);
        assert_eq!([names(&["TEST-99"]), names(&["modules.d"])], [Err(()), Err(())]);
    }
}

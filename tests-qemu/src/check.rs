//! What a scenario expects, as named questions to an outcome.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::outcome::{End, Guest, Lease, Network, Outcome, Pair};
use crate::tool;

type Test = Box<dyn Fn(&Outcome) -> Result<(), String> + Send + Sync>;

/// One expectation.
pub struct Check {
    /// What is expected, for the failure text.
    pub what: String,
    /// A file the guest must read for it.
    pub reads: Option<String>,
    test: Test,
}

impl Check {
    fn new(what: impl Into<String>, test: impl Fn(&Outcome) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { what: what.into(), reads: None, test: Box::new(test) }
    }

    /// Asks the outcome; an error says what was found instead.
    pub fn ask(&self, outcome: &Outcome) -> Result<(), String> {
        (self.test)(outcome)
    }
}

/// As [`Check::new`] for questions about the booted system.
fn guest(what: impl Into<String>, test: impl Fn(&Guest) -> Result<(), String> + Send + Sync + 'static) -> Check {
    Check::new(what, move |outcome| match &outcome.guest {
        Some(guest) => test(guest),
        None => Err(format!("the real init never reported (end: {:?})", outcome.end)),
    })
}

fn ensure(good: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if good { Ok(()) } else { Err(otherwise()) }
}

/// `/` is a writable overlay with the historic source name.
pub fn overlay_root() -> Check {
    guest("/ is a writable overlay named LiveOS_rootfs", |guest| {
        let root = guest.mount("/").ok_or("no mount at /")?;
        ensure(root.fstype == "overlay" && root.source == "LiveOS_rootfs", || format!("/ is {root:?}"))?;
        ensure(guest.root_writable, || "no file can be made in /".into())
    })
}

/// `/` is the writable device-mapper device of dmsquash-live, without an overlay and its links.
pub fn mapped_root() -> Check {
    guest("/ is writable on /dev/mapper/live-rw", |guest| {
        let root = guest.mount("/").ok_or("no mount at /")?;
        ensure(root.fstype != "overlay" && root.source == "/dev/mapper/live-rw", || format!("/ is {root:?}"))?;
        ensure(guest.root_writable, || "no file can be made in /".into())?;
        let base = guest.links.get("/run/rootfsbase");
        ensure(base.is_none_or(Option::is_none), || format!("/run/rootfsbase leads to {base:?}"))
    })
}

/// A path exists.
pub fn exists(path: &'static str) -> Check {
    guest(format!("{path} exists"), move |guest| {
        ensure(guest.links.get(path).is_some_and(Option::is_some), || format!("{:?}", guest.links.get(path)))
    })
}

/// A path, or what it links to, is a mount of this type.
pub fn mounted(path: &'static str, fstype: &'static str) -> Check {
    guest(format!("{path} is {fstype}"), move |guest| {
        let found = guest.mount_behind(path);
        ensure(found.is_some_and(|mount| mount.fstype == fstype), || {
            format!("{path} → {:?} is {found:?}", guest.links.get(path))
        })
    })
}

/// The mount at a path, or behind the link, has this option.
pub fn mount_option(path: &'static str, option: &'static str) -> Check {
    guest(format!("{path} has option {option}"), move |guest| {
        let found = guest.mount_behind(path).ok_or_else(|| format!("{path} is not mounted"))?;
        ensure(found.options.split(',').any(|o| o == option), || format!("options are {}", found.options))
    })
}

/// The mount at a path, or behind the link, is made from this.
pub fn mount_source(path: &'static str, source: &'static str) -> Check {
    guest(format!("{path} is made from {source}"), move |guest| {
        let found = guest.mount_behind(path);
        let source = guest.names.fill(source);
        ensure(found.is_some_and(|mount| mount.source == source), || format!("{found:?}"))
    })
}

/// What is at one of the known paths has these permission bits.
pub fn mode_is(path: &'static str, mode: u32) -> Check {
    guest(format!("{path} has mode {mode:04o}"), move |guest| {
        let found = guest.modes.get(path).copied().flatten();
        ensure(found == Some(mode), || format!("it has {}", found.map_or("none".into(), |mode| format!("{mode:04o}"))))
    })
}

/// Nothing is mounted at a path or where it leads.
pub fn not_mounted(path: &'static str) -> Check {
    guest(format!("{path} is no mount"), move |guest| {
        let found = guest.mount_behind(path);
        ensure(found.is_none(), || format!("{found:?}"))
    })
}

/// A path is a symbolic link whose text starts like this. Without udev in the guest it may dangle.
pub fn link_below(path: &'static str, prefix: &'static str) -> Check {
    guest(format!("{path} is a link to {prefix}…"), move |guest| {
        let found = guest.targets.get(path).and_then(Option::as_deref);
        ensure(found.is_some_and(|to| to.starts_with(prefix)), || format!("its target is {found:?}"))
    })
}

/// A path is, or links to, exactly this one.
pub fn leads_to(path: &'static str, to: &'static str) -> Check {
    guest(format!("{path} leads to {to}"), move |guest| {
        let found = guest.links.get(path).and_then(Option::as_deref);
        ensure(found == Some(&guest.names.fill(to)), || format!("leads to {found:?}"))
    })
}

/// Every path of both histories that a booted system must have.
pub fn both_dialects() -> Check {
    const PATHS: &[&str] = &[
        "/run/initramfs/live",
        "/run/initramfs/livedev",
        "/run/rootfsbase",
        "/run/overlayfs",
        "/run/ovlwork",
        "/run/overlay",
        "/run/overlay/isodev",
        "/run/overlay/live",
        "/run/overlay/rootfsbase",
        "/run/overlay/overlayfs/rw",
        "/run/overlay/overlayfs/work",
    ];
    guest("the paths of both dialects resolve", |guest| {
        let resolves = |path: &str| guest.links.get(path).is_some_and(Option::is_some);
        let missing: Vec<&&str> = PATHS.iter().filter(|path| !resolves(path)).collect();
        ensure(missing.is_empty(), || format!("missing: {missing:?}"))
    })
}

/// A file in the booted system holds this text (trailing newline aside).
pub fn file_is(path: &'static str, text: &'static str) -> Check {
    let mut check = guest(format!("{path} holds {text:?}"), move |guest| {
        let found = guest.files.get(path).and_then(Option::as_deref);
        ensure(found.map(str::trim_end) == Some(text), || format!("holds {found:?}"))
    });
    check.reads = Some(path.to_owned());
    check
}

/// There is nothing at this path in the booted system: no file, no directory, no link.
pub fn file_absent(path: &'static str) -> Check {
    let mut check = guest(format!("there is nothing at {path}"), move |guest| {
        let found = guest.files.get(path);
        ensure(found == Some(&None), || format!("found {found:?}"))
    });
    check.reads = Some(path.to_owned());
    check
}

/// What is at this path in the booted system has this SELinux label.
pub fn label_is(path: &'static str, label: &'static str) -> Check {
    let name = format!("label:{path}");
    let asked = name.clone();
    let mut check = guest(format!("{path} has the label {label}"), move |guest| {
        let found = guest.files.get(&asked).and_then(Option::as_deref);
        ensure(found == Some(label), || format!("it has {found:?}"))
    });
    check.reads = Some(name);
    check
}

/// The report that the booted system finds has this text somewhere, whatever the agent has sent before.
pub fn report_left_says(text: &'static str) -> Check {
    guest(format!("the report in /run says {text:?}"), move |guest| {
        let report = guest.report.as_deref().unwrap_or_default();
        ensure(report.contains(text), || "it does not".into())
    })
}

/// The system on the root image with this marker booted.
pub fn marker(text: &'static str) -> Check {
    file_is("/etc/lab-marker", text)
}

/// No mount point has two mounts (dracut-live C22).
pub fn each_mounted_once() -> Check {
    guest("no mount point is there twice", |guest| {
        let mut points: Vec<&str> = guest.mounts.iter().map(|mount| mount.target.as_str()).collect();
        points.sort_unstable();
        let twice: Vec<_> = points.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        ensure(twice.is_empty(), || format!("twice: {twice:?}"))
    })
}

/// Where changes go, as the report says: `temporary`, `partition`, `file`, `named`.
pub fn persistence(expected: &'static str) -> Check {
    Check::new(format!("persistence is {expected}"), move |outcome| {
        let mode = outcome.report.as_ref().map(|report| &report["write_mode"]);
        let found = mode.and_then(|mode| mode["persistence"].as_str());
        let why = outcome.report.as_ref().map_or(String::new(), |report| report["fallbacks"].to_string());
        ensure(found == Some(expected), || format!("it is {found:?}; {why}"))
    })
}

/// The limit of a tmpfs in KiB, if its options have one.
fn tmpfs_size(options: &str) -> Option<u64> {
    options.split(',').find_map(|option| option.strip_prefix("size=")?.strip_suffix('k')?.parse().ok())
}

/// The size of the tmpfs behind a path, in KiB, lies in a range.
pub fn tmpfs_kib(path: &'static str, low: u64, high: u64) -> Check {
    guest(format!("{path} has {low}–{high} KiB"), move |guest| {
        let found = guest.mount_behind(path).ok_or_else(|| format!("{path} is not mounted"))?;
        let size = tmpfs_size(&found.options);
        ensure(size.is_some_and(|kib| (low..=high).contains(&kib)), || format!("options are {}", found.options))
    })
}

/// The tmpfs behind a path may take half of a machine's RAM of `mib`: no limit shown (the kernel's default), or about that.
pub fn tmpfs_half(path: &'static str, mib: u64) -> Check {
    guest(format!("{path} has half of the RAM"), move |guest| {
        let found = guest.mount_behind(path).ok_or_else(|| format!("{path} is not mounted"))?;
        let size = tmpfs_size(&found.options);
        let range = mib * 1024 * 45 / 100..=mib * 1024 / 2;
        ensure(found.fstype == "tmpfs" && size.is_none_or(|kib| range.contains(&kib)), || format!("{found:?}"))
    })
}

/// The real init got exactly these arguments.
pub fn init_arguments(expected: &'static [&'static str]) -> Check {
    guest(format!("the real init has arguments {expected:?}"), move |guest| {
        ensure(guest.args.iter().skip(1).eq(expected.iter()), || format!("{:?}", guest.args))
    })
}

/// The media are bit for bit as before.
pub fn media_unchanged() -> Check {
    Check::new("no byte of the media changed", |outcome| {
        for pair in &outcome.media {
            let (before, after) = written(pair)?;
            tool::run(Command::new("cmp").args([before, after])).map_err(|error| format!("{error:#}"))?;
        }
        Ok(())
    })
}

/// The ext4 partitions at 1 MiB of the media were unmounted, not cut off.
pub fn media_clean() -> Check {
    Check::new("the media were unmounted cleanly", |outcome| {
        let unclean = outcome.media.iter().find(|pair| !is_clean(&pair.after));
        ensure(unclean.is_none(), || format!("{unclean:?}"))
    })
}

/// A look at a medium from outside after power-off: a bash script (`-euo pipefail`) with `$1`, the medium, and `$2`, what it
/// was before this boot. It passes with status 0; what it says is shown otherwise.
pub fn disk(index: usize, what: &'static str, script: impl Into<String>) -> Check {
    let script = script.into();
    Check::new(format!("medium {index}: {what}"), move |outcome| {
        let pair = outcome.media.get(index).ok_or("there is no such medium")?;
        let (before, after) = written(pair)?;
        tool::shell(&script, &[after, before]).map(drop).map_err(|error| format!("{error:#}"))
    })
}

fn written(pair: &Pair) -> Result<(&Path, &Path), String> {
    ensure(pair.before != pair.after, || "the boot's writes were dropped: the scenario lacks .writable()".into())?;
    Ok((&pair.before, &pair.after))
}

/// Does the superblock of an ext4 at 1 MiB say that it was unmounted? (`s_state`, and no journal to be recovered.)
fn is_clean(disk: &Path) -> bool {
    let mut superblock = [0; 1024];
    let read = File::open(disk).and_then(|file| file.read_exact_at(&mut superblock, (1 << 20) + 1024));
    let magic = superblock[0x38..0x3a] == [0x53, 0xef];
    read.is_ok() && magic && superblock[0x3a] & 1 == 1 && superblock[0x60] & 4 == 0
}

/// The agent stopped with this number, in its report and on the console.
pub fn stops_with(code: &'static str) -> Check {
    Check::new(format!("stops with {code}"), move |outcome| {
        ensure(outcome.guest.is_none(), || "the system booted".into())?;
        let stop = outcome.report.as_ref().map(|report| &report["stop"]);
        ensure(stop.is_some_and(|stop| stop["code"] == code), || format!("reported {stop:?}"))?;
        ensure(outcome.console.contains(code), || "the console does not show the number".into())
    })
}

/// `rdlive explain --facts` on the host tells from the report of this boot what the boot itself has logged, step for step.
pub fn explained() -> Check {
    Check::new("explain --facts tells what the boot has logged", |outcome| {
        let report = outcome.guest.as_ref().and_then(|guest| guest.report.as_deref()).ok_or("there is no report")?;
        let told = explain(&outcome.agent, &outcome.cmdline, report).map_err(|error| format!("{error:#}"))?;
        let (told, logged) = (told_steps(&told), logged_steps(&outcome.console));
        ensure(logged.len() > 5, || format!("the boot has logged {logged:?}"))?;
        let differ = told.iter().zip(&logged).position(|(told, logged)| told != logged);
        let differ = differ.or_else(|| (told.len() != logged.len()).then(|| told.len().min(logged.len())));
        differ.map_or(Ok(()), |at| Err(format!("step {at}: told {:?}, logged {:?}", told.get(at), logged.get(at))))
    })
}

fn explain(agent: &Path, cmdline: &str, report: &str) -> anyhow::Result<String> {
    let mut command = Command::new(agent);
    command.args(["explain", "--facts", "/dev/stdin", "--cmdline", cmdline]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    // It reads all of its input before it writes.
    child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(report.as_bytes()))?;
    Ok(String::from_utf8(child.wait_with_output()?.stdout)?)
}

const STAGES: [&str; 3] = ["prepare", "acquire", "assemble"];

/// Steps as `explain` prints them: the stage in the first ten columns.
fn told_steps(text: &str) -> Vec<String> {
    let step = |line: &str| {
        let stage = STAGES.into_iter().find(|stage| line.starts_with(&format!("{stage:<10}")))?;
        Some(format!("{stage}: {}", line.get(10..)?))
    };
    text.lines().filter_map(step).collect()
}

/// Steps as the boot logs them, without the time that each took.
fn logged_steps(console: &str) -> Vec<String> {
    let step = |line: &str| {
        let (_, said) = line.split_once("rdlive: ")?;
        let stage = said.split(": ").next().filter(|stage| STAGES.contains(stage))?;
        let said = said.trim_end();
        // A step that failed has no time.
        let end = said.rfind(" [").filter(|_| said.ends_with(" ms]")).unwrap_or(said.len());
        let step = said.get(stage.len() + 2..end)?;
        Some(format!("{stage}: {step}"))
    };
    console.lines().filter_map(step).collect()
}

/// The report has this text somewhere (a warning, a fallback, a name).
pub fn report_says(text: &'static str) -> Check {
    Check::new(format!("the report says {text:?}"), move |outcome| {
        let report = outcome.report.as_ref().map(ToString::to_string).unwrap_or_default();
        ensure(report.contains(&outcome.names.fill(text)), || "it does not (see report.json)".into())
    })
}

/// The root was there this many seconds after the kernel's start.
pub fn root_within(seconds: f64) -> Check {
    Check::new(format!("the root is there after {seconds} s"), move |outcome| {
        let report = outcome.report.as_ref().ok_or("no report")?;
        let moments = report["timeline"].as_array().into_iter().flatten();
        let root = moments
            .filter(|moment| moment["event"] == "root")
            .filter_map(|moment| moment["at_ms"].as_f64())
            .next_back();
        let root = root.ok_or("there is no root")? / 1e3;
        ensure(root <= seconds, || format!("it took {root:.1} s"))
    })
}

/// The real init was there this many seconds after the kernel's start: nothing was waited for behind the root either.
pub fn init_within(seconds: f64) -> Check {
    guest(format!("the real init runs after {seconds} s"), move |guest| {
        let found = guest.uptime;
        ensure(found.is_some_and(|found| found <= seconds), || format!("it did after {found:?}"))
    })
}

/// So many seconds at most are added to the boot before, until the agent begins and from there to the real init. How much slower the host
/// is this time shows in the first part: what is no wait takes as much longer in the second.
pub fn adds(seconds: f64) -> Check {
    Check::new(format!("{seconds} s at most are added to the boot before"), move |outcome| {
        let (before, now) = outcome.before.zip(outcome.times()).ok_or("the real init did not run in both boots")?;
        let slower = (now.to_agent / before.to_agent).max(1.0);
        let added = [now.to_agent - before.to_agent, now.to_init - before.to_init * slower];
        ensure(added.iter().all(|added| *added <= seconds), || format!("{added:.1?}: {now:.1?}, before {before:.1?}"))
    })
}

/// The report does not have this text.
pub fn report_lacks(text: &'static str) -> Check {
    Check::new(format!("the report does not say {text:?}"), move |outcome| {
        let report = outcome.report.as_ref().map(ToString::to_string);
        ensure(report.is_some_and(|report| !report.contains(&outcome.names.fill(text))), || {
            "it does, or there is none (see report.json)".into()
        })
    })
}

/// The copy in RAM takes more than all of `/run` could.
pub fn copy_exceeds_run() -> Check {
    Check::new("the copy in RAM is larger than /run", |outcome| {
        let copied = outcome.report.as_ref().and_then(|report| report["ram"]["data"].as_u64());
        let run = outcome.guest.as_ref().and_then(|guest| tmpfs_size(&guest.mount("/run")?.options));
        ensure(copied.zip(run).is_some_and(|(data, kib)| data > kib * 1024), || {
            format!("it takes {copied:?} bytes, /run has {run:?} KiB")
        })
    })
}

/// The report has a fallback that begins like this, and it has a number, a cause and a remedy: `RDL-NNN: cause; remedy`.
pub fn says_what_to_do(about: &'static str) -> Check {
    Check::new(format!("the report says why, and what to do: {about:?}"), move |outcome| {
        let fallbacks = outcome.report.as_ref().map(|report| report["fallbacks"].clone());
        let list = fallbacks.as_ref().and_then(|list| list.as_array()).cloned().unwrap_or_default();
        let complete = list.iter().filter_map(|text| text.as_str()?.strip_prefix(about)).any(is_complete);
        ensure(complete, || format!("{list:?}"))
    })
}

/// Is it `: RDL-NNN: cause; remedy`?
fn is_complete(text: &str) -> bool {
    let number = text.strip_prefix(": RDL-").and_then(|text| text.split_once(": "));
    number.is_some_and(|(number, rest)| {
        let parts = rest.rsplit_once("; ").map(|(cause, remedy)| (cause.trim(), remedy.trim()));
        number.parse::<u16>().is_ok() && parts.is_some_and(|(cause, remedy)| !cause.is_empty() && !remedy.is_empty())
    })
}

/// Nothing had to be given up.
pub fn no_fallbacks() -> Check {
    Check::new("the report has no fallbacks", |outcome| {
        let fallbacks = outcome.report.as_ref().map(|report| &report["fallbacks"]);
        let none = fallbacks.is_some_and(|list| list.as_array().is_none_or(Vec::is_empty));
        ensure(none, || format!("{fallbacks:?}"))
    })
}

/// The console showed this text.
pub fn console_says(text: &'static str) -> Check {
    Check::new(format!("the console says {text:?}"), move |outcome| {
        ensure(outcome.console.contains(&outcome.names.fill(text)), || "it does not".into())
    })
}

/// The console showed this text, and not a second time.
pub fn console_says_once(text: &'static str) -> Check {
    Check::new(format!("the console says {text:?} once"), move |outcome| {
        let times = outcome.console.matches(&outcome.names.fill(text)).count();
        ensure(times == 1, || format!("{times} times"))
    })
}

/// The console never showed this text.
pub fn console_lacks(text: &'static str) -> Check {
    Check::new(format!("the console does not say {text:?}"), move |outcome| {
        ensure(!outcome.console.contains(&outcome.names.fill(text)), || "it does".into())
    })
}

/// What the booted system says about its network.
fn network(what: impl Into<String>, test: impl Fn(&Network) -> Result<(), String> + Send + Sync + 'static) -> Check {
    guest(what, move |guest| match &guest.network {
        Some(network) => test(network),
        None => Err("it was not asked to use its network".into()),
    })
}

/// The booted system has fetched a file that is served under this path, to its last byte, and everything else worked too.
pub fn fetched(path: &'static str) -> Check {
    Check::new(format!("{path} was fetched, bit for bit"), move |outcome| {
        let network = outcome.guest.as_ref().and_then(|guest| guest.network.as_ref()).ok_or("nothing was fetched")?;
        ensure(network.errors.is_empty(), || network.errors.join("; "))?;
        let fetched = network.fetched.as_ref().ok_or("no file was fetched")?;
        ensure(fetched.url.ends_with(path), || format!("it fetched {}", fetched.url))?;
        let (_, file) = outcome.served.iter().find(|(served, _)| served == path).ok_or("no such file is served")?;
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        ensure(fetched.bytes == length, || format!("{} bytes of {length}", fetched.bytes))?;
        let sum = tool::run(Command::new("sha256sum").arg(file)).map_err(|error| format!("{error:#}"))?;
        ensure(sum.starts_with(&fetched.sha256) && fetched.sha256.len() == 64, || format!("{fetched:?}, not {sum}"))
    })
}

/// To fetch it took at least so long. How much longer is a matter of the host.
pub fn fetching_took(seconds: f64) -> Check {
    network(format!("fetching takes {seconds} s or more"), move |network| {
        let found = network.fetched.as_ref().map(|fetched| fetched.seconds);
        ensure(found.is_some_and(|found| found >= seconds), || format!("{found:?}"))
    })
}

/// The leases took at least so long.
pub fn leases_took(seconds: f64) -> Check {
    network(format!("leases take {seconds} s or more"), move |network| {
        let found: f64 = network.cards.iter().map(|card| card.seconds).sum();
        ensure(found >= seconds, || format!("{found}"))
    })
}

/// The DHCP server was asked once for an offer, and once for its address.
pub fn asked_once() -> Check {
    Check::new("one DISCOVER and one REQUEST", |outcome| {
        let count = |what: &str| outcome.dhcp.lines().filter(|line| line.contains(&format!("{what}("))).count();
        let found = (count("DHCPDISCOVER"), count("DHCPREQUEST"));
        ensure(found == (1, 1), || format!("{found:?} in {:?}", outcome.dhcp))
    })
}

/// The dolly server ended with these words.
pub fn dolly_says(text: &'static str) -> Check {
    Check::new(format!("the dolly server says {text:?}"), move |outcome| {
        ensure(outcome.dolly.contains(text), || format!("it says {:?}", outcome.dolly))
    })
}

/// The cards have these addresses in hardware and from DHCP, in this order; the server is their router.
pub fn leases(expected: &'static [(&'static str, &'static str)]) -> Check {
    network(format!("the leases are {expected:?}"), move |network| {
        let address = |card: &Lease| Some((card.mac.clone(), card.address.clone()?, card.router.clone()?));
        let found: Vec<_> = network.cards.iter().filter_map(address).collect();
        let server = |address: &str| address.rsplit_once('.').map_or(String::new(), |(net, _)| format!("{net}.1"));
        let wanted = expected.iter().map(|(mac, address)| ((*mac).into(), (*address).into(), server(address)));
        ensure(found.iter().cloned().eq(wanted), || format!("{network:?}"))
    })
}

/// No card got an address, and each says so.
pub fn no_lease() -> Check {
    network("no card has a lease", |network| {
        let none = network.cards.iter().all(|card| {
            let said = network.errors.iter().any(|error| error.starts_with(&format!("{}: no lease", card.name)));
            card.address.is_none() && said
        });
        ensure(none && !network.cards.is_empty(), || format!("{network:?}"))
    })
}

/// The machine ended this way.
pub fn ends(end: End) -> Check {
    Check::new(format!("ends: {end:?}"), move |outcome| {
        ensure(outcome.end == end, || format!("ended: {:?}", outcome.end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_alike_from_what_is_told_and_what_was_logged() {
        let told = "assuming nothing\nsays      medium: acquire   x\nprepare   tmpfs 50% at /run/overlay\n\
                    acquire   mount medium iso9660 (ro) [noload] at /run/x failed: RDL-012: EIO\nassemble  link /a to /b\n";
        let console = "[    1.0] rdlive: medium: /dev/sda1, matches\r\n[    1.1] rdlive: prepare: tmpfs 50% at /run/overlay [0.1 ms]\r\n\
                       rdlive: acquire: mount medium iso9660 (ro) [noload] at /run/x failed: RDL-012: EIO\r\nnoise\n\
                       rdlive: assemble: link /a to /b [12.0 ms]\n";
        let expected = [
            "prepare: tmpfs 50% at /run/overlay",
            "acquire: mount medium iso9660 (ro) [noload] at /run/x failed: RDL-012: EIO",
            "assemble: link /a to /b",
        ];
        assert_eq!(told_steps(told), expected);
        assert_eq!(logged_steps(console), expected);
    }

    #[test]
    fn a_fallback_has_a_number_a_cause_and_a_remedy() {
        for (text, good) in [
            (": RDL-050: /dev/sda refuses writes; switch it off", true),
            (": RDL-050: /dev/sda refuses writes", false),
            (": /dev/sda refuses writes; switch it off", false),
            (": RDL-050: /dev/sda refuses writes; ", false),
            ("", false),
        ] {
            assert_eq!(is_complete(text), good, "{text}");
        }
    }
}

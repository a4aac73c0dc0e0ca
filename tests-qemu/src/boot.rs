//! A boot as a scenario writes it down, and how it is carried out.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::check::Check;
use crate::lab::Lab;
use crate::machine::{self, Bus, Clock, Drive, Hardware, Machine, Need, Off, Running, Silent, Start, Trouble};
use crate::medium::Recipe;
use crate::mode::Mode;
use crate::net::{self, Net, Serve, Wire};
use crate::outcome::{self, End, Outcome, Pair};
use crate::powercut::volume;
use crate::tool;

/// What starts the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// None: QEMU loads kernel and initrd of the mode. Quickest, and the command line is ours.
    Direct,
    /// SeaBIOS starts the first medium; kernel, initrd and command line come from it.
    SeaBios,
    /// OVMF starts the first medium.
    Ovmf,
}

/// One medium of a boot.
#[derive(Clone, Debug)]
struct Medium {
    recipe: Recipe,
    bus: Bus,
    late: Option<Duration>,
    locked: bool,
    trouble: Trouble,
    /// A script that prints sectors of the medium that cannot be read.
    unreadable: Option<String>,
    /// It is what a LUKS volume holds.
    sealed: bool,
}

impl Medium {
    fn new(recipe: Recipe, bus: Bus) -> Self {
        Self { recipe, bus, late: None, locked: false, trouble: Trouble::default(), unreadable: None, sealed: false }
    }
}

impl Medium {
    /// What is plugged in; a volume is made in `dir`.
    fn file(&self, lab: &Lab, dir: &Path, index: usize) -> Result<PathBuf> {
        let made = self.recipe.file(lab)?;
        if !self.sealed {
            return Ok(made);
        }
        let volume = dir.join(format!("medium{index}.sealed"));
        volume::encrypt(&made, &volume)?;
        Ok(volume)
    }

    fn unreadable_in(&self, medium: &Path) -> Result<Vec<u64>> {
        let Some(script) = &self.unreadable else { return Ok(Vec::new()) };
        let said = tool::shell(script, &[medium])?;
        let sectors: Vec<u64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        ensure!(!sectors.is_empty(), "the script names no sector that cannot be read");
        Ok(sectors)
    }
}

/// Something a person would do at the console.
#[derive(Clone, Debug)]
enum Act {
    /// When the console shows the first text, type the second.
    Type(&'static str, String),
    /// When the console shows this text, plug in the media that wait for it.
    Plug(&'static str),
    /// When the console shows this text, pull out the first medium.
    Unplug(&'static str),
    /// When the console shows this text, press the button of the first drive.
    Eject(&'static str),
}

/// One boot.
pub struct Boot {
    media: Vec<Medium>,
    mode: Mode,
    firmware: Firmware,
    kargs: String,
    root: String,
    memory: u32,
    clock: Clock,
    deadline: Duration,
    keep_writes: bool,
    plain: bool,
    stop_at_failure: bool,
    acts: Vec<Act>,
    needs: Vec<Need>,
    edit: Option<String>,
    initrd: Option<String>,
    net: Option<Net>,
    /// What must be true afterwards.
    pub checks: Vec<Check>,
    /// The next power-on with the same media.
    pub next: Option<Box<Boot>>,
}

impl Boot {
    /// Boots from this medium: as any disk, native, directly, from a label `ISO`.
    pub fn from(recipe: Recipe) -> Self {
        Self {
            media: vec![Medium::new(recipe, Bus::Disk)],
            mode: Mode::Native,
            firmware: Firmware::Direct,
            kargs: String::new(),
            root: "root=live:CDLABEL=ISO rd.live.image rd.overlay".into(),
            memory: 1024,
            clock: Clock::Host { cpus: 1 },
            deadline: Duration::from_secs(240),
            keep_writes: false,
            plain: false,
            stop_at_failure: true,
            acts: Vec::new(),
            needs: Vec::new(),
            edit: None,
            initrd: None,
            net: None,
            checks: Vec::new(),
            next: None,
        }
    }

    /// A machine without any medium.
    pub fn nothing() -> Self {
        let mut boot = Self::from(Recipe::Text(""));
        boot.media.clear();
        boot
    }

    /// Attaches the medium named last to this bus.
    pub fn on(mut self, bus: Bus) -> Self {
        if let Some(medium) = self.media.last_mut() {
            medium.bus = bus;
        }
        self
    }

    /// Plugs in the medium named last only this many seconds after power-on.
    pub fn after(mut self, seconds: u64) -> Self {
        if let Some(medium) = self.media.last_mut() {
            medium.late = Some(Duration::from_secs(seconds));
        }
        self
    }

    /// The write protection of the medium named last is on.
    pub fn locked(mut self) -> Self {
        if let Some(medium) = self.media.last_mut() {
            medium.locked = true;
        }
        self
    }

    /// The medium named last answers no more when this many bytes were read of it.
    pub fn silent(self, bytes: u64) -> Self {
        self.trouble(|trouble| trouble.silent = Some(Silent::Read(bytes)))
    }

    /// The medium named last answers no more when this many bytes were written to it.
    pub fn silent_when_written(self, bytes: u64) -> Self {
        self.trouble(|trouble| trouble.silent = Some(Silent::Written(bytes)))
    }

    /// What the silent medium named last was asked it answers after all, this many seconds after power-on.
    pub fn answers_after(self, seconds: u64) -> Self {
        self.trouble(|trouble| trouble.answers = Some(Duration::from_secs(seconds)))
    }

    /// Of the medium named last, which is `$1`, the sectors of 512 bytes cannot be read whose numbers the script prints.
    pub fn unreadable(mut self, script: &str) -> Self {
        if let Some(medium) = self.media.last_mut() {
            medium.unreadable = Some(script.to_owned());
        }
        self
    }

    /// Of the medium named last this sector of 512 bytes cannot be written.
    pub fn unwritable(self, sector: u64) -> Self {
        self.trouble(|trouble| trouble.unwritable = Some(sector))
    }

    /// The medium named last is a LUKS volume that the lab's key opens, and its recipe is what that holds.
    pub fn sealed(mut self) -> Self {
        if let Some(medium) = self.media.last_mut() {
            medium.sealed = true;
        }
        self
    }

    fn trouble(mut self, change: impl FnOnce(&mut Trouble)) -> Self {
        if let Some(medium) = self.media.last_mut() {
            change(&mut medium.trouble);
        }
        self
    }

    /// The medium named last takes no more than this many bytes per second.
    pub fn slow(self, bytes: u64) -> Self {
        self.trouble(|trouble| trouble.slow = Some(bytes))
    }

    /// One more medium.
    pub fn and(mut self, recipe: Recipe, bus: Bus) -> Self {
        self.media.push(Medium::new(recipe, bus));
        self
    }

    /// Is it, or a later one, an initrd made by dracut?
    pub fn is_dracut(&self) -> bool {
        self.mode.is_dracut() || self.next.as_ref().is_some_and(|next| next.is_dracut())
    }

    /// Which initrd.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Through firmware and boot loader instead of directly.
    pub fn firmware(mut self, firmware: Firmware) -> Self {
        self.firmware = firmware;
        self
    }

    /// Only a machine that has this will do; for what the lab cannot see by itself, with the reason in a comment.
    pub fn needs(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    /// What this boot and those after it need of a machine.
    pub fn all_needs(&self) -> Vec<Need> {
        let mut needs = self.needs.clone();
        for medium in &self.media {
            needs.extend((!medium.bus.is_any()).then_some(Need::Bus(medium.bus)));
            needs.extend(medium.trouble.slow.map(|_| Need::Slow));
            needs.extend(medium.trouble.silent.map(|_| Need::Silent));
            needs.extend(medium.unreadable.as_ref().map(|_| Need::Unreadable));
            needs.extend(medium.trouble.unwritable.map(|_| Need::Unreadable));
            needs.extend(medium.recipe.driver().map(Need::FileSystem));
        }
        if self.firmware != Firmware::Direct {
            needs.push(Need::Firmware);
        } else if !self.mode.is_light() {
            needs.push(Need::Initrd);
        }
        if self.clock != (Clock::Host { cpus: 1 }) {
            needs.push(Need::Clock);
        }
        if self.kargs.split_whitespace().any(|word| word == "--") {
            needs.push(Need::InitArguments);
        }
        needs.extend(self.acts.iter().filter_map(|act| match act {
            Act::Unplug(_) => Some(Need::Unplug),
            Act::Eject(_) => Some(Need::Eject),
            Act::Type(..) | Act::Plug(_) => None,
        }));
        needs.extend(self.net.as_ref().and_then(Net::wants).map(Need::Nic));
        needs.extend(self.next.iter().flat_map(|next| next.all_needs()));
        needs
    }

    /// Replaces the whole `root=…` part of the command line.
    pub fn root(mut self, root: &str) -> Self {
        root.clone_into(&mut self.root);
        self
    }

    /// Adds to the command line.
    pub fn kargs(mut self, kargs: &str) -> Self {
        self.kargs.push(' ');
        self.kargs.push_str(kargs);
        self
    }

    /// After its report the booted system writes the line `kept` into these files (`/a,/b`), and all to disk.
    pub fn writes(self, files: &str) -> Self {
        self.kargs(&format!("lab.keep={files}"))
    }

    /// MiB of RAM, 1024 unless said.
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory = mib;
        self
    }

    /// How guest time passes.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Without the lab's kargs for the report: nothing but the boot itself is timed.
    pub fn plain(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Host seconds after which the boot counts as hung.
    pub fn deadline(mut self, seconds: u64) -> Self {
        self.deadline = Duration::from_secs(seconds);
        self
    }

    /// Boots copies of the media that can be written, and compares them afterwards.
    pub fn writable(mut self) -> Self {
        self.keep_writes = true;
        self
    }

    /// Runs a script in a directory that lies over the initrd of this boot. The `usr/lib/rdlive/modules.index` of one that is stored as it
    /// is lies there already: any native one in user-mode Linux, in QEMU all but those of [`Mode::Native`] and [`Mode::Native12`].
    pub fn over_initrd(mut self, script: &str) -> Self {
        self.initrd = Some(script.to_owned());
        self
    }

    /// Goes on after the agent has reported a failure: the scenario is about what follows.
    pub fn keep_after_failure(mut self) -> Self {
        self.stop_at_failure = false;
        self
    }

    /// When the console shows `text`, types `answer`.
    pub fn on_text(mut self, text: &'static str, answer: &str) -> Self {
        self.acts.push(Act::Type(text, answer.to_owned()));
        self
    }

    /// When the console shows `text`, plugs in the medium named last.
    pub fn plugged_in_on_text(mut self, text: &'static str) -> Self {
        if let Some(medium) = self.media.last_mut() {
            medium.late = Some(Duration::MAX);
        }
        self.acts.push(Act::Plug(text));
        self
    }

    /// When the console shows `text`, pulls out the first medium.
    pub fn unplugged_on_text(mut self, text: &'static str) -> Self {
        self.acts.push(Act::Unplug(text));
        self
    }

    /// When the console shows `text`, presses the button of the first drive, a CD drive: it must not be locked.
    pub fn ejected_on_text(mut self, text: &'static str) -> Self {
        self.acts.push(Act::Eject(text));
        self
    }

    /// The same machine and command line, without what is typed and what is expected.
    pub fn again(&self) -> Self {
        Self {
            media: self.media.clone(),
            kargs: self.kargs.clone(),
            root: self.root.clone(),
            acts: Vec::new(),
            needs: self.needs.clone(),
            edit: None,
            initrd: self.initrd.clone(),
            net: self.net.clone(),
            checks: Vec::new(),
            next: None,
            ..*self
        }
    }

    /// Powers on again when this boot has ended, with the media as it left them. Both write to copies. The second may put
    /// them on other buses; what it names beyond the first boot's media is new, and what it does not name is not plugged in.
    pub fn then(mut self, next: Self) -> Self {
        self.keep_writes = true;
        match self.next.take() {
            Some(later) => self.next = Some(Box::new(later.then(next))),
            None => self.next = Some(Box::new(next.writable())),
        }
        self
    }

    /// Between the boot before and this one the script changes the first medium, which is `$1`.
    pub fn edited(mut self, script: &str) -> Self {
        self.edit = Some(script.to_owned());
        self
    }

    /// Connects it to a network of its own.
    pub fn net(mut self, net: Net) -> Self {
        self.net = Some(net);
        if self.mode == Mode::Native {
            self.mode = Mode::NativeNet;
        }
        self
    }

    /// One more server in its network.
    pub fn served(mut self, server: Serve) -> Self {
        self.net = self.net.take().map(|net| net.serve(server));
        self
    }

    /// The booted system configures its cards by DHCP.
    pub fn configures(self) -> Self {
        self.kargs("lab.net")
    }

    /// As [`Boot::configures`]; then it fetches this file from the HTTP server.
    pub fn fetches(self, path: &str) -> Self {
        self.kargs(&format!("lab.net=http://{}{path}", net::SERVER))
    }

    /// What must be true afterwards.
    pub fn expect(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// Makes media and initrds of this boot and those after it.
    pub fn prepare(&self, lab: &Lab, machine: Machine) -> Result<()> {
        for medium in &self.media {
            medium.recipe.file(lab)?;
        }
        if self.firmware == Firmware::Direct {
            self.mode.start(lab, machine, String::new())?;
        }
        self.next.as_ref().map_or(Ok(()), |next| next.prepare(lab, machine))
    }

    /// Carries it out; logs stay in `dir`. Boots after the first get the outcome of the one before.
    pub fn run(&self, lab: &Lab, machine: Machine, dir: &Path, before: Option<&Outcome>) -> Result<Outcome> {
        fs::create_dir_all(dir)?;
        let media = self.media.iter().enumerate();
        let left = |index: usize| before.and_then(|outcome| outcome.media.get(index));
        if let (Some(script), Some(left)) = (&self.edit, left(0)) {
            tool::shell(script, &[&left.after])?;
        }
        let media: Vec<Pair> = media
            .map(|(index, medium)| match left(index) {
                Some(left) => Pair::left(&left.after, dir, index),
                None => Pair::fresh(medium.file(lab, dir, index)?, dir, index, self.keep_writes),
            })
            .collect::<Result<_>>()?;
        let drives = self.drives(&media)?;
        let names = machine::names(machine, &drives);
        let start = match self.firmware {
            Firmware::SeaBios => Start::SeaBios,
            Firmware::Ovmf => Start::Ovmf,
            Firmware::Direct => {
                let start = self.mode.start(lab, machine, names.fill(&self.cmdline()))?;
                match &self.initrd {
                    Some(script) => start.with_initrd(|initrd| laid_over(initrd, script, dir))?,
                    None => start,
                }
            }
        };
        let mut wire = self.net.as_ref().map(|net| Wire::lay(net, lab, machine, dir)).transpose()?;
        let net = wire.as_ref().map(Wire::plug);
        let hardware = Hardware { start, drives, memory: self.memory, clock: self.clock, net };
        let mut running = hardware.power_on(machine, dir)?;
        let end = self.watch(&mut running, &names)?;
        let took = running.age();
        running.kill();
        let mut guest = outcome::guest_result(running.result());
        if let Some(guest) = &mut guest {
            guest.names = names.clone();
        }
        let report = outcome::report_of(running.result(), guest.as_ref());
        let (console, spent) = (running.console().to_owned(), running.spent());
        let traffic = wire.as_ref().and_then(Wire::traffic);
        let dhcp = wire.as_ref().map_or_else(String::new, Wire::dhcp);
        let dolly = wire.as_mut().map_or_else(String::new, Wire::dolly);
        let served = wire.map_or(Vec::new(), |wire| wire.served().to_vec());
        let (agent, cmdline) = (lab.built.agent.path.clone(), names.fill(&self.cmdline()));
        let before = before.and_then(Outcome::times);
        Ok(Outcome {
            end,
            took,
            spent,
            before,
            names,
            console,
            guest,
            report,
            media,
            served,
            dhcp,
            dolly,
            traffic,
            agent,
            cmdline,
        })
    }

    fn drives(&self, media: &[Pair]) -> Result<Vec<Drive>> {
        let drives = self.media.iter().zip(media).map(|(medium, pair)| {
            Ok(Drive {
                file: pair.after.clone(),
                bus: medium.bus,
                late: medium.late,
                keep_writes: self.keep_writes,
                log: None,
                locked: medium.locked,
                trouble: Trouble { unreadable: medium.unreadable_in(&pair.after)?, ..medium.trouble.clone() },
            })
        });
        drives.collect()
    }

    /// The whole command line of a direct boot.
    fn cmdline(&self) -> String {
        // The kernel's test of the timer counts on a processor that is never kept waiting by the host.
        let mut line = format!("{} console=ttyS0 panic=-1 no_timer_check lab.report", self.root);
        if !self.plain {
            line.push_str(" rd.live.report=/dev/ttyS1");
        }
        let reads: Vec<&str> = self.checks.iter().filter_map(|check| check.reads.as_deref()).collect();
        if !reads.is_empty() {
            line.push_str(&format!(" lab.read={}", reads.join(",")));
        }
        line + &self.kargs
    }

    fn watch(&self, running: &mut Running, names: &machine::Names) -> Result<End> {
        let mut acts = self.acts.iter();
        let mut next = acts.next();
        let mut seen = 0;
        loop {
            match running.ended()? {
                Some(Off::Switched) => return Ok(End::Off),
                Some(Off::Crashed) => return Ok(End::Crash),
                None => {}
            }
            // A kernel waits for ever to switch off a disk that does not answer.
            if self.media.iter().any(|medium| medium.trouble.is_for_good())
                && outcome::guest_result(running.result()).is_some()
            {
                return Ok(End::Off);
            }
            if running.age() > self.deadline {
                return Ok(End::Deadline);
            }
            running.tick()?;
            if let Some(act) = next {
                let (Act::Type(text, _) | Act::Plug(text) | Act::Unplug(text) | Act::Eject(text)) = act;
                let text = names.fill(text);
                if let Some(at) = running.console().get(seen..).and_then(|new| new.find(&text)) {
                    seen += at + text.len();
                    match act {
                        Act::Plug(_) => running.plug_in_all()?,
                        Act::Unplug(_) => running.pull_out(0)?,
                        Act::Eject(_) => running.eject(0)?,
                        Act::Type(_, answer) => running.type_text(&names.fill(answer))?,
                    }
                    next = acts.next();
                }
            } else if let (true, Some(code)) = (self.stop_at_failure, failure(running)) {
                // Nothing but a prompt or a shell follows.
                last_words(running, &code)?;
                return Ok(End::Failure);
            }
            running.pause();
        }
    }
}

/// An initrd with one more archive behind it, of what a script makes.
fn laid_over(initrd: &Path, script: &str, dir: &Path) -> Result<PathBuf> {
    const LAID: &str = r#"
        initrd=$1 out=$2 dir=$3; shift 3
        mkdir -p "$dir"; cd "$dir"
        # What follows the first archive is none of its decompressor's business.
        case $(head -c 4 "$initrd" | od -An -tx1 | tr -d ' ') in
            28b52ffd) zstd -dcq "$initrd" || true;;
            1f8b*) gzip -dcq "$initrd" || true;;
            *) cat "$initrd";;
        esac | (cpio -i -d --quiet usr/lib/rdlive/modules.index 2>/dev/null || true; cat > /dev/null)
        # Another archive begins at a multiple of four bytes.
        cp "$initrd" "$out"; truncate -s %4 "$out"
    "#;
    let (out, over) = (dir.join("initrd"), dir.join("over"));
    let archive = "find . -mindepth 1 -print0 | cpio -0 -o -H newc --quiet >> \"$out\"";
    tool::shell(&format!("{LAID}{script}\n{archive}"), &[initrd, &out, &over])?;
    Ok(out)
}

/// The number under which the agent has said that it stopped; empty where it has none.
fn failure(running: &mut Running) -> Option<String> {
    let report = outcome::agent_report(running.result())?;
    outcome::is_failure(&report).then(|| report["stop"]["code"].as_str().unwrap_or_default().to_owned())
}

/// How long the console may take to show what the report has said already. On a host that does too much it is seconds behind.
const LAST_WORDS: Duration = Duration::from_secs(20);
/// A console that shows nothing new for so long has shown all.
const QUIET: Duration = Duration::from_millis(500);

/// Waits until the console has the last lines too, or the machine has ended.
fn last_words(running: &mut Running, code: &str) -> Result<()> {
    let until = running.age() + LAST_WORDS;
    let (mut length, mut since) = (0, running.age());
    while running.ended()?.is_none() && running.age() < until {
        let console = running.console();
        if console.len() != length || !console.contains(code) {
            (length, since) = (console.len(), running.age());
        } else if running.age() - since >= QUIET {
            break;
        }
        running.pause();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::medium::{Fs, Table, disk_with_iso, hybrid, iso};

    #[test]
    fn a_boot_needs_what_it_consists_of() {
        use Need::{
            Bus as On, DistributionKernel, Eject, FileSystem, InitArguments, Initrd, Reboot, Silent, Slow, Unplug,
            Unreadable,
        };
        let disk = || Boot::from(iso());
        let rows: Vec<(&str, Boot, Vec<Need>)> = vec![
            ("any disk", disk(), vec![]),
            ("any stick, written to", disk().on(Bus::Stick).writable(), vec![]),
            ("a locked stick that comes at a text", disk().locked().plugged_in_on_text("x"), vec![]),
            ("areas, keys and answers", disk().mode(Mode::NativeCrypt).on_text("a", "b"), vec![]),
            ("no medium", Boot::nothing(), vec![]),
            ("a CD", disk().on(Bus::IdeCd), vec![On(Bus::IdeCd)]),
            ("a second disk on a bus", disk().and(iso(), Bus::Nvme), vec![On(Bus::Nvme)]),
            ("firmware", disk().firmware(Firmware::Ovmf).mode(Mode::Dracut106), vec![Need::Firmware]),
            ("dracut", disk().mode(Mode::Dracut059), vec![]),
            ("an original", disk().mode(Mode::KiwiLive), vec![Initrd]),
            ("another kernel", disk().mode(Mode::Native12), vec![Initrd]),
            ("exFAT inside", Boot::from(disk_with_iso(Fs::Exfat, "x.iso", iso())), vec![FileSystem("exFAT")]),
            ("slow", disk().slow(1), vec![Slow]),
            ("silent", disk().silent(1), vec![Silent]),
            ("silent for a while", disk().silent_when_written(1).answers_after(1), vec![Silent]),
            ("with read errors", disk().unreadable("echo 1"), vec![Unreadable]),
            ("with write errors", disk().unwritable(1), vec![Unreadable]),
            ("unplugged", disk().unplugged_on_text("x"), vec![Unplug]),
            ("ejected", disk().ejected_on_text("x"), vec![Eject]),
            ("arguments of init", disk().kargs("quiet -- one"), vec![InitArguments]),
            ("time by instructions", disk().clock(Clock::Instructions), vec![Need::Clock]),
            ("two processors", disk().clock(Clock::Host { cpus: 2 }), vec![Need::Clock]),
            ("said by hand", disk().needs(DistributionKernel), vec![DistributionKernel]),
            ("said by hand, again", disk().needs(Reboot).again(), vec![Reboot]),
            ("the second boot", Boot::from(hybrid(Table::Gpt, 1)).then(disk().on(Bus::Ahci)), vec![On(Bus::Ahci)]),
        ];
        for (name, boot, expected) in rows {
            assert_eq!(boot.all_needs(), expected, "{name}");
        }
    }
}

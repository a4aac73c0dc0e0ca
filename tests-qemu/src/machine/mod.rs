//! Machines: what a boot is given, the two kinds that carry it out, and one interface to a running one.

mod cards;
mod choice;
mod memory;
mod names;
mod qemu;
mod tail;
mod trouble;
mod uml;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

pub use cards::{Card, Nic, Plug};
pub use choice::{Machine, Need, Wanted, pick};
pub use names::{Names, names};
pub use qemu::has_kvm;
pub use trouble::{Silent, Trouble};
pub use uml::{fit as light_machines_that_fit, kernel, missing};

use tail::Tail;

/// How a medium is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Bus {
    /// Any disk: virtio-blk in QEMU, ubd in user-mode Linux.
    Disk,
    /// Any disk that people carry about: USB mass storage in QEMU, ubd in user-mode Linux.
    Stick,
    /// ATAPI drive on the PIIX IDE controller.
    IdeCd,
    /// CD drive on virtio-scsi.
    ScsiCd,
    /// CD drive in a USB enclosure.
    UsbCd,
    /// USB mass storage on xHCI.
    UsbStick,
    /// virtio-blk.
    Virtio,
    /// virtio-blk with sectors of 4096 bytes.
    Virtio4k,
    /// NVMe namespace.
    Nvme,
    /// Disk on an AHCI (SATA) controller.
    Ahci,
    /// Disk on the PIIX IDE controller, QEMU's `-hda`.
    IdeDisk,
    /// SD card in an SDHCI slot; its size must be a power of two.
    SdCard,
    /// Memory that keeps its content, as firmware leaves what it has fetched (ACPI's NFIT); its name is `pmem0`.
    Nvdimm,
    /// The same from a hypervisor.
    VirtioPmem,
    /// RAM from 512 MiB on, with the medium in it: the command line says `memmap=SIZE!512M`.
    Memmap,
}

impl Bus {
    /// The bus that QEMU has for it.
    pub fn in_qemu(self) -> Self {
        match self {
            Self::Disk => Self::Virtio,
            Self::Stick => Self::UsbStick,
            other => other,
        }
    }

    /// Whether it is memory.
    pub fn is_memory(self) -> bool {
        matches!(self, Self::Nvdimm | Self::VirtioPmem | Self::Memmap)
    }

    /// Whether any machine has it.
    pub fn is_any(self) -> bool {
        self.in_qemu() != self
    }
}

/// What starts the machine.
#[derive(Clone, Debug)]
pub enum Start {
    /// The machine loads kernel and initrd itself.
    Kernel { kernel: PathBuf, initrd: Option<PathBuf>, append: String },
    /// BIOS firmware boots the first medium.
    SeaBios,
    /// UEFI firmware boots the first medium.
    Ovmf,
}

impl Start {
    /// The same with another initrd, where the machine loads one itself.
    pub fn with_initrd(self, other: impl FnOnce(&Path) -> Result<PathBuf>) -> Result<Self> {
        Ok(match self {
            Self::Kernel { kernel, initrd: Some(initrd), append } => {
                Self::Kernel { kernel, initrd: Some(other(&initrd)?), append }
            }
            start => start,
        })
    }
}

/// How guest time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// As fast as the host goes.
    Host { cpus: u8 },
    /// Guest time counts instructions, so the same boot gives the same time on every host.
    Instructions,
    /// As [`Clock::Instructions`] while the guest works; while it waits, its time passes as the host's. Where a server outside of the guest
    /// is a part of the boot, time must not leap ahead of it.
    Waiting,
    /// As fast as the host goes, but the machine's clock has lost its battery: it begins with 2001.
    Lost,
}

/// One attached medium.
#[derive(Clone, Debug)]
pub struct Drive {
    /// Raw image.
    pub file: PathBuf,
    /// Where it is plugged in.
    pub bus: Bus,
    /// Plugged in this long after power-on, instead of from the start.
    pub late: Option<Duration>,
    /// Writes reach the file instead of being dropped at the end.
    pub keep_writes: bool,
    /// Log of all that is written to it (see `powercut::log`); the file must exist and be empty. QEMU only.
    pub log: Option<PathBuf>,
    /// The write protection is on.
    pub locked: bool,
    /// What is wrong with it. QEMU only.
    pub trouble: Trouble,
}

/// Everything that is put together before power-on.
#[derive(Clone, Debug)]
pub struct Hardware {
    /// Firmware or kernel.
    pub start: Start,
    /// Media; the first one boots.
    pub drives: Vec<Drive>,
    /// MiB of RAM.
    pub memory: u32,
    /// Speed of time.
    pub clock: Clock,
    /// The network, if there is one.
    pub net: Option<Plug>,
}

impl Hardware {
    /// Starts it; late media are plugged in by [`Running::tick`]. Logs stay in `dir`.
    pub fn power_on(&self, machine: Machine, dir: &Path) -> Result<Running> {
        fs::create_dir_all(dir)?;
        let (child, backend) = match machine {
            Machine::Qemu => qemu::start(self, dir)?,
            Machine::Uml => uml::start(self, dir)?,
        };
        let late = self.drives.iter().cloned().enumerate().filter(|(_, drive)| drive.late.is_some()).collect();
        let mute = self.drives.iter().enumerate().filter_map(|(index, drive)| Some((index, drive.trouble.answers?)));
        Ok(Running {
            child,
            dir: dir.to_owned(),
            started: Instant::now(),
            late,
            mute: mute.collect(),
            backend,
            console: Tail::new(dir.join("console.log")),
            result: Tail::new(dir.join("result")),
            spent: None,
        })
    }
}

/// What only one kind of machine has.
enum Backend {
    Qemu(qemu::Control),
    Uml(uml::Control),
}

/// A machine that is switched on.
pub struct Running {
    child: Child,
    dir: PathBuf,
    started: Instant,
    late: Vec<(usize, Drive)>,
    /// Drives that will answer, and when.
    mute: Vec<(usize, Duration)>,
    backend: Backend,
    console: Tail,
    result: Tail,
    spent: Option<Duration>,
}

/// How a machine went off by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// In order, or by a reboot, which ends it too.
    Switched,
    /// Its kernel panicked.
    Crashed,
}

/// What the kernel says then; a machine that has no status for it is asked for this text.
const PANIC: &str = "Kernel panic - not syncing";

impl Running {
    /// Time since power-on.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Has it switched itself off, or crashed?
    ///
    /// # Errors
    /// The program that is the machine failed.
    pub fn ended(&mut self) -> Result<Option<Off>> {
        if self.spent.is_none() && !self.reap(WaitIdOptions::NOHANG)? {
            return Ok(None);
        }
        let status = self.child.wait()?;
        self.settle();
        let crashed = match &self.backend {
            Backend::Qemu(_) => qemu::judge(status, &self.dir)?,
            Backend::Uml(_) => uml::judge(status, &self.dir)?,
        };
        let panicked = crashed || self.console().contains(PANIC);
        Ok(Some(if panicked { Off::Crashed } else { Off::Switched }))
    }

    /// Notes what the process has cost as soon as it is over, which is known only until somebody waits for it.
    fn reap(&mut self, wait: WaitIdOptions) -> Result<bool> {
        let pid = Pid::from_child(&self.child);
        let over = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | wait)?.is_some();
        if over {
            self.spent = Some(processor_time(self.child.id()));
        }
        Ok(over)
    }

    /// Waits until the last bytes are in the logs.
    fn settle(&mut self) {
        if let Backend::Uml(control) = &mut self.backend {
            control.settle();
        }
    }

    /// Plugs in the media whose time has come, and lets those answer that have been silent long enough.
    pub fn tick(&mut self) -> Result<()> {
        let age = self.age();
        let (due, later): (Vec<_>, Vec<_>) =
            self.late.drain(..).partition(|(_, drive)| drive.late.is_none_or(|at| at <= age));
        self.late = later;
        due.iter().try_for_each(|(index, drive)| self.plug_in(*index, drive))?;
        let (due, later): (Vec<_>, Vec<_>) = self.mute.drain(..).partition(|(_, at)| *at <= age);
        self.mute = later;
        due.iter().try_for_each(|(index, _)| self.answer(*index))
    }

    /// Plugs in everything that is not yet.
    pub fn plug_in_all(&mut self) -> Result<()> {
        let late = std::mem::take(&mut self.late);
        late.iter().try_for_each(|(index, drive)| self.plug_in(*index, drive))
    }

    fn plug_in(&mut self, index: usize, drive: &Drive) -> Result<()> {
        match &mut self.backend {
            Backend::Qemu(control) => control.plug_in(index, drive),
            Backend::Uml(control) => control.plug_in(index, drive),
        }
    }

    fn answer(&mut self, index: usize) -> Result<()> {
        match &mut self.backend {
            Backend::Qemu(control) => control.answer(index),
            Backend::Uml(_) => anyhow::bail!("in user-mode Linux every disk answers"),
        }
    }

    /// Pulls out the drive with this number.
    ///
    /// # Errors
    /// User-mode Linux keeps a disk that is in use.
    pub fn pull_out(&mut self, index: usize) -> Result<()> {
        match &mut self.backend {
            Backend::Qemu(control) => control.pull_out(index),
            Backend::Uml(control) => control.pull_out(index),
        }
    }

    /// Presses the button of a CD drive.
    ///
    /// # Errors
    /// The system has locked the door, or the machine has no such drive.
    pub fn eject(&mut self, index: usize) -> Result<()> {
        match &mut self.backend {
            Backend::Qemu(control) => control.eject(index),
            Backend::Uml(_) => anyhow::bail!("user-mode Linux has no CD drive"),
        }
    }

    /// Types on the serial console.
    pub fn type_text(&mut self, text: &str) -> Result<()> {
        match &mut self.backend {
            Backend::Qemu(control) => control.type_text(text),
            Backend::Uml(control) => control.type_text(text),
        }
    }

    /// What the console has shown so far.
    pub fn console(&mut self) -> &str {
        self.console.text()
    }

    /// What came through the result channel so far.
    pub fn result(&mut self) -> &str {
        self.result.text()
    }

    /// Processor time of the machine and all that belonged to it; known when it is off.
    pub fn spent(&self) -> Duration {
        self.spent.unwrap_or_default()
    }

    /// Between two looks at it: a boot in user-mode Linux is over before QEMU's has begun.
    pub fn pause(&self) {
        std::thread::sleep(match self.backend {
            Backend::Qemu(_) => Duration::from_millis(50),
            Backend::Uml(_) => Duration::from_millis(10),
        });
    }

    /// Pulls the plug.
    pub fn kill(&mut self) {
        if self.spent.is_none() {
            let _ = self.child.kill();
            let _ = self.reap(WaitIdOptions::empty());
        }
        let _ = self.child.wait();
        self.settle();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// User and system time of a process and of its children that are over (proc_pid_stat(5), fields 14 to 17).
pub fn processor_time(pid: u32) -> Duration {
    ticks(&format!("/proc/{pid}/stat"), 4)
}

/// User and system time of this thread alone.
pub fn thread_time() -> Duration {
    ticks("/proc/thread-self/stat", 2)
}

fn ticks(path: &str, fields: usize) -> Duration {
    let text = fs::read_to_string(path).unwrap_or_default();
    // The name in the second field may hold anything.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = rest.split_whitespace().skip(11).take(fields).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second().max(1))
}

//! One boot on a new medium with every write logged: the area is made, files are written, the machine is switched off.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::log;
use crate::lab::Lab;
use crate::machine::{Bus, Clock, Drive, Hardware, Machine, Running, Trouble};
use crate::medium::{Fs, Recipe};
use crate::mode::Mode;
use crate::{cache, outcome, sources};

/// Files that the recorded guest writes, and that must be there if they were announced before the cut.
pub const FILES: u32 = 24;
/// In front of the number of a file that is on the disk.
pub const ANNOUNCED: &str = "LAB-SYNCED ";
const DEADLINE: Duration = Duration::from_secs(300);

/// Where the area is, and so what may change on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a new partition behind the image.
    Partition,
    /// The same, made because its label was named (`rd.live.autooverlay`).
    Named,
    /// In the third partition, which is there and empty.
    Unused,
    /// The same, because it was named.
    Given,
    /// In a file beside the ISO file.
    File,
    /// In the directory [`DIRECTORY`] on the medium's file system.
    Directory,
    /// In [`STORE`] on the medium's file system, the store of a device-mapper snapshot.
    StoreFile,
    /// In the medium's second partition, which is such a store.
    StoreDevice,
}

impl Place {
    /// What the report calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Partition | Self::Unused => "partition",
            Self::File => "file",
            Self::Named | Self::Given | Self::Directory | Self::StoreFile | Self::StoreDevice => "named",
        }
    }

    /// Whether it is the store of a snapshot.
    pub fn is_store(self) -> bool {
        matches!(self, Self::StoreFile | Self::StoreDevice)
    }
}

/// The name of a directory for changes.
pub const DIRECTORY: &str = "changes";
/// The name of a store for changes.
pub const STORE: &str = "store";

/// A medium and how it is booted.
#[derive(Clone, Debug)]
pub struct Setup {
    /// As it is before the first boot.
    pub medium: Recipe,
    /// Where it is plugged in.
    pub bus: Bus,
    /// What asks for the area.
    pub kargs: String,
    /// What only the recorded boot has, and not the boot after a cut.
    pub once: &'static str,
    /// Where the area comes to be.
    pub place: Place,
    /// The initrd; with [`Mode::NativeCryptQuick`] the area is encrypted, and its key is [`KEY`](crate::mode::KEY).
    pub mode: Mode,
}

impl Setup {
    /// Whether the area is a LUKS volume.
    pub fn is_encrypted(&self) -> bool {
        self.mode == Mode::NativeCryptQuick
    }

    /// The file system around a cow file.
    pub fn host(&self) -> Option<Fs> {
        match &self.medium {
            Recipe::Store { fs, .. } => Some(*fs),
            _ => None,
        }
    }

    /// The machine with this disk. `files` are the numbers of the files that the guest writes.
    pub fn hardware(
        &self,
        lab: &Lab,
        machine: Machine,
        disk: &Path,
        log: Option<PathBuf>,
        files: (u32, u32),
    ) -> Result<Hardware> {
        let (first, last) = files;
        let own = "quiet console=ttyS0 panic=-1 no_timer_check lab.report rd.live.report=/dev/ttyS1";
        let append =
            format!("{} {} {own} lab.power={first}-{last}", self.kargs, if log.is_some() { self.once } else { "" });
        let drive = Drive {
            file: disk.to_owned(),
            bus: self.bus,
            late: None,
            keep_writes: true,
            log,
            locked: false,
            trouble: Trouble::default(),
        };
        let start = self.mode.start(lab, machine, append)?;
        Ok(Hardware { start, drives: vec![drive], memory: 768, clock: Clock::Host { cpus: 1 }, net: None })
    }

    /// The log of a boot on this disk, with a mark for each announcement. It is kept under seed, medium and the state `of` the
    /// disk, so that a seed gives the same cuts again as long as agent and medium are the same. To another medium of the same recipe
    /// its writes do not fit.
    pub fn recording(&self, lab: &Lab, seed: u64, disk: &Path, of: &str) -> Result<PathBuf> {
        let medium = self.medium.file(lab)?;
        let initrd = self.mode.pair(lab)?.initrd;
        let key = format!(
            "power 4 {:x} {seed} {of} {:?} {} {} {} {} {:x}",
            sources::recordings(),
            self.bus,
            self.kargs,
            self.once,
            cache::identity(&medium)?,
            cache::identity(&initrd)?,
            lab.built.guest.hash
        );
        let what = format!("recording of {}", self.kargs);
        lab.cache.file("power", &what, &key, |path| self.record(lab, disk, path))
    }

    fn record(&self, lab: &Lab, medium: &Path, path: &Path) -> Result<()> {
        let dir = lab.cache.fast_scratch("power")?;
        let made = self.record_in(lab, medium, path, &dir);
        match made {
            Ok(()) => crate::remove::tree(&dir),
            Err(error) => Err(error.context(format!("logs: {}", crate::lab::keep("power recording", &dir)?.display()))),
        }
    }

    fn record_in(&self, lab: &Lab, medium: &Path, path: &Path, dir: &Path) -> Result<()> {
        let (disk, log) = (dir.join("disk"), dir.join("log"));
        crate::tool::copy_sparse(medium, &disk)?;
        File::create(&log)?;
        let hardware = self.hardware(lab, Machine::Qemu, &disk, Some(log.clone()), (1, FILES))?;
        let _slot = lab.qemu.take();
        let mut running = hardware.power_on(Machine::Qemu, dir)?;
        let marks = listen(&mut running, &log)?;
        let channel = running.result();
        let report = outcome::report_of(channel, outcome::guest_result(channel).as_ref());
        ensure!(
            report.as_ref().is_some_and(|report| report["write_mode"]["persistence"]
                .as_str()
                .is_some_and(|kind| kind != "temporary")),
            "the recorded boot made no area\n{report:#?}"
        );
        log::with_marks(&log, &marks, path)
    }
}

/// Notes the log's length at each announcement until the machine is off.
fn listen(running: &mut Running, log: &Path) -> Result<Vec<(u64, String)>> {
    let mut marks: Vec<(u64, String)> = Vec::new();
    loop {
        let off = running.ended()?.is_some();
        let channel = running.result();
        // The last line may not be complete.
        let complete = channel.rsplit_once('\n').map_or("", |(lines, _)| lines);
        let said: Vec<&str> = complete.lines().map(str::trim).filter(|line| line.starts_with(ANNOUNCED)).collect();
        let length = fs::metadata(log)?.len();
        marks.extend(said.iter().skip(marks.len()).map(|line| (length, (*line).to_owned())));
        if let Some(line) = complete.lines().find(|line| line.starts_with("LAB-FAILED")) {
            bail!("the guest could not write: {line}");
        }
        if off {
            ensure!(announced(channel) == Some(FILES), "the guest ended after {:?}", marks.last());
            return Ok(marks);
        }
        ensure!(running.age() < DEADLINE, "the recorded boot took too long");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// The number that was announced last, in lines that are complete.
pub fn announced(channel: &str) -> Option<u32> {
    let (complete, _) = channel.rsplit_once('\n')?;
    complete.lines().rev().find_map(|line| line.trim().strip_prefix(ANNOUNCED)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_counts_when_its_line_is_complete() {
        let rows = [
            ("", None),
            ("noise\r\n", None),
            ("\nLAB-SYNCED 1", None),
            ("\r\nLAB-SYNCED 1\r\n", Some(1)),
            ("LAB-SYNCED 9\r\nRDLIVE-REPORT {}\nLAB-SYNCED 1", Some(9)),
        ];
        for (channel, expected) in rows {
            assert_eq!(announced(channel), expected, "{channel:?}");
        }
    }
}

//! The seam between what a boot decides and the machine: questions with typed answers, and the steps that are done.

use std::io;
use std::path::{Path, PathBuf};

use crate::area::{Found, Obstacle, Site, Windows};
use crate::attempt::Watchdog;
use crate::config::Config;
use crate::error::Stop;
use crate::facts::{
    Content, Deployed, Device, Inner, Kernels, Loaded, MediumFacts, Moment, Provider, RamFacts, Taker, View,
};
use crate::format::Superblock;
use crate::handover::{Facts, StepRecord};
use crate::plan::programs::Program;
use crate::plan::{Done, Presence, Slot, Step};
use crate::probe::sleep::Sleep;

/// How a line is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// For who reads the log.
    Info,
    /// For who looks at the console: the chosen medium, where changes are kept.
    Notice,
    /// Something is not as it should be.
    Warning,
    /// A person waits for it: on the console with `quiet`, too.
    Told,
    /// What was asked for is given up: on the console with `quiet`, too.
    GivenUp,
    /// A person must know it: on every console, with `quiet`, too.
    Everywhere,
}

/// Where a key is.
#[derive(Clone, Copy, Debug)]
pub enum KeyPlace<'a> {
    /// A file of the initrd.
    Initrd(&'a Path),
    /// A file system that is mounted, and the path on it.
    Mounted(&'a Path, &'a Path),
}

/// A world in which a boot takes place. All paths are those of the boot. The machine is one, [`Told`](super::Told) another.
pub trait World {
    /// The devices as they are known now.
    fn view(&self) -> View;

    /// Waits for news of devices, at most until a moment; false when the time is over.
    fn wait(&mut self, until: Moment) -> bool;

    /// Listens for a key that ends a wait ([`View::key`]), or does not any more; true if a person can press one.
    fn hear_key(&mut self, _on: bool) -> bool {
        false
    }

    /// Does steps in order; the first failure ends it, and what was done before it stays. `shows`: they only show what is kept, and
    /// none of them may change it.
    ///
    /// # Errors
    /// Why the failed step did.
    fn perform(&mut self, stage: &str, steps: &[Step], shows: bool) -> Result<Done, Stop>;

    /// What has come of steps of which one has failed.
    fn done_before_failing(&mut self) -> Done;

    /// All that was done, how long it took, and what was told.
    fn take_records(&mut self) -> (Vec<StepRecord>, Facts);

    /// How much can be undone.
    fn mark(&self) -> usize;

    /// Undoes what was done between two marks, newest first; what was done since then stays.
    fn unwind(&mut self, from: usize, to: usize);

    /// The node of the device in a slot.
    fn node(&self, slot: Slot) -> Option<PathBuf>;

    /// Bytes of the device in a slot; 0 without one.
    fn bytes(&self, slot: Slot) -> u64;

    /// Whether a node is a loop device that a step has made.
    fn is_looped(&self, node: &Path) -> bool;

    /// Removes links that were made and lead nowhere any more.
    fn forget_links(&mut self, links: &[PathBuf]);

    /// Reads a key and keeps it for the steps that open volumes.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn take_key(&mut self, place: KeyPlace<'_>) -> io::Result<()>;

    /// Forgets the key.
    fn forget_key(&mut self);

    /// What the area is encrypted with.
    fn cipher(&self) -> Option<String>;

    /// Hears of what may take its time.
    fn watchdog(&self) -> &Watchdog;

    /// Says a line.
    fn say(&mut self, tone: Tone, line: &str);

    /// A path on the file system that is mounted at `at`, as that spells it; with `at` in front.
    fn spelled(&self, at: &Path, path: &Path) -> PathBuf;

    /// Whether a file is there; an error is the answer of a damaged file system.
    ///
    /// # Errors
    /// The error of looking.
    fn is_file(&self, path: &Path) -> io::Result<bool>;

    /// Where a file is that a path leads to on the file system which is mounted at `at`, below that; links are followed inside of it.
    ///
    /// # Errors
    /// The answer of a damaged file system.
    fn file_in(&self, at: &Path, path: &Path) -> io::Result<Option<PathBuf>>;

    /// Whether the last bytes of a file can be read.
    fn has_end(&self, path: &Path) -> bool;

    /// What a device or file holds, and its bytes.
    ///
    /// # Errors
    /// The error of opening or reading.
    fn identify(&self, path: &Path) -> io::Result<(Option<Superblock>, u64)>;

    /// What a mounted medium offers.
    ///
    /// # Errors
    /// It is no live medium.
    fn content(&self, config: &Config, at: &Path) -> Result<Content, Stop>;

    /// Whether there is anything called `updates` at the top of a mounted medium.
    fn has_updates(&self, at: &Path) -> bool;

    /// What a mounted container offers.
    ///
    /// # Errors
    /// There is no root in it.
    fn inner(&self, config: &Config, at: &Path) -> Result<Inner, Stop>;

    /// How large an image is, and how much memory there is.
    ///
    /// # Errors
    /// The error of reading the image.
    fn ram(&self, image: &Path) -> io::Result<RamFacts>;

    /// The sum that the mounted medium states for a file.
    fn sum(&self, medium: &Path, file: &Path) -> Option<String>;

    /// Bytes that are free for a file at a path on the file system that is mounted `at`.
    fn free(&self, at: &Path, path: &Path) -> u64;

    /// Whether the initrd does not have a program.
    fn lacks(&self, program: &Program) -> bool;

    /// Bytes of RAM that the machine has.
    fn memory(&self) -> Option<u64>;

    /// The program of the initrd that brings a network up by the same words.
    fn provider(&self) -> Option<Provider>;

    /// The source of what is mounted at a path.
    fn source_at(&self, at: &Path) -> Option<String>;

    /// Where an area is or could be on the disk of the medium. `beside`: a partition beside others was asked for by name.
    fn disk(&self, medium: &MediumFacts, node: &Path, beside: bool) -> Site;

    /// Where an area is or could be on the file system of an ISO file, which is mounted; `paths` as for [`crate::probe::site::host`].
    fn host(&self, sleep: &Sleep<'_>, node: &Path, at: &Path, paths: (&Path, &Path)) -> Site;

    /// What is at a path of a mounted file system.
    fn found(&self, at: &Path, path: &Path) -> Found;

    /// Whether a directory holds something and never was a place for changes.
    fn is_stranger(&self, at: &Path, path: &Path) -> bool;

    /// Whether an attempt of ours to make a file system on a device was cut short.
    fn is_begun(&self, device: &Device) -> bool;

    /// What a disk says of an image that earlier boots of ours have written to it.
    fn deployed(&self, device: &Device) -> Option<Deployed>;

    /// Why somebody may still use a file system that is not ours; `at` is where it is mounted, if it is, and the path on it at which a
    /// file of ours may have been begun.
    fn in_use(&self, device: &Device, sleep: &Sleep<'_>, at: Option<(&Path, &Path)>) -> Option<Obstacle>;

    /// Why a Windows may sleep on an NTFS that is mounted.
    fn sleeping_windows(&self, device: &Device, at: &Path) -> Option<Windows>;

    /// Whether the journal of a file system is to be replayed, and was left by a session of ours.
    fn is_left_by_us(&self, device: &Device) -> bool;

    /// Whether the journal of a file system has what the file system itself does not show yet.
    fn is_journal_pending(&self, device: &Device) -> bool;

    /// Why the kernel cannot execute the init program of a root; in words, what is wrong with those that it passes over.
    ///
    /// # Errors
    /// There is none, or the image cannot be read, or its device is there no more.
    fn init(&self, root: &Path, init: Option<&Path>, medium: Presence) -> Result<Vec<String>, Stop>;

    /// What loaders and firmware have left of from where they have loaded.
    fn loaded(&self) -> Loaded;

    /// The kernels that a root has modules for, if the one that runs is none of them.
    fn other_kernel(&self, root: &Path) -> Option<Kernels>;

    /// Who takes the network over when a root starts.
    fn takers(&self, root: &Path) -> Vec<Taker>;

    /// Where the SELinux policies of a root are, in it, if its labels do not outlive the loading of one; `upper` is where a temporary upper
    /// directory is, `lower` the image.
    fn policies(&self, root: &Path, upper: &Path, lower: &Path) -> Option<PathBuf>;
}

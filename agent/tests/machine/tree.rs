//! A machine that has only the block devices of its test, where many run side by side on one kernel, and no driver for ISO 9660: what
//! the medium would show is a directory. All else is the machine itself.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rdlive::area::{Found, Obstacle, Site, Windows};
use rdlive::attempt::Watchdog;
use rdlive::boot::{KeyPlace, Tone, World};
use rdlive::config::Config;
use rdlive::error::Stop;
use rdlive::facts::{Content, Device, Inner, Kernels, Loaded, MediumFacts, Moment, Provider, RamFacts, Taker, View};
use rdlive::format::Superblock;
use rdlive::handover::{Facts, StepRecord};
use rdlive::machine::Machine;
use rdlive::plan::programs::Program;
use rdlive::plan::{Done, Place, Presence, Slot, Step};
use rdlive::probe::sleep::Sleep;

/// A world that mounts no ISO, and shows no disk of others.
pub struct Own<'a> {
    pub machine: Machine<'a>,
    /// Where the paths of the boot begin.
    root: PathBuf,
}

impl<'a> Own<'a> {
    pub fn new(machine: Machine<'a>, root: &Path) -> Self {
        let world = Self { machine, root: root.to_owned() };
        world.show();
        world
    }

    fn show(&self) {
        show(&self.root);
    }
}

/// A disk that comes while a boot waits is not seen: no test here plugs one in late.
///
/// Shows a machine what the kernel does now, of the loop devices over files of this machine alone, and their partitions. What a test
/// has put there itself stays.
pub fn show(root: &Path) {
    let shown = root.join("sys/class/block");
    let mut own = BTreeSet::new();
    for entry in fs::read_dir("/sys/class/block").unwrap().flatten() {
        let Ok(dir) = entry.path().canonicalize() else { continue };
        let disk = if dir.join("partition").exists() { dir.parent().unwrap() } else { &dir };
        // A loop device over another one, a window, names that one's node.
        let below = |disk: &Path| fs::read_to_string(disk.join("loop/backing_file")).unwrap_or_default();
        let mut file = below(disk);
        if let Some(other) = file.trim().rsplit_once("/dev/").map(|(_, name)| name.to_owned()) {
            file = below(&Path::new("/sys/class/block").join(other));
        }
        if Path::new(file.trim()).starts_with(root) {
            own.insert(entry.file_name());
        }
    }
    let gone = |entry: &fs::DirEntry| entry.path().is_symlink() && !own.contains(&entry.file_name());
    for entry in fs::read_dir(&shown).unwrap().flatten().filter(gone) {
        fs::remove_file(entry.path()).unwrap();
    }
    for name in own {
        let _ = symlink(Path::new("/sys/class/block").join(&name), shown.join(&name));
    }
}

/// Questions and deeds that go to the machine as they are.
macro_rules! handed_on {
    ($(fn $name:ident(&self $(, $argument:ident: $type:ty)*) $(-> $answer:ty)?;)*) => {
        $(fn $name(&self $(, $argument: $type)*) $(-> $answer)? { self.show(); self.machine.$name($($argument),*) })*
    };
}
macro_rules! handed_on_mut {
    ($(fn $name:ident(&mut self $(, $argument:ident: $type:ty)*) $(-> $answer:ty)?;)*) => {
        $(fn $name(&mut self $(, $argument: $type)*) $(-> $answer)? { self.show(); self.machine.$name($($argument),*) })*
    };
}

impl World for Own<'_> {
    fn perform(&mut self, stage: &str, steps: &[Step], shows: bool) -> Result<Done, Stop> {
        let is_iso = |step: &&Step| {
            matches!(step, Step::Mount { what: Place::Slot(Slot::Medium), fs, .. } if fs == "iso9660")
                || matches!(step, Step::Driver { module, .. } if module == "isofs")
        };
        for step in steps.iter().filter(is_iso) {
            if let Step::Mount { at, .. } = step {
                let live = self.root.join(at.strip_prefix("/").unwrap()).join("LiveOS");
                fs::create_dir_all(&live).unwrap();
                fs::copy(self.root.join("iso-tree/LiveOS/squashfs.img"), live.join("squashfs.img")).unwrap();
            }
        }
        let rest: Vec<Step> = steps.iter().filter(|step| !is_iso(step)).cloned().collect();
        self.show();
        self.machine.perform(stage, &rest, shows)
    }

    handed_on! {
        fn view(&self) -> View;
        fn mark(&self) -> usize;
        fn node(&self, slot: Slot) -> Option<PathBuf>;
        fn bytes(&self, slot: Slot) -> u64;
        fn is_looped(&self, node: &Path) -> bool;
        fn cipher(&self) -> Option<String>;
        fn watchdog(&self) -> &Watchdog;
        fn spelled(&self, at: &Path, path: &Path) -> PathBuf;
        fn is_file(&self, path: &Path) -> io::Result<bool>;
        fn file_in(&self, at: &Path, path: &Path) -> io::Result<Option<PathBuf>>;
        fn has_end(&self, path: &Path) -> bool;
        fn content(&self, config: &Config, at: &Path) -> Result<Content, Stop>;
        fn identify(&self, path: &Path) -> io::Result<(Option<Superblock>, u64)>;
        fn has_updates(&self, at: &Path) -> bool;
        fn inner(&self, config: &Config, at: &Path) -> Result<Inner, Stop>;
        fn ram(&self, image: &Path) -> io::Result<RamFacts>;
        fn sum(&self, medium: &Path, file: &Path) -> Option<String>;
        fn free(&self, at: &Path, path: &Path) -> u64;
        fn lacks(&self, program: &Program) -> bool;
        fn memory(&self) -> Option<u64>;
        fn provider(&self) -> Option<Provider>;
        fn source_at(&self, at: &Path) -> Option<String>;
        fn disk(&self, medium: &MediumFacts, node: &Path, beside: bool) -> Site;
        fn host(&self, sleep: &Sleep<'_>, node: &Path, at: &Path, paths: (&Path, &Path)) -> Site;
        fn found(&self, at: &Path, path: &Path) -> Found;
        fn is_stranger(&self, at: &Path, path: &Path) -> bool;
        fn deployed(&self, device: &Device) -> Option<rdlive::facts::Deployed>;
        fn is_begun(&self, device: &Device) -> bool;
        fn in_use(&self, device: &Device, sleep: &Sleep<'_>, at: Option<(&Path, &Path)>) -> Option<Obstacle>;
        fn sleeping_windows(&self, device: &Device, at: &Path) -> Option<Windows>;
        fn is_left_by_us(&self, device: &Device) -> bool;
        fn is_journal_pending(&self, device: &Device) -> bool;
        fn init(&self, root: &Path, init: Option<&Path>, medium: Presence) -> Result<Vec<String>, Stop>;
        fn loaded(&self) -> Loaded;
        fn other_kernel(&self, root: &Path) -> Option<Kernels>;
        fn takers(&self, root: &Path) -> Vec<Taker>;
        fn policies(&self, root: &Path, upper: &Path, lower: &Path) -> Option<PathBuf>;
    }
    handed_on_mut! {
        fn wait(&mut self, until: Moment) -> bool;
        fn done_before_failing(&mut self) -> Done;
        fn take_records(&mut self) -> (Vec<StepRecord>, Facts);
        fn unwind(&mut self, from: usize, to: usize);
        fn forget_links(&mut self, links: &[PathBuf]);
        fn take_key(&mut self, place: KeyPlace<'_>) -> io::Result<()>;
        fn forget_key(&mut self);
        fn say(&mut self, tone: Tone, line: &str);
    }
}

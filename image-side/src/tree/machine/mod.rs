//! What a tree keeps of the machine it came from: disks, swap and network cards by name, for which a live boot on another machine waits.

mod cards;
mod crypttab;
mod dracut;
mod fstab;
mod lists;
mod needs;
mod resume;
mod source;
mod units;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use self::crypttab::Volume;
use self::fstab::{Entry, Place};
use self::units::Unit;
use super::resolve;
use super::size::VOLATILE;

/// A file that gets other content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Relative to the root; no part of it is a symbolic link.
    pub path: PathBuf,
    /// What it holds then.
    pub content: Vec<u8>,
}

/// What of a tree belongs to its machine.
#[derive(Debug, Default)]
pub struct Left {
    /// Files and links that are left out, relative to the root.
    pub removed: BTreeSet<PathBuf>,
    /// Files of which lines are left out.
    pub replaced: Vec<Replaced>,
    /// One text for each kind of thing.
    pub notes: Vec<String>,
}

/// Where units lie that are no package's.
const UNITS: [&str; 2] = ["etc/systemd/system", "usr/local/lib/systemd/system"];

const CRYPTTAB: &str = "etc/crypttab";

/// What the kernel and programs that put a machine to sleep write at the end of the first page of swap space.
const SWAP_MAGIC: [&[u8]; 6] =
    [b"SWAPSPACE2", b"SWAP-SPACE", b"S1SUSPEND\0", b"S2SUSPEND\0", b"ULSUSPEND\0", b"LINHIB0001"];

/// Page sizes of the machines that Linux runs on, in bytes.
const PAGES: [u64; 5] = [4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];

/// Looks through the tree below `root`.
pub fn of_tree(root: &Path) -> Left {
    let tree = Tree { root };
    let mut left = Left::default();
    let volumes = tree.crypttab();
    let here = volumes.iter().filter(|(_, volume)| volume.is_here(&|path| tree.look(path)));
    let here: Vec<String> = here.map(|(_, volume)| volume.name.clone()).collect();
    let mut gone = tree.mounts(&mut left, &here);
    gone.extend(tree.volumes(&mut left, volumes));
    tree.links(&mut left, gone, &here);
    tree.resume(&mut left);
    tree.net_names(&mut left);
    tree.cards(&mut left);
    tree.lists(&mut left);
    left
}

impl Left {
    fn remove(&mut self, kind: &str, paths: Vec<PathBuf>) {
        if !paths.is_empty() {
            let names: Vec<String> = paths.iter().map(|path| format!("/{}", path.display())).collect();
            self.note(kind, &names);
            self.removed.extend(paths);
        }
    }

    fn note(&mut self, kind: &str, names: &[String]) {
        self.notes.push(format!("{kind}: {}", names.join(", ")));
    }
}

struct Tree<'a> {
    root: &'a Path,
}

impl Tree<'_> {
    /// A regular file behind this path, relative to the root, that will be in the container.
    fn file(&self, path: &str) -> Option<PathBuf> {
        let found = resolve(self.root, Path::new(path)).filter(|found| found.is_file())?;
        let inside = found.strip_prefix(self.root).ok()?.to_owned();
        (!VOLATILE.iter().any(|dir| inside.starts_with(dir))).then_some(inside)
    }

    fn text(&self, path: &Path) -> String {
        let bytes = fs::read(self.root.join(path)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What is in a directory, by name.
    fn names(&self, dir: &str) -> Vec<String> {
        let dir = resolve(self.root, Path::new(dir));
        let entries = dir.and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn look(&self, path: &str) -> Place {
        let top = path.split('/').find(|part| !part.is_empty()).unwrap_or_default();
        if VOLATILE.contains(&top) {
            // Made in the boot, by the kernel or by somebody.
            return Place::There;
        }
        match resolve(self.root, Path::new(path)) {
            None => Place::Absent,
            Some(found) if fs::read_dir(&found).is_ok_and(|mut entries| entries.next().is_none()) => Place::Empty,
            Some(_) => Place::There,
        }
    }

    /// Leaves lines out of a file, by their number; the others stay byte for byte.
    fn cut(&self, left: &mut Left, path: PathBuf, lines: &[usize]) {
        let bytes = fs::read(self.root.join(&path)).unwrap_or_default();
        let kept = bytes.split_inclusive(|byte| *byte == b'\n').enumerate().filter(|(line, _)| !lines.contains(line));
        let content = kept.flat_map(|(_, text)| text).copied().collect();
        left.replaced.push(Replaced { path, content });
    }

    /// fstab, and mount and swap units; `here` are volumes that stay. Returns the names of the units that there are no more.
    fn mounts(&self, left: &mut Left, here: &[String]) -> BTreeSet<String> {
        let fstab = self.file("etc/fstab");
        let text = fstab.as_ref().map(|path| self.text(path)).unwrap_or_default();
        let mut entries: Vec<(usize, Entry)> =
            text.lines().enumerate().filter_map(|(line, text)| Some((line, Entry::parse(text)?))).collect();
        // Units are counted on from the last line.
        let first = text.lines().count();
        let units = self.units();
        let has = |name: &str| units.iter().any(|(_, unit)| unit.name == name && !unit.is_drop_in);
        let automount = |name: &str| units::automount_of(name).is_some_and(|name| has(&name));
        entries.extend(units.iter().enumerate().filter_map(|(at, (_, unit))| {
            let entry = unit.entry(automount(&unit.name))?;
            Some((first + at, entry))
        }));
        let out = needs::left_out(&entries, &|path| self.look(path), here);
        let (lines, from_units): (Vec<_>, Vec<_>) = out.iter().partition(|(at, _)| *at < first);
        if let Some(path) = fstab.filter(|_| !lines.is_empty()) {
            self.cut(left, path, &lines.iter().map(|(line, _)| *line).collect::<Vec<_>>());
            left.note("/etc/fstab", &lines.iter().map(|(_, entry)| entry.name()).collect::<Vec<_>>());
        }
        let swaps =
            out.iter().filter(|(_, entry)| entry.is_swap()).filter_map(|(_, entry)| self.swap_file(&entry.source));
        left.remove("swap files", swaps.collect());
        // The live system has a root of its own.
        let mut gone: BTreeSet<String> =
            lines.iter().filter(|(_, entry)| !entry.is_root()).map(|(_, entry)| entry.unit()).collect();
        let mut files = Vec::new();
        for (at, _) in from_units {
            let (path, unit) = &units[at - first];
            let beside = units::automount_of(&unit.name);
            let beside = units.iter().filter(|(_, other)| !other.is_drop_in && Some(&other.name) == beside.as_ref());
            files.extend(beside.map(|(path, _)| path).chain([path]).cloned());
            gone.extend([Some(unit.name.clone()), units::automount_of(&unit.name)].into_iter().flatten());
        }
        left.remove("mount and swap units", files);
        gone
    }

    /// A file of swap space: it is as large as the machine's memory, and may hold some of that.
    fn swap_file(&self, path: &str) -> Option<PathBuf> {
        let found = self.file(path)?;
        let file = File::open(self.root.join(&found)).ok()?;
        let marked = |page: &u64| {
            let mut magic = [0; 10];
            file.read_exact_at(&mut magic, page - 10).is_ok() && SWAP_MAGIC.contains(&&magic[..])
        };
        PAGES.iter().any(marked).then_some(found)
    }

    /// Encrypted volumes, each with the number of its line.
    fn crypttab(&self) -> Vec<(usize, Volume)> {
        let text = self.file(CRYPTTAB).map(|path| self.text(&path)).unwrap_or_default();
        text.lines().enumerate().filter_map(|(line, text)| Some((line, Volume::parse(text)?))).collect()
    }

    /// Encrypted volumes and their keys. Returns the names of the device units that there are no more.
    fn volumes(&self, left: &mut Left, all: Vec<(usize, Volume)>) -> BTreeSet<String> {
        let (out, kept): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, volume)| volume.is_of_a_machine(&|path| self.look(path)));
        if let Some(path) = self.file(CRYPTTAB).filter(|_| !out.is_empty()) {
            self.cut(left, path, &out.iter().map(|(line, _)| *line).collect::<Vec<_>>());
            let names = out.iter().map(|(_, volume)| format!("{} ({})", volume.name, volume.device));
            left.note("/etc/crypttab", &names.collect::<Vec<_>>());
        }
        let needed: Vec<String> = kept.iter().flat_map(|(_, volume)| volume.keys()).collect();
        let keys = out.iter().flat_map(|(_, volume)| volume.keys()).filter(|key| !needed.contains(key));
        // Its permissions say nothing: a key is often protected by its directory alone. Programs are no keys.
        let mut keys: Vec<PathBuf> =
            keys.filter_map(|key| self.file(&key)).filter(|key| !key.starts_with("usr")).collect();
        keys.dedup();
        left.remove("keys of encrypted disks", keys);
        out.iter().map(|(_, volume)| units::device_of(&volume.name)).collect()
    }

    /// The links that start what waits for a disk or for one of `gone`, and not for one of the volumes that stay.
    fn links(&self, left: &mut Left, mut gone: BTreeSet<String>, here: &[String]) {
        let units: Vec<Unit> = self.units().into_iter().map(|(_, unit)| unit).collect();
        let here: Vec<String> = here.iter().map(|name| units::device_of(name)).collect();
        let waiting = units::waiting(&units, &gone, &here);
        gone.extend(waiting.iter().cloned());
        let found = self.starts().into_iter().filter(|(_, name)| units::starts(name, &gone));
        let (idle, dead): (Vec<_>, Vec<_>) = found.partition(|(_, name)| units::starts(name, &waiting));
        left.removed.extend(dead.into_iter().map(|(path, _)| path));
        let idle = idle.into_iter().map(|(path, _)| path).collect();
        left.remove("starts of units that wait for its disks", idle);
    }

    /// The links that start a unit, each with the unit's name.
    fn starts(&self) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        for dir in UNITS {
            let folders = self
                .names(dir)
                .into_iter()
                .filter(|name| [".wants", ".requires", ".upholds"].iter().any(|end| name.ends_with(end)));
            for folder in folders.map(|name| format!("{dir}/{name}")) {
                let Some(real) = resolve(self.root, Path::new(&folder)) else { continue };
                let Ok(real) = real.strip_prefix(self.root) else { continue };
                found.extend(self.names(&folder).into_iter().map(|name| (real.join(&name), name)));
            }
        }
        found
    }

    /// Unit files and drop-ins with their paths.
    fn units(&self) -> Vec<(PathBuf, Unit)> {
        let mut units = Vec::new();
        let mut add = |path: &str, name: &str, is_drop_in: bool| {
            // A link to another unit is an alias or says that it is enabled.
            let own = self.root.join(path).symlink_metadata().is_ok_and(|meta| meta.is_file());
            if let Some(file) = self.file(path).filter(|_| own) {
                let text = self.text(&file);
                units.push((file, Unit { name: name.to_owned(), text, is_drop_in }));
            }
        };
        for dir in UNITS {
            for name in self.names(dir) {
                let path = format!("{dir}/{name}");
                match name.strip_suffix(".d") {
                    None => add(&path, &name, false),
                    Some(unit) => {
                        let drop_ins = self.names(&path).into_iter().filter(|name| name.ends_with(".conf"));
                        drop_ins.for_each(|file| add(&format!("{path}/{file}"), unit, true));
                    }
                }
            }
        }
        units
    }

    /// What an initrd made in the tree would wait for.
    fn resume(&self, left: &mut Left) {
        let below = |dir: &str| self.names(dir).into_iter().map(|name| format!("{dir}/{name}")).collect::<Vec<_>>();
        let tools =
            [vec!["etc/initramfs-tools/initramfs.conf".to_owned()], below("etc/initramfs-tools/conf.d")].concat();
        let dracut = [vec!["etc/dracut.conf".to_owned()], below("etc/dracut.conf.d")].concat();
        let mut names = Vec::new();
        for file in tools.iter().filter_map(|path| self.file(path)) {
            let text = self.text(&file);
            let named = text.lines().enumerate().filter(|(_, line)| resume::is_initramfs_tools(line));
            let lines: Vec<usize> = named.map(|(at, _)| at).collect();
            if !lines.is_empty() {
                names.push(format!("/{}", file.display()));
                self.cut(left, file, &lines);
            }
        }
        for path in dracut.iter().filter_map(|path| self.file(path)) {
            let bytes = fs::read(self.root.join(&path)).unwrap_or_default();
            if let Some(content) = dracut::without_disks(&bytes) {
                names.push(format!("/{}", path.display()));
                left.replaced.push(Replaced { path, content });
            }
        }
        if !names.is_empty() {
            left.note("disks to resume from and to wait for", &names);
        }
    }

    /// Names that cards have by their address or slot.
    fn net_names(&self, left: &mut Left) {
        let rules = self.names("etc/udev/rules.d").into_iter().filter(|name| name.ends_with("-persistent-net.rules"));
        let mut files: Vec<PathBuf> = rules.filter_map(|name| self.file(&format!("etc/udev/rules.d/{name}"))).collect();
        files.extend(self.link_files());
        left.remove("names of its network cards", files);
    }

    /// Files that give one card a name.
    fn link_files(&self) -> Vec<PathBuf> {
        let names = self.names("etc/systemd/network").into_iter().filter(|name| name.ends_with(".link"));
        let files = names.filter_map(|name| self.file(&format!("etc/systemd/network/{name}")));
        let names_one_card = |file: &PathBuf| {
            let text = self.text(file);
            let mut keys = ["MACAddress", "PermanentMACAddress", "Path"].iter();
            let one_card = keys.any(|key| !units::values(&text, "Match", key).is_empty());
            one_card && !units::values(&text, "Link", "Name").is_empty()
        };
        files.filter(names_one_card).collect()
    }
}

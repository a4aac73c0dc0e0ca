//! Firmware that drivers load from files: what the modules name themselves (`MODULE_FIRMWARE`), as far as the tree has it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use goblin::elf::Elf;
use rdlive_media::modindex::glob;

use super::decompress::read_module;
use super::kmod::ModuleTree;
use crate::tree::resolve;

/// Where firmware lies in the initramfs. The kernel looks nowhere else (`fw_path` in `drivers/base/firmware_loader/main.c`) but in the
/// directories of [`places`], which come before it.
const DIRECTORY: &str = "lib/firmware";
/// As the kernel tries them (`_request_firmware` in the same file): it unpacks what its own tree has.
const SUFFIXES: [&str; 3] = ["", ".zst", ".xz"];

/// What the drivers of an initramfs name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firmware {
    /// Files by their paths in the initramfs, with where they lie on this machine, links followed.
    pub files: BTreeMap<String, PathBuf>,
    /// Drivers that name files which the tree does not have.
    pub absent: Vec<Absent>,
}

/// Files that a driver names and the tree does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// The driver.
    pub driver: String,
    /// Their names.
    pub files: Vec<String>,
    /// How many it names in all.
    pub named: usize,
}

/// Looks for the firmware of `names` in the system below `root`. A module that cannot be read names none: packing it says why.
pub fn find<'a>(root: &Path, tree: &ModuleTree, names: impl Iterator<Item = &'a String>) -> Firmware {
    let names: Vec<&String> = names.collect();
    let mut found = Firmware::default();
    for (driver, wanted) in wishes(tree, &names) {
        let mut missing = Vec::new();
        for name in &wanted {
            let files = lookup(root, &tree.version, name);
            if files.is_empty() {
                missing.push(name.clone());
            }
            found.files.extend(files.into_iter().map(|(name, path)| (format!("{DIRECTORY}/{name}"), path)));
        }
        if !missing.is_empty() {
            found.absent.push(Absent { driver, files: missing, named: wanted.len() });
        }
    }
    found
}

/// What each module names, for those that name something; all processors work on it, for every module is unpacked.
fn wishes(tree: &ModuleTree, names: &[&String]) -> BTreeMap<String, Vec<String>> {
    let of = |name: &str| -> Vec<String> {
        let module = tree.file(name).and_then(|file| read_module(&tree.path(&file.path)).ok()).unwrap_or_default();
        named_by(&module)
    };
    let workers = thread::available_parallelism().map_or(1, |count| count.get());
    let share = |first: usize| -> Vec<(String, Vec<String>)> {
        names.iter().skip(first).step_by(workers).map(|name| ((*name).clone(), of(name))).collect()
    };
    let all: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|first| scope.spawn(move || share(first))).collect();
        running.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    all.into_iter().filter(|(_, wanted)| !wanted.is_empty()).collect()
}

/// The values of `firmware=` in a module's section of facts about itself, sorted.
fn named_by(module: &[u8]) -> Vec<String> {
    let Ok(elf) = Elf::parse(module) else { return Vec::new() };
    let section = elf.section_headers.iter().find(|header| elf.shdr_strtab.get_at(header.sh_name) == Some(".modinfo"));
    let bytes = section.and_then(|header| module.get(header.file_range()?)).unwrap_or_default();
    let facts = bytes.split(|byte| *byte == 0).filter_map(|fact| std::str::from_utf8(fact).ok());
    let mut named: Vec<String> = facts.filter_map(|fact| fact.strip_prefix("firmware=")).map(str::to_owned).collect();
    named.sort();
    named.dedup();
    named
}

/// The files that a name stands for, by their names below the directory of firmware. Some modules name several with one pattern.
fn lookup(root: &Path, version: &str, name: &str) -> Vec<(String, PathBuf)> {
    let (dir, last) = name.rsplit_once('/').map_or(("", name), |(dir, last)| (dir, last));
    let is_pattern = last.contains(['*', '?', '[']);
    for place in places(version) {
        let place = Path::new(&place);
        let at = |name: &str| resolve(root, &place.join(name)).filter(|path| path.is_file());
        let found: Vec<_> = match is_pattern {
            true => {
                let all = resolve(root, &place.join(dir)).and_then(|dir| fs::read_dir(dir).ok());
                let names = all.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
                let fits = names.filter(|file| SUFFIXES.iter().any(|end| matches(last, file, end)));
                let full = fits.map(|file| if dir.is_empty() { file } else { format!("{dir}/{file}") });
                full.filter_map(|name| at(&name).map(|path| (name, path))).collect()
            }
            false => {
                let names = SUFFIXES.iter().map(|end| format!("{name}{end}"));
                names.filter_map(|name| at(&name).map(|path| (name, path))).take(1).collect()
            }
        };
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn matches(pattern: &str, file: &str, suffix: &str) -> bool {
    file.strip_suffix(suffix).is_some_and(|bare| glob(pattern.as_bytes(), bare.as_bytes()))
}

/// Where the kernel looks, the first one first.
fn places(version: &str) -> [String; 4] {
    let updates = format!("{DIRECTORY}/updates");
    [format!("{updates}/{version}"), updates, format!("{DIRECTORY}/{version}"), DIRECTORY.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn file(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn firmware_is_found_where_the_kernel_looks_and_as_it_is_packed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for path in [
            "plain",
            "rtl/a.fw.xz",
            "both",
            "both.zst",
            "updates/new",
            "new",
            "6.1/new",
            "w/card-1.bin.zst",
            "w/card-2.bin",
        ] {
            file(root, &format!("usr/lib/firmware/{path}"), path);
        }
        file(root, "elsewhere/target", "linked");
        symlink("usr/lib", root.join("lib")).unwrap();
        // As Debian's firmware has them: relative, and to another name; one leads out of the tree, where this machine has such a file.
        symlink("../../../elsewhere/target", root.join("usr/lib/firmware/link.fw")).unwrap();
        symlink("/etc/hostname", root.join("usr/lib/firmware/out")).unwrap();
        symlink("../../../../../../../../../etc/passwd", root.join("usr/lib/firmware/far")).unwrap();
        fs::create_dir(root.join("usr/lib/firmware/dir")).unwrap();
        for (name, expected) in [
            ("plain", &[("plain", "usr/lib/firmware/plain")][..]),
            ("rtl/a.fw", &[("rtl/a.fw.xz", "usr/lib/firmware/rtl/a.fw.xz")]),
            ("both", &[("both", "usr/lib/firmware/both")]),
            ("new", &[("new", "usr/lib/firmware/updates/new")]),
            ("link.fw", &[("link.fw", "elsewhere/target")]),
            (
                "w/card-*.bin",
                &[
                    ("w/card-1.bin.zst", "usr/lib/firmware/w/card-1.bin.zst"),
                    ("w/card-2.bin", "usr/lib/firmware/w/card-2.bin"),
                ],
            ),
            ("out", &[]),
            ("far", &[]),
            ("dir", &[]),
            ("gone", &[]),
            ("gone/*", &[]),
        ] {
            let mut found = lookup(root, "6.1", name);
            found.sort();
            let expected: Vec<_> = expected.iter().map(|(name, path)| ((*name).to_owned(), root.join(path))).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_module_names_nothing() {
        for bytes in [
            &b""[..],
            b"\x7fELF",
            b"firmware=a\0",
            b"\x7fELF\x02\x01\x01 and firmware=x\0 more of it that is long enough for all",
        ] {
            assert_eq!(named_by(bytes), Vec::<String>::new());
        }
    }
}

//! The kernel's module directory as depmod left it: names, files, dependencies, aliases.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rdlive_media::modindex::{glob, normalise};

use super::beside::is_beside;
use crate::tree::resolve;

/// One module file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleFile {
    /// Path below the module directory, such as `kernel/fs/isofs/isofs.ko.xz` or `updates/dkms/mpt3sas.ko`.
    pub path: String,
    /// All modules it needs, in load order.
    pub deps: Vec<String>,
}

/// Modules to load before and after another, where they exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Soft {
    /// Before.
    pub pre: Vec<String>,
    /// After.
    pub post: Vec<String>,
}

/// All modules of one kernel.
#[derive(Clone, Debug, Default)]
pub struct ModuleTree {
    /// Kernel release.
    pub version: String,
    /// The directory, on this machine.
    pub dir: PathBuf,
    files: BTreeMap<String, ModuleFile>,
    soft: BTreeMap<String, Soft>,
    aliases: Vec<(String, String)>,
    builtin: BTreeSet<String>,
    /// Where the kernel's own modules lie, by their names, also those that others have replaced.
    own: BTreeMap<String, String>,
    /// The system's root, within which links lead.
    root: PathBuf,
}

impl ModuleTree {
    /// Reads depmod's text files from `dir` (`…/lib/modules/VERSION`) of the system below `root`.
    ///
    /// # Errors
    /// When `modules.dep` cannot be read; the other files are optional.
    pub fn read(version: &str, root: &Path, dir: &Path) -> Result<Self> {
        let dep = dir.join("modules.dep");
        let dep = fs::read_to_string(&dep)
            .with_context(|| format!("reading {} (run depmod {version} in the tree)", dep.display()))?;
        let optional = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
        // Weak dependencies only say "may be asked for later": for an initramfs that is a soft dependency after.
        let soft = optional("modules.softdep") + &optional("modules.weakdep").replace("weakdep ", "softdep-weak ");
        let mut tree = Self::from_texts(version, &dep, &soft, &optional("modules.alias"), &optional("modules.builtin"));
        // The kernel's build writes it (Documentation/kbuild/kbuild.rst), so it does not know of others.
        let own = optional("modules.order");
        tree.own = own.lines().map(|path| (module_name(path), path.to_owned())).collect();
        (tree.root, tree.dir) = (root.to_owned(), dir.to_owned());
        Ok(tree)
    }

    /// Parses the texts of `modules.dep`, `modules.softdep`, `modules.alias` and `modules.builtin`.
    pub fn from_texts(version: &str, dep: &str, softdep: &str, alias: &str, builtin: &str) -> Self {
        let mut tree = Self { version: version.to_owned(), ..Self::default() };
        for line in dep.lines() {
            let Some((path, deps)) = line.split_once(':') else { continue };
            // depmod lists the nearest dependency first; loading starts at the far end.
            let deps = deps.split_whitespace().rev().map(module_name).collect();
            tree.files.insert(module_name(path), ModuleFile { path: path.to_owned(), deps });
        }
        for line in softdep.lines() {
            tree.add_softdep(line);
        }
        for line in alias.lines() {
            tree.add_alias(line);
        }
        tree.builtin = builtin.lines().map(module_name).collect();
        tree
    }

    /// Adds a `softdep NAME pre: … post: …` line.
    pub fn add_softdep(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let kind = words.next();
        let Some(name) = words.next().filter(|_| matches!(kind, Some("softdep" | "softdep-weak"))) else { return };
        let entry = self.soft.entry(normalise(name)).or_default();
        // Words without a heading are what old modules wrote; kmod reads them as nothing, we pack them to be safe.
        let mut list = &mut entry.post;
        for word in words {
            match word {
                "pre:" => list = &mut entry.pre,
                "post:" => list = &mut entry.post,
                _ => list.push(word.to_owned()),
            }
        }
    }

    /// Adds an `alias PATTERN NAME` line.
    pub fn add_alias(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("alias ") else { return };
        if let Some((pattern, name)) = rest.trim().rsplit_once(' ') {
            self.aliases.push((pattern.trim().to_owned(), normalise(name)));
        }
    }

    /// Whether a loadable module of this name exists.
    pub fn contains(&self, name: &str) -> bool {
        self.files.contains_key(&normalise(name))
    }

    /// Whether the kernel has it built in.
    pub fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(&normalise(name))
    }

    /// The file of a module.
    pub fn file(&self, name: &str) -> Option<&ModuleFile> {
        self.files.get(&normalise(name))
    }

    /// All modules: name and file.
    pub fn files(&self) -> impl Iterator<Item = (&str, &ModuleFile)> {
        self.files.iter().map(|(name, file)| (name.as_str(), file))
    }

    /// Where a module file lies on this machine. The kmods of some distributions are links with absolute names.
    pub fn path(&self, file: &str) -> PathBuf {
        let path = self.dir.join(file);
        path.strip_prefix(&self.root).ok().and_then(|inside| resolve(&self.root, inside)).unwrap_or(path)
    }

    /// Names of all modules below `kernel/DIR`, and of those beside the kernel's own that lie below such a directory or replace one.
    pub fn below<'a>(&'a self, dir: &str) -> impl Iterator<Item = String> + use<'a> {
        let (own, other) = (format!("kernel/{dir}/"), format!("/{dir}/"));
        let here = move |(name, file): &(&String, &ModuleFile)| match is_beside(&file.path) {
            true => file.path.contains(&other) || self.own.get(*name).is_some_and(|path| path.starts_with(&own)),
            false => file.path.starts_with(&own),
        };
        self.files.iter().filter(here).map(|(name, _)| name.clone())
    }

    /// Names of the modules built into the kernel.
    pub fn builtins(&self) -> impl Iterator<Item = &str> {
        self.builtin.iter().map(String::as_str)
    }

    /// Alias patterns with their modules.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.iter().map(|(pattern, name)| (pattern.as_str(), name.as_str()))
    }

    /// Soft dependencies of a module, aliases such as `crypto-crc32c` resolved, unknown ones left out.
    pub fn soft(&self, name: &str) -> Soft {
        let Some(soft) = self.soft.get(name) else { return Soft::default() };
        let resolve = |names: &[String]| names.iter().flat_map(|name| self.resolve(name)).collect();
        Soft { pre: resolve(&soft.pre), post: resolve(&soft.post) }
    }

    fn resolve(&self, name: &str) -> Vec<String> {
        if self.contains(name) {
            return vec![normalise(name)];
        }
        let matching = self.aliases.iter().filter(|(pattern, _)| glob(pattern.as_bytes(), name.as_bytes()));
        let names: BTreeSet<String> = matching.map(|(_, name)| name.clone()).filter(|n| self.contains(n)).collect();
        names.into_iter().collect()
    }

    /// `wanted` and all that they need, hard and soft.
    pub fn closure(&self, wanted: &BTreeSet<String>) -> BTreeSet<String> {
        let mut done = BTreeSet::new();
        let mut queue: VecDeque<String> = wanted.iter().cloned().collect();
        while let Some(name) = queue.pop_front() {
            let Some(file) = self.files.get(&name) else { continue };
            if done.contains(&name) {
                continue;
            }
            let soft = self.soft(&name);
            queue.extend(file.deps.iter().cloned().chain(soft.pre).chain(soft.post));
            done.insert(name);
        }
        done
    }
}

/// Module name of a path or file name: no directory, no `.ko…`, underscores.
pub fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normalise(file.split(".ko").next().unwrap_or(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> ModuleTree {
        ModuleTree::from_texts(
            "6.1",
            "kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/fs/mbcache.ko.xz\n\
             kernel/fs/jbd2/jbd2.ko.xz:\nkernel/fs/mbcache.ko.xz:\n\
             kernel/crypto/crc32c_generic.ko.xz:\nkernel/crypto/unused.ko.xz:\n\
             kernel/usb-storage.ko.zst: kernel/usbcore.ko.zst kernel/usb-common.ko.zst\n\
             kernel/usbcore.ko.zst: kernel/usb-common.ko.zst\nkernel/usb-common.ko.zst:\nkernel/uas.ko.zst:\n",
            "softdep ext4 pre: crypto-crc32c gone\nsoftdep usb-storage post: uas\n",
            "alias crypto-crc32c crc32c_generic\nalias usb:v*ic08* usb_storage\n",
            "kernel/drivers/virtio/virtio.ko\n",
        )
    }

    #[test]
    fn closure_takes_hard_and_soft_dependencies() {
        for (wanted, expected) in [
            ("ext4", vec!["crc32c_generic", "ext4", "jbd2", "mbcache"]),
            ("usb_storage", vec!["uas", "usb_common", "usb_storage", "usbcore"]),
            ("virtio", vec![]),
        ] {
            let closure = tree().closure(&BTreeSet::from([wanted.to_owned()]));
            assert_eq!(closure.into_iter().collect::<Vec<_>>(), expected, "{wanted}");
        }
    }

    #[test]
    fn dependencies_are_in_load_order() {
        let tree = tree();
        assert_eq!(tree.file("usb-storage").unwrap().deps, ["usb_common", "usbcore"]);
        assert!(tree.is_builtin("virtio") && !tree.contains("virtio"));
        assert_eq!(tree.soft("ext4").pre, ["crc32c_generic"]);
    }

    #[test]
    fn names_from_paths() {
        for (path, name) in
            [("kernel/fs/nls/nls_iso8859-1.ko.xz", "nls_iso8859_1"), ("loop.ko", "loop"), ("kernel/a/b-c.ko.gz", "b_c")]
        {
            assert_eq!(module_name(path), name);
        }
    }
}

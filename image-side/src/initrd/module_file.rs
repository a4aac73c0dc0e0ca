//! How a kernel module is stored in the initramfs: plain, or as zstd that the agent unpacks when it needs the module.

use std::thread;

use anyhow::{Context, Result, anyhow};

use super::decompress::read_module;
use super::kmod::ModuleTree;
use crate::interrupt;

/// Modules that nearly every live boot loads: unpacked with the archive by the kernel's own, faster decompressor. Measured
/// from CD with QEMU's -icount, kernel start to the real init: all plain 15.6 s, none plain 14.1 s, these plain 13.3 s.
const PLAIN: [&str; 13] = [
    "ahci",
    "ata_piix",
    "cdrom",
    "isofs",
    "libahci",
    "libata",
    "loop",
    "overlay",
    "scsi_common",
    "scsi_mod",
    "sd_mod",
    "squashfs",
    "sr_mod",
];

/// zstd's level, here and for the archive. 15 would take half the time (8 s instead of 17 s of one processor for Debian
/// 13's generic initramfs) but miss the goal of 10 MB by 3 %.
pub const LEVEL: i32 = 19;

/// One module to store. Both paths are below the module directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The file in the tree, perhaps compressed by the distribution.
    pub source: String,
    /// The file in the initramfs.
    pub target: String,
}

impl Job {
    /// How the module file `source` is stored.
    pub fn new(source: &str, plain: bool) -> Self {
        let bare = source.split(".ko").next().unwrap_or(source);
        let name = super::kmod::module_name(source);
        let suffix = if plain || PLAIN.contains(&name.as_str()) { "ko" } else { "ko.zst" };
        Self { source: source.to_owned(), target: format!("{bare}.{suffix}") }
    }

    fn content(&self, tree: &ModuleTree) -> Result<Vec<u8>> {
        interrupt::check()?;
        let module = read_module(&tree.path(&self.source))?;
        if !self.target.ends_with(".zst") {
            return Ok(module);
        }
        zstd::bulk::compress(&module, LEVEL).with_context(|| format!("compressing {}", self.source))
    }
}

/// The content of every job, in their order; all processors work on it.
pub fn pack(tree: &ModuleTree, jobs: &[Job]) -> Result<Vec<Vec<u8>>> {
    let workers = thread::available_parallelism().map_or(1, |count| count.get());
    let share = |first: usize| -> Result<Vec<(usize, Vec<u8>)>> {
        let mine = jobs.iter().enumerate().skip(first).step_by(workers);
        mine.map(|(at, job)| Ok((at, job.content(tree)?))).collect()
    };
    let mut packed: Vec<Vec<u8>> = vec![Vec::new(); jobs.len()];
    thread::scope(|scope| -> Result<()> {
        let running: Vec<_> = (0..workers).map(|first| scope.spawn(move || share(first))).collect();
        for worker in running {
            for (at, content) in worker.join().map_err(|_| anyhow!("a packing thread died"))?? {
                packed[at] = content;
            }
        }
        Ok(())
    })?;
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_initramfs() {
        for (source, plain, target) in [
            ("kernel/fs/ext4/ext4.ko.xz", false, "kernel/fs/ext4/ext4.ko.zst"),
            ("kernel/fs/ext4/ext4.ko.xz", true, "kernel/fs/ext4/ext4.ko"),
            ("kernel/a.ko", false, "kernel/a.ko.zst"),
            ("kernel/block/loop.ko.xz", false, "kernel/block/loop.ko"),
            ("kernel/a.ko.zst", false, "kernel/a.ko.zst"),
        ] {
            assert_eq!(Job::new(source, plain).target, target, "{source}");
        }
    }

    #[test]
    fn every_job_gets_its_own_content() {
        let dir = tempfile::tempdir().unwrap();
        let jobs: Vec<Job> = (0..9).map(|number| Job::new(&format!("m{number}.ko"), number % 2 == 0)).collect();
        for (number, job) in jobs.iter().enumerate() {
            std::fs::write(dir.path().join(&job.source), format!("\x7fELF {number}")).unwrap();
        }
        std::fs::write(dir.path().join("modules.dep"), "").unwrap();
        let tree = ModuleTree::read("6.1", dir.path(), dir.path()).unwrap();
        for (number, content) in pack(&tree, &jobs).unwrap().into_iter().enumerate() {
            let plain = if number % 2 == 0 { content } else { zstd::bulk::decompress(&content, 99).unwrap() };
            assert_eq!(plain, format!("\x7fELF {number}").into_bytes(), "{number}");
        }
        let missing = Job::new("gone.ko", false);
        assert!(pack(&tree, &[missing]).unwrap_err().to_string().contains("gone.ko"));
    }
}

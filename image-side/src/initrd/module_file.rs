//! How a kernel module is stored in the initramfs: plain, or as zstd that the agent unpacks when it needs the module. Those share a
//! dictionary, and their tables are stored by columns (docs/decisions/0036-modules-by-columns.md).

use std::io;
use std::thread;

use anyhow::{Context, Result, anyhow};
use rdlive_media::packed;
use zstd::bulk::Compressor;
use zstd::dict::EncoderDictionary;

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

/// Bytes of a dictionary that are tried, the first one that the trainer fills counts. Measured with Debian 13's kernel (355 modules,
/// 61 MB): 110 KiB 9.60 MB, 200 KiB 9.33 MB, 256 KiB 9.25 MB; of 400 KiB it fills 100.
const SIZES: [usize; 5] = [256 << 10, 128 << 10, 64 << 10, 32 << 10, 16 << 10];
/// Bytes of each module that a dictionary is learned from: otherwise a few large ones crowd out what many have.
const SAMPLE: usize = 50_000;

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

    fn is_plain(&self) -> bool {
        !self.target.ends_with(".zst")
    }

    /// The module, with its tables by columns if it is to be compressed.
    fn content(&self, tree: &ModuleTree) -> Result<Vec<u8>> {
        interrupt::check()?;
        let module = read_module(&tree.path(&self.source))?;
        Ok(if self.is_plain() { module } else { packed::pack(module) })
    }

    /// A context for each module: bytes must not depend on what the same thread has compressed before.
    fn compress(&self, content: &[u8], dictionary: Option<&EncoderDictionary<'_>>) -> Result<Vec<u8>> {
        interrupt::check()?;
        let compress = || -> io::Result<Vec<u8>> {
            let mut compressor = match dictionary {
                Some(dictionary) => Compressor::with_prepared_dictionary(dictionary)?,
                None => Compressor::new(LEVEL)?,
            };
            compressor.include_checksum(true)?;
            compressor.compress(content)
        };
        compress().with_context(|| format!("compressing {}", self.source))
    }
}

/// Modules as they are stored.
#[derive(Debug, Default)]
pub struct Packed {
    /// The content of every job, in their order.
    pub files: Vec<Vec<u8>>,
    /// What the compressed ones share, as it is stored ([`packed::seal`]). `None` when there is too little to learn one from.
    pub dictionary: Option<Vec<u8>>,
}

/// Packs every job; all processors work on it. The bytes depend on the modules and their order alone.
///
/// # Errors
/// A module cannot be read, or compressed.
pub fn pack(tree: &ModuleTree, jobs: &[Job]) -> Result<Packed> {
    let mut files = for_each(jobs, |_, job| job.content(tree))?;
    let samples: Vec<&[u8]> =
        jobs.iter().zip(&files).filter(|(job, _)| !job.is_plain()).map(|(_, content)| &content[..]).collect();
    let dictionary = train(&samples);
    let prepared = dictionary.as_deref().map(|dictionary| EncoderDictionary::copy(dictionary, LEVEL));
    let compressed = for_each(jobs, |at, job| match job.is_plain() {
        true => Ok(None),
        false => job.compress(&files[at], prepared.as_ref()).map(Some),
    })?;
    for (file, compressed) in files.iter_mut().zip(compressed) {
        if let Some(compressed) = compressed {
            *file = compressed;
        }
    }
    Ok(Packed { files, dictionary: dictionary.map(|dictionary| packed::seal(&dictionary)) })
}

/// A dictionary for these modules, from their beginnings. `None` if there is too little to learn from, as in a tree with a handful of
/// small modules.
fn train(modules: &[&[u8]]) -> Option<Vec<u8>> {
    let samples: Vec<&[u8]> = modules.iter().map(|module| &module[..module.len().min(SAMPLE)]).collect();
    // Where it is asked for too much, the trainer gives up early, with a tenth of that and no word of it.
    let full = |size: usize| {
        let dictionary = zstd::dict::from_samples(&samples, size).ok()?;
        (dictionary.len() >= size / 4 * 3).then_some(dictionary)
    };
    SIZES.into_iter().find_map(full)
}

/// What `work` makes of every job, in their order; all processors work on it.
fn for_each<T: Send>(jobs: &[Job], work: impl Fn(usize, &Job) -> Result<T> + Sync) -> Result<Vec<T>> {
    let workers = thread::available_parallelism().map_or(1, |count| count.get());
    let share = |first: usize| -> Result<Vec<T>> {
        jobs.iter().enumerate().skip(first).step_by(workers).map(|(at, job)| work(at, job)).collect()
    };
    thread::scope(|scope| -> Result<Vec<T>> {
        let share = &share;
        let running: Vec<_> = (0..workers).map(|first| scope.spawn(move || share(first))).collect();
        let done: Vec<Result<Vec<T>>> =
            running.into_iter().map(|worker| worker.join().map_err(|_| anyhow!("a packing thread died"))?).collect();
        let mut shares = Vec::new();
        for share in done {
            shares.push(share?.into_iter());
        }
        Ok((0..jobs.len()).filter_map(|at| shares[at % workers].next()).collect())
    })
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

    /// A tree with these modules as files below its directory, and their jobs.
    fn tree(dir: &std::path::Path, modules: &[(String, Vec<u8>)]) -> (ModuleTree, Vec<Job>) {
        for (name, content) in modules {
            std::fs::write(dir.join(name), content).unwrap();
        }
        std::fs::write(dir.join("modules.dep"), "").unwrap();
        let jobs = modules.iter().enumerate().map(|(number, (name, _))| Job::new(name, number % 4 == 1)).collect();
        (ModuleTree::read("6.1", dir, dir).unwrap(), jobs)
    }

    #[test]
    fn every_job_gets_its_own_content() {
        let dir = tempfile::tempdir().unwrap();
        let modules: Vec<_> =
            (0..9).map(|number| (format!("m{number}.ko"), format!("\x7fELF {number}").into_bytes())).collect();
        let (tree, jobs) = tree(dir.path(), &modules);
        let packed = pack(&tree, &jobs).unwrap();
        assert_eq!(packed.dictionary, None, "there is nothing to learn");
        for (number, content) in packed.files.into_iter().enumerate() {
            let plain = if number % 4 == 1 { content } else { zstd::bulk::decompress(&content, 99).unwrap() };
            assert_eq!(plain, modules[number].1, "{number}");
        }
        let missing = Job::new("gone.ko", false);
        assert!(pack(&tree, &[missing]).unwrap_err().to_string().contains("gone.ko"));
    }

    /// Modules of which each has most in common with one other.
    fn alike() -> Vec<(String, Vec<u8>)> {
        let mut seed = 1_u64;
        let mut noise = |length: usize| -> Vec<u8> {
            let byte = |_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 56) as u8
            };
            (0..length).map(byte).collect()
        };
        let shared: Vec<Vec<u8>> = (0..50).map(|_| noise(200)).collect();
        let mut module = |number: usize| {
            let parts = (0..120).flat_map(|part| [shared[(number * 7 + part * 3) % 50].clone(), noise(300)]);
            [b"\x7fELF".to_vec(), parts.collect::<Vec<_>>().concat()].concat()
        };
        (0..60).map(|number| (format!("m{number:02}.ko"), module(number))).collect()
    }

    #[test]
    fn modules_share_a_dictionary_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let modules = alike();
        let (tree, jobs) = tree(dir.path(), &modules);
        let packed = pack(&tree, &jobs).unwrap();
        let stored = packed.dictionary.as_deref().unwrap();
        let dictionary = packed::unseal(stored).unwrap();
        let mut with = zstd::bulk::Decompressor::with_dictionary(dictionary).unwrap();
        for (number, (job, content)) in jobs.iter().zip(&packed.files).enumerate() {
            if job.is_plain() {
                assert_eq!(*content, modules[number].1, "{number}");
                continue;
            }
            let back = with.decompress(content, 1 << 20).unwrap();
            assert_eq!(packed::unpack(back).unwrap(), modules[number].1, "{number}");
            assert!(zstd::bulk::decompress(content, 1 << 20).is_err(), "it is of use");
        }
        let again = pack(&tree, &jobs).unwrap();
        assert!(again.files == packed.files && again.dictionary == packed.dictionary, "the same input, the same bytes");
    }
}

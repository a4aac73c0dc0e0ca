//! How large an image is, how much of it is holes, and how much RAM there is.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::block;
use crate::env::Env;
use crate::facts::RamFacts;

/// Bytes that one page of a tmpfs file takes, and the largest block of the file systems that are containers.
const PAGE: u64 = 4096;

/// Looks at an image and at the machine's memory.
///
/// # Errors
/// The error of opening or reading the image.
pub fn facts(env: &Env, image: &Path) -> io::Result<RamFacts> {
    let file = File::open(env.path(image))?;
    let device = file.metadata()?.file_type().is_block_device();
    let size = seek(&file, SeekFrom::End(0))?;
    let bytes = if device {
        // A disk or partition is larger than the image that was written to it.
        let (found, _) = block::identify(env, image)?;
        // A loop device shows whole sectors, and a file system reads whole blocks.
        let counted = found.and_then(|found| found.size).and_then(|bytes| bytes.checked_next_multiple_of(PAGE));
        counted.unwrap_or(size).min(size)
    } else {
        size
    };
    let mut data = 0;
    let mut at = 0;
    while let Some((start, end)) = next_data(&file, at, bytes)? {
        data += end.next_multiple_of(PAGE) - start / PAGE * PAGE;
        at = end;
    }
    let huge_pages = env.path("sys/kernel/mm/transparent_hugepage/shmem_enabled").exists();
    Ok(RamFacts { bytes, data, available: available(env).unwrap_or(0), huge_pages, sha256: None })
}

/// The next stretch of data at or after `from` and before `end`, as the file system knows it; all of it where it does
/// not.
///
/// # Errors
/// The error of the search.
pub fn next_data(file: impl AsFd, from: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    if from >= end {
        return Ok(None);
    }
    let start = match seek(&file, SeekFrom::Data(from)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // Block devices and some file systems know of no holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((from, end))),
        Err(errno) => return Err(errno.into()),
    };
    if start >= end {
        return Ok(None);
    }
    let stop = seek(&file, SeekFrom::Hole(start))?;
    Ok(Some((start, stop.clamp(start + 1, end))))
}

/// Bytes of RAM that programs can get without swapping; `None` if the kernel does not say.
pub(crate) fn available(env: &Env) -> Option<u64> {
    let text = env.text("proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn holes_are_not_counted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc")).unwrap();
        let meminfo = "MemTotal:  2000 kB\nMemFree: 1 kB\nMemAvailable:     1500 kB\n";
        std::fs::write(dir.path().join("proc/meminfo"), meminfo).unwrap();
        let file = File::create(dir.path().join("image")).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(&[1; 8192], 16 << 20).unwrap();
        file.sync_all().unwrap();
        let facts = facts(&Env::new(dir.path()), Path::new("/image")).unwrap();
        assert_eq!(facts.bytes, 64 << 20);
        // A file system may round a stretch up to its own blocks, but never to the whole file.
        assert!((8192..=1 << 20).contains(&facts.data), "{facts:?}");
        assert_eq!((facts.available, facts.huge_pages), (1500 * 1024, false));
    }
}

//! The log of everything a guest wrote to a disk, in the format of the kernel's dm-log-writes, as QEMU's block driver
//! `blklogwrites` keeps it.
//!
//! All numbers are little-endian. The first sector holds magic, version, the count of entries and the size of a sector. Each
//! entry is one sector (place, length, flags) with the data behind it. A mark is an entry without data, whose text is in its
//! own sector; QEMU makes none, [`with_marks`] puts them in.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;
const KNOWN: u64 = FLUSH | FUA | DISCARD | MARK;
/// Bytes of an entry's fields, in front of a mark's text.
const FIELDS: usize = 32;

/// What one entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Bytes were written.
    Write {
        /// First byte on the disk.
        at: u64,
        /// Bytes, whole sectors.
        length: u64,
        /// Where they are in the log.
        data: u64,
        /// It was on the disk when it ended, whatever the cache does.
        durable: bool,
    },
    /// All that had ended before was on the disk when this ended.
    Flush,
    /// The range holds nothing any more.
    Discard,
    /// Something outside of the disk happened here.
    Mark(String),
}

/// One entry and where it begins in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// First byte in the log.
    pub start: u64,
    /// What it says.
    pub what: What,
}

/// A log; the data stay in the file.
#[derive(Debug)]
pub struct Log {
    file: File,
    sector: u64,
    /// In the order in which they ended.
    pub entries: Vec<Entry>,
}

impl Log {
    /// Reads all entries up to the end of the file. The count in the first sector is only kept up to date at flushes, so
    /// there may be more than it says, never fewer.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let end = file.metadata()?.len();
        let head = fields(&file, 0)?;
        ensure!(head[0] == MAGIC && head[1] == VERSION, "{} is no write log", path.display());
        let sector = head[3] & u64::from(u32::MAX);
        ensure!(sector.is_power_of_two() && sector >= 512, "sectors of {sector} bytes");
        let mut log = Self { file, sector, entries: Vec::new() };
        let mut start = sector;
        while start + FIELDS as u64 <= end {
            let (what, next) = log.entry(start)?;
            ensure!(next <= end, "entry {} at {start} is cut off", log.entries.len());
            log.entries.push(Entry { start, what });
            start = next;
        }
        ensure!(log.entries.len() as u64 >= head[2], "{} of {} entries are there", log.entries.len(), head[2]);
        Ok(log)
    }

    /// An entry and the place of the next.
    fn entry(&self, start: u64) -> Result<(What, u64)> {
        let [place, sectors, flags, text] = fields(&self.file, start)?;
        ensure!(flags & !KNOWN == 0, "unknown flags {flags:#x} in the entry at {start}");
        let data = start + self.sector;
        if flags & MARK != 0 {
            ensure!(text <= self.sector - FIELDS as u64, "a mark of {text} bytes at {start}");
            let mut bytes = vec![0; text as usize];
            self.file.read_exact_at(&mut bytes, start + FIELDS as u64)?;
            return Ok((What::Mark(String::from_utf8_lossy(&bytes).into_owned()), data));
        }
        if flags & DISCARD != 0 {
            return Ok((What::Discard, data));
        }
        let length = sectors.checked_mul(self.sector).context("a length beyond 64 bits")?;
        let at = place.checked_mul(self.sector).context("a place beyond 64 bits")?;
        let what = match (flags & FLUSH != 0, length) {
            (true, 0) => What::Flush,
            (true, _) => bail!("a flush with data at {start}"),
            (false, _) => What::Write { at, length, data, durable: flags & FUA != 0 },
        };
        Ok((what, data.checked_add(length).context("a length beyond 64 bits")?))
    }

    /// The bytes of a write.
    pub fn bytes(&self, data: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length)?];
        self.file.read_exact_at(&mut bytes, data).context("reading the log")?;
        Ok(bytes)
    }
}

fn fields(file: &File, at: u64) -> Result<[u64; 4]> {
    let mut bytes = [0; FIELDS];
    file.read_exact_at(&mut bytes, at).context("reading the log")?;
    let field = |index: usize| bytes[index * 8..].first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk));
    Ok([field(0), field(1), field(2), field(3)])
}

/// Copies a log and puts marks in. Each comes with the length that the log had when the event was seen: whatever had begun
/// to be logged by then stays in front of it.
pub fn with_marks(from: &Path, marks: &[(u64, String)], to: &Path) -> Result<()> {
    let log = Log::read(from)?;
    let mut out = BufWriter::new(File::create(to)?);
    let count = (log.entries.len() + marks.len()) as u64;
    let mut sector = vec![0; usize::try_from(log.sector)?];
    put(&mut sector, [MAGIC, VERSION, count, log.sector]);
    out.write_all(&sector)?;
    let mut marks = marks.iter().peekable();
    for (index, entry) in log.entries.iter().enumerate() {
        while let Some((_, text)) = marks.next_if(|(length, _)| *length <= entry.start) {
            out.write_all(&mark(log.sector, text)?)?;
        }
        let end = log.entries.get(index + 1).map_or(log.file.metadata()?.len(), |next| next.start);
        out.write_all(&log.bytes(entry.start, end - entry.start)?)?;
    }
    for (_, text) in marks {
        out.write_all(&mark(log.sector, text)?)?;
    }
    out.flush().context("writing the marked log")
}

fn mark(sector: u64, text: &str) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(sector)?];
    put(&mut bytes, [0, 0, MARK, text.len() as u64]);
    let room = bytes.get_mut(FIELDS..FIELDS + text.len()).context("a mark longer than a sector")?;
    room.copy_from_slice(text.as_bytes());
    Ok(bytes)
}

fn put(bytes: &mut [u8], fields: [u64; 4]) {
    for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
        place.copy_from_slice(&field.to_le_bytes());
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A log of sectors of 512 bytes: (place, bytes' value, sectors, flags).
    pub fn sample(entries: &[(u64, u8, u64, u64)]) -> Vec<u8> {
        let mut log = vec![0; 512];
        put(&mut log, [MAGIC, VERSION, entries.len() as u64, 512]);
        for (place, value, sectors, flags) in entries {
            let mut head = vec![0; 512];
            put(&mut head, [*place, *sectors, *flags, 0]);
            log.extend(head);
            if flags & DISCARD == 0 {
                log.resize(log.len() + *sectors as usize * 512, *value);
            }
        }
        log
    }

    /// A file in its own directory.
    pub fn file(name: &str, bytes: &[u8]) -> (std::path::PathBuf, Removed) {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("lab-powercut-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(name), bytes).unwrap();
        (dir.join(name), Removed(dir))
    }

    pub struct Removed(std::path::PathBuf);

    impl Drop for Removed {
        fn drop(&mut self) {
            let _ = crate::remove::tree(&self.0);
        }
    }

    #[test]
    fn writes_flushes_and_discards_are_read() {
        let (path, _dir) = file("log", &sample(&[(8, 1, 2, 0), (0, 0, 0, FLUSH), (64, 0, 9, DISCARD), (3, 2, 1, FUA)]));
        let log = Log::read(&path).unwrap();
        let what: Vec<_> = log.entries.iter().map(|entry| entry.what.clone()).collect();
        let expected = [
            What::Write { at: 4096, length: 1024, data: 1024, durable: false },
            What::Flush,
            What::Discard,
            What::Write { at: 1536, length: 512, data: 3584, durable: true },
        ];
        assert_eq!(what, expected);
        assert_eq!(log.bytes(3584, 512).unwrap(), [2; 512]);
    }

    #[test]
    fn damaged_logs_are_refused() {
        let sound = sample(&[(8, 1, 2, 0), (0, 0, 0, FLUSH)]);
        let with = |at: usize, value: u8| {
            let mut bytes = sound.clone();
            bytes[at] = value;
            bytes
        };
        let rows = [
            ("no magic", with(0, 9), "no write log"),
            ("an odd sector", with(24, 3), "sectors of"),
            ("entries are missing", with(16, 7), "of 7 entries"),
            ("an unknown flag", with(512 + 16, 64), "unknown flags"),
            ("a flush with data", with(512 + 16, 1), "flush with data"),
            ("cut off", sound[..1100].to_vec(), "cut off"),
            ("a length beyond everything", with(512 + 15, 0xff), "beyond 64 bits"),
        ];
        for (name, bytes, words) in rows {
            let (path, _dir) = file("log", &bytes);
            let error = Log::read(&path).unwrap_err().to_string();
            assert!(error.contains(words), "{name}: {error}");
        }
    }

    #[test]
    fn marks_stand_behind_all_that_had_begun() {
        let (path, _dir) = file("log", &sample(&[(8, 1, 2, 0), (0, 0, 0, FLUSH), (9, 2, 1, 0)]));
        // The entries begin at 512, 2048 and 2560, the log ends at 3584.
        let marks = [(512, "first"), (2049, "second"), (2049, "third"), (3584, "last")];
        let marks: Vec<_> = marks.iter().map(|(length, text)| (*length, (*text).to_owned())).collect();
        let out = path.with_extension("marked");
        with_marks(&path, &marks, &out).unwrap();
        let log = Log::read(&out).unwrap();
        let shown: Vec<String> = log
            .entries
            .iter()
            .map(|entry| match &entry.what {
                What::Write { at, length, data, .. } => format!("{at} {:?}", log.bytes(*data, *length).unwrap()[0]),
                What::Mark(text) => text.clone(),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(shown, ["first", "4096 1", "Flush", "second", "third", "4608 2", "last"]);
    }
}

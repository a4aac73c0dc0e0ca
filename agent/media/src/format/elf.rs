//! Programs (elf(5)): for which processor they are, and which loader starts them.

use std::ffi::OsStr;
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::Error;
use super::bytes::{Fields, read_at};

const WHAT: &str = "program";
/// The longer of the two headers.
const HEADER: usize = 64;
/// So many segments are looked at: programs have about a dozen.
const MAX_SEGMENTS: u16 = 64;
/// The longest entry in the table of segments that is looked at; 56 bytes are usual.
const MAX_ENTRY: u16 = 256;
/// The longest name of a loader that the kernel takes (`PATH_MAX`).
const MAX_NAME: u64 = 4096;
/// The type of the segment that names the loader.
const INTERPRETER: u32 = 3;

/// What this machine executes: its own programs and those of its older half, by the number of their processor and whether their words
/// have 64 bits.
const OWN: &[(u16, bool)] = match () {
    () if cfg!(target_arch = "x86_64") => &[(62, true), (3, false)],
    () if cfg!(target_arch = "aarch64") => &[(183, true), (40, false)],
    () => &[],
};

/// Names of processors by their numbers (`e_machine`).
const PROCESSORS: [(u16, &str); 10] = [
    (3, "x86 (32 bits)"),
    (8, "mips"),
    (20, "powerpc"),
    (21, "powerpc64"),
    (22, "s390x"),
    (40, "arm (32 bits)"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv64"),
    (258, "loongarch64"),
];

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    machine: u16,
    is_64: bool,
    /// The path of the loader that starts it; `None` for one that needs none.
    pub loader: Option<PathBuf>,
}

impl Program {
    /// Whether a machine like the one that this was built for executes it; a kernel can be built to refuse the older half.
    #[must_use]
    pub fn is_native(&self) -> bool {
        OWN.is_empty() || OWN.contains(&(self.machine, self.is_64))
    }

    /// Its processor, for a person.
    #[must_use]
    pub fn processor(&self) -> String {
        let known = PROCESSORS.iter().find(|(number, _)| *number == self.machine);
        known.map_or_else(|| format!("machine {}", self.machine), |(_, name)| (*name).to_owned())
    }
}

/// The header of a program, of either length and order.
struct Layout {
    is_64: bool,
    is_big: bool,
    machine: u16,
    /// Where its segments are listed, bytes of an entry, how many.
    table: u64,
    entry: u16,
    entries: u16,
}

impl Layout {
    fn of(head: &[u8]) -> Option<Self> {
        head.has(0, b"\x7fELF").then_some(())?;
        let (is_64, is_big) = (head.u8(4)? == 2, head.u8(5)? == 2);
        let half = |at| if is_big { head.be16(at) } else { head.le16(at) };
        let table = match (is_64, is_big) {
            (true, true) => head.be64(32)?,
            (true, false) => head.le64(32)?,
            (false, true) => head.be32(28)?.into(),
            (false, false) => head.le32(28)?.into(),
        };
        let (entry, entries) = if is_64 { (half(54)?, half(56)?) } else { (half(42)?, half(44)?) };
        let least = if is_64 { 56 } else { 32 };
        let fits = (least..=MAX_ENTRY).contains(&entry) && entries > 0;
        fits.then_some(Self { is_64, is_big, machine: half(18)?, table, entry, entries })
    }

    /// Place and length of the loader's name, in the entry of the segment that has it.
    fn loader(&self, entry: &[u8]) -> Option<(u64, u64)> {
        let word = |at| if self.is_big { entry.be32(at) } else { entry.le32(at) };
        let long = |at| if self.is_big { entry.be64(at) } else { entry.le64(at) };
        (word(0)? == INTERPRETER).then_some(())?;
        match self.is_64 {
            true => Some((long(8)?, long(32)?)),
            false => Some((u64::from(word(4)?), u64::from(word(16)?))),
        }
    }
}

/// What a file is, if it is a program. One that is cut short is none.
///
/// # Errors
/// Of reading.
pub fn program(file: &mut (impl Read + Seek)) -> Result<Option<Program>, Error> {
    let head = read_at(file, WHAT, 0, HEADER)?;
    let Some(layout) = Layout::of(&head) else { return Ok(None) };
    let mut found = Program { machine: layout.machine, is_64: layout.is_64, loader: None };
    let entry = usize::from(layout.entry);
    let length = entry * usize::from(layout.entries.min(MAX_SEGMENTS));
    let table = read_at(file, WHAT, layout.table, length)?;
    if table.len() < length {
        return Ok(None);
    }
    let Some((at, length)) = table.chunks_exact(entry).find_map(|entry| layout.loader(entry)) else {
        return Ok(Some(found));
    };
    let Some(length) = usize::try_from(length).ok().filter(|length| (2..=MAX_NAME as usize).contains(length)) else {
        return Ok(None);
    };
    let name = read_at(file, WHAT, at, length)?;
    if name.len() < length {
        return Ok(None);
    }
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    found.loader = Some(PathBuf::from(OsStr::from_bytes(&name[..end])));
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A program with two segments, the second of which names its loader.
    fn sample() -> Vec<u8> {
        let mut bytes = vec![0; 256];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&183_u16.to_le_bytes());
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..58].copy_from_slice(&[56, 0, 2, 0]);
        let segment = 64 + 56;
        bytes[segment] = 3;
        bytes[segment + 8..segment + 16].copy_from_slice(&200_u64.to_le_bytes());
        bytes[segment + 32..segment + 40].copy_from_slice(&11_u64.to_le_bytes());
        bytes[200..211].copy_from_slice(b"/lib/ld.so\0");
        bytes
    }

    fn of(bytes: &[u8]) -> Option<Program> {
        program(&mut Cursor::new(bytes)).unwrap()
    }

    /// The same with words of 32 bits, the highest byte first.
    fn short() -> Vec<u8> {
        let mut bytes = vec![0; 256];
        bytes[..6].copy_from_slice(b"\x7fELF\x01\x02");
        bytes[18..20].copy_from_slice(&8_u16.to_be_bytes());
        bytes[28..32].copy_from_slice(&64_u32.to_be_bytes());
        bytes[42..46].copy_from_slice(&[0, 32, 0, 2]);
        let segment = 64 + 32;
        bytes[segment + 3] = 3;
        bytes[segment + 7] = 200;
        bytes[segment + 19] = 11;
        bytes[200..211].copy_from_slice(b"/lib/ld.so\0");
        bytes
    }

    #[test]
    fn processor_and_loader() {
        for (bytes, processor) in [(sample(), "aarch64"), (short(), "mips")] {
            let found = of(&bytes).unwrap();
            assert_eq!((found.processor().as_str(), found.loader), (processor, Some(PathBuf::from("/lib/ld.so"))));
        }
        let mut own = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(program(&mut own).unwrap().unwrap().is_native());
    }

    #[test]
    fn a_machine_runs_its_own_programs_and_those_of_its_older_half() {
        for (machine, is_64, on_x86, on_arm) in [
            (62, true, true, false),
            (3, false, true, false),
            // x32: the same processor, other words.
            (62, false, false, false),
            (183, true, false, true),
            (40, false, false, true),
            (8, false, false, false),
        ] {
            let found = Program { machine, is_64, loader: None };
            let expected = if cfg!(target_arch = "aarch64") { on_arm } else { on_x86 };
            assert_eq!(found.is_native(), expected, "{machine} {is_64}");
        }
    }

    #[test]
    fn what_is_no_program_and_what_is_cut_or_altered() {
        assert_eq!(of(b"#!/bin/sh\n"), None);
        assert_eq!(of(b""), None);
        for whole in [sample(), short()] {
            for length in 0..whole.len() {
                assert_eq!(of(&whole[..length]).is_some(), length >= 211, "{length}");
            }
            for at in 0..whole.len() {
                for byte in [0, 1, 0x7f, 0xff] {
                    let mut altered = whole.clone();
                    altered[at] = byte;
                    let _ = of(&altered);
                }
            }
        }
    }
}

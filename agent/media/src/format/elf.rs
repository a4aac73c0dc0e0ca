//! Programs (elf(5)): for which processor they are, and which loader starts them. The machines that the agent runs on have words of 64
//! bits with the lowest byte first; of other programs nothing but the processor is told.

use std::io::{Read, Seek};

use super::Error;
use super::bytes::{Fields, read_at};

const WHAT: &str = "program";
/// The header of a file with words of 64 bits.
const HEADER: usize = 64;
/// An entry in the table of segments.
const ENTRY: usize = 56;
/// So many segments are looked at: programs have about a dozen.
const MAX_SEGMENTS: u16 = 64;
/// The name of a loader is shorter.
const MAX_NAME: u64 = 256;
/// The type of the segment that names the loader.
const INTERPRETER: u32 = 3;

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The number of its processor (`e_machine`).
    machine: u16,
    /// Its words have 64 bits, with the lowest byte first.
    is_64: bool,
    /// The path of the loader that starts it; `None` for one that needs none.
    pub loader: Option<String>,
}

impl Program {
    /// Whether it is for the processor that this was built for.
    #[must_use]
    pub fn is_native(&self) -> bool {
        let own = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
        self.is_64 && self.machine == own
    }

    /// Its processor, for a person.
    #[must_use]
    pub fn processor(&self) -> String {
        let name = match self.machine {
            3 => "x86",
            8 => "mips",
            21 => "ppc64",
            22 => "s390",
            40 => "arm",
            62 => "x86-64",
            183 => "aarch64",
            243 => "riscv",
            258 => "loongarch",
            other => return format!("of the number {other}"),
        };
        name.to_owned()
    }
}

/// What a file is, if it is a program. One that is cut short is none.
///
/// # Errors
/// Of reading.
pub fn program(file: &mut (impl Read + Seek)) -> Result<Option<Program>, Error> {
    let head = read_at(file, WHAT, 0, HEADER)?;
    let head = head.as_slice();
    let (true, Some(class), Some(order)) = (head.has(0, b"\x7fELF"), head.u8(4), head.u8(5)) else { return Ok(None) };
    let Some(machine) = (if order == 2 { head.be16(18) } else { head.le16(18) }) else { return Ok(None) };
    let mut found = Program { machine, is_64: (class, order) == (2, 1), loader: None };
    if !found.is_64 {
        return Ok(Some(found));
    }
    let (Some(at), Some(entry), Some(count)) = (head.le64(32), head.le16(54), head.le16(56)) else { return Ok(None) };
    if usize::from(entry) != ENTRY {
        return Ok(None);
    }
    let table = read_at(file, WHAT, at, ENTRY * usize::from(count.min(MAX_SEGMENTS)))?;
    if let Some(segment) = table.chunks(ENTRY).find(|segment| segment.le32(0) == Some(INTERPRETER)) {
        let (Some(at), Some(length)) = (segment.le64(8), segment.le64(32)) else { return Ok(None) };
        let name = read_at(file, WHAT, at, length.min(MAX_NAME) as usize)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        found.loader = Some(String::from_utf8_lossy(name).into_owned());
    }
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
        let segment = 64 + ENTRY;
        bytes[segment] = 3;
        bytes[segment + 8..segment + 16].copy_from_slice(&200_u64.to_le_bytes());
        bytes[segment + 32..segment + 40].copy_from_slice(&11_u64.to_le_bytes());
        bytes[200..211].copy_from_slice(b"/lib/ld.so\0");
        bytes
    }

    fn of(bytes: &[u8]) -> Option<Program> {
        program(&mut Cursor::new(bytes)).unwrap()
    }

    #[test]
    fn processor_and_loader() {
        let found = of(&sample()).unwrap();
        assert_eq!((found.processor().as_str(), found.loader.as_deref()), ("aarch64", Some("/lib/ld.so")));
        let mut big = sample();
        big[4..6].copy_from_slice(&[1, 2]);
        big[18..20].copy_from_slice(&8_u16.to_be_bytes());
        let big = of(&big).unwrap();
        assert_eq!((big.processor().as_str(), big.loader.as_deref(), big.is_native()), ("mips", None, false));
        // x32: the same processor, other words.
        let mut short = sample();
        (short[4], short[18]) = (1, 62);
        assert!(!of(&short).unwrap().is_native());
        let mut own = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(program(&mut own).unwrap().unwrap().is_native());
    }

    #[test]
    fn what_is_no_program_and_what_is_cut_or_altered() {
        assert_eq!(of(b"#!/bin/sh\n"), None);
        assert_eq!(of(b""), None);
        let whole = sample();
        for length in 0..whole.len() {
            let found = of(&whole[..length]);
            // The rest of the header says nothing here.
            assert!(length >= 58 || found.is_none(), "{length}");
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

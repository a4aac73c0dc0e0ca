//! Is a program static? Nothing else can be the first program of an initramfs without libraries.

use std::fs;
use std::path::Path;

/// How a program finds its libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// It needs none.
    Static,
    /// It names a dynamic loader.
    Dynamic,
    /// Not a 64-bit ELF program, or unreadable.
    Unknown,
}

/// Looks for an interpreter in the program headers of `path`.
pub fn linkage(path: &Path) -> Linkage {
    match fs::read(path).ok().as_deref().and_then(has_interpreter) {
        Some(false) => Linkage::Static,
        Some(true) => Linkage::Dynamic,
        None => Linkage::Unknown,
    }
}

fn has_interpreter(elf: &[u8]) -> Option<bool> {
    const INTERPRETER: u32 = 3;
    if elf.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let word = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    let start = usize::try_from(u64::from_le_bytes(elf.get(32..40)?.try_into().ok()?)).ok()?;
    let (size, count) = (usize::from(word(54)?), usize::from(word(56)?));
    for header in 0..count {
        let at = start.checked_add(header * size)?;
        let kind = u32::from_le_bytes(elf.get(at..at.checked_add(4)?)?.try_into().ok()?);
        if kind == INTERPRETER {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(kinds: &[u32]) -> Vec<u8> {
        let mut elf = vec![0; 64];
        elf[..5].copy_from_slice(b"\x7fELF\x02");
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = kinds.len() as u8;
        for kind in kinds {
            let mut header = vec![0; 56];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            elf.extend(header);
        }
        elf
    }

    #[test]
    fn static_programs_have_no_interpreter() {
        for (bytes, expected) in [
            (elf(&[1, 1]), Some(false)),
            (elf(&[6, 3, 1]), Some(true)),
            (b"#!/bin/sh\n".to_vec(), None),
            (elf(&[1])[..70].to_vec(), Some(false)),
            (elf(&[1])[..66].to_vec(), None),
        ] {
            assert_eq!(has_interpreter(&bytes), expected, "{} bytes", bytes.len());
        }
    }
}

//! A shell for the rescue prompt: a busybox that needs no libraries.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::tree::resolve;

/// A static busybox of the tree, else of this machine.
///
/// # Errors
/// When there is none; the text names the packages.
pub fn find(root: &Path) -> Result<PathBuf> {
    let places = ["usr/bin/busybox", "bin/busybox", "usr/sbin/busybox", "sbin/busybox"];
    let of = |root: &Path| places.iter().filter_map(|path| resolve(root, Path::new(path))).find(|path| is_static(path));
    match of(root).or_else(|| of(Path::new("/"))) {
        Some(path) => Ok(path),
        None => bail!(
            "--shell needs a static busybox in {} or on this machine (Debian package busybox-static, Fedora package busybox)",
            root.display()
        ),
    }
}

/// Whether the file is a 64-bit ELF program without an interpreter.
fn is_static(path: &Path) -> bool {
    fs::read(path).is_ok_and(|elf| has_interpreter(&elf) == Some(false))
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

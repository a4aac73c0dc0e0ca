//! Is there room? Asked before any work, with numbers (image-builder spec B-33, B-34).

use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::fs::statvfs;

use crate::progress::human;

/// One file that will be written, with its estimated size in bytes.
#[derive(Clone, Debug)]
pub struct Need {
    /// What it is, for a person.
    pub what: &'static str,
    /// Estimated size in bytes.
    pub bytes: u64,
}

/// Free bytes for an unprivileged writer in `dir`.
///
/// # Errors
/// When `dir` cannot be examined.
pub fn free(dir: &Path) -> Result<u64> {
    let stat = statvfs(dir).with_context(|| format!("asking for free space in {}", dir.display()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Refuses when `dir` has less room than `needs` together.
///
/// # Errors
/// Names every need, the sum and what is free.
pub fn require(dir: &Path, needs: &[Need]) -> Result<()> {
    let free = free(dir)?;
    let sum = sum(needs);
    if sum <= free {
        return Ok(());
    }
    let list: Vec<String> = needs.iter().map(|need| format!("{} {}", need.what, human(need.bytes))).collect();
    bail!(
        "not enough space in {}: about {} needed ({}), {} free",
        dir.display(),
        human(sum),
        list.join(", "),
        human(free)
    );
}

/// All needs together, in bytes.
pub fn sum(needs: &[Need]) -> u64 {
    needs.iter().map(|need| need.bytes).sum()
}

/// Adds "the disk is full" with numbers to the failure of writing `file`, when the file system of `dir` is nearly full.
pub fn explain<T>(result: Result<T>, dir: &Path, file: &Path, needed: u64) -> Result<T> {
    let says_full = |text: &str| FULL.iter().any(|part| text.contains(part));
    result.map_err(|error| match free(dir) {
        Ok(free) if free < (4 << 20) || says_full(&format!("{error:#}")) => error.context(format!(
            "writing {}: the file system of {} is full; about {} needed, {} left",
            file.display(),
            dir.display(),
            human(needed),
            human(free)
        )),
        _ => error,
    })
}

/// How the kernel and xorriso say that a disk is full.
const FULL: [&str; 2] = ["No space left", "exceeds free space"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b34_the_refusal_has_all_numbers() {
        let needs = [Need { what: "container", bytes: 1 << 60 }, Need { what: "ISO", bytes: 1 << 60 }];
        let text = require(Path::new("/"), &needs).unwrap_err().to_string();
        for part in ["container 1073741824.00 GiB", "ISO", "free", "2147483648.00 GiB needed"] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
        require(Path::new("/"), &[]).unwrap();
    }
}

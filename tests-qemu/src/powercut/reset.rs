//! Cuts while an area is emptied: what was in it, where to cut, and what the boot after the cut may see.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::log::{Log, What};

/// A bash script that makes `$1.area` with [`OLD`] changes. So many directories do not go in one transaction of a journal.
pub const CHANGES: &str = r#"
    mkdir -p "$1.tree/work"; for n in $(seq 1500); do mkdir -p "$1.tree/rw/dir$n"; echo old > "$1.tree/rw/dir$n/old"; done
    truncate -s 64M "$1.area"; mke2fs -q -F -t ext4 -L cow -d "$1.tree" "$1.area"; rm -r --one-file-system "$1.tree""#;

/// Files named `old` in that area.
pub const OLD: u32 = 1500;

/// What the boot after the cut says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An area of this image, in which the old changes may be.
    Own,
    /// One that must be empty, for the old changes were another image's.
    Taken,
    /// The area of another image: changes went to RAM.
    Left,
}

/// Reads the report.
pub fn seen(report: &Value, other: bool) -> Result<Seen> {
    let fallbacks = report["fallbacks"].as_array().cloned().unwrap_or_default();
    match (report["write_mode"]["persistence"].as_str().unwrap_or_default(), other) {
        ("partition", false) if fallbacks.is_empty() => Ok(Seen::Own),
        ("partition", true) if fallbacks.is_empty() => Ok(Seen::Taken),
        ("temporary", true) => {
            let told = fallbacks.iter().any(|text| text.as_str().is_some_and(|text| text.contains("RDL-051")));
            ensure!(told, "changes went to RAM for another reason: {fallbacks:?}");
            Ok(Seen::Left)
        }
        (other, _) => bail!("after the cut it is {other}: {fallbacks:?}"),
    }
}

/// The write of the mark that says whose the area is now, and what leads to it: the renaming is in the journal just before.
pub fn around_the_mark(log: &Log) -> Result<Vec<usize>> {
    let mut mark = None;
    for (index, entry) in log.entries.iter().enumerate() {
        let What::Write { length, data, .. } = entry.what else { continue };
        if contains(&log.bytes(data, length)?, b"\"image_uuid\"") {
            mark = Some(index);
            break;
        }
    }
    let mark = mark.context("the mark was never written")?;
    Ok((0..4).map(|back| (mark + 1).saturating_sub(2 * back)).collect())
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn another_images_area_is_emptied_or_left() {
        let report =
            |kind: &str, fallback: &[&str]| json!({"write_mode": {"persistence": kind}, "fallbacks": fallback});
        let why = &["changes are not kept over a reboot: RDL-051: …"][..];
        assert_eq!(seen(&report("partition", &[]), false).unwrap(), Seen::Own);
        assert_eq!(seen(&report("partition", &[]), true).unwrap(), Seen::Taken);
        assert_eq!(seen(&report("temporary", why), true).unwrap(), Seen::Left);
        for (kind, fallback, other) in [
            ("temporary", why, false),
            ("temporary", &[][..], true),
            ("temporary", &["RDL-052"][..], true),
            ("partition", why, true),
            ("partition", why, false),
        ] {
            assert!(seen(&report(kind, fallback), other).is_err(), "{kind} {fallback:?} {other}");
        }
    }
}

//! Cuts while an area is emptied: what was in it, where to cut, and what the boot after the cut may see.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use super::log::{Log, What};
use super::recording::Place;
use super::store::BEGIN;

/// A bash script that makes `$1.area` with [`OLD`] changes. So many directories do not go in one transaction of a journal.
pub const CHANGES: &str = r#"
    mkdir -p "$1.tree/work"; for n in $(seq 1500); do mkdir -p "$1.tree/rw/dir$n"; echo old > "$1.tree/rw/dir$n/old"; done
    truncate -s 64M "$1.area"; mke2fs -q -F -t ext4 -L cow -d "$1.tree" "$1.area"; rm -r --one-file-system "$1.tree""#;

/// Files named `old` in that area.
pub const OLD: u32 = 1500;

/// Whose changes are emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old {
    /// This image's.
    Own,
    /// Another image's, and the reset takes the place over.
    Other,
    /// Another image's, which stay: the reset is for this image's own place beside them.
    Beside,
}

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

/// Reads the report. A cow file of another image is left in favour of an own one, which it does not say.
pub fn seen(report: &Value, place: Place, old: Old) -> Result<Seen> {
    let fallbacks = report["fallbacks"].as_array().cloned().unwrap_or_default();
    match (report["write_mode"]["persistence"].as_str().unwrap_or_default(), old) {
        (name, Old::Own) if name == place.name() && fallbacks.is_empty() => Ok(Seen::Own),
        (name, _) if name == place.name() && fallbacks.is_empty() => Ok(Seen::Taken),
        ("temporary", Old::Other) if place != Place::File => {
            let told = fallbacks.iter().any(|text| text.as_str().is_some_and(|text| text.contains("RDL-051")));
            ensure!(told, "changes went to RAM for another reason: {fallbacks:?}");
            Ok(Seen::Left)
        }
        (other, _) => bail!("after the cut it is {other}: {fallbacks:?}"),
    }
}

/// What a boot says of a deletion that it left to the next one, because its 30 s were over: a host that does much else at once can be
/// so slow. That something could not be deleted is a fault, and not this.
pub fn late(report: &Value) -> Option<&str> {
    let notes = report["write_mode"]["notes"].as_array()?;
    notes.iter().filter_map(Value::as_str).find(|note| note.contains("is not deleted yet: it takes longer than "))
}

/// The write of the mark that says whose the area is now, and what leads to it: the renaming is in the journal just before. Where there
/// is no mark, the name that the old changes get.
pub fn around_the_mark(log: &Log) -> Result<Vec<usize>> {
    let mut turns = Vec::new();
    for text in [&b"\"image_uuid\""[..], b".rdlive-discarded-"] {
        for (index, entry) in log.entries.iter().enumerate() {
            let What::Write { length, data, .. } = entry.what else { continue };
            if contains(&log.bytes(data, length)?, text) {
                turns.extend((0..4).map(|back| (index + 1).saturating_sub(2 * back)));
                break;
            }
        }
        if !turns.is_empty() {
            return Ok(turns);
        }
    }
    bail!("the mark was never written")
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == text[0]) {
        rest = &rest[at..];
        if rest.starts_with(text) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// Where on a disk a store begins whose header the kernel has written, and some of its lists.
pub fn header(disk: &Path, within: &Range<u64>) -> Result<Range<u64>> {
    // A file may begin in any block of the file system around it.
    const BLOCK: usize = 512;
    let file = File::open(disk)?;
    let mut bytes = vec![0; 512 * BLOCK];
    for at in (within.start..within.end).step_by(bytes.len()) {
        let length = (within.end - at).min(bytes.len() as u64) as usize;
        file.read_exact_at(&mut bytes[..length], at)?;
        if let Some(nth) = bytes[..length].chunks(BLOCK).position(|block| block.starts_with(BEGIN)) {
            let begin = at + (nth * BLOCK) as u64;
            return Ok(begin..begin + (64 << 10));
        }
    }
    bail!("there is no store")
}

/// Says that the store on a disk is another image's (`$2`: where its partition begins).
pub const OTHERS: &str = r#"
    mkdir "$1.at"; mount -o loop,offset=$2 "$1" "$1.at"
    [ -s "$1.at/store.rdlive-identity" ] || { echo "there is no mark"; umount "$1.at"; exit 1; }
    echo '{"volume_id":"OLD","image_uuid":"2001","agent":"0"}' > "$1.at/store.rdlive-identity"
    umount "$1.at"; rmdir "$1.at""#;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn another_images_area_is_emptied_or_left() {
        let report =
            |kind: &str, fallback: &[&str]| json!({"write_mode": {"persistence": kind}, "fallbacks": fallback});
        let why = &["changes are not kept over a reboot: RDL-051: …"][..];
        let seen = |kind, fallback: &[&str], place, old| seen(&report(kind, fallback), place, old).ok();
        let (partition, file, store) = (Place::Partition, Place::File, Place::StoreFile);
        for (kind, fallback, place, old, expected) in [
            ("partition", &[][..], partition, Old::Own, Some(Seen::Own)),
            ("partition", &[][..], partition, Old::Other, Some(Seen::Taken)),
            ("temporary", why, partition, Old::Other, Some(Seen::Left)),
            ("named", &[][..], store, Old::Own, Some(Seen::Own)),
            ("temporary", why, store, Old::Other, Some(Seen::Left)),
            ("file", &[][..], file, Old::Beside, Some(Seen::Taken)),
            ("temporary", why, file, Old::Other, None),
            ("temporary", why, file, Old::Beside, None),
            ("partition", &[][..], file, Old::Own, None),
            ("temporary", why, partition, Old::Own, None),
            ("temporary", &[][..], partition, Old::Other, None),
            ("temporary", &["RDL-052"][..], partition, Old::Other, None),
            ("partition", why, partition, Old::Other, None),
            ("partition", why, partition, Old::Own, None),
        ] {
            assert_eq!(seen(kind, fallback, place, old), expected, "{kind} {fallback:?} {place:?} {old:?}");
        }
    }

    #[test]
    fn only_a_deletion_that_ran_out_of_time_is_left_to_the_next_boot() {
        let left =
            "reset: what was removed from /x is not deleted yet: it takes longer than 30 s; the next boot goes on";
        let refused = "reset: what was removed from /x is not deleted yet: rw/a: EPERM; the next boot goes on";
        for (notes, expected) in [
            (json!([]), None),
            (json!(["reset: removed 1 entries of /x/rw: a"]), None),
            (json!([refused]), None),
            (json!(["made", left]), Some(left)),
        ] {
            let report = json!({"write_mode": {"notes": notes}});
            assert_eq!(late(&report), expected, "{notes}");
        }
        assert_eq!(late(&json!({})), None);
    }

    #[test]
    fn a_text_is_found_wherever_it_begins() {
        for (bytes, expected) in
            [("", false), ("aab", true), ("aaab", true), ("aaa", false), ("xaab", true), ("aa", false)]
        {
            assert_eq!(contains(bytes.as_bytes(), b"aab"), expected, "{bytes}");
        }
    }
}

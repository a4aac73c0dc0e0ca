//! A disk after its boot, seen from outside.

use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::Value;

use super::generate::{Disk, Holds, Must, Wish, meets};
use super::host::{self, again};
use super::media::{Area, CHANGES, COW, ISO, LABEL, OTHER, PHOTOS, STORE, lines};
use super::sparse::changed;
use crate::mode::KEY;
use crate::tool;

/// Whether changes are kept, as the report has it.
pub fn keeps(report: &Value) -> bool {
    let mode = &report["write_mode"];
    mode["persistence"].as_str().is_some_and(|kind| kind != "temporary") && mode["readonly"] != true
}

/// Everything that can be said about a disk and the report of its boot. `dir` has room to look.
pub fn judge(disk: &Disk, report: &Value, before: &Path, after: &Path, dir: &Path) -> Result<()> {
    let (made, why) = (keeps(report), report["fallbacks"].to_string());
    match disk.must {
        Must::Keep => ensure!(made, "there is no area: {why}"),
        Must::Untouched | Must::Refuse => ensure!(!made, "somebody's bytes were taken for nothing"),
        Must::Either => {}
    }
    let place = match &disk.wish {
        Wish::Place(place) => Some(place.clone()),
        Wish::Partition if made => Some(new_partition(disk, before, after)?),
        Wish::Partition => None,
    };
    let may_be_touched = made || disk.must == Must::Refuse || (disk.must == Must::Either && disk.holds != Holds::New);
    let mut allowed: Vec<Range<u64>> = place.iter().filter(|_| may_be_touched).cloned().collect();
    if made && disk.wish == Wish::Partition {
        allowed.extend(disk.tables.iter().cloned());
    }
    let changed = changed(before, after, &allowed)?;
    ensure!(changed.is_empty(), "these bytes changed: {changed:?}; asked for was {place:?}, kept: {made} ({why})");
    match place.filter(|_| may_be_touched) {
        Some(place) => inside(disk, made, after, &place, dir),
        None => Ok(()),
    }
}

/// The partition that came to be, and that meets nobody.
fn new_partition(disk: &Disk, before: &Path, after: &Path) -> Result<Range<u64>> {
    let place = added(disk.sector, before, after)?;
    match disk.claims.iter().find(|claim| meets(claim, &place)) {
        Some(claim) => bail!("the new partition {place:?} meets {claim:?}, which somebody claims"),
        None => Ok(place),
    }
}

/// The partition that the table has now and had not before, as `sfdisk` reads it; the `gpt` crate must see the same. All else that the
/// table says of the disk and of its other partitions (types, names, UUIDs, flags) is as it was.
fn added(sector: u64, before: &Path, after: &Path) -> Result<Range<u64>> {
    let [(_, old_id, old), (label, id, new)] = [table(sector, before)?, table(sector, after)?];
    let fresh: Vec<&Value> = new.iter().filter(|entry| !old.contains(entry)).collect();
    ensure!(fresh.len() == 1 && new.len() == old.len() + 1, "the table had {old:?} and has {new:?}");
    ensure!(old.is_empty() || id == old_id, "the disk had the identity {old_id}, and has {id}");
    let number = |field: &str| fresh[0][field].as_u64().unwrap_or_default() * sector;
    let place = number("start")..number("start") + number("size");
    // Where there is no guard, the kernel and sfdisk go by the MBR.
    if label == "gpt" {
        let sorted = |path: &Path| -> Result<Vec<u64>> {
            let size =
                if sector == 512 { gpt::disk::LogicalBlockSize::Lb512 } else { gpt::disk::LogicalBlockSize::Lb4096 };
            let table = gpt::GptConfig::new().writable(false).logical_block_size(size).open(path)?;
            let mut starts: Vec<u64> = table.partitions().values().map(|part| part.first_lba * sector).collect();
            starts.sort_unstable();
            Ok(starts)
        };
        let (mut expected, seen) = (sorted(before)?, sorted(after)?);
        expected.push(place.start);
        expected.sort_unstable();
        ensure!(expected == seen, "the gpt crate sees {seen:?}, and should see {expected:?}");
    }
    Ok(place)
}

/// The kind of a table, its identity, and its partitions.
fn table(sector: u64, disk: &Path) -> Result<(String, String, Vec<Value>)> {
    let device = host::looped(disk, sector, true)?;
    // Without a table it is an error.
    let text = tool::shell("sfdisk --json \"$1\" 2>/dev/null || echo {}", &[&host::node(&device)])?;
    let value: Value = serde_json::from_str(&text).context("reading what sfdisk says")?;
    let value = &value["partitiontable"];
    let mut entries = value["partitions"].as_array().cloned().unwrap_or_default();
    // The name of a partition begins with the name of the loop device.
    entries.iter_mut().filter_map(Value::as_object_mut).for_each(|entry| drop(entry.remove("node")));
    let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
    Ok((text("label"), text("id"), entries))
}

/// What is in the place: of the file system that was asked for, without a fault, and all that was somebody's is there.
fn inside(disk: &Disk, made: bool, after: &Path, place: &Range<u64>, dir: &Path) -> Result<()> {
    let damaged = matches!(disk.holds, Holds::Area(Area::Damaged)) && !made;
    if damaged {
        return Ok(());
    }
    let (start, length) = (place.start.to_string(), (place.end - place.start).to_string());
    let found = tool::shell(SOUND, &[after, start.as_ref(), length.as_ref(), dir])?;
    ensure!(found.trim() == disk.fs, "there is {found:?}");
    if disk.encrypted {
        let script = r#"printf %s "$4" | cryptsetup open --test-passphrase --key-file - "$1""#;
        let device = host::looped_at(after, place)?;
        tool::shell(script, &[&host::node(&device), Path::new(""), Path::new(""), KEY.as_ref()])?;
    }
    if disk.holds == Holds::New {
        return Ok(());
    }
    let at = Mounted::new(after, place, &dir.join("look"), disk.fs)?;
    let kept = |path: &str, last| -> Result<()> {
        let same = fs::read(at.path.join(path)).is_ok_and(|bytes| bytes == lines(last));
        ensure!(same, "{path} is not what it was");
        Ok(())
    };
    let emptied = made && disk.reset;
    match disk.holds {
        Holds::New => {}
        Holds::Area(area) => area_is(area, made, emptied, &at.path)?,
        Holds::Store => {
            kept(PHOTOS[0], 20000)?;
            kept(PHOTOS[1], 99)?;
            let old = format!("{CHANGES}/deep/old");
            if emptied {
                ensure!(!at.path.join(&old).exists(), "the reset left {old}");
            } else {
                kept(&old, 3000)?;
            }
        }
        Holds::Medium => ensure!(
            at.path.join("LiveOS/squashfs.img").is_file() && at.path.join(CHANGES).is_dir(),
            "the medium is not what it was"
        ),
        Holds::Host(cow) => {
            kept(PHOTOS[0], 20000)?;
            kept(PHOTOS[1], 99)?;
            match disk.shown.is_empty() {
                // Of a machine with an ISO.
                true => cow_file_is_new(made, &at.path, dir)?,
                false => host_is(cow, made, disk, &at.path, dir)?,
            }
        }
        Holds::Snapshot(zeros) => {
            kept(PHOTOS[0], 20000)?;
            kept(PHOTOS[1], 99)?;
            if zeros {
                let store = fs::read(at.path.join(STORE))?;
                ensure!(
                    store.len() == 32 << 20 && store.starts_with(if made { b"SnAp" } else { &[0; 4] }),
                    "the store"
                );
            } else {
                kept(STORE, 3_000_000)?;
            }
        }
    }
    Ok(())
}

// All of them were unmounted in order: there is nothing to repair.
const SOUND: &str = r#"
    found=$(blkid -p -O "$2" -S "$3" -o value -s TYPE "$1"); echo $found
    case $found in
        ext*) e2fsck -fn "$1?offset=$2" >"$4/fsck" 2>&1 || { cat "$4/fsck"; exit 1; } ;;
    esac"#;

/// The changes of an area that is mounted at `at`, and whose it is.
fn area_is(was: Area, made: bool, emptied: bool, at: &Path) -> Result<()> {
    let old = fs::read(at.join("rw/deep/old"));
    let mark = fs::read_to_string(at.join(".rdlive-identity")).unwrap_or_default();
    match emptied || was == Area::Damaged || was == Area::Unknown {
        true => ensure!(old.is_err(), "old changes are in an area that was emptied"),
        false => ensure!(old.is_ok_and(|bytes| bytes == lines(3000)), "old changes are gone"),
    }
    let expected = match (was, made) {
        (_, true) => Some(LABEL),
        (Area::Other, false) => Some(OTHER),
        _ => None,
    };
    ensure!(expected.is_none_or(|word| mark.contains(&format!("\"{word}\""))), "its mark is {mark:?}");
    Ok(())
}

/// A cow file that this boot has made, beside an ISO file.
fn cow_file_is_new(made: bool, at: &Path, dir: &Path) -> Result<()> {
    let cow = at.join(COW);
    if !made {
        ensure!(!cow.exists(), "a cow file that is not used");
        return Ok(());
    }
    let area = Mounted::new(&cow, &(0..cow.metadata()?.len()), &dir.join("cow"), "ext4")?;
    let mark = fs::read_to_string(area.path.join(".rdlive-identity")).unwrap_or_default();
    ensure!(mark.contains(&format!("\"{ISO}\"")), "its mark is {mark:?}");
    Ok(())
}

/// A cow file of this image is used, and emptied by a reset; anybody else's stays, and an own one comes beside it.
fn host_is(was: Option<Area>, made: bool, disk: &Disk, at: &Path, dir: &Path) -> Result<()> {
    let (cow, reset) = (at.join(COW), disk.reset);
    // Then it is this image's from now on, whosever it was.
    let accepted = made && disk.kargs.contains("persistent=accept");
    let beside: Vec<_> = fs::read_dir(at)?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("live_system-"))
        .map(|entry| entry.path())
        .collect();
    ensure!(beside.len() <= 1, "{beside:?}");
    let of_file = |path: &Path, was, made, emptied| -> Result<()> {
        let length = path.metadata().with_context(|| format!("{} is gone", path.display()))?.len();
        let area = Mounted::new(path, &(0..length), &dir.join("cow"), "ext4")?;
        area_is(was, made, emptied, &area.path).with_context(|| path.display().to_string())
    };
    match was {
        None if made => of_file(&cow, Area::Own, true, true)?,
        None => ensure!(!cow.exists(), "a cow file that is not used"),
        Some(was @ (Area::Own | Area::Unmarked)) => of_file(&cow, was, made, made && reset)?,
        Some(Area::Other) => {
            ensure!(accepted || !made || !beside.is_empty(), "another image's cow file is used");
            of_file(&cow, Area::Other, accepted, accepted && reset)?;
        }
        Some(Area::Unknown) => {
            let bytes = fs::read(&cow)?;
            ensure!(bytes.windows(4).any(|bytes| bytes == b"2999"), "an unknown file was replaced");
        }
        Some(Area::Damaged) => {
            let bytes = fs::read(&cow)?;
            ensure!(
                accepted || bytes[4096..8192] == [0xff; 4096],
                "a damaged file, perhaps another image's, was replaced"
            );
        }
    }
    beside.iter().try_for_each(|path| of_file(path, Area::Own, true, true))
}

/// A file system in a file, shown at a path.
struct Mounted {
    path: std::path::PathBuf,
}

impl Mounted {
    fn new(file: &Path, place: &Range<u64>, at: &Path, fs: &str) -> Result<Self> {
        fs::create_dir_all(at)?;
        let shown = Self { path: at.to_owned() };
        // The host's kernel may not know FAT; mtools do.
        if fs == "vfat" {
            let script = r#"MTOOLS_SKIP_CHECK=1 mcopy -s -n -Q -i "$1@@$2" '::*' "$3""#;
            tool::shell(script, &[file, place.start.to_string().as_ref(), at])?;
            return Ok(shown);
        }
        let device = host::looped_at(file, place)?;
        let options = match fs {
            "xfs" => c"norecovery,nouuid",
            "btrfs" => c"",
            _ => c"noload",
        };
        mount(host::node(&device), at, fs, MountFlags::RDONLY, options).context("looking into it")?;
        Ok(shown)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Not mounted, where it was copied.
        let _ = again(|| Ok(unmount(&self.path, UnmountFlags::empty())?));
    }
}

/// The report of a boot.
pub fn report(dir: &Path) -> Result<Value> {
    let text = File::open(dir.join("run/rdlive/report.json")).context("there is no report")?;
    Ok(serde_json::from_reader(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs root.
    #[test]
    fn loop_a_new_partition_leaves_all_that_the_table_says_of_others() {
        const ADD: &str = "echo 'start=40960, size=8192, type=L' | sfdisk -q --append";
        for (label, change, good) in [
            ("gpt", "true", true),
            ("dos", "true", true),
            ("gpt", "sfdisk -q --part-type \"$1\" 1 C12A7328-F81F-11D2-BA4B-00A0C93EC93B", false),
            ("gpt", "sfdisk -q --part-label \"$1\" 1 other", false),
            ("gpt", "sfdisk -q --part-uuid \"$1\" 1 01234567-89AB-4DEF-8123-456789ABCDEF", false),
            ("gpt", "sfdisk -q --part-attrs \"$1\" 1 LegacyBIOSBootable", false),
            ("gpt", "sfdisk -q --disk-id \"$1\" 01234567-89AB-4DEF-8123-456789ABCDEF", false),
            ("dos", "sfdisk -q --part-type \"$1\" 1 7", false),
            ("dos", "sfdisk -q --activate \"$1\" 2", false),
            ("dos", "sfdisk -q --disk-id \"$1\" 0x01234567", false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let [before, after] = ["before", "after"].map(|name| dir.path().join(name));
            let make = format!(
                "truncate -s 64M \"$1\"; printf 'label: {label}\\nstart=2048, size=8192\\nstart=20480, size=8192\\n' | \
                 sfdisk -q \"$1\"; cp \"$1\" \"$2\""
            );
            tool::shell(&make, &[&before, &after]).unwrap();
            tool::shell(&format!("{ADD} \"$1\"; {change}"), &[&after]).unwrap();
            let seen = added(512, &before, &after);
            assert_eq!(seen.is_ok(), good, "{label} {change}: {seen:?}");
            assert!(seen.is_err() || seen.unwrap() == (20 << 20..24 << 20));
        }
    }
}

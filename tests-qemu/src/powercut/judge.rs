//! A medium after a cut and one more boot, seen from outside.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::reset::{OLD, Seen};
use super::volume;
use crate::content;
use crate::tool;

const SECTOR: u64 = 512;

/// The bytes of a disk that a new partition may change: the entries of an MBR, or header and entries of a GPT and their
/// copies at the end of the disk. An MBR that guards a GPT is not among them.
pub fn tables(disk: &Path) -> Result<Vec<Range<u64>>> {
    let file = File::open(disk)?;
    let mut header = [0; SECTOR as usize];
    file.read_exact_at(&mut header, SECTOR)?;
    if !header.starts_with(b"EFI PART") {
        return Ok(std::iter::once(446..510).collect());
    }
    let number = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
    let entries = (number(80) * number(84)).next_multiple_of(SECTOR);
    let size = file.metadata()?.len();
    Ok(vec![SECTOR..number(72) * SECTOR + entries, size - entries - SECTOR..size])
}

/// The directory in which a cow file on FAT comes to be: the first cluster of the root.
pub fn root_directory(disk: &Path) -> Result<Vec<Range<u64>>> {
    let start = partitions(disk)?.first().and_then(|entry| entry["start"].as_u64()).context("no partition")? * SECTOR;
    let mut boot = [0; SECTOR as usize];
    File::open(disk)?.read_exact_at(&mut boot, start)?;
    if !boot[82..].starts_with(b"FAT32") {
        return Ok(Vec::new());
    }
    let short = |at: usize| boot[at..].first_chunk().map_or(0, |bytes| u64::from(u16::from_le_bytes(*bytes)));
    let long = |at: usize| boot[at..].first_chunk().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
    let cluster = u64::from(boot[13]);
    let first = short(14) + u64::from(boot[16]) * long(36) + (long(44) - 2) * cluster;
    let from = start + first * SECTOR;
    Ok(std::iter::once(from..from + cluster * SECTOR).collect())
}

/// The partition that is in the second table and not in the first; all others must be the same in both.
pub fn added(before: &Path, after: &Path) -> Result<Range<u64>> {
    let (old, new) = (partitions(before)?, partitions(after)?);
    let mut fresh: Vec<&Value> = new.iter().filter(|entry| !old.contains(entry)).collect();
    ensure!(new.len() == old.len() + 1 && fresh.len() == 1, "the table was {old:?}, is now {new:?}");
    let entry = fresh.remove(0);
    let field = |name: &str| entry[name].as_u64().with_context(|| format!("no {name} in {entry}"));
    let (start, size) = (field("start")? * SECTOR, field("size")? * SECTOR);
    Ok(start..start + size)
}

fn partitions(disk: &Path) -> Result<Vec<Value>> {
    let text = tool::shell("sfdisk --json \"$1\" 2>/dev/null", &[disk])?;
    let mut value: Value = serde_json::from_str(&text).context("reading what sfdisk says")?;
    let mut entries = value["partitiontable"]["partitions"].take();
    let entries = entries.as_array_mut().context("no partitions")?;
    // The name of a partition begins with the name of the disk's file.
    entries.iter_mut().filter_map(Value::as_object_mut).for_each(|entry| drop(entry.remove("node")));
    Ok(std::mem::take(entries))
}

/// What an area must be.
#[derive(Clone, Copy, Debug)]
pub struct Area<'a> {
    /// Numbers of the files that are in its upper layer.
    pub files: &'a [u32],
    /// It is a LUKS volume.
    pub encrypted: bool,
    /// Where there is room to look at it.
    pub dir: &'a Path,
}

/// The area is a new partition: the tables are sound, nothing else changed, the files are there.
pub fn partition(before: &Path, after: &Path, wanted: &Area<'_>) -> Result<()> {
    let area = added(before, after)?;
    let said = tool::shell("sfdisk --verify \"$1\" 2>&1", &[after])?;
    ensure!(said.contains("No errors"), "sfdisk --verify: {said}");
    let mut allowed = tables(after)?;
    allowed.push(area.clone());
    same_outside(before, after, &allowed)?;
    let file = wanted.dir.join("area");
    cut_out(after, &area, &file)?;
    let looked = wanted.is(&file);
    fs::remove_file(&file)?;
    looked
}

/// The area is a file on the only partition, at 1 MiB: the disk outside of it and the other files are the same.
pub fn file(before: &Path, after: &Path, wanted: &Area<'_>) -> Result<()> {
    let dir = wanted.dir;
    let (old, new) = (partitions(before)?, partitions(after)?);
    ensure!(old == new, "the table was {old:?}, is now {new:?}");
    let entry = new.first().context("no partition")?;
    let start = entry["start"].as_u64().unwrap_or_default() * SECTOR;
    let host = start..start + entry["size"].as_u64().unwrap_or_default() * SECTOR;
    same_outside(before, after, std::slice::from_ref(&host))?;
    for (disk, name) in [(before, "host.before"), (after, "host.after")] {
        cut_out(disk, &host, &dir.join(name))?;
    }
    let looked =
        tool::shell_with_mounts(&[FILES, HOST, REST].concat(), &[dir]).and_then(|_| wanted.is(&dir.join("cow")));
    for name in ["host.before", "host.after", "cow"] {
        let _ = fs::remove_file(dir.join(name));
    }
    looked.map(drop)
}

/// The boot after the cut has left the host alone, before anything of ours was there: all files are the same, and none has joined
/// them but such as take no room. `ntfs` says that there may be a beginning of a cow file: nothing but a check of Windows
/// makes an NTFS writable.
pub fn left_alone(before: &Path, after: &Path, ntfs: bool, dir: &Path) -> Result<()> {
    let entry = partitions(after)?.first().cloned().context("no partition")?;
    let start = entry["start"].as_u64().unwrap_or_default() * SECTOR;
    let host = start..start + entry["size"].as_u64().unwrap_or_default() * SECTOR;
    same_outside(before, after, std::slice::from_ref(&host))?;
    for (disk, name) in [(before, "host.before"), (after, "host.after")] {
        cut_out(disk, &host, &dir.join(name))?;
    }
    let begun = if ntfs { "rm -f files.after/live_system.cow" } else { "" };
    let script = format!(
        "{FILES}{begun}\nfind files.after -name '*.rdlive-new-*' -empty -delete\ndiff -r files.before files.after\n{REST}"
    );
    let looked = tool::shell_with_mounts(&script, &[dir]);
    for name in ["host.before", "host.after"] {
        let _ = fs::remove_file(dir.join(name));
    }
    looked.map(drop)
}

// The host's kernel may not know FAT; mtools do. Others are mounted, so that a journal is replayed.
const FILES: &str = r#"
    cd "$1"; mkdir files.before files.after mnt
    for side in before after; do
        case $(blkid -p -o value -s TYPE host.$side) in
            vfat) MTOOLS_SKIP_CHECK=1 mcopy -s -n -Q -i host.$side '::*' files.$side ; continue ;;
            exfat) mount -t exfat-fuse -o loop,ro host.$side mnt >/dev/null ;;
            # What a check of Windows does first: the copy of the first records is made as they are.
            ntfs) ntfsfix -d host.$side >/dev/null || true; ntfs-3g -o ro host.$side mnt ;;
            xfs) mount -o loop,nouuid host.$side mnt ;;
            *) mount -o loop host.$side mnt ;;
        esac
        cp -a --sparse=always mnt/. files.$side; umount mnt
    done
    # By this the next live session knows that nobody else has written here since.
    rm -f files.after/.rdlive-host
"#;

const REST: &str = "rm -r --one-file-system files.before files.after; rmdir mnt\n";

const HOST: &str = r#"
    case $(blkid -p -o value -s TYPE host.after) in
        ext4) e2fsck -fn host.after >fsck 2>&1 || { cat fsck; exit 1; } ;;
        xfs) xfs_repair -n -f host.after >fsck 2>&1 || { cat fsck; exit 1; } ;;
    esac
    mv files.after/live_system.cow cow
    diff -r files.before files.after
"#;

impl Area<'_> {
    /// The file is this area. The host's kernel need not know dm-crypt.
    fn is(&self, file: &Path) -> Result<()> {
        if !self.encrypted {
            return holds(file, self.files, self.dir);
        }
        let inside = self.dir.join("inside");
        let looked = volume::decrypt(file, &inside).and_then(|()| holds(&inside, self.files, self.dir));
        let _ = fs::remove_file(inside);
        looked
    }
}

/// The file system in `area` is an area of ours, and the files are in its upper layer.
fn holds(area: &Path, files: &[u32], dir: &Path) -> Result<()> {
    let expected = dir.join("expected");
    fs::create_dir_all(&expected)?;
    for number in files {
        fs::write(expected.join(format!("synced-{number}")), content::bytes(*number))?;
    }
    let looked = tool::shell_with_mounts(AREA, &[area, dir]);
    crate::remove::tree(&expected)?;
    looked.map(drop)
}

// The machine was switched off, not shut down: mounting replays the journal, then the checker must find nothing.
const AREA: &str = r#"
    cd "$2"; mkdir -p mnt; fs=$(blkid -p -o value -s TYPE "$1")
    # All cuts of a recording have one UUID, and are looked at side by side, which XFS refuses.
    mount -o loop$([ "$fs" = xfs ] && echo ,nouuid) "$1" mnt
    for file in expected/*; do
        cmp "$file" "mnt/rw/${file#expected/}" || { ls -la mnt mnt/rw; umount mnt; exit 1; }
    done
    [ -s mnt/.rdlive-identity ] || { echo "no identity in the area"; ls -la mnt; umount mnt; exit 1; }
    umount mnt
    case $fs in
        ext4) e2fsck -fn "$1" ;;
        xfs) xfs_repair -n -f "$1" ;;
        btrfs) btrfs check --readonly "$1" ;;
        *) echo "the area is $fs"; false ;;
    esac >fsck 2>&1 || { cat fsck; exit 1; }"#;

/// The third partition is an area whose old changes are there as a whole or not at all, and nothing outside of it changed.
/// `afterwards` is the file that the boot after the cut has written.
pub fn emptied(before: &Path, after: &Path, seen: &Seen, afterwards: u32, dir: &Path) -> Result<()> {
    let (old, new) = (partitions(before)?, partitions(after)?);
    ensure!(old == new, "the table was {old:?}, is now {new:?}");
    let entry = new.get(2).context("no third partition")?;
    let start = entry["start"].as_u64().unwrap_or_default() * SECTOR;
    let area = start..start + entry["size"].as_u64().unwrap_or_default() * SECTOR;
    same_outside(before, after, std::slice::from_ref(&area))?;
    let (file, expected) = (dir.join("area"), dir.join("expected"));
    cut_out(after, &area, &file)?;
    fs::write(&expected, content::bytes(afterwards))?;
    let allowed = match seen {
        Seen::Own => format!("own 0 {OLD}"),
        Seen::Taken => "own 0 0".to_owned(),
        Seen::Left => format!("other 0 {OLD}"),
    };
    let name = format!("synced-{afterwards}");
    tool::shell_with_mounts(EMPTIED, &[&file, dir, allowed.as_ref(), name.as_ref()]).map(drop)
}

// What was set aside is deleted by every boot that writes to the area.
const EMPTIED: &str = r#"
    cd "$2"; mkdir -p mnt; fs=$(blkid -p -o value -s TYPE "$1")
    mount -o loop$([ "$fs" = xfs ] && echo ,nouuid) "$1" mnt; read -r whose none all <<< "$3"
    fail() { echo "$*"; ls -la mnt; cat mnt/.rdlive-identity; umount mnt; exit 1; }
    n=$({ find mnt/rw -name old -type f 2>/dev/null || true; } | wc -l)
    [ $n = $none ] || [ $n = $all ] || fail "$n old files are there"
    dirs=$({ find mnt/rw -maxdepth 1 -name 'dir*' 2>/dev/null || true; } | wc -l); [ $dirs = $n ] || fail "$n old files in $dirs directories"
    case $whose in
        own) grep -q '"ISO"' mnt/.rdlive-identity || fail "the mark is another's"
             cmp expected "mnt/rw/$4" || fail "no $4"
             ! ls -d mnt/.rdlive-discarded-* 2>/dev/null || fail "something is left" ;;
        other) grep -q '"OLD"' mnt/.rdlive-identity || fail "the mark is ours"
               [ ! -e "mnt/rw/$4" ] || fail "it was written to" ;;
    esac
    umount mnt; e2fsck -fn "$1" >fsck 2>&1 || { cat fsck; exit 1; }"#;

/// Copies a range into a file of its own, holes kept.
fn cut_out(disk: &Path, range: &Range<u64>, to: &Path) -> Result<()> {
    let script = r#"dd if="$1" of="$2" bs=1M iflag=skip_bytes,count_bytes skip=$3 count=$4 conv=sparse status=none; truncate -s $4 "$2""#;
    let (start, length) = (range.start.to_string(), (range.end - range.start).to_string());
    tool::shell(script, &[disk, to, start.as_ref(), length.as_ref()]).map(drop)
}

/// Compares two disks byte by byte outside of the allowed ranges.
fn same_outside(before: &Path, after: &Path, allowed: &[Range<u64>]) -> Result<()> {
    const STEP: u64 = 1 << 20;
    let (old, new) = (File::open(before)?, File::open(after)?);
    let size = old.metadata()?.len();
    ensure!(size == new.metadata()?.len(), "the disk's length changed");
    let (mut one, mut two) = (vec![0; STEP as usize], vec![0; STEP as usize]);
    let mut at = 0;
    while at < size {
        let step = STEP.min(size - at) as usize;
        old.read_exact_at(&mut one[..step], at)?;
        new.read_exact_at(&mut two[..step], at)?;
        if one[..step] != two[..step] {
            let differs = (0..step).filter(|index| one[*index] != two[*index]).map(|index| at + index as u64);
            let mut outside = differs.filter(|byte| !allowed.iter().any(|range| range.contains(byte)));
            if let Some(byte) = outside.next() {
                let more = outside.count();
                anyhow::bail!("byte {byte} of the disk changed, and {more} more in the same MiB; allowed: {allowed:?}");
            }
        }
        at += step as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::log::tests::file;
    use super::*;

    #[test]
    fn one_changed_byte_is_found_unless_it_is_allowed() {
        let mut bytes = vec![7; (1 << 20) + 4096];
        let (before, _dir) = file("before", &bytes);
        let after = before.with_extension("after");
        bytes[(1 << 20) + 9] = 8;
        fs::write(&after, &bytes).unwrap();
        let at = (1 << 20) + 9;
        for (allowed, good) in [(0..at, false), (at..at + 1, true), (at + 1..at + 9, false), (0..1 << 40, true)] {
            let found = same_outside(&before, &after, std::slice::from_ref(&allowed));
            assert_eq!(found.is_ok(), good, "{allowed:?}: {found:?}");
        }
        fs::write(&after, &bytes[1..]).unwrap();
        assert!(same_outside(&before, &after, &[]).is_err(), "another length");
    }
}

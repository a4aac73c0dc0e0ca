//! The property that nothing is destroyed, on disks from seeds: every byte outside of what the boot was asked to make is the same
//! afterwards, and where there is room, or emptiness, the area is made. Both are seen from outside, and the tables are read by others
//! (`sfdisk`, the `gpt` crate).

mod generate;
mod table;

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use self::generate::{Disk, Must, Wish, meets};
use crate::lab::Lab;
use crate::medium::{Fs, image};
use crate::slots::Slots;
use crate::tool;

/// Disks that are booted at once, by all slices together: each waits two seconds for what might still be plugged in.
const AT_ONCE: usize = 20;
/// Seconds that a boot waits; and on a machine that has no time for it.
const PATIENCE: [u32; 2] = [2, 30];
/// So many failures of a slice are told.
const TOLD: usize = 6;

/// A slice of seeds.
#[derive(Clone, Copy, Debug)]
pub struct Disks {
    /// The first one, beside the seed of the run.
    pub first: u64,
    /// How many in each run.
    pub count: u64,
    /// How many with `--all`.
    pub many: u64,
}

impl Disks {
    /// Boots all of them; each text is a property that does not hold.
    pub fn run(&self, lab: &Lab, dir: &Path) -> Result<Vec<String>> {
        let medium = fs::read(image(Fs::Squashfs("zstd")).file(lab)?)?;
        let agent = lab.built.agent.path.clone();
        let count = lab.cuts.points.map_or(if lab.cuts.many { self.many } else { self.count }, |points| points as u64);
        let first = lab.cuts.seed.wrapping_mul(1 << 32).wrapping_add(self.first * self.many);
        let (next, kept, failures) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    loop {
                        let nth = next.fetch_add(1, Ordering::Relaxed);
                        if nth >= count {
                            break;
                        }
                        let own = dir.join(format!("disk{nth}"));
                        match one(first + nth, &medium, &agent, &own) {
                            Ok(made) => {
                                kept.fetch_add(u64::from(made), Ordering::Relaxed);
                                let _ = crate::remove::tree(&own);
                            }
                            Err(error) => {
                                let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                                failures.push(format!("disk {}: {error:#}", first + nth));
                                if failures.len() > TOLD {
                                    let _ = crate::remove::tree(&own);
                                }
                            }
                        }
                    }
                });
            }
        });
        let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.into_inner();
        lab.say(&format!("     {count} disks from {first} on, {kept} with a new area, {} failures", failures.len()));
        ensure!(kept * 10 >= count, "only {kept} of {count} disks got an area: the generator shows nothing");
        let more = failures.len().saturating_sub(TOLD);
        let mut told: Vec<String> = failures.into_iter().take(TOLD).collect();
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        Ok(told)
    }
}

/// One disk; whether an area was made.
fn one(seed: u64, medium: &[u8], agent: &Path, dir: &Path) -> Result<bool> {
    static PLACES: OnceLock<Slots> = OnceLock::new();
    let _place = PLACES.get_or_init(|| Slots::new(AT_ONCE)).take();
    fs::create_dir_all(dir)?;
    let (path, before) = (dir.join("medium"), dir.join("medium.before"));
    let disk = generate::disk(seed, medium, &path)?;
    tool::copy_sparse(&path, &before)?;
    judge(&disk, agent, dir, &path, &before).with_context(|| format!("{}, {:?}, {:?}", disk.kind, disk.wish, disk.must))
}

fn judge(disk: &Disk, agent: &Path, dir: &Path, path: &Path, before: &Path) -> Result<bool> {
    let asked = match &disk.wish {
        Wish::Partition => "rd.overlay=LABEL=NEWAREA rd.live.autooverlay".to_owned(),
        Wish::Named(_) => "rd.overlay=LOOPp2 rd.live.overlay.cowfs=ext4".to_owned(),
    };
    let shown: Vec<String> = disk
        .shown
        .iter()
        .map(|(number, place)| format!("{number} {} {}", place.start / 512, (place.end - place.start) / 512))
        .collect();
    let sector = disk.sector.to_string();
    let mut report = Value::Null;
    for patience in PATIENCE {
        let kargs = format!("root=live:LOOPp1 rd.live.image rd.retry={patience} {asked}");
        let args = [path, dir, agent, sector.as_ref(), kargs.as_ref(), shown.join("\n").as_ref()].map(Path::to_owned);
        tool::shell_with_mounts(BOOT, &args.iter().map(|path| path.as_path()).collect::<Vec<_>>())?;
        let text = fs::read(dir.join("run/rdlive/report.json")).context("there is no report")?;
        report = serde_json::from_slice(&text)?;
        // The medium had not been looked at when the time was over.
        if report["stop"]["code"] != "RDL-010" {
            break;
        }
        ensure!(changed(before, path)?.is_empty(), "nothing was found, and something was written");
        crate::remove::tree(&dir.join("run"))?;
    }
    let said = fs::read_to_string(dir.join("out")).unwrap_or_default();
    ensure!(report["outcome"] == "ok", "the boot ended: {}{said}", report["stop"]);
    let made = report["write_mode"]["persistence"] == "named";
    let why = || report["fallbacks"].to_string();
    match disk.must {
        Must::Keep => ensure!(made, "there is no area: {}", why()),
        Must::Refuse => ensure!(!made, "somebody's bytes were taken for nothing"),
        Must::Either => {}
    }
    let changed = changed(before, path)?;
    if !made {
        ensure!(changed.is_empty(), "nothing was made ({}), and these bytes changed: {changed:?}", why());
        return Ok(false);
    }
    let place = match &disk.wish {
        Wish::Named(place) => place.clone(),
        Wish::Partition => {
            let place = added(disk.sector, dir)?;
            if let Some(claim) = disk.claims.iter().find(|claim| meets(claim, &place)) {
                bail!("the new partition {place:?} meets {claim:?}, which somebody claims");
            }
            place
        }
    };
    let allowed: Vec<&Range<u64>> = match &disk.wish {
        Wish::Named(_) => vec![&place],
        Wish::Partition => disk.tables.iter().chain([&place]).collect(),
    };
    for range in changed {
        ensure!(
            allowed.iter().any(|allowed| allowed.start <= range.start && range.end <= allowed.end),
            "bytes {range:?} changed; asked for was {place:?}"
        );
    }
    let args = [path.to_owned(), place.start.to_string().into(), (place.end - place.start).to_string().into()];
    let args: Vec<&Path> = args.iter().map(|arg| arg.as_path()).collect();
    let found = tool::shell(r#"blkid -p -O "$2" -S "$3" -o value -s TYPE "$1""#, &args)?;
    ensure!(found.trim() == "ext4", "the area is {found:?}");
    Ok(true)
}

/// The partition that the table has now and had not before, as `sfdisk` reads it; the `gpt` crate must see the same.
fn added(sector: u64, dir: &Path) -> Result<Range<u64>> {
    let value =
        |name: &str| -> Result<Value> { Ok(serde_json::from_slice(&fs::read(dir.join(name))?).unwrap_or_default()) };
    let read = |name: &str| -> Result<Vec<Range<u64>>> {
        let value = value(name)?;
        let entries = value["partitiontable"]["partitions"].as_array().cloned().unwrap_or_default();
        let number = |entry: &Value, field: &str| entry[field].as_u64().unwrap_or_default() * sector;
        Ok(entries.iter().map(|entry| number(entry, "start")..number(entry, "start") + number(entry, "size")).collect())
    };
    let (old, new) = (read("before.json")?, read("after.json")?);
    let fresh: Vec<&Range<u64>> = new.iter().filter(|place| !old.contains(place)).collect();
    ensure!(fresh.len() == 1 && new.len() == old.len() + 1, "the table had {old:?} and has {new:?}");
    let place = fresh[0].clone();
    let size = if sector == 512 { gpt::disk::LogicalBlockSize::Lb512 } else { gpt::disk::LogicalBlockSize::Lb4096 };
    // Where there is no guard, the kernel and sfdisk go by the MBR.
    if value("after.json")?["partitiontable"]["label"] == "gpt" {
        let table = gpt::GptConfig::new().writable(false).logical_block_size(size).open(dir.join("medium"))?;
        let seen = table.partitions().values().any(|part| part.first_lba * sector == place.start);
        ensure!(seen, "the gpt crate does not see the new partition: {:?}", table.partitions());
    }
    Ok(place)
}

/// Stretches of bytes in which two sparse files differ.
fn changed(before: &Path, after: &Path) -> Result<Vec<Range<u64>>> {
    const STEP: usize = 1 << 16;
    let (old, new) = (File::open(before)?, File::open(after)?);
    ensure!(old.metadata()?.len() == new.metadata()?.len(), "the disk's length changed");
    let (mut one, mut two) = (vec![0; STEP], vec![0; STEP]);
    let mut found: Vec<Range<u64>> = Vec::new();
    for stretch in [data(&old)?, data(&new)?].concat() {
        let mut at = stretch.start;
        while at < stretch.end {
            let step = STEP.min(usize::try_from(stretch.end - at)?);
            old.read_exact_at(&mut one[..step], at)?;
            new.read_exact_at(&mut two[..step], at)?;
            if one[..step] != two[..step] {
                for index in (0..step).filter(|index| one[*index] != two[*index]) {
                    let byte = at + index as u64;
                    match found.last_mut().filter(|last| last.contains(&byte) || last.end == byte) {
                        Some(last) => last.end = last.end.max(byte + 1),
                        None => found.push(byte..byte + 1),
                    }
                }
            }
            at += step as u64;
        }
    }
    Ok(found)
}

/// Where a sparse file has data.
fn data(file: &File) -> Result<Vec<Range<u64>>> {
    use rustix::fs::{SeekFrom, seek};
    let mut found = Vec::new();
    let mut at = 0;
    while let Ok(start) = seek(file, SeekFrom::Data(at)) {
        let end = seek(file, SeekFrom::Hole(start))?;
        found.push(start..end);
        at = end;
    }
    Ok(found)
}

// The agent sees this disk alone: /sys/class/block of its machine has nothing else. What it says to the kernel's log stays here.
const BOOT: &str = r#"
    img=$1 dir=$2 agent=$3 sector=$4 kargs=$5
    rm -rf --one-file-system "$dir/sys" "$dir/sysroot"; mkdir -p "$dir/sys/class/block" "$dir/run" "$dir/sysroot"
    ln -sfn /proc "$dir/proc"; ln -sfn /dev "$dir/dev"; ln -sfn /usr "$dir/usr"
    ln -s /sys/dev "$dir/sys/dev"; ln -s /sys/module "$dir/sys/module"
    mount --bind /dev/null /dev/kmsg
    [ ! -e /dev/console ] || mount --bind /dev/null /dev/console
    loop=; for try in 1 2 3 4 5; do loop=$(losetup -b "$sector" -f --show "$img") && break; sleep 0.1; done
    name=${loop#/dev/}
    forget() {
        for part in /sys/class/block/$name/${name}p*; do
            [ ! -e "$part" ] || for try in 1 2 3 4 5 6 7 8 9; do delpart $loop ${part##*p} 2>/dev/null && break; sleep 0.1; done
        done
    }
    free() {
        awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/self/mounts | tac | while read -r at; do umount "$at" || umount -l "$at"; done
        forget
        for try in 1 2 3 4 5 6 7 8 9; do losetup -d $loop && break; sleep 0.1; done
    }
    trap free EXIT
    # Of whoever had this device before.
    forget
    sfdisk --json $loop >"$dir/before.json" 2>/dev/null || true
    ln -s /sys/class/block/$name "$dir/sys/class/block/$name"
    while read -r number start size; do
        addpart $loop $number $start $size
        ln -s /sys/class/block/${name}p$number "$dir/sys/class/block/${name}p$number"
    done <<< "$6"
    timeout 100 "$agent" boot --root "$dir" --sysroot /sysroot --cmdline "${kargs//LOOP/$loop}" >"$dir/out" 2>&1 </dev/null || true
    sfdisk --json $loop >"$dir/after.json" 2>/dev/null || true"#;

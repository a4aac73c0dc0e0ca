//! Power cuts while a persistent area is made and used: kiwi-live spec 7, T-30, and the promise of decision 0020.

use super::persist::with_area;
use super::{Scenario, Work};
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;
use crate::powercut::{CHANGES, Cuts, Old, Phase, Place, STORE, Setup};

const EXT4: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent";
const XFS: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent rd.live.overlay.cowfs=xfs";
const BTRFS: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent rd.live.overlay.cowfs=btrfs";
const FILE: &str = "root=live:CDLABEL=ISO rd.live.image iso-scan/filename=/live.iso rd.live.overlay.persistent \
                    rd.live.cowfile.mbsize=32";

const LOCKED: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent rd.live.encrypt \
                      rd.live.encrypt.keyfile=/etc/lab.key";
const LOCKED_FILE: &str = "root=live:CDLABEL=ISO rd.live.image iso-scan/filename=/live.iso rd.live.overlay.persistent \
                           rd.live.cowfile.mbsize=48 rd.live.encrypt rd.live.encrypt.keyfile=/etc/lab.key";

const AUTOOVERLAY: &str = "root=live:CDLABEL=ISO rd.live.autooverlay rd.overlay=LABEL=persist";
const IN_DIRECTORY: &str = "root=live:LABEL=STORE rd.live.overlay=LABEL=STORE:/changes";
const IN_STORE: &str = "root=live:LABEL=STORE rd.live.overlay=LABEL=STORE:/store";
const IN_NEW_STORE: &str = "root=live:LABEL=STORE rd.live.overlay=LABEL=STORE:/store rd.live.overlay.size=32";
const IN_STORE_DEVICE: &str = "root=live:LABEL=STORE rd.live.overlay=PARTLABEL=store";
const RESET: &str = "rd.live.overlay.reset";
/// What another image has made is taken over and emptied.
const TAKE: &str = "rd.live.overlay.reset rd.live.overlay.persistent=accept";

/// Marks an area for an image that is not booted; without it kiwi-live might have made it.
const OTHER: &str = r#"
    mkdir -p "$1.tree"; echo '{"volume_id":"OLD","image_uuid":"2001","agent":"0"}' > "$1.tree/.rdlive-identity""#;

/// Behind [`CHANGES`], for an area that is the file `$1`.
const AS_FILE: &str = "\n    mv \"$1.area\" \"$1\"";

/// An area whose superblock is there, and what it describes is not.
const BROKEN: &str = r#"
    truncate -s 64M "$1"; mke2fs -q -F -t ext4 "$1"
    head -c 8M /dev/zero | tr '\0' x | dd of="$1" bs=4096 seek=1 iflag=fullblock conv=notrunc status=none"#;

/// Makes a partition behind the image.
const EMPTY: &str = r#"
    sgdisk -e "$1" >/dev/null; echo "size=56MiB, type=L, name=empty" | sfdisk -q --append "$1" 2>/dev/null"#;
/// Names it.
const GIVEN: &str = "root=live:CDLABEL=ISO rd.live.image rd.overlay=PARTLABEL=empty rd.live.overlay.cowfs=ext4";

/// Makes a second partition that is a store without changes.
const STORE_DEVICE: &str = r#"
    truncate -s +40M "$1"; sgdisk -e "$1" >/dev/null
    echo "size=32MiB, type=L, name=store" | sfdisk -q --append "$1" 2>/dev/null
    at=$(sfdisk -d "$1" | sed -n 's/^.*2 : start= *\([0-9]*\).*/\1/p')
    printf 'SnAp\001\0\0\0\001\0\0\0\010\0\0\0' | dd of="$1" bs=512 seek=$at conv=notrunc status=none"#;

/// 1500 changes in a directory of the only file system of a disk.
const IN_A_DIRECTORY: &str = r#"
    mkdir "$1.at"; mount -o loop,offset=1M "$1" "$1.at"
    for n in $(seq 1500); do mkdir "$1.at/changes/dir$n"; echo old > "$1.at/changes/dir$n/old"; done
    mkdir "$1.at/ovlwork"; umount "$1.at"; rmdir "$1.at"
    debugfs -w -R "ea_set /changes trusted.overlay.impure y" "$1?offset=1048576" 2>/dev/null"#;

fn setup(medium: Recipe, bus: Bus, kargs: &str, place: Place) -> Setup {
    Setup { medium, bus, kargs: kargs.to_owned(), once: "", place, mode: Mode::NativeWrite }
}

/// An ISO of our builder on a disk with 64 MiB behind it.
fn built() -> Setup {
    setup(Recipe::Grown(Box::new(built_iso()), 64), Bus::Virtio, EXT4, Place::Partition)
}

fn stick(table: Table, mib: u64, bus: Bus, kargs: &str) -> Setup {
    setup(hybrid(table, mib), bus, kargs, Place::Partition)
}

/// An ISO file on a disk with other files. There is room for two cow files: on FAT the clusters of one may be lost.
fn host(fs: Fs) -> Setup {
    // What a cut attempt has taken on an NTFS only a check gives back.
    let room = if fs == Fs::Ntfs { 96 } else { 48 };
    setup(store(fs, files(), room), Bus::Virtio, FILE, Place::File)
}

/// As [`host`], with a cow file that a script makes at `$1`, and a boot whose kargs make something else of it.
fn host_with(fs: Fs, cow: &str, once: &'static str) -> Setup {
    let mut all = files();
    all.push(("live_system.cow", changed(Recipe::Text(""), cow)));
    Setup { once, ..setup(store(fs, all, 48), Bus::Virtio, FILE, Place::File) }
}

/// A cow file that has met its end. A reset makes it anew, also where the first one was cut: whose a damaged file is, nobody can say.
fn damaged(fs: Fs) -> Setup {
    let setup = host_with(fs, BROKEN, "");
    Setup { kargs: format!("{} {TAKE}", setup.kargs), ..setup }
}

fn files() -> Vec<(&'static str, Recipe)> {
    vec![("live.iso", iso()), ("photos/one.jpg", Recipe::Text("a photo")), ("letter.txt", iso())]
}

/// Encrypted, with the key in the initrd, so that nobody types.
fn locked(medium: Recipe, kargs: &str, place: Place) -> Setup {
    Setup { mode: Mode::NativeCryptQuick, ..setup(medium, Bus::Virtio, kargs, place) }
}

/// A stick whose area holds changes.
fn with_changes(whose: &str) -> Setup {
    let medium = with_area(&format!("{whose}{CHANGES}"));
    Setup { once: RESET, ..setup(medium, Bus::Virtio, EXT4, Place::Partition) }
}

/// A disk whose file system holds a live image as dracut has them, and a directory with changes.
fn in_a_directory() -> Setup {
    let files = vec![("LiveOS/squashfs.img", image(Fs::Squashfs("zstd"))), ("changes/.x", Recipe::Text(""))];
    let medium = changed(store(Fs::Ext4, files, 64), IN_A_DIRECTORY);
    Setup { once: RESET, ..setup(medium, Bus::Virtio, IN_DIRECTORY, Place::Directory) }
}

/// A stick with a third partition, which holds nothing.
fn in_a_partition(kargs: &str, place: Place) -> Setup {
    setup(changed(hybrid(Table::Gpt, 64), EMPTY), Bus::Virtio, kargs, place)
}

/// As [`in_a_directory`], with a nested image below the store of a snapshot.
fn in_a_store(once: &'static str) -> Setup {
    let zeros = Recipe::Grown(Box::new(Recipe::Text("")), 32);
    let files = vec![("LiveOS/squashfs.img", nested(Fs::Ext4)), (STORE, zeros)];
    Setup { once, ..setup(store(Fs::Ext4, files, 48), Bus::Virtio, IN_STORE, Place::StoreFile) }
}

/// As [`in_a_store`], where the first boot makes the store.
fn in_a_new_store(fs: Fs) -> Setup {
    let files = vec![("LiveOS/squashfs.img", nested(Fs::Ext4)), ("letter.txt", Recipe::Text("a letter"))];
    setup(store(fs, files, 80), Bus::Virtio, IN_NEW_STORE, Place::StoreFile)
}

fn in_a_store_device(once: &'static str) -> Setup {
    let medium = changed(store(Fs::Ext4, vec![("LiveOS/squashfs.img", nested(Fs::Ext4))], 8), STORE_DEVICE);
    Setup { once, ..setup(medium, Bus::Virtio, IN_STORE_DEVICE, Place::StoreDevice) }
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    use Phase::{Creation, Killed, Reset, SecondCreation, Use};
    let gpt = || stick(Table::GptHybrid, 64, Bus::Virtio, EXT4);
    let xfs = || stick(Table::Gpt, 352, Bus::Virtio, XFS);
    let btrfs = || stick(Table::Gpt, 160, Bus::Virtio, BTRFS);
    let autooverlay = || setup(hybrid(Table::Gpt, 64), Bus::Virtio, AUTOOVERLAY, Place::Named);
    let fat = || host(Fs::Vfat);
    let ext4 = || host(Fs::Ext4);
    let locked_partition = || locked(hybrid(Table::Gpt, 64), LOCKED, Place::Partition);
    let locked_file = || locked(store(Fs::Vfat, files(), 80), LOCKED_FILE, Place::File);
    let (own, others) = (format!("{CHANGES}{AS_FILE}"), format!("{OTHER}{CHANGES}{AS_FILE}"));
    // Cuts in each run, and with `--all`.
    let rows = [
        ("T-30 GPT ext4 made", gpt(), Creation, 24, 290),
        ("T-30 ext4 in a partition that is empty made", in_a_partition(EXT4, Place::Unused), Creation, 6, 75),
        ("F7 ext4 in a named partition that is empty made", in_a_partition(GIVEN, Place::Given), Creation, 6, 75),
        ("T-30 GPT of our builder, made again after a cut", built(), SecondCreation, 12, 150),
        ("T-30 MBR ext4 made, USB", stick(Table::Mbr, 64, Bus::UsbStick, EXT4), Creation, 20, 270),
        ("T-30 MBR with ESP ext4 made", stick(Table::MbrEsp, 64, Bus::Virtio, EXT4), Creation, 12, 150),
        (
            "T-30 GPT ext4 made, mounted from the whole disk",
            stick(Table::GptWhole, 64, Bus::Virtio, EXT4),
            Creation,
            10,
            130,
        ),
        ("T-30 GPT xfs made", xfs(), Creation, 12, 150),
        ("T-30 GPT btrfs made", btrfs(), Creation, 12, 150),
        ("C17 autooverlay made", autooverlay(), Creation, 8, 100),
        ("C17 autooverlay used", autooverlay(), Use, 4, 50),
        ("cow file on FAT made", fat(), Creation, 28, 360),
        ("cow file on ext4 made", ext4(), Creation, 24, 280),
        ("cow file on XFS made", host(Fs::Xfs), Creation, 10, 120),
        ("cow file on btrfs made", host(Fs::Btrfs), Creation, 8, 100),
        // Each boot is one in QEMU.
        ("cow file on exFAT made", host(Fs::Exfat), Creation, 6, 75),
        ("cow file on NTFS made", host(Fs::Ntfs), Creation, 4, 50),
        ("GPT ext4 used", gpt(), Use, 11, 150),
        ("GPT xfs used", xfs(), Use, 10, 120),
        ("GPT btrfs used", btrfs(), Use, 10, 120),
        ("cow file on FAT used", fat(), Use, 10, 120),
        ("cow file on ext4 used", ext4(), Use, 10, 120),
        ("cow file on XFS used", host(Fs::Xfs), Use, 6, 75),
        ("GPT ext4, QEMU killed", gpt(), Killed, 3, 20),
        ("C3 store of a snapshot made", in_a_store(""), Creation, 5, 60),
        ("SD-29 new store of a snapshot on ext4 made", in_a_new_store(Fs::Ext4), Creation, 6, 80),
        ("SD-29 new store of a snapshot on FAT made", in_a_new_store(Fs::Vfat), Creation, 6, 80),
        ("C3 store of a snapshot used", in_a_store(""), Use, 6, 90),
        ("C3 store of a snapshot on a partition made", in_a_store_device(""), Creation, 3, 50),
        ("GPT ext4 emptied by a reset", with_changes(""), Reset(Old::Own), 22, 260),
        ("GPT ext4 of another image emptied by a reset", with_changes(OTHER), Reset(Old::Other), 22, 260),
        ("cow file on ext4 emptied by a reset", host_with(Fs::Ext4, &own, RESET), Reset(Old::Own), 5, 60),
        ("cow file on FAT emptied by a reset", host_with(Fs::Vfat, &own, RESET), Reset(Old::Own), 5, 60),
        (
            "cow file on ext4 of another image emptied by a reset",
            host_with(Fs::Ext4, &others, TAKE),
            Reset(Old::Other),
            5,
            60,
        ),
        (
            "cow file on FAT beside that of another image, and a reset",
            host_with(Fs::Vfat, &others, RESET),
            Reset(Old::Beside),
            4,
            50,
        ),
        ("cow file on ext4 that is damaged made anew by a reset", damaged(Fs::Ext4), Creation, 4, 50),
        ("cow file on FAT that is damaged made anew by a reset", damaged(Fs::Vfat), Creation, 3, 50),
        ("C11 directory emptied by a reset", in_a_directory(), Reset(Old::Own), 6, 80),
        ("C10 store of a snapshot emptied by a reset", in_a_store(RESET), Reset(Old::Own), 10, 130),
        ("C10 store of a snapshot of another image emptied by a reset", in_a_store(TAKE), Reset(Old::Other), 5, 70),
        ("C10 store of a snapshot on a partition emptied by a reset", in_a_store_device(RESET), Reset(Old::Own), 5, 60),
        ("T-34 GPT encrypted area made", locked_partition(), Creation, 6, 75),
        ("T-34 encrypted cow file on FAT made", locked_file(), Creation, 6, 75),
    ];
    let cuts = rows.into_iter().map(|(name, setup, phase, count, many)| {
        let origin = setup.place.is_store().then(|| image(Fs::Ext4));
        Scenario {
            name: format!("power/{name}"),
            work: Work::Cuts(Box::new(Cuts { setup, origin, phase, count, many })),
            tag: None,
        }
    });
    cuts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_hundred_cuts_in_each_run_and_five_thousand_in_all_of_which_few_are_encrypted() {
        let cuts: Vec<Cuts> = all()
            .into_iter()
            .filter_map(|scenario| match scenario.work {
                Work::Cuts(cuts) => Some(*cuts),
                _ => None,
            })
            .collect();
        for (number, expected) in
            [(cuts.iter().map(|cut| cut.count).sum::<usize>(), 400), (cuts.iter().map(|cut| cut.many).sum(), 5000)]
        {
            assert_eq!(number, expected);
        }
        // Each costs as much as twenty others.
        let locked = || cuts.iter().filter(|cut| cut.setup.is_encrypted());
        assert!(locked().map(|cut| cut.count).sum::<usize>() * 100 <= 400 * 3);
        assert!(locked().map(|cut| cut.many).sum::<usize>() * 100 <= 5000 * 3);
    }
}

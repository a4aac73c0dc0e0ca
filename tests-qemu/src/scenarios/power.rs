//! Power cuts while a persistent area is made and used: kiwi-live spec 7, T-30, and the promise of decision 0020.

use super::persist::with_area;
use super::{Scenario, Work};
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;
use crate::powercut::{CHANGES, Cuts, Phase, Place, Setup};

const EXT4: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent";
const XFS: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent rd.live.overlay.cowfs=xfs";
const BTRFS: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent rd.live.overlay.cowfs=btrfs";
const FILE: &str = "root=live:CDLABEL=ISO rd.live.image iso-scan/filename=/live.iso rd.live.overlay.persistent \
                    rd.live.cowfile.mbsize=32";

const LOCKED: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent rd.live.encrypt \
                      rd.live.encrypt.keyfile=/etc/lab.key";
const LOCKED_FILE: &str = "root=live:CDLABEL=ISO rd.live.image iso-scan/filename=/live.iso rd.live.overlay.persistent \
                           rd.live.cowfile.mbsize=48 rd.live.encrypt rd.live.encrypt.keyfile=/etc/lab.key";

/// Marks an area for an image that is not booted; without it kiwi-live might have made it.
const OTHER: &str = r#"
    mkdir -p "$1.tree"; echo '{"volume_id":"OLD","image_uuid":"2001","agent":"0"}' > "$1.tree/.rdlive-identity""#;

/// An ISO of our builder on a disk with 64 MiB behind it.
fn built() -> Setup {
    let medium = Recipe::Grown(Box::new(built_iso()), 64);
    Setup { medium, bus: Bus::Virtio, kargs: EXT4.to_owned(), place: Place::Partition, mode: Mode::NativeWrite }
}

fn stick(table: Table, mib: u64, bus: Bus, kargs: &str) -> Setup {
    Setup { medium: hybrid(table, mib), bus, kargs: kargs.to_owned(), place: Place::Partition, mode: Mode::NativeWrite }
}

/// An ISO file on a disk with other files. There is room for two cow files: on FAT the clusters of one may be lost.
fn host(fs: Fs) -> Setup {
    let medium = store(fs, files(), 48);
    Setup { medium, bus: Bus::Virtio, kargs: FILE.to_owned(), place: Place::File, mode: Mode::NativeWrite }
}

fn files() -> Vec<(&'static str, Recipe)> {
    vec![("live.iso", iso()), ("photos/one.jpg", Recipe::Text("a photo")), ("letter.txt", iso())]
}

/// Encrypted, with the key in the initrd, so that nobody types.
fn locked(medium: Recipe, kargs: &str, place: Place) -> Setup {
    Setup { medium, bus: Bus::Virtio, kargs: kargs.to_owned(), place, mode: Mode::NativeCrypt }
}

/// A stick whose area holds changes.
fn with_changes(whose: &str) -> Setup {
    let medium = with_area(&format!("{whose}{CHANGES}"));
    Setup { medium, bus: Bus::Virtio, kargs: EXT4.to_owned(), place: Place::Partition, mode: Mode::NativeWrite }
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    use Phase::{Creation, Killed, Reset, SecondCreation, Use};
    let gpt = || stick(Table::GptHybrid, 64, Bus::Virtio, EXT4);
    let xfs = || stick(Table::Gpt, 352, Bus::Virtio, XFS);
    let btrfs = || stick(Table::Gpt, 160, Bus::Virtio, BTRFS);
    let fat = || host(Fs::Vfat);
    let ext4 = || host(Fs::Ext4);
    let locked_partition = || locked(hybrid(Table::Gpt, 64), LOCKED, Place::Partition);
    let locked_file = || locked(store(Fs::Vfat, files(), 80), LOCKED_FILE, Place::File);
    // Cuts in each run, and with `--all`.
    let rows = [
        ("T-30 GPT ext4 made", gpt(), Creation, 54, 760),
        ("T-30 GPT of our builder, made again after a cut", built(), SecondCreation, 15, 180),
        ("T-30 MBR ext4 made, USB", stick(Table::Mbr, 64, Bus::UsbStick, EXT4), Creation, 25, 330),
        ("T-30 MBR with ESP ext4 made", stick(Table::MbrEsp, 64, Bus::Virtio, EXT4), Creation, 15, 180),
        (
            "T-30 GPT ext4 made, mounted from the whole disk",
            stick(Table::GptWhole, 64, Bus::Virtio, EXT4),
            Creation,
            15,
            180,
        ),
        ("T-30 GPT xfs made", xfs(), Creation, 15, 180),
        ("T-30 GPT btrfs made", btrfs(), Creation, 15, 180),
        ("cow file on FAT made", fat(), Creation, 35, 490),
        ("cow file on ext4 made", ext4(), Creation, 30, 380),
        ("cow file on XFS made", host(Fs::Xfs), Creation, 12, 150),
        ("cow file on btrfs made", host(Fs::Btrfs), Creation, 8, 100),
        // Each boot is one in QEMU.
        ("cow file on exFAT made", host(Fs::Exfat), Creation, 6, 75),
        ("cow file on NTFS made", host(Fs::Ntfs), Creation, 4, 50),
        ("GPT ext4 used", gpt(), Use, 22, 280),
        ("GPT xfs used", xfs(), Use, 12, 150),
        ("GPT btrfs used", btrfs(), Use, 12, 150),
        ("cow file on FAT used", fat(), Use, 12, 150),
        ("cow file on ext4 used", ext4(), Use, 12, 150),
        ("cow file on XFS used", host(Fs::Xfs), Use, 6, 75),
        ("GPT ext4, QEMU killed", gpt(), Killed, 3, 20),
        ("GPT ext4 emptied by a reset", with_changes(""), Reset { other: false }, 30, 320),
        ("GPT ext4 of another image emptied by a reset", with_changes(OTHER), Reset { other: true }, 30, 320),
        ("T-34 GPT encrypted area made", locked_partition(), Creation, 6, 75),
        ("T-34 encrypted cow file on FAT made", locked_file(), Creation, 6, 75),
    ];
    let cuts = rows.into_iter().map(|(name, setup, phase, count, many)| Scenario {
        name: format!("power/{name}"),
        work: Work::Cuts(Box::new(Cuts { setup, phase, count, many })),
        tag: None,
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

//! Power cuts while a persistent area is made and used: kiwi-live spec 7, T-30, and the promise of decision 0020.

use super::{Scenario, Work};
use crate::guest::Tree;
use crate::machine::Bus;
use crate::medium::*;
use crate::powercut::{Cuts, Phase, Place, Setup};

const EXT4: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent";
const XFS: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent rd.live.overlay.cowfs=xfs";
const BTRFS: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent rd.live.overlay.cowfs=btrfs";
const FILE: &str = "root=live:CDLABEL=ISO rd.live.image iso-scan/filename=/live.iso rd.live.overlay.persistent \
                    rd.live.cowfile.mbsize=32";

/// An ISO of our builder on a disk with this much room behind it.
fn stick(table: &str, mib: u64, bus: Bus, kargs: &'static str) -> Setup {
    let args = vec!["--volume-id=ISO".to_owned(), format!("--table={table}")];
    let medium = Recipe::Grown(Box::new(Recipe::Built { tree: Tree::Tiny, args }), mib);
    Setup { medium, bus, kargs, place: Place::Partition }
}

/// An ISO file on a disk with other files.
fn host(fs: Fs) -> Setup {
    let mut files = vec![("live.iso", iso()), ("photos/one.jpg", Recipe::Text("a photo")), ("letter.txt", iso())];
    if fs == Fs::Ext4 {
        // A hole: it makes the file system larger, and takes no room on it.
        files.push(("hole", Recipe::Grown(Box::new(Recipe::Text("x")), 160)));
    }
    let medium = Recipe::Partition(Box::new(folder(fs, "STORE", files)));
    Setup { medium, bus: Bus::Virtio, kargs: FILE, place: Place::File }
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    use Phase::{Creation, Killed, SecondCreation, Use};
    let gpt = || stick("gpt", 64, Bus::Virtio, EXT4);
    let mbr = || stick("msdos", 64, Bus::UsbStick, EXT4);
    let xfs = || stick("gpt", 352, Bus::Virtio, XFS);
    let btrfs = || stick("gpt", 160, Bus::Virtio, BTRFS);
    let fat = || host(Fs::Vfat);
    let ext4 = || host(Fs::Ext4);
    let rows = [
        ("T-30 GPT ext4 made", gpt(), Creation, 20),
        ("T-30 GPT ext4 made again after a cut", gpt(), SecondCreation, 6),
        ("T-30 MBR ext4 made", mbr(), Creation, 8),
        ("T-30 GPT xfs made", xfs(), Creation, 6),
        ("T-30 GPT btrfs made", btrfs(), Creation, 6),
        ("cow file on FAT made", fat(), Creation, 6),
        ("cow file on ext4 made", ext4(), Creation, 6),
        ("GPT ext4 used", gpt(), Use, 6),
        ("GPT xfs used", xfs(), Use, 4),
        ("GPT btrfs used", btrfs(), Use, 4),
        ("cow file on FAT used", fat(), Use, 4),
        ("cow file on ext4 used", ext4(), Use, 4),
        ("GPT ext4, QEMU killed", gpt(), Killed, 2),
    ];
    let cuts = rows.into_iter().map(|(name, setup, phase, count)| Scenario {
        name: format!("power/{name}"),
        work: Work::Cuts(Box::new(Cuts { setup, phase, count })),
    });
    cuts.collect()
}

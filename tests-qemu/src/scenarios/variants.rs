//! Variants of the kinds of field.md that its page does not have; somebody who was asked to break the kinds has found them.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::guest::Tree;
use crate::machine::Bus;
use crate::medium::*;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = decoys();
    list.extend(copies());
    list.extend(subvolumes());
    list.extend(paths());
    list
}

/// The image of the live system.
fn live(name: &str) -> Vec<(String, Recipe)> {
    vec![(name.to_owned(), image(Fs::Squashfs("zstd")))]
}

/// A partition of this file system with these files.
fn partition(fs: Fs, label: &str, files: Vec<(String, Recipe)>) -> Recipe {
    Recipe::Partition(Box::new(Recipe::Folder { fs, label: label.to_owned(), files }))
}

/// B, C: what is in the way of the right medium, or looks damaged and is not.
fn decoys() -> Vec<Scenario> {
    let empty = folder(Fs::Squashfs("zstd"), "", vec![("usr/README", Recipe::Text("no system\n"))]);
    let files = vec![("LiveOS/squashfs.img", image(Fs::Squashfs("zstd")))];
    let decoy = partition(Fs::Ext4, "ISO", vec![("LiveOS/squashfs.img".to_owned(), empty)]);
    vec![
        scenario(
            "field/C a medium without an init is nothing but in the way",
            Boot::from(decoy)
                .on(Bus::Disk)
                .and(iso(), Bus::Disk)
                .kargs("rd.overlay=:auto rd.retry=40")
                .writable()
                .expect(overlay_root())
                .expect(marker("tiny"))
                .expect(media_unchanged()),
        ),
        scenario(
            "field/B a FAT of a larger stick on a smaller one",
            // Without a table: the kernel takes no GPT of a longer disk.
            Boot::from(changed(folder(Fs::Vfat, "ISO", files), "truncate -s -4M \"$1\""))
                .on(Bus::Disk)
                .kargs("rd.retry=20")
                .expect(overlay_root()),
        ),
    ]
}

/// D: files that somebody has copied.
fn copies() -> Vec<Scenario> {
    const OTHER: &str = ".rdlive/fedcba9876543210";
    let boot = |fs: Fs, label: &str, files: Vec<(String, Recipe)>| {
        Boot::from(partition(fs, label, files))
            .on(Bus::Stick)
            .root("root=live:CDLABEL=TINY+29DAD730 rd.live.image rd.overlay")
            .kargs("rd.live.medium=UUID=2026-01-01-00-00-00-00,ID=0123456789abcdef rd.retry=14")
    };
    let another = || {
        let mut files = live("LiveOS/squashfs.img");
        files.push((OTHER.to_owned(), Recipe::Text("a build\n")));
        files
    };
    vec![
        scenario(
            "field/D copied without what is hidden, and the label cut",
            boot(Fs::Vfat, "TINY_29DAD7", live("LiveOS/squashfs.img"))
                .expect(overlay_root())
                .expect(console_says("using it because no other has come")),
        ),
        scenario(
            "field/D copied without what is hidden, and the label without a sign",
            boot(Fs::Vfat, "TINY29DAD73", live("LiveOS/squashfs.img")).expect(overlay_root()),
        ),
        scenario(
            "field/D a label that was cut, of another build",
            boot(Fs::Vfat, "TINY_29DAD7", another())
                .expect(stops_with("RDL-010"))
                .expect(report_says("holds files of another build")),
        ),
        scenario(
            "field/N names in capitals on NTFS",
            Boot::from(partition(Fs::Ntfs, "ISO", live("LIVEOS/SQUASHFS.IMG"))).on(Bus::Disk).expect(overlay_root()),
        ),
    ]
}

/// G: a medium at the top of a btrfs, which mounts something else by default.
fn subvolumes() -> Vec<Scenario> {
    const ELSEWHERE: &str = r#"
        mkdir "$1.mnt"; mount -o loop,offset=1048576 "$1" "$1.mnt"
        cd "$1.mnt"; btrfs -q subvolume create @
        mkdir -p @/usr/bin @/sbin @/etc @/proc; cp /bin/true @/sbin/init; echo ID=other > @/etc/os-release
        btrfs subvolume set-default @; cd /; umount "$1.mnt"; rmdir "$1.mnt""#;
    let mark = || (".rdlive/0123456789abcdef".to_owned(), Recipe::Text("a build\n"));
    let medium = |label: &str, marked: bool| {
        let root = Recipe::Image { tree: Tree::Tiny, fs: Fs::Squashfs("zstd"), marker: "tiny", label: "" };
        let mut files = vec![("LiveOS/squashfs.img".to_owned(), root)];
        files.extend(marked.then(mark));
        Boot::from(changed(partition(Fs::Btrfs, label, files), ELSEWHERE))
            .on(Bus::Disk)
            .expect(overlay_root())
            .expect(marker("tiny"))
    };
    vec![
        scenario("field/G a medium above an installed system", medium("ISO", false)),
        scenario(
            "field/G the mark lies above the default subvolume",
            medium("photos", true).kargs("rd.live.medium=UUID=2026-01-01-00-00-00-00,ID=0123456789abcdef rd.retry=30"),
        ),
    ]
}

/// E: paths as people and boot loaders write them.
fn paths() -> Vec<Scenario> {
    let in_dir = |kargs: &str| {
        Boot::from(partition(Fs::Ext4, "ISO", live("it's/squashfs.img")))
            .on(Bus::Disk)
            .kargs(kargs)
            .expect(overlay_root())
    };
    let disk =
        vec![("iso/real.iso".to_owned(), iso()), ("boot/grub/grub.cfg".to_owned(), Recipe::Text("set timeout=1\n"))];
    vec![
        scenario(
            "field/E a path that goes up",
            Boot::from(partition(Fs::Ext4, "STORE", disk))
                .on(Bus::Disk)
                .kargs("iso-scan/filename=(hd0,gpt1)/boot/grub/../../iso/real.iso")
                .expect(overlay_root()),
        ),
        scenario("field/E rd.live.dir= as GRUB writes it", in_dir(r"rd.live.dir=it\'s")),
    ]
}

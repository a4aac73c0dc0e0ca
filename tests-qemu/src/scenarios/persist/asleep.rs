//! A system that sleeps knows what is on its disks, and nobody may write there: spec/attacks.md F3.

use super::outside::untouched;
use super::*;

/// FAT32 marks a volume that is mounted for writing in byte 65, exFAT in byte 106; the partition begins at 1 MiB.
const MARK_FAT: &str = r#"printf '\001' | dd of="$1" bs=1 seek=$((1048576 + 65)) conv=notrunc status=none"#;
const MARK_EXFAT: &str = r#"printf '\002' | dd of="$1" bs=1 seek=$((1048576 + 106)) conv=notrunc status=none"#;

/// The disk as it is while another system has it mounted and has written to it.
pub const MOUNTED_BY_ANOTHER: &str = r#"
    mkdir -p "$1.at"; mount -o loop,offset=1048576 "$1" "$1.at"; trap 'umount "$1.at"' EXIT
    cp "$1.at/letter.txt" "$1.at/new.txt"; sync -f "$1.at"
    cp --sparse=always "$1" "$1.seen"; umount "$1.at"; trap - EXIT; mv "$1.seen" "$1"; rmdir "$1.at""#;

/// A second partition that is a volume of LVM: what is in it cannot be seen.
const LVM_BESIDE: &str = r#"
    start=$(( ($(stat -c %s "$1") + 1048575) / 1048576 * 1048576 )); truncate -s $((start + 8 * 1048576)) "$1"
    sgdisk -e "$1" >/dev/null; sgdisk -n 2:$((start / 512)):0 -t 2:8e00 "$1" >/dev/null
    printf 'LABELONE\001\0\0\0\0\0\0\0' | dd of="$1" bs=1 seek=$((start + 512)) conv=notrunc status=none
    printf 'LVM2 001abcdefABCDabcdABCDabcdABCDabcdef' | dd of="$1" bs=1 seek=$((start + 536)) conv=notrunc status=none"#;

/// A second partition with a Linux that was not shut down: it may sleep in a file.
const LINUX_BESIDE: &str = r#"
    truncate -s +16M "$1"; sgdisk -e "$1" >/dev/null; echo 'size=8M, type=L' | sfdisk -q --append "$1" 2>/dev/null
    start=$(sfdisk -d "$1" | sed -n 's/^.*2 : start= *\([0-9]*\).*/\1/p'); mke2fs -q -F -t ext4 "$1.linux" 8M
    mkdir "$1.at"; mount -o loop "$1.linux" "$1.at"; trap 'umount "$1.at"' EXIT; echo x > "$1.at/x"; sync -f "$1.at"
    dd if="$1.linux" of="$1" bs=512 seek=$start conv=notrunc status=none
    umount "$1.at"; trap - EXIT; rm "$1.linux"; rmdir "$1.at""#;

/// A disk on which a Linux sleeps.
pub fn sleeping() -> Recipe {
    changed(
        Recipe::Text(""),
        r#"truncate -s 8M "$1"; mkswap "$1" >/dev/null; printf S1SUSPEND | dd of="$1" bs=1 seek=4086 conv=notrunc status=none"#,
    )
}

fn disk(fs: Fs, script: &str) -> Recipe {
    let files = vec![("live.iso", iso()), ("letter.txt", Recipe::Text("dear"))];
    changed(store(fs, files, 64), script)
}

/// An NTFS on which a Windows has left its memory.
pub fn windows(head: &'static str) -> Recipe {
    Recipe::Partition(Box::new(folder(Fs::Ntfs, "C", vec![("hiberfil.sys", Recipe::Text(head))])))
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = Vec::new();
    for (name, fs, script, check) in [
        ("ext4", Fs::Ext4, MOUNTED_BY_ANOTHER, "run e2fsck"),
        ("XFS", Fs::Xfs, MOUNTED_BY_ANOTHER, "run xfs_repair"),
        ("FAT", Fs::Vfat, MARK_FAT, "run fsck.fat"),
        ("exFAT", Fs::Exfat, MARK_EXFAT, "run fsck.exfat"),
    ] {
        let refused =
            forgets(host(disk(fs, script)), check).expect(report_says("rd.live.host.awake=1")).expect(untouched(0));
        list.push(scenario(format!("persist/F3 {name} that another system has mounted"), refused));
    }
    let second = host(disk(Fs::Vfat, MARK_FAT));
    let awake = second.again().kargs("rd.live.host.awake=1");
    let third = second.again();
    list.push(scenario(
        "persist/F3 a FAT of which somebody knows that nobody uses it, and from then on its own note says so",
        keeps(writes(awake, "first"), "file").then(keeps(third, "file").expect(file_is("/kept", "first"))),
    ));
    for (name, fs) in [("btrfs", Fs::Btrfs), ("FAT", Fs::Vfat)] {
        let beside =
            forgets(host(disk(fs, LVM_BESIDE)).on(Bus::Disk), "on the same disk is LVM2_member").expect(untouched(0));
        list.push(scenario(format!("persist/F3 {name} beside a volume of LVM"), beside));
    }
    let beside = || host(disk(Fs::Vfat, LINUX_BESIDE));
    let refused = forgets(beside().on(Bus::Disk), "on the same disk was not cleanly unmounted");
    list.push(scenario(
        "persist/F3 FAT beside a Linux that may sleep",
        refused.expect(report_says("rd.live.host.awake=1")).expect(untouched(0)),
    ));
    list.push(scenario(
        "persist/F3 FAT on a stick beside a Linux that may sleep",
        keeps(writes(beside().on(Bus::UsbStick), "first"), "file"),
    ));
    list.push(scenario(
        "persist/F3 ext4 beside a volume of LVM has marks of its own",
        keeps(writes(host(disk(Fs::Ext4, LVM_BESIDE)).on(Bus::Disk), "first"), "file"),
    ));
    let beside = |fs, head| host(disk(fs, "true")).on(Bus::Disk).and(windows(head), Bus::Disk);
    list.push(scenario(
        "persist/F3 a FAT in a machine whose Windows is hibernated",
        forgets(beside(Fs::Vfat, "hibr"), "hibernated Windows").expect(untouched(0)).expect(untouched(1)),
    ));
    list.push(scenario(
        "persist/F3 a FAT in a machine whose Windows has woken up",
        keeps(writes(beside(Fs::Vfat, "wake"), "first"), "file").expect(untouched(1)),
    ));
    list.push(scenario(
        "persist/F3 a FAT on a stick in a machine whose Windows is hibernated",
        keeps(writes(beside(Fs::Vfat, "hibr").on(Bus::UsbStick), "first"), "file").expect(untouched(1)),
    ));
    list.push(scenario(
        "persist/F3 a named btrfs in a machine whose Windows is hibernated",
        forgets(
            Boot::from(iso())
                .and(store(Fs::Btrfs, vec![("letter", Recipe::Text("dear"))], 32), Bus::Disk)
                .and(windows("hibr"), Bus::Disk)
                .root("root=live:CDLABEL=ISO rd.live.image rd.overlay=LABEL=STORE")
                .kargs("lab.shutdown")
                .mode(Mode::NativeWrite)
                .writable(),
            "hibernated Windows",
        )
        .expect(untouched(1)),
    ));
    list
}

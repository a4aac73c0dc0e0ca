//! The partition on the boot disk: T-18 to T-33.

use super::outside::{GPT, MBR, kept, look, made, untouched, used};
use super::*;

/// First boot on a fresh stick with this table: the partition is made, the file kept; second boot: the file is there.
fn twice(recipe: Recipe, bus: Bus, entry: (u32, &str), place: &'static str) -> Boot {
    twice_as(stick(recipe).on(bus), entry, place, "/run/overlay/overlayfs")
}

/// As [`twice`], with the area mounted `at` a place of the dialect.
fn twice_as(boot: Boot, (number, kind): (u32, &str), place: &'static str, at: &'static str) -> Boot {
    keeps(writes(boot.again(), "first"), "partition")
        .expect(report_says(place))
        .expect(mounted(at, "ext4"))
        .expect(made(number, kind, "ext4"))
        .expect(kept(number, "first"))
        .then(
            keeps(boot, "partition")
                .expect(file_is("/kept", "first"))
                .expect(used(number))
                .expect(kept(number, "first")),
        )
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = tables();
    list.extend(buses());
    list.extend(kinds());
    list.extend(values());
    list.extend(refusals());
    list.extend(old_areas());
    list
}

fn tables() -> Vec<Scenario> {
    let mut list = vec![scenario(
        "persist/T-18 T-21 T-32 an ISO of our builder on a 1 GiB stick",
        twice(Recipe::Grown(Box::new(built_iso()), 900), Bus::Stick, (3, GPT), "/dev/{0.3}"),
    )];
    for (name, table, entry, place) in [
        ("T-18 T-21 GPT", Table::Gpt, (3, GPT), "/dev/{0.3}"),
        ("T-32 GPT with an active MBR entry", Table::GptHybrid, (3, GPT), "/dev/{0.3}"),
        ("T-19 MBR with an ESP", Table::MbrEsp, (3, MBR), "/dev/{0.3}"),
        ("T-20 MBR, BIOS only", Table::Mbr, (2, MBR), "/dev/{0.2}"),
        ("T-18 GPT, mounted from the whole disk", Table::GptWhole, (3, GPT), "/dev/{0.3}"),
        ("T-19 MBR, first partition Linux at sector 0", Table::MbrWhole, (3, MBR), "/dev/{0.3}"),
    ] {
        list.push(scenario(format!("persist/{name}"), twice(hybrid(table, 96), Bus::Stick, entry, place)));
    }
    list.push(scenario(
        "persist/T-18 T-21 in the dmsquash dialect",
        twice_as(
            stick(hybrid(Table::Gpt, 96)).kargs("rd.live.dialect=dmsquash rd.overlay"),
            (3, GPT),
            "/dev/{0.3}",
            "/run/initramfs/overlayfs",
        ),
    ));
    list
}

fn buses() -> Vec<Scenario> {
    // A card has a size that is a power of two.
    let card = changed(hybrid(Table::Gpt, 64), "truncate -s 128M \"$1\"");
    [
        ("virtio", Bus::Virtio, "/dev/{0.3}", hybrid(Table::Gpt, 96)),
        ("nvme", Bus::Nvme, "/dev/{0.3}", hybrid(Table::Gpt, 96)),
        ("sata, nested image", Bus::Ahci, "/dev/{0.3}", hybrid_with(Table::Gpt, nested(Fs::Ext4), 96)),
        ("usb", Bus::UsbStick, "/dev/{0.3}", hybrid(Table::Gpt, 96)),
        ("sd card", Bus::SdCard, "/dev/{0.3}", card),
    ]
    .into_iter()
    .map(|(name, bus, place, recipe)| {
        scenario(format!("persist/T-18 T-21 on {name}"), twice(recipe, bus, (3, GPT), place))
    })
    .collect()
}

fn kinds() -> Vec<Scenario> {
    let with = |fs: &'static str, mib| {
        let boot = stick(hybrid(Table::Gpt, mib));
        keeps(writes(boot.again().kargs(&format!("rd.live.overlay.cowfs={fs}")), "first"), "partition")
            .expect(mounted("/run/overlay/overlayfs", fs))
            .expect(made(3, GPT, fs))
            // Another wish later does not change what is there.
            .then(
                keeps(boot.kargs("rd.live.overlay.cowfs=ext4"), "partition")
                    .expect(mounted("/run/overlay/overlayfs", fs))
                    .expect(file_is("/kept", "first"))
                    .expect(used(3)),
            )
    };
    vec![
        scenario("persist/T-22 xfs", with("xfs", 340)),
        scenario("persist/T-23 btrfs", with("btrfs", 140)),
        scenario(
            "persist/T-23 a file system that is none of ours",
            forgets(
                stick(hybrid(Table::Gpt, 96)).kargs("rd.live.overlay.cowfs=reiserfs"),
                "rd.live.overlay.cowfs=reiserfs is not ext4, xfs or btrfs, nothing was created",
            )
            .expect(untouched(0)),
        ),
        scenario(
            "persist/T-22 too little room for xfs",
            forgets(stick(hybrid(Table::Gpt, 96)).kargs("rd.live.overlay.cowfs=xfs"), "xfs needs 320 MiB")
                .expect(untouched(0)),
        ),
    ]
}

/// Spellings of the switch.
fn values() -> Vec<Scenario> {
    let with = |value: &str| {
        let root = format!("root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent{value}");
        ends_well(stick(hybrid(Table::Gpt, 96)).root(&root))
    };
    let off = |value: &str| with(value).expect(persistence("temporary")).expect(no_fallbacks()).expect(untouched(0));
    vec![
        scenario("persist/T-26 =off", off("=off")),
        scenario("persist/T-28 the last one counts", off(" rd.live.overlay.persistent=0")),
        scenario(
            "persist/T-27 =false is not off",
            with("=false")
                .expect(persistence("partition"))
                .expect(report_says("rd.live.overlay.persistent=false"))
                .expect(made(3, GPT, "ext4")),
        ),
    ]
}

/// Changes are kept, then the stick's write protection is switched on.
fn shown() -> Boot {
    let boot = stick(hybrid(Table::Gpt, 96));
    let second = boot.again().locked().kargs("rd.live.overlay.readonly lab.write=/more:x");
    keeps(writes(boot, "first"), "partition").then(
        keeps(second, "partition")
            .expect(file_is("/kept", "first"))
            .expect(report_says("\"readonly\":true"))
            .expect(untouched(0)),
    )
}

/// Disks on which there can be no area; nothing is written.
fn refusals() -> Vec<Scenario> {
    let full = |table| stick(hybrid(table, 0));
    let locked = |bus| stick(hybrid(Table::Gpt, 96)).on(bus).locked();
    let required = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent=required";
    vec![
        scenario(
            "persist/T-24 no room, GPT",
            forgets(full(Table::Gpt), "/dev/{0}: no room behind the image").expect(untouched(0)),
        ),
        scenario(
            "persist/T-24 no room, MBR",
            forgets(full(Table::MbrEsp), "/dev/{0}: no room behind the image").expect(untouched(0)),
        ),
        scenario(
            "persist/T-24 no room, and it is required",
            full(Table::Gpt).root(required).expect(stops_with("RDL-050")).expect(untouched(0)),
        ),
        scenario(
            "persist/T-25 read-only virtio disk",
            forgets(locked(Bus::Disk), "/dev/{0} refuses writes").expect(untouched(0)),
        ),
        scenario(
            "persist/T-25 stick with write protection",
            forgets(locked(Bus::Stick), "/dev/{0} refuses writes").expect(untouched(0)),
        ),
        scenario("persist/T-25 a stick with write protection is shown read-only", shown()),
        scenario(
            "persist/T-25 read-only, and it is required",
            locked(Bus::Disk).root(required).expect(stops_with("RDL-050")),
        ),
        scenario(
            "persist/an ISO without a partition table",
            forgets(stick(hybrid(Table::None, 96)), "no partition table").expect(untouched(0)),
        ),
    ]
}

/// Puts the file system `area` behind the ISO: at the first MiB behind the image, which `$room` MiB follow.
const BEHIND: &str = r#"
    at=$(( ($(stat -c %s "$1") - room * 1048576 + 1048575) / 1048576 ))
    dd if="$1.area" of="$1" bs=1M seek=$at conv=notrunc,sparse status=none; rm "$1.area""#;

/// An ext4 labelled `cow` whose upper layer holds a file.
pub(super) const STALE: &str = r#"
    mkdir -p "$1.tree/rw" "$1.tree/work"; echo stale > "$1.tree/rw/kept"; truncate -s 64M "$1.area"
    mke2fs -q -F -t ext4 -L cow -d "$1.tree" "$1.area"; rm -r --one-file-system "$1.tree""#;

/// What is on the disk already: in the table or not, on this disk or another, whole or damaged.
fn old_areas() -> Vec<Scenario> {
    let stale_xfs = r#"truncate -s 330M "$1.area"; mkfs.xfs -q -L cow "$1.area""#;
    let rewritten = |mib: u64, make: &str| changed(hybrid(Table::Gpt, mib), &format!("room={mib}\n{make}{BEHIND}"));
    let fresh = |boot: Boot, fs: &'static str| {
        let again = boot.again();
        keeps(boot, "partition")
            .expect(file_absent("/kept"))
            .expect(made(3, GPT, fs))
            .then(keeps(writes(again.again(), "new"), "partition").expect(used(3)))
            .then(keeps(again, "partition").expect(file_is("/kept", "new")))
    };
    let foreign = changed(image(Fs::Ext4), "e2label \"$1\" cow");
    vec![
        scenario(
            "persist/T-31 an old xfs at the same place, without an entry",
            fresh(stick(rewritten(340, stale_xfs)).kargs("rd.live.overlay.cowfs=xfs"), "xfs"),
        ),
        scenario("persist/T-31 an old ext4 with changes at the same place", fresh(stick(rewritten(96, STALE)), "ext4")),
        scenario(
            "persist/T-29 a file system labelled cow on another disk",
            keeps(writes(stick(hybrid(Table::Gpt, 96)).and(foreign.clone(), Bus::Disk), "first"), "partition")
                .expect(report_says("not on the boot disk"))
                .expect(report_says("/dev/{1}"))
                .expect(made(3, GPT, "ext4"))
                .expect(untouched(1)),
        ),
        scenario(
            "persist/T-29 the other disk holds the only one, and there is no room",
            forgets(stick(hybrid(Table::Gpt, 0)).and(foreign, Bus::Disk), "/dev/{0}: no room behind the image")
                .expect(untouched(0))
                .expect(untouched(1)),
        ),
        scenario(
            "persist/T-33 a damaged area stays as it is",
            forgets(stick(with_area(DAMAGED)), "RDL-052")
                .expect(report_says("the file system is damaged"))
                .expect(but_for_the_note())
                // With the kernel's note it has met an error, and e2fsck repairs what it can before it gives up.
                .then(
                    forgets(stick(with_area(DAMAGED)), "RDL-052")
                        .expect(look("is the same outside of the area", OUTSIDE)),
                ),
        ),
        scenario(
            "persist/T-33 a damaged area that was cut off stays where it is",
            // e2fsck repairs what it can before it gives up: what is outside is the same, and it is never made anew.
            forgets(stick(with_area(&format!("{STALE}\n{UNCLEAN}\n{RUINED}"))), "RDL-052")
                .expect(look("is the same outside of the area", OUTSIDE))
                .then(
                    forgets(stick(with_area(DAMAGED)), "RDL-052")
                        .expect(look("is the same outside of the area", OUTSIDE)),
                ),
        ),
        scenario(
            "persist/T-33 a damaged area, and it is required",
            stick(with_area(DAMAGED))
                .root("root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent=required")
                .expect(stops_with("RDL-052")),
        ),
        scenario(
            "persist/T-33 T-21 a damaged area is made anew when a reset asks for it",
            keeps(stick(with_area(DAMAGED)).kargs("rd.live.overlay.reset"), "partition")
                .expect(report_says("reset was asked for"))
                .expect(used(3)),
        ),
        scenario(
            "persist/T-33 an area that needs a repair gets it",
            keeps(stick(with_area(&format!("{STALE}\n{UNCLEAN}"))), "partition")
                .expect(file_is("/kept", "stale"))
                .expect(report_says("repaired"))
                .expect(used(3)),
        ),
        scenario(
            "persist/T-30 kiwi-live was cut off between table and mkfs",
            keeps(writes(stick(with_area("truncate -s 64M \"$1.area\"")), "first"), "partition")
                .expect(used(3))
                .expect(kept(3, "first")),
        ),
        scenario(
            "persist/T-18 a partition of the stick's owner behind the image",
            keeps(writes(stick(changed(hybrid(Table::Gpt, 96), OWNERS)), "first"), "partition")
                .expect(made(4, GPT, "ext4"))
                .expect(kept(4, "first")),
        ),
        scenario(
            "persist/F7 a Linux partition that nobody knows is passed over where there is other room",
            keeps(writes(stick(changed(hybrid(Table::Gpt, 144), UNKNOWN)), "first"), "partition")
                .expect(made(4, GPT, "ext4"))
                .expect(kept(4, "first"))
                .expect(report_says("is left as it is, for there is something at byte 0"))
                .expect(look(
                    "partition 3 is as it was",
                    r#"cut_out "$1" 3; head -c 48M /dev/zero | tr '\0' x | cmp - "$1.part""#,
                )),
        ),
        scenario(
            "persist/T-21 an area made by kiwi-live is used and marked",
            keeps(stick(with_area(STALE)), "partition")
                .expect(file_is("/kept", "stale"))
                .expect(look(
                    "holds the mark",
                    "cut_out \"$1\" 3; debugfs -R 'cat /.rdlive-identity' \"$1.part\" 2>/dev/null | grep -q '\"ISO\"'",
                ))
                .expect(used(3)),
        ),
    ]
}

/// Nothing but the kernel's own note of an error in the superblock has changed.
fn but_for_the_note() -> Check {
    look(
        "has every byte but the kernel's own note of the error in the superblock",
        r#"same "$1" "$2" 0 $(( $(first "$1" 3) + 1024 )); same "$1" "$2" $(( $(first "$1" 3) + 2048 )) $(stat -c %s "$1")"#,
    )
}

const OUTSIDE: &str = r#"same "$1" "$2" 0 $(first "$1" 3); same "$1" "$2" $(behind "$1" 3) $(stat -c %s "$1")
    [ "$(od -An -tx2 -j $(( $(first "$1" 3) + 1080 )) -N2 "$1")" = " ef53" ] || fail "the superblock is gone""#;

/// An area whose superblock is there, and what it describes is not.
pub(super) const DAMAGED: &str = r#"
    truncate -s 64M "$1.area"; mke2fs -q -F -t ext4 -L cow "$1.area"
    head -c 60M /dev/zero | tr '\0' x | dd of="$1.area" bs=4096 seek=1 iflag=fullblock conv=notrunc status=none"#;

/// What the superblock of an area describes is overwritten.
const RUINED: &str = r#"
    head -c 60M /dev/zero | tr '\0' x | dd of="$1.area" bs=4096 seek=1 iflag=fullblock conv=notrunc status=none"#;

/// Wrong counters and the mark of an error: what `e2fsck -p` repairs without asking.
pub(super) const UNCLEAN: &str = r#"
    debugfs -w -R "set_super_value free_blocks_count 5" "$1.area" 2>/dev/null
    debugfs -w -R "set_super_value state 0" "$1.area" 2>/dev/null"#;

/// A FAT for pictures.
const OWNERS: &str = r#"
    truncate -s 20M "$1.fat"; mkfs.vfat -n PICTURES "$1.fat" >/dev/null
    sgdisk -e "$1" >/dev/null; echo "size=20MiB, type=\"Microsoft basic data\"" | sfdisk -q --append "$1" 2>/dev/null
    at=$(sfdisk -d "$1" | sed -n 's/^.*3 : start= *\([0-9]*\).*/\1/p')
    dd if="$1.fat" of="$1" bs=1M seek=$(( at / 2048 )) conv=notrunc status=none; rm "$1.fat""#;

/// 48 MiB of a Linux partition, full of what no reader knows.
const UNKNOWN: &str = r#"
    sgdisk -e "$1" >/dev/null; echo "size=48MiB, type=L" | sfdisk -q --append "$1" 2>/dev/null
    at=$(sfdisk -d "$1" | sed -n 's/^.*3 : start= *\([0-9]*\).*/\1/p')
    head -c 48M /dev/zero | tr '\0' x | dd of="$1" bs=1M seek=$(( at / 2048 )) iflag=fullblock conv=notrunc status=none"#;

/// A stick whose third partition is the file system that the script made as `$1.area`.
pub(in crate::scenarios) fn with_area(make: &str) -> Recipe {
    let entry = r#"
        sgdisk -e "$1" >/dev/null; echo "size=64MiB, type=L" | sfdisk -q --append "$1" 2>/dev/null"#;
    let copy = r#"
        at=$(sfdisk -d "$1" | sed -n 's/^.*3 : start= *\([0-9]*\).*/\1/p')
        dd if="$1.area" of="$1" bs=1M seek=$(( at / 2048 )) conv=notrunc,sparse status=none; rm "$1.area""#;
    changed(hybrid(Table::Gpt, 96), &format!("{make}{entry}{copy}"))
}

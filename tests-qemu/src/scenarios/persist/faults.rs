//! What goes wrong: tables that lie, media that vanish or are slow, and twins.

use super::disk::{STALE, UNCLEAN, with_area};
use super::outside::{GPT, look, made, untouched, used};
use super::*;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = tables();
    list.extend([
        unreadable(),
        twin(),
        slow(),
        slow_file(),
        vanishes(),
        file_vanishes(),
        vanishes_too_early(),
        no_tool(),
    ]);
    list
}

/// GPTs that do not fit the disk.
fn tables() -> Vec<Scenario> {
    let with = |script: &str| stick(changed(hybrid(Table::Gpt, 96), script));
    let zeros = |seek: &str, count: u64| {
        format!("dd if=/dev/zero of=\"$1\" bs=512 seek={seek} count={count} conv=notrunc status=none")
    };
    let image_end = "$(( ($(stat -c %s \"$1\") - 96 * 1048576) / 512 - 1 ))";
    vec![
        scenario(
            "persist/a GPT made for a larger disk",
            forgets(with("sgdisk -e \"$1\" >/dev/null; truncate -s -40M \"$1\""), "it is made for a larger disk")
                .expect(untouched(0)),
        ),
        scenario(
            "persist/a GPT whose copy is at the end of the disk already",
            keeps(with("sgdisk -e \"$1\" >/dev/null"), "partition").expect(made(3, GPT, "ext4")),
        ),
        scenario(
            "persist/a GPT whose copy at the image's end was overwritten",
            keeps(with(&zeros(image_end, 1)), "partition").expect(made(3, GPT, "ext4")),
        ),
        scenario(
            "persist/a damaged primary GPT, its copy is good",
            forgets(with(&zeros("1", 1)), "the partition table is damaged: its header").expect(untouched(0)),
        ),
        scenario(
            "persist/damaged primary entries, their copy is good",
            forgets(
                with("printf x | dd of=\"$1\" bs=1 seek=1100 conv=notrunc status=none"),
                "the partition table is damaged: the checksum",
            )
            .expect(untouched(0)),
        ),
    ]
}

/// attacks.md F6: an area with errors, and among them one that only the disk knows. A reset makes a damaged area anew, and what cannot be
/// read is not known to be damaged: with the right cable all of it may be there.
fn unreadable() -> Scenario {
    let directory = r#"
        start=$(sfdisk -d "$1" 2>/dev/null | sed -n 's/^.*3 : start= *\([0-9]*\).*/\1/p'); at="$1?offset=$((start * 512))"
        block=$(debugfs -R 'blocks /rw' "$at" 2>/dev/null)
        size=$(debugfs -R 'stats -h' "$at" 2>/dev/null | sed -n 's/^Block size: *//p')
        echo $((start + block * (size / 512)))"#;
    let boot = stick(with_area(&format!("{STALE}\n{UNCLEAN}"))).on(Bus::Disk).unreadable(directory);
    scenario(
        "persist/F6 a damaged area that cannot be read is not made anew by a reset",
        forgets(boot.kargs("rd.live.overlay.reset"), "Input/output error")
            .expect(report_says("looking at the damage"))
            .expect(untouched(0)),
    )
}

/// Two sticks with one label: the area comes to the one that the machine started from.
fn twin() -> Scenario {
    let other = Recipe::Hybrid {
        table: Table::Gpt,
        label: "ISO@2025050505050500",
        container: Box::new(image(Fs::Squashfs("zstd"))),
    };
    let other = Recipe::Grown(Box::new(other), 96);
    let boot = stick(other).and(hybrid(Table::Gpt, 96), Bus::Stick).kargs("rd.live.medium=UUID=2026-01-02-03-04-05-00");
    scenario(
        "persist/a second stick with the same label",
        keeps(writes(boot, "first"), "partition").expect(report_says("/dev/{1.3}")).expect(untouched(0)).expect(disk(
            1,
            "has another table",
            "! cmp -s \"$1\" \"$2\"",
        )),
    )
}

/// A stick that takes 1 MB/s: the boot says what it does, and waits.
fn slow() -> Scenario {
    let boot = stick(hybrid(Table::Gpt, 96)).slow(1_000_000).deadline(240);
    scenario(
        "persist/a slow stick",
        keeps(writes(boot, "first"), "partition")
            .expect(console_says("making an ext4"))
            .expect(console_says("still at it"))
            .expect(made(3, GPT, "ext4")),
    )
}

/// FAT has no holes: all of the file is written.
fn slow_file() -> Scenario {
    let boot = host(store(Fs::Vfat, vec![("live.iso", iso())], 64)).slow(6_000_000).deadline(240);
    scenario(
        "persist/a slow stick with a cow file",
        keeps(writes(boot, "first"), "file").expect(console_says("making an ext4")).expect(console_says("still at it")),
    )
}

/// A shell writes, the stick is pulled out, the shell writes on.
fn pulled_out(boot: Boot) -> Boot {
    boot.kargs("init=/bin/sh")
        .on_text("# ", "echo first > /kept; busybox sync; echo IT-IS''-WRITTEN; for n in 1 2 3 4 5; do sleep 1; echo more > /more$n; busybox sync; done; busybox poweroff -f\n")
        .unplugged_on_text("IT-IS-WRITTEN")
        .deadline(60)
        .expect(console_says("USB disconnect"))
        .expect(ends(End::Off))
}

fn vanishes() -> Scenario {
    let boot = stick(hybrid(Table::Gpt, 96));
    let second = boot.again();
    scenario(
        "persist/the stick is pulled out while it is written to",
        pulled_out(boot)
            .expect(persistence("partition"))
            .expect(look(
                "what was written is there after a repair, and nothing else has changed",
                r#"same_outside "$1" "$2" 3; cut_out "$1" 3; e2fsck -p "$1.part" || [ $? = 1 ]; sound "$1.part"
                debugfs -R "cat /rw/kept" "$1.part" 2>/dev/null | grep -qx first"#,
            ))
            .then(keeps(second, "partition").expect(file_is("/kept", "first")).expect(used(3))),
    )
}

fn file_vanishes() -> Scenario {
    let boot = host(store(Fs::Ext4, vec![("live.iso", iso())], 64));
    let second = boot.again();
    scenario(
        "persist/the stick with the cow file is pulled out while it is written to",
        pulled_out(boot)
            .expect(persistence("file"))
            .expect(look(
                "what was written is there after a repair of host and file, and nothing else has changed",
                r#"same "$1" "$2" 0 $(first "$1" 1); same "$1" "$2" $(behind "$1" 1) $(stat -c %s "$1")
                cut_out "$1" 1; e2fsck -p "$1.part" >/dev/null || [ $? = 1 ]; sound "$1.part"
                debugfs -R "dump /live_system.cow $1.cow" "$1.part" 2>/dev/null
                e2fsck -p "$1.cow" >/dev/null || [ $? = 1 ]; sound "$1.cow"
                debugfs -R "cat /rw/kept" "$1.cow" 2>/dev/null | grep -qx first
                cp --sparse=always "$2" "$1.old"; cut_out "$1.old" 1
                for side in "$1" "$1.old"; do debugfs -R "cat /live.iso" "$side.part" 2>/dev/null | sha256sum; done | uniq | wc -l | grep -qx 1"#,
            ))
            .then(keeps(second, "file").expect(file_is("/kept", "first"))),
    )
}

/// The stick is pulled out while the area is made: the boot ends, the next one makes it.
fn vanishes_too_early() -> Scenario {
    let boot = stick(hybrid(Table::Gpt, 96));
    let second = boot.again();
    scenario(
        "persist/the stick is pulled out while the area is made",
        // So slow that the lab pulls it out in time, however busy the host is.
        boot.slow(100_000)
            .unplugged_on_text("making an ext4")
            .deadline(90)
            .expect(console_says("RDL-053"))
            // Its init is on the stick, too: a reason is given instead of a panic of the kernel.
            .expect(stops_with("RDL-014"))
            .expect(look("has no new partition", r#"cmp <(rows "$1") <(rows "$2"); same "$1" "$2" 0 3145728"#))
            .then(keeps(writes(second, "second"), "partition").expect(made(3, GPT, "ext4"))),
    )
}

/// An initrd without the programs: it says which, nothing is made.
fn no_tool() -> Scenario {
    scenario(
        "persist/no mkfs in the initrd",
        forgets(stick(hybrid(Table::Gpt, 96)).mode(Mode::Native), "mkfs.ext4")
            .expect(report_says("e2fsprogs"))
            .expect(untouched(0)),
    )
}

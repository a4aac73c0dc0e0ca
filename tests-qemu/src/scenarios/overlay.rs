//! dracut-live 1.4 and 7.3: where `rd.overlay` and `rd.live.overlay` keep changes. The image is flat (F3), so that no
//! device-mapper is involved; its stores are the topic of another file.

use super::persist::outside::{GPT, made_as};
use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::guest::Tree;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;
use crate::outcome::End;

/// What the area of [`iso`] is called.
const AREA: &str = "LiveOS/overlay-ISO-2026-01-02-03-04-05-00";
const KEPT: &str = "/usr/kept";
const ROOT: &str = "root=live:CDLABEL=ISO";

/// F8, F9, F11: a second disk labelled P.
fn store(files: Vec<(&str, Recipe)>) -> Recipe {
    Recipe::Partition(Box::new(folder(Fs::Ext4, "P@00000000-0000-4000-8000-00000000000f", files)))
}

/// F9: the directory with a change of an earlier boot, and its work directory.
fn used_store() -> Recipe {
    let (earlier, hidden) = (format!("{AREA}/usr/earlier"), format!("{AREA}/.hidden"));
    store(vec![
        (&earlier, Recipe::Text("earlier\n")),
        (&hidden, Recipe::Text("hidden\n")),
        ("LiveOS/ovlwork/.made", Recipe::Text("")),
    ])
}

/// An image with the two directories in it (the file of F11).
fn image_file() -> Recipe {
    let files = vec![("overlayfs/usr/earlier", Recipe::Text("earlier\n")), ("ovlwork/.made", Recipe::Text(""))];
    folder(Fs::Ext4, "", files)
}

/// F3 from a CD, beside a disk.
fn beside(mode: Mode, store: Recipe, kargs: &str) -> Boot {
    Boot::from(iso()).and(store, Bus::Disk).mode(mode).root(ROOT).kargs(kargs).writable().expect(overlay_root())
}

/// As [`beside`], with the disk where its name on the bus is known.
fn at_its_place(mode: Mode, kargs: &str) -> Boot {
    let boot = Boot::from(iso()).on(Bus::IdeCd).and(used_store(), Bus::Virtio).mode(mode).root(ROOT);
    boot.kargs(kargs).writable().expect(overlay_root())
}

/// A boot that finds and keeps changes.
fn keeps(boot: Boot) -> Boot {
    boot.expect(persistence("named")).expect(no_fallbacks()).expect(each_mounted_once())
}

/// Boots twice: the second finds what the first has written.
fn twice(boot: Boot) -> Boot {
    twice_and(boot, Vec::new())
}

/// As [`twice`], with more to ask about the second boot.
fn twice_and(boot: Boot, asked: Vec<Check>) -> Boot {
    let again = keeps(boot.again().expect(overlay_root())).expect(file_is(KEPT, "kept"));
    let again = asked.into_iter().fold(again, Boot::expect);
    keeps(boot).writes(KEPT).expect(file_absent(KEPT)).then(again)
}

/// The disk from outside: the file lies in this directory, and no stray link does (the original's bug in C1).
fn found_in(area: &str) -> Check {
    disk(
        1,
        "has the file",
        format!(
            r#"dd if="$1" of="$1.p" bs=1M skip=1 status=none; e2fsck -fy "$1.p" >/dev/null || [ $? = 1 ]
            debugfs -R 'cat /{area}/usr/kept' "$1.p" | grep -x kept
            listed=$(debugfs -R 'ls -p /{area}' "$1.p" | cut -d/ -f6); grep -qx usr <<<"$listed"
            if grep -x overlay <<<"$listed"; then exit 1; fi; rm "$1.p""#
        ),
    )
}

/// C1, C2: twice, and no stray link.
fn kept(mode: Mode, kargs: &str) -> Boot {
    let boot =
        beside(mode, used_store(), kargs).expect(file_is("/usr/earlier", "earlier")).expect(file_absent("/overlay"));
    twice_and(boot, vec![found_in(AREA)])
}

fn names(name: &str, mode: Mode) -> Vec<Scenario> {
    let row = |what: &str, boot: Boot| scenario(format!("overlay/{what}, {name}"), boot);
    vec![
        row("C1 a directory by rd.live.overlay=LABEL=", kept(mode, "rd.live.overlay=LABEL=P")).in_every_run(mode),
        row("C2 a directory by rd.overlay=LABEL=", kept(mode, "rd.overlay=LABEL=P")),
        row(
            "C8 read-only: shown, nothing new kept",
            keeps(beside(mode, used_store(), "rd.live.overlay=LABEL=P rd.live.overlay.readonly"))
                .expect(file_is("/usr/earlier", "earlier"))
                .expect(leads_to(
                    "/run/overlayfs-r",
                    "/run/initramfs/overlayfs/LiveOS/overlay-ISO-2026-01-02-03-04-05-00",
                ))
                .writes(KEPT)
                .then(
                    keeps(beside(mode, used_store(), "rd.overlay=LABEL=P rd.overlay.readonly"))
                        .expect(file_is("/usr/earlier", "earlier"))
                        .expect(file_absent(KEPT)),
                ),
        ),
        row(
            "C11 C12 reset empties the directory, dot files too",
            keeps(beside(mode, used_store(), "rd.overlay=LABEL=P rd.overlay.reset"))
                .expect(file_absent("/usr/earlier"))
                .expect(file_absent("/.hidden"))
                .writes(KEPT)
                .then(
                    keeps(beside(mode, used_store(), "rd.live.overlay=LABEL=P rd.live.overlay.reset"))
                        .expect(file_absent(KEPT))
                        .expect(report_says("reset: removed")),
                ),
        ),
        row("C17 C18 a partition made in free space, once", made(mode, Bus::Disk, "", 64, "ext4")).in_every_run(mode),
    ]
}

/// C17: F1 on a disk with room, and no file system with the label.
fn room(mode: Mode, bus: Bus, mib: u64) -> Boot {
    let files = vec![("LiveOS/rootfs.img", image(Fs::Squashfs("zstd")))];
    let disk = Recipe::Partition(Box::new(folder(Fs::Ext4, "dracut", files)));
    Boot::from(Recipe::Grown(Box::new(disk), mib))
        .on(bus)
        .mode(mode)
        .root("rd.live.image root=/dev/disk/by-label/dracut rd.live.autooverlay rd.overlay=LABEL=persist")
        .writable()
        .expect(overlay_root())
}

fn made(mode: Mode, bus: Bus, kargs: &str, mib: u64, kind: &str) -> Boot {
    // Unmounted in order, or its file system would not be sound.
    let boot = room(mode, bus, mib).kargs(kargs).kargs("lab.shutdown");
    let again = keeps(boot.again().expect(overlay_root())).expect(file_is(KEPT, "kept")).expect(disk(
        0,
        "has the same table",
        r#"cmp <(sfdisk -d "$1" | grep start= | cut -d: -f2) <(sfdisk -d "$2" | grep start= | cut -d: -f2)"#,
    ));
    keeps(boot).writes(KEPT).expect(file_absent(KEPT)).expect(made_as(2, GPT, kind, "persist")).then(again)
}

/// C16: the medium's own partition keeps the changes.
fn on_medium(mode: Mode, kargs: &str) -> Boot {
    let files = vec![
        ("LiveOS/squashfs.img", image(Fs::Squashfs("zstd"))),
        ("ov", image_file()),
        ("changes/.x", Recipe::Text("")),
    ];
    let medium = folder(Fs::Ext4, "X@00000000-0000-4000-8000-0000000000aa", files);
    let boot = Boot::from(Recipe::Partition(Box::new(medium))).on(Bus::Stick).mode(mode).writable();
    boot.root("root=live:LABEL=X")
        .kargs(kargs)
        .expect(overlay_root())
        .expect(mount_option("/run/initramfs/overlayfs", "rw"))
}

fn places() -> Vec<Scenario> {
    let native = Mode::NativeWrite;
    let row = |what: &str, boot: Boot| scenario(format!("overlay/{what}"), boot);
    let by = |name: &str| {
        twice(beside(native, used_store(), &format!("rd.overlay={name}")).expect(file_is("/usr/earlier", "earlier")))
    };
    let by_path = |name: &str| {
        twice(at_its_place(native, &format!("rd.overlay={name}")).expect(file_is("/usr/earlier", "earlier")))
    };
    let image_on = |fs, path: &str| Recipe::Partition(Box::new(folder(fs, "P", vec![(path, image_file())])));
    let path = "/dev/disk/by-path/pci-0000:00:02.0-part1";
    let iso_host = || {
        let disk = Recipe::Partition(Box::new(folder(Fs::Ext4, "STORE", vec![("live.iso", iso())])));
        Boot::from(disk).on(Bus::Stick).mode(native).root(ROOT).kargs("iso-scan/filename=/live.iso").writable()
    };
    vec![
        row("C1 a directory under a nested image (F2)", {
            let disc = Boot::from(nested_iso()).and(used_store(), Bus::Disk).mode(native).root(ROOT);
            twice(disc.kargs("rd.live.overlay=LABEL=P").writable().expect(overlay_root()))
        }),
        row("C5 an image file, below a nested image (F2)", {
            let disc = Boot::from(nested_iso()).and(image_on(Fs::Ext4, "ovl.img"), Bus::Disk).mode(native).root(ROOT);
            let boot = disc.kargs("rd.live.overlay=LABEL=P:/ovl.img").writable().expect(overlay_root());
            twice(boot).expect(file_is("/usr/earlier", "earlier")).expect(mounted("/run/rootfsbase", "ext4"))
        }),
        row("C6 an empty partition, below a nested image (F2)", {
            let disc = Boot::from(nested_iso()).and(store(vec![]), Bus::Disk).mode(native).root(ROOT);
            let boot = disc.kargs("rd.live.overlay=LABEL=P").writable().expect(overlay_root());
            twice_and(boot, vec![found_in(AREA), mounted("/run/rootfsbase", "ext4")])
        }),
        row("C14 :auto", by("LABEL=P:auto")),
        row("C15 a path without slash", by(&format!("LABEL=P:{AREA}"))),
        row("named by UUID", by("UUID=00000000-0000-4000-8000-00000000000f")),
        row("named by node", by("/dev/{1.1}")),
        row("C13 by-path with colons and a path", by_path(&format!("{path}:/{AREA}"))),
        row("C13 by-path with colons", by_path(path)),
        row(
            "C13 by-path with colons, dracut 106",
            twice(at_its_place(Mode::Dracut106, &format!("rd.overlay={path}:/{AREA}"))),
        ),
        row(
            "C5 an image file",
            twice(beside(native, image_on(Fs::Ext4, "ovl.img"), "rd.live.overlay=LABEL=P:/ovl.img"))
                .expect(file_is("/usr/earlier", "earlier")),
        ),
        row(
            "an image file on FAT",
            twice(beside(native, image_on(Fs::Vfat, "ovl.img"), "rd.overlay=LABEL=P:/ovl.img")),
        ),
        row(
            "an image file under the usual name",
            twice(beside(native, image_on(Fs::Vfat, AREA), "rd.overlay=LABEL=P")),
        ),
        row(
            "C6 C7 an empty partition: directories are made",
            twice_and(beside(native, store(vec![]), "rd.live.overlay=LABEL=P"), vec![found_in(AREA)]),
        ),
        row("C16 a directory on the medium", twice(on_medium(native, "rd.live.overlay=LABEL=X:/changes"))),
        row("C16 an image file on the medium", twice(on_medium(native, "rd.live.overlay=LABEL=X:/ov"))),
        row("C16 :auto on the medium", twice(on_medium(native, "rd.live.overlay=:auto"))),
        row(
            "C16 a directory on the medium, dracut 106",
            twice(on_medium(Mode::Dracut106, "rd.live.overlay=LABEL=X:/changes")),
        ),
        row("beside the ISO file", twice(iso_host().kargs("rd.live.overlay=:auto").expect(overlay_root()))),
        row("beside the ISO file, by label", twice(iso_host().kargs("rd.overlay=LABEL=STORE").expect(overlay_root()))),
    ]
}

/// F9 as an ext2 as a power cut has left it: with counters that a check would correct, and a file that was deleted while it was open, which
/// a mount for reading takes away too.
fn cut_off_store() -> Recipe {
    let make = format!(
        r#"mkdir -p "$1.tree/{AREA}/usr" "$1.tree/LiveOS/ovlwork"; echo earlier > "$1.tree/{AREA}/usr/earlier"
        echo gone > "$1.tree/gone"; truncate -s 16M "$1"; mke2fs -q -F -t ext2 -L P -d "$1.tree" "$1"
        rm -r --one-file-system "$1.tree"
        gone=$(debugfs -R 'stat gone' "$1" 2>/dev/null | sed -n 's/^Inode: *\([0-9]*\).*/\1/p')
        for change in 'set_inode_field gone links_count 0' 'unlink gone' "set_super_value last_orphan $gone" \
            'set_super_value free_blocks_count 5' 'set_super_value state 0'; do debugfs -w -R "$change" "$1" 2>/dev/null; done
        dumpe2fs -h "$1" 2>/dev/null | grep "^First orphan inode: *$gone$"; [ "$(blkid -p -o value -s TYPE "$1")" = ext2 ]"#
    );
    changed(Recipe::Text(""), &make)
}

/// Late media refuse writes: the lab plugs them in so. What is only shown is not written to either.
fn write_protected() -> Vec<Scenario> {
    let late = |store: Recipe, kargs: &str| {
        Boot::from(iso())
            .and(store, Bus::Stick)
            .plugged_in_on_text("where changes are kept, at most")
            .mode(Mode::NativeWrite)
            .root(ROOT)
            .kargs(kargs)
            .expect(overlay_root())
    };
    let shown = |boot: Boot| keeps(boot).expect(file_is("/usr/earlier", "earlier"));
    let image = || store(vec![("ovl.img", image_file())]);
    vec![
        scenario(
            "overlay/C8 a late stick that refuses writes is shown",
            shown(late(used_store(), "rd.overlay=LABEL=P rd.overlay.readonly")),
        ),
        scenario(
            "overlay/C8 C5 an image file on a stick that refuses writes is shown",
            shown(late(image(), "rd.overlay=LABEL=P:/ovl.img rd.live.overlay.readonly")),
        ),
        scenario(
            "overlay/C8 an ext2 that was not unmounted is shown, and not a byte of it changes",
            keeps(beside(Mode::NativeWrite, cut_off_store(), "rd.overlay=LABEL=P rd.overlay.readonly"))
                .expect(file_is("/usr/earlier", "earlier"))
                .expect(report_says("\"readonly\":true"))
                .expect(media_unchanged()),
        ),
        scenario(
            "overlay/a stick that refuses writes keeps nothing",
            late(used_store(), "rd.overlay=LABEL=P")
                .expect(persistence("temporary"))
                .expect(report_says("refuses writes")),
        ),
    ]
}

/// H1, H2: a named place is unmounted at power-off, not cut off.
fn powered_off() -> Vec<Scenario> {
    let debian = |tree, fs, label| Recipe::Image { tree, fs, marker: "debian", label };
    let off = |boot: Boot| {
        let boot = boot.memory(1536).deadline(420).kargs("lab.poweroff").writable();
        let clean = r#"dd if="$1" of="$1.p" bs=1M skip=1 status=none; dumpe2fs -h "$1.p" 2>/dev/null >"$1.h"
            grep -q '^Filesystem state: *clean$' "$1.h"; if grep needs_recovery "$1.h"; then exit 1; fi"#;
        keeps(boot)
            .writes(KEPT)
            .expect(overlay_root())
            .expect(marker("debian"))
            .expect(console_says("shutdown: the live system is unmounted"))
            .expect(ends(End::Off))
            .expect(disk(1, "ends clean", clean))
    };
    let live = |tree, mode| {
        let boot = Boot::from(iso_with("ISO", debian(tree, Fs::Squashfs("zstd"), ""))).and(store(vec![]), Bus::Disk);
        off(boot.mode(mode).root(ROOT).kargs("rd.overlay=LABEL=P")).expect(disk(1, "has the file", format!(
            r#"dd if="$1" of="$1.p" bs=1M skip=1 status=none; debugfs -R 'cat /{AREA}/usr/kept' "$1.p" | grep -x kept"#)))
    };
    let installed = |mode| {
        let root = Recipe::Partition(Box::new(debian(Tree::Trixie, Fs::Ext4, "plain")));
        off(Boot::from(root).on(Bus::Disk).and(store(vec![]), Bus::Disk).mode(mode).root("root=LABEL=plain ro rd.overlay=LABEL=P"))
            .expect(disk(1, "has the file", r#"dd if="$1" of="$1.p" bs=1M skip=1 status=none; debugfs -R 'cat /overlay/usr/kept' "$1.p" | grep -x kept"#))
    };
    let mut list = Vec::new();
    for (name, mode) in [("native", Mode::NativeWrite), ("dracut 106", Mode::Dracut106)] {
        list.push(scenario(format!("overlay/H2 a named place ends clean, {name}"), live(Tree::Trixie, mode)));
        list.push(scenario(format!("ordinary/H2 a named place ends clean, {name}"), installed(mode)));
    }
    // systemd 252.
    let older = live(Tree::Bookworm, Mode::Dracut059);
    list.push(scenario("overlay/H2 a named place ends clean, Debian 12 with dracut 059", older));
    list
}

/// Where nothing can be kept: RAM, the reason, and never a question.
fn refusals() -> Vec<Scenario> {
    let has_its_file = |read: &str| {
        let script = format!(r#"dd if="$1" of="$1.p" bs=1M skip=1 status=none; [ "$({read})" = text ]; rm "$1.p""#);
        disk(1, "has its file", script)
    };
    let native = Mode::NativeWrite;
    let row = |what: &str, boot: Boot| {
        scenario(format!("overlay/{what}"), boot.expect(overlay_root()).expect(persistence("temporary")))
    };
    let unchanged = |boot: Boot| boot.expect(disk(1, "is as it was", "cmp \"$1\" \"$2\""));
    let blank = || Recipe::Partition(Box::new(Recipe::Zeros(64)));
    let on_cd = |kargs: &str| Boot::from(iso()).mode(native).root(ROOT).kargs(kargs);
    vec![
        row(
            "C24 tmpfs options, no question",
            on_cd("rd.overlay=tmpfs:size=64M").expect(no_fallbacks()).expect(tmpfs_kib(
                "/run/initramfs/overlay",
                64 << 10,
                64 << 10,
            )),
        ),
        row(
            "C6 a missing stick, no question",
            on_cd("rd.live.overlay=LABEL=P").expect(report_says("LABEL=P is not there")),
        ),
        row(
            "C20 no room can be made on a CD",
            on_cd("rd.overlay=LABEL=persist rd.live.autooverlay").on(Bus::IdeCd).expect(report_says("optical drive")),
        ),
        row(":auto on a CD", on_cd("rd.overlay=:auto").expect(report_says("is iso9660, which cannot be written to"))),
        row(
            "C19 rd.live.overlay.cowfs=vfat",
            room(native, Bus::Disk, 64)
                .kargs("rd.live.overlay.cowfs=vfat")
                .expect(report_says("is not ext4, xfs or btrfs"))
                .expect(media_unchanged()),
        ),
        row(
            "a directory on FAT",
            beside(
                native,
                Recipe::Partition(Box::new(folder(Fs::Vfat, "P", vec![("x", Recipe::Text("text"))]))),
                "rd.overlay=LABEL=P",
            )
            .expect(report_says("cannot hold changes as files"))
            .expect(has_its_file("mtype -i \"$1.p\" ::x")),
        ),
        row(
            "a file that is none of ours",
            beside(native, store(vec![("x", Recipe::Text("text"))]), "rd.overlay=LABEL=P:/x")
                .expect(report_says("left as it is"))
                .expect(has_its_file("debugfs -R 'cat /x' \"$1.p\"")),
        ),
        row(
            "a blank partition without a word about it",
            unchanged(beside(native, blank(), "rd.overlay=/dev/{1.1}"))
                .expect(report_says("rd.live.overlay.cowfs=ext4 makes one")),
        ),
    ]
}

fn blanks() -> Vec<Scenario> {
    let native = Mode::NativeWrite;
    let blank = Recipe::Partition(Box::new(Recipe::Zeros(64)));
    let whole = beside(native, Recipe::Zeros(64), "rd.overlay=/dev/{1} rd.live.overlay.cowfs=ext4");
    // The name of the area is made of the label; Linux 6.1 has its own way to read the options of an overlay.
    let odd_label = Boot::from(iso_with("A:B,C", image(Fs::Squashfs("zstd"))))
        .and(store(vec![]), Bus::Disk)
        .mode(Mode::Dracut059)
        .root("root=live:CDLABEL=A:B,C rd.overlay=LABEL=P")
        .writable()
        .expect(overlay_root());
    let long_sectors = Boot::from(iso())
        .and(Recipe::Zeros(400), Bus::Virtio4k)
        .mode(native)
        .root(ROOT)
        .kargs("rd.overlay=/dev/{1} rd.live.overlay.cowfs=xfs")
        .writable()
        .expect(overlay_root());
    vec![
        scenario(
            "overlay/a blank partition with rd.live.overlay.cowfs=",
            twice(beside(native, blank, "rd.overlay=/dev/{1.1} rd.live.overlay.cowfs=ext4")),
        ),
        scenario("overlay/a blank disk with rd.live.overlay.cowfs=", twice(whole)),
        scenario("overlay/a blank disk with sectors of 4096 bytes", twice(long_sectors)),
        scenario("overlay/C2 a label with a colon and a comma, Linux 6.1", twice(odd_label)),
        scenario("overlay/C19 C17 cowfs=xfs", made(native, Bus::Disk, "rd.live.overlay.cowfs=xfs", 400, "xfs")),
        scenario("overlay/C19 C17 cowfs=btrfs", made(native, Bus::Stick, "rd.live.overlay.cowfs=btrfs", 200, "btrfs")),
        scenario("overlay/C21 a partition made on NVMe", made(native, Bus::Nvme, "", 64, "ext4")),
        scenario(
            "overlay/required and missing stops",
            Boot::from(iso())
                .root(ROOT)
                .kargs("rd.overlay=LABEL=P rd.live.overlay.persistent=required rd.live.dialect=dmsquash")
                .expect(stops_with("RDL-050")),
        ),
    ]
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = names("native", Mode::NativeWrite);
    list.extend(names("dracut 106", Mode::Dracut106));
    let older = kept(Mode::Dracut059, "rd.live.overlay=LABEL=P");
    list.push(scenario("overlay/C1 a directory by rd.live.overlay=LABEL=, dracut 059", older));
    list.extend(places());
    list.extend(refusals());
    list.extend(write_protected());
    list.extend(powered_off());
    list.extend(blanks());
    list
}

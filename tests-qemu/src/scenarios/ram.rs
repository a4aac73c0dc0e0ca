//! The image copied to RAM: dracut-live spec 7.2 B15, B16, 7.4 D3, and the kiwi dialect, which never had it.

use super::snapshot::is_snapshot_and;
use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;
use crate::outcome::End;

const RAM: &str = "rd.live.ram rd.minmem=1";
/// What the agent says when the medium is no longer needed.
const RELEASED: &str = "the medium may be taken away";

fn flat() -> Boot {
    Boot::from(iso()).root("root=live:CDLABEL=ISO").expect(overlay_root()).expect(marker("tiny"))
}

/// A shell on the console types `commands` and then reports.
fn shell(boot: Boot, commands: &str) -> Boot {
    boot.kargs("init=/bin/sh").on_text("# ", &format!("{commands}; exec lab-guest report\n"))
}

/// Reads every file of the live root again, from below the page cache.
const READ_ALL: &str = "echo 3 > /proc/sys/vm/drop_caches; \
    busybox find / -xdev -type f -exec busybox cat {} + > /dev/null && echo ALL''-READ";
/// The copy against the medium, which can be mounted again because nothing holds it. Newer releases of systemd take copies of
/// the mounts to the new root; then the kernel names the file from the top of the tmpfs that holds it.
const COMPARE: &str = "busybox mount -t iso9660 -o ro /dev/{0} /mnt && \
    busybox cmp /run/initramfs/squashed.img /mnt/LiveOS/squashfs.img && echo BYTE''-IDENTICAL; \
    busybox umount /mnt; busybox grep -qxE '(/run/initramfs/ram)?/squashed.img' /sys/block/loop*/loop/backing_file && \
    echo BACKING''-OK";

/// A medium whose container has so many bytes beside its root.
pub(super) fn with_ballast(mib: u32) -> Recipe {
    let ballast = changed(Recipe::Text(""), &format!(r#"head -c {mib}M /dev/urandom > "$1""#));
    let files = vec![("LiveOS/rootfs.img", image(Fs::Ext4)), ("ballast", ballast)];
    iso_with("ISO", folder(Fs::Squashfs("none"), "", files))
}

/// B15 as it is written: no `rd.overlay`, so the copied container lies below a snapshot.
fn below_snapshot(recipe: Recipe, mode: Mode) -> Boot {
    is_snapshot_and(Boot::from(recipe).root("root=live:CDLABEL=ISO").mode(mode), COMPARE)
        .expect(console_says("BYTE-IDENTICAL"))
        .expect(console_says("BACKING-OK"))
}

/// A sum that no image has.
const WRONG: &str = "0000000000000000000000000000000000000000000000000000000000000000  squashfs.img\n";

fn stick(recipe: Recipe) -> Boot {
    shell(Boot::from(recipe).on(Bus::Stick).kargs(RAM).unplugged_on_text(RELEASED), READ_ALL)
        .expect(overlay_root())
        .expect(console_says("USB disconnect"))
        .expect(console_says("ALL-READ"))
}

const PERSISTENT: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent";
const NOT_KEPT: &str = "changes are not kept over a reboot";

/// The image is read from RAM, the changes go to the stick.
fn kept_on_stick() -> Boot {
    let boot = Boot::from(hybrid(Table::Gpt, 96))
        .on(Bus::Stick)
        .mode(Mode::NativeWrite)
        .root(PERSISTENT)
        .kargs(RAM)
        .kargs("lab.shutdown");
    let used = |boot: Boot| {
        boot.expect(overlay_root())
            .expect(persistence("partition"))
            .expect(no_fallbacks())
            .expect(leads_to("/run/initramfs/squashed.img", "/run/initramfs/ram/squashed.img"))
            .expect(mounted("/run/overlay/live", "iso9660"))
            .expect(report_says("\"released\":false"))
            .expect(report_says("the medium must stay in place"))
            .expect(console_says("the medium must stay in place"))
            .expect(ends(End::Off))
    };
    used(boot.again().kargs("lab.write=/kept:first")).then(used(boot).expect(file_is("/kept", "first")))
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let copied = |boot: Boot| {
        boot.kargs(RAM)
            .expect(leads_to("/run/initramfs/squashed.img", "/run/initramfs/ram/squashed.img"))
            .expect(not_mounted("/run/initramfs/live"))
            .expect(not_mounted("/run/overlay/live"))
            .expect(report_says("\"released\":true"))
    };
    vec![
        scenario(
            "ram/B15 flat image, byte for byte, messages, medium released",
            shell(copied(flat()), COMPARE)
                .expect(console_says("Copying live image to RAM..."))
                .expect(console_says("Done copying live image to RAM."))
                .expect(console_says("BYTE-IDENTICAL"))
                .expect(console_says("BACKING-OK")),
        ),
        scenario("ram/B15 nested image below a snapshot, native", copied(below_snapshot(nested_iso(), Mode::Native))),
        // F2: `/run` may take a fifth of the RAM.
        scenario(
            "ram/B15 B17 nested image below a snapshot, larger than /run, dracut 106",
            copied(below_snapshot(with_ballast(240), Mode::Dracut106)).expect(copy_exceeds_run()),
        ),
        scenario(
            "ram/B15 nested image below a snapshot, dracut 059",
            copied(below_snapshot(nested_iso(), Mode::Dracut059)),
        )
        .with_all(),
        scenario(
            "ram/B15 quiet does not hide the wait",
            copied(flat()).kargs("quiet").expect(console_says("Done copying live image to RAM.")),
        ),
        scenario(
            "ram/kiwi dialect",
            Boot::from(iso_with("CDROM", nested(Fs::Ext4)))
                .root("root=live:CDLABEL=CDROM rd.live.image rd.live.dialect=kiwi")
                .kargs(RAM)
                .expect(overlay_root())
                .expect(marker("tiny"))
                .expect(not_mounted("/run/overlay/live"))
                .expect(mounted("/run/overlay/rootfsbase", "ext4"))
                .expect(leads_to("/run/initramfs/squashed.img", "/run/initramfs/ram/squashed.img")),
        ),
        scenario(
            "ram/B16 too little RAM goes on from the medium and says why",
            flat()
                .kargs("rd.live.ram")
                .expect(mounted("/run/initramfs/live", "iso9660"))
                .expect(report_says("RDL-028"))
                .expect(console_says("more RAM")),
        ),
        scenario(
            "ram/B16 too little RAM stops if the copy is required",
            Boot::from(iso()).kargs("rd.live.ram=required rd.retry=5").expect(stops_with("RDL-028")),
        ),
        // field.md C: an image that does not fit is no reason against another one.
        scenario(
            "ram/S4 the copy is required, and another medium of its label fits",
            Boot::from(with_ballast(240))
                .on(Bus::Disk)
                .and(iso(), Bus::Disk)
                .memory(512)
                .root("root=live:CDLABEL=ISO rd.overlay")
                .kargs("rd.live.ram=required rd.minmem=300 rd.retry=30")
                .expect(overlay_root())
                .expect(console_says("RDL-028"))
                .expect(report_says("\"released\":true"))
                .expect(marker("tiny")),
        ),
        scenario(
            "ram/F5 a disk that is the container",
            Boot::from(image(Fs::Squashfs("zstd")))
                .on(Bus::Disk)
                .root("root=live:/dev/{0}")
                .kargs(RAM)
                .expect(overlay_root())
                .expect(mounted("/run/rootfsbase", "squashfs"))
                .expect(report_says("\"released\":true")),
        ),
        scenario(
            "ram/the sum that our builder left is compared on the way",
            Boot::from(built_iso()).kargs(RAM).expect(overlay_root()).expect(report_says("\"sha256\":")),
        ),
        scenario(
            "ram/an image that is not what its sum says is not booted",
            Boot::from(folder(
                Fs::Iso,
                "ISO",
                vec![
                    ("LiveOS/squashfs.img", image(Fs::Squashfs("zstd"))),
                    ("LiveOS/squashfs.img.sha256", Recipe::Text(WRONG)),
                ],
            ))
            .root("root=live:CDLABEL=ISO")
            .kargs(RAM)
            .kargs("rd.retry=5")
            .expect(stops_with("RDL-027")),
        ),
        scenario("ram/the stick is pulled out after the copy", stick(iso())),
        scenario(
            "ram/T-25 persistence asked for on a CD: it is released and can be ejected",
            shell(Boot::from(iso()).on(Bus::IdeCd).root(PERSISTENT).kargs(RAM).ejected_on_text(RELEASED), READ_ALL)
                .expect(overlay_root())
                .expect(persistence("temporary"))
                .expect(says_what_to_do(NOT_KEPT))
                .expect(not_mounted("/run/overlay/live"))
                .expect(not_mounted("/run/initramfs/live"))
                .expect(report_says("\"released\":true"))
                .expect(console_says("ALL-READ")),
        ),
        scenario(
            "ram/T-25 persistence asked for on a full stick: it is released and pulled out",
            stick(hybrid(Table::Gpt, 0))
                .mode(Mode::NativeWrite)
                .root(PERSISTENT)
                .expect(persistence("temporary"))
                .expect(says_what_to_do(NOT_KEPT))
                .expect(report_says("\"released\":true")),
        ),
        scenario("ram/T-18 changes are kept on the stick, which stays", kept_on_stick()),
        scenario(
            "ram/D3 iso-scan, and the stick with the file is pulled out",
            stick(disk_with_iso(Fs::Vfat, "live.iso", iso()))
                .kargs("iso-scan/filename=/live.iso")
                .expect(not_mounted("/run/initramfs/isoscan"))
                .expect(not_mounted("/run/initramfs/live")),
        ),
    ]
}

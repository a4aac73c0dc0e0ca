//! dracut-live spec 7.2, the cases that are not a layout: the dmsquash dialect.

use super::persist::asleep;
use super::snapshot::is_snapshot;
use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;

/// B26: F2's tree on a partition with NTFS, which the kernel's own driver reads.
/// A live root on the file system of a Windows.
fn ntfs_with(hiberfil: &'static str) -> Boot {
    let files = vec![("LiveOS/squashfs.img", image(Fs::Squashfs("zstd"))), ("hiberfil.sys", Recipe::Text(hiberfil))];
    let disk = Recipe::Partition(Box::new(folder(Fs::Ntfs, "N", files)));
    Boot::from(disk).on(Bus::Disk).root("root=live:LABEL=N").writable().expect(overlay_root())
}

fn ntfs() -> Boot {
    let tree = folder(Fs::Ntfs, "N", vec![("LiveOS/squashfs.img", nested(Fs::Ext4))]);
    is_snapshot(Boot::from(Recipe::Partition(Box::new(tree))).on(Bus::Stick).root("root=live:LABEL=N"))
        .writable()
        .expect(mounted("/run/initramfs/live", "ntfs3"))
        .expect(media_unchanged())
}

/// B27: F2's tree with `updates/` beside it.
fn updated(image: Recipe) -> Boot {
    let files = vec![
        ("LiveOS/squashfs.img", image),
        ("updates/etc/fresh", Recipe::Text("of the update")),
        ("updates/etc/lab-marker", Recipe::Text("updated")),
        // In the root this is a link.
        ("updates/lib/deep/er/fresh", Recipe::Text("of the update")),
    ];
    Boot::from(folder(Fs::Iso, "ISO", files)).on(Bus::Disk).root("root=live:CDLABEL=ISO").writable()
}

fn updates() -> Vec<Scenario> {
    let flat = || updated(image(Fs::Squashfs("zstd")));
    let is_there = |boot: Boot| {
        boot.expect(marker("updated"))
            .expect(file_is("/etc/fresh", "of the update"))
            .expect(file_is("/usr/lib/deep/er/fresh", "of the update"))
            .expect(report_says("\"files\":3,"))
            .expect(no_fallbacks())
            .expect(media_unchanged())
    };
    let mut list: Vec<Scenario> = [
        ("native", Mode::Native),
        ("dracut 106", Mode::Dracut106),
        ("dracut 106 without systemd", Mode::Dracut106Shell),
    ]
    .into_iter()
    .map(|(name, mode)| scenario(format!("dracut/B27 updates/ on the medium, {name}"), is_there(flat().mode(mode))))
    .collect();
    // Changed after the first boot; the update takes its place again, where it is kept and where it is only shown.
    let place = Recipe::Partition(Box::new(folder(Fs::Ext4, "P", Vec::new())));
    let kept = flat().and(place, Bus::Disk).mode(Mode::NativeWrite).kargs("rd.overlay=LABEL=P");
    let fresh = |boot: Boot| boot.expect(file_is("/etc/fresh", "of the update")).expect(no_fallbacks());
    let again = fresh(kept.again()).expect(persistence("named"));
    let shown = fresh(kept.again().kargs("rd.overlay.readonly")).expect(media_unchanged());
    list.extend([
        scenario(
            "dracut/B27 updates/ where changes are kept",
            fresh(kept).expect(persistence("named")).writes("/etc/fresh").then(again).then(shown),
        ),
        scenario(
            "dracut/B27 updates/ into the store of a snapshot",
            is_there(updated(nested(Fs::Ext4)).expect(mapped_root())),
        ),
        scenario(
            "dracut/B27 updates/ before the medium is let go",
            is_there(flat().kargs("rd.live.ram rd.minmem=1").expect(not_mounted("/run/initramfs/live"))),
        ),
        scenario(
            "dracut/B27 rd.live.updates=0",
            flat().kargs("rd.live.updates=0").expect(marker("tiny")).expect(file_absent("/etc/fresh")),
        ),
        scenario(
            "dracut/B27 updates/ that do not fit are left out",
            flat()
                .kargs("rd.overlay=tmpfs:size=16K")
                .expect(marker("tiny"))
                .expect(file_absent("/etc/fresh"))
                .expect(report_says("RDL-026")),
        ),
    ]);
    list
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let flat = || Boot::from(iso()).root("root=live:CDLABEL=ISO").expect(overlay_root()).expect(marker("tiny"));
    let plain = || {
        let files = vec![("LiveOS/squashfs.img", image(Fs::Squashfs("zstd"))), ("letter.txt", Recipe::Text("dear"))];
        Recipe::Partition(Box::new(folder(Fs::Ext4, "LIVE", files)))
    };
    let on = |medium: Recipe, word: &str| {
        let boot = Boot::from(medium).on(Bus::Stick).writable();
        boot.root(&format!("root=live:LABEL=LIVE {word}")).expect(overlay_root())
    };
    let stick = |word: &str| on(plain(), word);
    let mounted_elsewhere = |word: &str| on(changed(plain(), asleep::MOUNTED_BY_ANOTHER), word);
    let not_written = |boot: Boot, why| {
        boot.expect(mount_option("/run/initramfs/live", "ro")).expect(report_says(why)).expect(media_unchanged())
    };
    let renamed = folder(Fs::Iso, "ISO", vec![("x.sqfs", image(Fs::Squashfs("zstd")))]);
    let mut list = vec![
        scenario("dracut/B7 flattened image needs no option", flat().expect(mounted("/run/rootfsbase", "squashfs"))),
        scenario(
            "dracut/B8 rd.overlay=0 on a flattened image warns",
            flat().kargs("rd.overlay=0").expect(report_says("rd.overlay=0")),
        ),
        scenario(
            "dracut/B6 real mounts at dmsquash's paths",
            Boot::from(nested_iso())
                .expect(overlay_root())
                .expect(both_dialects())
                .expect(mounted("/run/initramfs/live", "iso9660"))
                .expect(leads_to("/run/initramfs/live", "/run/initramfs/live"))
                .expect(leads_to("/run/initramfs/livedev", "/dev/{0}"))
                .expect(mounted("/run/rootfsbase", "ext4")),
        ),
        scenario(
            "dracut/B13 ro",
            stick("rw ro").expect(mount_option("/run/initramfs/live", "ro")).expect(media_unchanged()),
        ),
        scenario("dracut/B13 rw", stick("ro rw").expect(mount_option("/run/initramfs/live", "rw"))),
        scenario(
            "dracut/B13 F3 rw, and a system sleeps",
            not_written(stick("rw").and(asleep::sleeping(), Bus::Disk), "holds a hibernated system"),
        ),
        scenario(
            "dracut/B13 F3 rw on a medium that another system has mounted",
            not_written(mounted_elsewhere("rw"), "was not cleanly unmounted by its own system"),
        ),
        scenario(
            "dracut/B13 F3 rw on the disk of a Windows that is hibernated",
            ntfs_with("hibr")
                .kargs("rw")
                .expect(mount_option("/run/initramfs/live", "ro"))
                .expect(report_says("belongs to a hibernated Windows"))
                .expect(media_unchanged()),
        ),
        scenario(
            "dracut/B13 F3 rw, a system sleeps, and changes are only shown",
            not_written(
                stick("rw rd.overlay.readonly").and(asleep::sleeping(), Bus::Disk),
                "holds a hibernated system",
            ),
        ),
        scenario(
            "dracut/B13 F3 rw on a medium that another system has mounted, and changes are only shown",
            not_written(mounted_elsewhere("rw rd.overlay.readonly"), "was not cleanly unmounted by its own system"),
        ),
        scenario(
            "dracut/B13 F3 rw on the disk of a Windows that is hibernated, and changes are only shown",
            ntfs_with("hibr")
                .kargs("rw rd.overlay.readonly")
                .expect(mount_option("/run/initramfs/live", "ro"))
                .expect(report_says("belongs to a hibernated Windows"))
                .expect(media_unchanged()),
        ),
        scenario(
            "dracut/B13 rw, and changes are only shown",
            stick("rw rd.overlay.readonly").expect(mount_option("/run/initramfs/live", "rw")),
        ),
        scenario(
            "dracut/B13 F3 rw on the disk of a Windows that has woken up",
            ntfs_with("wake").kargs("rw").expect(mount_option("/run/initramfs/live", "rw")),
        ),
        scenario(
            "dracut/B13 F3 rw, and the operator knows that no system sleeps",
            mounted_elsewhere("rw rd.live.host.awake=1").expect(mount_option("/run/initramfs/live", "rw")),
        ),
        scenario(
            "dracut/B13 rw on an ISO stays ro",
            flat().kargs("rw").expect(mount_option("/run/initramfs/live", "ro")),
        ),
        scenario(
            "dracut/B14 container at the top level",
            Boot::from(renamed)
                .root("root=live:CDLABEL=ISO")
                .kargs("rd.live.dir=/ rd.live.squashimg=x.sqfs")
                .expect(overlay_root()),
        ),
        scenario("dracut/B26 a live root on NTFS", ntfs()),
        scenario(
            "dracut/B28 volume id with a space",
            Boot::from(iso_with("MY LIVE", image(Fs::Squashfs("zstd"))))
                .root("\"root=live:CDLABEL=MY LIVE\"")
                .expect(overlay_root()),
        ),
    ];
    list.extend(updates());
    list
}

//! dracut-live spec 7.2, the cases that are not a layout: the dmsquash dialect.

use super::persist::asleep;
use super::snapshot::is_snapshot;
use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;

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
    vec![
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
    ]
}

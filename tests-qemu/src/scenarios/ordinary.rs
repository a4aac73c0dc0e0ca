//! dracut-live C22: `rd.overlay` over the root of a machine that is no live system.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::{Bus, Need};
use crate::medium::*;
use crate::mode::Mode;

/// An installed system (F7), and a disk for changes (F8). The second disk's serial number gives it a by-id link.
fn machine(mode: Mode, overlay: &str) -> Boot {
    let root = Recipe::Partition(Box::new(labelled(Fs::Ext4, "plain")));
    let store = Recipe::Partition(Box::new(folder(Fs::Ext4, "OVERLAY", vec![])));
    Boot::from(root)
        .on(Bus::Disk)
        .and(store, Bus::Disk)
        .mode(mode)
        .root(&format!("root=LABEL=plain ro {overlay}"))
        .writable()
        .expect(marker("tiny"))
        .expect(each_mounted_once())
}

/// Byte for byte; where systemd checks the root first, e2fsck notes the time in the superblock.
pub(super) fn as_it_was(mode: Mode) -> Check {
    let script = match mode {
        Mode::NativeWrite | Mode::Native => r#"cmp "$1" "$2""#,
        _ => r#"cmp -n $((1049600)) "$1" "$2"; cmp -i $((1049600 + 1024)) "$1" "$2""#,
    };
    disk(0, "the root is as it was", script)
}

fn covered(mode: Mode, overlay: &str) -> Boot {
    machine(mode, overlay)
        .expect(overlay_root())
        .expect(mounted("/run/rootfsbase", "ext4"))
        .expect(mount_option("/run/rootfsbase", "ro"))
        .expect(as_it_was(mode))
}

fn in_ram(mode: Mode, overlay: &str) -> Boot {
    covered(mode, overlay)
        .expect(persistence("temporary"))
        .expect(mounted("/run/initramfs/overlay", "tmpfs"))
        .expect(leads_to("/run/overlayfs", "/run/initramfs/overlay/overlayfs"))
        .expect(disk(1, "the other disk is as it was", "cmp \"$1\" \"$2\""))
}

/// Twice, and the second time what the first wrote is there.
fn on_device(mode: Mode, overlay: &str) -> Boot {
    let kept = |boot: Boot| {
        boot.expect(persistence("named"))
            .expect(no_fallbacks())
            .expect(mounted("/run/overlayfs-backing", "ext4"))
            .expect(leads_to("/run/overlayfs", "/run/overlayfs-backing/overlay"))
            .expect(leads_to("/run/ovlwork", "/run/overlayfs-backing/ovlwork"))
    };
    let first = kept(covered(mode, overlay)).writes("/usr/kept").expect(file_absent("/usr/kept"));
    first.then(kept(covered(mode, overlay)).expect(file_is("/usr/kept", "kept")).expect(disk(
        1,
        "has the file in overlay/",
        r#"dd if="$1" of="$1.p" bs=1M skip=1 status=none; debugfs -R 'cat /overlay/usr/kept' "$1.p" | grep -x kept"#,
    )))
}

fn forms(name: &str, mode: Mode) -> Vec<Scenario> {
    let missing = "rd.overlay=LABEL=NONEXISTENT";
    let row = |form: &str, boot: Boot| scenario(format!("ordinary/C22 {form}, {name}"), boot);
    vec![
        row("rd.overlay", in_ram(mode, "rd.overlay").expect(no_fallbacks())),
        row("rd.overlay=LABEL=", on_device(mode, "rd.overlay=LABEL=OVERLAY")).in_every_run(mode),
        row("a device that is not there", in_ram(mode, missing).expect(report_says("LABEL=NONEXISTENT is not there"))),
        row(
            "tmpfs options",
            in_ram(mode, "rd.overlay=tmpfs:size=32M,nr_inodes=100000")
                .expect(no_fallbacks())
                .expect(tmpfs_kib("/run/initramfs/overlay", 32 << 10, 32 << 10))
                .expect(mount_option("/run/initramfs/overlay", "nr_inodes=100000"))
                // dracut-ng's TEST-21 looks for it.
                .expect(mount_source("/run/initramfs/overlay", "tmpfs")),
        ),
    ]
}

/// Three names of one partition, one after the other: what the first boot keeps, the others find.
fn named_thrice() -> Boot {
    const UUID: &str = "00000000-0000-4000-8000-00000000000e";
    const PARTUUID: &str = "00000000-0000-4000-8000-0000000000ee";
    let mode = Mode::NativeWrite;
    let with = |overlay: String| {
        let store = folder(Fs::Ext4, &format!("OVERLAY@{UUID}"), vec![]);
        let name = format!("sfdisk -q --part-uuid \"$1\" 1 {PARTUUID}; sfdisk -q --part-label \"$1\" 1 keeps");
        let store = changed(Recipe::Partition(Box::new(store)), &name);
        let root = Recipe::Partition(Box::new(labelled(Fs::Ext4, "plain")));
        Boot::from(root)
            .on(Bus::Disk)
            .and(store, Bus::Disk)
            .mode(mode)
            .root(&format!("root=LABEL=plain ro rd.overlay={overlay}"))
            .expect(overlay_root())
            .expect(marker("tiny"))
            .expect(persistence("named"))
            .expect(no_fallbacks())
            .expect(mount_source("/run/overlayfs-backing", "/dev/{1.1}"))
            .expect(as_it_was(mode))
    };
    let found = |boot: Boot| boot.expect(file_is("/usr/kept", "kept"));
    with(format!("UUID={UUID}"))
        .writes("/usr/kept")
        .expect(file_absent("/usr/kept"))
        .then(found(with(format!("PARTUUID={PARTUUID}"))))
        .then(found(with("PARTLABEL=keeps".into())))
}

/// C23: an empty device; a device with a file system, by its label and with consent.
fn encrypted() -> Vec<Scenario> {
    let machine = |store: Recipe, at: u32, overlay: &str, mapped| {
        let root = Recipe::Partition(Box::new(labelled(Fs::Ext4, "plain")));
        Boot::from(root)
            .on(Bus::Disk)
            .and(store, Bus::Disk)
            .mode(Mode::NativeCryptQuick)
            .root(&format!("root=LABEL=plain ro {overlay}"))
            .writable()
            .expect(overlay_root())
            .expect(marker("tiny"))
            .expect(no_fallbacks())
            .expect(report_says("\"encrypted\":true"))
            .expect(mounted("/run/overlayfs-backing", "ext4"))
            .expect(mount_source("/run/overlayfs-backing", mapped))
            .expect(mode_is("/run/initramfs/overlayfs.passwd", 0o400))
            .expect(as_it_was(Mode::Native))
            .expect(disk(1, "is LUKS", format!(r#"[ "$(blkid -p -O {at} -o value -s TYPE "$1")" = crypto_LUKS ]"#)))
    };
    let empty = Recipe::Grown(Box::new(Recipe::Text("")), 64);
    let full = Recipe::Grown(Box::new(folder(Fs::Ext4, "CRYPT", vec![("letter", Recipe::Text("dear"))])), 48);
    let full = changed(Recipe::Partition(Box::new(full)), "sfdisk -q --part-label \"$1\" 1 secret");
    vec![
        scenario(
            "ordinary/C23 rd.overlay.crypt= with an empty device, native",
            machine(empty, 0, "rd.overlay.crypt=/dev/{1}", "/dev/mapper/overlay-crypt"),
        ),
        scenario(
            "ordinary/C23 rd.overlay.crypt= with a full device, a name for the map, and consent, native",
            machine(full, 1 << 20, "rd.overlay.crypt=PARTLABEL=secret,mkfs=force,mapname=mine", "/dev/mapper/mine"),
        ),
    ]
}

/// Without an overlay the root is mounted as ever, and the agent leaves no trace.
fn untouched(name: &str, mode: Mode) -> Scenario {
    let boot =
        machine(mode, "rd.overlay=0").expect(mounted("/", "ext4")).expect(file_absent("/run/rdlive/report.json"));
    scenario(format!("ordinary/C22 rd.overlay=0, {name}"), boot)
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = forms("native", Mode::NativeWrite);
    list.extend(forms("dracut 106", Mode::Dracut106));
    for (name, mode) in [
        ("dracut 106", Mode::Dracut106),
        ("dracut 106 without systemd", Mode::Dracut106Shell),
        ("dracut 059", Mode::Dracut059),
    ] {
        list.push(untouched(name, mode));
    }
    for (name, mode) in [("dracut 106 without systemd", Mode::Dracut106Shell), ("dracut 059", Mode::Dracut059)] {
        list.push(scenario(format!("ordinary/C22 rd.overlay, {name}"), in_ram(mode, "rd.overlay")));
        list.push(scenario(
            format!("ordinary/C22 rd.overlay=LABEL=, {name}"),
            on_device(mode, "rd.overlay=LABEL=OVERLAY"),
        ));
    }
    for (name, mode) in [("native", Mode::NativeWrite), ("dracut 106", Mode::Dracut106)] {
        let by_id = "rd.overlay=/dev/disk/by-id/virtio-disk1-part1";
        list.push(scenario(
            format!("ordinary/C22 rd.overlay=/dev/disk/by-id/, {name}"),
            on_device(mode, by_id).needs(Need::Bus(Bus::Virtio)),
        ));
    }
    list.push(scenario("ordinary/C22 rd.overlay=UUID=, =PARTUUID=, =PARTLABEL=, native", named_thrice()));
    list.extend(encrypted());
    list.push(scenario(
        "ordinary/rootflags go to the root, native",
        in_ram(Mode::Native, "rd.overlay rootfstype=ext4 rootflags=noatime,errors=remount-ro")
            .expect(mount_option("/run/rootfsbase", "errors=remount-ro")),
    ));
    list
}

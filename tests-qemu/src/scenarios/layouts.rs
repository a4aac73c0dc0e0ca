//! How images nest: every layout of issue 2 §4, and the squashfs compressors (T-10).

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::guest::Tree;
use crate::machine::Bus;
use crate::medium::*;

/// A whole disk or a partition, found by its device name where it has no label.
fn disk(recipe: Recipe, root: &str) -> Boot {
    Boot::from(recipe).on(Bus::Disk).root(root).expect(overlay_root()).expect(marker("tiny"))
}

/// F7: ROOT directly on a file system.
fn plain() -> Recipe {
    Recipe::Image { tree: Tree::Tiny, fs: Fs::Ext4, marker: "tiny", label: "plain" }
}

/// F1: an image file on a partition.
fn image_on_partition(inner: Fs) -> Recipe {
    Recipe::Partition(Box::new(folder(Fs::Ext4, "dracut", vec![("LiveOS/rootfs.img", image(inner))])))
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = Vec::new();
    for (name, fs) in [("ext4", Fs::Ext4), ("xfs", Fs::Xfs), ("btrfs", Fs::Btrfs)] {
        let boot = Boot::from(iso_with("ISO", nested(fs)));
        list.push(scenario(
            format!("layout/B6 nested {name} in squashfs"),
            boot.expect(overlay_root())
                .expect(both_dialects())
                .expect(marker("tiny"))
                .expect(mounted("/run/rootfsbase", name)),
        ));
    }
    for compressor in ["gzip", "lzo", "lz4", "xz", "zstd", "none"] {
        let boot = Boot::from(iso_with("ISO", image(Fs::Squashfs(compressor))));
        list.push(scenario(
            format!("layout/T-10 squashfs {compressor}"),
            boot.expect(overlay_root()).expect(marker("tiny")).expect(mounted("/run/rootfsbase", "squashfs")),
        ));
    }
    list.push(scenario(
        "layout/T-09 erofs named squashfs.img",
        Boot::from(iso_with("ISO", image(Fs::Erofs)))
            .expect(overlay_root())
            .expect(mounted("/run/rootfsbase", "erofs")),
    ));
    // field.md B: seen in a virtual machine as a CD it boots, and as a stick it had read errors.
    let short = changed(hybrid(Table::Mbr, 8), "echo ', 1024' | sfdisk -q --no-reread -N 1 \"$1\"");
    list.push(scenario(
        "layout/S3 a partition that is shorter than the volume in it",
        Boot::from(short)
            .on(Bus::Stick)
            .writable()
            .expect(overlay_root())
            .expect(report_says("/dev/{0}\""))
            .expect(media_unchanged()),
    ));
    list.push(scenario(
        "layout/B1 squashfs rootfs.img on an ext4 partition",
        disk(image_on_partition(Fs::Squashfs("zstd")), "root=live:/dev/disk/by-label/dracut rd.overlay")
            .expect(mounted("/run/rootfsbase", "squashfs"))
            .expect(mounted("/run/initramfs/live", "ext4"))
            .expect(mount_option("/run/initramfs/live", "ro")),
    ));
    list.push(scenario(
        "layout/B1 ext4 rootfs.img on an ext4 partition",
        disk(image_on_partition(Fs::Ext4), "root=live:LABEL=dracut rd.overlay")
            .expect(mounted("/run/rootfsbase", "ext4")),
    ));
    list.push(scenario(
        "layout/B9 whole disk is erofs",
        // The serial number is the disk's own.
        disk(image(Fs::Erofs), "root=live:/dev/disk/by-id/virtio-disk0 rd.overlay")
            .on(Bus::Virtio)
            .expect(mounted("/run/rootfsbase", "erofs")),
    ));
    list.push(scenario(
        "layout/B10 whole disk is squashfs",
        disk(image(Fs::Squashfs("zstd")), "root=live:/dev/{0}")
            .expect(mounted("/run/rootfsbase", "squashfs"))
            .expect(not_mounted("/run/initramfs/live")),
    ));
    list.push(scenario(
        "layout/B11 plain tree on ext4, not written",
        disk(plain(), "root=live:LABEL=plain rd.overlay")
            .writable()
            .expect(mounted("/run/rootfsbase", "ext4"))
            .expect(mount_option("/run/initramfs/live", "ro"))
            .expect(media_unchanged()),
    ));
    list
}

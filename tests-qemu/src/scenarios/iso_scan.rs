//! An ISO as a file on a disk: `iso-scan/filename=` (T-37, T-45b, D1, D2).

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;

const FILE_SYSTEMS: &[(&str, Fs, &str)] = &[
    ("vfat", Fs::Vfat, "vfat"),
    ("exfat", Fs::Exfat, "exfat"),
    ("ntfs", Fs::Ntfs, "ntfs3"),
    ("ext4", Fs::Ext4, "ext4"),
    ("xfs", Fs::Xfs, "xfs"),
    ("btrfs", Fs::Btrfs, "btrfs"),
];

fn on(fs: Fs, path: &str) -> Boot {
    let boot = Boot::from(disk_with_iso(fs, path, iso())).on(Bus::Stick);
    boot.expect(overlay_root())
        .expect(both_dialects())
        .expect(link_below("/run/initramfs/isoscandev", "/dev/disk/by-uuid/"))
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = Vec::new();
    for &(name, fs, driver) in FILE_SYSTEMS {
        list.push(scenario(
            format!("isoscan/T-37 D1 on {name}"),
            on(fs, "linux.iso")
                .writable()
                .kargs("iso-scan/filename=linux.iso")
                .expect(mounted("/run/initramfs/isoscan", driver))
                .expect(mount_option("/run/initramfs/isoscan", "ro"))
                .expect(media_unchanged()),
        ));
    }
    list.push(scenario("isoscan/D2 leading slash", on(Fs::Ext4, "linux.iso").kargs("iso-scan/filename=/linux.iso")));
    list.push(scenario(
        "isoscan/D1 in a directory",
        on(Fs::Vfat, "isos/linux.iso").kargs("iso-scan/filename=/isos/linux.iso"),
    ));
    list.push(scenario(
        "isoscan/T-45b path with a space",
        on(Fs::Vfat, "my isos/live one.iso").kargs("\"iso-scan/filename=/my isos/live one.iso\""),
    ));
    list.push(scenario(
        "isoscan/T-37 kiwi dialect",
        on(Fs::Vfat, "linux.iso")
            .kargs("iso-scan/filename=/linux.iso rd.live.dialect=kiwi")
            .expect(mounted("/run/overlay/live", "iso9660")),
    ));
    list.extend(long_sectors());
    list
}

/// field.md A: disks with sectors of 4096 bytes, on which an ISO 9660 cannot be mounted, nor a file system with shorter blocks.
fn long_sectors() -> Vec<Scenario> {
    let on = |medium: Recipe| {
        Boot::from(medium).on(Bus::Virtio4k).writable().expect(overlay_root()).expect(media_unchanged())
    };
    let file = |fs: Fs| on(folder(fs, "STORE", vec![("linux.iso", iso())])).kargs("iso-scan/filename=/linux.iso");
    vec![
        scenario("isoscan/S1 on ext4, with sectors of 4096 bytes", file(Fs::Ext4)),
        scenario("isoscan/S1 on a FAT with short sectors, with sectors of 4096 bytes", file(Fs::Vfat)),
        scenario("isoscan/S1 on an XFS with short sectors, with sectors of 4096 bytes", file(Fs::Xfs)),
        scenario("isoscan/S2 an ISO written to a disk with sectors of 4096 bytes", on(iso())),
        scenario(
            "isoscan/S2 the same, copied to RAM",
            on(iso()).kargs("rd.live.ram rd.minmem=64").expect(not_mounted("/run/initramfs/live")),
        ),
    ]
}

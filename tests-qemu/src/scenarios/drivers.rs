//! Drivers that come late, never, or are refused: no step outruns the one that it needs.

use super::snapshot::is_snapshot;
use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;

/// Before a driver, another module is loaded, as a soft dependency asks for. Its file is the console: who reads it waits until somebody
/// types the end of a file, and then the module is none and is passed over.
fn with_late(module: &str, boot: Boot) -> Boot {
    boot.over_initrd(&format!(
        r#"
        awk -v name={module} '$1 == "m" && $2 == name {{ $5 = $5 == "-" ? "late" : "late," $5; found = 1 }} {{ print }}
            END {{ print "m late /late.ko.zst - - -"; exit !found }}' usr/lib/rdlive/modules.index > new
        mv new usr/lib/rdlive/modules.index
        ln -s /dev/console late.ko.zst
        "#
    ))
}

/// The driver is let go only when the console has said that it is waited for.
fn late(module: &str, waits: &'static str, boot: Boot) -> Boot {
    // Who asked for it when the boot began reads the console, too; and before dm_snapshot come dm_mod and all that comes before that.
    let readers = if ["loop", "isofs", "squashfs", "overlay", "dm_mod"].contains(&module) { 2 } else { 1 };
    with_late(module, boot.on_text(waits, &"\u{4}".repeat(readers))).expect(console_says(waits))
}

/// The initrd has no such module.
pub(super) fn without(module: &str, boot: Boot) -> Boot {
    boot.over_initrd(&format!(
        r#"
        awk -v name={module} '$1 == "m" && $2 == name {{ found = 1; next }} {{ print }} END {{ exit !found }}' \
            usr/lib/rdlive/modules.index > new
        mv new usr/lib/rdlive/modules.index
        "#
    ))
}

/// What ends a boot, with the driver's name and what to do.
fn ends_naming(driver: &'static str, remedy: &'static str, boot: Boot) -> Boot {
    boot.expect(stops_with("RDL-016")).expect(console_says(driver)).expect(console_says(remedy))
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let cd = || Boot::from(iso()).expect(overlay_root());
    let erofs = || Boot::from(iso_with("ISO", image(Fs::Erofs))).expect(overlay_root());
    let nested = || Boot::from(nested_iso()).root("root=live:CDLABEL=ISO");
    let scan = || {
        Boot::from(disk_with_iso(Fs::Vfat, "live.iso", iso()))
            .kargs("iso-scan/filename=/live.iso")
            .expect(overlay_root())
    };
    let failing = || Boot::from(iso()).kargs("rd.retry=5 panic=-1");
    vec![
        scenario("drivers/P8 loop is late", late("loop", "driver loop (CONFIG_BLK_DEV_LOOP): still at it", cd())),
        scenario("drivers/P8 isofs is late", late("isofs", "driver isofs (CONFIG_ISO9660_FS): still at it", cd())),
        scenario(
            "drivers/P8 squashfs is late",
            late("squashfs", "driver squashfs (CONFIG_SQUASHFS): still at it", cd()),
        ),
        scenario(
            "drivers/P8 overlay is late",
            late("overlay", "driver overlay (CONFIG_OVERLAY_FS): still at it", cd()),
        ),
        scenario("drivers/P8 erofs is late", late("erofs", "driver erofs (CONFIG_EROFS_FS): still at it", erofs())),
        scenario(
            "drivers/P8 vfat of an ISO file's disk is late",
            late("vfat", "driver vfat (CONFIG_VFAT_FS): still at it", scan()),
        ),
        scenario(
            "drivers/P8 dm_mod is late",
            is_snapshot(late("dm_mod", "driver dm_mod (CONFIG_BLK_DEV_DM): still at it", nested())),
        ),
        scenario(
            "drivers/P8 dm_snapshot is late",
            is_snapshot(late("dm_snapshot", "driver dm_snapshot (CONFIG_DM_SNAPSHOT): still at it", nested())),
        ),
        scenario(
            "drivers/P8 ext4 of a nested image is late, kernel of Debian 13",
            late(
                "ext4",
                "driver ext4 (CONFIG_EXT4_FS): still at it",
                Boot::from(iso_with("ISO", crate::medium::nested(Fs::Ext4))).expect(overlay_root()),
            )
            .on(Bus::IdeCd)
            .mode(Mode::NativeWrite),
        ),
        scenario(
            "drivers/P8 loop is late, dracut 106",
            cd().mode(Mode::Dracut106)
                .over_initrd(
                    "mkdir -p etc/modprobe.d; echo \"install loop /bin/sh -c 'sleep 12; modprobe --ignore-install loop'\" \
                     > etc/modprobe.d/late.conf",
                )
                .expect(console_says("driver loop (CONFIG_BLK_DEV_LOOP): still at it")),
        ),
        scenario(
            "drivers/P8 loop does not come",
            ends_naming(
                "loading loop has not ended for 30 s",
                "unplug what does not answer",
                with_late("loop", failing()),
            )
            .deadline(120),
        ),
        scenario(
            "drivers/P8 loop is not in the initrd",
            ends_naming("module loop is not in this initrd", "--add-module loop", without("loop", failing())),
        ),
        scenario(
            "drivers/P8 the kernel refuses loop",
            ends_naming(
                "Operation not permitted",
                "remove loop from module_blacklist=",
                failing().kargs("module_blacklist=loop"),
            ),
        ),
        scenario(
            "drivers/the dictionary of the modules is damaged",
            ends_naming(
                "module erofs needs /usr/lib/rdlive/modules.dict, which is damaged",
                "write the medium again",
                Boot::from(iso_with("ISO", image(Fs::Erofs)))
                    .kargs("rd.retry=5 panic=-1")
                    // User-mode Linux has plain modules.
                    .on(Bus::IdeCd)
                    .over_initrd("mkdir -p usr/lib/rdlive; echo damaged > usr/lib/rdlive/modules.dict"),
            ),
        ),
        scenario(
            "drivers/P8 erofs is not in the initrd",
            ends_naming(
                "module erofs is not in this initrd",
                "--add-module erofs",
                without("erofs", Boot::from(iso_with("ISO", image(Fs::Erofs))).kargs("rd.retry=5 panic=-1")),
            ),
        ),
    ]
}

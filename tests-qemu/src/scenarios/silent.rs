//! Devices that stop answering (attacks.md F1, F10): they hold up no boot that can do without them, and one that cannot says so.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;

/// A disk of 64 MiB with nothing on it.
fn blank() -> Recipe {
    changed(Recipe::Text(""), "truncate -s 64M \"$1\"")
}

/// A disk whose table goes on at 32 MiB: the kernel reads that while the driver that has found the disk is being loaded.
fn chained() -> Recipe {
    changed(blank(), "printf 'start=65536, size=60000, type=5\\nstart=65600, size=8192, type=83\\n' | sfdisk -q \"$1\"")
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let beside = |disk: Recipe, bytes: u64| Boot::from(iso()).on(Bus::IdeCd).and(disk, Bus::Virtio).silent(bytes);
    let reached = |boot: Boot| boot.expect(overlay_root()).expect(report_says("does not answer"));
    vec![
        scenario(
            "silent/F1 a disk that nobody asked for never answers",
            reached(beside(blank(), 40_000)).expect(root_within(20.0)).deadline(60),
        ),
        // Without the patience the medium is chosen near the deadline of 180 s.
        scenario(
            "silent/F1 a driver never comes back from its hardware",
            beside(chained(), 4096)
                .expect(overlay_root())
                .expect(root_within(20.0))
                .expect(console_says("does not come back from its hardware"))
                .deadline(60),
        ),
        scenario(
            "silent/F1 a driver of rd.driver.pre= never comes back from its hardware",
            beside(chained(), 4096)
                .kargs("rd.driver.pre=virtio_pci,virtio_blk")
                .expect(overlay_root())
                .expect(root_within(20.0))
                .expect(console_says("does not come back from its hardware"))
                .expect(console_says("still at it"))
                .deadline(60),
        ),
        // The kernel would wait at the end of every module for the SATA disk, which is looked at beside others.
        scenario(
            "silent/F1 a SATA disk never answers, and the medium needs more drivers",
            Boot::from(disk_with_iso(Fs::Vfat, "live.iso", iso()))
                .on(Bus::Virtio)
                .and(chained(), Bus::Ahci)
                .silent(4096)
                .kargs("iso-scan/filename=/live.iso")
                .expect(overlay_root())
                .expect(root_within(20.0))
                .deadline(60),
        ),
        scenario(
            "silent/F1 the same disk, dracut 106",
            reached(beside(blank(), 40_000)).mode(Mode::Dracut106).deadline(150),
        ),
        scenario(
            "silent/F1 the same disk, dracut 059",
            reached(beside(blank(), 40_000)).mode(Mode::Dracut059).deadline(150),
        ),
        scenario(
            "silent/F10 the medium stops while it is copied to RAM",
            Boot::from(iso())
                .on(Bus::Virtio)
                .silent(500_000)
                .kargs("rd.live.ram rd.retry=5 panic=-1")
                .keep_after_failure()
                .expect(console_says("still at it after"))
                .expect(console_says("RDL-042"))
                .expect(stops_with("RDL-010"))
                .expect(report_says("does not answer")),
        ),
        scenario(
            "silent/F10 the place for changes stops when it is used",
            Boot::from(iso())
                .on(Bus::IdeCd)
                .and(labelled(Fs::Ext4, "CHANGES"), Bus::Virtio)
                .silent(300_000)
                .kargs("rd.overlay=LABEL=CHANGES")
                .expect(overlay_root())
                .expect(persistence("temporary"))
                .expect(report_says("has not answered for 60 s"))
                .expect(console_says("still at it after")),
        ),
    ]
}

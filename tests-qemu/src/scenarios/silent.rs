//! Devices that stop answering (attacks.md F1, F10): they hold up no boot that can do without them, and one that cannot says so.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;
use crate::outcome::End;

/// A disk of 64 MiB with nothing on it.
pub(super) fn blank() -> Recipe {
    changed(Recipe::Text(""), "truncate -s 64M \"$1\"")
}

/// A disk whose table goes on at 32 MiB: the kernel reads that while the driver that has found the disk is being loaded.
fn chained() -> Recipe {
    changed(blank(), "printf 'start=65536, size=60000, type=5\\nstart=65600, size=8192, type=83\\n' | sfdisk -q \"$1\"")
}

/// The booted system was there before the disk answers, and waits for that; then nothing of the boot is left. The disk never answers
/// what reads past the system's cache before.
const LATE: &str = "uptime() { read up rest < /proc/uptime; echo ${up%.*}; }; \
    [ $(uptime) -le 20 ] && echo BEGAN''-IN-TIME; \
    busybox dd if=/dev/{1} of=/dev/null bs=4k count=1 skip=9000 iflag=direct; \
    [ $(uptime) -ge 45 ] && echo ANSWERED''-LATE; n=0; \
    while busybox grep -q '[@]rdlive' /proc/[0-9]*/cmdline && [ $n -lt 10 ]; do n=$((n + 1)); sleep 1; done; \
    [ $n -lt 10 ] && echo NOTHING''-STAYED; exec lab-guest report";

/// An ext4 that is checked in full: a power cut has left it with an error, and all of its long tables of inodes are read.
fn unchecked() -> Recipe {
    changed(
        Recipe::Text(""),
        r#"truncate -s 64M "$1"
        mke2fs -q -F -t ext4 -L CHANGES -N 30000 -E lazy_itable_init=0 -O ^metadata_csum,^uninit_bg "$1"
        debugfs -w -R "set_super_value state 2" "$1" 2>/dev/null"#,
    )
}

/// From a CD, with a disk for changes.
fn beside_cd(disk: Recipe) -> Boot {
    Boot::from(iso()).on(Bus::IdeCd).and(disk, Bus::Virtio).mode(Mode::NativeWrite)
}

/// After the patience of a minute the boot goes on with changes in RAM, and until then says what it is at. How much is read or written
/// before the program begins decides the bytes at which each of them stops.
fn in_ram(boot: Boot, what: &'static str, why: &'static str) -> Boot {
    boot.expect(overlay_root())
        .expect(persistence("temporary"))
        .expect(console_says(what))
        .expect(console_says("still at it after"))
        .expect(says_what_to_do("changes are not kept over a reboot"))
        .expect(report_says(why))
        .expect(root_within(100.0))
        .expect(init_within(100.0))
        .deadline(200)
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
        scenario(
            "silent/F1 a disk that nobody asked for answers after a minute",
            reached(beside(blank(), 40_000).answers_after(60))
                .kargs("init=/bin/sh")
                .on_text("# ", &format!("{LATE}\n"))
                .expect(root_within(20.0))
                .expect(console_says("BEGAN-IN-TIME"))
                .expect(console_says("ANSWERED-LATE"))
                .expect(console_says("NOTHING-STAYED"))
                .expect(ends(End::Off))
                .deadline(120),
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
        // It takes 9 to 13 s: the patience of 10 s, of which a boot without it needs some for the medium, and 4 s until udev lets go.
        scenario(
            "silent/F1 the same disk adds 15 s at most, dracut 106",
            Boot::from(iso())
                .on(Bus::IdeCd)
                .mode(Mode::Dracut106)
                .expect(overlay_root())
                .then(reached(beside(blank(), 40_000)).mode(Mode::Dracut106).deadline(150).expect(adds(15.0))),
        )
        .in_every_run(Mode::Dracut106),
        scenario(
            "silent/F1 the same disk, dracut 059",
            reached(beside(blank(), 40_000)).mode(Mode::Dracut059).deadline(150),
        ),
        scenario(
            // The image is far larger than what is read of it before, and than one request.
            "silent/F10 the medium stops while it is copied to RAM",
            Boot::from(super::ram::with_ballast(16))
                .on(Bus::Virtio)
                .silent(560_000)
                .kargs("rd.live.ram rd.minmem=64 rd.retry=5 panic=-1")
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
        scenario(
            "silent/F10 the place for changes stops while a file system is made on it",
            in_ram(
                beside_cd(blank())
                    .silent_when_written(7_500_000)
                    .kargs("rd.overlay=/dev/{1} rd.live.overlay.cowfs=ext4"),
                "making an ext4 for changes",
                "mkfs.ext4 waits for a device that has not answered for 60 s",
            ),
        ),
        scenario(
            "silent/F10 the place for changes stops while it is checked",
            in_ram(
                beside_cd(unchecked()).silent(2_000_000).kargs("rd.overlay=LABEL=CHANGES rd.live.host.awake=1"),
                "checking the area",
                "/dev/{1} has not answered",
            ),
        ),
        scenario(
            "silent/F10 the place for changes stops while it is encrypted",
            in_ram(
                beside_cd(blank())
                    .mode(Mode::NativeCryptQuick)
                    .silent_when_written(7_500_000)
                    .kargs("rd.overlay.crypt=/dev/{1}"),
                "encrypting",
                "cryptsetup waits for a device that has not answered for 60 s",
            ),
        ),
    ]
}

//! Boots that must stop, soon and with the reason.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::{Bus, Need};
use crate::medium::*;
use crate::mode::Mode;
use crate::outcome::End;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let nowhere =
        || Boot::from(iso()).root("root=live:CDLABEL=NOWHERE").kargs("rd.retry=5").expect(stops_with("RDL-010"));
    let empty = || folder(Fs::Squashfs("zstd"), "", vec![("README", Recipe::Text("no root here\n"))]);
    let mut list = prompts();
    list.extend(faults());
    list.extend([
        scenario(
            "fail/T-06 B25 label never appears",
            nowhere().expect(report_says(r#"LABEL=\"ISO\""#)).expect(report_says("NOWHERE")),
        ),
        scenario("fail/B25 no device at all", Boot::nothing().kargs("rd.retry=3").expect(stops_with("RDL-010"))),
        scenario(
            "fail/T-71 container missing in the ISO",
            Boot::from(folder(Fs::Iso, "ISO", vec![("README", Recipe::Text("empty\n"))]))
                .kargs("rd.retry=5")
                .expect(stops_with("RDL-013")),
        ),
        scenario(
            "fail/B24 container without a root",
            Boot::from(iso_with("ISO", empty())).kargs("rd.retry=5").expect(stops_with("RDL-015")),
        ),
        scenario(
            "fail/B4 rd.live.dir names nothing",
            Boot::from(iso()).kargs("rd.live.dir=none_such rd.retry=5").expect(stops_with("RDL-013")),
        ),
        scenario(
            "fail/truncated ISO",
            Boot::from(Recipe::Truncated(Box::new(iso()), 60)).kargs("rd.retry=5").expect(stops_with("RDL-014")),
        ),
        scenario(
            "fail/damaged container",
            Boot::from(iso_with("ISO", Recipe::Text("this is no file system\n")))
                .kargs("rd.retry=5")
                .expect(stops_with("RDL-014")),
        ),
        scenario(
            "fail/T-45 D4 ISO file nowhere",
            Boot::from(disk_with_iso(Fs::Ext4, "other.iso", iso()))
                .on(Bus::Disk)
                .kargs("iso-scan/filename=/live.iso rd.retry=5")
                .writable()
                .expect(stops_with("RDL-011"))
                .expect(media_unchanged()),
        ),
        scenario(
            "fail/D4 ISO file in a directory that cannot be read",
            Boot::from(changed(disk_with_iso(Fs::Ext4, "isos/live.iso", iso()), ZAPPED))
                .on(Bus::Disk)
                .kargs("iso-scan/filename=/isos/live.iso rd.retry=5")
                .writable()
                .expect(stops_with("RDL-012"))
                // The kernel itself marks its superblock as that of a file system with errors, also where it only reads.
                .expect(console_says("check its file system")),
        ),
    ]);
    for (name, mode) in [
        ("dracut 106", Mode::Dracut106),
        ("dracut 106 without systemd", Mode::Dracut106Shell),
        ("dracut 059", Mode::Dracut059),
    ] {
        // Far below the 3000 s that dmsquash-live's unit waits.
        list.push(scenario(format!("fail/T-06 B25 {name}"), nowhere().mode(mode).deadline(240)));
    }
    list
}

/// The only block of a directory is noise.
const ZAPPED: &str = "debugfs -w -R 'zap_block -p 165 -f /isos 0' \"$1?offset=1048576\" >/dev/null 2>&1";

/// attacks.md F9, in the program as people get it, with nothing in it for this: the kernel promises no more memory than it has, and has
/// enough for the stack of one thread. The second one of the attempt is a panic; the report that PID 1 sends takes one again.
fn faults() -> Vec<Scenario> {
    let fault = |kargs: &str| {
        Boot::from(iso())
            .kargs("sysctl.vm.overcommit_memory=2 sysctl.vm.overcommit_kbytes=3600")
            .needs(Need::CountedMemory)
            .kargs(kargs)
            .keep_after_failure()
            .deadline(60)
            .expect(stops_with("RDL-041"))
            .expect(report_says("a fault in rdlive itself, at "))
            .expect(report_says(".rs:"))
            .expect(console_says("failed to spawn thread"))
            .expect(console_says("report it with this line"))
            .expect(ends(End::Off))
    };
    vec![
        scenario(
            "rescue/F9 a fault in an attempt, and a person switches the machine off",
            fault("panic=0").on_text(ASKS, "p\n"),
        ),
        scenario(
            "rescue/F9 a fault in an attempt, rd.emergency=reboot",
            fault("rd.shell=0 panic=0 rd.emergency=reboot").expect(console_says("the machine restarts in 10 s")),
        ),
    ]
}

/// What is asked.
const ASKS: &str = "[p]ower off > ";

/// What follows a failure: the prompt, or what replaces it where nobody watches.
fn prompts() -> Vec<Scenario> {
    let stopped =
        |medium| Boot::from(medium).root("root=live:CDLABEL=NOWHERE").kargs("rd.retry=3 panic=0").keep_after_failure();
    vec![
        scenario(
            "rescue/rd.shell=0 panic=1 reboots instead of asking",
            stopped(iso())
                .kargs("rd.shell=0 panic=1")
                .needs(Need::Reboot)
                .expect(ends(End::Off))
                .expect(stops_with("RDL-010")),
        ),
        scenario(
            "rescue/list the devices, power off",
            // Without the list after the first answer, the second is never typed, and time runs out.
            stopped(iso())
                .on_text(ASKS, "d\n")
                .on_text("/dev/{0} iso9660", "")
                .on_text(ASKS, "p\n")
                .deadline(60)
                .expect(ends(End::Off)),
        ),
        scenario(
            "rescue/retry finds a medium that came later",
            stopped(iso_with("NOWHERE", image(Fs::Squashfs("zstd"))))
                .on(Bus::Stick)
                .kargs("rd.retry=8")
                .plugged_in_on_text(ASKS)
                .on_text("", "r\n")
                .expect(overlay_root()),
        ),
    ]
}

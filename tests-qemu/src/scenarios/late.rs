//! Media that appear late, and media that look alike.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;

/// An ISO with its own UUID and a file that tells it from its twin.
fn twin(date: &str, name: &'static str) -> Recipe {
    let files = vec![("LiveOS/squashfs.img", image(Fs::Squashfs("zstd"))), ("lab-marker", Recipe::Text(name))];
    folder(Fs::Iso, &format!("ISO@{date}"), files)
}

fn first() -> Recipe {
    twin("2026020202020200", "first")
}

fn second() -> Recipe {
    twin("2026030303030300", "second")
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let chosen = |text| file_is("/run/initramfs/live/lab-marker", text);
    let twins = || Boot::from(first()).and(second(), Bus::Stick).expect(overlay_root());
    let store = || disk_with_iso(Fs::Vfat, "live.iso", iso());
    let scan = "iso-scan/filename=/live.iso";
    // The unit may start for 150 s, and the agent asks for more as long as it waits for what was asked for.
    let patient =
        |mode| Boot::from(iso()).after(175).kargs("rd.retry=260").mode(mode).deadline(400).expect(overlay_root());
    vec![
        scenario("late/the limit of the unit is extended, dracut 106", patient(Mode::Dracut106)).with_all(),
        scenario("late/the limit of the unit is extended, dracut 059", patient(Mode::Dracut059)).with_all(),
        scenario(
            "late/T-43 stick plugged in after 20 s",
            Boot::from(iso()).on(Bus::UsbStick).after(20).expect(overlay_root()),
        ),
        scenario("late/virtio disk after 8 s", Boot::from(iso()).on(Bus::Virtio).after(8).expect(overlay_root())),
        scenario(
            "late/T-43 D6 ISO file on a stick plugged in after 20 s",
            Boot::from(store()).on(Bus::UsbStick).after(20).kargs(scan).expect(overlay_root()),
        ),
        scenario(
            "late/D6 another disk first",
            Boot::from(folder(Fs::Ext4, "OTHER", vec![("other.iso", iso())]))
                .on(Bus::Virtio)
                .and(store(), Bus::UsbStick)
                .after(10)
                .kargs(scan)
                .expect(overlay_root()),
        ),
        scenario(
            "twin/T-44 same label: deterministic and explained",
            Boot::from(first())
                .and(second(), Bus::Disk)
                .expect(chosen("first"))
                // Both are named, and why one of them was taken.
                .expect(report_says("\"chosen: matches\""))
                .expect(report_says("\"not chosen: matches\"")),
        ),
        scenario(
            "twin/rd.live.medium picks the first",
            twins().kargs("rd.live.medium=UUID=2026-02-02-02-02-02-00").expect(chosen("first")),
        ),
        scenario(
            "twin/rd.live.medium picks the second",
            twins().kargs("rd.live.medium=UUID=2026-03-03-03-03-03-00").expect(chosen("second")),
        ),
        scenario(
            "twin/D5 T-44 two disks hold the ISO file",
            Boot::from(disk_with_iso(Fs::Ext4, "live.iso", first()))
                .on(Bus::Virtio)
                .and(disk_with_iso(Fs::Vfat, "live.iso", second()), Bus::Ahci)
                .kargs(scan)
                .expect(overlay_root()),
        ),
    ]
}

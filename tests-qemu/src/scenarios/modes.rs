//! Every initrd our agent lives in.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;

const MODES: &[(&str, Mode)] = &[
    ("native", Mode::Native),
    ("native, kernel of Debian 12", Mode::Native12),
    ("dracut 106", Mode::Dracut106),
    ("dracut 106 without systemd", Mode::Dracut106Shell),
    ("dracut 059", Mode::Dracut059),
];

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = Vec::new();
    for &(name, mode) in MODES {
        // In each initrd of dracut two boots meet the buses that people have; what the others show does not depend on one.
        let of_its_own = |bus: Bus| if mode.is_dracut() { Bus::Disk } else { bus };
        let boot = |recipe| {
            Boot::from(recipe).mode(mode).expect(overlay_root()).expect(both_dialects()).expect(marker("tiny"))
        };
        list.push(scenario(
            format!("mode/T-01 B7 {name}, CD"),
            boot(iso()).on(Bus::IdeCd).expect(mounted("/run/rootfsbase", "squashfs")),
        ));
        list.push(scenario(
            format!("mode/B6 {name}, nested on a stick"),
            boot(nested_iso()).on(Bus::UsbStick).expect(mounted("/run/rootfsbase", "ext4")),
        ));
        list.push(scenario(
            format!("mode/T-37 D1 {name}, ISO file on FAT"),
            boot(disk_with_iso(Fs::Vfat, "live.iso", iso()))
                .on(of_its_own(Bus::Virtio))
                .kargs("iso-scan/filename=/live.iso"),
        ));
        if mode != Mode::Native {
            list.push(scenario(
                format!("mode/T-01 kiwi dialect, {name}"),
                boot(nested_iso()).on(of_its_own(Bus::IdeCd)).kargs("rd.live.dialect=kiwi"),
            ));
        }
    }
    // People ask for our module by the names of those that it stands for; here by all of them at once.
    let named = |medium| Boot::from(medium).mode(Mode::Dracut106Named).on(Bus::Disk).expect(overlay_root());
    list.push(scenario("mode/B7 dracut 106, asked for by other names", named(iso()).expect(both_dialects())));
    list.push(scenario(
        "mode/T-01 kiwi dialect, dracut 106, asked for by other names",
        named(nested_iso()).kargs("rd.live.dialect=kiwi"),
    ));
    list
}

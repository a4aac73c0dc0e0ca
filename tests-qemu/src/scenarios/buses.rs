//! Every way a medium can be plugged in.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::{Table, hybrid, iso};
use crate::mode::Mode;

const BUSES: &[(&str, Bus)] = &[
    ("ide-cd", Bus::IdeCd),
    ("scsi-cd", Bus::ScsiCd),
    ("usb-cd", Bus::UsbCd),
    ("usb-stick", Bus::UsbStick),
    ("virtio-disk", Bus::Virtio),
    ("nvme", Bus::Nvme),
    ("sata-disk", Bus::Ahci),
];

/// What firmware has fetched over HTTP and left in RAM (kind I of the cases from the field). Linux sees whole pieces of 2 MiB alone.
fn in_memory(bus: Bus) -> Boot {
    Boot::from(hybrid(Table::Gpt, 4))
        .kargs("rd.retry=60")
        .on(bus)
        .expect(overlay_root())
        .expect(marker("tiny"))
        .expect(leads_to("/run/initramfs/livedev", "/dev/{0.1}"))
}

/// One boot per bus, native.
pub fn all() -> Vec<Scenario> {
    let one = |&(name, bus): &(&str, Bus)| {
        let boot = Boot::from(iso()).on(bus).expect(overlay_root()).expect(both_dialects()).expect(marker("tiny"));
        scenario(format!("bus/T-01 {name}"), boot)
    };
    let memory = vec![
        scenario("bus/I nvdimm", in_memory(Bus::Nvdimm)),
        scenario("bus/I nvdimm, kernel of Debian 12", in_memory(Bus::Nvdimm).mode(Mode::Native12)),
        scenario("bus/I nvdimm, dracut 106", in_memory(Bus::Nvdimm).mode(Mode::Dracut106)),
        scenario("bus/I virtio-pmem", in_memory(Bus::VirtioPmem)),
        scenario("bus/I memmap=", in_memory(Bus::Memmap).kargs("memmap=64M!512M")),
        // There is room behind the image, and all of it is gone with the power.
        scenario(
            "bus/I memmap=, and changes are to be kept",
            in_memory(Bus::Memmap)
                .mode(Mode::NativeWrite)
                .kargs("memmap=64M!512M rd.live.overlay.persistent")
                .expect(persistence("temporary"))
                .expect(says_what_to_do("changes are not kept over a reboot"))
                .expect(report_says("/dev/pmem0p1 lies in memory")),
        ),
    ];
    BUSES.iter().map(one).chain(memory).collect()
}

//! Every way a medium can be plugged in.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::iso;

const BUSES: &[(&str, Bus)] = &[
    ("ide-cd", Bus::IdeCd),
    ("scsi-cd", Bus::ScsiCd),
    ("usb-cd", Bus::UsbCd),
    ("usb-stick", Bus::UsbStick),
    ("virtio-disk", Bus::Virtio),
    ("nvme", Bus::Nvme),
    ("sata-disk", Bus::Ahci),
];

/// One boot per bus, native.
pub fn all() -> Vec<Scenario> {
    let one = |&(name, bus): &(&str, Bus)| {
        let boot = Boot::from(iso()).on(bus).expect(overlay_root()).expect(both_dialects()).expect(marker("tiny"));
        scenario(format!("bus/T-01 {name}"), boot)
    };
    BUSES.iter().map(one).collect()
}

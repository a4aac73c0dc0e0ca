//! A btrfs that lies on several devices: the kernel is told of all of them before one is mounted, as udev's rules do it.

use super::Boot;
use crate::error::{Code, Stop};
use crate::facts::Device;
use crate::plan::Step;
use crate::source::discover;

impl Boot<'_> {
    /// Tells the kernel of the devices of a btrfs that are there.
    ///
    /// # Errors
    /// As the driver.
    pub(super) fn gather(&mut self, device: &Device) -> Result<(), Stop> {
        let devices = self.devices();
        let nodes: Vec<_> = discover::members(device, &devices).iter().map(|member| member.node.clone()).collect();
        if nodes.is_empty() { Ok(()) } else { self.perform("acquire", &[Step::Members { nodes }]).map(drop) }
    }

    /// The devices that a file system lies on, of which this is one.
    pub(super) fn all_of(&self, device: &Device) -> Vec<Device> {
        let devices = self.devices();
        let members = discover::members(device, &devices);
        if members.is_empty() { vec![device.clone()] } else { members.into_iter().cloned().collect() }
    }

    /// Why a device cannot be mounted, with how many of those that belong to it are missing.
    pub(super) fn scattered(&self, name: &str, stop: Stop) -> Stop {
        let devices = self.devices();
        let device = devices.iter().find(|device| device.name == name);
        let all = device.and_then(|device| device.superblock.as_ref()?.devices);
        let missing = device.map_or(0, |device| discover::missing(device, &devices));
        match all {
            Some(all) if missing > 0 && matches!(stop.code, Code::MediumMount | Code::AreaUnavailable) => {
                let verb = if missing == 1 { "is" } else { "are" };
                let cause = format!("{}; {missing} of the {all} devices of this btrfs {verb} missing", stop.cause);
                Stop { cause, ..stop }.advice("plug in all disks of this file system")
            }
            _ => stop,
        }
    }
}

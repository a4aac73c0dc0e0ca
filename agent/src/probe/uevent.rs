//! Kernel events: one netlink socket, no udev (`Documentation/ABI/stable/sysfs-uevent`, `kobject_uevent.c`).

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

/// The multicast groups of the kernel itself and of udev, which sends there what it has done its work for: links are there then.
const GROUPS: u32 = 1 | 2;
/// How a message of udev begins.
const UDEV: &[u8] = b"libudev\0";
const BLOCK: &[u8] = b"SUBSYSTEM=block\0";
/// Bytes of one event: the kernel limits its environment to 2048 plus the path.
const EVENT_BYTES: usize = 8192;

/// One event, with the fields the agent looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uevent {
    /// `add`, `remove`, `change`, `bind` ….
    pub action: String,
    /// Path below `/sys`.
    pub path: String,
    /// Subsystem, such as `block`.
    pub subsystem: String,
    /// What to match against module aliases.
    pub modalias: Option<String>,
}

impl Uevent {
    /// Parses an event: a header, then `KEY=value` strings, each ended by a zero byte. Anything else is `None`, such as
    /// the messages that udev sends to its own group.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut fields = text.split('\0');
        fields.next()?.split_once('@')?;
        let mut event = Self::default();
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            match key {
                "ACTION" => event.action = value.to_owned(),
                "DEVPATH" => event.path = value.to_owned(),
                "SUBSYSTEM" => event.subsystem = value.to_owned(),
                "MODALIAS" => event.modalias = Some(value.to_owned()),
                _ => {}
            }
        }
        (!event.action.is_empty()).then_some(event)
    }

    /// Kernel name of the device.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// The socket that receives kernel events.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// Opens and binds the socket; events from now on are not lost.
    ///
    /// # Errors
    /// The errno of `socket(2)` or `bind(2)`.
    pub fn open() -> io::Result<Self> {
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(KOBJECT_UEVENT))?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        // A burst at coldplug must not overflow the default 200 KiB; failing to raise it only costs certainty.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 16 << 20);
        Ok(Self(socket))
    }

    /// Waits for the next event. `Ok(None)` is a message that is not a kernel event, or a sign that events were lost
    /// (`lost` is then true).
    ///
    /// # Errors
    /// The errno of `recv(2)`, except the two that mean "go on".
    pub fn next(&self) -> io::Result<Received> {
        let mut buffer = [0; EVENT_BYTES];
        match recv(&self.0, &mut buffer, RecvFlags::empty()) {
            Ok((_, length)) => Ok(Received::of(&buffer[..length.min(EVENT_BYTES)])),
            Err(rustix::io::Errno::INTR) => Ok(Received::Other),
            Err(rustix::io::Errno::NOBUFS) => Ok(Received::Lost),
            Err(error) => Err(error.into()),
        }
    }
}

/// What came out of the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A kernel event.
    Event(Uevent),
    /// udev has worked on a block device: there may be new names.
    Named,
    /// Nothing of interest.
    Other,
    /// The socket overflowed: look at everything again.
    Lost,
}

impl Received {
    /// What a message says. Any program of root may send as udev does; nothing is believed but that it is time to look.
    fn of(bytes: &[u8]) -> Self {
        let is_block = || bytes.windows(BLOCK.len()).any(|field| field == BLOCK);
        match bytes.starts_with(UDEV) {
            true if is_block() => Self::Named,
            true => Self::Other,
            false => Uevent::parse(bytes).map_or(Self::Other, Self::Event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head is that of systemd's libudev (`sd-device/device-monitor.c`): sizes and hashes, then the properties.
    #[test]
    fn what_udev_says_is_a_reason_to_look() {
        let head = [UDEV, &0xfeed_cafe_u32.to_be_bytes(), &40_u32.to_le_bytes(), &[0; 24]].concat();
        for (properties, expected) in [
            (&b"ACTION=add\0SUBSYSTEM=block\0DEVNAME=/dev/sda\0"[..], Received::Named),
            (b"SUBSYSTEM=block\0ACTION=add\0", Received::Named),
            (b"ACTION=add\0SUBSYSTEM=net\0", Received::Other),
            (b"", Received::Other),
        ] {
            assert_eq!(Received::of(&[&head, properties].concat()), expected);
        }
    }

    #[test]
    fn event_table() {
        let add = b"add@/devices/pci0000:00/block/sda\0ACTION=add\0DEVPATH=/devices/pci0000:00/block/sda\0SUBSYSTEM=block\0MAJOR=8\0\0";
        let event = Uevent::parse(add).unwrap();
        assert_eq!((event.action.as_str(), event.name(), event.subsystem.as_str()), ("add", "sda", "block"));
        let usb = b"add@/x\0ACTION=add\0DEVPATH=/x\0SUBSYSTEM=usb\0MODALIAS=usb:v46F4p0001\0";
        assert_eq!(Uevent::parse(usb).unwrap().modalias.as_deref(), Some("usb:v46F4p0001"));
        for other in [&b"libudev\0\xfe\xed\xca\xfe"[..], b"", b"\0\0\0", b"add@/x\0NOTHING"] {
            assert_eq!(Uevent::parse(other), None, "{other:?}");
        }
    }
}

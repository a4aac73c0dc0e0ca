//! Packet sockets (`packet(7)`): frames of one interface before it has an address.
//!
//! No library offers them with safe signatures: `rustix` and `nix` have no address for `bind` and `sendto`, and nobody
//! gives the packet's type and the VLAN tag that the kernel takes out of a frame.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::{offset_of, size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Bytes of the longest hardware address that `sockaddr_ll` carries with its name in it: InfiniBand's 20 go over its end.
const MAX_ADDRESS: usize = 20;
/// Bytes before the hardware address in `struct sockaddr_ll`.
const ADDRESS_AT: usize = offset_of!(libc::sockaddr_ll, sll_addr);

/// Which frames a socket sees and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// Those with this EtherType, without their Ethernet header; without a VLAN tag, or with one that is told apart by [`Kind`].
    Payload(u16),
    /// All of them, from the Ethernet header on.
    Whole,
}

/// For whom a frame is (`PACKET_*` of `linux/if_packet.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For this machine.
    Host,
    /// For everybody on the link.
    Broadcast,
    /// For a group.
    Multicast,
    /// For another machine, or for a VLAN that this machine has no interface for.
    OtherHost,
    /// Sent by this machine.
    Outgoing,
}

/// A frame that has come in; its bytes are in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes in the buffer.
    pub length: usize,
    /// For whom it is.
    pub kind: Kind,
    /// The VLAN tag (IEEE 802.1Q) that the kernel has taken out of the frame: priority and number.
    pub tag: Option<u16>,
}

/// A packet socket bound to one interface. Reading never waits.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
    index: c_int,
    protocol: u16,
}

impl PacketSocket {
    /// Opens one for the interface with this index.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` where the kernel has no packet sockets or their module is missing, `EPERM` without `CAP_NET_RAW`, `ENODEV` without
    /// the interface.
    pub fn open(index: u32, frames: Frames) -> io::Result<Self> {
        let (kind, protocol) = match frames {
            Frames::Payload(protocol) => (libc::SOCK_DGRAM, protocol),
            Frames::Whole => (libc::SOCK_RAW, libc::ETH_P_ALL as u16),
        };
        let index = c_int::try_from(index).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
        // Without a protocol nothing arrives before it is bound: no frame of another interface.
        // SAFETY: the call takes numbers alone.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        let socket = Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, index, protocol };
        let on: c_int = 1;
        // SAFETY: the option is an int, which lives until the call is over.
        let set = unsafe {
            let size = size_of::<c_int>() as libc::socklen_t;
            libc::setsockopt(fd, libc::SOL_PACKET, libc::PACKET_AUXDATA, (&raw const on).cast(), size)
        };
        check(set as isize)?;
        let address = socket.address(&[])?;
        // SAFETY: the address lives until the call is over, and its size is its own.
        let bound = unsafe { libc::bind(fd, address.as_ptr().cast(), address.len() as libc::socklen_t) };
        check(bound as isize)?;
        Ok(socket)
    }

    /// Sends a frame: behind an Ethernet header to `to` for [`Frames::Payload`], as it is for [`Frames::Whole`].
    ///
    /// # Errors
    /// `ENETDOWN` while the interface is down, `EMSGSIZE` above its MTU, `EAGAIN` while its queue is full.
    pub fn send(&self, to: &[u8], frame: &[u8]) -> io::Result<()> {
        let address = self.address(to)?;
        // SAFETY: frame and address live until the call is over, and their sizes are their own.
        let sent = unsafe {
            let (frame, length) = (frame.as_ptr().cast::<c_void>(), frame.len());
            let size = address.len() as libc::socklen_t;
            libc::sendto(self.fd.as_raw_fd(), frame, length, libc::MSG_NOSIGNAL, address.as_ptr().cast(), size)
        };
        check(sent).map(|_| ())
    }

    /// Takes the next frame, cut to the size of the buffer; `None` if there is none yet.
    ///
    /// # Errors
    /// `ENETDOWN` when the interface has gone down: the socket goes on when it is up again.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        // SAFETY: these structures of C are numbers and pointers; all bits zero is a value of each.
        let (mut from, mut header) = unsafe { (zeroed::<libc::sockaddr_ll>(), zeroed::<libc::msghdr>()) };
        let mut control = [0u64; 16];
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        header.msg_name = (&raw mut from).cast();
        header.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        // SAFETY: all that the header points to lives in this function or is the caller's buffer, each with its size.
        let length = unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut header, 0) };
        match check(length) {
            Ok(length) => {
                let kind = match from.sll_pkttype {
                    libc::PACKET_HOST => Kind::Host,
                    libc::PACKET_BROADCAST => Kind::Broadcast,
                    libc::PACKET_MULTICAST => Kind::Multicast,
                    libc::PACKET_OUTGOING => Kind::Outgoing,
                    _ => Kind::OtherHost,
                };
                Ok(Some(Received { length, kind, tag: tag(&header) }))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `struct sockaddr_ll`, longer where the hardware address is.
    fn address(&self, to: &[u8]) -> io::Result<[u8; ADDRESS_AT + MAX_ADDRESS]> {
        let mut bytes = [0; ADDRESS_AT + MAX_ADDRESS];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        let length = u8::try_from(to.len()).ok().filter(|length| usize::from(*length) <= MAX_ADDRESS);
        let length = length.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        put(offset_of!(libc::sockaddr_ll, sll_family), &(libc::AF_PACKET as u16).to_ne_bytes());
        put(offset_of!(libc::sockaddr_ll, sll_protocol), &self.protocol.to_be_bytes());
        put(offset_of!(libc::sockaddr_ll, sll_ifindex), &self.index.to_ne_bytes());
        put(offset_of!(libc::sockaddr_ll, sll_halen), &[length]);
        put(ADDRESS_AT, to);
        Ok(bytes)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The tag in `struct tpacket_auxdata` among what came with a frame.
fn tag(header: &libc::msghdr) -> Option<u16> {
    // SAFETY: the kernel has filled the buffer that the header points to, and has written how far; the macros stay in it.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: it points to a whole header in that buffer.
        let found = unsafe { message.read_unaligned() };
        if (found.cmsg_level, found.cmsg_type) == (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
            // SAFETY: what has this type is a whole `struct tpacket_auxdata`.
            let data = unsafe { libc::CMSG_DATA(message).cast::<libc::tpacket_auxdata>().read_unaligned() };
            return (data.tp_status & libc::TP_STATUS_VLAN_VALID != 0).then_some(data.tp_vlan_tci);
        }
        // SAFETY: as above.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

fn check(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

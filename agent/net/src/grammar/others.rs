//! What three other programs make of an `ip=` word that rdlive takes (network.md 4.1): for `explain`, which tells a person why a line that
//! works here does not work in another initrd, and for dracut mode, where one of them is the one that reads it.
//!
//! All but [`Verdict::Untested`] was run with systemd 257 and NetworkManager 1.52, or read in the source of dracut-ng 02e7ae10.

use std::fmt;

use super::{Form, Interface, Method, Request, Word};

/// The three verdicts about one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Others {
    /// dracut's network-legacy.
    pub legacy: Verdict,
    /// systemd-network-generator.
    pub systemd: Verdict,
    /// nm-initrd-generator.
    pub network_manager: Verdict,
}

/// What one of them makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What rdlive makes of it.
    Same,
    /// It ends the boot.
    Fatal,
    /// It stops reading: this word and all others of the network are lost.
    RejectsAll,
    /// It leaves out this word alone.
    Skips,
    /// It does not know the option.
    Ignores,
    /// It does something else.
    Reads(Reading),
    /// Nobody has tried.
    Untested,
}

/// Something else that is made of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// DHCPv4 on each interface, one after the other.
    OneAfterOther,
    /// DHCPv4 on all physical interfaces.
    AllPhysical,
    /// DHCPv4 is needed, IPv6 tried.
    Ipv4AndMaybeIpv6,
    /// As `ip=dhcp`.
    LikeDhcp,
    /// DHCPv4 and DHCPv6.
    DhcpBoth,
    /// Either family, IPv4 for 20 s first.
    Either,
    /// IPv6 from a router or DHCPv6, no IPv4.
    Ipv6Automatic,
    /// Router advertisements for at most 40 s.
    Router40,
    /// No DHCP, router advertisements as always.
    DhcpOff,
    /// As `ip=auto6`, then as `ip=dhcp6`.
    RouterThenDhcp6,
    /// DHCPv6.
    Dhcp6,
    /// Left out here; read elsewhere for iSCSI.
    FirmwareElsewhere,
    /// It loads the driver of the firmware's table.
    LoadsIbft,
    /// DHCPv4, then DHCPv6.
    BothInTurn,
    /// Both families, 20 s for both.
    BothWait,
    /// The address is given to whichever interface comes up.
    WhicheverComesUp,
    /// The address is given to every interface.
    EveryInterface,
    /// The address and, besides, IPv6 from a router.
    StaticAndIpv6,
    /// The address without the other end of the link.
    WithoutPeer,
    /// The interface is given that name too.
    GivesName,
    /// The interface with that name alone.
    NameOnly,
    /// `bootdev=` must name one, else the first one counts; the network becomes necessary.
    FirstUnlessBootdev,
    /// One file for each; of two for one interface the last.
    LastCounts,
    /// A bond without its options.
    BondWithoutOptions,
    /// Without members on the line eth0 alone, where dracut takes eth0 and eth1.
    BondDefault,
}

/// The verdicts about one word.
#[must_use]
pub fn of(request: &Request) -> Others {
    Others { legacy: legacy(request), systemd: systemd(request), network_manager: network_manager(request) }
}

/// The verdicts about more than one word, in addition to those about each; `None` where there is only one.
#[must_use]
pub fn of_several(requests: &[Request]) -> Option<Others> {
    (requests.len() > 1).then_some(Others {
        legacy: Verdict::Reads(Reading::FirstUnlessBootdev),
        systemd: Verdict::Reads(Reading::LastCounts),
        network_manager: Verdict::Reads(Reading::LastCounts),
    })
}

/// The verdicts about a word other than `ip=` (network.md 4.2); `None` where all read it as rdlive does, or nobody has tried.
#[must_use]
pub fn of_word(word: &Word<'_>) -> Option<Others> {
    use Reading::{BondDefault, BondWithoutOptions};
    use Verdict::{Ignores, Reads, RejectsAll, Same};
    let value = word.value.unwrap_or_default();
    let (legacy, systemd, network_manager) = match word.key {
        "BOOTIF" | "rd.bootif" | "bootdev" => (Same, Ignores, Same),
        "nameserver" if value.starts_with('[') => (Same, RejectsAll, Same),
        "rd.route" if no_gateway(value) => (Same, RejectsAll, Same),
        // rdlive leaves these three to dracut mode.
        "bond" => (Same, Reads(BondWithoutOptions), if value.contains(':') { Same } else { Reads(BondDefault) }),
        "team" => (Same, Ignores, Same),
        "rd.net.dhcp.vendor-class"
        | "rd.net.dhcp.client-id"
        | "rd.net.dhcp.dscp"
        | "rd.net.dns"
        | "rd.ethtool"
        | "ib.pkey" => (Ignores, Ignores, Same),
        _ => return None,
    };
    Some(Others { legacy, systemd, network_manager })
}

/// Whether the second field of a route is empty.
fn no_gateway(value: &str) -> bool {
    super::fields::split(value).is_ok_and(|fields| fields.get(1).is_some_and(|field| field.is_empty()))
}

fn legacy(request: &Request) -> Verdict {
    use Reading::{
        BothInTurn, FirmwareElsewhere, GivesName, OneAfterOther, Router40, RouterThenDhcp6, WhicheverComesUp,
    };
    let named = request.interface.is_some();
    match request.spelling.form {
        Form::FourFields => return Verdict::Fatal,
        Form::NoMethod if request.address.is_some() => return Verdict::Fatal,
        Form::AddressAlone if request.spelling.prefix_in_address => return Verdict::Untested,
        Form::AddressAlone => return Verdict::Same,
        _ if request.spelling.prefix_in_address => return Verdict::Fatal,
        Form::InterfaceMethod if matches!(request.method, Method::Link6 | Method::SingleDhcp | Method::LinkLocal) => {
            return Verdict::Fatal;
        }
        _ if request.spelling.colons_in_mac => return Verdict::Fatal,
        _ => {}
    }
    match request.method {
        Method::Dhcp4 | Method::Any if !named => Verdict::Reads(OneAfterOther),
        Method::Off | Method::LinkLocal => Verdict::Fatal,
        Method::Auto6 => Verdict::Reads(Router40),
        Method::Either6 => Verdict::Reads(RouterThenDhcp6),
        Method::Ibft => Verdict::Reads(FirmwareElsewhere),
        Method::Dhcp4And6 => Verdict::Reads(BothInTurn),
        Method::Static if !named => Verdict::Reads(WhicheverComesUp),
        Method::Any => Verdict::Reads(Reading::LikeDhcp),
        _ if request.interface.as_ref().is_some_and(Interface::is_of_mac) => Verdict::Reads(GivesName),
        _ => Verdict::Same,
    }
}

fn systemd(request: &Request) -> Verdict {
    use Reading::{AllPhysical, DhcpBoth, DhcpOff, EveryInterface};
    if matches!(request.spelling.form, Form::FourFields | Form::NoMethod | Form::AddressAlone)
        || request.spelling.prefix_in_address
        || matches!(request.interface, Some(Interface::Mac(_)))
    {
        return Verdict::RejectsAll;
    }
    let named = request.interface.is_some();
    match request.method {
        Method::SingleDhcp | Method::Dhcp4And6 => Verdict::RejectsAll,
        Method::Dhcp4 if !named => Verdict::Reads(AllPhysical),
        Method::Any => Verdict::Reads(DhcpBoth),
        Method::Auto6 | Method::Ibft => Verdict::Reads(DhcpOff),
        Method::Either6 => Verdict::Reads(Reading::Dhcp6),
        Method::Static if !named => Verdict::Reads(EveryInterface),
        _ if request.interface.as_ref().is_some_and(Interface::is_of_mac) => Verdict::Reads(Reading::NameOnly),
        _ => Verdict::Same,
    }
}

fn network_manager(request: &Request) -> Verdict {
    use Reading::{BothWait, Either, Ipv4AndMaybeIpv6, Ipv6Automatic, LikeDhcp, LoadsIbft, StaticAndIpv6, WithoutPeer};
    if request.spelling.colons_in_mac {
        return Verdict::Skips;
    }
    match request.spelling.form {
        Form::AddressAlone => return Verdict::Reads(LikeDhcp),
        Form::NoMethod if request.address.is_some() => return Verdict::Reads(StaticAndIpv6),
        Form::NoMethod => return Verdict::Untested,
        _ => {}
    }
    match request.method {
        Method::LinkLocal if request.interface.is_some() => Verdict::Skips,
        Method::LinkLocal => Verdict::Reads(LikeDhcp),
        Method::Dhcp4 | Method::SingleDhcp => Verdict::Reads(Ipv4AndMaybeIpv6),
        Method::Any | Method::Either6 => Verdict::Reads(Either),
        Method::Dhcp6 | Method::Auto6 => Verdict::Reads(Ipv6Automatic),
        Method::Ibft => Verdict::Reads(LoadsIbft),
        Method::Dhcp4And6 => Verdict::Reads(BothWait),
        Method::Static if request.peer.is_some() => Verdict::Reads(WithoutPeer),
        _ => Verdict::Same,
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("the same"),
            Self::Fatal => f.write_str("ends the boot"),
            Self::RejectsAll => f.write_str("rejects it, and reads no word of the network"),
            Self::Ignores => f.write_str("does not know it"),
            Self::Skips => f.write_str("leaves it out"),
            Self::Reads(reading) => write!(f, "{reading}"),
            Self::Untested => f.write_str("not known"),
        }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneAfterOther => "DHCPv4 on each interface, one after the other",
            Self::AllPhysical => "DHCPv4 on all physical interfaces",
            Self::Ipv4AndMaybeIpv6 => "DHCPv4 is needed, IPv6 tried",
            Self::LikeDhcp => "as ip=dhcp",
            Self::DhcpBoth => "DHCPv4 and DHCPv6",
            Self::Either => "either family, 20 s for IPv4 first",
            Self::Ipv6Automatic => "IPv6 from a router or DHCPv6, no IPv4",
            Self::Router40 => "IPv6 from a router within 40 s",
            Self::DhcpOff => "no DHCP, IPv6 from a router",
            Self::RouterThenDhcp6 => "IPv6 from a router within 40 s, then DHCPv6",
            Self::Dhcp6 => "DHCPv6",
            Self::FirmwareElsewhere => "left to the iSCSI module",
            Self::LoadsIbft => "loads iscsi_ibft",
            Self::BothInTurn => "DHCPv4, then DHCPv6",
            Self::BothWait => "both families, 20 s for both",
            Self::WhicheverComesUp => "static on whichever interface comes up",
            Self::EveryInterface => "the same address on every interface",
            Self::StaticAndIpv6 => "static, and IPv6 from a router",
            Self::WithoutPeer => "static, without the other end",
            Self::GivesName => "the same, and gives the interface that name",
            Self::NameOnly => "the interface with that name alone",
            Self::FirstUnlessBootdev => "wants bootdev=, else the first word decides; the network becomes necessary",
            Self::BondWithoutOptions => "a bond without its options",
            Self::BondDefault => "a bond of eth0 alone",
            Self::LastCounts => "one configuration each, of two for one interface the last",
        })
    }
}

//! Why a word of the command line, or a part of it, is not used.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use rdlive_media::printable::printable;

/// Bytes of a value that a complaint repeats.
const SHOWN: usize = 80;

/// A word about which there is something to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The option: `ip`, `rd.route` …
    pub key: String,
    /// Its value, made harmless for a terminal and cut to 80 characters.
    pub value: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What becomes of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The whole word counts as not written.
    Ignored,
    /// The part that the fault names counts as not written.
    PartIgnored,
    /// It is used as it is.
    Used,
}

/// Interfaces that are made of others, other than VLANs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layered {
    /// `bond=`.
    Bond,
    /// `bridge=`.
    Bridge,
    /// `team=`.
    Team,
}

/// What is wrong with a word. Its text is the cause alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the words of the text beside them")]
pub enum Fault {
    // The whole word.
    /// `ip` without a value.
    #[error("it has no value")]
    NoValue,
    /// Brackets that do not pair.
    #[error("its brackets do not pair")]
    Brackets,
    /// Far more than there can be.
    #[error("it has too many fields")]
    TooManyFields,
    /// Too few of them.
    #[error("it has {has} fields, {needs} are needed")]
    Fields { has: usize, needs: usize },
    /// Neither a method, nor an address, nor an interface with a method.
    #[error("\"{0}\" is no way to get an address")]
    Method(String),
    /// IPv6 without brackets falls apart at its colons.
    #[error("an IPv6 address has no brackets around it")]
    Unbracketed,
    /// No address.
    #[error("\"{0}\" is no address")]
    Address(String),
    /// No host can have it.
    #[error("{0} is no address that a machine can have")]
    Unusable(IpAddr),
    /// No mask.
    #[error("\"{0}\" is neither a mask nor the length of a prefix")]
    Mask(String),
    /// No name of an interface.
    #[error("\"{0}\" can be no interface")]
    Interface(String),
    /// No hardware address.
    #[error("\"{0}\" is no hardware address")]
    Mac(String),
    /// IPv4 by IPv6 or the other way round.
    #[error("{0} and {1} are of different families")]
    Families(IpAddr, IpAddr),
    /// A route that leads nowhere.
    #[error("it names neither a router nor an interface")]
    NoWay,
    /// No digits at the end of its name, or none of 1 to 4094.
    #[error("\"{0}\" ends with no VLAN id from 1 to 4094")]
    VlanId(String),
    /// No number.
    #[error("\"{0}\" is no number of seconds from 0 to 86400")]
    Seconds(String),
    /// No number.
    #[error("\"{0}\" is no number")]
    Number(String),
    /// No option of DHCP has room for it.
    #[error("\"{0}\" is no text of 1 to 254 characters")]
    Text(String),
    /// Neither of two words.
    #[error("\"{0}\" is neither use nor refuse")]
    Conflict(String),
    /// Built by nobody in native mode.
    #[error("native mode makes no {}", layered(*.0))]
    Layered(Layered),
    /// Only iSCSI uses it.
    #[error("the firmware's table serves iSCSI, which rdlive does not have")]
    Ibft,
    /// An option of nm-initrd-generator alone.
    #[error("only NetworkManager's initrd program reads it")]
    NetworkManagerOnly,

    // A part.
    /// No name of a host.
    #[error("\"{0}\" is no name of a host")]
    Hostname(String),
    /// A placeholder, or our own address.
    #[error("{0} is no server and no router")]
    Placeholder(IpAddr),
    /// No server.
    #[error("\"{0}\" is no address of a server")]
    Server(String),
    /// No MTU.
    #[error("\"{0}\" is no MTU from 576 to 65535")]
    Mtu(String),
    /// Behind the last field that there is.
    #[error("\"{0}\" stands behind its last field")]
    Surplus(String),
    /// Two prefixes.
    #[error("the address has /{address}, the mask says /{mask}")]
    TwoPrefixes { address: u8, mask: u8 },

    // Said, and used.
    /// No mask anywhere.
    #[error("it has no mask, /{0} was guessed")]
    PrefixGuessed(u8),
    /// The kernel's own names begin so.
    #[error("{0} is a name that the kernel may give to another interface")]
    KernelName(String),
}

impl Fault {
    /// What becomes of the word.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match self {
            Self::Hostname(_)
            | Self::Placeholder(_)
            | Self::Server(_)
            | Self::Mtu(_)
            | Self::Surplus(_)
            | Self::TwoPrefixes { .. } => Effect::PartIgnored,
            Self::PrefixGuessed(_) | Self::KernelName(_) => Effect::Used,
            _ => Effect::Ignored,
        }
    }

    /// What to write instead.
    #[must_use]
    pub fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoValue | Self::Method(_) => {
                "write ip=dhcp, ip=IF:dhcp or ip=ADDR::GATEWAY:MASK:HOST:IF:none (IF may be empty)"
            }
            Self::Brackets | Self::Unbracketed => "write IPv6 addresses as [2001:db8::5]",
            Self::TooManyFields | Self::Fields { .. } | Self::Surplus(_) => {
                "count the colons; docs/netboot.md has the forms"
            }
            Self::Address(_) | Self::Server(_) => "write an address, not a name: there is no DNS yet",
            Self::Unusable(_) => "write the address of this machine",
            Self::Mask(_) | Self::PrefixGuessed(_) => "write the mask as 255.255.255.0 or as 24",
            Self::TwoPrefixes { .. } => "write the prefix once; the one of the address counts",
            Self::Interface(_) | Self::KernelName(_) => "write a name such as net0, of at most 15 characters",
            Self::Mac(_) => "write six pairs of hexadecimal digits, as 52:54:00:12:34:56",
            Self::Families(..) => "use addresses of one family in one word",
            Self::NoWay => "write rd.route=NET/PREFIX:GATEWAY or rd.route=NET/PREFIX::IF",
            Self::VlanId(_) => "write vlan=vlan5:eth0 or vlan=eth0.5:eth0",
            Self::Seconds(_) | Self::Number(_) => "write a whole number",
            Self::Conflict(_) => "write rd.live.net.conflict=use, or leave it out",
            Self::Text(_) => "write a text that can be printed",
            Self::Layered(_) => {
                "build the initrd in dracut mode, whose network-manager or systemd-networkd module makes it"
            }
            Self::Ibft => "write ip=dhcp, or the address itself",
            Self::NetworkManagerOnly => {
                "build the initrd in dracut mode with its network-manager module if it is needed"
            }
            Self::Hostname(_) => "use letters, digits and hyphens",
            Self::Placeholder(_) => "leave the field empty",
            Self::Mtu(_) => "leave it out, or write what the whole network carries",
        })
    }
}

impl Complaint {
    pub(super) fn new(key: &str, value: Option<&str>, fault: Fault) -> Self {
        Self { key: key.to_owned(), value: shown(value.unwrap_or_default()), fault }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match self.fault.effect() {
            Effect::Ignored => "is ignored",
            Effect::PartIgnored => "is used in part",
            Effect::Used => "is used",
        };
        write!(f, "{}={} {effect}: {}", self.key, self.value, self.fault)
    }
}

/// A text of the command line for a person.
pub(super) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN).collect();
    printable(&cut)
}

fn layered(kind: Layered) -> &'static str {
    match kind {
        Layered::Bond => "bonds",
        Layered::Bridge => "bridges",
        Layered::Team => "teams",
    }
}

//! Questions and answers as bytes.

use std::net::IpAddr;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

use crate::hostname::Hostname;

/// Addresses of one answer that are kept.
const MAX_ADDRESSES: usize = 16;
/// Names that one may stand for in a row (CNAME).
const MAX_ALIASES: usize = 16;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// IPv4: A.
    V4,
    /// IPv6: AAAA (RFC 3596).
    V6,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The number by which its answer is known.
    pub id: u16,
    /// The whole name.
    pub name: Hostname,
    /// Which addresses.
    pub want: Want,
}

/// What a server has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// These addresses; none of that family if empty.
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    NoSuchName,
    /// It does not answer for such names, or not to us.
    Refused,
    /// It could not find out.
    Failed,
    /// It is too long for a datagram: to be asked over TCP.
    Truncated,
}

/// Why bytes are no answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No DNS message.
    #[error("no DNS message")]
    Message,
    /// The answer to something else.
    #[error("the answer to another question")]
    Other,
}

impl Query {
    /// The message; empty if the name is none of DNS, which has at most 253 characters.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut packet = Packet::new_query(self.id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let kind = match self.want {
            Want::V4 => TYPE::A,
            Want::V6 => TYPE::AAAA,
        };
        let Ok(name) = Name::new(self.name.as_str()) else { return Vec::new() };
        packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
        packet.build_bytes_vec().unwrap_or_default()
    }

    /// Reads what a server has sent.
    ///
    /// # Errors
    /// It is not the answer to this question.
    pub fn read(&self, bytes: &[u8]) -> Result<Reply, Malformed> {
        let [high, low, flags, ..] = bytes else { return Err(Malformed::Message) };
        if u16::from_be_bytes([*high, *low]) != self.id || flags & 0x80 == 0 {
            return Err(Malformed::Other);
        }
        // One that is cut may end within a record.
        if flags & 0x02 != 0 {
            return Ok(Reply::Truncated);
        }
        let packet = Packet::parse(bytes).map_err(|_| Malformed::Message)?;
        // A server that refuses may leave the question out.
        let asked = packet.questions.first().is_some_and(|asked| same(&asked.qname.to_string(), self.name.as_str()));
        match packet.rcode() {
            RCODE::NoError if asked => Ok(Reply::Addresses(self.addresses(&packet))),
            RCODE::NameError if asked => Ok(Reply::NoSuchName),
            RCODE::NoError | RCODE::NameError => Err(Malformed::Other),
            RCODE::Refused => Ok(Reply::Refused),
            _ => Ok(Reply::Failed),
        }
    }

    /// The addresses of the name, or of the one that it stands for. What else is in the answer concerns nobody.
    fn addresses(&self, packet: &Packet<'_>) -> Vec<IpAddr> {
        let mut name = self.name.as_str().to_owned();
        for _ in 0..MAX_ALIASES {
            let own = packet
                .answers
                .iter()
                .filter(|record| record.class == CLASS::IN && same(&record.name.to_string(), &name));
            let mut alias = None;
            let mut found = Vec::new();
            for record in own {
                match (&record.rdata, self.want) {
                    (RData::A(a), Want::V4) => found.push(IpAddr::from(a.address.to_be_bytes())),
                    (RData::AAAA(aaaa), Want::V6) => found.push(IpAddr::from(aaaa.address.to_be_bytes())),
                    (RData::CNAME(cname), _) => alias = Some(cname.0.to_string()),
                    _ => {}
                }
            }
            found.retain(is_host);
            found.truncate(MAX_ADDRESSES);
            match alias {
                Some(alias) if found.is_empty() => name = alias,
                _ => return found,
            }
        }
        Vec::new()
    }
}

/// Whether it can be the address of a server.
fn is_host(ip: &IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

fn same(one: &str, other: &str) -> bool {
    one.trim_end_matches('.').eq_ignore_ascii_case(other.trim_end_matches('.'))
}

//! Questions and answers as bytes (RFC 1035 4). Of the crates that know DNS the smallest that reads compressed names in its data costs 61 kB
//! of a static binary, for this: one question, and the addresses and aliases of its answer.

use std::net::IpAddr;

use crate::hostname::Hostname;

/// Addresses of one answer that are kept.
const MAX_ADDRESSES: usize = 16;
/// Names that one may stand for in a row (CNAME).
const MAX_ALIASES: usize = 16;

/// Bytes of the header.
const HEADER: usize = 12;
/// Bytes of the longest name as text, and jumps that one may take through its message.
const MAX_NAME: usize = 255;
const MAX_JUMPS: usize = 32;
/// Records of an answer that are looked at.
const MAX_RECORDS: usize = 64;
/// Types of records (RFC 1035 3.2.2, RFC 3596 2.1), and the class of the internet.
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;
/// Recursion is desired (RFC 1035 4.1.1).
const RECURSION: u16 = 0x0100;

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
        // With its lengths a name is longer by one at its beginning, and one at its end.
        if self.name.as_str().len() + 2 > MAX_NAME {
            return Vec::new();
        }
        let mut bytes = [self.id, RECURSION, 1, 0, 0, 0].map(u16::to_be_bytes).concat();
        for label in self.name.as_str().split('.') {
            // A host name has labels of 1 to 63 bytes.
            bytes.push(u8::try_from(label.len()).unwrap_or(0));
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend([self.kind(), INTERNET].map(u16::to_be_bytes).concat());
        bytes
    }

    fn kind(&self) -> u16 {
        match self.want {
            Want::V4 => A,
            Want::V6 => AAAA,
        }
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
        let message = Message::read(bytes).ok_or(Malformed::Message)?;
        // A server that refuses may leave the question out.
        let asked = message.question.is_some_and(|asked| same(&asked, self.name.as_str()));
        match flags_of(bytes) & 0x0f {
            0 if asked => Ok(Reply::Addresses(self.addresses(&message.answers))),
            3 if asked => Ok(Reply::NoSuchName),
            0 | 3 => Err(Malformed::Other),
            5 => Ok(Reply::Refused),
            _ => Ok(Reply::Failed),
        }
    }

    /// The addresses of the name, or of the one that it stands for. What else is in the answer concerns nobody.
    fn addresses(&self, answers: &[Record]) -> Vec<IpAddr> {
        let mut name = self.name.as_str().to_owned();
        for _ in 0..MAX_ALIASES {
            let mut alias = None;
            let mut found = Vec::new();
            for record in answers.iter().filter(|record| same(&record.name, &name)) {
                match &record.data {
                    Data::Address(ip) if ip.is_ipv4() == (self.want == Want::V4) => found.push(*ip),
                    Data::Alias(target) => alias = Some(target.clone()),
                    Data::Address(_) | Data::Other => {}
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

/// What is read of a message.
struct Message {
    /// The name of its first question.
    question: Option<String>,
    answers: Vec<Record>,
}

/// A record of the answer.
struct Record {
    name: String,
    data: Data,
}

/// What it says.
enum Data {
    Address(IpAddr),
    Alias(String),
    /// Nothing that was asked for.
    Other,
}

impl Message {
    /// Reads questions and answers; nothing if they are damaged, or go on behind the message.
    fn read(bytes: &[u8]) -> Option<Self> {
        let count = |at: usize| number(bytes, at);
        let (questions, answers) = (count(4)?, count(6)?);
        let (mut at, mut question) = (HEADER, None);
        for _ in 0..questions {
            let (name, end) = name(bytes, at)?;
            at = end.checked_add(4).filter(|at| *at <= bytes.len())?;
            question = question.or(Some(name));
        }
        let mut records = Vec::new();
        for _ in 0..usize::from(answers).min(MAX_RECORDS) {
            let (name, head) = name(bytes, at)?;
            let (kind, class) = (number(bytes, head)?, number(bytes, head + 2)?);
            let begin = head + 10;
            let end = begin + usize::from(number(bytes, head + 8)?);
            let data = bytes.get(begin..end)?;
            at = end;
            let data = match (class, kind) {
                (INTERNET, A) => Data::Address(<[u8; 4]>::try_from(data).ok()?.into()),
                (INTERNET, AAAA) => Data::Address(<[u8; 16]>::try_from(data).ok()?.into()),
                (INTERNET, CNAME) => Data::Alias(self::name(bytes, begin)?.0),
                _ => Data::Other,
            };
            records.push(Record { name, data });
        }
        Some(Self { question, answers: records })
    }
}

/// The second half of the flags, with the code of the answer.
fn flags_of(bytes: &[u8]) -> u8 {
    bytes.get(3).copied().unwrap_or(0)
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

/// The name that begins there, dots between its labels, and where what follows it begins. Each jump leads to before the last one
/// (RFC 1035 4.1.4), so there is no circle.
fn name(bytes: &[u8], begin: usize) -> Option<(String, usize)> {
    let (mut at, mut end, mut before) = (begin, None, begin);
    let mut name = String::new();
    for _ in 0..MAX_JUMPS + MAX_NAME {
        let length = *bytes.get(at)?;
        match length {
            0 => return Some((name, end.unwrap_or(at + 1))),
            1..=63 => {
                let label = bytes.get(at + 1..at + 1 + usize::from(length))?;
                if !name.is_empty() {
                    name.push('.');
                }
                // A dot within a label would look like two of them; no host has one, so it is no name of ours.
                name.extend(label.iter().map(|byte| if *byte == b'.' { '\u{fffd}' } else { char::from(*byte) }));
                if name.len() > 2 * MAX_NAME {
                    return None;
                }
                at += 1 + usize::from(length);
            }
            0xc0.. => {
                let to = usize::from(number(bytes, at)? & 0x3fff);
                if to >= before {
                    return None;
                }
                end = end.or(Some(at + 2));
                (at, before) = (to, to);
            }
            64..=0xbf => return None,
        }
    }
    None
}

/// Whether it can be the address of a server.
fn is_host(ip: &IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

fn same(one: &str, other: &str) -> bool {
    one.trim_end_matches('.').eq_ignore_ascii_case(other.trim_end_matches('.'))
}

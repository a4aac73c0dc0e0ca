//! TFTP's packets (RFC 1350, 2347).

use rdlive_media::printable::printable;

/// A request with more than this is not understood by all servers.
const MAX_REQUEST: usize = 512;
/// Characters of the server's words that are kept for a message.
const SHOWN: usize = 200;

/// What a server sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A block.
    Data {
        /// Its number, modulo something.
        block: u16,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// Options that are granted, with their values.
    Granted(Vec<(&'a [u8], &'a [u8])>),
    /// A refusal.
    Refused {
        /// Its kind.
        refusal: Refusal,
        /// The server's words, printable and cut.
        text: String,
    },
}

/// Kinds of refusals (RFC 1350, appendix I; RFC 2347).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 0.
    #[error("an error without a number")]
    Undefined,
    /// 1.
    #[error("file not found")]
    NotFound,
    /// 2.
    #[error("access violation")]
    Access,
    /// 4.
    #[error("illegal operation")]
    Illegal,
    /// 5.
    #[error("unknown transfer")]
    UnknownTransfer,
    /// 8.
    #[error("the options are refused")]
    Options,
    /// 3, 6, 7 make no sense for a reader; the others are unknown.
    #[error("error {0}")]
    Other(u16),
}

impl Refusal {
    fn of(code: u16) -> Self {
        match code {
            0 => Self::Undefined,
            1 => Self::NotFound,
            2 => Self::Access,
            4 => Self::Illegal,
            5 => Self::UnknownTransfer,
            8 => Self::Options,
            other => Self::Other(other),
        }
    }
}

/// Reads a packet; `None` if a server does not send such a one.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let (kind, rest) = bytes.split_first_chunk()?;
    match u16::from_be_bytes(*kind) {
        3 => {
            let (block, bytes) = rest.split_first_chunk()?;
            Some(Packet::Data { block: u16::from_be_bytes(*block), bytes })
        }
        5 => {
            let (code, words) = rest.split_first_chunk()?;
            let words = words.split(|byte| *byte == 0).next().unwrap_or_default();
            let text: String = String::from_utf8_lossy(words).trim().chars().take(SHOWN).collect();
            Some(Packet::Refused { refusal: Refusal::of(u16::from_be_bytes(*code)), text: printable(&text) })
        }
        6 => {
            let rest = if rest.is_empty() { rest } else { rest.strip_suffix(b"\0")? };
            let words: Vec<&[u8]> = if rest.is_empty() { Vec::new() } else { rest.split(|byte| *byte == 0).collect() };
            let pairs = words.chunks_exact(2);
            pairs.remainder().is_empty().then(|| Packet::Granted(pairs.map(|pair| (pair[0], pair[1])).collect()))
        }
        _ => None,
    }
}

/// A request for a file with these options; `None` if the path cannot be sent.
#[must_use]
pub fn request(path: &str, options: &[(&str, u64)]) -> Option<Vec<u8>> {
    let mut bytes = vec![0, 1];
    let mut word = |text: &str| {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    };
    word(path);
    word("octet");
    for (name, value) in options {
        word(name);
        word(&value.to_string());
    }
    (!path.is_empty() && !path.contains('\0') && bytes.len() <= MAX_REQUEST).then_some(bytes)
}

/// All blocks up to this number are here.
#[must_use]
pub fn acknowledgement(block: u16) -> Vec<u8> {
    [[0, 4], block.to_be_bytes()].concat()
}

/// The transfer ends here.
#[must_use]
pub fn error(code: u16, text: &str) -> Vec<u8> {
    [&[0, 5], &code.to_be_bytes()[..], text.as_bytes(), &[0]].concat()
}

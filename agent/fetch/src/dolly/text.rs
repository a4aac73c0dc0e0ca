//! The configuration text that a parent sends (network.md 1.5): who is in the chain, and in which order.

use std::iter::Peekable;
use std::net::Ipv4Addr;
use std::ops::Range;

use rdlive_media::printable::printable;

/// No text is longer than this, in bytes. The originals stop at 4095; a file that is sent as it is may have anything behind its end.
pub const MAX_TEXT: usize = 16 << 10;
/// The widest tree of generation 1.
const MAX_FANOUT: usize = 7;
const END: &[u8] = b"endconfig";

/// The two forms of the protocol, which refuse each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Up to 0.64.3.
    First,
    /// 0.70.0 and later.
    Second,
}

/// What a text says that matters to a receiver. Names on the server and of the original's output are of no use here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What the server reads, harmless for a terminal.
    pub infile: String,
    /// The payload is a gzip stream, whoever packed it.
    pub gzip: bool,
    /// The width of the tree; 1 is a chain.
    pub fanout: usize,
    /// A hyphen is nothing special in names.
    pub hyphen_normal: bool,
    /// Names or addresses in the order of the chain; never empty.
    pub clients: Vec<String>,
}

/// Why a text is not followed. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It goes on beyond [`MAX_TEXT`].
    #[error("the configuration text of the server is longer than {MAX_TEXT} bytes")]
    TooLong,
    /// A line is not the one that must stand there.
    #[error("line {line} of the server's configuration text is not {wanted}: {found:?}")]
    Unexpected {
        /// Its number.
        line: usize,
        /// What belongs there.
        wanted: &'static str,
        /// What is there, made printable and cut.
        found: String,
    },
    /// It ends too early.
    #[error("the server's configuration text ends before {wanted}")]
    Missing {
        /// What has not come.
        wanted: &'static str,
    },
    /// `add`: the payload is dealt to several data connections.
    #[error("the server deals the data to several connections (`add`), which is not supported")]
    ExtraConnections,
    /// A number that is none, or out of its range.
    #[error("line {line} of the server's configuration text: {what} must be 1 to {most}")]
    Number {
        /// Its number.
        line: usize,
        /// Whose value it is.
        what: &'static str,
        /// The largest possible one.
        most: usize,
    },
    /// The list is not as long as the text says.
    #[error("the server's configuration text promises {promised} clients and names {named}")]
    Count {
        /// As said.
        promised: usize,
        /// As listed.
        named: usize,
    },
}

/// Whether the line that ends the text has come. What follows it is no part of it, but is passed on (network.md 1.3).
#[must_use]
pub fn has_ended(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\n').any(|line| line.starts_with(END))
}

type Split<'a> = std::slice::Split<'a, u8, fn(&u8) -> bool>;

struct Lines<'a> {
    rest: Peekable<Split<'a>>,
    at: usize,
}

impl<'a> Lines<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let is_end: fn(&u8) -> bool = |byte| *byte == b'\n';
        Self { rest: bytes.split(is_end).peekable(), at: 0 }
    }

    fn next(&mut self, wanted: &'static str) -> Result<&'a [u8], TextError> {
        self.at += 1;
        self.rest.next().ok_or(TextError::Missing { wanted })
    }

    /// The next line if it begins with this word; its value.
    fn optional(&mut self, keyword: &str) -> Option<&'a [u8]> {
        let value = value_of(self.rest.peek()?, keyword)?;
        self.rest.next();
        self.at += 1;
        Some(value)
    }

    fn required(&mut self, keyword: &'static str) -> Result<&'a [u8], TextError> {
        let line = self.next(keyword)?;
        value_of(line, keyword).ok_or_else(|| self.unexpected(keyword, line))
    }

    fn unexpected(&self, wanted: &'static str, line: &[u8]) -> TextError {
        TextError::Unexpected { line: self.at, wanted, found: shown(line) }
    }

    fn number(&self, value: &[u8], what: &'static str, most: usize) -> Result<usize, TextError> {
        let number = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
        number.filter(|number| (1..=most).contains(number)).ok_or(TextError::Number { line: self.at, what, most })
    }
}

fn value_of<'a>(line: &'a [u8], keyword: &str) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(keyword.as_bytes())?;
    match rest.first() {
        None => Some(rest),
        Some(b' ' | b'\t') => Some(&rest[1..]),
        Some(_) => None,
    }
}

fn shown(line: &[u8]) -> String {
    printable(&String::from_utf8_lossy(&line[..line.len().min(40)]))
}

/// A name is one visible word: it goes into lines that are sent, and onto the console.
fn is_name(line: &[u8]) -> bool {
    (1..=255).contains(&line.len()) && line.iter().all(u8::is_ascii_graphic)
}

/// Reads the text, which [`has_ended`].
///
/// # Errors
/// What is wrong with which line.
pub fn parse(bytes: &[u8], generation: Generation) -> Result<Text, TextError> {
    if bytes.len() > MAX_TEXT {
        return Err(TextError::TooLong);
    }
    let mut lines = Lines::of(bytes);
    let first = generation == Generation::First;
    let packed_in = first && lines.rest.peek().is_some_and(|line| value_of(line, "compressed").is_some());
    let infile = shown(required_packed(&mut lines, "infile", packed_in)?);
    let packed_out = first && lines.rest.peek().is_some_and(|line| value_of(line, "compressed").is_some());
    required_packed(&mut lines, "outfile", packed_out)?;
    let mut fanout = 1;
    if first {
        lines.optional("segsize");
        if lines.optional("add").or_else(|| lines.optional("add2")).is_some() {
            return Err(TextError::ExtraConnections);
        }
        if let Some(value) = lines.optional("fanout") {
            fanout = lines.number(value, "fanout", MAX_FANOUT)?;
        }
    }
    let hyphen_normal = lines.optional("hyphennormal").is_some();
    if !hyphen_normal {
        lines.optional("hypheninterface");
    }
    let promised = if first { Some(counted(&mut lines)?) } else { None };
    let clients = listed(&mut lines)?;
    match promised {
        Some(promised) if promised != clients.len() => Err(TextError::Count { promised, named: clients.len() }),
        _ => Ok(Text { infile, gzip: packed_in || packed_out, fanout, hyphen_normal, clients }),
    }
}

/// `[compressed ]KEYWORD PATH`.
fn required_packed<'a>(lines: &mut Lines<'a>, keyword: &'static str, packed: bool) -> Result<&'a [u8], TextError> {
    if !packed {
        return lines.required(keyword);
    }
    let line = lines.next(keyword)?;
    let value = value_of(line, "compressed").and_then(|rest| value_of(rest, keyword));
    value.ok_or_else(|| lines.unexpected(keyword, line))
}

/// What only generation 1 has before the list; how many lines it promises.
fn counted(lines: &mut Lines<'_>) -> Result<usize, TextError> {
    for keyword in ["server", "firstclient", "lastclient"] {
        lines.required(keyword)?;
    }
    let value = lines.required("clients")?;
    lines.number(value, "clients", MAX_TEXT)
}

fn listed(lines: &mut Lines<'_>) -> Result<Vec<String>, TextError> {
    let mut clients = Vec::new();
    loop {
        let line = lines.next("endconfig")?;
        if line.starts_with(END) {
            break;
        }
        // An empty line counts as a client for the originals; whoever skips it takes another place than the rest of the chain thinks.
        if !is_name(line) {
            return Err(lines.unexpected("a client's name", line));
        }
        clients.push(String::from_utf8_lossy(line).into_owned());
    }
    if clients.is_empty() { Err(TextError::Missing { wanted: "a client's name" }) } else { Ok(clients) }
}

impl Text {
    /// Our place in the list: the address at which the parent reached us, else one of our names, else the only one.
    #[must_use]
    pub fn position(&self, reached: Ipv4Addr, names: &[String]) -> Option<usize> {
        let is_reached = |client: &String| client.parse() == Ok(reached);
        let is_named = |client: &String| names.iter().any(|name| name.eq_ignore_ascii_case(client));
        let has_stem = |client: &String| {
            let stem = client.split_once('-').filter(|_| !self.hyphen_normal).map(|(stem, _)| stem);
            stem.is_some_and(|stem| names.iter().any(|name| name.eq_ignore_ascii_case(stem)))
        };
        let place = |test: &dyn Fn(&String) -> bool| self.clients.iter().position(test);
        let only = (self.clients.len() == 1).then_some(0);
        place(&is_reached).or_else(|| place(&is_named)).or_else(|| place(&has_stem)).or(only)
    }

    /// Who feeds this client: another one, or with `None` the server.
    #[must_use]
    pub fn parent(&self, me: usize) -> Option<usize> {
        (me / self.fanout).checked_sub(1)
    }

    /// Whom this client feeds.
    #[must_use]
    pub fn children(&self, me: usize) -> Range<usize> {
        let first = (me + 1) * self.fanout;
        first.min(self.clients.len())..(first + self.fanout).min(self.clients.len())
    }

    /// How many clients there are below this one, itself included.
    #[must_use]
    pub fn below(&self, me: usize) -> usize {
        // Parents stand before their children, so one pass is enough.
        let mut ours = vec![false; self.clients.len()];
        for index in me..self.clients.len() {
            ours[index] = index == me || self.parent(index).is_some_and(|parent| ours[parent]);
        }
        ours.iter().filter(|ours| **ours).count()
    }
}

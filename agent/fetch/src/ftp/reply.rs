//! Replies on an FTP control connection (RFC 959 4.2), in pieces of any size.

use rdlive_media::printable::printable;

/// Bytes of one reply with all its lines. Banners are the longest ones.
pub const MAX_REPLY: usize = 16 << 10;
/// Characters of the server's words that are kept for a message.
const SHOWN: usize = 200;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// From 100 to 599.
    pub code: u16,
    /// The server's words, printable and cut.
    pub text: String,
    /// The last line behind the code, as it is: values stand in it.
    pub last: Vec<u8>,
}

/// Why what came is no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// It does not begin with a code.
    #[error("the server does not speak FTP, it says {0:?}")]
    Malformed(String),
    /// It does not end.
    #[error("a reply of the server is longer than {MAX_REPLY} bytes")]
    TooLong,
}

/// What has come and was not understood yet.
#[derive(Debug, Default)]
pub struct Replies {
    bytes: Vec<u8>,
    /// Up to here there are only whole lines within a reply of several.
    looked: usize,
    code: Option<u16>,
}

impl Replies {
    /// Adds what came.
    pub fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Nothing is left over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next reply, if all of it has come.
    ///
    /// # Errors
    /// When what came can never become one.
    pub fn reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        loop {
            let rest = &self.bytes[self.looked..];
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
                return if self.bytes.len() > MAX_REPLY { Err(ReplyError::TooLong) } else { Ok(None) };
            };
            let line = rest[..length].strip_suffix(b"\r").unwrap_or(&rest[..length]);
            let (head, begun) = (code_of(line), self.code);
            self.looked += length + 1;
            if self.looked > MAX_REPLY {
                return Err(ReplyError::TooLong);
            }
            match (begun, head) {
                (None, None) => return Err(ReplyError::Malformed(shown(line))),
                (None, Some((code, true))) => self.code = Some(code),
                (None, Some((code, false))) => return Ok(Some(self.finished(code, line.len()))),
                (Some(code), Some((same, false))) if same == code => {
                    return Ok(Some(self.finished(code, line.len())));
                }
                (Some(_), _) => {}
            }
        }
    }

    /// The reply whose last line, of this length without its end, was looked at.
    fn finished(&mut self, code: u16, length: usize) -> Reply {
        let all: Vec<u8> = self.bytes.drain(..self.looked).collect();
        (self.looked, self.code) = (0, None);
        let start = all[..all.len() - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let last = all[start..start + length].get(4..).unwrap_or_default().to_vec();
        let words = all.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let words = words
            .filter(|line| !line.is_empty())
            .map(|line| if code_of(line).is_some() { line.get(4..).unwrap_or_default() } else { line });
        let text = words.map(|line| String::from_utf8_lossy(line).trim().to_owned()).collect::<Vec<_>>().join(" / ");
        Reply { code, text: printable(&text.chars().take(SHOWN).collect::<String>()), last }
    }
}

fn shown(line: &[u8]) -> String {
    printable(&String::from_utf8_lossy(&line[..line.len().min(40)]))
}

/// The code of a line, and whether more lines follow it.
fn code_of(line: &[u8]) -> Option<(u16, bool)> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) || !(b'1'..=b'5').contains(&digits[0]) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.first() {
        None | Some(b' ') => Some((code, false)),
        Some(b'-') => Some((code, true)),
        Some(_) => None,
    }
}

/// The port in a reply to EPSV (RFC 2428): `(|||PORT|)`, with any sign in place of `|`.
#[must_use]
pub fn extended_port(text: &[u8]) -> Option<u16> {
    let open = text.iter().position(|byte| *byte == b'(')?;
    let [sign, rest @ ..] = &text[open + 1..] else {
        return None;
    };
    let rest = rest.strip_prefix(&[*sign, *sign])?;
    let end = rest.iter().position(|byte| byte == sign)?;
    let port = number(&rest[..end]).filter(|_| !sign.is_ascii_digit())?;
    u16::try_from(port).ok().filter(|port| *port != 0)
}

/// The port in a reply to PASV: six numbers between commas, of which the first four are an address that is not used.
#[must_use]
pub fn passive_port(text: &[u8]) -> Option<u16> {
    let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b',';
    let lists = text.split(|byte| !is_part(byte));
    let numbers = lists.map(|list| list.split(|byte| *byte == b',').map(number).collect::<Option<Vec<_>>>());
    let six = numbers.flatten().find(|numbers| numbers.len() == 6 && numbers.iter().all(|number| *number < 256))?;
    u16::try_from(six[4] * 256 + six[5]).ok().filter(|port| *port != 0)
}

/// A number in digits.
#[must_use]
pub fn number(digits: &[u8]) -> Option<u64> {
    let digits = digits.trim_ascii();
    digits.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<Result<Reply, ReplyError>> {
        let mut replies = Replies::default();
        let mut found = Vec::new();
        for byte in text {
            replies.take(&[*byte]);
            match replies.reply() {
                Ok(None) => {}
                Ok(Some(reply)) => found.push(Ok(reply)),
                Err(why) => {
                    found.push(Err(why));
                    break;
                }
            }
        }
        found
    }

    #[test]
    fn of_one_line_and_of_several() {
        let text = b"220-Hello\r\n 220 no end\r\n221 no end\r\n220-nor this\r\n220 end\r\n331 \x1b[2Jwho\xff\n200\r\n";
        let found: Vec<_> = all(text).into_iter().map(|reply| reply.map(|reply| (reply.code, reply.text))).collect();
        let texts = [(220, "Hello / 220 no end / no end / nor this / end"), (331, "\\x1b[2Jwho\u{fffd}"), (200, "")];
        assert_eq!(found, texts.map(|(code, text)| Ok((code, text.to_owned()))));
        // At once it is the same.
        let mut replies = Replies::default();
        replies.take(text);
        let codes: Vec<_> = std::iter::from_fn(|| replies.reply().unwrap()).map(|reply| reply.code).collect();
        assert_eq!(codes, [220, 331, 200]);
        assert!(replies.is_empty());
    }

    #[test]
    fn what_is_no_reply() {
        for text in [&b"SSH-2.0-OpenSSH\r\n"[..], b"\r\n", b"620 x\r\n", b"22\r\n", b"2200 x\r\n", b"\xff\xff\xff \n"] {
            assert!(matches!(all(text)[..], [Err(ReplyError::Malformed(_))]), "{text:?}");
        }
        for endless in ["2".repeat(MAX_REPLY + 1), "220-x\r\n".repeat(MAX_REPLY)] {
            assert_eq!(all(endless.as_bytes()), [Err(ReplyError::TooLong)]);
        }
    }

    #[test]
    fn ports() {
        for (text, port) in [
            ("Entering Extended Passive Mode (|||6446|)", Some(6446)),
            ("x (!!!1!) y", Some(1)),
            ("(|||0|)", None),
            ("(|||65536|)", None),
            ("(||1|2|)", None),
            ("(|||)", None),
            ("(", None),
            ("(11111)", None),
            ("|||6446|", None),
        ] {
            assert_eq!(extended_port(text.as_bytes()), port, "{text}");
        }
        for (text, port) in [
            ("Entering Passive Mode (10,0,0,1,25,46).", Some(6446)),
            ("=10,0,0,1,25,46", Some(6446)),
            ("Entering 1 Passive, Mode 10,0,0,1,25,46", Some(6446)),
            ("(10,0,0,1,0,0)", None),
            ("(10,0,0,1,256,1)", None),
            ("(10,0,0,1,25)", None),
            ("(10,0,0,1,25,46,1)", None),
            ("(99999999999999999999,0,0,1,1,1)", None),
            ("", None),
        ] {
            assert_eq!(passive_port(text.as_bytes()), port, "{text}");
        }
    }

    /// Anything leads to an end, never to a panic.
    #[test]
    fn any_bytes() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let mut replies = Replies::default();
        for _ in 0..100_000 {
            let length = next() % 24;
            let bytes: Vec<u8> = (0..length).map(|_| b"2 0-1(|,)\r\n\xffa"[next() as usize % 13]).collect();
            replies.take(&bytes);
            match replies.reply() {
                Ok(Some(reply)) => {
                    assert!(!reply.text.chars().any(char::is_control));
                    let _ = (extended_port(&reply.last), passive_port(&reply.last));
                }
                Ok(None) => {}
                Err(_) => replies = Replies::default(),
            }
        }
    }
}

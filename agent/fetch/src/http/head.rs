//! The head of an answer: bounded, and only what is understood without doubt.

use std::time::Duration;

use rdlive_media::printable::printable;

use crate::date::Date;

/// The longest head, in bytes.
pub(super) const MAX_HEAD: usize = 32 * 1024;
/// The most header fields.
const MAX_FIELDS: usize = 100;
/// The longest value that is kept of a field.
const MAX_VALUE: usize = 8192;

/// Why a head is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Longer than 32 KiB.
    #[error("the head of the answer is longer than {} KiB", MAX_HEAD / 1024)]
    TooLong,
    /// More than 100 fields.
    #[error("the head of the answer has more than {MAX_FIELDS} fields")]
    TooMany,
    /// No HTTP/1 at all.
    #[error("what answers does not speak HTTP/1: it begins with `{0}`")]
    NotHttp(String),
    /// HTTP/1, but not by its rules.
    #[error("the head of the answer is damaged: it begins with `{0}`")]
    Damaged(String),
    /// A field that decides where the body ends makes no sense.
    #[error("the answer's {0} makes no sense")]
    Field(&'static str),
    /// More than 10 interim answers (1xx), or one that changes the protocol.
    #[error("the server sends interim answers without end")]
    Interim,
}

impl HeadError {
    /// What these first bytes are, as they are no head.
    pub(super) fn foreign(bytes: &[u8]) -> Self {
        if bytes.starts_with(b"HTTP/1.") { Self::Damaged(begins(bytes)) } else { Self::NotHttp(begins(bytes)) }
    }
}

/// What an answer says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Bytes of the body, if the server says so and the body is not chunked.
    pub length: Option<u64>,
    /// The body comes in chunks.
    pub chunked: bool,
    /// The connection can be used again.
    pub keep: bool,
    /// `Content-Range`.
    pub range: Option<String>,
    /// `ETag`.
    pub tag: Option<String>,
    /// `Last-Modified`.
    pub modified: Option<String>,
    /// `Content-Encoding`, if it is not `identity`.
    pub encoding: Option<String>,
    /// `Content-Type`.
    pub kind: Option<String>,
    /// `Location`, as it was sent.
    pub location: Option<String>,
    /// `Retry-After`, if it is a number of seconds.
    pub retry_after: Option<Duration>,
    /// `Date`, the server's clock.
    pub date: Option<Date>,
}

/// Length of the head with its empty line, if it is complete. `from`: what was looked at before.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let from = from.saturating_sub(3);
    let rest = bytes.get(from..)?;
    let end =
        rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n').find_map(|(at, _)| match rest.get(at + 1..) {
            Some([b'\n', ..]) => Some(at + 2),
            Some([b'\r', b'\n', ..]) => Some(at + 3),
            _ => None,
        });
    end.map(|end| from + end)
}

impl Head {
    /// Reads a complete head.
    ///
    /// # Errors
    /// It is no head, or one whose body would have no certain end.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeadError> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooMany),
            Ok(httparse::Status::Partial) | Err(_) => return Err(HeadError::foreign(bytes)),
        }
        let modern = response.version == Some(1);
        let mut head = Self { status: response.code.unwrap_or(0), keep: modern, ..Self::default() };
        let mut coded = false;
        for field in response.headers.iter() {
            head.take(field.name, field.value, &mut coded)?;
        }
        if coded {
            // Both at once is how answers are smuggled: the coding counts, and nothing follows on this connection (RFC 9112, section 6.3).
            head.keep &= modern && head.length.is_none();
            head.length = None;
        }
        Ok(head)
    }

    fn take(&mut self, name: &str, value: &[u8], coded: &mut bool) -> Result<(), HeadError> {
        let value = value.trim_ascii();
        if name.eq_ignore_ascii_case("content-length") {
            let length = length(value).ok_or(HeadError::Field("Content-Length"))?;
            if self.length.replace(length).is_some_and(|before| before != length) {
                return Err(HeadError::Field("Content-Length"));
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if *coded || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HeadError::Field("Transfer-Encoding"));
            }
            (*coded, self.chunked) = (true, true);
        } else if name.eq_ignore_ascii_case("connection") {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if option.eq_ignore_ascii_case(b"close") {
                    self.keep = false;
                } else if option.eq_ignore_ascii_case(b"keep-alive") {
                    self.keep = true;
                }
            }
        } else if name.eq_ignore_ascii_case("content-encoding") {
            self.encoding = Some(text(value)).filter(|coding| !coding.eq_ignore_ascii_case("identity"));
        } else if name.eq_ignore_ascii_case("retry-after") {
            self.retry_after = length(value).map(Duration::from_secs);
        } else if name.eq_ignore_ascii_case("date") {
            self.date = Date::of_http(value);
        } else {
            let kept = match () {
                () if name.eq_ignore_ascii_case("content-range") => &mut self.range,
                () if name.eq_ignore_ascii_case("etag") => &mut self.tag,
                () if name.eq_ignore_ascii_case("last-modified") => &mut self.modified,
                () if name.eq_ignore_ascii_case("content-type") => &mut self.kind,
                () if name.eq_ignore_ascii_case("location") => &mut self.location,
                () => return Ok(()),
            };
            kept.get_or_insert_with(|| text(value));
        }
        Ok(())
    }
}

/// Digits alone; the same number twice is one (RFC 9110, section 8.6).
fn length(value: &[u8]) -> Option<u64> {
    let mut numbers = value.split(|byte| *byte == b',').map(|number| {
        let number = number.trim_ascii();
        let digits = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(number).ok().filter(|_| digits)?.parse::<u64>().ok()
    });
    let first = numbers.next()??;
    numbers.all(|number| number == Some(first)).then_some(first)
}

/// A value as text: what is no UTF-8 becomes `\xNN`, control characters too, so that two values that differ still do.
fn text(value: &[u8]) -> String {
    let value = &value[..value.len().min(MAX_VALUE)];
    let mut shown = String::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        shown.push_str(&printable(chunk.valid()));
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

/// The first 40 characters of something foreign.
pub(crate) fn begins(bytes: &[u8]) -> String {
    let shown = text(&bytes[..bytes.len().min(160)]);
    shown.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(fields: &str) -> Result<Head, HeadError> {
        Head::parse(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes())
    }

    #[test]
    fn the_end_of_a_head() {
        for (text, length) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", Some(25)),
            ("HTTP/1.1 200 OK\n\nbody", Some(17)),
            ("HTTP/1.1 200 OK\r\n\r", None),
            ("HTTP/1.1 200 OK\r\nA: b", None),
            ("\n\n", Some(2)),
        ] {
            assert_eq!(end(text.as_bytes(), 0), length, "{text:?}");
            // Byte for byte it is the same.
            let found = (1..=text.len()).find_map(|have| end(&text.as_bytes()[..have], have - 1));
            assert_eq!(found, length, "{text:?}");
        }
    }

    #[test]
    fn fields_that_count() {
        let head =
            parse("content-LENGTH: 7\r\nETag:  \"x\" \r\nContent-Range: bytes 0-6/9\r\nRetry-After: 3\r\n").unwrap();
        assert_eq!((head.status, head.length, head.keep, head.chunked), (200, Some(7), true, false));
        assert_eq!((head.tag.as_deref(), head.range.as_deref()), (Some("\"x\""), Some("bytes 0-6/9")));
        assert_eq!(head.retry_after, Some(Duration::from_secs(3)));
        assert_eq!(parse("Retry-After: Mon, 30 Nov 2026 07:29:48 GMT\r\n").unwrap().retry_after, None);
        assert_eq!(parse("Content-Encoding: identity\r\n").unwrap().encoding, None);
        assert_eq!(parse("Content-Encoding: GZIP\r\n").unwrap().encoding.as_deref(), Some("GZIP"));
        assert_eq!(parse("ETag: \"a\"\r\nETag: \"b\"\r\n").unwrap().tag.as_deref(), Some("\"a\""));
    }

    #[test]
    fn where_the_body_ends() {
        let field = |name| Err(HeadError::Field(name));
        for (fields, result) in [
            ("Content-Length: 5, 5\r\nContent-Length: 5\r\n", Ok((Some(5), false, true))),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", field("Content-Length")),
            ("Content-Length: 5, 6\r\n", field("Content-Length")),
            ("Content-Length: -5\r\n", field("Content-Length")),
            ("Content-Length: +5\r\n", field("Content-Length")),
            ("Content-Length: 0x5\r\n", field("Content-Length")),
            ("Content-Length:\r\n", field("Content-Length")),
            ("Content-Length: 99999999999999999999\r\n", field("Content-Length")),
            ("Transfer-Encoding: chunked\r\n", Ok((None, true, true))),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Ok((None, true, false))),
            ("Transfer-Encoding: gzip, chunked\r\n", field("Transfer-Encoding")),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", field("Transfer-Encoding")),
            ("Connection: Close\r\n", Ok((None, false, false))),
            ("Connection: x, close\r\nContent-Length: 0\r\n", Ok((Some(0), false, false))),
        ] {
            let found = parse(fields).map(|head| (head.length, head.chunked, head.keep));
            assert_eq!(found, result, "{fields}");
        }
        let old = |fields: &str| Head::parse(format!("HTTP/1.0 200 OK\r\n{fields}\r\n").as_bytes()).unwrap().keep;
        assert!(!old("") && old("Connection: keep-alive\r\n"));
    }

    #[test]
    fn foreign_and_endless_heads() {
        let many = "A: b\r\n".repeat(101);
        assert_eq!(parse(&many), Err(HeadError::TooMany));
        assert!(parse(&many[6..]).is_ok());
        assert_eq!(
            Head::parse(b"SSH-2.0-OpenSSH_9.2\x1b[31m\r\n\r\n"),
            Err(HeadError::NotHttp("SSH-2.0-OpenSSH_9.2\\x1b[31m\\x0d\\x0a\\x0d\\x0a".chars().take(40).collect()))
        );
        assert!(matches!(parse("A: b\r\n folded\r\n"), Err(HeadError::Damaged(_))));
        assert!(matches!(Head::parse(b"HTTP/2 200\r\n\r\n"), Err(HeadError::NotHttp(_))));
        assert!(matches!(Head::parse(b"\xff\xfe\n\n"), Err(HeadError::NotHttp(_))));
        let tag = parse("ETag: \"\u{202e}\x1b\"\r\n");
        assert!(tag.is_err() || tag.unwrap().tag.unwrap().is_ascii());
    }

    /// 40 000 heads with seeded changes: none of them ends in a panic, or in a value with a control character.
    #[test]
    fn damaged_heads_do_no_harm() {
        let good = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/2\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\
            ETag: \"x\"\r\nLocation: http://h/\r\nConnection: keep-alive\r\n\r\n";
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        let mut read = 0;
        for _ in 0..40_000 {
            let mut bytes = good.to_vec();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                match random(3) {
                    0 => bytes[at] = random(256) as u8,
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, random(256) as u8),
                }
            }
            let _ = end(&bytes, 0);
            if let Ok(head) = Head::parse(&bytes) {
                read += 1;
                let texts = [head.range, head.tag, head.modified, head.encoding, head.kind, head.location];
                assert!(texts.into_iter().flatten().all(|text| !text.chars().any(char::is_control)));
            }
        }
        assert!(read > 1000, "{read}");
    }
}

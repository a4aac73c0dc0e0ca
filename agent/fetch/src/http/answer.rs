//! Whether an answer gives what was asked for: pure, and before its first body byte is used (streaming.md 4.1 and 4.2).

use crate::policy::{Identity, Validator};

use super::Head;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Bytes from `from` up to, but not including, `to`.
    Range {
        /// The first byte.
        from: u64,
        /// Behind the last byte.
        to: u64,
    },
    /// The whole file, from a server without ranges.
    Whole,
}

/// What is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// A part of the file: 206.
    Part {
        /// The first byte.
        from: u64,
        /// Behind the last byte; may be less than was asked for.
        to: u64,
        /// Bytes of the whole file.
        total: u64,
    },
    /// The file from its first byte: 200.
    Whole {
        /// Its length, where it is known.
        length: Option<u64>,
    },
}

/// Why a range is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeFault {
    /// 200 to a request for a later part.
    #[error("the server ignores Range")]
    Ignored,
    /// No total, no unit that is known, or nothing that can be read.
    #[error("the server's Content-Range cannot be used: `{0}`")]
    Unusable(String),
    /// Other bytes than were asked for.
    #[error("the server sends bytes {from} to {to} of {total} instead of those that were asked for")]
    Other {
        /// The first byte.
        from: u64,
        /// Behind the last byte.
        to: u64,
        /// Of the whole file.
        total: u64,
    },
    /// The body's length is not the range's.
    #[error("the server announces {range} bytes and sends {length}")]
    Length {
        /// By `Content-Range`.
        range: u64,
        /// By `Content-Length`.
        length: u64,
    },
    /// `multipart/byteranges`: frames that nobody asked for.
    #[error("the server sends several parts instead of one")]
    Multipart,
    /// What is sent is not the file's bytes.
    #[error("the server sends the file's parts in another coding: {0}")]
    Coded(String),
    /// 206, but the whole file was asked for.
    #[error("the server sends a part of the file, although all of it was asked for")]
    Unasked,
    /// 416: the file is shorter than it was.
    #[error("the server says that the file is shorter than these bytes ({})", length(*.0))]
    Beyond(Option<u64>),
}

fn length(total: Option<u64>) -> String {
    total.map_or_else(|| "length unknown".into(), |total| format!("{total} bytes"))
}

/// What an answer with a status of success, or 416, is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Given(Given),
    Fault(RangeFault),
    Empty,
    /// A status that says no.
    Status,
}

pub(super) fn judge(wanted: Wanted, head: &Head) -> Judgement {
    match (head.status, wanted) {
        (206, Wanted::Whole) => Judgement::Fault(RangeFault::Unasked),
        (206, Wanted::Range { from, to }) => match part(head, from, to) {
            Ok(given) => Judgement::Given(given),
            Err(fault) => Judgement::Fault(fault),
        },
        (200, Wanted::Range { from, .. }) if from > 0 => Judgement::Fault(RangeFault::Ignored),
        (200, _) if head.length == Some(0) && !head.chunked => Judgement::Empty,
        (200, _) => Judgement::Given(Given::Whole { length: head.length.filter(|_| !head.chunked) }),
        (416, Wanted::Range { from: 0, .. }) => Judgement::Empty,
        (416, Wanted::Range { .. }) => {
            Judgement::Fault(RangeFault::Beyond(head.range.as_deref().and_then(unsatisfied)))
        }
        _ => Judgement::Status,
    }
}

fn part(head: &Head, from: u64, to: u64) -> Result<Given, RangeFault> {
    if head.kind.as_deref().is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/")) {
        return Err(RangeFault::Multipart);
    }
    if let Some(coding) = &head.encoding {
        return Err(RangeFault::Coded(coding.clone()));
    }
    let text = head.range.clone().unwrap_or_default();
    let Some((first, last, total)) = content_range(&text) else { return Err(RangeFault::Unusable(text)) };
    let end = last + 1;
    if first != from || end > to.min(total) {
        return Err(RangeFault::Other { from: first, to: end, total });
    }
    match head.length {
        Some(length) if !head.chunked && length != end - first => {
            Err(RangeFault::Length { range: end - first, length })
        }
        _ => Ok(Given::Part { from, to: end, total }),
    }
}

/// `bytes FIRST-LAST/TOTAL` (RFC 9110, section 14.4), with sense: first ≤ last < total.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = bytes(text)?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total) = (number(first)?, number(last)?, number(total)?);
    (first <= last && last < total).then_some((first, last, total))
}

/// `bytes */TOTAL`.
fn unsatisfied(text: &str) -> Option<u64> {
    number(bytes(text)?.strip_prefix("*/")?)
}

fn bytes(text: &str) -> Option<&str> {
    let (unit, rest) = text.split_once(' ')?;
    unit.eq_ignore_ascii_case("bytes").then(|| rest.trim())
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// What the answer says about the file.
pub(super) fn identity(head: &Head, given: Given) -> Identity {
    let total = match given {
        Given::Part { total, .. } => Some(total),
        Given::Whole { length } => length,
    };
    Identity { total, validator: Validator::of(head.tag.as_deref(), head.modified.as_deref()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, range: &str, length: Option<u64>) -> Head {
        let range = Some(range.to_owned()).filter(|range| !range.is_empty());
        Head { status, range, length, ..Head::default() }
    }

    #[test]
    fn parts() {
        let wanted = Wanted::Range { from: 10, to: 20 };
        let given = |from, to, total| Judgement::Given(Given::Part { from, to, total });
        let unusable = |text: &str| Judgement::Fault(RangeFault::Unusable(text.into()));
        let other = |from, to, total| Judgement::Fault(RangeFault::Other { from, to, total });
        for (range, length, judgement) in [
            ("bytes 10-19/100", Some(10), given(10, 20, 100)),
            ("Bytes 10-19/100", None, given(10, 20, 100)),
            // The end of the file, and a server that gives less at a time.
            ("bytes 10-14/15", Some(5), given(10, 15, 15)),
            ("bytes 10-10/100", Some(1), given(10, 11, 100)),
            ("bytes 10-20/100", Some(11), other(10, 21, 100)),
            ("bytes 0-9/100", Some(10), other(0, 10, 100)),
            ("bytes 11-19/100", Some(9), other(11, 20, 100)),
            ("bytes 10-19/100", Some(9), Judgement::Fault(RangeFault::Length { range: 10, length: 9 })),
            ("bytes 10-19/*", Some(10), unusable("bytes 10-19/*")),
            ("bytes 10-19/19", Some(10), unusable("bytes 10-19/19")),
            ("bytes 19-10/100", Some(10), unusable("bytes 19-10/100")),
            (
                "bytes 10-18446744073709551615/18446744073709551615",
                None,
                unusable("bytes 10-18446744073709551615/18446744073709551615"),
            ),
            ("bytes 10-99999999999999999999/100", None, unusable("bytes 10-99999999999999999999/100")),
            ("bytes +10-19/100", None, unusable("bytes +10-19/100")),
            ("items 10-19/100", None, unusable("items 10-19/100")),
            ("bytes", None, unusable("bytes")),
            ("", Some(10), unusable("")),
        ] {
            assert_eq!(judge(wanted, &head(206, range, length)), judgement, "{range}");
        }
        let mut chunked = head(206, "bytes 10-19/100", None);
        chunked.chunked = true;
        assert_eq!(judge(wanted, &chunked), given(10, 20, 100));
        let mut multipart = head(206, "", None);
        multipart.kind = Some("Multipart/byteranges; boundary=x".into());
        assert_eq!(judge(wanted, &multipart), Judgement::Fault(RangeFault::Multipart));
        let mut coded = head(206, "bytes 10-19/100", None);
        coded.encoding = Some("gzip".into());
        assert_eq!(judge(wanted, &coded), Judgement::Fault(RangeFault::Coded("gzip".into())));
        assert_eq!(judge(Wanted::Whole, &head(206, "bytes 0-9/10", Some(10))), Judgement::Fault(RangeFault::Unasked));
    }

    #[test]
    fn whole_files_and_none() {
        let start = Wanted::Range { from: 0, to: 65_536 };
        let later = Wanted::Range { from: 1, to: 2 };
        let whole = |length| Judgement::Given(Given::Whole { length });
        for (wanted, status, range, length, judgement) in [
            (start, 200, "", Some(7), whole(Some(7))),
            (start, 200, "", None, whole(None)),
            (Wanted::Whole, 200, "", Some(7), whole(Some(7))),
            (start, 200, "", Some(0), Judgement::Empty),
            (later, 200, "", Some(7), Judgement::Fault(RangeFault::Ignored)),
            (start, 416, "bytes */0", Some(9), Judgement::Empty),
            (later, 416, "bytes */1", Some(9), Judgement::Fault(RangeFault::Beyond(Some(1)))),
            (later, 416, "", Some(9), Judgement::Fault(RangeFault::Beyond(None))),
            (start, 204, "", Some(0), Judgement::Status),
            (start, 203, "", Some(9), Judgement::Status),
            (start, 304, "", None, Judgement::Status),
            (start, 404, "", Some(9), Judgement::Status),
            (Wanted::Whole, 416, "", None, Judgement::Status),
        ] {
            assert_eq!(judge(wanted, &head(status, range, length)), judgement, "{status} {length:?}");
        }
    }
}

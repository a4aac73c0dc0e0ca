//! Whether two answers are about the same bytes (streaming.md 4.2 and 4.4).

use std::fmt;

/// What an answer says about the file: pinned by the first one, compared before a body byte of each later one is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Length of the whole file in bytes, where it is known.
    pub total: Option<u64>,
    /// What the server tells versions apart by.
    pub validator: Validator,
}

/// The best that the server has to tell versions apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// `ETag`, with quotes and weakness mark: compared as it is (RFC 9110, section 8.8.3).
    Tag(String),
    /// `Last-Modified`, as it is.
    Modified(String),
    /// Neither: the length alone has to do, and a person is told so.
    None,
}

impl Validator {
    /// The stronger of both, where there are both.
    #[must_use]
    pub fn of(tag: Option<&str>, modified: Option<&str>) -> Self {
        match (tag, modified) {
            (Some(tag), _) => Self::Tag(tag.to_owned()),
            (None, Some(date)) => Self::Modified(date.to_owned()),
            (None, None) => Self::None,
        }
    }
}

impl fmt::Display for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "ETag {tag}"),
            Self::Modified(date) => write!(f, "of {date}"),
            Self::None => f.write_str("without an ETag"),
        }
    }
}

/// How a file is not the one that was begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Changed {
    /// Another length.
    #[error("the file on the server changed while it was fetched: it had {was} bytes and has {is}")]
    Length {
        /// At first.
        was: u64,
        /// Now.
        is: u64,
    },
    /// Another version by the server's own word.
    #[error("the file on the server changed while it was fetched: it was {was} and is {is}")]
    Version {
        /// At first.
        was: Validator,
        /// Now.
        is: Validator,
    },
    /// A mirror's file is as long, but begins with other bytes.
    #[error("it begins with other bytes than the file that was begun")]
    Content,
}

impl Identity {
    /// Whether an answer with this identity continues the file that was begun with `self`.
    ///
    /// # Errors
    /// How it differs.
    pub fn continues(&self, later: &Self) -> Result<(), Changed> {
        if let (Some(was), Some(is)) = (self.total, later.total)
            && was != is
        {
            return Err(Changed::Length { was, is });
        }
        // A tag that is gone is another version too: a 206 carries the tag that a 200 would have (RFC 9110, section 15.3.7).
        if self.validator != Validator::None && self.validator != later.validator {
            return Err(Changed::Version { was: self.validator.clone(), is: later.validator.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_file_or_not() {
        let id = |total, tag: Option<&str>, date: Option<&str>| Identity { total, validator: Validator::of(tag, date) };
        let tagged = id(Some(9), Some("\"a\""), Some("Mon"));
        let dated = id(Some(9), None, Some("Mon"));
        let bare = id(Some(9), None, None);
        let version = |was: &Identity, is: &Identity| {
            Err(Changed::Version { was: was.validator.clone(), is: is.validator.clone() })
        };
        for (pinned, later, result) in [
            (&tagged, &id(Some(9), Some("\"a\""), Some("Tue")), Ok(())),
            (&tagged, &id(Some(8), Some("\"a\""), None), Err(Changed::Length { was: 9, is: 8 })),
            (&tagged, &id(Some(9), Some("\"b\""), Some("Mon")), version(&tagged, &id(None, Some("\"b\""), None))),
            (&tagged, &id(Some(9), Some("W/\"a\""), None), version(&tagged, &id(None, Some("W/\"a\""), None))),
            (&tagged, &bare, version(&tagged, &bare)),
            (&tagged, &dated, version(&tagged, &dated)),
            (&tagged, &id(None, Some("\"a\""), None), Ok(())),
            (&dated, &id(Some(9), None, Some("Mon")), Ok(())),
            (&dated, &id(Some(9), None, Some("Tue")), version(&dated, &id(None, None, Some("Tue")))),
            (&bare, &tagged, Ok(())),
            (&bare, &id(Some(10), None, None), Err(Changed::Length { was: 9, is: 10 })),
        ] {
            assert_eq!(pinned.continues(later), result, "{pinned:?} {later:?}");
        }
    }
}

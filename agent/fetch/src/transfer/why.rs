//! What is wrong with a server of another protocol than HTTP.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::policy::{self, Errno, Verdict, Whose};
use crate::{dolly, ftp, tftp};

/// An error of a protocol; of one attempt there is one, however often it is shown.
#[derive(Clone, Debug)]
pub enum Why {
    /// FTP.
    Ftp(Arc<ftp::Error>),
    /// TFTP.
    Tftp(Arc<tftp::Error>),
    /// dolly.
    Dolly(Arc<dolly::Error>),
}

/// The same failure of the same attempt.
impl PartialEq for Why {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ftp(one), Self::Ftp(other)) => Arc::ptr_eq(one, other),
            (Self::Tftp(one), Self::Tftp(other)) => Arc::ptr_eq(one, other),
            (Self::Dolly(one), Self::Dolly(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Why {}

impl Why {
    fn error(&self) -> &(dyn Error + 'static) {
        match self {
            Self::Ftp(error) => error.as_ref(),
            Self::Tftp(error) => error.as_ref(),
            Self::Dolly(error) => error.as_ref(),
        }
    }

    /// Whether a TCP connection brought nothing of what takes large packets.
    pub(super) fn is_silence(&self) -> bool {
        let Self::Ftp(error) = self else { return false };
        let large = |doing: &ftp::Doing| matches!(doing, ftp::Doing::Securing | ftp::Doing::Receiving);
        matches!(error.as_ref(), ftp::Error::Silent { doing, .. } if large(doing))
    }

    /// What it means for the source.
    pub(super) fn verdict(&self) -> Verdict {
        let again = Verdict::Again(Whose::Servers);
        match self {
            Self::Ftp(error) => match (error.again(), error.as_ref()) {
                (ftp::Again::Yes, ftp::Error::Connection { source, .. }) => policy::io(source.into()),
                (ftp::Again::Yes | ftp::Again::FromStart, _) => again,
                (ftp::Again::Briefly, _) => Verdict::Missing,
                (ftp::Again::No, _) => Verdict::Final,
            },
            Self::Tftp(error) => match (error.again(), error.as_ref()) {
                (tftp::Again::Yes, tftp::Error::Socket(source)) => policy::io(source.into()),
                (tftp::Again::Yes, _) => again,
                (tftp::Again::Briefly, _) => Verdict::Missing,
                (tftp::Again::No, _) => Verdict::Final,
            },
            // It has waited for its server already. A person has to start that again, and is told so at once.
            Self::Dolly(_) => Verdict::Final,
        }
    }

    /// What a person can do about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Ftp(error) => error.remedy(),
            Self::Tftp(error) => error.remedy(),
            Self::Dolly(error) => error.remedy(),
        }
    }
}

/// The error and all that led to it, errors of the kernel in the words that people search for.
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut next = Some(self.error());
        let mut between = "";
        while let Some(error) = next {
            match error.downcast_ref::<io::Error>().filter(|error| error.get_ref().is_none()) {
                Some(error) => write!(f, "{between}{}", Errno::from(error))?,
                None => write!(f, "{between}{error}")?,
            }
            (next, between) = (error.source(), ": ");
        }
        Ok(())
    }
}

impl Error for Why {}

//! Who wants a file, as the protocols see it that name one: FTP and TFTP.

use std::io;

use crate::Output;

/// What a server says about a file before it sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Length in bytes, of the whole file.
    pub size: Option<u64>,
    /// When it was changed, in the server's own digits: only equality means something.
    pub modified: Option<String>,
}

impl Facts {
    /// Whether what was known before may be another file. Where one side knows nothing there is no difference.
    #[must_use]
    pub fn differ(&self, known: &Self) -> bool {
        fn differ<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
            one.is_some() && other.is_some() && one != other
        }
        differ(&self.size, &known.size) || differ(&self.modified, &known.modified)
    }
}

/// Who wants the file.
pub trait Taker {
    /// Called once for each attempt, before its first byte: the place for budgets.
    ///
    /// # Errors
    /// Why the file is not taken.
    fn begin(&mut self, facts: &Facts) -> io::Result<()>;

    /// Where the bytes go. It is finished by the transfer when all bytes are there.
    fn output(&mut self) -> &mut dyn Output;
}

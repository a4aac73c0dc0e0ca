//! What can go wrong while reading.

use std::io;

/// A reader failed. What the bytes say is never an error here; only not getting them is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device refused to read.
    #[error("reading {what} at byte {offset}: {source}")]
    Read {
        /// Which structure was wanted.
        what: &'static str,
        /// Where, in bytes from the start of the device or file.
        offset: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// The device refused to say how long it is, or to move.
    #[error("seeking to {what}: {source}")]
    Seek {
        /// Which structure was wanted.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

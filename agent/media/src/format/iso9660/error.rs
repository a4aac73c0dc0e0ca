//! What can go wrong while looking at the files of a volume.

/// A file or directory of a volume could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device refused to read.
    #[error(transparent)]
    Read(#[from] crate::format::Error),
    /// There is no primary volume descriptor.
    #[error("no ISO 9660 volume")]
    NoVolume,
    /// A block size no kernel mounts.
    #[error("ISO 9660 volume with blocks of {0} bytes")]
    BlockSize(u16),
    /// A directory, or a file on the way to one, is damaged.
    #[error("damaged ISO 9660 directory at byte {offset}")]
    Directory {
        /// Where the directory begins, in bytes.
        offset: u64,
    },
    /// A path of more than [`super::MAX_DEPTH`] names.
    #[error("path {0} is too deep for an ISO 9660 volume")]
    TooDeep(String),
    /// A directory larger than [`super::MAX_DIRECTORY`] bytes or [`super::MAX_ENTRIES`] entries.
    #[error("ISO 9660 directory {0} is too large")]
    TooMany(String),
    /// A directory with more in it than any medium has that is made to be used.
    #[error("ISO 9660 directory at byte {offset} has more than {max} {what}, as no real medium has")]
    Crowded {
        /// Where the directory begins, in bytes.
        offset: u64,
        /// What there is too much of.
        what: &'static str,
        /// How much is looked at.
        max: usize,
    },
    /// A file in more than [`super::MAX_EXTENTS`] pieces, or in pieces where one was wanted.
    #[error("file {0} is scattered over the ISO 9660 volume")]
    Scattered(String),
    /// A file larger than the caller allowed.
    #[error("file {path} has {size} bytes, more than {max}")]
    TooLarge {
        /// The file.
        path: String,
        /// Its length in bytes.
        size: u64,
        /// What the caller allowed.
        max: u64,
    },
    /// There is no such file.
    #[error("no file {0} on the ISO 9660 volume")]
    NotFound(String),
    /// The volume ends before the file does.
    #[error("file {path} misses its last {missing} bytes")]
    Truncated {
        /// The file.
        path: String,
        /// Bytes that are not there.
        missing: u64,
    },
}

//! How many bytes came, and whether they are all (network.md 1.3, end of the data).

use super::error::Error;

/// The count of the payload. The total may come before, between or after the data; the end of the data alone proves nothing.
#[derive(Debug, Default)]
pub struct Flow {
    received: u64,
    total: Option<u64>,
    partial: Vec<u8>,
    ended: bool,
    limit: Option<u64>,
}

impl Flow {
    /// The target holds so many bytes; `None` if it says so itself when it is full.
    pub fn new(limit: Option<u64>) -> Self {
        Self { limit, ..Self::default() }
    }

    pub fn received(&self) -> u64 {
        self.received
    }

    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Something of the transfer has come.
    pub fn has_begun(&self) -> bool {
        self.received > 0 || self.total.is_some() || self.ended
    }

    pub fn is_complete(&self) -> bool {
        self.total.is_some_and(|total| self.received >= total)
    }

    /// So many bytes of data came. Where they belong, and how many of them: what is beyond the total is ignored.
    pub fn data(&mut self, length: usize) -> Result<(u64, usize), Error> {
        let room = self.total.map_or(u64::MAX, |total| total.saturating_sub(self.received));
        let length = length.min(usize::try_from(room).unwrap_or(usize::MAX));
        let offset = self.received;
        let received = offset.saturating_add(length as u64);
        self.fits(received)?;
        self.received = received;
        Ok((offset, length))
    }

    /// What came on the control connection. The total, when it is known with this; bytes behind it mean nothing.
    pub fn control(&mut self, bytes: &[u8]) -> Result<Option<u64>, Error> {
        if self.total.is_some() {
            return Ok(None);
        }
        self.partial.extend(bytes.iter().take(8 - self.partial.len()));
        let Ok(total) = <[u8; 8]>::try_from(self.partial.as_slice()) else {
            return Ok(None);
        };
        let total = u64::from_le_bytes(total);
        self.fits(total)?;
        self.total = Some(total);
        self.short().map_or(Ok(Some(total)), Err)
    }

    /// No more data come.
    pub fn end(&mut self) -> Result<(), Error> {
        self.ended = true;
        self.short().map_or(Ok(()), Err)
    }

    fn fits(&self, bytes: u64) -> Result<(), Error> {
        match self.limit {
            Some(limit) if bytes > limit => Err(Error::TooLarge { bytes, limit }),
            _ => Ok(()),
        }
    }

    fn short(&self) -> Option<Error> {
        let total = self.total.filter(|total| self.ended && self.received < *total)?;
        Some(Error::Short { received: self.received, total, swapped: total.swap_bytes() == self.received })
    }
}

//! SHA-256 (FIPS 180-4), by the library that TLS brings: it knows the processor's instructions for it, and one of two is enough.

use ring::digest::{Context, SHA256, digest};

/// Bytes of a sum.
const LENGTH: usize = 32;

/// A sum that is not complete yet.
#[derive(Clone)]
pub struct Sha256(Context);

impl Sha256 {
    /// Of nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// More bytes.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes.as_ref());
    }

    /// The same with more bytes.
    #[must_use]
    pub fn chain_update(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.update(bytes);
        self
    }

    /// The sum.
    #[must_use]
    pub fn finalize(self) -> [u8; LENGTH] {
        fixed(self.0.finish().as_ref())
    }

    /// The sum of these bytes alone.
    #[must_use]
    pub fn digest(bytes: impl AsRef<[u8]>) -> [u8; LENGTH] {
        fixed(digest(&SHA256, bytes.as_ref()).as_ref())
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

fn fixed(sum: &[u8]) -> [u8; LENGTH] {
    let mut fixed = [0; LENGTH];
    fixed.copy_from_slice(sum);
    fixed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of FIPS 180-4 (`abc`), whole and in parts.
    #[test]
    fn the_sum_of_the_standard() {
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let hex = |sum: [u8; LENGTH]| sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(Sha256::digest("abc")), sum);
        let mut parts = Sha256::default().chain_update("a");
        parts.update("bc");
        assert_eq!(hex(parts.finalize()), sum);
    }
}

//! The password of generation 2 (network.md 1.6).

use std::fmt;

use sha2::{Digest, Sha256};

/// What is kept of a password: its SHA-256, which is all that the protocol needs.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of this password.
    #[must_use]
    pub fn of(password: &str) -> Self {
        Self(Sha256::digest(password.as_bytes()).into())
    }

    /// What a client answers to a nonce: the SHA-256 of the key and the nonce.
    #[must_use]
    pub fn answer(&self, nonce: &[u8; 32]) -> [u8; 32] {
        Sha256::new().chain_update(self.0).chain_update(nonce).finalize().into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

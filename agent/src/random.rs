//! Random numbers from the kernel.

use std::fs::File;
use std::io::{self, Read};

use crate::env::Env;
use crate::format::uuid::uuid;

/// Fills `bytes`.
///
/// # Errors
/// The kernel's random numbers cannot be read.
pub fn fill(env: &Env, bytes: &mut [u8]) -> io::Result<()> {
    File::open(env.path("dev/urandom"))?.read_exact(bytes)
}

/// 16 bytes, as for a UUID.
///
/// # Errors
/// As those of [`fill`].
pub fn sixteen(env: &Env) -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    fill(env, &mut bytes)?;
    Ok(bytes)
}

/// A UUID.
///
/// # Errors
/// As those of [`fill`].
pub fn uuid_v4(env: &Env) -> io::Result<String> {
    Ok(uuid_of(sixteen(env)?))
}

/// Version 4, variant 1 (RFC 9562).
fn uuid_of(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    // The version makes sure that not all bytes are zero.
    uuid(&bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version and variant as another program reads them, whatever the random bytes are.
    #[test]
    fn uuidparse_takes_it_for_a_random_uuid() {
        for bytes in [[0; 16], [0xff; 16], [0x5a; 16]] {
            let uuid = uuid_of(bytes);
            let mut uuidparse = std::process::Command::new("uuidparse");
            let output = uuidparse.args(["-n", "-o", "variant,type", &uuid]).output();
            let said = output.expect("uuidparse is missing: cargo lab install brings it").stdout;
            let words: Vec<&str> = std::str::from_utf8(&said).unwrap().split_whitespace().collect();
            assert_eq!(words, ["DCE", "random"], "{uuid}");
        }
        assert_ne!(uuid_v4(&Env::default()).unwrap(), uuid_v4(&Env::default()).unwrap());
    }
}

//! What an opened volume is really encrypted with.
//!
//! A LUKS header says which cipher its data has, and whoever has the stick can write another one there: the owner's key still
//! opens it, and "encrypted" changes are plain text (attacks.md F4). So the kernel's own table of the opened volume is asked
//! (the kernel's `Documentation/admin-guide/device-mapper/dm-crypt.rst`), never the header.

use std::fmt;

/// Block ciphers that are believed to hide something. Adiantum and the integrity modes are built over them.
const CIPHERS: [&str; 6] = ["aes", "serpent", "twofish", "camellia", "aria", "sm4"];
/// What may stand around a cipher: modes that encrypt, initialisation vectors, and what authenticates. Every word must be known: in
/// `rfc4543(gcm(aes))` a good cipher encrypts nothing, in `authenc(cmac(aes),cbc(des3_ede))` it is not the one that encrypts.
const AROUND: [&str; 38] = [
    "capi",
    "cbc",
    "ctr",
    "ecb",
    "lrw",
    "xts",
    "pcbc",
    "cts",
    "gcm",
    "ccm",
    "xchacha12",
    "xchacha20",
    "chacha20",
    "adiantum",
    "hctr2",
    "authenc",
    "hmac",
    "cmac",
    "poly1305",
    "rfc7539",
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "rmd160",
    "wp512",
    "essiv",
    "eboiv",
    "plain",
    "plain64",
    "plain64be",
    "benbi",
    "lmk",
    "tcw",
    "random",
    "elephant",
    "",
];
/// XTS has two keys of at least 128 bits each, all others one.
const LEAST_BITS: u64 = 128;

/// A cipher of the kernel, with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cipher {
    /// As the kernel's table has it, such as `aes-xts-plain64`.
    pub spec: String,
    /// Bits of its key.
    pub key_bits: u64,
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with a key of {} bits", self.spec, self.key_bits)
    }
}

/// Why a mapped volume does not count as encrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Plain {
    /// A part of it is no crypt target.
    #[error("a part of it is \"{0}\" for the kernel, not encrypted")]
    Target(String),
    /// Its cipher encrypts nothing, or nobody knows what.
    #[error("its header asks for the cipher {0}, which is none that protects anything")]
    Cipher(String),
    /// Its key is too short, or there is none.
    #[error("its header asks for {0}")]
    Key(Cipher),
}

/// The cipher of a device's table, as [`super::table`] gives it.
///
/// # Errors
/// What of it is not encrypted.
pub fn of_table(table: &str) -> Result<Cipher, Plain> {
    let mut first = None;
    for line in table.split("; ") {
        let mut words = line.split_whitespace().skip(2);
        let target = words.next().unwrap_or_default();
        if target != "crypt" {
            return Err(Plain::Target(target.to_owned()));
        }
        let (spec, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let cipher = Cipher { spec: spec.to_owned(), key_bits: key_bytes(key).saturating_mul(8) };
        let mut parts = spec.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let is_null = |part: &str| part.contains("null");
        let known = |part: &str| {
            part.bytes().all(|byte| byte.is_ascii_digit()) || [&CIPHERS[..], &AROUND].concat().contains(&part)
        };
        if parts.clone().any(is_null) || !parts.clone().all(known) || !parts.any(|part| CIPHERS.contains(&part)) {
            return Err(Plain::Cipher(spec.to_owned()));
        }
        let keys = if spec.contains("xts") { 2 } else { 1 };
        if cipher.key_bits < keys * LEAST_BITS {
            return Err(Plain::Key(cipher));
        }
        first.get_or_insert(cipher);
    }
    first.ok_or_else(|| Plain::Target(String::new()))
}

/// A key in the kernel's keyring says its length: `:64:logon:cryptsetup:…`. One in the table is hexadecimal, none is `-`.
fn key_bytes(key: &str) -> u64 {
    match key.strip_prefix(':') {
        Some(rest) => rest.split(':').next().and_then(|bytes| bytes.parse().ok()).unwrap_or(0),
        None if key.bytes().all(|byte| byte.is_ascii_hexdigit()) => key.len() as u64 / 2,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f4_only_a_real_cipher_with_its_whole_key_counts() {
        let hex = "ab".repeat(32);
        let plain = format!("0 2048 crypt aes-cbc-essiv:sha256 {hex} 0 7:0 4096");
        let both = "0 8 crypt aes-xts-plain64 :64:logon:a 0 7:0 0; 8 8 linear 7:0 8";
        let rows: Vec<(&str, Result<u64, &str>)> = vec![
            ("0 204800 crypt aes-xts-plain64 :64:logon:cryptsetup:u-d0 0 7:1 32768 1 sector_size:4096", Ok(512)),
            (&plain, Ok(256)),
            ("0 8 crypt serpent-xts-plain64 :32:logon:a 0 7:0 0", Ok(256)),
            ("0 8 crypt capi:adiantum(xchacha12,aes)-plain64 :32:logon:a 0 7:0 0", Ok(256)),
            ("0 8 crypt capi:authenc(hmac(sha256),xts(aes))-random :96:logon:a 0 7:0 0 1 integrity:48:aead", Ok(768)),
            ("0 8 crypt aes:64-cbc-lmk :1024:logon:a 0 7:0 0", Ok(8192)),
            ("0 8 crypt cipher_null-ecb :32:logon:a 0 7:0 0", Err("cipher_null-ecb")),
            ("0 8 crypt cipher_null-ecb - 0 7:0 0", Err("cipher_null-ecb")),
            ("0 8 crypt capi:ecb(cipher_null)-plain64 :32:logon:a 0 7:0 0", Err("cipher_null")),
            ("0 8 crypt capi:authenc(digest_null,xts(aes))-random :64:logon:a 0 7:0 0", Err("digest_null")),
            ("0 8 crypt des-cbc-plain :8:logon:a 0 7:0 0", Err("des-cbc")),
            ("0 8 crypt capi:rfc4543(gcm(aes))-random :36:logon:a 0 7:0 0 1 integrity:16:aead", Err("rfc4543")),
            (
                "0 8 crypt capi:authenc(cmac(aes),cbc(des3_ede))-random :56:logon:a 0 7:0 0 1 integrity:16:aead",
                Err("des3_ede"),
            ),
            ("0 8 crypt capi:authenc(hmac(sha256),cbc(blowfish))-random :64:logon:a 0 7:0 0", Err("blowfish")),
            ("0 8 crypt capi:gcm(aes)-random :32:logon:a 0 7:0 0 1 integrity:28:aead", Ok(256)),
            ("0 8 crypt aes-xts-plain64 :16:logon:a 0 7:0 0", Err("128 bits")),
            ("0 8 crypt aes-xts-plain64 - 0 7:0 0", Err("0 bits")),
            ("0 8 linear 7:0 0", Err("linear")),
            (both, Err("linear")),
            ("", Err("not encrypted")),
        ];
        for (table, expected) in rows {
            let found = of_table(table);
            match (&found, expected) {
                (Ok(cipher), Ok(bits)) => assert_eq!(cipher.key_bits, bits, "{table}"),
                (Err(why), Err(words)) => assert!(why.to_string().contains(words), "{table}: {why}"),
                _ => panic!("{table}: {found:?}"),
            }
        }
    }
}

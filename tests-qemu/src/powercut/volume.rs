//! The inside of a LUKS 2 volume in a file. cryptsetup gives the volume's key; the sectors are decrypted here, because a host
//! without dm-crypt cannot open it.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes256Dec, Aes256Enc, Block};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::mode::KEY;
use crate::tool;

const BLOCK: usize = 16;
/// dm-crypt counts its tweak in sectors of this length, however long its own are.
const TWEAK: u64 = 512;

/// Writes what is inside `volume` to `to`.
pub fn decrypt(volume: &Path, to: &Path) -> Result<()> {
    let (key_file, volume_key) = (to.with_extension("key"), to.with_extension("volume-key"));
    fs::write(&key_file, KEY)?;
    let dumped = tool::shell(DUMP, &[volume, &key_file, &volume_key]);
    let key = fs::read(&volume_key);
    for file in [key_file, volume_key] {
        let _ = fs::remove_file(file);
    }
    let metadata: Value = serde_json::from_str(&dumped.context("the key does not open the volume")?)?;
    let segment = &metadata["segments"]["0"];
    ensure!(
        segment["encryption"] == "aes-xts-plain64" && segment["iv_tweak"] == "0",
        "a cipher unknown here: {segment}"
    );
    let offset: u64 = segment["offset"].as_str().and_then(|text| text.parse().ok()).context("no offset")?;
    let length = segment["sector_size"].as_u64().context("no sector size")?;
    let xts = Xts::new(&key?)?;
    let (mut from, mut out) = (BufReader::new(File::open(volume)?), BufWriter::new(File::create(to)?));
    from.seek(SeekFrom::Start(offset))?;
    let mut sector = vec![0; length as usize];
    let sectors = (fs::metadata(volume)?.len() - offset) / length;
    for number in 0..sectors {
        from.read_exact(&mut sector)?;
        xts.decrypt(number * length / TWEAK, &mut sector);
        out.write_all(&sector)?;
    }
    out.flush().context("writing what is inside")
}

const DUMP: &str = r#"
    cryptsetup luksDump --batch-mode --dump-volume-key --volume-key-file "$3" --key-file "$2" "$1" >/dev/null
    cryptsetup luksDump --dump-json-metadata "$1""#;

/// XTS over AES-256 (IEEE 1619), for sectors of whole blocks.
struct Xts {
    data: Aes256Dec,
    tweak: Aes256Enc,
}

impl Xts {
    fn new(key: &[u8]) -> Result<Self> {
        ensure!(key.len() == 64, "a key of {} bytes", key.len());
        let (data, tweak) = key.split_at(32);
        Ok(Self { data: Aes256Dec::new_from_slice(data)?, tweak: Aes256Enc::new_from_slice(tweak)? })
    }

    fn decrypt(&self, number: u64, sector: &mut [u8]) {
        let mut first = [0; BLOCK];
        first[..8].copy_from_slice(&number.to_le_bytes());
        let mut tweak = Block::from(first);
        self.tweak.encrypt_block(&mut tweak);
        let mut tweak = u128::from_le_bytes(tweak.into());
        let (blocks, _) = sector.as_chunks_mut::<BLOCK>();
        for block in blocks {
            let mask = |block: &[u8; BLOCK], tweak: u128| (u128::from_le_bytes(*block) ^ tweak).to_le_bytes();
            let mut masked = Block::from(mask(block, tweak));
            self.data.decrypt_block(&mut masked);
            *block = mask(&masked.into(), tweak);
            // Times x in GF(2^128).
            tweak = tweak << 1 ^ if tweak >> 127 == 1 { 0x87 } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IEEE 1619-2007, annex B, vector 10: XTS-AES-256, the first four blocks.
    #[test]
    fn a_vector_of_ieee_1619() {
        let bytes = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let key = bytes(concat!(
            "2718281828459045235360287471352662497757247093699959574966967627",
            "3141592653589793238462643383279502884197169399375105820974944592"
        ));
        let mut sector = bytes(concat!(
            "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b",
            "5d31e276f8fe4a8d66b317f9ac683f44680a86ac35adfc3345befecb4bb188fd"
        ));
        Xts::new(&key).unwrap().decrypt(0xff, &mut sector);
        let expected: Vec<u8> = (0..64).collect();
        assert_eq!(sector, expected);
    }
}

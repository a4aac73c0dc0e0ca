//! The inside of a LUKS 2 volume in a file. cryptsetup makes the header and gives the volume's key; the sectors are encrypted and
//! decrypted here, because a host without dm-crypt cannot open it.

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
    let (offset, length) = segment(&dumped.context("the key does not open the volume")?)?;
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

/// Makes `volume`, which [`KEY`] opens, of what is to be inside.
pub fn encrypt(inside: &Path, volume: &Path) -> Result<()> {
    let (key_file, volume_key) = (volume.with_extension("key"), volume.with_extension("volume-key"));
    fs::write(&key_file, KEY)?;
    let made = tool::shell(MAKE, &[volume, &key_file, &volume_key, inside]);
    let key = fs::read(&volume_key);
    for file in [key_file, volume_key] {
        let _ = fs::remove_file(file);
    }
    let (offset, length) = segment(&made?)?;
    let xts = Xts::new(&key?)?;
    let mut from = BufReader::new(File::open(inside)?);
    let mut out = BufWriter::new(File::options().write(true).open(volume)?);
    out.seek(SeekFrom::Start(offset))?;
    let mut sector = vec![0; length as usize];
    let sectors = fs::metadata(inside)?.len() / length;
    for number in 0..sectors {
        from.read_exact(&mut sector)?;
        xts.encrypt(number * length / TWEAK, &mut sector);
        out.write_all(&sector)?;
    }
    out.flush().context("writing what is inside")
}

// A key that everybody knows: nothing is gained by making it slowly.
const MAKE: &str = r#"
    truncate -s $(( 16777216 + $(stat -c %s "$4") )) "$1"; head -c 64 /dev/urandom > "$3"
    cryptsetup luksFormat -q --type luks2 --cipher aes-xts-plain64 --key-size 512 --volume-key-file "$3" --offset 32768 \
        --pbkdf-force-iterations 4 --pbkdf-memory 32768 --key-file "$2" "$1"
    cryptsetup luksDump --dump-json-metadata "$1""#;

/// Where the sectors of a volume begin, and how long they are.
fn segment(metadata: &str) -> Result<(u64, u64)> {
    let metadata: Value = serde_json::from_str(metadata)?;
    let segment = &metadata["segments"]["0"];
    ensure!(
        segment["encryption"] == "aes-xts-plain64" && segment["iv_tweak"] == "0",
        "a cipher unknown here: {segment}"
    );
    let offset = segment["offset"].as_str().and_then(|text| text.parse().ok()).context("no offset")?;
    Ok((offset, segment["sector_size"].as_u64().context("no sector size")?))
}

const DUMP: &str = r#"
    cryptsetup luksDump --batch-mode --dump-volume-key --volume-key-file "$3" --key-file "$2" "$1" >/dev/null
    cryptsetup luksDump --dump-json-metadata "$1""#;

/// XTS over AES-256 (IEEE 1619), for sectors of whole blocks.
struct Xts {
    back: Aes256Dec,
    data: Aes256Enc,
    tweak: Aes256Enc,
}

impl Xts {
    fn new(key: &[u8]) -> Result<Self> {
        ensure!(key.len() == 64, "a key of {} bytes", key.len());
        let (data, tweak) = key.split_at(32);
        let (back, data) = (Aes256Dec::new_from_slice(data)?, Aes256Enc::new_from_slice(data)?);
        Ok(Self { back, data, tweak: Aes256Enc::new_from_slice(tweak)? })
    }

    fn decrypt(&self, number: u64, sector: &mut [u8]) {
        self.each(number, sector, |block| self.back.decrypt_block(block));
    }

    fn encrypt(&self, number: u64, sector: &mut [u8]) {
        self.each(number, sector, |block| self.data.encrypt_block(block));
    }

    fn each(&self, number: u64, sector: &mut [u8], cipher: impl Fn(&mut Block)) {
        let mut first = [0; BLOCK];
        first[..8].copy_from_slice(&number.to_le_bytes());
        let mut tweak = Block::from(first);
        self.tweak.encrypt_block(&mut tweak);
        let mut tweak = u128::from_le_bytes(tweak.into());
        let (blocks, _) = sector.as_chunks_mut::<BLOCK>();
        for block in blocks {
            let mask = |block: &[u8; BLOCK], tweak: u128| (u128::from_le_bytes(*block) ^ tweak).to_le_bytes();
            let mut masked = Block::from(mask(block, tweak));
            cipher(&mut masked);
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
        let (xts, encrypted) = (Xts::new(&key).unwrap(), sector.clone());
        xts.decrypt(0xff, &mut sector);
        let expected: Vec<u8> = (0..64).collect();
        assert_eq!(sector, expected);
        xts.encrypt(0xff, &mut sector);
        assert_eq!(sector, encrypted);
    }
}

//! CRC-32 as GPT uses it (IEEE 802.3, reflected), and CRC-32C, which the superblocks of ext4 and btrfs have.

/// A checksum being computed.
pub struct Crc32(u32);

impl Default for Crc32 {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl Crc32 {
    /// Takes further bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        // Bit by bit: a partition array has 16 KiB, a table in the binary is not worth it.
        for byte in bytes {
            self.0 ^= u32::from(*byte);
            for _ in 0..8 {
                let carry = self.0 & 1;
                self.0 = (self.0 >> 1) ^ (0xedb8_8320 & carry.wrapping_neg());
            }
        }
    }

    /// The checksum of all.
    pub fn finish(self) -> u32 {
        !self.0
    }
}

/// The checksum of `bytes`.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc32::default();
    crc.update(bytes);
    crc.finish()
}

/// The CRC-32C of `bytes`. ext4 stores it without the inversion at the end.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}

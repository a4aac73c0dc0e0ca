//! Four bytes that give a text the checksum it had before something else in it was changed.
//!
//! A GPT header holds the checksum of its entries. Header and entries lie in different sectors, so a new entry normally
//! means two writes with an invalid table in between, and the kernel does not look at the copy then (it does only with
//! `gpt` on its command line). Ours has the same checksum as the free entry it replaces, because four bytes of its UUID
//! are chosen for that; so writing the one sector that holds it is the whole change. The other 90 random bits of the
//! UUID are enough to tell partitions apart.

const POLYNOMIAL: u32 = 0xedb8_8320;

/// Chooses the four bytes at `at` so that the CRC-32 of `bytes` becomes `crc`. Every checksum can be reached: four bytes
/// and the register of a CRC-32 determine each other.
pub(super) fn set_crc(bytes: &mut [u8], at: usize, crc: u32) {
    let (before, rest) = bytes.split_at_mut(at);
    let Some((window, after)) = rest.split_first_chunk_mut::<4>() else { return };
    let reached = before.iter().fold(u32::MAX, |state, byte| forward(state ^ u32::from(*byte)));
    let mut needed = after.iter().rev().fold(!crc, |state, byte| backward(state) ^ u32::from(*byte));
    for _ in 0..4 {
        needed = backward(needed);
    }
    *window = (reached ^ needed).to_le_bytes();
}

/// Eight steps of the register.
fn forward(mut state: u32) -> u32 {
    for _ in 0..8 {
        state = (state >> 1) ^ (POLYNOMIAL & (state & 1).wrapping_neg());
    }
    state
}

/// Eight steps back: the polynomial has its top bit set, so that bit tells what was shifted out.
fn backward(mut state: u32) -> u32 {
    for _ in 0..8 {
        let carry = state >> 31;
        state = ((state ^ (POLYNOMIAL & carry.wrapping_neg())) << 1) | carry;
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::crc::crc32;

    #[test]
    fn every_place_reaches_every_checksum() {
        let mut bytes: Vec<u8> = (0..200u8).map(|i| i.wrapping_mul(37)).collect();
        for (at, crc) in [(0, 0), (1, u32::MAX), (77, 0x1234_5678), (196, 0xdead_beef)] {
            set_crc(&mut bytes, at, crc);
            assert_eq!(crc32(&bytes), crc, "{at}");
        }
    }
}

//! UDF: recognised by its volume recognition sequence at 32 KiB.

use super::bytes::Fields;
use super::{Kind, Superblock};

const START: usize = 0x8000;
/// Descriptors of 2 KiB up to the end of the sequence's usual 32 KiB.
const SLOTS: usize = 16;

pub(super) fn parse(head: &[u8]) -> Option<Superblock> {
    let mut begun = false;
    for slot in 0..SLOTS {
        match head.span(START + slot * 2048 + 1, 5)? {
            b"BEA01" => begun = true,
            b"NSR02" | b"NSR03" if begun => return Some(Superblock::new(Kind::Udf)),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut image = vec![0; START + SLOTS * 2048];
    for (slot, id) in [b"BEA01", b"NSR03", b"TEA01"].into_iter().enumerate() {
        let at = START + slot * 2048 + 1;
        image[at..at + 5].copy_from_slice(id);
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_must_begin() {
        let mut image = sample();
        assert_eq!(parse(&image).map(|f| f.kind), Some(Kind::Udf));
        image[START + 1] = b'X';
        assert_eq!(parse(&image), None);
    }
}

//! LVM2 physical volume: a label in one of the first four sectors.

use super::bytes::Fields;
use super::{Kind, Superblock};

pub(super) fn parse(head: &[u8]) -> Option<Superblock> {
    (0..4u64).find_map(|sector| {
        let label = head.span(usize::try_from(sector).ok()? * 512, 512)?;
        let ours = label.has(0, b"LABELONE") && label.has(24, b"LVM2 001") && label.le64(8) == Some(sector);
        ours.then(|| Superblock { uuid: label.span(32, 32).and_then(dashed), ..Superblock::new(Kind::Lvm) })
    })
}

/// LVM's own form of an id: 6-4-4-4-4-4-6 characters.
fn dashed(id: &[u8]) -> Option<String> {
    let id = std::str::from_utf8(id).ok()?;
    let mut parts = Vec::new();
    let mut rest = id;
    for len in [6, 4, 4, 4, 4, 4, 6] {
        let (part, tail) = rest.split_at_checked(len)?;
        parts.push(part);
        rest = tail;
    }
    id.bytes().all(|b| b.is_ascii_alphanumeric()).then(|| parts.join("-"))
}

#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut image = vec![0; 4096];
    image[512..520].copy_from_slice(b"LABELONE");
    image[520] = 1;
    image[536..544].copy_from_slice(b"LVM2 001");
    image[544..576].copy_from_slice(b"abcdefABCDabcdABCDabcdABCDabcdef");
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_in_its_own_sector() {
        let mut image = sample();
        let found = parse(&image).unwrap();
        assert_eq!(found.uuid.as_deref(), Some("abcdef-ABCD-abcd-ABCD-abcd-ABCD-abcdef"));
        image[520] = 2;
        assert_eq!(parse(&image), None);
    }
}

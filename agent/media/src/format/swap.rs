//! Swap space and the hibernation images that replace its signature: last ten bytes of the first page.

use super::bytes::Fields;
use super::text::label;
use super::uuid::uuid;
use super::{Kind, Superblock};

/// Page sizes of the machines that may have made the swap space.
const PAGES: [u32; 5] = [4096, 8192, 16_384, 32_768, 65_536];

/// Kernel suspend, its older form, uswsusp, TuxOnIce, and the name that newer tools use.
const SUSPENDED: [&[u8]; 5] =
    [b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c", b"LINHIB0001"];

pub(super) fn parse(head: &[u8]) -> Option<Superblock> {
    PAGES.into_iter().find_map(|page| at_page(head, page))
}

fn at_page(head: &[u8], page: u32) -> Option<Superblock> {
    let signature = head.span(usize::try_from(page).ok()? - 10, 10)?;
    if SUSPENDED.iter().any(|magic| signature.has(0, magic)) {
        return Some(described(head, page, Kind::Hibernation));
    }
    match signature {
        b"SWAPSPACE2" => Some(described(head, page, Kind::Swap)),
        // The first version has neither label nor UUID.
        b"SWAP-SPACE" => Some(Superblock { block_size: Some(page), ..Superblock::new(Kind::Swap) }),
        _ => None,
    }
}

fn described(head: &[u8], page: u32, kind: Kind) -> Superblock {
    let bare = Superblock { block_size: Some(page), ..Superblock::new(kind) };
    // Version 1 in the byte order of the machine that made it.
    let last_page = match head.array::<4>(1024) {
        Some([1, 0, 0, 0]) => head.le32(1028),
        Some([0, 0, 0, 1]) => head.be32(1028),
        _ => return bare,
    };
    Superblock {
        label: head.span(1052, 16).and_then(label),
        uuid: head.array(1036).and_then(|id| uuid(&id)),
        size: last_page.map(|last| (u64::from(last) + 1) * u64::from(page)),
        ..bare
    }
}

#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut image = vec![0; 8192];
    image[1024] = 1;
    image[1028] = 9;
    image[1036..1052].copy_from_slice(&[0x55; 16]);
    image[1052..1056].copy_from_slice(b"swp0");
    image[4086..4096].copy_from_slice(b"SWAPSPACE2");
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures() {
        for (signature, kind) in [
            (&b"SWAPSPACE2"[..], Some(Kind::Swap)),
            (b"SWAP-SPACE", Some(Kind::Swap)),
            (b"S1SUSPEND\0", Some(Kind::Hibernation)),
            (b"S2SUSPEND\0", Some(Kind::Hibernation)),
            (b"ULSUSPEND\0", Some(Kind::Hibernation)),
            (b"LINHIB0001", Some(Kind::Hibernation)),
            (b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c\0\0", Some(Kind::Hibernation)),
            (b"SWAPSPACE3", None),
        ] {
            let mut image = sample();
            image[4086..4096].copy_from_slice(signature);
            let found = parse(&image).map(|found| found.kind);
            assert_eq!(found, kind, "{signature:?}");
        }
    }

    #[test]
    fn other_page_sizes_and_byte_order() {
        let mut image = vec![0; 0x1_0000];
        image[1027] = 1;
        image[1031] = 1;
        image[0xfff6..].copy_from_slice(b"SWAPSPACE2");
        let found = parse(&image).unwrap();
        assert_eq!(found.block_size, Some(65_536));
        assert_eq!(found.size, Some(131_072));
    }

    #[test]
    fn fields() {
        let found = parse(&sample()).unwrap();
        assert_eq!(found.label.as_deref(), Some("swp0"));
        assert_eq!(found.size, Some(40_960));
        assert!(found.uuid.is_some());
    }
}

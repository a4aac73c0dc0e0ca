use super::*;
use std::io::Cursor;

fn found(image: Vec<u8>) -> Option<Superblock> {
    let mut reader = Cursor::new(image);
    probe(&mut Source::new(&mut reader)).unwrap()
}

#[test]
fn label_from_root_then_boot_sector() {
    let superblock = found(sample()).unwrap();
    assert_eq!(superblock.label.as_deref(), Some("MY STICK"));
    assert_eq!(superblock.uuid.as_deref(), Some("DEAD-0042"));
    assert_eq!(superblock.size, Some(65_536));

    let mut image = sample();
    image[4 * 512] = 0xe5;
    assert_eq!(found(image.clone()).unwrap().label.as_deref(), Some("FROMBOOT"));
    image[71..82].copy_from_slice(b"NO NAME    ");
    assert_eq!(found(image).unwrap().label, None);
}

#[test]
fn cluster_chain_in_a_circle_ends() {
    let mut image = sample();
    image[2 * 512 + 8] = 2;
    assert_eq!(found(image).unwrap().label.as_deref(), Some("FROMBOOT"));
}

#[test]
fn implausible_boot_sectors() {
    for (at, value) in [(11, 3), (12, 0), (13, 0), (13, 3), (14, 0), (16, 0), (21, 0), (36, 0), (36, 255), (510, 0)] {
        let mut image = sample();
        image[at] = value;
        assert_eq!(found(image), None, "{at} {value}");
    }
}

#[test]
fn dirty_bit() {
    let mut image = sample();
    assert!(!found(image.clone()).unwrap().dirty);
    image[65] = 1;
    assert!(found(image).unwrap().dirty);
}

/// macOS, the BSDs and DOS say it in the table alone. The bit beside it is about errors of the disk.
#[test]
fn dirty_bit_in_the_table() {
    for (entry, dirty) in
        [(0x0fff_ffff, false), (0xffff_ffff, false), (0x0bff_ffff, false), (0x07ff_ffff, true), (0xf7ff_ffff, true)]
    {
        let mut image = sample();
        image[2 * 512 + 4..2 * 512 + 8].copy_from_slice(&u32::to_le_bytes(entry));
        assert_eq!(found(image).unwrap().dirty, dirty, "{entry:#x}");
    }
}

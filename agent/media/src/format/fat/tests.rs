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

/// The second entry of the root directory is a file of one cluster with these bytes changed.
fn allocation_with(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut image = sample();
    let file = 4 * 512 + ENTRY;
    image[file..file + 11].copy_from_slice(b"LIVE    COW");
    image[file + 11] = ATTRIBUTE_ARCHIVE;
    image[file + 26] = 5;
    image[file + 28] = 100;
    for (at, value) in changes {
        image[*at] = *value;
    }
    allocation(&mut Cursor::new(image)).unwrap().unwrap()
}

/// What we do to a file that has all its room leaves it as it is, what others do does not.
#[test]
fn f3_times_and_the_archive_bit_are_no_part_of_what_others_change() {
    let (file, table) = (4 * 512 + ENTRY, 2 * 512);
    let known = allocation_with(&[]);
    for same in [[(file + 11, 0)], [(file + 14, 7)], [(file + 18, 7)], [(file + 22, 7)], [(file + 25, 7)]] {
        assert_eq!(allocation_with(&same), known, "{same:?}");
    }
    // Its name, hidden, another place, another length, a cluster that is taken, another file.
    for other in [
        [(file, b'X')],
        [(file + 11, 2)],
        [(file + 26, 6)],
        [(file + 28, 101)],
        [(table + 20, 1)],
        [(file + ENTRY, b'X')],
    ] {
        let other = if other[0].0 == file + ENTRY { vec![other[0], (file + ENTRY + 26, 9)] } else { other.to_vec() };
        assert_ne!(allocation_with(&other), known, "{other:?}");
    }
    // An empty file comes and goes.
    assert_eq!(allocation_with(&[(file + ENTRY, b'X')]), known);
}

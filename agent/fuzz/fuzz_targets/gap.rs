//! The oracle between reading and writing tables: a gap never meets an entry of a GPT whose checksums are good, nor one of an MBR that is
//! no guard. The checksums are made good here, which a fuzzer cannot do.
#![no_main]

use std::io::Cursor;
use std::ops::Range;

use libfuzzer_sys::fuzz_target;
use rdlive::table::Disk;

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
const SIZE: usize = 4096 * 512;
const ENTRIES: usize = 16;

/// Bytes that the fuzzer chooses: which sums are good, an MBR, two headers and their entries.
#[derive(Debug)]
struct Input<'a> {
    good: u8,
    record: &'a [u8],
    tables: [&'a [u8]; 2],
}

impl<'a> Input<'a> {
    fn of(data: &'a [u8]) -> Option<Self> {
        let (good, rest) = data.split_first()?;
        let (record, rest) = rest.split_at_checked(64)?;
        let (first, second) = rest.split_at_checked(ENTRIES * 8)?;
        Some(Self { good: *good, record, tables: [first, second.get(..ENTRIES * 8)?] })
    }
}

/// A header at a sector with entries of 8 bytes each: first and last sector in 16 bits, type and anything.
fn put(image: &mut [u8], (own, other, place): (usize, usize, usize), bytes: &[u8], good: u8) {
    let mut array = vec![0; ENTRIES * 128];
    for (slot, given) in array.chunks_exact_mut(128).zip(bytes.chunks_exact(8)) {
        if given[4] != 0 {
            slot[..16].fill(given[4]);
            slot[16] = given[5];
            slot[32..34].copy_from_slice(&given[..2]);
            slot[40..42].copy_from_slice(&given[2..4]);
        }
    }
    let header = &mut image[own * 512..own * 512 + 512];
    header[..8].copy_from_slice(b"EFI PART");
    header[8..12].copy_from_slice(&0x1_0000_u32.to_le_bytes());
    header[12..16].copy_from_slice(&92_u32.to_le_bytes());
    for (at, value) in [(24, own), (32, other), (40, 34), (48, SIZE / 512 - 34), (72, place)] {
        header[at..at + 8].copy_from_slice(&(value as u64).to_le_bytes());
    }
    header[56..72].fill(good >> 4);
    header[80..84].copy_from_slice(&(ENTRIES as u32).to_le_bytes());
    header[84..88].copy_from_slice(&128_u32.to_le_bytes());
    header[88..92].copy_from_slice(&CRC.checksum(&array).to_le_bytes());
    let sum = CRC.checksum(&header[..92]).wrapping_add(u32::from(good & 1 == 0));
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    image[place * 512..place * 512 + array.len()].copy_from_slice(&array);
}

fn claims(bytes: &[u8]) -> impl Iterator<Item = Range<u64>> + '_ {
    let sector = |bytes: &[u8]| u64::from(u16::from_le_bytes([bytes[0], bytes[1]])) * 512;
    bytes.chunks_exact(8).filter(|given| given[4] != 0).map(move |given| sector(given)..sector(&given[2..]) + 512)
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::of(data) else { return };
    let mut image = vec![0; SIZE];
    image[446..510].copy_from_slice(input.record);
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    let last = SIZE / 512 - 1;
    put(&mut image, (1, last, 2), input.tables[0], input.good & 1 | input.good & 0x10);
    put(&mut image, (last, 1, last - 4), input.tables[1], input.good >> 1 & 1 | input.good >> 1 & 0x10);
    let disk = Disk { size: SIZE as u64, sector: 512, image: 0, least: 512 };
    let Ok(gap) = disk.gap(&mut Cursor::new(&image), &[]) else { return };
    let gap = gap.start..gap.start + gap.size;
    let meets = |claim: &Range<u64>| claim.start < claim.end && claim.start < gap.end && gap.start < claim.end;
    if input.good & 1 != 0 {
        assert!(!claims(input.tables[0]).any(|claim| meets(&claim)), "{gap:?} {input:?}");
    }
    // The copy counts where it is the same disk's, and where there is nothing else.
    let same = input.good >> 4 & 1 == input.good >> 5 & 1;
    if input.good & 2 != 0 && (same || input.good & 1 == 0) {
        assert!(!claims(input.tables[1]).any(|claim| meets(&claim)), "{gap:?}, the copy of {input:?}");
    }
    for entry in input.record.chunks_exact(16).filter(|entry| entry[4] != 0) {
        let number =
            |at: usize| u64::from(u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])) * 512;
        let guard = entry[4] == 0xee && number(8) == 512 && input.good & 1 != 0;
        assert!(guard || !meets(&(number(8)..number(8) + number(12))), "{gap:?} {input:?}");
    }
});

use super::*;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// A section: type, bytes of a record as its header has it, content.
type Section = (u32, u64, Vec<u8>);

/// A module with these sections, their headers behind them, and `end` behind those, as a signature is.
fn module(sections: &[Section], end: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    file[16] = 1;
    file[58] = 64;
    file[60..62].copy_from_slice(&u16::try_from(sections.len()).unwrap().to_le_bytes());
    let mut headers = Vec::new();
    for (kind, record, content) in sections {
        let mut header = [0; HEADER];
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[24..32].copy_from_slice(&(file.len() as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(content.len() as u64).to_le_bytes());
        header[56..64].copy_from_slice(&record.to_le_bytes());
        headers.extend(header);
        file.extend(content);
    }
    let at = (file.len() as u64).to_le_bytes();
    file[40..48].copy_from_slice(&at);
    [file, headers, end.to_vec()].concat()
}

/// Relocations as a compiler writes them: places that grow, two symbols, addends that grow for each.
fn relocations(count: u64) -> Vec<u8> {
    let record = |number: u64| {
        let (offset, symbol, addend) = (0x40 + number * 37, 3 + number % 2, number / 2 * 16 + number % 2 * 0x1_2345);
        [offset, symbol << 32 | 2, addend.wrapping_sub(4)].map(u64::to_le_bytes).concat()
    };
    (0..count).flat_map(record).collect()
}

fn sample() -> Vec<u8> {
    let mut random = Random(7);
    let sections = [
        (1, 0, random.bytes(100)),
        (4, 24, relocations(500)),
        (4, 24, random.bytes(24 * 40)),
        (2, 24, random.bytes(24 * 30)),
        (4, 24, Vec::new()),
    ];
    module(&sections, b"~Module signature appended~\n")
}

/// What it is for: long runs.
#[test]
fn a_table_becomes_runs_of_one_byte() {
    let packed = pack(module(&[(4, 24, relocations(500))], b""));
    assert!(packed.starts_with(&MARK));
    let runs = |bytes: &[u8]| bytes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    // Of 24 columns only the symbol's lowest changes all along.
    assert!(runs(&packed[64..64 + 12_000]) < 600, "{}", runs(&packed[64..64 + 12_000]));
    assert!(runs(&module(&[(4, 24, relocations(500))], b"")[64..64 + 12_000]) > 3_000);
}

#[test]
fn a_module_comes_back_byte_for_byte_with_its_signature() {
    let whole = sample();
    let packed = pack(whole.clone());
    assert!(packed.starts_with(&MARK) && packed.len() == whole.len());
    assert!(packed.ends_with(b"~Module signature appended~\n"));
    assert_eq!(unpack(packed), Ok(whole));
    let mut random = Random(99);
    for round in 0..200 {
        let mut sections: Vec<Section> = Vec::new();
        for number in 0..round % 7 + 1 {
            let (kind, rows) = ([4, 2, 1][number % 3], (random.next() % 50) as usize);
            sections.push((kind, 24, random.bytes(rows * 24)));
        }
        let whole = module(&sections, &random.bytes(round % 30));
        assert_eq!(unpack(pack(whole.clone())), Ok(whole), "{round}");
    }
}

#[test]
fn what_is_no_usual_module_stays_as_it_is() {
    let whole = sample();
    let altered = |at: usize, byte: u8| {
        let mut other = whole.clone();
        other[at] = byte;
        other
    };
    let overlapping = {
        let mut file = module(&[(4, 24, relocations(9)), (4, 24, relocations(9))], b"");
        let second = file.len() - HEADER;
        file[second + 24] -= 8;
        file
    };
    for (name, file) in [
        ("empty", Vec::new()),
        ("text", b"#!/bin/sh\n".to_vec()),
        ("mark alone", ELF.to_vec()),
        ("32 bits", altered(4, 1)),
        ("highest byte first", altered(5, 2)),
        ("a program", altered(16, 2)),
        ("headers of another length", altered(58, 40)),
        ("headers outside", altered(46, 1)),
        ("no sections", module(&[], b"")),
        ("no tables", module(&[(1, 0, vec![1; 48])], b"")),
        ("records of another length", module(&[(4, 12, vec![1; 48])], b"")),
        ("half a record", module(&[(4, 24, vec![1; 36])], b"")),
        ("tables that overlap", overlapping),
        ("cut off", whole[..200].to_vec()),
    ] {
        assert_eq!(pack(file.clone()), file, "{name}");
        assert_eq!(unpack(file.clone()), Ok(file), "{name}");
    }
}

/// It is an error, or comes back as something of the same length; it costs no more than a sound file.
#[test]
fn damaged_input_is_survived() {
    let packed = pack(sample());
    let mut errors = 0;
    for length in 0..packed.len() {
        errors += usize::from(unpack(packed[..length].to_vec()).is_err());
    }
    // From the mark to the last header.
    assert_eq!(errors, packed.len() - 4 - b"~Module signature appended~\n".len());
    let mut random = Random(3);
    for round in 0..20_000 {
        let mut file = packed.clone();
        for _ in 0..=round % 3 {
            // The headers of the file and of the sections are where it matters.
            let (near, far) = (random.next() as usize % 64, packed.len() - 1 - random.next() as usize % 350);
            file[if random.next() & 1 == 0 { near } else { far }] = random.next() as u8;
        }
        if let Ok(module) = unpack(file) {
            assert_eq!(module.len(), packed.len());
        }
    }
}

/// 60,000 headers that all name one table would be looked at for minutes.
#[test]
fn tables_are_together_no_longer_than_the_file() {
    let mut file = module(&vec![(4, 24, Vec::new()); 60_000], b"");
    let start = 64;
    for header in file[start..].chunks_exact_mut(HEADER) {
        header[24..32].copy_from_slice(&64_u64.to_le_bytes());
        header[32..40].copy_from_slice(&2_400_000_u64.to_le_bytes());
    }
    mark(&mut file, MARK);
    assert_eq!(unpack(file), Err(Error::Tables));
}

#[test]
fn a_dictionary_with_any_other_byte_is_refused() {
    let dictionary = Random(5).bytes(300);
    let stored = seal(&dictionary);
    assert_eq!(unseal(&stored), Ok(&dictionary[..]));
    for at in 0..stored.len() {
        let mut other = stored.clone();
        other[at] ^= 0x10;
        assert_eq!(unseal(&other), Err(Error::Dictionary), "{at}");
        assert_eq!(unseal(&stored[..at]), Err(Error::Dictionary), "{at}");
    }
    // Its lower half ends a frame of zstd: printf abc | zstd --check | tail -c4 | xxd.
    assert_eq!(seal(b"abc")[4..12], 0x44bc_2cf5_ad77_0999_u64.to_le_bytes());
}

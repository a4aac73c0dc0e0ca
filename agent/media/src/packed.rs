//! How a native initramfs stores a kernel module before it is compressed, and the dictionary that all compressed ones share.
//!
//! Nearly half of a module is tables of records with 24 bytes each: relocations and symbols (elf(5)). Written record by record they look
//! like noise to a compressor. Written column by column, all first bytes, then all second ones, most columns are runs of one byte. Before
//! that, numbers that grow from record to record become differences:
//!
//! | table | field | becomes |
//! |---|---|---|
//! | `SHT_RELA` | `r_offset` | difference to that of the record before |
//! | `SHT_RELA` | `r_addend` | difference to that of the last record whose symbol has the same lowest eight bits |
//! | `SHT_SYMTAB` | `st_name` | difference to that of the record before |
//!
//! The first number of a table is a difference to 0. All arithmetic wraps. Every table stays where it was and as long as it was, and
//! nothing else changes but the mark at the start of the file: [`MARK`] takes the place of ELF's own. Which tables there are is read
//! from the headers of the sections, which stay as they are. What has other headers is stored as it is.
//!
//! A dictionary of zstd (RFC 8878, 5) is stored behind a mark and its own XXH64, seed 0, in little-endian order.

use std::ops::Range;

use twox_hash::XxHash64;

use crate::format::bytes::Fields;

/// In place of ELF's mark in a module with tables by columns. The last byte is the version of the form.
pub const MARK: [u8; 4] = *b"\x7fRL\x01";
/// In front of a dictionary. The last byte is the version of the form.
pub const DICTIONARY_MARK: [u8; 4] = *b"RLD\x01";

/// ELF's own mark (`e_ident`).
const ELF: [u8; 4] = *b"\x7fELF";
/// Words of 64 bits, the lowest byte first, of version 1; behind the mark.
const IDENT: [u8; 3] = [2, 1, 1];
/// `ET_REL` of elf(5): a file that is still to be linked.
const RELOCATABLE: u16 = 1;
/// Bytes of a section's header.
const HEADER: usize = 64;
/// Bytes of an `Elf64_Rela` and of an `Elf64_Sym`.
const RECORD: usize = 24;
/// `st_name` in the first eight bytes of a symbol.
const NAME: u64 = 0xffff_ffff;
/// Symbols that are told apart by [`Kind::Relocations`].
const SYMBOLS: usize = 256;
/// Bytes in front of a dictionary: the mark and the sum.
const DICTIONARY_HEADER: usize = 12;

/// Why stored bytes give no module and no dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A table lies outside of the file, or the headers are not those of a module.
    #[error("its tables are damaged")]
    Tables,
    /// It has not the sum that it is stored with, or no mark.
    #[error("it is damaged")]
    Dictionary,
}

/// What the records of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Relocations,
    Symbols,
}

/// To the stored form, or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Pack,
    Unpack,
}

impl Way {
    /// A number as a difference to the one before, or back; `last` is that number afterwards.
    fn step(self, number: u64, last: &mut u64) -> u64 {
        let other = match self {
            Self::Pack => number.wrapping_sub(*last),
            Self::Unpack => number.wrapping_add(*last),
        };
        *last = if self == Self::Pack { number } else { other };
        other
    }

    /// Numbers of all records as differences, or back.
    fn differences(self, kind: Kind, table: &mut [u8]) {
        let (mut last, mut addends) = (0, [0; SYMBOLS]);
        for record in table.as_chunks_mut::<RECORD>().0 {
            let [first, info, addend] = record.as_chunks_mut::<8>().0 else { continue };
            let number = u64::from_le_bytes(*first);
            match kind {
                Kind::Relocations => {
                    *first = self.step(number, &mut last).to_le_bytes();
                    // The upper half of r_info is the symbol's number.
                    let last = &mut addends[usize::from(info[4])];
                    *addend = self.step(u64::from_le_bytes(*addend), last).to_le_bytes();
                }
                Kind::Symbols => {
                    // A carry beyond the name's 32 bits is dropped, both ways.
                    let name = self.step(number & NAME, &mut last) & NAME;
                    *first = (number & !NAME | name).to_le_bytes();
                }
            }
        }
    }
}

/// The module as it is stored: tables by columns. What is no module of the usual form comes back as it is.
///
/// `module` begins with ELF's mark, as every module does that the kernel takes; a file with [`MARK`] instead would be taken for packed.
#[must_use]
pub fn pack(module: Vec<u8>) -> Vec<u8> {
    let Some(tables) = tables(&module, ELF) else { return module };
    let mut packed = module.clone();
    let mut columns = Vec::new();
    for (range, kind) in tables {
        let Some(table) = packed.get_mut(range) else { return module };
        Way::Pack.differences(kind, table);
        columns.clear();
        columns.extend((0..RECORD).flat_map(|at| table.iter().skip(at).step_by(RECORD)));
        table.copy_from_slice(&columns);
    }
    mark(&mut packed, MARK);
    // Tables that overlap each other or a header do not come back; no compiler writes such a file.
    if unpack(packed.clone()).as_ref() == Ok(&module) { packed } else { module }
}

/// The module that was stored, byte for byte; what [`pack`] has left as it is stays so. Needs room for the longest table besides.
///
/// # Errors
/// [`Error::Tables`] if the stored bytes are damaged so that no tables are found. Other damage has to be found by a checksum.
pub fn unpack(mut stored: Vec<u8>) -> Result<Vec<u8>, Error> {
    if !stored.starts_with(&MARK) {
        return Ok(stored);
    }
    let mut columns = Vec::new();
    for (range, kind) in tables(&stored, MARK).ok_or(Error::Tables)? {
        let table = stored.get_mut(range).ok_or(Error::Tables)?;
        columns.clear();
        columns.extend_from_slice(table);
        for (at, column) in columns.chunks_exact(table.len() / RECORD).enumerate() {
            let at = at % RECORD;
            for (record, byte) in table.as_chunks_mut::<RECORD>().0.iter_mut().zip(column) {
                record[at] = *byte;
            }
        }
        Way::Unpack.differences(kind, table);
    }
    mark(&mut stored, ELF);
    Ok(stored)
}

fn mark(file: &mut [u8], mark: [u8; 4]) {
    for (to, from) in file.iter_mut().zip(mark) {
        *to = from;
    }
}

/// Where the tables are and of which kind; none of them is empty. `None` for all but a relocatable file of ELF with 64 bits that has
/// some, each of them within the file.
fn tables(file: &[u8], mark: [u8; 4]) -> Option<Vec<(Range<usize>, Kind)>> {
    let usual = file.has(0, &mark) && file.has(4, &IDENT) && file.le16(16)? == RELOCATABLE;
    (usual && usize::from(file.le16(58)?) == HEADER).then_some(())?;
    let (start, sections) = (usize::try_from(file.le64(40)?).ok()?, usize::from(file.le16(60)?));
    let headers = file.span(start, sections * HEADER)?;
    let (mut tables, mut left) = (Vec::new(), file.len());
    for header in headers.chunks_exact(HEADER) {
        let kind = match header.le32(4)? {
            4 => Kind::Relocations,
            2 => Kind::Symbols,
            _ => continue,
        };
        let (at, length) = (usize::try_from(header.le64(24)?).ok()?, usize::try_from(header.le64(32)?).ok()?);
        if length > 0 {
            (header.le64(56)? == RECORD as u64 && length.is_multiple_of(RECORD)).then_some(())?;
            file.span(at, length)?;
            // Together they are no longer than the file, so that damaged headers cost no more time than sound ones.
            left = left.checked_sub(length)?;
            tables.push((at..at + length, kind));
        }
    }
    (!tables.is_empty()).then_some(tables)
}

/// A dictionary as it is stored: with a mark and its sum in front.
#[must_use]
pub fn seal(dictionary: &[u8]) -> Vec<u8> {
    [&DICTIONARY_MARK[..], &XxHash64::oneshot(0, dictionary).to_le_bytes(), dictionary].concat()
}

/// The dictionary that was stored by [`seal`].
///
/// # Errors
/// [`Error::Dictionary`] if any of its bytes is another one.
pub fn unseal(stored: &[u8]) -> Result<&[u8], Error> {
    let (header, dictionary) = stored.split_at_checked(DICTIONARY_HEADER).ok_or(Error::Dictionary)?;
    let sound = header.has(0, &DICTIONARY_MARK) && header.le64(4) == Some(XxHash64::oneshot(0, dictionary));
    sound.then_some(dictionary).ok_or(Error::Dictionary)
}

#[cfg(test)]
mod tests;

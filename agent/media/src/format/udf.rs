//! UDF (ECMA-167): recognised by its volume recognition sequence at 32 KiB, named by its volume descriptors.

use std::io::{Read, Seek};

use super::bytes::Fields;
use super::source::Source;
use super::{Kind, Superblock, text};

const START: usize = 0x8000;
/// Descriptors of 2 KiB up to the end of the sequence's usual 32 KiB.
const SLOTS: usize = 16;

/// The block of the anchor, which names the others.
const ANCHOR: u32 = 256;
/// Blocks may be as long as the sectors of the device; 2 KiB is the length on discs.
const BLOCKS: [u32; 4] = [2048, 512, 4096, 1024];
/// Bytes of the descriptor sequence that are looked at; it has 16 blocks at least, and most have no more.
const SEQUENCE: u32 = 64 << 10;
/// A descriptor is in the first 512 bytes of its block.
const DESCRIPTOR: usize = 512;

/// Identifiers of descriptor tags (ECMA-167 3/7.2.1).
mod tag {
    pub const PRIMARY: u16 = 1;
    pub const ANCHOR: u16 = 2;
    pub const PARTITION: u16 = 5;
    pub const LOGICAL: u16 = 6;
    pub const END: u16 = 8;
}

/// What the descriptors cannot tell, or a device that fails there, leaves the kind alone.
pub(super) fn probe<R: Read + Seek>(source: &mut Source<R>) -> Option<Superblock> {
    if !is_udf(&source.head)? {
        return None;
    }
    BLOCKS.iter().find_map(|block| described(source, *block)).or_else(|| Some(Superblock::new(Kind::Udf)))
}

fn is_udf(head: &[u8]) -> Option<bool> {
    let mut begun = false;
    for slot in 0..SLOTS {
        match head.span(START + slot * 2048 + 1, 5)? {
            b"BEA01" => begun = true,
            b"NSR02" | b"NSR03" if begun => return Some(true),
            _ => {}
        }
    }
    Some(false)
}

/// The volume as its descriptors have it, if blocks are so long.
fn described<R: Read + Seek>(source: &mut Source<R>, block: u32) -> Option<Superblock> {
    let at = |number: u32| u64::from(number) * u64::from(block);
    let anchor = source.read("the UDF anchor", at(ANCHOR), DESCRIPTOR).ok()?;
    if !is_tagged(&anchor, tag::ANCHOR, ANCHOR) {
        return None;
    }
    let (length, first) = (anchor.le32(16)?.min(SEQUENCE), anchor.le32(20)?);
    let sequence = source.read("the UDF descriptors", at(first), usize::try_from(length).ok()?).ok()?;
    let mut found = Superblock { block_size: Some(block), ..Superblock::new(Kind::Udf) };
    for (number, descriptor) in (first..).zip(sequence.chunks(usize::try_from(block).ok()?)) {
        let is = |wanted| is_tagged(descriptor, wanted, number);
        if is(tag::PRIMARY) {
            found.uuid = descriptor.span(72, 128).and_then(dstring).and_then(|set| uuid(&set));
        } else if is(tag::LOGICAL) {
            found.label = descriptor.span(84, 128).and_then(dstring);
        } else if is(tag::PARTITION) {
            let end = descriptor.le32(188)?.checked_add(descriptor.le32(192)?);
            found.size = end.map(at);
        } else if is(tag::END) {
            break;
        }
    }
    Some(found)
}

/// Whether a descriptor is of this kind, with the sum of its tag right, and where it says it is.
fn is_tagged(descriptor: &[u8], wanted: u16, block: u32) -> bool {
    let Some(tag) = descriptor.span(0, 16) else { return false };
    let sum = tag.iter().enumerate().filter(|(at, _)| *at != 4).fold(0u8, |sum, (_, byte)| sum.wrapping_add(*byte));
    tag.le16(0) == Some(wanted) && tag.u8(4) == Some(sum) && tag.le32(12) == Some(block)
}

/// A text whose first byte says how wide its characters are and whose last one how many bytes it has (OSTA UDF 2.1.3).
fn dstring(field: &[u8]) -> Option<String> {
    let (length, field) = field.split_last()?;
    let (width, characters) = field.get(..usize::from(*length))?.split_first()?;
    match width {
        8 => text::utf16(characters.iter().map(|byte| u16::from(*byte))),
        16 => text::utf16(text::units_be(characters)),
        _ => None,
    }
}

/// The 16 characters that udev has as `ID_FS_UUID`: the first ones of the volume set's name where those are hexadecimal, as OSTA UDF
/// 2.2.2.5 wants them; bytes as hexadecimal digits in place of those that are not.
fn uuid(set: &str) -> Option<String> {
    let bytes = set.as_bytes().get(..8)?;
    let digits = set.bytes().take(16).take_while(u8::is_ascii_hexdigit).count();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let kept = |count| set.get(..count).map(str::to_ascii_lowercase);
    match digits {
        16 => kept(16),
        8..16 => Some(kept(8)? + &hex(set.as_bytes().get(8..12)?)),
        _ => Some(hex(bytes)),
    }
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
    use std::io::Cursor;
    use std::process::Command;

    use super::*;
    use crate::format::identify;

    fn found(image: Vec<u8>) -> Option<Superblock> {
        identify(&mut Cursor::new(image)).unwrap()
    }

    #[test]
    fn sequence_must_begin() {
        let mut image = sample();
        assert_eq!(found(image.clone()).map(|f| f.kind), Some(Kind::Udf));
        image[START + 1] = b'X';
        assert_eq!(found(image), None);
    }

    /// As mkudffs makes them, and as udev names them.
    #[test]
    fn label_and_uuid_are_those_of_udev() {
        let dir = tempfile::tempdir().unwrap();
        for (block, label, set) in [
            ("512", "LIVE", "0123456789ABCDEFLinuxUDF"),
            ("1024", "Größe", "0123456789abcdef"),
            ("2048", "日本 live", "01234567xy-and more"),
            ("4096", "a b", "no hex at all"),
            ("2048", "x", "short"),
        ] {
            let path = dir.path().join("volume");
            let file = std::fs::File::create(&path).unwrap();
            file.set_len(8 << 20).unwrap();
            let run = |command: &mut Command| command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
            let made = run(Command::new("mkudffs")
                .args(["-b", block, &format!("--label={label}"), &format!("--fullvsid={set}")])
                .arg(&path));
            assert!(made.status.success(), "{made:?}");
            let image = std::fs::read(&path).unwrap();
            let of_udev = |name| {
                let said = run(Command::new("blkid").args(["-p", "-o", "value", "-s", name]).arg(&path));
                Some(String::from_utf8(said.stdout).unwrap().trim().to_owned()).filter(|text| !text.is_empty())
            };
            let superblock = found(image.clone()).unwrap();
            assert_eq!(superblock.label, of_udev("LABEL"), "{block} {label}");
            assert_eq!(superblock.label.as_deref(), Some(label));
            assert_eq!(superblock.uuid, of_udev("UUID"), "{block} {set}");
            assert_eq!(superblock.block_size.map(|size| size.to_string()).as_deref(), Some(block));
            assert_eq!(superblock.truncated(8 << 20), None);
            assert!(superblock.truncated(4 << 20).is_some(), "{:?}", superblock.size);
        }
    }

    #[test]
    fn no_descriptor_takes_the_reader_out_of_its_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("volume");
        std::fs::File::create(&path).unwrap().set_len(2 << 20).unwrap();
        assert!(Command::new("mkudffs").args(["-b", "512"]).arg(&path).output().unwrap().status.success());
        let whole = std::fs::read(&path).unwrap();
        let anchor = 256 * 512;
        let first = whole.le32(anchor + 20).unwrap() as usize * 512;
        for at in (anchor..anchor + 32).chain(first..first + 4 * 512) {
            for byte in [0, 0xff] {
                let mut image = whole.clone();
                image[at] = byte;
                assert_eq!(found(image).map(|f| f.kind), Some(Kind::Udf), "{at}");
            }
        }
        assert_eq!(found(whole[..anchor + 8].to_vec()).and_then(|f| f.label), None);
    }
}

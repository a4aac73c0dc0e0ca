//! Unpacks `.xz`, `.zst` and `.gz` while the bytes come. The decoders read; what comes is pushed: each has a thread of its own, which
//! asks for more when it has used what it got, so that no more than a piece is held.

use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use crate::sniff::Packing;
use crate::transfer::{Take, Unpack};

/// Unpacked bytes that are handed on at a time.
const PIECE: usize = 64 << 10;
/// Pieces that wait to be handed on.
const WAITING: usize = 4;
/// The largest dictionary: what `xz -9` and `zstd --ultra -22` make needs 64 MiB and 128 MiB. The decoder of `.zst` has the same limit.
const MOST: u64 = 128 << 20;
/// The header of an `.xz` stream and the largest one of a block (The .xz File Format 1.2.1, 2.1.1 and 3.1).
const XZ_HEAD: usize = 12 + 1024;

/// What unpacks this.
///
/// # Errors
/// No thread can be started.
pub fn unpacker(packing: Packing) -> io::Result<Box<dyn Unpack>> {
    let (packed, pieces) = mpsc::channel();
    let (says, said) = mpsc::sync_channel(WAITING);
    let source = Source { pieces, says: says.clone(), piece: Vec::new(), at: 0, has_begun: false, is_over: false };
    let work = move || {
        let result = decode(packing, source, &says);
        // Who does not listen any more has given up.
        let _ = says.send(Said::Over(result));
    };
    thread::Builder::new().name("unpack".into()).spawn(work)?;
    Ok(Box::new(Unpacker { packed: Some(packed), said, over: false }))
}

/// What the thread says.
enum Said {
    /// It needs more.
    Hungry,
    /// These bytes come out.
    Bytes(Vec<u8>),
    /// It is at the end, or the stream is damaged.
    Over(io::Result<()>),
}

struct Unpacker {
    /// `None`: there are no more.
    packed: Option<Sender<Vec<u8>>>,
    said: Receiver<Said>,
    over: bool,
}

impl Unpacker {
    /// Takes what comes out until more is needed. It is over, or damaged, before all was given where something else is behind the end.
    fn pump(&mut self, take: Take<'_>) -> io::Result<()> {
        while !self.over {
            match self.said.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))? {
                Said::Hungry => return Ok(()),
                Said::Bytes(bytes) => take(&bytes)?,
                Said::Over(result) => {
                    self.over = true;
                    result?;
                }
            }
        }
        Ok(())
    }
}

impl Unpack for Unpacker {
    fn unpack(&mut self, packed: &[u8], take: Take<'_>) -> io::Result<()> {
        // What is behind the end means nothing, as with the programs of these formats.
        if packed.is_empty() || self.over {
            return Ok(());
        }
        if let Some(sender) = &self.packed {
            // The thread ends only with what it says then.
            let _ = sender.send(packed.to_vec());
        }
        self.pump(take)
    }

    fn finish(&mut self, take: Take<'_>) -> io::Result<()> {
        self.packed = None;
        self.pump(take)
    }
}

/// The packed bytes, as a decoder reads them. A read gives all that is asked for, short only at the end: decoders take a short one for
/// the end of the stream.
struct Source {
    pieces: Receiver<Vec<u8>>,
    says: SyncSender<Said>,
    piece: Vec<u8>,
    at: usize,
    has_begun: bool,
    /// There are no more pieces.
    is_over: bool,
}

impl Source {
    /// Makes sure that there is something, unless there is nothing more.
    fn fill(&mut self) -> io::Result<bool> {
        while self.at == self.piece.len() {
            // The first one comes by itself. Each other one is asked for when the one before is used up: who gives it waits for that.
            if std::mem::replace(&mut self.has_begun, true) && !self.is_over {
                self.says.send(Said::Hungry).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            }
            let Ok(piece) = self.pieces.recv() else {
                self.is_over = true;
                return Ok(false);
            };
            (self.piece, self.at) = (piece, 0);
        }
        Ok(true)
    }
}

impl Source {
    /// The next bytes, so many if there are, which stay there.
    fn peek(&mut self, bytes: usize) -> io::Result<&[u8]> {
        let mut head = vec![0; bytes];
        let read = self.read(&mut head)?;
        head.truncate(read);
        head.extend_from_slice(&self.piece[self.at..]);
        (self.piece, self.at) = (head, 0);
        Ok(&self.piece)
    }
}

impl Read for Source {
    fn read(&mut self, wanted: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < wanted.len() && self.fill()? {
            let rest = &self.piece[self.at..];
            let some = rest.len().min(wanted.len() - done);
            wanted[done..done + some].copy_from_slice(&rest[..some]);
            (done, self.at) = (done + some, self.at + some);
        }
        Ok(done)
    }
}

fn decode(packing: Packing, mut source: Source, says: &SyncSender<Said>) -> io::Result<()> {
    match packing {
        Packing::Xz => match xz_dictionary(source.peek(XZ_HEAD)?) {
            Some(bytes) if bytes > MOST => Err(io::Error::other(format!(
                "it needs {} MiB to be unpacked, {} are allowed; xz -9 needs 64",
                bytes >> 20,
                MOST >> 20
            ))),
            _ => hand_on(&mut XzReader::new(source, true), says),
        },
        Packing::Gzip => hand_on(&mut MultiGzDecoder::new(source), says),
        Packing::Zstd => frames(source, says),
    }
}

/// Bytes that the first block of an `.xz` stream needs to be unpacked, which its decoder would take without asking (The .xz File Format
/// 1.2.1, 3.1 and 5.3.1: the last filter is LZMA2, whose property is the size). `None`: it is not such a stream, as the decoder will say.
fn xz_dictionary(head: &[u8]) -> Option<u64> {
    let header = head.get(12..)?;
    let length = (usize::from(*header.first()?) + 1) * 4;
    let mut rest = header.get(1..length)?.iter().copied();
    let flags = rest.next()?;
    let number = |rest: &mut dyn Iterator<Item = u8>| {
        let mut value = 0_u64;
        for shift in (0..63).step_by(7) {
            let byte = rest.next()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    };
    for _ in 0..(flags >> 6).count_ones() {
        number(&mut rest)?;
    }
    for _ in 0..=flags & 3 {
        let (filter, size) = (number(&mut rest)?, number(&mut rest)?);
        let property = if size > 0 { rest.next() } else { None };
        if filter == 0x21 {
            let bits = u32::from(property?);
            return Some((2 | u64::from(bits & 1)) << (bits.min(40) / 2 + 11));
        }
        for _ in 1..size {
            rest.next()?;
        }
    }
    None
}

fn hand_on(decoder: &mut dyn Read, says: &SyncSender<Said>) -> io::Result<()> {
    loop {
        let mut piece = vec![0; PIECE];
        let read = decoder.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        piece.truncate(read);
        says.send(Said::Bytes(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
    }
}

/// A `.zst` file has any number of frames, of which some hold nothing (RFC 8878 3.1).
fn frames(mut source: Source, says: &SyncSender<Said>) -> io::Result<()> {
    while source.fill()? {
        // The same type as for kernel modules, so that the decoder is in the binary once.
        let reader: &mut dyn Read = &mut source;
        let mut decoder = match StreamingDecoder::new(reader) {
            Ok(decoder) => decoder,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                io::copy(&mut (&mut source).take(length.into()), &mut io::sink())?;
                continue;
            }
            Err(error) => return Err(io::Error::other(error)),
        };
        hand_on(&mut decoder, says)?;
        // A frame without a checksum has none to compare.
        let decoder = decoder.into_frame_decoder();
        if let (Some(expected), Some(found)) = (decoder.get_checksum_from_data(), decoder.get_calculated_checksum())
            && expected != found
        {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is wrong"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::faulty::image;

    /// What the program of a format makes of bytes.
    fn packed(program: &str, options: &[&str], bytes: &[u8]) -> Vec<u8> {
        let mut child = Command::new(program)
            .args(options)
            .arg("-c")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let (mut stdin, bytes) = (child.stdin.take().unwrap(), bytes.to_vec());
        let writer = thread::spawn(move || stdin.write_all(&bytes));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success());
        output.stdout
    }

    fn unpacked(packing: Packing, packed: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let mut unpacker = unpacker(packing)?;
        let mut found = Vec::new();
        let mut take = |bytes: &[u8]| {
            found.extend_from_slice(bytes);
            Ok(())
        };
        packed.chunks(piece).try_for_each(|piece| unpacker.unpack(piece, &mut take))?;
        unpacker.finish(&mut take)?;
        Ok(found)
    }

    fn samples() -> [(Packing, Vec<u8>, Vec<u8>); 3] {
        let bytes = image(1_000_003);
        let make = |packing, program, options: &[&str]| (packing, packed(program, options, &bytes), bytes.clone());
        [
            make(Packing::Xz, "xz", &["-6", "--check=crc32"]),
            make(Packing::Zstd, "zstd", &["-q", "--check"]),
            make(Packing::Gzip, "gzip", &[]),
        ]
    }

    #[test]
    fn what_the_usual_programs_pack_in_pieces_of_any_size() {
        for (packing, packed, bytes) in samples() {
            for piece in [1 << 20, 65536, 4097, 7] {
                assert!(unpacked(packing, &packed, piece).unwrap() == bytes, "{packing:?} {piece}");
            }
            // Two files one behind the other are one.
            let twice = [packed.as_slice(), packed.as_slice()].concat();
            assert_eq!(unpacked(packing, &twice, 65536).unwrap().len(), 2 * bytes.len(), "{packing:?}");
        }
    }

    #[test]
    fn what_is_damaged_or_cut_is_no_image() {
        for (packing, packed, _) in samples() {
            for cut in [packed.len() - 1, packed.len() / 2, 20] {
                assert!(unpacked(packing, &packed[..cut], 4096).is_err(), "{packing:?} cut at {cut}");
            }
            for at in [packed.len() / 3, packed.len() / 2, packed.len() - 2] {
                let mut damaged = packed.clone();
                damaged[at] ^= 0x10;
                assert!(unpacked(packing, &damaged, 65536).is_err(), "{packing:?} damaged at {at} of {}", packed.len());
            }
        }
    }

    #[test]
    fn a_dictionary_that_nobody_has_room_for_is_refused() {
        let (_, packed, _) = samples().into_iter().next().unwrap();
        assert_eq!(xz_dictionary(&packed), Some(8 << 20), "xz -6");
        // Sizes in front of the filters, and a filter in front of LZMA2: BCJ for x86.
        let with = [&[0; 12][..], &[4, 0xc1, 0x80, 1, 5, 4, 0, 0x21, 1, 28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(xz_dictionary(&with), Some(64 << 20));
        for cut in 0..with.len() {
            assert_eq!(xz_dictionary(&with[..cut]), None, "{cut}");
        }
        let mut lies = packed.clone();
        let at = lies.windows(3).position(|bytes| bytes == [0x21, 1, 22]).unwrap();
        for (property, words) in [(26, None), (36, Some("1024 MiB")), (40, Some("4096 MiB"))] {
            lies[at + 2] = property;
            // The header has a checksum.
            let end = 12 + (usize::from(lies[12]) + 1) * 4;
            let mut crc = flate2::Crc::new();
            crc.update(&lies[12..end - 4]);
            lies[end - 4..end].copy_from_slice(&crc.sum().to_le_bytes());
            let result = unpacked(Packing::Xz, &lies, 100);
            match words {
                None => assert!(result.is_ok(), "{property}: {result:?}"),
                Some(words) => assert!(result.unwrap_err().to_string().contains(words), "{property}"),
            }
        }
    }

    #[test]
    fn frames_that_hold_nothing_are_skipped() {
        let (packing, packed, bytes) = samples().into_iter().nth(1).unwrap();
        let skipped = [b"\x51\x2a\x4d\x18\x05\0\0\0hello".as_slice(), &packed].concat();
        assert!(unpacked(packing, &skipped, 5).unwrap() == bytes);
        // More memory than any of our machines gives it is not asked for: a window of 2 GiB.
        assert!(unpacked(packing, b"\x28\xb5\x2f\xfd\x00\xa8\x01\0\0", 5).is_err());
    }

    #[test]
    fn who_does_not_take_it_ends_it() {
        let (packing, packed, _) = samples().into_iter().next().unwrap();
        let mut unpacker = unpacker(packing).unwrap();
        let error = unpacker.unpack(&packed, &mut |_| Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn noise_ends_without_a_panic() {
        let mut seed = 7_u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize
        };
        for (packing, packed, _) in samples() {
            for _ in 0..60 {
                let mut noise = packed[..packed.len().min(3000)].to_vec();
                for _ in 0..4 {
                    let at = random() % noise.len();
                    noise[at] = random() as u8;
                }
                let _ = unpacked(packing, &noise, 1 + random() % 900);
            }
        }
    }
}

//! Real images with altered bytes, exactly where the readers look: nothing may panic, hang or read without end.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use rdlive::format::iso9660::Volume;
use rdlive::format::{identify, identify_all, partition};

use crate::{iso, superblocks};

const ROUNDS: usize = 300;
/// Bytes that all readers together may read from one image.
const LIMIT: u64 = 16 << 20;

/// A file with some bytes replaced and its end cut off, which notes what is read.
struct Altered<'a> {
    file: &'a File,
    at: u64,
    len: u64,
    patches: Vec<(u64, u8)>,
    seen: RefCell<Vec<(u64, u64)>>,
    bytes: u64,
}

impl<'a> Altered<'a> {
    fn new(file: &'a File, len: u64, patches: Vec<(u64, u8)>) -> Self {
        Self { file, at: 0, len, patches, seen: RefCell::default(), bytes: 0 }
    }
}

impl Read for Altered<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let room = self.len.saturating_sub(self.at).min(buf.len() as u64) as usize;
        let read = std::os::unix::fs::FileExt::read_at(self.file, &mut buf[..room], self.at)?;
        for (place, value) in &self.patches {
            if let Some(byte) = place.checked_sub(self.at).and_then(|i| buf[..read].get_mut(i as usize)) {
                *byte = *value;
            }
        }
        self.seen.borrow_mut().push((self.at, read as u64));
        self.at += read as u64;
        self.bytes += read as u64;
        Ok(read)
    }
}

impl Seek for Altered<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) if at <= i64::MAX as u64 => at,
            SeekFrom::Start(_) => return Err(io::ErrorKind::InvalidInput.into()),
            SeekFrom::End(by) => self.len.saturating_add_signed(by),
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
        };
        Ok(self.at)
    }
}

fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}

fn read_all(input: &mut Altered) {
    let _ = identify(input);
    let _ = identify_all(input);
    let len = input.len;
    let _ = partition::table(input, len);
    if let Ok(mut volume) = Volume::open(input) {
        let _ = volume.boot_entries();
        let _ = volume.list("/");
        let _ = volume.read("/LiveOS/squashfs.img", 1 << 20);
        let _ = volume.find("/a/b/c/d/e/f/g/h/i/j/deep.txt");
    }
}

fn mutate(image: &Path) {
    let file = File::open(image).unwrap();
    let len = file.metadata().unwrap().len();
    let mut clean = Altered::new(&file, len, Vec::new());
    read_all(&mut clean);
    // Only bytes that are not zero are worth altering; an empty place says the same whatever it holds.
    let mut places: Vec<u64> = Vec::new();
    for (at, read) in clean.seen.borrow().iter() {
        let mut bytes = vec![0; *read as usize];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, *at).unwrap();
        places.extend((*at..).zip(bytes).filter(|(_, b)| *b != 0).map(|(place, _)| place));
    }
    places.sort_unstable();
    places.dedup();
    assert!(!places.is_empty(), "{}", image.display());

    let mut random = 0x2545_f491_4f6c_dd1d;
    for round in 0..ROUNDS {
        let mut patches = Vec::new();
        for _ in 0..=next(&mut random) % 8 {
            let place = places[next(&mut random) as usize % places.len()];
            let neighbour = place + next(&mut random) % 8;
            patches
                .push((neighbour, [0, 1, 0x7f, 0x80, 0xff, next(&mut random) as u8][next(&mut random) as usize % 6]));
        }
        let cut = if next(&mut random).is_multiple_of(5) { next(&mut random) % len } else { len };
        let mut input = Altered::new(&file, cut, patches);
        read_all(&mut input);
        assert!(input.bytes <= LIMIT, "{} round {round}: {} bytes", image.display(), input.bytes);
    }
}

#[test]
fn altered_images_of_every_kind() {
    let dir = tempfile::tempdir().unwrap();
    for image in superblocks::all(dir.path()) {
        mutate(&image);
    }
}

#[test]
fn altered_hybrid_iso() {
    let dir = tempfile::tempdir().unwrap();
    mutate(&iso::hybrid(dir.path()));
}

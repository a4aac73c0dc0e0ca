use super::*;
use std::io::Cursor;

struct Row<'a> {
    name: &'a [u8],
    flags: u8,
    block: u32,
    size: u32,
    system_use: Vec<u8>,
}

fn row(name: &[u8], flags: u8, block: u32, size: u32) -> Row<'_> {
    Row { name, flags, block, size, system_use: Vec::new() }
}

fn with_nm<'a>(row: Row<'a>, name: &str) -> Row<'a> {
    let mut nm = vec![b'N', b'M', 5 + name.len() as u8, 1, 0];
    nm.extend_from_slice(name.as_bytes());
    Row { system_use: nm, ..row }
}

fn put_directory(image: &mut [u8], block: usize, rows: &[Row]) {
    let mut at = block * 2048;
    for row in rows {
        let pad = usize::from(row.name.len().is_multiple_of(2));
        let len = 33 + row.name.len() + pad + row.system_use.len();
        let record = &mut image[at..at + len];
        record[0] = len as u8;
        record[2..6].copy_from_slice(&row.block.to_le_bytes());
        record[10..14].copy_from_slice(&row.size.to_le_bytes());
        record[25] = row.flags;
        record[32] = row.name.len() as u8;
        record[33..33 + row.name.len()].copy_from_slice(row.name);
        record[len - row.system_use.len()..].copy_from_slice(&row.system_use);
        at += len;
    }
}

/// A volume with Rock Ridge, a directory, a file in two pieces, and a boot catalog.
pub(in crate::format) fn sample() -> Vec<u8> {
    let mut image = super::super::descriptors_sample();
    image.resize(40 * 2048, 0);
    let root = 16 * 2048 + 156;
    image[root + 2] = 20;
    image[root + 10..root + 14].copy_from_slice(&2048u32.to_le_bytes());
    image[17 * 2048..18 * 2048].fill(0);
    image[17 * 2048..17 * 2048 + 7].copy_from_slice(b"\0CD001\x01");
    image[17 * 2048 + 7..17 * 2048 + 30].copy_from_slice(b"EL TORITO SPECIFICATION");
    image[17 * 2048 + 0x47] = 19;
    el_torito::tests::put_catalog(&mut image[19 * 2048..20 * 2048]);

    let dot = Row { system_use: b"SP\x07\x01\xbe\xef\x00".to_vec(), ..row(b"\0", 2, 20, 2048) };
    put_directory(
        &mut image,
        20,
        &[
            dot,
            row(b"\x01", 2, 20, 2048),
            with_nm(row(b"LIVEOS", 2, 21, 2048), "LiveOS"),
            with_nm(row(b"BIG.;1", 0x80, 23, 4096), "big"),
            with_nm(row(b"BIG.;1", 0, 25, 10), "big"),
            with_nm(row(b"TORN.;1", 0x80, 23, 2048), "torn"),
            with_nm(row(b"TORN.;1", 0, 30, 10), "torn"),
        ],
    );
    put_directory(
        &mut image,
        21,
        &[
            row(b"\0", 2, 21, 2048),
            row(b"\x01", 2, 20, 2048),
            with_nm(row(b"SQUASHFS.IMG;1", 0, 22, 5), "squashfs.img"),
        ],
    );
    image[22 * 2048..22 * 2048 + 5].copy_from_slice(b"hello");
    image
}

fn open(image: Vec<u8>) -> Volume<Cursor<Vec<u8>>> {
    Volume::open(Cursor::new(image)).unwrap()
}

#[test]
fn rock_ridge_paths() {
    let mut volume = open(sample());
    for (path, expected) in [
        ("/LiveOS/squashfs.img", Some((22, 5, false))),
        ("LiveOS//./squashfs.img", Some((22, 5, false))),
        ("/LiveOS", Some((21, 2048, true))),
        ("/", Some((20, 2048, true))),
        ("/big", Some((23, 4106, false))),
        ("/liveos/squashfs.img", None),
        ("/LiveOS/squashfs.img/x", None),
        ("/LiveOS/../big", None),
    ] {
        let found = volume.find(path).unwrap();
        let found = found.map(|e| (e.offset / 2048, e.size, e.is_dir));
        assert_eq!(found, expected, "{path}");
    }
    assert_eq!(volume.read("/LiveOS/squashfs.img", 5).unwrap(), b"hello");
}

#[test]
fn plain_names_without_case() {
    let mut image = sample();
    image[20 * 2048 + 34] = b'X';
    let mut volume = open(image);
    assert!(volume.find("/LiveOS/squashfs.img").unwrap().is_some());
    let names: Vec<_> = volume.list("/").unwrap().unwrap();
    let names: Vec<_> = names.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["liveos", "big", "torn"]);
}

#[test]
fn scattered_files_are_read_but_are_no_extent() {
    let mut volume = open(sample());
    assert!(matches!(volume.find("/torn"), Err(Error::Scattered(_))));
    assert_eq!(volume.read("/torn", 4096).unwrap().len(), 2058);
    assert!(matches!(volume.read("/torn", 10), Err(Error::TooLarge { size: 2058, .. })));
}

#[test]
fn truncated_and_damaged() {
    let mut image = sample();
    image.truncate(22 * 2048 + 2);
    let mut volume = open(image);
    assert!(matches!(volume.read("/LiveOS/squashfs.img", 100), Err(Error::Truncated { missing: 3, .. })));
    let mut image = sample();
    image[21 * 2048] = 0xff;
    image[21 * 2048 + 32] = 0xff;
    let mut volume = open(image);
    assert!(matches!(volume.find("/LiveOS/x"), Err(Error::Directory { .. })));
    let deep = "a/".repeat(MAX_DEPTH + 1);
    assert!(volume.find(&deep).unwrap().is_none());
}

/// Counts the reads.
struct Counting {
    inner: Cursor<Vec<u8>>,
    reads: usize,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.reads += 1;
        self.inner.read(buffer)
    }
}

impl Seek for Counting {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}

/// A volume whose root is as long as is looked at, filled with one record.
fn crowded(record: &Row) -> Volume<Counting> {
    let mut image = sample();
    image.resize(64 * 2048, 0);
    image.resize(image.len() + MAX_DIRECTORY as usize, 0);
    let root = 16 * 2048 + 156;
    image[root + 2] = 64;
    image[root + 10..root + 14].copy_from_slice(&(MAX_DIRECTORY as u32).to_le_bytes());
    // A continuation that goes on in itself.
    let mut area = b"CE\x1c\x01".to_vec();
    for number in [22u32, 0, 2048] {
        area.extend([number.to_le_bytes(), number.to_be_bytes()].concat());
    }
    image[22 * 2048..22 * 2048 + area.len()].copy_from_slice(&area);
    let announced = Row { system_use: b"SP\x07\x01\xbe\xef\x00".to_vec(), ..row(b"\0", 2, 64, 2048) };
    put_directory(&mut image, 64, &[announced]);
    let len = 33 + record.name.len() + record.system_use.len();
    for block in 65..64 + MAX_DIRECTORY as usize / 2048 {
        let copies: Vec<_> =
            (0..2048 / len).map(|_| Row { system_use: record.system_use.clone(), ..*record }).collect();
        put_directory(&mut image, block, &copies);
    }
    Volume::open(Counting { inner: Cursor::new(image), reads: 0 }).unwrap()
}

#[test]
fn f13_a_crowded_directory_is_refused_before_it_costs_much() {
    let mut endless = b"CE\x1c\x01".to_vec();
    for number in [22u32, 0, 2048] {
        endless.extend([number.to_le_bytes(), number.to_be_bytes()].concat());
    }
    let moved = [&b"CL\x0c\x01"[..], &21u32.to_le_bytes(), &21u32.to_be_bytes()].concat();
    let sectors = MAX_DIRECTORY as usize / 2048;
    for (system_use, what, reads) in [
        (Vec::new(), "records", MAX_RECORDS / 60 + 1),
        (endless, "continuations", sectors + MAX_AREAS),
        (moved, "continuations", sectors + MAX_AREAS),
    ] {
        let mut volume = crowded(&Row { system_use, ..row(b"A", 0, 22, 5) });
        volume.reader().reads = 0;
        let error = volume.find("/LiveOS/squashfs.img").unwrap_err();
        assert!(matches!(&error, Error::Crowded { offset: 131_072, what: found, .. } if *found == what), "{error}");
        // An end of the data shows in one more read.
        assert!(volume.reader().reads <= 2 * (reads + 2), "{what}: {} reads", volume.reader().reads);
    }
}

#[test]
fn catalog() {
    assert_eq!(open(sample()).boot_entries().unwrap().len(), 2);
}

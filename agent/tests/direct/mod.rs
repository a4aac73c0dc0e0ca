//! A file on a file system that takes it for direct I/O and then refuses requests which are no whole pages, as some do (field.md A). It is
//! served through /dev/fuse, by the protocol's version 7.31 (fuse(4), include/uapi/linux/fuse.h).

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// The bytes of a request before its own: length, opcode, number, node, and who asks.
const HEADER: usize = 40;
/// What a request must have a multiple of.
const PAGE: usize = 4096;
/// The number of the file; the directory has 1.
const FILE: u64 = 2;

/// A mounted file system with one file, `image`; gone when dropped.
pub struct Refusing(PathBuf);

impl Refusing {
    pub fn serve(at: &Path, content: Vec<u8>) -> Self {
        let device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
        std::fs::create_dir_all(at).unwrap();
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        mount("refusing", at, "fuse", MountFlags::empty(), Some(&*std::ffi::CString::new(options).unwrap())).unwrap();
        std::thread::spawn(move || answer_all(device, &content));
        Self(at.to_owned())
    }
}

impl Drop for Refusing {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

fn answer_all(mut device: File, content: &[u8]) {
    let mut request = vec![0; 1 << 20];
    // Until it is unmounted.
    while let Ok(length) = device.read(&mut request) {
        let request = &request[..length];
        let number = |at: usize| u64::from_le_bytes(request[at..at + 8].try_into().unwrap());
        let (opcode, unique) = (u32::from_le_bytes(request[4..8].try_into().unwrap()), &request[8..16]);
        let answer = match opcode {
            // Forgotten nodes, an interrupted request: nothing is said to them.
            2 | 36 | 42 => continue,
            1 if request[HEADER..].starts_with(b"image\0") => Ok(entry(content.len())),
            1 => Err(2),
            3 => Ok([&[0; 16][..], &attributes(number(16), content.len())].concat()),
            14 | 27 => Ok(vec![0; 16]),
            15 => read(content, number(HEADER + 8), number(HEADER + 16)),
            18 | 25 | 29 | 38 => Ok(Vec::new()),
            26 => Ok(first()),
            // It has no other calls.
            _ => Err(38),
        };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(error) => (-error, Vec::new()),
        };
        let length = u32::try_from(16 + body.len()).unwrap().to_le_bytes();
        let _ = device.write(&[&length[..], &i32::to_le_bytes(error), unique, &body].concat());
    }
}

/// The version, and 128 KiB for a request.
fn first() -> Vec<u8> {
    let words: [u32; 16] = [7, 31, 1 << 17, 0, 0, 1 << 17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Inode, length and blocks, no times, then mode, links, owners, device and block size.
fn attributes(node: u64, size: usize) -> Vec<u8> {
    let (mode, size) = if node == FILE { (0o100_644_u32, size as u64) } else { (0o40_755, 0) };
    let mut bytes = [node, size, size / 512, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    bytes.extend([0, 0, 0, mode, 1, 0, 0, 0, 4096, 0].iter().flat_map(|word: &u32| word.to_le_bytes()));
    bytes
}

/// The file's node, which is valid for an hour.
fn entry(size: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = [FILE, 0, 3600, 3600, 0].iter().flat_map(|word: &u64| word.to_le_bytes()).collect();
    bytes.extend(attributes(FILE, size));
    bytes
}

/// What the page cache asks for is whole pages; what goes past it is as long as somebody wants it.
fn read(content: &[u8], offset: u64, size: u64) -> Result<Vec<u8>, i32> {
    let (offset, size) = (usize::try_from(offset).unwrap(), usize::try_from(size & 0xffff_ffff).unwrap());
    match offset % PAGE == 0 && size % PAGE == 0 {
        true => Ok(content[offset.min(content.len())..content.len().min(offset + size)].to_vec()),
        false => Err(22),
    }
}

//! A file system that is made on a device or in a partition: what says so while the work lasts ([`crate::probe::begun`]).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::probe::begun::{BLOCK, Begun, LEAST, content};

impl Begun {
    /// Writes the block, before anything else. `None` where there is no room for one.
    pub(crate) fn begin(device: &File, base: u64, size: u64, uuid: String) -> io::Result<Option<Self>> {
        if size < LEAST {
            return Ok(None);
        }
        device.write_all_at(&content(size, &uuid), base + size - BLOCK as u64)?;
        device.sync_data()?;
        Ok(Some(Self { base, size, uuid }))
    }

    /// The file system is complete, and on the disk.
    pub(crate) fn commit(&self, device: &File) -> io::Result<()> {
        device.write_all_at(&[0; BLOCK], self.base + self.size - BLOCK as u64)?;
        device.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::begun::is_begun;

    const UUID: &str = "01234567-89ab-4def-8123-456789abcdef";
    const SIZE: u64 = 32 << 20;
    const BASE: u64 = 3 << 20;

    fn place() -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(BASE + SIZE + (1 << 20)).unwrap();
        file
    }

    #[test]
    fn f7_what_was_begun_is_known_until_it_is_complete_or_somebody_elses() {
        let file = place();
        assert!(!is_begun(&file, BASE, SIZE));
        let begun = Begun::begin(&file, BASE, SIZE, UUID.to_owned()).unwrap().unwrap();
        assert_eq!(Begun::known(&file, BASE, SIZE).map(|begun| begun.uuid).as_deref(), Some(UUID));
        // Another place has another end.
        assert!(!is_begun(&file, BASE, SIZE - 4096) && !is_begun(&file, BASE + 4096, SIZE - 4096));
        // The middle is whatever mkfs has come to.
        file.write_all_at(&[7; 4096], BASE + (9 << 20)).unwrap();
        assert!(is_begun(&file, BASE, SIZE));
        // Nothing of ours begins so.
        file.write_all_at(b"a letter", BASE).unwrap();
        assert!(!is_begun(&file, BASE, SIZE));
        file.write_all_at(&[0; 8], BASE).unwrap();
        // A file system of the UUID is ours, one of another is not.
        let mut superblock = [0; 1024];
        superblock[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
        superblock[0x58] = 1;
        superblock[0x3a] = 1;
        superblock[4..8].copy_from_slice(&8192_u32.to_le_bytes());
        superblock[0x20..0x24].copy_from_slice(&32768_u32.to_le_bytes());
        superblock[0x28..0x2c].copy_from_slice(&8192_u32.to_le_bytes());
        superblock[..4].copy_from_slice(&2048_u32.to_le_bytes());
        superblock[0x10..0x14].copy_from_slice(&2037_u32.to_le_bytes());
        for (first, ours) in [(0x01, true), (0x02, false)] {
            let bytes =
                [first, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4d, 0xef, 0x81, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
            superblock[0x68..0x78].copy_from_slice(&bytes);
            file.write_all_at(&superblock, BASE + 1024).unwrap();
            assert_eq!(is_begun(&file, BASE, SIZE), ours, "{first}");
        }
        // What was mounted is complete, and somebody's.
        superblock[0x68] = 0x01;
        superblock[0x34] = 1;
        file.write_all_at(&superblock, BASE + 1024).unwrap();
        assert!(!is_begun(&file, BASE, SIZE));
        superblock[0x34] = 0;
        file.write_all_at(&superblock, BASE + 1024).unwrap();
        assert!(is_begun(&file, BASE, SIZE));
        // Files without a mount; somebody's boot sector in front of it.
        superblock[0x10..0x14].copy_from_slice(&2030_u32.to_le_bytes());
        file.write_all_at(&superblock, BASE + 1024).unwrap();
        assert!(!is_begun(&file, BASE, SIZE));
        superblock[0x10..0x14].copy_from_slice(&2037_u32.to_le_bytes());
        file.write_all_at(&superblock, BASE + 1024).unwrap();
        file.write_all_at(b"table", BASE + 446).unwrap();
        assert!(!is_begun(&file, BASE, SIZE));
        // A letter where only the copy says whose it is.
        file.write_all_at(&[0; 8], BASE + 446).unwrap();
        file.write_all_at(&[0; 1024], BASE + 1024).unwrap();
        file.write_all_at(&superblock, BASE + (8 << 20) + 1024).unwrap();
        assert!(is_begun(&file, BASE, SIZE));
        file.write_all_at(b"a letter", BASE).unwrap();
        assert!(!is_begun(&file, BASE, SIZE));
        file.write_all_at(&[0; 8], BASE).unwrap();
        file.write_all_at(&[0; 1024], BASE + (8 << 20) + 1024).unwrap();
        file.write_all_at(&[0; 1024], BASE + 1024).unwrap();
        // A partition that somebody has made there, whose table is gone; and the record of a RAID in the last MiB.
        superblock[0x68] = 0x02;
        for (at, bytes) in [(BASE + (1 << 20) + 1024, &superblock[..]), (BASE + SIZE - 8192, b"\xfc\x4e\x2b\xa9")] {
            file.write_all_at(bytes, at).unwrap();
            assert!(!is_begun(&file, BASE, SIZE), "{at}");
            file.write_all_at(&vec![0; bytes.len()], at).unwrap();
        }
        assert!(is_begun(&file, BASE, SIZE));
        begun.commit(&file).unwrap();
        assert!(!is_begun(&file, BASE, SIZE));
    }

    #[test]
    fn f7_a_torn_block_says_nothing() {
        let file = place();
        Begun::begin(&file, BASE, SIZE, UUID.to_owned()).unwrap();
        for at in [0, 20, 30, 70, 2000] {
            let place = BASE + SIZE - BLOCK as u64 + at;
            let mut byte = [0];
            file.read_exact_at(&mut byte, place).unwrap();
            file.write_all_at(&[byte[0] ^ 1], place).unwrap();
            assert!(!is_begun(&file, BASE, SIZE), "{at}");
            file.write_all_at(&byte, place).unwrap();
        }
        assert!(is_begun(&file, BASE, SIZE));
        assert!(Begun::begin(&file, 0, LEAST - 1, UUID.to_owned()).unwrap().is_none(), "it is too small");
    }
}

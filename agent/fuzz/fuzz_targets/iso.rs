//! Files and boot entries of an ISO 9660 volume; the input begins with its first descriptor.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use rdlive::format::iso9660::{MAX_BOOT_ENTRIES, MAX_ENTRIES, Volume};

const START: usize = 0x8000;

fuzz_target!(|data: &[u8]| {
    let mut image = vec![0; START];
    image.extend_from_slice(data);
    let Ok(mut volume) = Volume::open(Cursor::new(&image)) else {
        return;
    };
    if let Ok(entries) = volume.boot_entries() {
        assert!(entries.len() <= MAX_BOOT_ENTRIES);
    }
    if let Ok(Some(entries)) = volume.list("/") {
        assert!(entries.len() <= MAX_ENTRIES);
        for entry in entries.iter().take(8) {
            let _ = volume.read(&entry.name, 1 << 16);
            let _ = volume.list(&entry.name);
        }
    }
    let _ = volume.find("/LiveOS/squashfs.img");
});

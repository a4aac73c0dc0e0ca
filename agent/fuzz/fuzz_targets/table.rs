//! Partition tables on disks of any size.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use rdlive::format::partition::{MAX_PARTITIONS, table};

fuzz_target!(|data: (u64, &[u8])| {
    let (size, data) = data;
    let mut image = vec![0; 446];
    image.extend_from_slice(data);
    for size in [size, image.len() as u64] {
        if let Some(found) = table(&mut Cursor::new(&image), size).unwrap() {
            assert!(found.partitions.len() <= MAX_PARTITIONS);
            for partition in &found.partitions {
                let _ = partition.end();
            }
        }
    }
});

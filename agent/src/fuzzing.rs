//! Doors for the fuzz targets (`agent/fuzz`) to readers that nobody else calls from outside. Only with `--cfg fuzzing`.

use std::io::Cursor;

use crate::area::Identity;
use crate::attempt::{Avoid, Message};
use crate::format::{Kind, identify, journal, left, luks, torn};
use crate::handover::Report;
use crate::mapper::{Status, cipher};
use crate::modindex::Index;
use crate::probe::uevent::Uevent;
use crate::shutdown::mounts;
use crate::{config, json};

/// How a file system was left: superblocks, journals, logs, fingerprints, torn superblocks, LUKS headers.
pub fn left(data: &[u8]) {
    let mut reader = Cursor::new(data);
    let _ = journal::pending(&mut reader);
    let _ = luks::key_memory(&mut reader);
    let _ = torn::copy_of_ext(&mut reader);
    let _ = left::mount_time(&mut reader);
    for kind in [Kind::Ext4, Kind::Btrfs] {
        let _ = torn::mend(&mut reader, kind);
    }
    if let Ok(Some(mut found)) = identify(&mut reader) {
        for dirty in [false, true] {
            found.dirty = dirty;
            let _ = left::left(&mut reader, &found, Some(b"0"));
        }
        let _ = left::fingerprint(&mut reader, &found);
    }
}

/// Texts and JSON that come from a disk, the kernel or a program; the first byte says which.
pub fn text(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    match which % 10 {
        0 => drop(json::read::<Identity>(rest)),
        1 => drop(json::read::<Report>(rest)),
        2 => drop(json::read::<Message>(rest)),
        3 => drop(json::read::<Avoid>(rest)),
        4 => {
            let found = mounts::parse(&text);
            let _ = mounts::doomed(&found, std::path::Path::new("/"));
        }
        5 => {
            if let Ok(index) = Index::parse(&text) {
                let _ = index.matches("pci:v00008086d00001237sv00001AF4sd00001100bc06sc00i00");
                let _ = index.load_order("ext4");
            }
        }
        6 => {
            for kind in ["snapshot", "thin-pool", "linear"] {
                let _ = Status::parse(kind, 4096, &text).percent();
            }
        }
        7 => drop(cipher::of_table(&text)),
        8 => drop(Uevent::parse(rest)),
        _ => drop(config::Conf::parse(&text)),
    }
}

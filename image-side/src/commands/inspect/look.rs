//! Gathers the facts.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result};
use rdlive_media::format::iso9660::{Platform, Volume};
use rdlive_media::format::partition::{self, Table, TableKind};
use rdlive_media::format::{self, Superblock};

use super::{Container, Inspection, MediumFile};
use crate::bootloader::menu_reader;
use crate::iso::info;

/// Longest text file that is read from a medium.
const TEXT_LIMIT: u64 = 1 << 20;
/// Bytes at the start of a container that its readers look at.
const HEAD: u64 = 1 << 20;

const MENUS: [&str; 5] =
    ["/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/EFI/BOOT/grub.cfg", "/grub/grub.cfg", "/boot/grub/loopback.cfg"];
const LOOPBACKS: [&str; 2] = ["/boot/grub/loopback.cfg", "/boot/grub2/loopback.cfg"];
const CONTAINERS: [&str; 6] = [
    "/LiveOS/squashfs.img",
    "/LiveOS/rootfs.img",
    "/liveos/rootfs.img",
    "/live/filesystem.squashfs",
    "/casper/filesystem.squashfs",
    "/arch/x86_64/airootfs.sfs",
];

/// Reads everything.
pub fn look(path: &Path) -> Result<Inspection> {
    let shown = path.display();
    let mut file = File::open(path).with_context(|| format!("opening {shown}"))?;
    let size = file.seek(SeekFrom::End(0)).with_context(|| format!("finding the size of {shown}"))?;
    let table = partition::table(&mut file, size).with_context(|| format!("reading the partitions of {shown}"))?;
    let mut volume = Volume::open(file).with_context(|| format!("{shown} is not a live ISO"))?;
    let descriptors = volume.descriptors().clone();
    let el_torito = volume.boot_entries().with_context(|| format!("reading the boot catalog of {shown}"))?;
    let rdlive: Option<info::Info> = text_of(&mut volume, info::FILE).and_then(|text| serde_json::from_str(&text).ok());
    let boot_entries = MENUS
        .iter()
        .filter_map(|path| text_of(&mut volume, path))
        .map(|text| menu_reader::entries(&text))
        .find(|entries| !entries.is_empty())
        .unwrap_or_default();
    let named = rdlive.as_ref().map(|info| format!("/{}", info.container));
    let container = container(&mut volume, named.as_deref());
    let first = boot_entries.first().cloned().unwrap_or_default();
    let kernel = medium_file(&mut volume, &first.kernel);
    let initrds = first.initrds.iter().filter_map(|path| medium_file(&mut volume, path)).collect();
    let loopback = LOOPBACKS.iter().find(|path| medium_file(&mut volume, path).is_some());
    let mut found = Inspection {
        volume_id: descriptors.label,
        uuid: descriptors.uuid,
        size,
        volume_size: descriptors.size,
        preparer: descriptors.preparer,
        partition_table: table,
        el_torito,
        boot_entries,
        loopback: loopback.map(|path| (*path).to_owned()),
        container: container.as_ref().map(|(file, superblock)| describe(file, superblock.as_ref())),
        kernel,
        initrds,
        media_sum: media_sum(&descriptors.application_use),
        rdlive,
        problems: Vec::new(),
    };
    found.problems = problems(
        &found,
        container
            .as_ref()
            .and_then(|(file, superblock)| superblock.as_ref().and_then(|superblock| superblock.truncated(file.size))),
    );
    Ok(found)
}

fn text_of<R: Read + Seek>(volume: &mut Volume<R>, path: &str) -> Option<String> {
    let bytes = volume.read(path, TEXT_LIMIT).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn medium_file<R: Read + Seek>(volume: &mut Volume<R>, path: &str) -> Option<MediumFile> {
    let entry = volume.entry(path).ok()??;
    (!entry.is_dir()).then(|| MediumFile { path: path.to_owned(), size: entry.size() })
}

fn container<R: Read + Seek>(volume: &mut Volume<R>, named: Option<&str>) -> Option<(MediumFile, Option<Superblock>)> {
    let path = named.into_iter().chain(CONTAINERS).find(|path| medium_file(volume, path).is_some())?;
    let file = medium_file(volume, path)?;
    let offset = volume.entry(path).ok()??.extents.first()?.offset;
    let mut head = Vec::new();
    let reader = volume.reader();
    reader.seek(SeekFrom::Start(offset)).ok()?;
    reader.take(HEAD.min(file.size)).read_to_end(&mut head).ok()?;
    Some((file, format::identify(&mut Cursor::new(head)).ok().flatten()))
}

fn describe(file: &MediumFile, superblock: Option<&Superblock>) -> Container {
    Container {
        file: MediumFile { path: file.path.clone(), size: file.size },
        kind: superblock.map(|superblock| superblock.kind.name().to_owned()),
        compression: superblock.and_then(|superblock| superblock.compressor).map(|name| name.name().to_owned()),
    }
}

/// Which media sum the 512 bytes for applications hold.
fn media_sum(field: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(field);
    let text = text.trim_matches([' ', '\0', '\n']);
    match text {
        "" => None,
        _ if text.contains("ISO MD5SUM") => Some("isomd5"),
        _ if text.contains("sum=") => Some("susetag"),
        _ => Some("unknown"),
    }
}

fn problems(found: &Inspection, container_missing: Option<u64>) -> Vec<String> {
    let mut problems = Vec::new();
    if found.volume_size > found.size {
        problems.push(format!(
            "the file is incomplete: the volume has {} bytes, the file only {}",
            found.volume_size, found.size
        ));
    }
    if let Some(missing) = container_missing {
        problems.push(format!("the container is incomplete: {missing} bytes are missing"));
    }
    match &found.partition_table {
        Some(table) => problems.extend(table_problems(table, found.size)),
        None => problems.push("no partition table: a stick with this image may not boot".into()),
    }
    for platform in [Platform::Bios, Platform::Uefi] {
        if !found.el_torito.iter().any(|entry| entry.platform == platform && entry.bootable) {
            problems.push(format!("no El Torito entry for {platform:?}: no boot from CD there"));
        }
    }
    for entry in found.el_torito.iter().filter(|entry| entry.offset() >= found.size) {
        problems.push(format!("the El Torito entry for {:?} points behind the end of the file", entry.platform));
    }
    if found.container.is_none() {
        problems.push("no container at any known place".into());
    }
    problems
}

fn table_problems(table: &Table, size: u64) -> Vec<String> {
    let mut problems = Vec::new();
    if let TableKind::Gpt { primary_ok, backup_ok } = table.kind {
        for (good, copy) in [(primary_ok, "primary"), (backup_ok, "backup")] {
            if !good {
                problems.push(format!("the {copy} GPT is damaged"));
            }
        }
    }
    let real: Vec<_> = table.partitions.iter().filter(|partition| partition.size > 512).collect();
    for (at, one) in real.iter().enumerate() {
        if one.end() > size {
            problems.push(format!("partition {} ends behind the end of the file", one.number));
        }
        for other in &real[at + 1..] {
            if one.start < other.end() && other.start < one.end() {
                problems.push(format!("partitions {} and {} overlap", one.number, other.number));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_sums_are_recognised() {
        for (text, expected) in [
            ("", None),
            ("   \0\0", None),
            ("ISO MD5SUM = 00;SKIPSECTORS = 15;", Some("isomd5")),
            ("# check=1;pad=150;sha256sum=00;", Some("susetag")),
            ("something", Some("unknown")),
        ] {
            assert_eq!(media_sum(text.as_bytes()), expected, "{text:?}");
        }
    }
}

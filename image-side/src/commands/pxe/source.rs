//! What of an ISO goes to the servers: kernel, initramfs, arguments, and the ISO itself.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rdlive_media::format::iso9660::Volume;

use crate::bootloader::kargs::Karg;
use crate::bootloader::menu;
use crate::commands::inspect::{Inspection, MediumFile, look};
use crate::interrupt;

/// Longest name of a build before its digest.
const NAME: usize = 32;
/// What several initramfs files are joined at: each begins at a multiple of so many bytes.
const ALIGNMENT: usize = 4;
/// A medium of more is none that is loaded over a network.
const INITRD_LIMIT: u64 = 2 << 30;

/// Arguments that say where the medium is, or that a loader sets; keys.
const OF_THE_MEDIUM: [&str; 8] = [
    "root",
    "rd.live.medium",
    "iso-scan/filename",
    "isofrom",
    "isofrom_device",
    "isofrom_system",
    "initrd",
    "BOOT_IMAGE",
];

/// An ISO that was looked at.
#[derive(Debug)]
pub struct Source {
    /// Name of the builds made from it: the volume id as a file name.
    pub name: String,
    /// The system's own name.
    pub title: String,
    /// Bytes of the ISO.
    pub size: u64,
    /// Its arguments, without those that name the medium.
    pub kargs: Vec<Karg>,
    /// What was left out of them, and why it matters.
    pub notes: Vec<String>,
    kernel: MediumFile,
    initrds: Vec<MediumFile>,
}

impl Source {
    /// Looks at the ISO; nothing is mounted.
    ///
    /// # Errors
    /// It is no ISO, it is incomplete, or it has no kernel with an initramfs.
    pub fn of(path: &Path) -> Result<Self> {
        let shown = path.display();
        let found = look::look(path)?;
        ensure!(
            found.volume_size <= found.size,
            "{shown} is incomplete: its volume has {} bytes, and it has only {}",
            found.volume_size,
            found.size
        );
        let (kernel, initrds) = boot_files(path, &found)?;
        let mut notes = Vec::new();
        let kargs = arguments(&found, &mut notes);
        let volume = found.volume_id.as_deref().unwrap_or_default();
        let title = match &found.rdlive {
            Some(info) if !info.system.is_empty() => info.system.clone(),
            _ => found.boot_entries.first().map_or(volume, |entry| &entry.title).to_owned(),
        };
        Ok(Self { name: file_name(volume), title, size: found.size, kargs, notes, kernel, initrds })
    }

    /// Bytes of kernel and initramfs.
    pub fn boot_bytes(&self) -> u64 {
        self.kernel.size + self.initrds.iter().map(|file| file.size).sum::<u64>()
    }

    /// Writes the kernel to a file.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn write_kernel(&self, iso: &Path, to: &Path) -> Result<()> {
        write_files(iso, std::slice::from_ref(&self.kernel), to)
    }

    /// Writes all initramfs files to one, in the order in which the medium's menu loads them.
    ///
    /// # Errors
    /// One cannot be read or written.
    pub fn write_initrd(&self, iso: &Path, to: &Path) -> Result<()> {
        ensure!(self.boot_bytes() <= INITRD_LIMIT, "kernel and initramfs of {} are larger than 2 GiB", iso.display());
        write_files(iso, &self.initrds, to)
    }
}

/// Those of the medium's first boot entry; else those by the names that our media and KIWI's have.
fn boot_files(path: &Path, found: &Inspection) -> Result<(MediumFile, Vec<MediumFile>)> {
    let listed = found.boot_entries.first().map_or(0, |entry| entry.initrds.len());
    if let (Some(kernel), true) = (&found.kernel, listed > 0) {
        // One of several that is not there is a medium that would not start.
        if found.initrds.len() != listed {
            let entry = found.boot_entries.first().map(|entry| entry.initrds.join(" ")).unwrap_or_default();
            bail!("{}: its boot menu loads {entry}, and not all of them are there", path.display());
        }
        let copy = |file: &MediumFile| MediumFile { path: file.path.clone(), size: file.size };
        return Ok((copy(kernel), found.initrds.iter().map(copy).collect()));
    }
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut volume = Volume::open(file).with_context(|| format!("reading {}", path.display()))?;
    let mut file = |name: &str| {
        let entry = volume.entry(name).ok()??;
        (!entry.is_dir() && !entry.is_symlink).then(|| MediumFile { path: name.to_owned(), size: entry.size() })
    };
    let [kiwi_kernel, kiwi_initrd] = menu::OTHER_NAMES;
    for (kernel, initrd) in [(menu::KERNEL, menu::INITRD), (kiwi_kernel, kiwi_initrd)] {
        if let (Some(kernel), Some(initrd)) = (file(kernel), file(initrd)) {
            return Ok((kernel, vec![initrd]));
        }
    }
    bail!(
        "{}: no kernel with an initramfs was found: neither in a GRUB menu, nor as {} and {}, nor as {kiwi_kernel} and {kiwi_initrd}",
        path.display(),
        menu::KERNEL,
        menu::INITRD
    )
}

/// What the medium's normal entry tells the kernel, without where the medium is.
fn arguments(found: &Inspection, notes: &mut Vec<String>) -> Vec<Karg> {
    let written = found.rdlive.as_ref().map(|info| info.kargs.clone()).filter(|kargs| !kargs.is_empty());
    // In a menu a dollar sign begins a variable; in what our builder notes about itself it is one.
    let (words, literal) = match written {
        Some(kargs) => (kargs, true),
        None => (found.boot_entries.first().map(|entry| entry.kargs.clone()).unwrap_or_default(), false),
    };
    let (kept, variables): (Vec<String>, Vec<String>) = words
        .into_iter()
        .filter(|word| !OF_THE_MEDIUM.contains(&word.split('=').next().unwrap_or_default()))
        .partition(|word| literal || !word.contains('$'));
    notes.extend(variables.into_iter().map(|word| {
        format!(
            "{word}: left out, for it is a variable of the medium's own menu; --append-karg adds what it stands for"
        )
    }));
    kept.into_iter().map(Karg::own).collect()
}

/// A volume id as part of file names and URLs.
fn file_name(volume: &str) -> String {
    let plain =
        |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c.to_ascii_lowercase() } else { '-' };
    let name: String = volume.chars().map(plain).take(NAME).collect();
    match name.trim_matches(['-', '_']) {
        "" => "live".to_owned(),
        name => name.to_owned(),
    }
}

fn write_files(iso: &Path, files: &[MediumFile], to: &Path) -> Result<()> {
    let shown = iso.display();
    let file = File::open(iso).with_context(|| format!("opening {shown}"))?;
    let mut volume = Volume::open(file).with_context(|| format!("reading {shown}"))?;
    let mut output = BufWriter::new(File::create(to).with_context(|| format!("writing {}", to.display()))?);
    for MediumFile { path, size } in files {
        interrupt::check()?;
        let entry = volume.entry(path).with_context(|| format!("reading {path} of {shown}"))?;
        let extents = entry.with_context(|| format!("{path} is not in {shown}"))?.extents;
        let mut copied = 0;
        for extent in extents {
            let reader = volume.reader();
            reader.seek(SeekFrom::Start(extent.offset)).with_context(|| format!("reading {path} of {shown}"))?;
            copied += io::copy(&mut reader.take(extent.size), &mut output)
                .with_context(|| format!("copying {path} of {shown} to {}", to.display()))?;
        }
        ensure!(copied == *size, "{path} of {shown} is incomplete: {} bytes are missing", size - copied);
        let filled = usize::try_from(size % ALIGNMENT as u64).unwrap_or_default();
        if files.len() > 1 && filled > 0 {
            output.write_all(&[0; ALIGNMENT][filled..]).with_context(|| format!("writing {}", to.display()))?;
        }
    }
    output.flush().with_context(|| format!("writing {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volume_ids_as_file_names() {
        for (volume, expected) in [
            ("TINY_1-0_0123ABCD", "tiny_1-0_0123abcd"),
            ("My Live: (1)", "my-live---1"),
            ("", "live"),
            ("--", "live"),
            ("ÄÖ", "live"),
            ("A-VERY-LONG-NAME-THAT-GOES-ON-AND-ON-AND-ON", "a-very-long-name-that-goes-on-an"),
        ] {
            assert_eq!(file_name(volume), expected, "{volume}");
        }
    }
}

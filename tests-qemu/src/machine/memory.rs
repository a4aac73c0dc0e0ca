//! Media that are memory (QEMU): what firmware or a hypervisor has left there.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Bus, Drive};

/// Linux maps memory in pieces of this many bytes, and takes no medium with a rest.
const PIECE: u64 = 2 << 20;
/// Where a [`Bus::Memmap`] begins in the machine's RAM.
const MEMMAP: u64 = 512 << 20;

/// The machine for these media, and how many MiB of memory it must have room for besides its RAM.
pub(super) fn machine(drives: &[Drive]) -> Result<(&'static str, Option<u64>)> {
    let plugged = drives.iter().filter(|drive| matches!(drive.bus, Bus::Nvdimm | Bus::VirtioPmem));
    let sizes: Vec<u64> = plugged.map(size).collect::<Result<_>>()?;
    // Each is laid at a multiple of 1 GiB.
    let room = (!sizes.is_empty()).then(|| sizes.iter().map(|size| (size >> 20).next_multiple_of(1024) + 1024).sum());
    Ok((if sizes.is_empty() { "pc" } else { "pc,nvdimm=on" }, room))
}

/// Adds one. Without [`Drive::keep_writes`] what the guest writes is gone at the end.
pub(super) fn add(qemu: &mut Command, index: usize, drive: &Drive) -> Result<()> {
    let (file, size) = (drive.file.display(), size(drive)?);
    if drive.bus == Bus::Memmap {
        qemu.args(["-device", &format!("loader,file={file},addr={MEMMAP:#x},force-raw=on")]);
        return Ok(());
    }
    let share = if drive.keep_writes { "on" } else { "off" };
    let object = format!("memory-backend-file,id=memory{index},share={share},mem-path={file},size={size}");
    let device = if drive.bus == Bus::Nvdimm { "nvdimm" } else { "virtio-pmem-pci" };
    qemu.args(["-object", &object, "-device", &format!("{device},id=dev{index},memdev=memory{index}")]);
    Ok(())
}

/// What of the file the guest sees: a rest at its end is left out.
fn size(drive: &Drive) -> Result<u64> {
    let length = drive.file.metadata().with_context(|| format!("examining {}", drive.file.display()))?.len();
    ensure!(length >= PIECE, "{} is smaller than a piece of memory", drive.file.display());
    Ok(length / PIECE * PIECE)
}

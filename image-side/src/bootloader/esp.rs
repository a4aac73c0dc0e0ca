//! The EFI system partition: a FAT image with one program, made without root rights.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::epoch::{self, Epoch};
use crate::run::run;
use crate::tools;

const MIB: u64 = 1 << 20;

/// El Torito counts 512-byte sectors in 16 bits: from 32 MiB on the size cannot be told (image-builder spec 3.3).
const LIMIT: u64 = 31 * MIB;

/// Path of the program in the partition, and in the ISO's tree for sticks made by copying files.
pub const PROGRAM: &str = "EFI/BOOT/BOOTX64.EFI";

/// Makes the image `output` with `program` in it. `serial` is 8 hex digits.
///
/// # Errors
/// When the program is too big or a tool fails.
pub fn make(program: &Path, serial: &str, epoch: Epoch, output: &Path) -> Result<()> {
    let bytes = fs::metadata(program).with_context(|| format!("examining {}", program.display()))?.len();
    let size = image_size(bytes);
    if size > LIMIT {
        bail!("the EFI partition would be {} MiB; CDs boot only below 32 MiB", size / MIB);
    }
    let time = epoch.seconds.to_string();
    // FAT16 with one sector per cluster: firmware exists that cannot read FAT12.
    let mut format = tools::MKFS_FAT.command()?;
    format.args(["--invariant", "-F", "16", "-s", "1", "-n", "EFI", "-i", serial, "-C"]).arg(output);
    run(format.arg((size / 1024).to_string()).env(epoch::VARIABLE, &time)).context("formatting the EFI partition")?;
    let mut directories = tools::MMD.command()?;
    directories.arg("-i").arg(output).args(["::/EFI", "::/EFI/BOOT"]).env(epoch::VARIABLE, &time);
    run(&mut directories).context("filling the EFI partition")?;
    let mut copy = tools::MCOPY.command()?;
    copy.arg("-i").arg(output).arg(program).arg(format!("::/{PROGRAM}")).env(epoch::VARIABLE, &time);
    run(&mut copy).context("filling the EFI partition")?;
    Ok(())
}

/// Room for the program and the FAT's own tables; FAT16 needs 4 MiB or more at this cluster size.
fn image_size(bytes: u64) -> u64 {
    (bytes + bytes / 50 + MIB / 2).next_multiple_of(MIB).max(4 * MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b06_sizes() {
        for (bytes, mib) in [(0, 4), (3 * MIB, 4), (4 * MIB, 5), (20 * MIB, 21)] {
            assert_eq!(image_size(bytes), mib * MIB, "{bytes}");
        }
    }
}

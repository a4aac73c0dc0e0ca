//! The kernel inside of a bzImage. Without KVM a guest takes a second to unpack it, at every boot; QEMU starts the unpacked
//! one directly, through its PVH entry. Firmware and boot loaders still get the bzImage.
//!
//! Fields: the kernel's `Documentation/arch/x86/boot.rst`; the note: `xen/interface/elfnote.h`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::tool;

/// Where the fields of the setup header are.
const SETUP_SECTS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
/// The kernel's build appends the unpacked length, which no tool expects.
const APPENDED: usize = 4;
/// Type and owner of the note that names the PVH entry, as they stand in the file.
const PVH_NOTE: &[u8] = b"\x12\0\0\0Xen\0";

/// Writes the kernel of a bzImage to `path`; `Ok(false)` if QEMU could not start that.
///
/// # Errors
/// No bzImage, a truncated one, or one that does not unpack.
pub fn unpack(image: &Path, path: &Path) -> Result<bool> {
    let bytes = fs::read(image).with_context(|| format!("reading {}", image.display()))?;
    let payload = payload(&bytes).with_context(|| image.display().to_string())?;
    let program = match payload {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd -dc",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "xz -dc",
        [0x1f, 0x8b, ..] => "gzip -dc",
        _ => return Ok(false),
    };
    let packed = path.with_extension("packed");
    fs::write(&packed, payload)?;
    let script = format!("{program} < \"$1\" > \"$2\"");
    let unpacked = tool::shell(&script, &[&packed, path]);
    let _ = fs::remove_file(&packed);
    unpacked?;
    let kernel = fs::read(path)?;
    Ok(kernel.starts_with(b"\x7fELF") && kernel.windows(PVH_NOTE.len()).any(|bytes| bytes == PVH_NOTE))
}

fn payload(bytes: &[u8]) -> Result<&[u8]> {
    ensure!(bytes.get(MAGIC..MAGIC + 4) == Some(b"HdrS"), "no bzImage");
    let number = |at: usize| {
        let field = bytes.get(at..at + 4).and_then(|field| field.try_into().ok());
        field.map(|field| u32::from_le_bytes(field) as usize).context("the setup header is cut short")
    };
    // An old loader's zero means four.
    let sectors = match bytes[SETUP_SECTS] {
        0 => 4,
        count => usize::from(count),
    };
    let start = (sectors + 1) * 512 + number(PAYLOAD_OFFSET)?;
    let end = start + number(PAYLOAD_LENGTH)?;
    let payload = bytes.get(start..end).context("it is truncated")?;
    Ok(&payload[..payload.len().saturating_sub(APPENDED)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        bytes[SETUP_SECTS] = 1;
        bytes[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        bytes[PAYLOAD_OFFSET] = 16;
        bytes[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&(payload.len() as u32 + 4).to_le_bytes());
        bytes.extend([[0; 16].as_slice(), payload, &[0; 4]].concat());
        bytes
    }

    #[test]
    fn payload_is_what_the_header_names() {
        assert_eq!(payload(&image(b"packed")).unwrap(), b"packed");
        let whole = image(b"packed");
        assert!(payload(&whole[..whole.len() - 1]).is_err(), "truncated");
        assert!(payload(b"no kernel").is_err());
    }

    #[test]
    fn only_what_qemu_can_start_is_unpacked() {
        let dir = std::env::temp_dir().join(format!("lab-vmlinux-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (packed, out) = (dir.join("bz"), dir.join("vmlinux"));
        let zip = |text: &[u8]| {
            fs::write(dir.join("plain"), text).unwrap();
            tool::shell("gzip -nc \"$1\" > \"$2\"", &[&dir.join("plain"), &dir.join("zip")]).unwrap();
            fs::read(dir.join("zip")).unwrap()
        };
        for (payload, expected) in [
            (zip(b"\x7fELF \x04\0\0\0\x08\0\0\0\x12\0\0\0Xen\0"), true),
            (zip(b"\x7fELF without the note"), false),
            (b"unknown".to_vec(), false),
        ] {
            fs::write(&packed, image(&payload)).unwrap();
            assert_eq!(unpack(&packed, &out).unwrap(), expected, "{payload:?}");
        }
        crate::remove::tree(&dir).unwrap();
    }
}

//! Kernel module files: plain, or compressed by the distribution.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Reads a module file; `.xz`, `.zst` and `.gz` are unpacked.
///
/// # Errors
/// When it cannot be read, is damaged, or is no ELF file afterwards.
pub fn read_module(path: &Path) -> Result<Vec<u8>> {
    let raw = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let plain = unpack(path, raw).with_context(|| format!("unpacking {}", path.display()))?;
    // An empty file is what the tests use for modules that are never loaded.
    if !plain.is_empty() && !plain.starts_with(b"\x7fELF") {
        bail!("{} is not a kernel module", path.display());
    }
    Ok(plain)
}

fn unpack(path: &Path, raw: Vec<u8>) -> Result<Vec<u8>> {
    let mut plain = Vec::with_capacity(raw.len() * 4);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => liblzma::read::XzDecoder::new(&raw[..]).read_to_end(&mut plain)?,
        Some("zst") => zstd::stream::read::Decoder::new(&raw[..])?.read_to_end(&mut plain)?,
        Some("gz") => flate2::read::GzDecoder::new(&raw[..]).read_to_end(&mut plain)?,
        _ => return Ok(raw),
    };
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn every_compression_gives_the_same_module() {
        let dir = tempfile::tempdir().unwrap();
        let module = b"\x7fELF and more";
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        xz.write_all(module).unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(module).unwrap();
        for (name, bytes) in [
            ("a.ko", module.to_vec()),
            ("a.ko.xz", xz.finish().unwrap()),
            ("a.ko.gz", gz.finish().unwrap()),
            ("a.ko.zst", zstd::stream::encode_all(&module[..], 3).unwrap()),
        ] {
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            assert_eq!(read_module(&path).unwrap(), module, "{name}");
        }
        let bad = dir.path().join("bad.ko.xz");
        fs::write(&bad, "not xz").unwrap();
        assert!(read_module(&bad).unwrap_err().to_string().contains("bad.ko.xz"));
    }
}

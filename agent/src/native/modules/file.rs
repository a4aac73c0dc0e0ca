//! A module as a file, handed to the kernel.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use rustix::io::Errno;

/// `MODULE_INIT_COMPRESSED_FILE` of `include/uapi/linux/module.h` (Linux 5.17).
const COMPRESSED: i32 = 4;
/// Bytes of an unpacked module: far above the largest, and a bound on what a damaged file can make us allocate.
const MODULE_BYTES: u64 = 64 << 20;

/// Gives a module file to the kernel. zstd is unpacked here, on demand: the kernel would unpack every module of the
/// archive before the first program runs. What else is compressed is left to the kernel.
pub(super) fn hand_over(file: &Path, parameters: &CStr) -> io::Result<()> {
    let suffix = file.extension().and_then(|suffix| suffix.to_str());
    let result = if suffix == Some("zst") {
        let packed = fs::read(file)?;
        let (mut module, mut packed) = (Vec::new(), packed.as_slice());
        // The same type as for images that are fetched, so that the decoder is in the binary once.
        let packed: &mut dyn Read = &mut packed;
        let decoder = ruzstd::decoding::StreamingDecoder::new(packed).map_err(io::Error::other)?;
        decoder.take(MODULE_BYTES).read_to_end(&mut module)?;
        rustix::system::init_module(&module, parameters)
    } else {
        let flags = if suffix == Some("ko") { 0 } else { COMPRESSED };
        rustix::system::finit_module(File::open(file)?, parameters, flags)
    };
    match result {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

//! A module as a file, handed to the kernel.

use std::ffi::CStr;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use rdlive_media::packed;
use rustix::io::Errno;
use ruzstd::decoding::{Dictionary, FrameDecoder, StreamingDecoder};

use crate::env::Env;
use crate::layout;

/// `MODULE_INIT_COMPRESSED_FILE` of `include/uapi/linux/module.h` (Linux 5.17).
const COMPRESSED: i32 = 4;
/// Bytes of an unpacked module: far above the largest, and a bound on what a damaged file can make us allocate.
const MODULE_BYTES: u64 = 64 << 20;

/// Why a module was not taken.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file cannot be read or is damaged, or the kernel refuses the module.
    Io(io::Error),
    /// What is the matter with the dictionary.
    Dictionary(&'static str),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for Fault {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// What compressed modules share. It is read when the first of them is wanted, and once.
#[derive(Default)]
pub(super) struct Shared {
    bytes: OnceLock<Result<Vec<u8>, &'static str>>,
    /// That it cannot be used was said.
    pub(super) told: AtomicBool,
}

impl Shared {
    fn dictionary(&self, env: &Env) -> Result<Dictionary, Fault> {
        const DAMAGED: &str = "is damaged";
        let read = || {
            let missing = |error: io::Error| match error.kind() {
                ErrorKind::NotFound => "is missing",
                _ => "cannot be read",
            };
            let stored = fs::read(env.path(layout::MODULE_DICTIONARY)).map_err(missing)?;
            packed::unseal(&stored).map(<[u8]>::to_vec).map_err(|_| DAMAGED)
        };
        let bytes = self.bytes.get_or_init(read).as_ref().map_err(|why| Fault::Dictionary(why))?;
        Dictionary::decode_dict(bytes).map_err(|_| Fault::Dictionary(DAMAGED))
    }
}

/// Gives a module file to the kernel. zstd is unpacked here, on demand: the kernel would unpack every module of the
/// archive before the first program runs. What else is compressed is left to the kernel.
pub(super) fn hand_over(env: &Env, file: &Path, parameters: &CStr, shared: &Shared) -> Result<(), Fault> {
    let suffix = file.extension().and_then(|suffix| suffix.to_str());
    let result = if suffix == Some("zst") {
        let module = unpack(env, &fs::read(file)?, shared)?;
        rustix::system::init_module(&module, parameters)
    } else {
        let flags = if suffix == Some("ko") { 0 } else { COMPRESSED };
        rustix::system::finit_module(File::open(file)?, parameters, flags)
    };
    match result {
        Err(errno) if errno != Errno::EXIST => Err(errno.into()),
        _ => Ok(()),
    }
}

/// The module in a frame of zstd: of our builder, with a dictionary and tables by columns, or of a distribution.
fn unpack(env: &Env, file: &[u8], shared: &Shared) -> Result<Vec<u8>, Fault> {
    let damaged =
        |why: &dyn Display| Fault::Io(io::Error::new(ErrorKind::InvalidData, format!("the file is damaged: {why}")));
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MODULE_BYTES);
    // RFC 8878, 3.1.1.1.1: the lowest two bits say how long the number of a dictionary is.
    if file.get(4).is_some_and(|descriptor| descriptor & 3 != 0) {
        // It cannot fail: a number that is there already is replaced.
        let _ = decoder.add_dict(shared.dictionary(env)?);
    }
    let mut source = file;
    // The same type as for images that are fetched, so that the decoder is in the binary once.
    let stream = StreamingDecoder::new_with_decoder(&mut source as &mut dyn Read, decoder);
    let mut stream = stream.map_err(|error| match error {
        ruzstd::decoding::errors::FrameDecoderError::DictNotProvided { .. } => {
            Fault::Dictionary("is of another initrd")
        }
        error => damaged(&error),
    })?;
    let mut module = Vec::with_capacity(stream.decoder.content_size().min(MODULE_BYTES) as usize);
    stream.by_ref().take(MODULE_BYTES).read_to_end(&mut module).map_err(|error| damaged(&error))?;
    let decoder = stream.into_frame_decoder();
    // A frame without a checksum has none to compare.
    if decoder.get_checksum_from_data().is_some_and(|sum| decoder.get_calculated_checksum() != Some(sum)) {
        return Err(damaged(&"its checksum differs"));
    }
    packed::unpack(module).map_err(|error| damaged(&error))
}

#[cfg(test)]
mod tests;

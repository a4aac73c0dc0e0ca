//! What is in a finished initramfs, of whichever program: archives one behind the other, compressed or not
//! (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst). Nothing of it is unpacked or run.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use cpio::newc;
use sha2::{Digest, Sha256};

use crate::digest;

/// What a boot over a network wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// SHA-256 of the agent.
    pub agent: Option<String>,
    /// Whether there is any driver of a network card.
    pub network: bool,
}

/// Places of the agent: dracut's initrd has it as a program, ours as its init.
const PROGRAM: &str = "usr/bin/rdlive";
const INIT: &str = "init";
/// The settings of the agent, which tell our `init` from another's.
const CONF: &str = rdlive_media::layout::CONF;
/// In the path of each driver of a network card.
const CARDS: &str = "/kernel/drivers/net/";

/// Longest content that is looked at, in bytes: an initramfs that unpacks to more would not boot.
const MOST: u64 = 4 << 30;

/// So often a part may be compressed.
const DEPTH: u8 = 1;

const FILE_TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

#[derive(Default)]
struct Found {
    program: Option<String>,
    init: Option<String>,
    conf: bool,
    network: bool,
}

/// Looks through the whole file.
///
/// # Errors
/// It cannot be read, or it is no initramfs to its end.
pub fn of(path: &Path) -> Result<Contents> {
    let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut found = Found::default();
    walk(&mut BufReader::new(file.take(MOST)), &mut found, DEPTH).context("reading the initramfs")?;
    let ours = found.init.filter(|_| found.conf);
    Ok(Contents { agent: found.program.or(ours), network: found.network })
}

/// Reads archives to the end; what is compressed is one, or several, once more.
fn walk(rest: &mut dyn BufRead, found: &mut Found, depth: u8) -> io::Result<()> {
    while skip_zeros(rest)? {
        let mut magic = [0; 6];
        rest.read_exact(&mut magic)?;
        let whole = io::Cursor::new(magic).chain(&mut *rest);
        let unpacked: &mut dyn Read = match magic {
            [b'0', b'7', b'0', b'7', b'0', _] => {
                archive(whole, found)?;
                continue;
            }
            _ if depth == 0 => return Err(unknown("compressed more often than once")),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => &mut zstd::stream::read::Decoder::with_buffer(whole)?.single_frame(),
            [0x1f, 0x8b, ..] => &mut flate2::bufread::GzDecoder::new(whole),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => &mut liblzma::bufread::XzDecoder::new(whole),
            _ => return Err(unknown("neither a cpio archive nor zstd, gzip or xz")),
        };
        walk(&mut BufReader::new(unpacked.take(MOST)), found, depth - 1)?;
    }
    Ok(())
}

fn unknown(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Archives are filled up with zeros. False at the end.
fn skip_zeros(rest: &mut dyn BufRead) -> io::Result<bool> {
    loop {
        let buffer = rest.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let zeros = buffer.iter().take_while(|byte| **byte == 0).count();
        let all = zeros == buffer.len();
        rest.consume(zeros);
        if !all {
            return Ok(true);
        }
    }
}

fn archive(mut from: impl Read, found: &mut Found) -> io::Result<()> {
    loop {
        let mut reader = newc::Reader::new(from)?;
        let entry = reader.entry();
        if entry.is_trailer() {
            return reader.finish().map(drop);
        }
        let name = entry.name().trim_start_matches("./").trim_start_matches('/').to_owned();
        let regular = entry.mode() & FILE_TYPE == REGULAR;
        match name.as_str() {
            PROGRAM if regular => found.program = Some(sum(&mut reader)?),
            INIT if regular => found.init = Some(sum(&mut reader)?),
            CONF => found.conf = true,
            name => found.network |= regular && name.contains(CARDS),
        }
        from = reader.finish()?;
    }
}

fn sum(from: &mut impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(digest::hex(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use cpio::newc::{Builder, trailer};

    use super::*;

    const SUM: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

    fn archive(files: &[(&str, u32, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, mode, content) in files {
            let mut writer = Builder::new(name).mode(*mode).write(bytes, u32::try_from(content.len()).unwrap());
            writer.write_all(content.as_bytes()).unwrap();
            bytes = writer.finish().unwrap();
        }
        trailer(bytes).unwrap()
    }

    fn contents(bytes: &[u8]) -> Result<Contents> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        of(file.path())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 1);
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn our_agent_and_the_drivers_are_found_in_every_form() {
        let native = archive(&[
            ("etc/rdlive.conf", REGULAR, ""),
            ("init", REGULAR | 0o755, "x"),
            ("usr/bin/rdlive", 0o120_777, "/init"),
        ]);
        let card = "usr/lib/modules/6.1/kernel/drivers/net/ethernet/intel/e1000/e1000.ko";
        let dracut =
            archive(&[("./init", 0o120_777, "systemd"), ("./usr/bin/rdlive", REGULAR, "x"), (card, REGULAR, "y")]);
        let early = archive(&[("kernel/x86/microcode/GenuineIntel.bin", REGULAR, "z")]);
        let zeros = vec![0; 509];
        let zstd = |bytes: &[u8]| zstd::stream::encode_all(bytes, 1).unwrap();
        let agent = Some(SUM.to_owned());
        for (name, bytes, expected) in [
            ("native", native.clone(), Contents { agent: agent.clone(), network: false }),
            ("dracut", dracut.clone(), Contents { agent: agent.clone(), network: true }),
            ("zstd", zstd(&native), Contents { agent: agent.clone(), network: false }),
            (
                "microcode, gzip",
                [early.clone(), zeros.clone(), gzip(&dracut)].concat(),
                Contents { agent: agent.clone(), network: true },
            ),
            ("microcode, xz", [early.clone(), xz(&dracut), zeros.clone()].concat(), Contents { agent, network: true }),
            ("another's init", archive(&[("init", REGULAR, "x")]), Contents::default()),
        ] {
            assert_eq!(contents(&bytes).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_initramfs_is_an_error() {
        let cut = archive(&[("init", REGULAR, "x")]);
        for bytes in [&b"something else"[..], &cut[..cut.len() / 2], &gzip(&cut)[..20], b"0707"] {
            assert!(contents(bytes).is_err(), "{bytes:?}");
        }
    }
}

//! cryptsetup: what it is told, what it answers, and whether that counts as encrypted. Keys reach it through its standard input, never
//! as an argument.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::programs;
use super::secret::Secret;
use super::tool::{self, Invocation, Output, ToolError};
use crate::config::Access;
use crate::env::Env;
use crate::error::Stop;
use crate::facts::human;
use crate::format::{self, Kind, luks};
use crate::mapper::cipher::{self, Cipher, Plain};
use crate::mapper::{self, MapperError};
use crate::patient::patiently;
use crate::plan::programs::Program;
use crate::probe::ram;

/// It is not taken from the image (decision 0031).
const CRYPTSETUP: Program = Program { names: &["cryptsetup"], package: "cryptsetup" };
/// A slow machine needs half a minute for a key; a slow stick some seconds for the header.
const LIMIT: Duration = Duration::from_secs(300);
/// KiB of memory that opening takes: a stick must open on a smaller machine than the one it was made on.
const KEY_MEMORY: u64 = 262_144;
/// KiB that a key is worth in any case: less than this would be no hindrance to whoever guesses.
const LEAST_KEY_MEMORY: u64 = 32_768;
/// cryptsetup(8): no key slot takes this key.
const WRONG_KEY: i32 = 2;
/// How long a volume that was just used may stay busy: udev looks at it.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
/// With this rule udev tells libdevmapper that it is done; without it, libdevmapper would wait for ever.
const NOTIFY: [&str; 3] = ["usr/lib/udev/rules.d", "lib/udev/rules.d", "etc/udev/rules.d"];
const NOTIFY_RULE: &str = "95-dm-notify.rules";

/// An opened volume.
#[derive(Debug, PartialEq, Eq)]
pub struct Mapped {
    dev: PathBuf,
    name: String,
    /// What it is encrypted with.
    pub(super) cipher: Cipher,
}

/// Why a volume was not made, opened or marked.
#[derive(Debug, thiserror::Error)]
pub(super) enum VolumeError {
    /// cryptsetup failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The kernel does not tell how it is mapped.
    #[error(transparent)]
    Mapper(#[from] MapperError),
    /// It is open and not encrypted (attacks.md F4).
    #[error("{0}; it was not used, for what is written there could be read by anybody")]
    Plain(#[from] Plain),
    /// It should have been closed again.
    #[error("{why}; it stays open: {error}")]
    StaysOpen {
        /// Why.
        why: Box<VolumeError>,
        /// What is in the way.
        error: MapperError,
    },
    /// The device or its header cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// Its keys need more memory than there is.
    #[error(
        "making the key takes {} of memory, and {} can be had for it; use a machine with more memory, or lower it there with \
         cryptsetup luksConvertKey --pbkdf-memory",
        human(*.least),
        human(*.room)
    )]
    Memory {
        /// Bytes that the cheapest key needs.
        least: u64,
        /// Bytes that can be had.
        room: u64,
    },
    /// Before or after it was marked.
    #[error("{0}: no LUKS header")]
    NoHeader(&'static str),
    /// The mark is not there.
    #[error("the header does not have it afterwards")]
    Unmarked,
    /// It does not open with its own key.
    #[error("cryptsetup does not take the key it was given")]
    KeyRefused,
}

/// The cipher of an opened volume, if that counts as encrypted.
pub(super) fn believed(name: &str) -> Result<Cipher, VolumeError> {
    // Without a keyring in the kernel, the key stands in it.
    let table = Zeroizing::new(mapper::table(name)?);
    Ok(cipher::of_table(&table)?)
}

impl Mapped {
    /// What cryptsetup has opened, if it is encrypted; otherwise it is closed again.
    fn checked(env: &Env, name: &str) -> Result<Self, VolumeError> {
        let (dev, name) = (env.path("dev"), name.to_owned());
        match believed(&name) {
            Ok(cipher) => Ok(Self { dev, name, cipher }),
            Err(why) => Err(match close(&dev, &name) {
                Ok(()) => why,
                Err(error) => VolumeError::StaysOpen { why: Box::new(why), error },
            }),
        }
    }

    /// Its node.
    pub(super) fn node(&self) -> PathBuf {
        self.dev.join("mapper").join(&self.name)
    }

    /// Closes it; waits a moment for somebody who still looks at it.
    ///
    /// # Errors
    /// It stays in use.
    pub fn close(&self) -> Result<(), MapperError> {
        close(&self.dev, &self.name)
    }
}

fn close(dev: &Path, name: &str) -> Result<(), MapperError> {
    patiently(BUSY_LIMIT, Duration::from_millis(20), |_| true, || mapper::remove(name))?;
    // Without udev the node is libdevmapper's, which does not see this.
    let _ = fs::remove_file(dev.join("mapper").join(name));
    Ok(())
}

/// Which key slots may be tried.
#[derive(Debug, PartialEq, Eq)]
enum Slots {
    All,
    These(Vec<String>),
}

/// Memory that stays free while a key is made of a passphrase.
const SPARED: u64 = 64 << 20;

/// The slots whose making of a key fits into the memory that there is: a header may ask for more, and the kernel would end some
/// program for that, this one perhaps.
///
/// # Errors
/// None fits, or the header cannot be read.
fn affordable(env: &Env, node: &str) -> Result<Slots, VolumeError> {
    let Some(available) = ram::available(env) else { return Ok(Slots::All) };
    let mut file = File::open(node).map_err(|error| VolumeError::Unreadable(error.to_string()))?;
    let wanted = luks::key_memory(&mut file).map_err(|error| VolumeError::Unreadable(error.to_string()))?;
    fitting(&wanted, available.saturating_sub(SPARED))
}

fn fitting(wanted: &[(String, u64)], room: u64) -> Result<Slots, VolumeError> {
    let fits: Vec<String> = wanted.iter().filter(|(_, bytes)| *bytes <= room).map(|(slot, _)| slot.clone()).collect();
    match (fits.len() == wanted.len(), wanted.iter().map(|(_, bytes)| *bytes).min()) {
        (true, _) => Ok(Slots::All),
        (false, Some(least)) if fits.is_empty() => Err(VolumeError::Memory { least, room }),
        _ => Ok(Slots::These(fits)),
    }
}

/// What a new header says in the clear.
pub(super) struct Header<'a> {
    /// Its label.
    pub luks: &'a str,
    /// Its subsystem.
    pub mark: Option<&'a str>,
    /// Its UUID.
    pub uuid: Option<&'a str>,
}

/// cryptsetup, and whether udev makes the nodes of what it opens.
pub(super) struct Cryptsetup {
    /// Where it is.
    pub program: PathBuf,
    udev: bool,
}

impl Cryptsetup {
    /// Finds it.
    pub fn find(env: &Env) -> Result<Self, Stop> {
        let program = programs::find(env, None, &CRYPTSETUP).map_err(|stop| {
            stop.advice(
                "build the initrd with cryptsetup: rdlive-image --encryption, or install it and run dracut again",
            )
        })?;
        let answers = NOTIFY.iter().any(|dir| env.path(dir).join(NOTIFY_RULE).exists());
        Ok(Self { program: program.path, udev: answers && env.path("run/udev/control").exists() })
    }

    fn call(&self, arguments: &[&str], key: Option<&Secret>) -> Result<Output, ToolError> {
        let alone: &[(&str, &str)] = if self.udev { &[] } else { &[("DM_DISABLE_UDEV", "1")] };
        let input = key.map(Secret::bytes);
        tool::call(&Invocation { arguments, input, variables: alone, ..Invocation::of(&self.program) }, LIMIT)
    }

    /// Makes a volume. A random key is not stretched.
    pub fn format(
        &self,
        env: &Env,
        node: &str,
        header: &Header<'_>,
        key: &Secret,
        random: bool,
    ) -> Result<(), VolumeError> {
        let Header { luks, mark, uuid } = header;
        let room = ram::available(env).map_or(KEY_MEMORY, |bytes| bytes.saturating_sub(SPARED) / 1024);
        let memory = room.clamp(LEAST_KEY_MEMORY, KEY_MEMORY).to_string();
        let mut all = vec!["luksFormat", "--batch-mode", "--type", "luks2", "--label", luks, "--key-file", "-"];
        if let Some(mark) = mark {
            all.extend(["--subsystem", mark]);
        }
        match random {
            // Nobody guesses 64 random bytes: nothing is gained by making that slow.
            true => all.extend(["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]),
            false => all.extend(["--pbkdf-memory", &memory]),
        }
        if let Some(uuid) = uuid {
            all.extend(["--uuid", uuid]);
        }
        all.push(node);
        let output = self.call(&all, Some(key))?;
        if output.status.success() { Ok(()) } else { Err(self.said(&output)) }
    }

    /// Opens a volume by a name; `Ok(None)` when the key is not accepted.
    pub fn open(
        &self,
        env: &Env,
        node: &str,
        (name, access): (&str, Access),
        key: &Secret,
    ) -> Result<Option<Mapped>, VolumeError> {
        let mut arguments = vec!["open", "--type", "luks", "--key-file", "-", node, name];
        if access == Access::ReadOnly {
            arguments.push("--readonly");
        }
        let slots = match affordable(env, node)? {
            Slots::All => vec![None],
            Slots::These(slots) => slots.into_iter().map(Some).collect(),
        };
        for slot in slots {
            let mut arguments = arguments.clone();
            arguments.extend(slot.iter().flat_map(|slot| ["--key-slot", slot.as_str()]));
            let output = self.call(&arguments, Some(key))?;
            match output.status.code() {
                Some(0) => return Mapped::checked(env, name).map(Some),
                Some(WRONG_KEY) => {}
                _ => return Err(self.said(&output)),
            }
        }
        Ok(None)
    }

    /// Changes the subsystem of a volume, open or not; its label stays.
    pub fn mark(&self, node: &str, mark: &str) -> Result<(), VolumeError> {
        let header = |when: &'static str| {
            let found = File::open(node).ok().and_then(|mut file| format::identify(&mut file).ok().flatten());
            found.filter(|found| found.kind == Kind::Luks).ok_or(VolumeError::NoHeader(when))
        };
        let label = header("before")?.label.unwrap_or_default();
        // Without a label, cryptsetup would take away the one that is there.
        let output = self.call(&["config", "--label", &label, "--subsystem", mark, node], None)?;
        match header("after")?.subsystem.as_deref() == Some(mark) {
            _ if !output.status.success() => Err(self.said(&output)),
            true => Ok(()),
            false => Err(VolumeError::Unmarked),
        }
    }

    fn said(&self, output: &Output) -> VolumeError {
        let (program, status, words) = (self.program.clone(), output.status, output.errors());
        ToolError::Failed { program: program.display().to_string(), status, words }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_slots_that_fit_into_memory_are_tried() {
        let mib = |count: u64| count << 20;
        let these = |slots: &[&str]| Ok(Slots::These(slots.iter().map(|slot| (*slot).to_owned()).collect()));
        for (wanted, room, expected) in [
            (&[("0", mib(256))][..], mib(300), Ok(Slots::All)),
            (&[("0", mib(256)), ("1", mib(4096))], mib(300), these(&["0"])),
            (&[("0", mib(4096)), ("1", mib(512)), ("2", 0)], mib(300), these(&["2"])),
            (&[("0", mib(4096)), ("1", mib(512))], mib(300), Err("512 MiB of memory, and 300 MiB")),
            // LUKS 1, or a header that is not understood: cryptsetup says what it thinks of that.
            (&[], 0, Ok(Slots::All)),
        ] {
            let wanted: Vec<_> = wanted.iter().map(|(slot, bytes)| ((*slot).to_owned(), *bytes)).collect();
            match (fitting(&wanted, room), expected) {
                (Err(why), Err(words)) => assert!(why.to_string().contains(words), "{why}"),
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{wanted:?}"),
                (found, _) => panic!("{wanted:?}: {found:?}"),
            }
        }
    }
}

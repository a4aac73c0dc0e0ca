//! LUKS volumes, through the initrd's own cryptsetup: made complete before they count, opened, closed.
//!
//! Keys reach cryptsetup through its standard input, never as an argument. No failure here leads to an area without
//! encryption: it is returned, and the plan has only RAM behind it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::apply::Executor;
use super::area::{finished, make, mkfs, wipe};
use super::blank::Blank;
use super::passphrase::{self, Question};
use super::secret::Secret;
use super::tool::{self, Call, Output};
use super::unwind::Undo;
use super::witness::Witness;
use crate::config::Access;
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::facts::human;
use crate::format::{self, Kind, Superblock, luks};
use crate::kmsg::NOTICE;
use crate::mapper::cipher::{self, Cipher};
use crate::mapper::{self, MapperError};
use crate::patient::patiently;
use crate::plan::crypt::{Crypt, Key};
use crate::plan::{Slot, Target};
use crate::probe::ram;

/// A slow machine needs half a minute for a key; a slow stick some seconds for the header.
const LIMIT: Duration = Duration::from_secs(300);
/// KiB of memory that opening takes: a stick must open on a smaller machine than the one it was made on.
const KEY_MEMORY: u64 = 262_144;
/// KiB that a key is worth in any case: less than this would be no hindrance to whoever guesses.
const LEAST_KEY_MEMORY: u64 = 32_768;
/// cryptsetup(8): no key slot takes this key.
const WRONG_KEY: i32 = 2;
/// Without the passphrase nothing says that whoever asks may throw away what is there.
const LOST: &str = "boot again to be asked again; nothing was written to it. If the passphrase is lost, delete the partition or \
                    file from another system; rd.live.overlay.reset needs the passphrase too";
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
    cipher: Cipher,
}

/// The cipher of an opened volume; text for a person why it does not count as encrypted.
fn believed(name: &str) -> Result<Cipher, String> {
    // Without a keyring in the kernel, the key stands in it.
    let table = Zeroizing::new(mapper::table(name).map_err(|error| error.to_string())?);
    cipher::of_table(&table)
        .map_err(|why| format!("{why}; it was not used, for what is written there could be read by anybody"))
}

impl Mapped {
    /// What cryptsetup has opened, if it is encrypted; otherwise it is closed again.
    fn checked(env: &Env, name: &str) -> Result<Self, String> {
        let (dev, name) = (env.path("dev"), name.to_owned());
        match believed(&name) {
            Ok(cipher) => Ok(Self { dev, name, cipher }),
            Err(why) => {
                let closed = close(&dev, &name).map_err(|error| error.to_string());
                Err(why + &closed.err().map_or(String::new(), |error| format!("; it stays open: {error}")))
            }
        }
    }

    fn node(&self) -> PathBuf {
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
/// None fits, or the header cannot be read: text for a person.
fn affordable(env: &Env, node: &str) -> Result<Slots, String> {
    let Some(available) = ram::available(env) else { return Ok(Slots::All) };
    let wanted = File::open(node).map_err(|error| error.to_string());
    let wanted = wanted.and_then(|mut file| luks::key_memory(&mut file).map_err(|error| error.to_string()))?;
    fitting(&wanted, available.saturating_sub(SPARED))
}

fn fitting(wanted: &[(String, u64)], room: u64) -> Result<Slots, String> {
    let fits: Vec<String> = wanted.iter().filter(|(_, bytes)| *bytes <= room).map(|(slot, _)| slot.clone()).collect();
    match (fits.len() == wanted.len(), wanted.iter().map(|(_, bytes)| *bytes).min()) {
        (true, _) => Ok(Slots::All),
        (false, Some(least)) if fits.is_empty() => Err(format!(
            "making the key takes {} of memory, and {} can be had for it; use a machine with more memory, or lower it there with \
             cryptsetup luksConvertKey --pbkdf-memory",
            human(least),
            human(room)
        )),
        _ => Ok(Slots::These(fits)),
    }
}

/// UUID, label and subsystem in the LUKS header of a device.
fn header(witness: &Witness) -> Option<[Option<String>; 3]> {
    let found = format::identify(&mut witness.file()).ok().flatten()?;
    Some([found.uuid, found.label, found.subsystem])
}

/// cryptsetup, and whether udev makes the nodes of what it opens.
struct Cryptsetup {
    program: PathBuf,
    udev: bool,
}

impl Cryptsetup {
    fn find(env: &Env) -> Result<Self, Stop> {
        let program = tool::find(env, &["cryptsetup"], "cryptsetup").map_err(|stop| {
            stop.advice(
                "build the initrd with cryptsetup: rdlive-image --encryption, or install it and run dracut again",
            )
        })?;
        let answers = NOTIFY.iter().any(|dir| env.path(dir).join(NOTIFY_RULE).exists());
        Ok(Self { program, udev: answers && env.path("run/udev/control").exists() })
    }

    fn call(&self, arguments: &[&str], key: Option<&Secret>) -> Result<Output, String> {
        let alone: &[(&str, &str)] = if self.udev { &[] } else { &[("DM_DISABLE_UDEV", "1")] };
        let input = key.map(Secret::bytes);
        tool::call(&Call { arguments, input, variables: alone, ..Call::of(&self.program) }, LIMIT)
    }

    fn format(&self, env: &Env, node: &str, header: &Header<'_>, key: &Secret, random: bool) -> Result<(), String> {
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

    /// `Ok(None)` when the key is not accepted.
    fn open(
        &self,
        env: &Env,
        node: &str,
        (name, access): (&str, Access),
        key: &Secret,
    ) -> Result<Option<Mapped>, String> {
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
    fn mark(&self, node: &str, mark: &str) -> Result<(), String> {
        let header = |what: &str| {
            let found = File::open(node).ok().and_then(|mut file| format::identify(&mut file).ok().flatten());
            found.filter(|found| found.kind == Kind::Luks).ok_or_else(|| format!("{what}: no LUKS header"))
        };
        let label = header("before")?.label.unwrap_or_default();
        // Without a label, cryptsetup would take away the one that is there.
        let output = self.call(&["config", "--label", &label, "--subsystem", mark, node], None)?;
        match header("after")?.subsystem.as_deref() == Some(mark) {
            _ if !output.status.success() => Err(self.said(&output)),
            true => Ok(()),
            false => Err("the header does not have it afterwards".to_owned()),
        }
    }

    fn said(&self, output: &Output) -> String {
        format!("{} ended with {}: {}", self.program.display(), output.status, output.errors())
    }
}

impl Executor<'_> {
    pub(super) fn luks_format(
        &mut self,
        target: &Target,
        (luks, mark): (&str, Option<&str>),
        crypt: &Crypt,
        fs: &str,
        label: Option<&str>,
    ) -> Result<(), Stop> {
        // Programs, then the key: without either nothing is touched, not even read.
        let cryptsetup = Cryptsetup::find(self.env)?;
        let (program, arguments) = mkfs(self.env, fs)?;
        let _unseen = passphrase::unseen(self.env);
        let key = self.new_key(crypt)?;
        let volume = Volume { luks, mark, crypt, fs, label, key: &key };
        let what = format!("encrypting {} for changes", target.to_string().trim_end_matches(','));
        log::info!(target: NOTICE, "{what}");
        self.watchdog.telling(&what, || volume.make(self.env, &cryptsetup, (&program, &arguments), target))?;
        self.note(format!("made {target} {fs} in LUKS2"));
        self.keys.insert(crypt.map.clone(), key);
        Ok(())
    }

    pub(super) fn unlock(&mut self, what: Slot, crypt: &Crypt) -> Result<(), Stop> {
        // It lives until the volume is open, through all questions for a passphrase; what is open keeps its device.
        let witness = self.witness(what)?;
        let node = witness.node();
        self.volumes.insert(crypt.map.clone(), node.to_owned());
        if let Some((open, name)) = already_open(self.env, node) {
            let failed = |why| Stop::new(Code::AreaCrypt, format!("{}, opened as {name}: {why}", crypt.place));
            self.cipher = Some(believed(&name).map_err(failed)?);
            self.note(format!("{} was open already as {}", crypt.place, open.display()));
            self.hold(what, open, None);
            return Ok(());
        }
        let cryptsetup = Cryptsetup::find(self.env)?;
        let before = header(&witness);
        let _unseen = passphrase::unseen(self.env);
        let mapped = self.opened(&cryptsetup, &node.to_string_lossy(), crypt)?;
        let open = mapped.node();
        self.cipher = Some(mapped.cipher.clone());
        self.undo(Undo::Close(mapped));
        // Somebody has typed meanwhile, for minutes perhaps. The text that says whose it is decides what a reset empties.
        if header(&witness) != before {
            let cause = format!("the LUKS header of {} has changed while it was opened", crypt.place);
            return Err(
                Stop::new(Code::AreaCrypt, cause).advice("nothing was written; boot again and leave the disk alone")
            );
        }
        // Whatever lies below stays attached as long as the volume is open.
        self.hold(what, open, None);
        Ok(())
    }

    /// The area is this image's already; what its header says decides only whether another image asks for its passphrase.
    pub(super) fn mark_volume(&mut self, map: &str, mark: &str) {
        let node = self.volumes.get(map).map(|node| node.to_string_lossy().into_owned());
        let marked = node.ok_or_else(|| format!("no volume is known as {map}")).and_then(|node| {
            let cryptsetup = Cryptsetup::find(self.env).map_err(|stop| stop.cause)?;
            cryptsetup.mark(&node, mark)
        });
        if let Err(why) = marked {
            let note = format!("the LUKS header of {map} could not be told which image it is for: {why}");
            log::warn!("{note}, ignoring");
            self.note(note);
        }
    }

    fn opened(&mut self, cryptsetup: &Cryptsetup, node: &str, crypt: &Crypt) -> Result<Mapped, Stop> {
        let what = format!("opening {}", crypt.place);
        let failed = |cause: String| Stop::new(Code::AreaCrypt, format!("{what}: {cause}"));
        let (env, watchdog) = (self.env, self.watchdog.clone());
        let open = |key: &Secret| {
            watchdog.telling(&what, || cryptsetup.open(env, node, (&crypt.map, crypt.access), key)).map_err(failed)
        };
        if let Some(key) = self.keys.remove(&crypt.map) {
            let mapped = open(&key)?;
            return mapped.ok_or_else(|| failed("it does not take the key it was made with".to_owned()));
        }
        let Key::Passphrase { file, tries, timeout_s } = &crypt.key else {
            return Err(failed("its key is not known any more".to_owned()));
        };
        if let Some(key) = &self.key {
            if let Some(mapped) = open(key)? {
                return Ok(mapped);
            }
            let file = file.as_deref().unwrap_or("that was named");
            log::warn!("{} does not take the key {file}, asking for a passphrase", crypt.place);
        }
        for left in (0..*tries).rev() {
            let text = format!("Passphrase for the encrypted area {}:", crypt.place);
            let key = self.asked(crypt, &text, *timeout_s)?;
            if let Some(mapped) = open(&key)? {
                return Ok(mapped);
            }
            crate::kmsg::tell(self.env, &format!("wrong passphrase for {}, {left} tries left", crypt.place));
        }
        Err(locked(crypt, format!("{tries} wrong passphrases for {}", crypt.place)).advice(LOST))
    }

    /// The key of a volume that is about to be made.
    fn new_key(&self, crypt: &Crypt) -> Result<Secret, Stop> {
        let Key::Passphrase { tries, timeout_s, .. } = &crypt.key else { return self.random_key(crypt) };
        if let Some(key) = &self.key {
            return Ok(Secret::new(key.bytes().to_vec()));
        }
        for _ in 0..*tries {
            let text = format!("New passphrase for {}, which is encrypted now:", crypt.place);
            let first = self.asked(crypt, &text, *timeout_s)?;
            let second = self.asked(crypt, "The same passphrase again:", *timeout_s)?;
            if first.same(&second) {
                return Ok(first);
            }
            crate::kmsg::tell(self.env, "the two passphrases differ");
        }
        Err(locked(crypt, format!("{tries} times two different passphrases for {}", crypt.place)))
    }

    fn asked(&self, crypt: &Crypt, text: &str, timeout_s: u64) -> Result<Secret, Stop> {
        let question = Question { id: &crypt.map, text, limit: Duration::from_secs(timeout_s) };
        let _asking = self.watchdog.asking();
        passphrase::ask(self.env, &question).map_err(|why| locked(crypt, format!("{why} for {}", crypt.place)))
    }

    fn random_key(&self, crypt: &Crypt) -> Result<Secret, Stop> {
        let failed = |error: io::Error| Stop::new(Code::AreaCrypt, format!("making a random key: {error}"));
        let key = Secret::random(self.env).map_err(failed)?;
        if let Key::Random { keep } = &crypt.key {
            write_private(&self.env.path(keep), &key).map_err(failed)?;
        }
        Ok(key)
    }
}

/// What a new header says in the clear.
struct Header<'a> {
    luks: &'a str,
    mark: Option<&'a str>,
    uuid: Option<&'a str>,
}

/// A volume that is being made.
struct Volume<'a> {
    luks: &'a str,
    mark: Option<&'a str>,
    crypt: &'a Crypt,
    fs: &'a str,
    label: Option<&'a str>,
    key: &'a Secret,
}

impl Volume<'_> {
    /// Makes it, with the program and its arguments that make the file system inside, as a whole: closed and written out.
    fn make(
        &self,
        env: &Env,
        cryptsetup: &Cryptsetup,
        (program, arguments): (&Path, &[&str]),
        target: &Target,
    ) -> Result<(), Stop> {
        let failed = |cause: String| Stop::new(Code::AreaCrypt, format!("{target}: {cause}"));
        let blank = Blank::prove(env, target)?;
        finished(blank, |blank| self.fill(env, cryptsetup, (program, arguments), blank)).map_err(failed)
    }

    fn fill(
        &self,
        env: &Env,
        cryptsetup: &Cryptsetup,
        (program, arguments): (&Path, &[&str]),
        blank: &Blank,
    ) -> Result<(), String> {
        wipe(blank).map_err(|error| format!("wiping old signatures: {error}"))?;
        let node = blank.node.to_string_lossy().into_owned();
        let uuid = blank.uuid();
        let random = matches!(self.crypt.key, Key::Random { .. });
        let header = Header { luks: self.luks, mark: self.mark, uuid };
        cryptsetup.format(env, &node, &header, self.key, random)?;
        // Another name than the area's own: that one belongs to the volume once it counts.
        let name = format!("{}-new", self.crypt.map);
        let mapped = cryptsetup.open(env, &node, (&name, Access::ReadWrite), self.key)?;
        let mapped = mapped.ok_or("cryptsetup does not take the key it was given")?;
        let inside = mapped.node();
        let made = make_inside(&inside, |size| make(program, arguments, self.fs, self.label, &inside, size));
        let closed = mapped.close().map_err(|error| error.to_string());
        made.and(closed)?;
        let found = format::identify(&mut &blank.device.device).ok().flatten();
        let as_told = |found: &Superblock| {
            (found.kind, found.label.as_deref(), found.subsystem.as_deref()) == (Kind::Luks, Some(self.luks), self.mark)
        };
        match found.as_ref().is_some_and(as_told) {
            true => Ok(()),
            false => Err("cryptsetup left no LUKS volume".to_owned()),
        }
    }
}

fn locked(crypt: &Crypt, cause: String) -> Stop {
    Stop::new(Code::AreaLocked, cause)
        .wanted(format!("the passphrase or key of {}", crypt.place))
        .advice("boot again to be asked again; nothing was written to it")
}

/// Makes the file system of an opened volume and writes it out.
fn make_inside(node: &Path, make: impl FnOnce(u64) -> Result<(), String>) -> Result<(), String> {
    let shown = node.display();
    let mut device =
        OpenOptions::new().read(true).write(true).open(node).map_err(|e| format!("opening {shown}: {e}"))?;
    let size = device.seek(SeekFrom::End(0)).map_err(|error| format!("the size of {shown}: {error}"))?;
    make(size)?;
    device.sync_all().map_err(|error| format!("writing {shown}: {error}"))
}

/// Another program of the initrd may have opened the volume before us, such as dracut's module crypt.
/// Its node and its name.
fn already_open(env: &Env, node: &Path) -> Option<(PathBuf, String)> {
    let holders = env.path("sys/class/block").join(node.file_name()?).join("holders");
    let mut names = fs::read_dir(holders).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let luks = |name: &String| {
        let uuid = env.text(Path::new("sys/class/block").join(name).join("dm/uuid"));
        uuid.is_some_and(|uuid| uuid.starts_with("CRYPT-LUKS"))
    };
    let found = names.find(luks)?;
    let name = env.text(Path::new("sys/class/block").join(&found).join("dm/name"))?;
    Some((env.path("dev").join(found), name))
}

/// A file that only root can read, from its first moment.
fn write_private(path: &Path, secret: &Secret) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    file.write_all(secret.bytes())
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
                (Err(why), Err(words)) => assert!(why.contains(words), "{why}"),
                (found, expected) => assert_eq!(found, expected.map_err(str::to_owned), "{wanted:?}"),
            }
        }
    }
}

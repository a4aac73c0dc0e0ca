//! LUKS volumes, through the initrd's own cryptsetup: made complete before they count, opened, closed.
//!
//! Keys reach cryptsetup through its standard input, never as an argument. No failure here leads to an area without
//! encryption: it is returned, and the plan has only RAM behind it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::apply::Executor;
use super::area::{finished, make, wipe};
use super::blank::{Blank, MakeError};
use super::cryptsetup::{Cryptsetup, Header, Mapped, VolumeError, believed};
use super::passphrase::{self, Question};
use super::programs::Tool;
use super::secret::Secret;
use super::unwind::Undo;
use super::witness::Witness;
use crate::config::Access;
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::format::{self, Kind, Superblock};
use crate::kmsg::NOTICE;
use crate::plan::Slot;
use crate::plan::act::{Crypt, Key, Target, VolumeAct};

/// Without the passphrase nothing says that whoever asks may throw away what is there.
const LOST: &str = "boot again to be asked again; nothing was written to it. If the passphrase is lost, delete the partition or \
                    file from another system; rd.live.overlay.reset needs the passphrase too";

/// UUID, label and subsystem in the LUKS header of a device.
fn header(witness: &Witness) -> Option<[Option<String>; 3]> {
    let found = format::identify(&mut witness.file()).ok().flatten()?;
    Some([found.uuid, found.label, found.subsystem])
}

impl Executor<'_> {
    pub(super) fn volume_act(&mut self, act: &VolumeAct) -> Result<(), Stop> {
        match act {
            VolumeAct::Format { target, luks, mark, crypt, fs, label } => {
                self.luks_format(target, (luks, mark.as_deref()), crypt, *fs, label.as_deref())
            }
            VolumeAct::Open { what, crypt } => self.unlock(*what, crypt),
            VolumeAct::Mark { map, mark } => {
                self.mark_volume(map, mark);
                Ok(())
            }
        }
    }

    fn luks_format(
        &mut self,
        target: &Target,
        (luks, mark): (&str, Option<&str>),
        crypt: &Crypt,
        fs: Kind,
        label: Option<&str>,
    ) -> Result<(), Stop> {
        // Programs, then the key: without either nothing is touched, not even read.
        let cryptsetup = Cryptsetup::find(self.env)?;
        let (program, arguments) = self.mkfs(fs)?;
        let _unseen = passphrase::unseen(self.env);
        let key = self.new_key(crypt)?;
        let volume = Volume { luks, mark, crypt, fs, label, key: &key };
        let what = format!("encrypting {} for changes", target.to_string().trim_end_matches(','));
        log::info!(target: NOTICE, "{what}");
        self.watchdog.telling(&what, || volume.make(self.env, &cryptsetup, (&program, &arguments), target))?;
        self.note(format!("made {target} {} in LUKS2", fs.name()));
        // One of that name that was made before is gone.
        self.keys.retain(|(map, _)| *map != crypt.map);
        self.keys.push((crypt.map.clone(), key));
        Ok(())
    }

    fn unlock(&mut self, what: Slot, crypt: &Crypt) -> Result<(), Stop> {
        // It lives until the volume is open, through all questions for a passphrase; what is open keeps its device.
        let witness = self.witness(what)?;
        let node = witness.node();
        self.volumes.push((crypt.map.clone(), node.to_owned()));
        if let Some((open, name)) = already_open(self.env, node) {
            let failed =
                |why: VolumeError| Stop::new(Code::AreaCrypt, format!("{}, opened as {name}: {why}", crypt.place));
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
    fn mark_volume(&mut self, map: &str, mark: &str) {
        // The last of that name is the one that was opened.
        let volume = self.volumes.iter().rfind(|(name, _)| name == map);
        let node = volume.map(|(_, node)| node.to_string_lossy().into_owned());
        let marked = node.ok_or_else(|| format!("no volume is known as {map}")).and_then(|node| {
            let cryptsetup = Cryptsetup::find(self.env).map_err(|stop| stop.cause)?;
            cryptsetup.mark(&node, mark).map_err(|error| error.to_string())
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
        let refused = |error: VolumeError| failed(error.to_string());
        let (env, watchdog) = (self.env, self.watchdog.clone());
        let open = |key: &Secret| {
            watchdog.telling(&what, || cryptsetup.open(env, node, (&crypt.map, crypt.access), key)).map_err(refused)
        };
        if let Some(at) = self.keys.iter().rposition(|(map, _)| *map == crypt.map) {
            let (_, key) = self.keys.remove(at);
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

/// A volume that is being made.
struct Volume<'a> {
    luks: &'a str,
    mark: Option<&'a str>,
    crypt: &'a Crypt,
    fs: Kind,
    label: Option<&'a str>,
    key: &'a Secret,
}

impl Volume<'_> {
    /// Makes it, with the program and its arguments that make the file system inside, as a whole: closed and written out.
    fn make(
        &self,
        env: &Env,
        cryptsetup: &Cryptsetup,
        (program, arguments): (&Tool, &[&str]),
        target: &Target,
    ) -> Result<(), Stop> {
        let failed = |error: MakeError| Stop::new(Code::AreaCrypt, format!("{target}: {error}"));
        let blank = Blank::prove(env, target)?;
        finished(blank, |blank| self.fill(env, cryptsetup, (program, arguments), blank)).map_err(failed)
    }

    fn fill(
        &self,
        env: &Env,
        cryptsetup: &Cryptsetup,
        (program, arguments): (&Tool, &[&str]),
        blank: &Blank,
    ) -> Result<(), MakeError> {
        wipe(blank)?;
        let node = blank.node.to_string_lossy().into_owned();
        let uuid = blank.uuid();
        let random = matches!(self.crypt.key, Key::Random { .. });
        let header = Header { luks: self.luks, mark: self.mark, uuid };
        cryptsetup.format(env, &node, &header, self.key, random)?;
        // Another name than the area's own: that one belongs to the volume once it counts.
        let name = format!("{}-new", self.crypt.map);
        let mapped = cryptsetup.open(env, &node, (&name, Access::ReadWrite), self.key)?;
        let mapped = mapped.ok_or(VolumeError::KeyRefused)?;
        let inside = mapped.node();
        let made = make_inside(&inside, |size| make(program, arguments, self.fs, self.label, &inside, size));
        let closed = mapped.close().map_err(VolumeError::Mapper);
        made?;
        closed?;
        let found = format::identify(&mut &blank.device.device).ok().flatten();
        let as_told = |found: &Superblock| {
            (found.kind, found.label.as_deref(), found.subsystem.as_deref()) == (Kind::Luks, Some(self.luks), self.mark)
        };
        match found.as_ref().is_some_and(as_told) {
            true => Ok(()),
            false => Err(MakeError::Nothing {
                program: cryptsetup.program.display().to_string(),
                what: "LUKS volume".to_owned(),
            }),
        }
    }
}

fn locked(crypt: &Crypt, cause: String) -> Stop {
    Stop::new(Code::AreaLocked, cause)
        .wanted(format!("the passphrase or key of {}", crypt.place))
        .advice("boot again to be asked again; nothing was written to it")
}

/// Makes the file system of an opened volume and writes it out.
fn make_inside(node: &Path, make: impl FnOnce(u64) -> Result<(), MakeError>) -> Result<(), MakeError> {
    let failed = |what: &str| {
        let what = format!("{what} {}", node.display());
        |error: io::Error| MakeError::Io(what, error)
    };
    let mut device = OpenOptions::new().read(true).write(true).open(node).map_err(failed("opening"))?;
    let size = device.seek(SeekFrom::End(0)).map_err(failed("the size of"))?;
    make(size)?;
    device.sync_all().map_err(failed("writing"))
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

//! The native initramfs: the agent as `/init`, kernel modules with their index, and one configuration file.

pub mod agent;
mod archive;
mod beside;
mod busybox;
mod certificates;
mod choice;
pub mod contents;
mod crypto;
mod decompress;
pub mod dracut;
mod dracut_conf;
mod elf;
mod firmware;
mod index;
pub mod kmod;
mod modprobe_conf;
mod module_file;
pub mod profile;
mod summary;
mod tools;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use rdlive_media::layout;

use self::archive::Archive;
use self::choice::{Choice, choose_modules};
pub use self::choice::{Unwanted, notes, unwanted};
pub use self::profile::Profile;
pub use self::summary::Summary;
pub use self::tools::AreaFs;
use crate::epoch::Epoch;

/// How the archive is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Compress {
    /// zstd.
    #[default]
    Zstd,
    /// Not at all.
    None,
}

/// A file to add: source on this machine, destination inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddFile {
    /// The file on this machine.
    pub source: PathBuf,
    /// Absolute path inside the initramfs.
    pub destination: String,
}

impl FromStr for AddFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((source, destination)) if !source.is_empty() && destination.starts_with('/') => {
                Ok(Self { source: source.into(), destination: destination.to_owned() })
            }
            _ => Err("expected SOURCE:/DESTINATION, with an absolute destination".into()),
        }
    }
}

impl AddFile {
    /// Whether its group or others may not read it. The group of what carries it may be another, so both count alike.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn is_private(&self) -> Result<bool> {
        let meta = fs::metadata(&self.source).with_context(|| format!("adding {}", self.source.display()))?;
        Ok(meta.permissions().mode() & 0o044 != 0o044)
    }
}

/// Why the result is for its owner alone; `None` if everybody may read all the added files.
///
/// # Errors
/// When one cannot be looked at.
pub fn privacy(files: &[AddFile]) -> Result<Option<String>> {
    for file in files {
        if file.is_private()? {
            return Ok(Some(format!(
                "only its owner may read the result (mode 0600), as {} is in it; whoever has it on a medium can read it there",
                file.source.display()
            )));
        }
    }
    Ok(None)
}

/// Everything that decides the bytes of an initramfs.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The operating system tree: modprobe.d, busybox.
    pub root: PathBuf,
    /// Kernel release.
    pub version: String,
    /// Directory with the modules of that kernel.
    pub modules: PathBuf,
    /// The agent's binary.
    pub agent: PathBuf,
    /// Which drivers.
    pub profile: Profile,
    /// Put in what the network needs, if the profile has one: drivers of cards, and the tree's CA certificates.
    pub network: bool,
    /// Further modules; each must exist.
    pub add_modules: Vec<String>,
    /// Further files.
    pub add_files: Vec<AddFile>,
    /// Lines of `/etc/rdlive.conf`.
    pub conf: Vec<(String, String)>,
    /// Put a shell in.
    pub shell: bool,
    /// Put the programs in that make and check persistent areas with these file systems.
    pub persistence: Vec<AreaFs>,
    /// Put in what encrypted areas need: cryptsetup, dm-crypt, ciphers; ext4's programs, too, if no others are.
    pub encryption: bool,
    /// Compression of the archive.
    pub compress: Compress,
    /// Store every module plain. Otherwise most are compressed one by one, with a dictionary that they share, for the agent to
    /// unpack on demand: of 250 a machine loads twenty, and what the archive holds plain the kernel unpacks before our first
    /// instruction.
    pub plain_modules: bool,
    /// All file times.
    pub epoch: Epoch,
}

impl Recipe {
    /// Whether the initramfs can fetch an image.
    fn has_network(&self) -> bool {
        self.network && self.profile.has_network()
    }
}

/// Directories every initramfs has, with their permissions.
const DIRECTORIES: [(&str, u32); 9] = [
    ("dev", 0o755),
    ("proc", 0o555),
    ("sys", 0o555),
    ("run", 0o755),
    ("etc", 0o755),
    ("usr/lib/rdlive", 0o755),
    ("sysroot", 0o755),
    ("root", 0o700),
    ("tmp", 0o1777),
];

/// Builds the initramfs into `output`.
///
/// # Errors
/// When the tree lacks something, or writing fails.
pub fn build(recipe: &Recipe, output: &Path) -> Result<Summary> {
    let mut archive = Archive::default();
    for (path, mode) in DIRECTORIES {
        archive.directory(path, mode);
    }
    // The kernel opens /dev/console for the first process before anything is mounted.
    archive.character_device("dev/console", 0o600, 5, 1);
    archive.character_device("dev/null", 0o666, 1, 3);
    archive.file("init", 0o755, read(&recipe.agent).context("adding the agent")?);
    archive.link("usr/bin/rdlive", "/init");
    archive.file(layout::CONF, 0o644, conf_text(&recipe.conf)?.into_bytes());
    let choice = choose_modules(recipe)?;
    let modules = add_modules(recipe, &choice, &mut archive)?;
    let firmware = add_firmware(recipe, &choice, &mut archive)?;
    let certificates = add_certificates(recipe, &mut archive)?;
    if recipe.shell {
        add_shell(recipe, &mut archive)?;
    }
    tools::add(&recipe.root, &recipe.persistence, recipe.encryption, &mut archive)?;
    add_files(recipe, &mut archive)?;
    let content_bytes = archive.content_bytes();
    write(&archive, recipe, output).with_context(|| format!("writing {}", output.display()))?;
    let bytes = fs::metadata(output).with_context(|| format!("examining {}", output.display()))?.len();
    let groups = summary::of_groups(&choice.groups, &modules, certificates);
    Ok(Summary { modules, groups, firmware, content_bytes, bytes })
}

fn add_modules(recipe: &Recipe, choice: &Choice, archive: &mut Archive) -> Result<Vec<(String, u64)>> {
    let Choice { tree, conf, names, .. } = choice;
    let base = format!("usr/lib/modules/{}", recipe.version);
    let jobs: Vec<module_file::Job> = names
        .iter()
        .filter_map(|name| tree.file(name))
        .map(|file| module_file::Job::new(&file.path, recipe.plain_modules))
        .collect();
    let mut sizes = Vec::new();
    let packed = module_file::pack(tree, &jobs)?;
    if let Some(dictionary) = packed.dictionary {
        archive.file(layout::MODULE_DICTIONARY, 0o644, dictionary);
    }
    for (job, content) in jobs.iter().zip(packed.files) {
        sizes.push((kmod::module_name(&job.source), content.len() as u64));
        archive.file(&format!("{base}/{}", job.target), 0o644, content);
    }
    let index = index::text(tree, conf, names, |path| {
        format!("/{base}/{}", module_file::Job::new(path, recipe.plain_modules).target)
    });
    archive.file(layout::MODULE_INDEX, 0o644, index.into_bytes());
    sizes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(sizes)
}

/// Adds what the drivers load from files; files that links make one are there once. Returns their number, and the bytes that they add.
fn add_firmware(recipe: &Recipe, choice: &Choice, archive: &mut Archive) -> Result<(usize, u64)> {
    let found = firmware::find(&recipe.root, &choice.tree, choice.names.iter());
    let (mut there, mut bytes) = (BTreeMap::new(), 0);
    for (name, path) in &found.files {
        if let Some(same) = there.insert(path, name) {
            archive.link(name, &format!("/{same}"));
            there.insert(path, same);
            continue;
        }
        let content = read(path).context("adding firmware")?;
        bytes += added(recipe, &content)?;
        archive.file(name, 0o644, content);
    }
    Ok((found.files.len(), bytes))
}

/// Adds the tree's CA certificates. Returns the bytes that they add.
fn add_certificates(recipe: &Recipe, archive: &mut Archive) -> Result<u64> {
    let Some(file) = certificates::find(&recipe.root).filter(|_| recipe.has_network()) else { return Ok(0) };
    let content = read(&file).context("adding CA certificates")?;
    let bytes = added(recipe, &content)?;
    archive.file(certificates::TARGET, 0o644, content);
    Ok(bytes)
}

/// Bytes that a file adds to the archive.
fn added(recipe: &Recipe, content: &[u8]) -> Result<u64> {
    Ok(match recipe.compress {
        Compress::None => content.len(),
        Compress::Zstd => zstd::bulk::compress(content, module_file::LEVEL)?.len(),
    } as u64)
}

fn add_shell(recipe: &Recipe, archive: &mut Archive) -> Result<()> {
    archive.file("usr/bin/busybox", 0o755, read(&busybox::find(&recipe.root)?)?);
    archive.link("bin", "usr/bin");
    archive.link("usr/bin/sh", "busybox");
    Ok(())
}

fn add_files(recipe: &Recipe, archive: &mut Archive) -> Result<()> {
    for file in &recipe.add_files {
        let source = &file.source;
        let meta = fs::metadata(source).with_context(|| format!("adding {}", source.display()))?;
        ensure!(meta.is_file(), "--add-file {}: not a regular file", source.display());
        let destination = match (recipe.shell, file.destination.strip_prefix("/bin/")) {
            // /bin is a link then; an entry below it would be lost in unpacking order.
            (true, Some(name)) => format!("/usr/bin/{name}"),
            _ => file.destination.clone(),
        };
        archive.file(&destination, meta.permissions().mode() & 0o7777, read(source)?);
    }
    Ok(())
}

/// `key = value` lines; keys are words, values have no line breaks.
pub(crate) fn conf_text(conf: &[(String, String)]) -> Result<String> {
    let mut text = String::from("# Written by rdlive-image.\n");
    for (key, value) in conf {
        ensure!(
            !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)),
            "'{key}' is not a key for /{}",
            layout::CONF
        );
        ensure!(!value.contains('\n'), "the value of {key} has a line break");
        text.push_str(&format!("{key} = {value}\n"));
    }
    Ok(text)
}

fn write(archive: &Archive, recipe: &Recipe, output: &Path) -> Result<()> {
    let file = BufWriter::new(File::create(output)?);
    let mtime = if recipe.epoch.fixed { recipe.epoch.seconds } else { 0 };
    let mut file = match recipe.compress {
        Compress::None => {
            let mut file = file;
            archive.write(&mut file, mtime)?;
            file
        }
        Compress::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(file, module_file::LEVEL)?;
            // Two jobs or more: the bytes do not depend on the number of threads, only on there being some.
            encoder.multithread(2)?;
            archive.write(&mut encoder, mtime)?;
            encoder.finish()?
        }
    };
    file.flush()?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn add_file_arguments() {
        for (text, expected) in [
            ("a:/b", Some(("a", "/b"))),
            ("/x/y:/etc/z:1", Some(("/x/y", "/etc/z:1"))),
            ("a", None),
            (":/b", None),
            ("a:b", None),
        ] {
            let parsed = text.parse::<AddFile>().ok();
            let expected = expected.map(|(source, to)| AddFile { source: source.into(), destination: to.to_owned() });
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn conf_lines() {
        let conf = [("dialect".to_owned(), "kiwi".to_owned()), ("medium".to_owned(), "UUID=1".to_owned())];
        assert_eq!(conf_text(&conf).unwrap(), "# Written by rdlive-image.\ndialect = kiwi\nmedium = UUID=1\n");
        assert!(conf_text(&[("a b".to_owned(), String::new())]).is_err());
        assert!(conf_text(&[("a".to_owned(), "x\ny = z".to_owned())]).is_err());
    }
}

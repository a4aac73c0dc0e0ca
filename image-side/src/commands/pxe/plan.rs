//! What will be written, decided and checked before anything is.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::PxeArgs;
use super::source::Source;
use crate::bootloader::kargs::Karg;
use crate::commands::doubts::{self, Level};
use crate::digest;
use crate::initrd::agent;
use crate::netboot::{BaseUrl, Entry, Loader, MARK, Refusal, dnsmasq};

/// Hex digits of a digest in the name of a build's directory, and in that of an image.
const BUILD_DIGITS: usize = 12;
const IMAGE_DIGITS: usize = 16;
/// Stands for a digest while the real one is not known: as long, and no other.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The example for dnsmasq.
pub const DNSMASQ: &str = "dnsmasq.conf";

/// Arguments that an entry sets itself, and why.
const OWN: [(&str, &str); 3] = [
    ("initrd", "is written for each loader as it needs it"),
    ("BOOT_IMAGE", "is written by the loaders"),
    ("rd.live.sha256", "is that of the image"),
];

/// A checked layout.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The ISO.
    pub iso: &'a Path,
    /// What it has.
    pub source: Source,
    /// Where the servers show the files.
    pub url: &'a BaseUrl,
    /// The directory that they show, as an absolute path.
    pub output: PathBuf,
    /// Whether it is to be made.
    pub is_new: bool,
    /// Whose files are written.
    pub loaders: Vec<Loader>,
    /// SHA-256 of the agent that was asked.
    pub agent: Option<String>,
    /// What the operator may want to know.
    pub notes: Vec<String>,
    /// What the operator must know.
    pub warnings: Vec<String>,
    kargs: Vec<Karg>,
    vlan: Option<u16>,
}

/// Names of one build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Its directory.
    pub build: String,
    /// The image in it.
    pub image: String,
    /// SHA-256 of the image.
    pub sum: String,
}

impl<'a> Plan<'a> {
    /// Checks everything that does not take reading the whole ISO.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(args: &'a PxeArgs, iso: &'a Path, url: &'a BaseUrl) -> Result<Self> {
        let mut loaders = args.loader.clone();
        loaders.sort_unstable();
        loaders.dedup();
        let own = own_kargs(args)?;
        let source = Source::of(iso)?;
        let (output, is_new) = output(&args.output)?;
        let kargs = source.kargs.iter().chain(&own).cloned().collect();
        let (mut notes, mut warnings) = (source.notes.clone(), Vec::new());
        if url.has_credentials() {
            warnings.push(
                "--url has a user or a password, and whoever reaches the servers can read the loaders' files"
                    .to_owned(),
            );
        }
        if is_private(iso)? {
            warnings.push(format!(
                "{} is for its owner alone, and whoever reaches the servers can read what is made of it",
                iso.display()
            ));
        }
        let asked = args
            .agent
            .as_deref()
            .map_or_else(|| Ok(agent::find(None).ok()), |path| agent::find(Some(path)).map(Some))?;
        let mut plan = Self {
            iso,
            source,
            url,
            output,
            is_new,
            loaders,
            agent: None,
            notes: Vec::new(),
            warnings: Vec::new(),
            kargs,
            vlan: args.vlan,
        };
        plan.check_files()?;
        let names = plan.names(NO_DIGEST, NO_DIGEST);
        plan.texts(&names)?;
        match asked.as_deref().and_then(|agent| Some((agent, doubts::asked(agent, &plan.line(&names))?))) {
            Some((agent, said)) => {
                if let Some(error) = said.iter().find(|doubt| doubt.level == Level::Error) {
                    bail!("the boot would stop at {}: {}", error.karg, error.message);
                }
                notes.extend(said.into_iter().map(|doubt| format!("{}: {}", doubt.karg, doubt.message)));
                plan.agent = Some(digest::of_file(agent)?);
            }
            None => {
                warnings.push("no rdlive could be asked what it would say to the kernel arguments (--agent)".to_owned())
            }
        }
        (plan.notes, plan.warnings) = (notes, warnings);
        Ok(plan)
    }

    /// The names of the build whose files have these digests: of kernel and initramfs with the image, and of the image alone.
    pub fn names(&self, all: &str, image: &str) -> Names {
        let name = &self.source.name;
        let cut = |digest: &str, digits| digest.get(..digits).unwrap_or(digest).to_owned();
        Names {
            build: format!("{name}-{}", cut(all, BUILD_DIGITS)),
            image: format!("{name}-{}.iso", cut(image, IMAGE_DIGITS)),
            sum: image.to_owned(),
        }
    }

    /// The files beside the builds' directories, by name.
    ///
    /// # Errors
    /// A loader that cannot pass on what it must.
    pub fn texts(&self, names: &Names) -> Result<Vec<(&'static str, String)>> {
        let kargs = self.all_kargs(names);
        let entry = Entry {
            title: &self.source.title,
            build: &names.build,
            kargs: &kargs,
            vlan: self.vlan,
            by_address: self.url.ipv4().is_some(),
        };
        let mut texts = Vec::new();
        for loader in &self.loaders {
            texts.push((loader.file(), loader.text(&entry)?));
        }
        texts.push((DNSMASQ, dnsmasq::text(&self.output, self.url, &self.loaders).0));
        Ok(texts)
    }

    fn all_kargs(&self, names: &Names) -> Vec<Karg> {
        let url = self.url.of(&format!("{}/{}", names.build, names.image));
        let source = [Karg::own(format!("root=live:{url}")), Karg::own(format!("rd.live.sha256={}", names.sum))];
        source.into_iter().chain(self.kargs.iter().cloned()).collect()
    }

    /// The command line, without what the loaders know.
    fn line(&self, names: &Names) -> String {
        self.all_kargs(names).iter().map(Karg::to_kernel).collect::<Vec<_>>().join(" ")
    }

    /// Nobody else's file is replaced.
    fn check_files(&self) -> Result<()> {
        let loaders = self.loaders.iter().map(|loader| (loader.file(), Some(*loader)));
        for (name, loader) in loaders.chain([(DNSMASQ, None)]) {
            if is_ours(&self.output.join(name))? == Some(false) {
                let without =
                    loader.map_or(String::new(), |loader| format!(", or do without {} (--loader)", loader.name()));
                bail!(
                    "{} was not written by rdlive-image pxe: move it away or choose another --output{without}",
                    self.output.join(name).display()
                );
            }
        }
        Ok(())
    }
}

/// Whether we have written the file; nothing where there is none.
pub fn is_ours(path: &Path) -> Result<Option<bool>> {
    match fs::read(path) {
        Ok(text) => {
            let head = String::from_utf8_lossy(&text);
            Ok(Some(head.lines().take(2).any(|line| line.starts_with(&format!("# {MARK}")))))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// The operator's arguments, and what is wrong with the options whatever the input is.
///
/// # Errors
/// An argument that an entry sets itself, or a loader that cannot do what is asked.
pub fn own_kargs(args: &PxeArgs) -> Result<Vec<Karg>> {
    if args.vlan.is_some() && args.loader.contains(&Loader::Pxelinux) {
        return Err(Refusal::Vlan.into());
    }
    args.append_karg.iter().map(|karg| own_karg(karg)).collect()
}

fn own_karg(text: &str) -> Result<Karg> {
    let karg = Karg::parse(text)?;
    if let Some((key, why)) = OWN.iter().find(|(key, _)| karg.text().split('=').next() == Some(key)) {
        bail!("kernel argument {:?}: {key}= {why}; leave it out", karg.text());
    }
    Ok(karg)
}

/// The directory as an absolute path, and whether it has to be made.
fn output(dir: &Path) -> Result<(PathBuf, bool)> {
    let shown = dir.display();
    if dir.is_dir() {
        return Ok((fs::canonicalize(dir).with_context(|| format!("--output {shown}"))?, false));
    }
    ensure!(!dir.exists(), "--output {shown}: is no directory");
    let absolute = std::path::absolute(dir).with_context(|| format!("--output {shown}"))?;
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        bail!("--output {shown}: need a directory");
    };
    ensure!(parent.is_dir(), "--output {shown}: no such directory: {}", parent.display());
    Ok((fs::canonicalize(parent).with_context(|| format!("--output {shown}"))?.join(name), true))
}

fn is_private(iso: &Path) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    let meta = fs::metadata(iso).with_context(|| format!("examining {}", iso.display()))?;
    Ok(meta.is_file() && meta.permissions().mode() & 0o044 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_an_entry_sets_itself_are_refused() {
        for (text, part) in [
            ("initrd=x", "for each loader"),
            ("BOOT_IMAGE=x", "by the loaders"),
            ("rd.live.sha256=00", "of the image"),
            ("root=live:http://h/x", "set by the builder"),
        ] {
            let refusal = own_karg(text).unwrap_err().to_string();
            assert!(refusal.contains(part), "{text}: {refusal}");
        }
        own_karg("ip=dhcp").unwrap();
    }

    #[test]
    fn whose_file_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert_eq!(is_ours(&path).unwrap(), None);
        for (text, ours) in [
            (format!("#!ipxe\n# {MARK}: x\n"), true),
            (format!("# {MARK}: x\n"), true),
            (format!("a\nb\n# {MARK}\n"), false),
            (format!("say {MARK}\n"), false),
            (String::new(), false),
        ] {
            fs::write(&path, &text).unwrap();
            assert_eq!(is_ours(&path).unwrap(), Some(ours), "{text:?}");
        }
    }
}

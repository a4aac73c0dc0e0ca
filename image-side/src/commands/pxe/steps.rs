//! Carries out a [`Plan`]: the build's directory first, then what leads to it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use sha2::{Digest, Sha256};

use super::PxeArgs;
use super::check;
use super::plan::{Names, Plan, is_ours};
use crate::commands::build::{self, BuildArgs};
use crate::digest;
use crate::initrd::contents;
use crate::interrupt;
use crate::netboot::entry::{INITRD, KERNEL};
use crate::netboot::manifest::{self, Manifest};
use crate::netboot::{Loader, MARK, publish};
use crate::progress::{Progress, human};
use crate::scratch::Scratch;
use crate::space::{self, Need};

/// What a door says besides the line that leads on.
const DOOR: &str = "leads to the newest build";

/// The build command with its own defaults.
#[derive(Parser)]
struct Build {
    #[command(flatten)]
    args: BuildArgs,
}

/// An ISO built from the input, if that is a tree; it goes away with the scratch directory.
///
/// # Errors
/// The build fails, or refuses the tree.
pub fn iso_of(args: &PxeArgs, input: &Path, progress: &Progress) -> Result<Option<(Scratch, PathBuf)>> {
    if !input.is_dir() {
        return Ok(None);
    }
    progress
        .note("an ISO is built first; for other settings than those of rdlive-image build, build it and give the ISO");
    let parent = if args.output.is_dir() { Some(args.output.as_path()) } else { args.output.parent() };
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch = Scratch::new(parent)?;
    let iso = scratch.file("live.iso");
    let mut words = vec!["build".into(), "--input".into(), input.as_os_str().to_owned()];
    words.extend(["--output".into(), iso.as_os_str().to_owned()]);
    words.extend(args.agent.iter().flat_map(|agent| ["--agent".into(), agent.as_os_str().to_owned()]));
    words.extend(args.quiet.then(|| "--quiet".into()));
    let build = Build::try_parse_from(words).context("preparing the build")?;
    build::build(&build.args)?;
    Ok(Some((scratch, iso)))
}

/// Runs all steps.
///
/// # Errors
/// What was there before is what clients see then.
pub fn run(plan: &Plan, progress: &Progress) -> Result<()> {
    let output = &plan.output;
    if plan.is_new {
        publish::directory(output)?;
    }
    let staged = publish::Staged::new(output)?;
    let image = read_image(plan, None, progress)?;
    let (kernel, initrd) = (staged.path().join(KERNEL), staged.path().join(INITRD));
    let written =
        plan.source.write_kernel(plan.iso, &kernel).and_then(|()| plan.source.write_initrd(plan.iso, &initrd));
    space::explain(written, output, &initrd, plan.source.boot_bytes())?;
    look_inside(plan, &initrd, progress);

    let mut files = Manifest::default();
    let sums = [digest::of_file(&kernel)?, digest::of_file(&initrd)?, image];
    let [kernel, initrd, image] = &sums;
    let names = plan.names(&digest::of_texts(&[kernel, initrd, image]), image);
    for (name, sum) in [KERNEL, INITRD, &names.image].into_iter().zip(&sums) {
        files.add(name, sum);
    }
    if output.join(&names.build).exists() {
        recognise(plan, &names, &files)?;
        progress.done(&format!("{} is there already, as it was written", names.build));
    } else {
        space::require(output, &[Need { what: "image", bytes: plan.source.size }])?;
        let copied = read_image(plan, Some(&staged.path().join(&names.image)), progress);
        let copied = space::explain(copied, output, &output.join(&names.image), plan.source.size)?;
        ensure!(copied == *image, "{} was changed while it was read", plan.iso.display());
        fs::write(staged.path().join(manifest::FILE), files.text()).context("writing the manifest")?;
        staged.finish(&names.build)?;
        progress.done(&format!("{}: {}", names.build, human(plan.source.size + plan.source.boot_bytes())));
    }
    lead_there(plan, &names, &files, progress)
}

/// The digest of the ISO, which is copied to a file as it is read.
fn read_image(plan: &Plan, copy: Option<&Path>, progress: &Progress) -> Result<String> {
    let stage = if copy.is_some() { "image" } else { "SHA-256 of the image" };
    progress.stage(stage);
    let shown = plan.iso.display();
    let mut from = File::open(plan.iso).with_context(|| format!("opening {shown}"))?;
    let mut to =
        copy.map(|path| File::create(path).with_context(|| format!("writing {}", path.display()))).transpose()?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        interrupt::check()?;
        let count = from.read(&mut buffer).with_context(|| format!("reading {shown}"))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        if let (Some(to), Some(path)) = (&mut to, copy) {
            to.write_all(&buffer[..count]).with_context(|| format!("writing {}", path.display()))?;
        }
        done += count as u64;
        progress.percent(stage, u8::try_from(done.saturating_mul(100) / plan.source.size.max(1)).unwrap_or(100));
    }
    ensure!(done == plan.source.size, "{shown} was changed while it was read");
    Ok(digest::hex(&hasher.finalize()))
}

/// Says what of the initramfs a boot over the network would miss.
fn look_inside(plan: &Plan, initrd: &Path, progress: &Progress) {
    let found = match contents::of(initrd) {
        Ok(found) => found,
        Err(error) => {
            return progress
                .warn(&format!("what is in the initramfs is not known, so whether it can boot this way: {error:#}"));
        }
    };
    if !found.network {
        progress.warn(
            "the initramfs has no driver of a network card (was it made with --no-network?): only a card whose driver is part of \
             the kernel will work",
        );
    }
    match (&found.agent, &plan.agent) {
        (None, _) => progress.warn(
            "the initramfs has no rdlive: whether it fetches the image is not known, and it does not compare the image's SHA-256",
        ),
        (Some(inside), Some(asked)) if inside != asked => progress.note(
            "the initramfs has another rdlive than the one that was asked about the kernel arguments (--agent); what it can \
             fetch may differ",
        ),
        _ => {}
    }
}

/// A directory of this name is this build, or it was damaged.
fn recognise(plan: &Plan, names: &Names, files: &Manifest) -> Result<()> {
    let dir = plan.output.join(&names.build);
    let way_on = "machines may have started from it; move the directory away and run this again";
    let found = check::read(&dir).with_context(|| format!("{} is not complete; {way_on}", dir.display()))?;
    ensure!(found == *files, "{}/{} is not that of this build; {way_on}", dir.display(), manifest::FILE);
    let differences = files.compare(&dir, |_| {})?;
    if let Some(first) = differences.first() {
        bail!("{}/{first}; {way_on}", dir.display());
    }
    Ok(())
}

/// Replaces the files of the loaders, and the manifest of it all at last.
fn lead_there(plan: &Plan, names: &Names, files: &Manifest, progress: &Progress) -> Result<()> {
    let output = &plan.output;
    let mut all = Manifest::default();
    all.add_all(&names.build, files);
    for (name, text) in plan.texts(names)? {
        publish::file(&output.join(name), text.as_bytes())?;
        all.add(name, digest::of_bytes(text.as_bytes()));
    }
    for loader in Loader::ALL {
        if plan.loaders.contains(&loader) {
            open_door(output, loader, &mut all, progress)?;
        } else if is_ours(&output.join(loader.file()))? == Some(true) {
            progress.warn(&format!("{} is left as it is, and leads to an earlier build (--loader)", loader.file()));
        }
    }
    publish::file(&output.join(manifest::FILE), all.text().as_bytes())?;
    if plan.url.ipv4().is_none() {
        progress.note("dnsmasq.conf has addresses of an example: --url does not name the server by an IPv4 address");
    }
    let files: Vec<&str> = plan.loaders.iter().map(|loader| loader.file()).collect();
    progress.done(&format!("{}: {} lead to {}", output.display(), files.join(", "), plan.url.of(&names.build)));
    Ok(())
}

/// Makes the file that a loader looks for by itself, unless somebody has made it.
fn open_door(output: &Path, loader: Loader, all: &mut Manifest, progress: &Progress) -> Result<()> {
    let Some((name, line)) = loader.door() else { return Ok(()) };
    let path = output.join(name);
    let text = format!("# {MARK}: {DOOR}\n{line}\n");
    match fs::read_to_string(&path) {
        Ok(found) if found == text => {}
        Ok(found) if found.lines().any(|found| found.trim() == line) => return Ok(()),
        Ok(_) => {
            progress
                .note(&format!("{} is left as it is; the line that leads to this build is: {line}", path.display()));
            return Ok(());
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(dir) = path.parent() {
                publish::directory(dir)?;
            }
            publish::file(&path, text.as_bytes())?;
        }
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    }
    all.add(name, digest::of_bytes(text.as_bytes()));
    Ok(())
}

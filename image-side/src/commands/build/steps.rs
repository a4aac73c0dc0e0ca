//! Carries out a [`BuildPlan`]: container, identity, initramfs, boot loader, image.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Mode;
use super::plan::BuildPlan;
use crate::bootloader::{esp, menu};
use crate::digest;
use crate::initrd::{self, dracut};
use crate::iso::identity::Identity;
use crate::iso::image::{BIOS_IMAGE, Image};
use crate::iso::{info, volume_id};
use crate::progress::{Progress, human};
use crate::scratch::{Partial, Scratch};
use crate::space;

/// Runs all steps; the ISO appears under its name at the very end.
pub fn run(plan: &BuildPlan, progress: &Progress) -> Result<()> {
    let output = Partial::new(&plan.args.output)?;
    let output = if plan.privacy.is_some() { output.private()? } else { output };
    let scratch = Scratch::new(&plan.scratch_dir)?;

    let container = scratch.file("container");
    let needed = plan.container.estimate() + plan.container.nested_estimate();
    let made = plan.container.make(&scratch, &container, progress);
    explain(plan, made, &container, needed)?;
    let mut sums = BTreeMap::new();
    sums.insert(plan.container_path(), digest::of_file(&container)?);
    sums.insert(menu::KERNEL.trim_start_matches('/').to_owned(), digest::of_file(&plan.kernel.image)?);
    let agent = digest::of_file(&plan.agent)?;
    let identity = Identity::new(&content(plan, &sums, &agent), plan.epoch);

    let initrd = scratch.file("initrd");
    let made = make_initrd(plan, &identity, &scratch, &initrd, progress);
    explain(plan, made, &initrd, 80 << 20)?;
    sums.insert(menu::INITRD.trim_start_matches('/').to_owned(), digest::of_file(&initrd)?);
    let volume = match &plan.args.volume_id {
        Some(id) => id.clone(),
        None => volume_id::unique(&plan.os, &digest::of_texts(&sums.values().map(String::as_str).collect::<Vec<_>>())),
    };

    let staged = stage(plan, &identity, &volume, sums, &agent, &scratch);
    let staged = explain(plan, staged, &scratch.file("boot"), 16 << 20)?;
    let mut files = staged.files;
    files.push((format!("/{}", plan.container_path()), container));
    // A second name shares the extents of the first, so it costs no bytes. A medium may be mounted so that links are not followed.
    for ((name, other), file) in
        [menu::KERNEL, menu::INITRD].into_iter().zip(menu::OTHER_NAMES).zip([&plan.kernel.image, &initrd])
    {
        files.extend([name, other].map(|name| (name.to_owned(), file.clone())));
    }
    let image = Image {
        volume_id: &volume,
        identity: &identity,
        epoch: plan.epoch,
        table: plan.args.table,
        mbr: &plan.grub.mbr(),
        esp: &staged.esp,
        files,
    };
    let written = image.write(output.path(), progress);
    space::explain(written, &plan.output_dir, &plan.args.output, plan.iso_estimate())?;
    let bytes = fs::metadata(output.path()).context("examining the ISO")?.len();
    output.finish()?;
    progress.done(&format!("{}: {}, volume id {volume}", plan.args.output.display(), human(bytes)));
    Ok(())
}

/// Adds "the disk is full" to the failure of writing a scratch file, when it is.
fn explain<T>(plan: &BuildPlan, result: Result<T>, file: &Path, needed: u64) -> Result<T> {
    space::explain(result, &plan.scratch_dir, file, needed)
}

/// Digest of everything that makes this medium different from another one.
fn content(plan: &BuildPlan, sums: &BTreeMap<String, String>, agent: &str) -> String {
    let args = plan.args;
    let mut texts: Vec<String> = sums.iter().map(|(path, sum)| format!("{path} {sum}")).collect();
    texts.push(format!("{agent} {} {} {:?}", args.mode.name(), args.profile.name(), args.volume_id));
    texts.push(format!("{:?} {:?} {:?}", args.dialect, args.add_module, plan.title()));
    texts.push(format!("{} {} {} {:?}", args.shell, args.serial, args.timeout, args.table));
    texts.extend(args.no_network.then(|| "no network".to_owned()));
    texts.extend(plan.kargs.iter().map(|karg| karg.text().to_owned()));
    texts.extend(args.add_file.iter().map(|file| file.destination.clone()));
    digest::of_texts(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

fn make_initrd(
    plan: &BuildPlan,
    identity: &Identity,
    scratch: &Scratch,
    output: &Path,
    progress: &Progress,
) -> Result<()> {
    let mut conf = plan.conf();
    conf.push(("medium".to_owned(), identity.medium()));
    progress.stage(&format!("initramfs ({})", plan.args.mode.name()));
    let mut notes = Vec::new();
    if let (Mode::Dracut, Some(module)) = (plan.args.mode, &plan.dracut_module) {
        let unwanted = initrd::unwanted(&plan.recipe(Vec::new()))?;
        let job = dracut::Job {
            root: &plan.args.input,
            kernel: &plan.kernel.version,
            module,
            agent: &plan.agent,
            edits: &plan.container.edits,
            conf: &initrd::conf_text(&conf)?,
            unwanted: &unwanted,
            epoch: plan.epoch,
        };
        dracut::make(&job, scratch, output)?;
    } else {
        notes = initrd::build(&plan.recipe(conf), output)?.notes();
    }
    let bytes = fs::metadata(output).context("examining the initramfs")?.len();
    progress.done(&format!("initramfs ({}): {}", plan.args.mode.name(), human(bytes)));
    notes.iter().for_each(|note| progress.note(note));
    Ok(())
}

/// Small files for the image, made in the scratch directory.
struct Staged {
    files: Vec<(String, PathBuf)>,
    esp: PathBuf,
}

fn stage(
    plan: &BuildPlan,
    identity: &Identity,
    volume: &str,
    sums: BTreeMap<String, String>,
    agent: &str,
    scratch: &Scratch,
) -> Result<Staged> {
    let dir = scratch.subdir("boot")?;
    let kargs = plan.kernel_arguments(volume, &identity.uuid(), &identity.medium());
    let menu = menu::Menu {
        title: plan.title(),
        kargs: &kargs,
        timeout: plan.args.timeout,
        serial: plan.args.serial,
        media_check: plan.args.media_check,
    };
    let id_file = format!("{}/{}", info::DIRECTORY, identity.id());
    let mut files = Vec::new();
    let mut add = |on_medium: &str, name: &str, text: String| {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        files.push((on_medium.to_owned(), path));
        anyhow::Ok(())
    };
    add("/boot/grub/grub.cfg", "grub.cfg", menu.grub_cfg())?;
    add("/boot/grub/loopback.cfg", "loopback.cfg", menu.loopback_cfg())?;
    add(&format!("/{id_file}"), "id", format!("{}\n", identity.id()))?;
    let about = about(plan, identity, volume, &kargs, sums, agent);
    add(&format!("/{}", info::FILE), "info.json", about.to_json()?)?;

    let early = dir.join("early.cfg");
    fs::write(&early, menu::early(&id_file)).context("writing early.cfg")?;
    let (bios, uefi, esp) = (dir.join("eltorito.img"), dir.join("bootx64.efi"), dir.join("esp.img"));
    plan.grub.link_bios(&early, &bios)?;
    plan.grub.link_uefi(&early, &uefi)?;
    esp::make(&uefi, identity.fat_serial(), plan.epoch, &esp)?;
    files.push((BIOS_IMAGE.to_owned(), bios));
    // Also in the tree: a stick made by copying the files has no appended partition.
    files.push((format!("/{}", esp::PROGRAM), uefi));
    Ok(Staged { files, esp })
}

fn about(
    plan: &BuildPlan,
    identity: &Identity,
    volume: &str,
    kargs: &[crate::bootloader::kargs::Karg],
    sums: BTreeMap<String, String>,
    agent: &str,
) -> info::Info {
    info::Info {
        builder: env!("CARGO_PKG_VERSION").to_owned(),
        agent: format!("{} (sha256 {agent})", agent_version(&plan.agent)),
        mode: plan.args.mode.name().to_owned(),
        profile: (plan.args.mode == Mode::Native).then(|| plan.args.profile.name().to_owned()),
        id: identity.id().to_owned(),
        volume_id: volume.to_owned(),
        uuid: identity.uuid(),
        system: plan.os.pretty_name.clone(),
        kernel: plan.kernel.version.clone(),
        kargs: kargs.iter().map(|karg| karg.text().to_owned()).collect(),
        container: plan.container_path(),
        container_format: plan.container.format.name().to_owned(),
        compression: plan.container.compression.name().to_owned(),
        nested: plan.container.nested.map(|kind| kind.name().to_owned()),
        built: plan.epoch.seconds,
        sha256: sums,
        tools: plan.tools().iter().map(|tool| (tool.program.to_owned(), tool.version())).collect(),
    }
}

/// What the agent says for `--version`; "unknown" when it cannot run here.
fn agent_version(agent: &Path) -> String {
    let output = Command::new(agent).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    text.lines().next().filter(|line| !line.is_empty()).unwrap_or("unknown").to_owned()
}

//! What a build will do, decided and checked before anything is written.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rdlive_media::format::DECOMPRESSION_OPTIONS;

use super::{BuildArgs, Dialect, Mode};
use crate::bootloader::grub_image::Grub;
use crate::bootloader::kargs::Karg;
use crate::commands::doubts;
use crate::container::{Compression, ContainerPlan, Format};
use crate::epoch::Epoch;
use crate::initrd::{self, Compress, Recipe, dracut};
use crate::iso::volume_id;
use crate::progress::human;
use crate::space::{self, Need};
use crate::tools::{self, Tool};
use crate::tree::kernel::{self, Kernel};
use crate::tree::kernel_config::KernelConfig;
use crate::tree::os_release::OsRelease;
use crate::tree::{identity, size};

/// A checked build.
#[derive(Debug)]
pub struct BuildPlan<'a> {
    /// What the operator asked for.
    pub args: &'a BuildArgs,
    /// The system's own name.
    pub os: OsRelease,
    /// The kernel to boot.
    pub kernel: Kernel,
    /// Its build configuration, if the tree has it.
    pub config: Option<KernelConfig>,
    /// The agent's binary.
    pub agent: PathBuf,
    /// The dracut module, in dracut mode.
    pub dracut_module: Option<PathBuf>,
    /// How the container is made.
    pub container: ContainerPlan,
    /// Arguments of the operator.
    pub kargs: Vec<Karg>,
    /// GRUB's files.
    pub grub: Grub,
    /// Where scratch files go.
    pub scratch_dir: PathBuf,
    /// Where the ISO goes.
    pub output_dir: PathBuf,
    /// The build's time.
    pub epoch: Epoch,
    /// Why the ISO is for its owner alone, if it is.
    pub privacy: Option<String>,
}

impl<'a> BuildPlan<'a> {
    /// Checks arguments, input, programs and space.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(args: &'a BuildArgs) -> Result<Self> {
        // Cheap checks of the arguments come first, then the input, then what takes a walk over the tree.
        if let Some(id) = &args.volume_id {
            volume_id::check(id, args.allow_unusual_volume_id)?;
        }
        check_name("--live-dir", &args.live_dir)?;
        check_name("--squashimg", &args.squashimg)?;
        let kargs = args.append_karg.iter().map(|karg| Karg::parse(karg)).collect::<Result<_>>()?;
        let root = &args.input;
        ensure!(root.is_dir(), "--input {}: not a directory with a system tree", root.display());
        let output_dir = directory_of(&args.output)?;
        let kernel = kernel::choose(root, args.kernel.as_deref())?;
        let agent = initrd::agent::find(args.agent.as_deref())?;
        let dracut_module = match args.mode {
            Mode::Native => None,
            Mode::Dracut => Some(dracut::find_module(args.dracut_module.as_deref(), root)?),
        };
        let privacy = match args.mode {
            Mode::Native => initrd::privacy(&args.add_file)?,
            Mode::Dracut => None,
        };
        let epoch = Epoch::from_environment()?;
        let mut plan = Self {
            args,
            os: OsRelease::of_tree(root),
            config: KernelConfig::of_tree(root, &kernel.version),
            kernel,
            agent,
            dracut_module,
            container: container_plan(args, epoch),
            kargs,
            grub: Grub::find(root)?,
            scratch_dir: args.scratch_dir.clone().unwrap_or_else(|| output_dir.clone()),
            output_dir,
            epoch,
            privacy,
        };
        tools::require(&plan.tools())?;
        plan.container.check(&plan.kernel.version, plan.config.as_ref())?;
        plan.container.size = size::measure(root)?.without(plan.container.edits.bytes(root));
        plan.check_space()?;
        Ok(plan)
    }

    /// All programs that the build runs.
    pub fn tools(&self) -> Vec<Tool> {
        let mut tools = vec![tools::XORRISO, tools::GRUB_MKIMAGE, tools::MKFS_FAT, tools::MMD, tools::MCOPY];
        tools.extend(self.container.tools());
        if self.args.mode == Mode::Dracut {
            tools.extend([tools::MOUNT, tools::UMOUNT, tools::CHROOT]);
        }
        tools
    }

    /// Lines of `/etc/rdlive.conf` that are known now.
    pub fn conf(&self) -> Vec<(String, String)> {
        let dialect = self.dialect().map(|name| ("dialect".to_owned(), name.to_owned()));
        let mut conf: Vec<(String, String)> = dialect.into_iter().collect();
        // The agent cannot read the kernel's configuration at boot; with this it can say why a mount would fail.
        let lacks = self.config.as_ref().map(|config| config.lacks(&DECOMPRESSION_OPTIONS)).unwrap_or_default();
        if !lacks.is_empty() {
            conf.push(("kernel-lacks".to_owned(), lacks.join(" ")));
        }
        conf
    }

    /// The native initramfs with these lines of `/etc/rdlive.conf`.
    pub fn recipe(&self, conf: Vec<(String, String)>) -> Recipe {
        let args = self.args;
        Recipe {
            root: args.input.clone(),
            version: self.kernel.version.clone(),
            modules: self.kernel.modules.clone(),
            agent: self.agent.clone(),
            profile: args.profile,
            network: !args.no_network,
            add_modules: args.add_module.clone(),
            add_files: args.add_file.clone(),
            conf,
            shell: args.shell,
            persistence: args.persistence.clone(),
            encryption: args.encryption,
            compress: Compress::Zstd,
            plain_modules: false,
            epoch: self.epoch,
        }
    }

    fn dialect(&self) -> Option<&'static str> {
        self.args.dialect.map(|dialect| match dialect {
            Dialect::Kiwi => "kiwi",
            Dialect::Dmsquash => "dmsquash",
        })
    }

    /// Arguments of the boot entries on a medium with this volume id and UUID, and what the agent knows it by.
    pub fn kernel_arguments(&self, volume: &str, uuid: &str, medium: &str) -> Vec<Karg> {
        // GRUB would put backslashes before these, and no label would match.
        let source = match volume.contains(['\'', '"', '\\']) {
            true => format!("root=live:UUID={uuid}"),
            false => format!("root=live:CDLABEL={volume}"),
        };
        let mut kargs = vec![Karg::own(source), Karg::own("rd.live.image")];
        kargs.push(Karg::own(format!("rd.live.medium={medium}")));
        if self.args.live_dir != rdlive_media::layout::LIVE_DIR {
            kargs.push(Karg::own(format!("rd.live.dir={}", self.args.live_dir)));
        }
        if self.args.squashimg != rdlive_media::layout::SQUASHIMG {
            kargs.push(Karg::own(format!("rd.live.squashimg={}", self.args.squashimg)));
        }
        if self.args.serial {
            // The last console is the one that init talks to.
            kargs.extend(["console=tty0", "console=ttyS0,115200"].map(Karg::own));
        }
        kargs.extend(self.kargs.iter().cloned());
        kargs
    }

    /// Path of the container on the medium, without a leading slash.
    pub fn container_path(&self) -> String {
        format!("{}/{}", self.args.live_dir, self.args.squashimg)
    }

    /// Title of the normal boot entry.
    pub fn title(&self) -> &str {
        self.args.label_title.as_deref().unwrap_or(&self.os.pretty_name)
    }

    /// What the operator may want to know.
    pub fn notes(&self) -> Vec<String> {
        let root = &self.args.input;
        let mut notes: Vec<String> = self.container.edits.notes.iter().chain(&self.privacy).cloned().collect();
        if self.epoch.fixed && self.container.nested.is_some() {
            notes.push("a nested image is not reproducible: its times and order come from this machine".to_owned());
        }
        let mode = fs::metadata(root).map_or(0o755, |meta| meta.permissions().mode());
        if mode & 0o005 != 0o005 {
            notes.push(format!(
                "{} has permissions {:o}: users of the live system cannot enter its root directory",
                root.display(),
                mode & 0o7777
            ));
        }
        // What is wrong with the modules the build says itself.
        let recipe = self.recipe(Vec::new());
        match self.args.mode {
            Mode::Native => notes.extend(initrd::notes(&recipe).unwrap_or_default()),
            Mode::Dracut => notes.extend(initrd::unwanted(&recipe).unwrap_or_default().notes()),
        }
        notes.extend(doubts::of(&self.agent, &self.likely_arguments(), self.dialect()));
        notes
    }

    /// Estimated bytes of the ISO.
    pub fn iso_estimate(&self) -> u64 {
        let kernel = fs::metadata(&self.kernel.image).map_or(0, |meta| meta.len());
        self.container.estimate() + kernel + initrd_estimate(self.args.mode) + (16 << 20)
    }

    fn check_space(&self) -> Result<()> {
        let scratch = [
            Need { what: "container", bytes: self.container.estimate() },
            Need { what: "nested image", bytes: self.container.nested_estimate() },
            Need { what: "initramfs", bytes: initrd_estimate(self.args.mode) },
        ];
        let iso = Need { what: "ISO", bytes: self.iso_estimate() };
        let needs: Vec<Need> = scratch.into_iter().filter(|need| need.bytes > 0).collect();
        if same_file_system(&self.scratch_dir, &self.output_dir)? {
            return space::require(&self.output_dir, &[needs, vec![iso]].concat());
        }
        space::require(&self.scratch_dir, &needs)?;
        space::require(&self.output_dir, &[iso])
    }

    /// The volume id as far as it is known before the build.
    fn likely_volume(&self) -> String {
        self.args.volume_id.clone().unwrap_or_else(|| volume_id::unique(&self.os, "????????"))
    }

    fn likely_arguments(&self) -> Vec<Karg> {
        let medium = "UUID=DATE-OF-THE-BUILD,ID=0000000000000000";
        self.kernel_arguments(&self.likely_volume(), "DATE-OF-THE-BUILD", medium)
    }

    /// The plan as text, for `--dry-run`.
    pub fn describe(&self) -> String {
        let container = &self.container;
        let volume = self.likely_volume();
        let kargs: Vec<String> = self.likely_arguments().iter().map(|karg| karg.to_grub()).collect();
        let nested = container.nested.map_or(String::new(), |kind| format!(" around a {} image", kind.name()));
        let mut text = String::new();
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(text, "{name:10} {value}");
        };
        line("system", &self.os.pretty_name);
        line("tree", &format!("{} in {} inodes", human(container.size.bytes), container.size.inodes));
        line("kernel", &self.kernel.version);
        let network = if self.args.no_network { ", no network" } else { "" };
        line("initramfs", &format!("{} ({}{network})", self.args.mode.name(), self.args.profile.name()));
        line(
            "container",
            &format!(
                "/{}: {} {}{nested}, at most about {}",
                self.container_path(),
                container.format.name(),
                container.compression.name(),
                human(container.estimate())
            ),
        );
        line("volume id", &volume);
        line("kargs", &kargs.join(" "));
        line("output", &format!("{}, at most about {}", self.args.output.display(), human(self.iso_estimate())));
        let (packages, others): (Vec<_>, Vec<_>) =
            container.edits.removed.iter().partition(|path| path.extension().is_some_and(|end| end == "deb"));
        others.iter().for_each(|path| line("left out", &path.display()));
        if !packages.is_empty() {
            line("left out", &format!("{} packages in apt's cache", packages.len()));
        }
        for replaced in &container.edits.replaced {
            line(if replaced.content.is_empty() { "emptied" } else { "shortened" }, &replaced.path.display());
        }
        self.notes().iter().for_each(|note| line("note", note));
        for tool in self.tools() {
            line("runs", &format!("{}: {}", tool.program, tool.version()));
        }
        text
    }
}

fn container_plan(args: &BuildArgs, epoch: Epoch) -> ContainerPlan {
    let format = if args.erofs { Format::Erofs } else { Format::Squashfs };
    let usual = if args.erofs { Compression::Lz4 } else { Compression::Zstd };
    ContainerPlan {
        root: args.input.clone(),
        format,
        compression: args.compression.unwrap_or(usual),
        level: args.compression_level,
        nested: args.nested,
        live_dir: args.live_dir.clone(),
        edits: identity::edits(&args.input, args.keep_identity),
        size: size::TreeSize::default(),
        epoch,
    }
}

/// Pessimistic size of an initramfs in bytes.
fn initrd_estimate(mode: Mode) -> u64 {
    match mode {
        Mode::Native => 24 << 20,
        Mode::Dracut => 80 << 20,
    }
}

/// A name that goes into a path on the medium and into a kernel argument.
fn check_name(option: &str, name: &str) -> Result<()> {
    let good = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
    };
    ensure!(
        name.split('/').all(good),
        "{option} {name:?}: need letters, digits and _ . -, parts separated by single slashes"
    );
    Ok(())
}

fn directory_of(output: &Path) -> Result<PathBuf> {
    if output.is_dir() {
        bail!("--output {}: is a directory", output.display());
    }
    let dir = match output.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    };
    ensure!(dir.is_dir(), "--output {}: no such directory", dir.display());
    Ok(dir)
}

fn same_file_system(a: &Path, b: &Path) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let device = |dir: &Path| fs::metadata(dir).map(|meta| meta.dev()).with_context(|| dir.display().to_string());
    Ok(device(a)? == device(b)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_medium() {
        for (name, good) in [
            ("LiveOS", true),
            ("live/os.1", true),
            ("", false),
            ("/abs", false),
            ("a//b", false),
            ("../x", false),
            ("a b", false),
            ("a=b", false),
        ] {
            assert_eq!(check_name("--live-dir", name).is_ok(), good, "{name:?}");
        }
    }
}

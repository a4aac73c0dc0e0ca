//! Which modules an initramfs gets, and what the operator may want to know about them.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use rdlive_media::modindex::normalise;

use super::kmod::ModuleTree;
use super::modprobe_conf::ModprobeConf;
use super::{Recipe, beside, certificates, crypto, dracut_conf, firmware, profile};

/// Cards on these buses have no modalias; in the system udev's rules say what is for them (80-drivers.rules of systemd).
const CARDS: [&str; 2] = ["softdep tifm_7xx1 post: tifm_sd tifm_ms", "softdep memstick post: ms_block mspro_block"];
/// Files of firmware that a note names.
const NAMED: usize = 3;

/// The modules that a recipe packs.
pub(super) struct Choice {
    /// Where they come from.
    pub tree: ModuleTree,
    /// What holds for them.
    pub conf: ModprobeConf,
    /// Their names.
    pub names: BTreeSet<String>,
    /// Those of them that each group of the network has brought.
    pub groups: Vec<(String, BTreeSet<String>)>,
    /// Those that the tree's modprobe.d forbids, and that a medium may need.
    pub defied: BTreeSet<String>,
    /// All that a medium may need.
    pub for_media: BTreeSet<String>,
}

/// Decides.
///
/// # Errors
/// The tree's list of modules cannot be read, or lacks one that was asked for.
pub(super) fn choose_modules(recipe: &Recipe) -> Result<Choice> {
    let mut tree = ModuleTree::read(&recipe.version, &recipe.root, &recipe.modules)?;
    let mut conf = ModprobeConf::of_tree(&recipe.root);
    CARDS.iter().for_each(|line| tree.add_softdep(line));
    conf.softdeps.iter().for_each(|line| tree.add_softdep(line));
    conf.aliases.iter().for_each(|line| tree.add_alias(line));
    let mut wanted = recipe.profile.modules(&tree);
    for name in &recipe.add_modules {
        if !tree.contains(name) && !tree.is_builtin(name) {
            bail!("--add-module {name}: kernel {} has no such module", recipe.version);
        }
        wanted.insert(normalise(name));
    }
    let mut for_media = recipe.profile.for_media(&tree);
    if recipe.encryption {
        let ciphers = crypto::modules(&tree)?;
        wanted.extend(ciphers.iter().cloned());
        for_media.extend(ciphers);
    }
    let for_media = tree.closure(&for_media);
    let defied = conf.allow(&for_media);
    let mut names = tree.closure(&wanted);
    let mut groups = Vec::new();
    for (title, wanted) in if recipe.has_network() { profile::network(&tree) } else { Vec::new() } {
        let new: BTreeSet<String> = tree.closure(&wanted).difference(&names).cloned().collect();
        names.extend(new.iter().cloned());
        groups.push((title, new));
    }
    Ok(Choice { tree, conf, names, groups, defied, for_media })
}

/// What a medium may need and the tree's configuration keeps out of an initramfs of dracut.
#[derive(Debug, Default)]
pub struct Unwanted {
    /// Modules that modprobe.d forbids.
    pub defied: BTreeSet<String>,
    /// Words of `omit_drivers` in dracut.conf, as they are written there.
    pub omitted: Vec<String>,
}

/// Finds them.
///
/// # Errors
/// As [`notes`].
pub fn unwanted(recipe: &Recipe) -> Result<Unwanted> {
    let Choice { defied, for_media, .. } = choose_modules(recipe)?;
    let mut omitted = dracut_conf::omitted(&recipe.root);
    omitted.retain(|word| for_media.contains(&normalise(word)));
    Ok(Unwanted { defied, omitted })
}

impl Unwanted {
    /// That these are there and loaded all the same.
    pub fn notes(&self) -> Vec<String> {
        let omitted = (!self.omitted.is_empty()).then(|| {
            format!(
                "the tree's dracut.conf omits {}: the initramfs has them all the same, for its medium may need them",
                self.omitted.join(", ")
            )
        });
        defiance(&self.defied).into_iter().chain(omitted).collect()
    }
}

/// That these are loaded although the tree's modprobe.d forbids them; `None` without any.
pub fn defiance(defied: &BTreeSet<String>) -> Option<String> {
    (!defied.is_empty()).then(|| {
        format!(
            "the tree's modprobe.d forbids {}: the initramfs loads them all the same, for its medium may need them \
             (rd.driver.blacklist= forbids them there too); the system keeps its file",
            defied.iter().cloned().collect::<Vec<_>>().join(", ")
        )
    })
}

/// What the operator may want to know about the modules that `recipe` packs, and about what they need besides.
///
/// # Errors
/// When the tree's list of modules cannot be read, or lacks one that was asked for.
pub fn notes(recipe: &Recipe) -> Result<Vec<String>> {
    let Choice { tree, names, defied, .. } = choose_modules(recipe)?;
    let files = names.iter().filter_map(|name| Some((name, &tree.file(name)?.path)));
    let beside: Vec<String> =
        files.filter(|(_, path)| beside::is_beside(path)).map(|(name, path)| format!("{name} ({path})")).collect();
    let mut notes = Vec::new();
    if !beside.is_empty() {
        let drivers = "drivers from outside the kernel's own directory are in the initramfs";
        notes.push(format!("{drivers}: {}", beside.join(", ")));
    }
    notes.extend(defiance(&defied));
    notes.extend(firmware::find(&recipe.root, &tree, names.iter()).absent.iter().map(without_firmware));
    if recipe.has_network() && !has_certificates(recipe) {
        notes.push(
            "the tree has no CA certificates (on most systems the package ca-certificates): in the initramfs https works with \
             rd.live.ca= only"
                .to_owned(),
        );
    }
    Ok(notes)
}

fn has_certificates(recipe: &Recipe) -> bool {
    let is_it = |path: &str| path.trim_matches('/') == certificates::TARGET;
    certificates::find(&recipe.root).is_some() || recipe.add_files.iter().any(|file| is_it(&file.destination))
}

fn without_firmware(absent: &firmware::Absent) -> String {
    let firmware::Absent { driver, files, named } = absent;
    let some = files.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = if files.len() > NAMED { ", …" } else { "" };
    format!(
        "{driver}: the tree lacks {} of {named} firmware files ({some}{more}); hardware that needs them may not work",
        files.len()
    )
}

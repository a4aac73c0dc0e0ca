//! `rdlive-image pxe --check`: is everything there as it was written? Builds that were made earlier count too, for their
//! machines may still be running (kind 16).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::commands::build::Refused;
use crate::netboot::manifest::{self, Manifest};
use crate::progress::Progress;

/// Compares all manifests of a directory with what is there.
///
/// # Errors
/// [`Refused`] (as context) when it cannot be told; anything else names what is different.
pub fn check(dir: &Path, progress: &Progress) -> Result<()> {
    let manifests = manifests(dir).map_err(|error| error.context(Refused))?;
    let mut different = 0;
    let mut files = 0;
    for (name, manifest) in &manifests {
        let inside = dir.join(name);
        let reads = |path: &str| progress.stage(&format!("{}", inside.join(path).display()));
        let differences = manifest.compare(&inside, reads).map_err(|error| error.context(Refused))?;
        for difference in &differences {
            progress.fail(&format!("{name}{}{difference}", if name.is_empty() { "" } else { "/" }));
        }
        files += manifest.paths().count();
        different += differences.len();
    }
    if different > 0 {
        bail!(
            "{different} of {files} files in {} are not what {} says; run rdlive-image pxe again with the ISO they are from",
            dir.display(),
            manifest::FILE
        );
    }
    progress.done(&format!("{}: {files} files are as they were written", dir.display()));
    Ok(())
}

/// The manifest of the newest build with the loaders' files, and those of builds that it does not name.
fn manifests(dir: &Path) -> Result<Vec<(String, Manifest)>> {
    let top = read(dir).with_context(|| format!("{} was not written by rdlive-image pxe", dir.display()))?;
    let entries = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {}", dir.display()))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let named = top.paths().any(|path| path.split('/').next() == Some(&name));
        if !named && !name.starts_with('.') && entry.path().join(manifest::FILE).is_file() {
            found.push((name, read(&entry.path())?));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.insert(0, (String::new(), top));
    Ok(found)
}

/// The manifest of a directory.
pub fn read(dir: &Path) -> Result<Manifest> {
    let path = dir.join(manifest::FILE);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Manifest::parse(&text).with_context(|| format!("reading {}", path.display()))
}

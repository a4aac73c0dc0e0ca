//! Which kernels the tree has, and which one we take.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::resolve;

/// A kernel that can be booted: image and modules of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The version, as `uname -r` prints it.
    pub version: String,
    /// The image, on this machine.
    pub image: PathBuf,
    /// Its modules (`/usr/lib/modules/VERSION`), on this machine.
    pub modules: PathBuf,
}

/// Picks the wanted kernel, or the newest one that has both image and modules.
///
/// # Errors
/// When there is none; the text lists what was found.
pub fn choose(root: &Path, wanted: Option<&str>) -> Result<Kernel> {
    let images = images(root);
    let found: Vec<Kernel> = images
        .iter()
        .filter_map(|(version, image)| {
            Some(Kernel { version: version.clone(), image: image.clone(), modules: modules_dir(root, version)? })
        })
        .collect();
    let kernel = match wanted {
        Some(version) => found.iter().find(|kernel| kernel.version == version),
        None => found.iter().max_by(|a, b| compare_versions(&a.version, &b.version)),
    };
    match kernel {
        Some(kernel) => Ok(kernel.clone()),
        None => bail!("{}", explain(root, wanted, &images, &found)),
    }
}

/// Directory with the modules of `version`, if the tree has it.
pub fn modules_dir(root: &Path, version: &str) -> Option<PathBuf> {
    ["usr/lib/modules", "lib/modules"]
        .iter()
        .filter_map(|dir| resolve(root, &Path::new(dir).join(version)))
        .find(|dir| dir.is_dir())
}

/// Kernel images by version: `/boot/vmlinuz-V`, else `/usr/lib/modules/V/vmlinuz`.
fn images(root: &Path) -> BTreeMap<String, PathBuf> {
    let mut images = BTreeMap::new();
    for name in names(root, "boot") {
        for prefix in ["vmlinuz-", "vmlinux-", "Image-"] {
            let Some(version) = name.strip_prefix(prefix) else {
                continue;
            };
            if let Some(image) = resolve(root, &Path::new("boot").join(&name)) {
                images.entry(version.to_owned()).or_insert(image);
            }
        }
    }
    for dir in ["usr/lib/modules", "lib/modules"] {
        for version in names(root, dir) {
            let path = Path::new(dir).join(&version).join("vmlinuz");
            if let Some(image) = resolve(root, &path) {
                images.entry(version).or_insert(image);
            }
        }
    }
    images
}

fn names(root: &Path, dir: &str) -> Vec<String> {
    let Some(dir) = resolve(root, Path::new(dir)) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn explain(root: &Path, wanted: Option<&str>, images: &BTreeMap<String, PathBuf>, found: &[Kernel]) -> String {
    let root = root.display();
    let list = |versions: Vec<&str>| match versions.is_empty() {
        true => "none".to_owned(),
        false => versions.join(", "),
    };
    let usable = list(found.iter().map(|kernel| kernel.version.as_str()).collect());
    let bare = list(images.keys().map(String::as_str).collect());
    match wanted {
        Some(version) => {
            format!("no kernel {version} with modules in {root}; usable: {usable}; images: {bare}")
        }
        None => format!(
            "no kernel in {root}: need /boot/vmlinuz-VERSION or /usr/lib/modules/VERSION/vmlinuz, and modules in \
             /usr/lib/modules/VERSION; images without modules: {bare}; install a kernel package into the tree"
        ),
    }
}

/// Orders version texts: runs of digits by value, everything else by character, "~" before the end.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (pieces(a).into_iter(), pieces(b).into_iter());
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(rest)) => match rest.starts_with('~') {
                true => Ordering::Greater,
                false => Ordering::Less,
            },
            (Some(rest), None) => match rest.starts_with('~') {
                true => Ordering::Less,
                false => Ordering::Greater,
            },
            (Some(a), Some(b)) => compare_pieces(a, b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn compare_pieces(a: &str, b: &str) -> Ordering {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        // A digit is newer than a sign: 6.1.1 is after 6.1-rc2.
        (Ok(_), Err(_)) => Ordering::Greater,
        (Err(_), Ok(_)) => Ordering::Less,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let bytes = text.as_bytes();
    for at in 1..=bytes.len() {
        let split = at == bytes.len()
            || bytes[at].is_ascii_digit() != bytes[at - 1].is_ascii_digit()
            || (!bytes[at].is_ascii_digit() && !bytes[at].is_ascii_alphabetic());
        if split && text.is_char_boundary(at) {
            pieces.push(&text[start..at]);
            start = at;
        }
    }
    pieces.retain(|piece| *piece != "." && !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_order() {
        let sorted = [
            "5.10.0-9-amd64",
            "6.1.0-9-amd64",
            "6.1.0-10-amd64",
            "6.6.1-1",
            "6.6.1-11",
            "6.12.107+deb13-amd64",
            "10.0",
        ];
        for (low, a) in sorted.iter().enumerate() {
            for (high, b) in sorted.iter().enumerate() {
                assert_eq!(compare_versions(a, b), low.cmp(&high), "{a} and {b}");
            }
        }
    }

    #[test]
    fn b27_the_newest_complete_kernel_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("boot")).unwrap();
        for version in ["6.6.1-1", "6.6.1-11", "6.9"] {
            fs::write(root.join("boot").join(format!("vmlinuz-{version}")), "").unwrap();
        }
        for version in ["6.6.1-1", "6.6.1-11"] {
            fs::create_dir_all(root.join("lib/modules").join(version)).unwrap();
        }
        assert_eq!(choose(root, None).unwrap().version, "6.6.1-11");
        assert_eq!(choose(root, Some("6.6.1-1")).unwrap().version, "6.6.1-1");
        let text = choose(root, Some("6.9")).unwrap_err().to_string();
        assert!(text.contains("6.9") && text.contains("6.6.1-11"), "{text}");
    }

    #[test]
    fn a_tree_without_kernel_says_what_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let text = choose(dir.path(), None).unwrap_err().to_string();
        assert!(text.contains("/boot/vmlinuz-VERSION"), "{text}");
    }
}

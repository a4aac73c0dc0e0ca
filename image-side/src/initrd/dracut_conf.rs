//! What the tree's dracut.conf says: drivers that its initramfs is to lack.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::tree::resolve;

/// The words of `omit_drivers` in the tree's configuration (dracut.conf(5)), as they are written. It is a shell script, of which only
/// plain assignments are understood.
pub fn omitted(root: &Path) -> Vec<String> {
    let mut words = Vec::new();
    for path in files(root) {
        let text = fs::read_to_string(path).unwrap_or_default().replace("\\\n", " ");
        for line in text.lines() {
            let Some((name, value)) = line.trim().split_once('=') else { continue };
            if !matches!(name, "omit_drivers" | "omit_drivers+") {
                continue;
            }
            let value = value.split(" #").next().unwrap_or_default();
            let value = value.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
            if name == "omit_drivers" {
                words.clear();
            }
            words.extend(value.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// `/etc/dracut.conf`, then the others by name; `/etc` hides a file of the same name in `/usr/lib`.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut named: BTreeMap<String, PathBuf> = BTreeMap::new();
    for dir in ["usr/lib/dracut/dracut.conf.d", "etc/dracut.conf.d"] {
        let Some(entries) = resolve(root, Path::new(dir)).and_then(|dir| fs::read_dir(dir).ok()) else { continue };
        for name in entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
            if let Some(path) = resolve(root, &Path::new(dir).join(&name)).filter(|_| name.ends_with(".conf")) {
                named.insert(name, path);
            }
        }
    }
    resolve(root, Path::new("etc/dracut.conf")).into_iter().chain(named.into_values()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_all_files_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(omitted(dir.path()), Vec::<String>::new());
        for (path, text) in [
            ("etc/dracut.conf", "# omit_drivers=\"no\"\nomit_drivers+=\" floppy \" # old\n"),
            ("usr/lib/dracut/dracut.conf.d/a.conf", "omit_drivers+=\" hidden \"\n"),
            ("etc/dracut.conf.d/a.conf", "omit_drivers+=' overlay usb-storage '\n"),
            (
                "usr/lib/dracut/dracut.conf.d/b.conf",
                "omit_dracutmodules+=\" plymouth \"\nomit_drivers+=\" a \\\n b \"\n",
            ),
            ("etc/dracut.conf.d/c.txt", "omit_drivers+=\" no \"\n"),
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert_eq!(omitted(dir.path()), ["floppy", "overlay", "usb-storage", "a", "b"]);
        fs::write(dir.path().join("etc/dracut.conf.d/d.conf"), "omit_drivers=squashfs\n").unwrap();
        assert_eq!(omitted(dir.path()), ["squashfs"]);
    }
}

//! Which artefacts go when there are too many.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file that no run used for so long is of an agent or a fixture that is gone.
const FILE_UNUSED: Duration = Duration::from_secs(30 * 86_400);
/// Trees cost minutes.
const TREE_UNUSED: Duration = Duration::from_secs(90 * 86_400);
/// Even when there is too much, a tree that was used so recently stays.
const TREE_WANTED: Duration = Duration::from_secs(7 * 86_400);

/// An artefact.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes that it takes on the disk.
    pub size: u64,
    /// Since the last use.
    pub unused: Duration,
    /// A tree.
    pub tree: bool,
    /// A live run uses it: it stays.
    pub used: bool,
}

/// Chooses what is removed so that `all` bytes become at most `limit`: trees of which there is a newer one, then files, then trees, each
/// longest unused first. A tree of links (`NAME+…-HASH`) takes no room while the tree is there that it leads to (`NAME-HASH`), and all of
/// that afterwards: it goes too.
pub fn choose(mut entries: Vec<Entry>, mut all: u64, limit: u64) -> Vec<PathBuf> {
    let trees: Vec<Entry> = entries.iter().filter(|entry| entry.tree).cloned().collect();
    // Of a lab whose code has changed since. Files are more dear than that: a run that lacks one makes all anew that holds it.
    let replaced = |entry: &Entry| {
        entry.tree && trees.iter().any(|other| name(other) == name(entry) && other.unused < entry.unused)
    };
    entries.sort_by_cached_key(|entry| (!replaced(entry), entry.tree, std::cmp::Reverse(entry.unused)));
    let mut chosen: Vec<PathBuf> = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.used) {
        let (old, wanted) = match (entry.tree, replaced(entry)) {
            (true, true) => (TREE_UNUSED, Duration::ZERO),
            (true, false) => (TREE_UNUSED, TREE_WANTED),
            (false, _) => (FILE_UNUSED, Duration::ZERO),
        };
        if !chosen.contains(&entry.path) && (entry.unused > old || (all > limit && entry.unused >= wanted)) {
            all = all.saturating_sub(entry.size);
            chosen.push(entry.path.clone());
            let linked = entries.iter().filter(|other| other.tree && entry.tree && is_of_links_to(other, entry));
            let linked: Vec<PathBuf> = linked.map(|other| other.path.clone()).collect();
            chosen.extend(linked.into_iter().filter(|path| !chosen.contains(path)).collect::<Vec<_>>());
        }
    }
    chosen
}

/// Without its hash.
fn name(entry: &Entry) -> String {
    let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit_once('-').map_or_else(String::new, |(name, _)| name.to_owned())
}

fn is_of_links_to(links: &Entry, tree: &Entry) -> bool {
    name(links).strip_prefix(&name(tree)).is_some_and(|rest| rest.starts_with('+'))
}

/// What a file takes on the disk, most of ours have holes; or a directory, without files that have a link elsewhere.
pub fn allocated(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    let own = metadata.blocks() * 512;
    match metadata.is_dir() {
        true => {
            own + fs::read_dir(path).into_iter().flatten().flatten().map(|entry| in_tree(&entry.path())).sum::<u64>()
        }
        false => own,
    }
}

/// As [`allocated`], of a directory whose files have links to each other: cargo's programs have two names.
pub fn with_links(path: &Path) -> u64 {
    fn of(path: &Path, seen: &mut HashSet<(u64, u64)>) -> u64 {
        let Ok(metadata) = path.symlink_metadata() else { return 0 };
        if !seen.insert((metadata.dev(), metadata.ino())) {
            return 0;
        }
        let below = match metadata.is_dir() {
            true => fs::read_dir(path).into_iter().flatten().flatten().map(|entry| of(&entry.path(), seen)).sum(),
            false => 0,
        };
        metadata.blocks() * 512 + below
    }
    of(path, &mut HashSet::new())
}

fn in_tree(path: &Path) -> u64 {
    let linked = path.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir() && metadata.nlink() > 1);
    if linked { 0 } else { allocated(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_files_go_first_and_trees_only_when_nobody_wants_them() {
        let entry = |name: &str, size, days: u64, tree| Entry {
            path: name.into(),
            size,
            unused: Duration::from_secs(days * 86_400),
            tree,
            used: false,
        };
        let entries = vec![
            entry("new", 30, 0, false),
            entry("older", 30, 2, false),
            entry("old", 30, 3, false),
            entry("tree-1", 50, 6, true),
            entry("tree of another branch-2", 50, 8, true),
        ];
        for (all, limit, expected) in [
            (190, 200, vec![]),
            (190, 190, vec![]),
            (190, 160, vec!["old"]),
            (190, 140, vec!["old", "older"]),
            (190, 60, vec!["old", "older", "new", "tree of another branch-2"]),
            (190, 0, vec!["old", "older", "new", "tree of another branch-2"]),
        ] {
            let expected: Vec<PathBuf> = expected.into_iter().map(PathBuf::from).collect();
            assert_eq!(choose(entries.clone(), all, limit), expected, "{all} {limit}");
        }
        let unused = vec![entry("file", 1, 31, false), entry("tree-1", 1, 31, true), entry("no tree-2", 1, 91, true)];
        assert_eq!(choose(unused, 3, 100), [PathBuf::from("file"), PathBuf::from("no tree-2")]);
    }

    #[test]
    fn a_tree_that_was_replaced_goes_before_files() {
        let entry = |name: &str, minutes: u64, tree| Entry {
            path: name.into(),
            size: 50,
            unused: Duration::from_secs(minutes * 60),
            tree,
            used: minutes == 0,
        };
        let entries = vec![
            entry("file-1", 9, false),
            entry("a-2", 3, true),
            entry("a-3", 2, true),
            entry("a-4", 0, true),
            entry("b-5", 5, true),
        ];
        for (all, limit, expected) in [
            (250, 250, vec![]),
            (250, 200, vec!["a-2"]),
            (250, 150, vec!["a-2", "a-3"]),
            (250, 0, vec!["a-2", "a-3", "file-1"]),
        ] {
            let expected: Vec<PathBuf> = expected.into_iter().map(PathBuf::from).collect();
            assert_eq!(choose(entries.clone(), all, limit), expected, "{limit}");
        }
    }

    #[test]
    fn links_go_with_the_tree_that_they_lead_to() {
        let entry = |name: &str, size, days: u64| Entry {
            path: name.into(),
            size,
            unused: Duration::from_secs(days * 86_400),
            tree: true,
            used: false,
        };
        // Links are made after their tree.
        let entries =
            vec![entry("a-1", 50, 9), entry("a+guest-2", 1, 8), entry("a+guest-3", 1, 0), entry("ab-4", 50, 8)];
        assert_eq!(choose(entries, 102, 60), ["a+guest-2", "a-1", "a+guest-3"].map(PathBuf::from));
    }

    #[test]
    fn holes_take_no_room() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 30).unwrap();
        assert!(allocated(file.path()) < 1 << 20);
    }

    #[test]
    fn two_names_of_a_program_count_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("program"), vec![1; 1 << 20]).unwrap();
        let before = with_links(dir.path());
        fs::hard_link(dir.path().join("program"), dir.path().join("program-0123")).unwrap();
        assert!((1 << 20..2 << 20).contains(&before) && with_links(dir.path()) < before + (1 << 19), "{before}");
    }

    #[test]
    fn links_count_where_they_came_from() {
        let dir = tempfile::tempdir().unwrap();
        let (base, links) = (dir.path().join("base"), dir.path().join("links"));
        for path in [&base, &links] {
            fs::create_dir_all(path.join("usr")).unwrap();
        }
        fs::write(base.join("usr/file"), vec![1; 1 << 20]).unwrap();
        let before = allocated(&base);
        fs::hard_link(base.join("usr/file"), links.join("usr/file")).unwrap();
        assert!(before >= 1 << 20 && allocated(&links) < 1 << 19, "{before}");
    }
}

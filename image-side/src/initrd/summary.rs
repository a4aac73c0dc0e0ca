//! What was packed, and what it adds.

use std::collections::BTreeSet;

use crate::progress::human;

/// What was packed.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Modules with their packed sizes in bytes, biggest first.
    pub modules: Vec<(String, u64)>,
    /// What the network consists of, with the bytes that each part adds.
    pub groups: Vec<(String, u64)>,
    /// Number of files with firmware, and the bytes that they add.
    pub firmware: (usize, u64),
    /// Size of all content before compression, in bytes.
    pub content_bytes: u64,
    /// Size of the file, in bytes.
    pub bytes: u64,
}

impl Summary {
    /// What parts add to the initramfs, for people.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.groups.is_empty() {
            let parts: Vec<String> =
                self.groups.iter().map(|(title, bytes)| format!("{title} {}", human(*bytes))).collect();
            let all: u64 = self.groups.iter().map(|(_, bytes)| bytes).sum();
            notes.push(format!("the network adds {}: {} (--no-network leaves it out)", human(all), parts.join(", ")));
        }
        if let (files @ 1.., bytes) = self.firmware {
            notes.push(format!("firmware adds {} in {files} file{}", human(bytes), if files > 1 { "s" } else { "" }));
        }
        notes
    }
}

/// The bytes of each group, and of CA certificates after them.
pub(super) fn of_groups(
    groups: &[(String, BTreeSet<String>)],
    modules: &[(String, u64)],
    certificates: u64,
) -> Vec<(String, u64)> {
    let size = |names: &BTreeSet<String>| {
        modules.iter().filter(|(name, _)| names.contains(name)).map(|(_, bytes)| bytes).sum::<u64>()
    };
    let mut sizes: Vec<(String, u64)> = groups.iter().map(|(title, names)| (title.clone(), size(names))).collect();
    if certificates > 0 {
        sizes.push(("CA certificates".to_owned(), certificates));
    }
    sizes
}

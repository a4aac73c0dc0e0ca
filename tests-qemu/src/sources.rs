//! Hashes of the lab's own code, as it was compiled: what changed code made is never taken for what it makes now.

use std::sync::LazyLock;

use crate::cache;

/// What decides the bytes of media, besides recipe and inputs.
const FIXTURES: &[(&str, &str)] = &[
    ("medium.rs", include_str!("medium.rs")),
    ("boot.rs", include_str!("fixture/boot.rs")),
    ("filesystem.rs", include_str!("fixture/filesystem.rs")),
    ("hybrid.rs", include_str!("fixture/hybrid.rs")),
    ("image.rs", include_str!("fixture/image.rs")),
    ("mod.rs", include_str!("fixture/mod.rs")),
];

/// What decides the bytes of initrds and kernels.
const INITRDS: &[(&str, &str)] = &[
    ("mode.rs", include_str!("mode.rs")),
    ("kiwi.rs", include_str!("mode/kiwi.rs")),
    ("floor.rs", include_str!("floor.rs")),
    ("vmlinux.rs", include_str!("vmlinux.rs")),
];

/// What decides what is in trees: the lab's own and Debian's.
const TREES: &[(&str, &str)] = &[("guest.rs", include_str!("guest.rs")), ("tool.rs", include_str!("tool.rs"))];

/// What decides the bytes of recordings, besides medium, initrd and seed.
const RECORDINGS: &[(&str, &str)] = &[
    ("log.rs", include_str!("powercut/log.rs")),
    ("recording.rs", include_str!("powercut/recording.rs")),
    ("qemu.rs", include_str!("machine/qemu.rs")),
];

fn of(sources: &[(&str, &str)]) -> u64 {
    cache::hash(&sources.iter().flat_map(|(name, text)| [*name, "\0", *text, "\0"]).collect::<String>())
}

/// Part of the key of every medium.
pub fn fixtures() -> u64 {
    static HASH: LazyLock<u64> = LazyLock::new(|| of(FIXTURES));
    *HASH
}

/// Part of the key of every initrd.
pub fn initrds() -> u64 {
    static HASH: LazyLock<u64> = LazyLock::new(|| of(INITRDS));
    *HASH
}

/// Part of the key of every tree.
pub fn trees() -> u64 {
    static HASH: LazyLock<u64> = LazyLock::new(|| of(TREES));
    *HASH
}

/// Part of the key of every recording.
pub fn recordings() -> u64 {
    static HASH: LazyLock<u64> = LazyLock::new(|| of(RECORDINGS));
    *HASH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_of_the_fixtures_is_forgotten() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/fixture");
        let mut there: Vec<String> =
            std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        there.push("medium.rs".to_owned());
        there.sort();
        let mut listed: Vec<&str> = FIXTURES.iter().map(|(name, _)| *name).collect();
        listed.sort_unstable();
        assert_eq!(listed, there);
    }

    #[test]
    fn a_changed_line_changes_the_hash() {
        assert_ne!(of(&[("a", "x")]), of(&[("a", "y")]));
        assert_ne!(of(&[("a", "x"), ("b", "")]), of(&[("a", ""), ("b", "x")]));
    }
}

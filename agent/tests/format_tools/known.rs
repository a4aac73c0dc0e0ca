//! What libblkid knows: each of its names is known to us, too, or there is a reason.

use rdlive::format::Kind;

use crate::tools::{run, tool, types};

/// Names of libblkid that are no kind's, and why.
const OTHERWISE: [(&str, &str); 4] = [
    ("ext4dev", "ext4 before it was finished; known as ext4"),
    ("scoutfs_meta", "new in 2.42; its bytes are read like all others by the proof of emptiness"),
    ("scoutfs_data", "new in 2.42; its bytes are read like all others by the proof of emptiness"),
    ("opensvc_hb", "new in 2.42; its bytes are read like all others by the proof of emptiness"),
];

#[test]
fn every_name_of_libblkid_is_a_kind_or_has_a_reason() {
    let ours: Vec<&str> = Kind::ALL.into_iter().flat_map(types).collect();
    let (known, new): (Vec<String>, Vec<String>) = run("blkid", &["-k"])
        .lines()
        .map(str::to_owned)
        .partition(|name| ours.contains(&name.as_str()) || OTHERWISE.iter().any(|(other, _)| other == name));
    // 77 in Debian 12, 80 in Debian 13.
    assert!(known.len() >= 77, "blkid -k names {known:?}");
    if new.is_empty() {
        return;
    }
    let version = tool("blkid").arg("-V").output().unwrap();
    let version = format!("{}{}", String::from_utf8_lossy(&version.stdout), String::from_utf8_lossy(&version.stderr));
    // What a later libblkid knows is no mistake of ours, but somebody should see it.
    assert!(!["2.38", "2.41"].iter().any(|ours| version.contains(ours)), "unknown: {new:?}");
    eprintln!("{}: new names: {new:?}", version.trim());
}

/// The other direction: a name that no libblkid has is a mistake of ours.
#[test]
fn every_kind_has_a_name_of_libblkid() {
    // Since 2.39.
    const LATER: [&str; 2] = ["bcachefs", "cs_fvault2"];
    let theirs = run("blkid", &["-k"]);
    let theirs: Vec<&str> = theirs.lines().collect();
    for kind in Kind::ALL {
        for name in types(kind) {
            assert!(theirs.contains(&name) || LATER.contains(&name), "{kind}: blkid has no {name}");
        }
    }
}

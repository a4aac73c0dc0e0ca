//! The CA certificates that https is checked with: the tree's own, in one file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::tree::resolve;

/// Where distributions have it: Debian, Arch and Alpine; Fedora and its relatives; SUSE of old; SUSE; what the second is a link to.
const PLACES: [&str; 5] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "var/lib/ca-certificates/ca-bundle.pem",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];
/// Where the agent looks first.
pub const TARGET: &str = PLACES[0];

/// The file of the system below `root`: the first that has a certificate. Links stay within the tree.
pub fn find(root: &Path) -> Option<PathBuf> {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    let holds_one = |path: &PathBuf| {
        let text = if path.is_file() { fs::read(path).unwrap_or_default() } else { Vec::new() };
        text.windows(BEGIN.len()).any(|part| part == BEGIN)
    };
    PLACES.iter().filter_map(|place| resolve(root, Path::new(place))).find(holds_one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const PEM: &str = "# A CA\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

    #[test]
    fn every_distribution_has_it_somewhere_and_links_stay_in_the_tree() {
        for place in PLACES {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join(place);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            assert_eq!(find(dir.path()), None, "{place}");
            // Made by a package's script that has not run yet, or has found nothing.
            fs::write(&file, "").unwrap();
            assert_eq!(find(dir.path()), None, "{place}");
            fs::write(&file, PEM).unwrap();
            assert_eq!(find(dir.path()), Some(file.clone()), "{place}");
            fs::rename(&file, dir.path().join("real")).unwrap();
            symlink("/real", &file).unwrap();
            assert_eq!(find(dir.path()), Some(dir.path().join("real")), "{place}");
            // Outside of the tree there is such a file, too.
            let outside = tempfile::tempdir().unwrap();
            fs::write(outside.path().join("ca"), PEM).unwrap();
            fs::remove_file(&file).unwrap();
            symlink(outside.path().join("ca"), &file).unwrap();
            assert_eq!(find(dir.path()), None, "{place}");
        }
    }
}

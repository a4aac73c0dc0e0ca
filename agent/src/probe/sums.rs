//! The SHA-256 that a medium carries for its image: in the file our builder leaves, or in a `sha256sum` file beside it.

use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::layout;

/// No list of sums is longer, in bytes.
const LONGEST: u64 = 1 << 20;

/// What of [`layout::INFO`] is asked for.
#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    sha256: std::collections::BTreeMap<String, String>,
}

/// The sum of `file` as lower-case hex. `medium` is where the medium is mounted, and `file` lies below it. `None` when the
/// medium carries none; a list that cannot be read counts as none.
pub fn sha256(medium: &Path, file: &Path) -> Option<String> {
    let inside = file.strip_prefix(medium).ok()?;
    from_info(&medium.join(layout::INFO), inside).or_else(|| from_list(file)).filter(|sum| is_sum(sum))
}

fn from_info(info: &Path, inside: &Path) -> Option<String> {
    in_info(&text(info)?, inside.to_str()?)
}

/// The sum that the builder's notes have of the file at this path of the medium.
pub(crate) fn in_info(info: &str, inside: &str) -> Option<String> {
    let info: Info = crate::json::read(info.as_bytes()).ok()?;
    info.sha256.get(inside).map(|sum| sum.to_ascii_lowercase())
}

/// `squashfs.img.sha256` beside `squashfs.img`, as `sha256sum squashfs.img` prints it.
fn from_list(file: &Path) -> Option<String> {
    let mut list = file.as_os_str().to_owned();
    list.push(".sha256");
    in_list(&text(&PathBuf::from(list))?, file.file_name()?.to_str()?)
}

/// The sum that a list of `sha256sum` has of the file of this name.
pub(crate) fn in_list(list: &str, name: &str) -> Option<String> {
    list.lines().find_map(|line| {
        let (sum, rest) = line.split_at_checked(64)?;
        // Two blanks for text, a blank and an asterisk for binary; a sum alone is this file's.
        let of = rest.trim_start_matches([' ', '*', '\t']).trim_end();
        let same = of.is_empty() || Path::new(of).file_name()? == name;
        same.then(|| sum.to_ascii_lowercase())
    })
}

fn is_sum(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn text(path: &Path) -> Option<String> {
    // A pipe would hold us up.
    path.metadata().ok().filter(Metadata::is_file)?;
    let mut text = String::new();
    File::open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_in_place_of_a_list_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("squashfs.img.sha256");
        rustix::fs::mknodat(rustix::fs::CWD, &list, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        assert_eq!(sha256(dir.path(), &dir.path().join("squashfs.img")), None);
    }

    #[test]
    fn sums_of_both_kinds_and_none_that_is_broken() {
        let a = "a".repeat(64);
        let b = "b".repeat(64);
        let info = format!(r#"{{"builder":"0","sha256":{{"LiveOS/squashfs.img":"{a}"}}}}"#);
        let rows: &[(&str, &str, &str, Option<&str>)] = &[
            ("the builder's", &info, "", Some(&a)),
            ("the builder's comes first", &info, &format!("{b}  squashfs.img\n"), Some(&a)),
            ("sha256sum's", "", &format!("{b}  squashfs.img\n"), Some(&b)),
            ("binary, with a path, upper case", "", &format!("{} *out/squashfs.img\n", b.to_uppercase()), Some(&b)),
            ("nothing but the sum", "", &b, Some(&b)),
            ("of another file", "", &format!("{b}  rootfs.img\n"), None),
            ("no sum", "", "not a sum at all, but a line that is longer than sixty-four bytes  squashfs.img", None),
            ("broken JSON", "{", "", None),
            ("none", "", "", None),
        ];
        for (what, info, list, expected) in rows {
            let dir = tempfile::tempdir().unwrap();
            let image = dir.path().join("LiveOS/squashfs.img");
            for (path, content) in
                [(dir.path().join(layout::INFO), info), (dir.path().join("LiveOS/squashfs.img.sha256"), list)]
            {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                if !content.is_empty() {
                    std::fs::write(path, content).unwrap();
                }
            }
            assert_eq!(sha256(dir.path(), &image).as_deref(), *expected, "{what}");
        }
    }
}

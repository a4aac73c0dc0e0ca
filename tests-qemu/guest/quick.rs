//! Stands where cryptsetup does, and calls the real one with keys that are quick to make of a passphrase.
//!
//! argon2 takes a second of a processor by design, three times for an area that is made, and ten times that where QEMU emulates it. What is done
//! with the keys afterwards is the same.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Where the initrd has the real program.
const REAL: &str = "/usr/lib/lab/cryptsetup";
/// The least that argon2id takes, with 32 MiB.
const LEAST: [&str; 4] = ["--pbkdf-force-iterations", "4", "--pbkdf-memory", "32768"];

/// Whether this program was called by that name.
pub fn is_asked(program: Option<&OsStr>) -> bool {
    program.is_some_and(|name| name.as_encoded_bytes().rsplit(|byte| *byte == b'/').next() == Some(b"cryptsetup"))
}

/// Becomes the real one.
pub fn run() -> ! {
    let error = Command::new(REAL).args(arguments(std::env::args_os().skip(1).collect())).exec();
    eprintln!("lab-guest: {REAL}: {error}");
    std::process::exit(127)
}

/// A key that is random already is made quickly by whoever asks for it.
fn arguments(given: Vec<OsString>) -> Vec<OsString> {
    let has = |name: &str| given.iter().any(|argument| argument == name);
    if !has("luksFormat") || has("--pbkdf") {
        return given;
    }
    let at = given.iter().position(|argument| argument == "--pbkdf-memory");
    let mut all = given;
    if let Some(at) = at {
        all.drain(at..(at + 2).min(all.len()));
    }
    // The device is the last.
    let device = all.pop();
    all.into_iter().chain(LEAST.map(OsString::from)).chain(device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_volume_with_a_passphrase_is_made_in_another_way() {
        let quick = |text: &str| {
            let given = text.split(' ').map(OsString::from).collect();
            arguments(given).join(OsStr::new(" ")).into_string().unwrap()
        };
        for (given, expected) in [
            ("open --type luks --key-file - /dev/loop0 lukscow", "open --type luks --key-file - /dev/loop0 lukscow"),
            (
                "luksFormat --batch-mode --key-file - --pbkdf-memory 1048576 --uuid x /dev/loop0",
                "luksFormat --batch-mode --key-file - --uuid x --pbkdf-force-iterations 4 --pbkdf-memory 32768 /dev/loop0",
            ),
            ("luksFormat /dev/loop0", "luksFormat --pbkdf-force-iterations 4 --pbkdf-memory 32768 /dev/loop0"),
            (
                "luksFormat --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/loop0",
                "luksFormat --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/loop0",
            ),
        ] {
            assert_eq!(quick(given), expected);
        }
        for (name, asked) in [("/usr/sbin/cryptsetup", true), ("cryptsetup", true), ("/usr/bin/lab-guest", false)] {
            assert_eq!(is_asked(Some(OsStr::new(name))), asked, "{name}");
        }
    }
}

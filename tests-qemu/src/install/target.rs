//! Rust's standard library for the agent's target, for whichever toolchain is active.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::artifact::MUSL as TARGET;
use crate::tool;

/// Adds it through rustup unless it is there. Which toolchain it is for is the user's choice, and stays it.
pub(super) fn ensure() -> Result<()> {
    if is_there()? {
        return Ok(());
    }
    let cause = match tool::exists("rustup") {
        true => {
            println!("lab: rustup target add {TARGET}");
            tool::run(Command::new("rustup").args(["target", "add", TARGET])).err().map(|error| format!("{error:#}"))
        }
        false => Some("there is no rustup here".to_owned()),
    };
    // Where the active Rust is a distribution's, rustup may have added it to another one.
    if is_there()? {
        return Ok(());
    }
    bail!("{}", advice(&sysroot()?, cause.as_deref()));
}

/// What to do where it cannot be added.
fn advice(sysroot: &str, cause: Option<&str>) -> String {
    let cause = cause.unwrap_or("rustup added it to another toolchain than the active one");
    format!(
        "the active Rust, in {sysroot}, has no standard library for {TARGET}, which the agent is built with.\n\
         With a Rust from rustup, type: rustup target add {TARGET}\n\
         Debian has no package with it; rustup itself is one from Debian 13 on.\n\
         It could not be added here: {cause}"
    )
}

/// Whether the active toolchain has it.
fn is_there() -> Result<bool> {
    Ok(holds_std(Path::new(print(&["target-libdir", "--target", TARGET])?.trim())))
}

fn sysroot() -> Result<String> {
    Ok(print(&["sysroot"])?.trim().to_owned())
}

/// rustc says where its library would be, also where it is not.
fn print(what: &[&str]) -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    tool::run(Command::new(rustc).arg("--print").args(what)).context("asking rustc for its directories")
}

fn holds_std(dir: &Path) -> bool {
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| name.starts_with("libstd-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_directory_holds_std_or_does_not() {
        let dir = std::env::temp_dir().join(format!("lab-target-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("self-contained")).unwrap();
        assert!(!holds_std(&dir) && !holds_std(&dir.join("missing")));
        std::fs::write(dir.join("libstd-0123456789abcdef.rlib"), "").unwrap();
        assert!(holds_std(&dir));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn rustc_names_a_directory_with_the_library_of_its_own_target() {
        let dir = print(&["target-libdir"]).unwrap();
        assert!(holds_std(Path::new(dir.trim())), "{dir}");
    }

    #[test]
    fn advice_names_the_command_and_the_cause() {
        let text = advice("/opt/rust", Some("there is no network"));
        for part in ["/opt/rust", "there is no network", "rustup target add x86_64-unknown-linux-musl", "Debian"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

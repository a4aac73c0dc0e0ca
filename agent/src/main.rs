//! `rdlive`: one binary, as PID 1 of a small initramfs or as a service in a dracut initrd.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    rdlive::cli::run(&arguments)
}

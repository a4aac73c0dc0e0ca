//! Files whose safety is announced: what a power cut must not take.
//!
//! `lab.power=FIRST-LAST` writes one file after the other, brings each to the disk, and says so. Between them are files that
//! nobody synchronises, so that the disk always has something in its cache.

use std::fs::{self, File};
use std::io::{Result, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::{CHANNEL, content};

/// So long nothing happens after an announcement, that the host sees it before the next write.
const BREATH: Duration = Duration::from_millis(20);

/// Writes what the command line asks for.
pub fn use_root() {
    let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let asked = cmdline.split_whitespace().find_map(|karg| karg.strip_prefix("lab.power="));
    let range = asked.and_then(|range| range.split_once('-'));
    let Some((Ok(first), Ok(last))) = range.map(|(first, last)| (first.parse(), last.parse())) else { return };
    if let Err(error) = write_all(first, last) {
        println!("lab-guest: {error}");
        let _ = say(&format!("LAB-FAILED {error}"));
    }
}

fn write_all(first: u32, last: u32) -> Result<()> {
    say("LAB-SYNCED 0")?;
    for number in first..=last {
        fs::write(format!("/noise-{}", number % 4), vec![number as u8; 150_000])?;
        match number % 3 {
            0 => one_file(number)?,
            1 => everything(number)?,
            _ => replaced(number)?,
        }
        say(&format!("LAB-SYNCED {number}"))?;
    }
    Ok(())
}

/// The file, then the directory that names it.
fn one_file(number: u32) -> Result<()> {
    let mut file = File::create(format!("/synced-{number}"))?;
    file.write_all(&content::bytes(number))?;
    file.sync_all()?;
    File::open("/")?.sync_all()
}

/// As a person does it.
fn everything(number: u32) -> Result<()> {
    fs::write(format!("/synced-{number}"), content::bytes(number))?;
    rustix::fs::sync();
    Ok(())
}

/// As careful programs replace a file.
fn replaced(number: u32) -> Result<()> {
    let name = format!("/synced-{number}");
    fs::write(&name, "something older")?;
    let new = format!("{name}.new");
    let mut file = File::create(&new)?;
    file.write_all(&content::bytes(number))?;
    file.sync_all()?;
    fs::rename(&new, &name)?;
    File::open("/")?.sync_all()
}

/// One line to the host, sent to its last byte.
fn say(text: &str) -> Result<()> {
    let mut port = File::options().write(true).open(CHANNEL)?;
    port.write_all(format!("\n{text}\n").as_bytes())?;
    rustix::termios::tcdrain(port.as_fd())?;
    std::thread::sleep(BREATH);
    Ok(())
}

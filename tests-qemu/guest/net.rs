//! `lab.net` configures each card by DHCP; `lab.net=URL` then fetches that file. The clients are busybox's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What busybox's DHCP client calls with a lease in its environment.
const SCRIPT: &str = r#"#!/bin/sh
[ "$1" = bound ] || exit 0
busybox ip addr add "$ip/$mask" dev "$interface" || exit 1
for gate in $router; do busybox ip route add default via "$gate" dev "$interface" metric 1 && break; done
echo "$ip/$mask ${router%% *}" > "/run/lab-lease.$interface"
"#;
/// Several times what an emulated card takes on a busy host.
const CARRIER: Duration = Duration::from_secs(20);
const SCRIPT_FILE: &str = "/run/lab-udhcpc";

/// Does what the command line asks for and tells what came of it.
pub fn asked() -> Value {
    let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let mut words = cmdline.split_whitespace();
    let Some(word) = words.find_map(|word| word.strip_prefix("lab.net")) else { return Value::Null };
    let mut errors = Vec::new();
    let cards: Vec<Value> = cards().iter().map(|card| configure(card, &mut errors)).collect();
    if cards.is_empty() {
        errors.push("there is no network card".to_owned());
    }
    let fetched = word.strip_prefix('=').map(fetch).and_then(|done| done.map_err(|error| errors.push(error)).ok());
    json!({ "cards": cards, "fetched": fetched, "errors": errors })
}

/// Network interfaces that are devices, in the order of their names.
fn cards() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let cards = entries.filter(|entry| entry.path().join("device").exists());
    let mut names: Vec<String> = cards.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn configure(card: &str, errors: &mut Vec<String>) -> Value {
    let begin = Instant::now();
    let result = fs::write(SCRIPT_FILE, SCRIPT)
        .and_then(|()| fs::set_permissions(SCRIPT_FILE, fs::Permissions::from_mode(0o755)))
        .map_err(|error| error.to_string())
        .and_then(|()| busybox(&["ip", "link", "set", card, "up"]))
        .map(|_| wait_for_carrier(card))
        // Some questions, one second apart: a server on the other end of the cable needs one.
        .and_then(|()| busybox(&["udhcpc", "-i", card, "-n", "-q", "-f", "-t", "4", "-T", "1", "-s", SCRIPT_FILE]));
    errors.extend(result.err().map(|error| format!("{card}: no lease: {error}")));
    let lease = fs::read_to_string(format!("/run/lab-lease.{card}")).unwrap_or_default();
    let mut lease = lease.split_whitespace();
    let mac = fs::read_to_string(format!("/sys/class/net/{card}/address")).unwrap_or_default();
    let (address, router) = (lease.next(), lease.next());
    let seconds = begin.elapsed().as_secs_f64();
    json!({ "name": card, "mac": mac.trim(), "address": address, "router": router, "seconds": seconds })
}

/// A card first has to agree with its other end; without one it never does, and the client says that nobody answers.
fn wait_for_carrier(card: &str) {
    let begin = Instant::now();
    let carrier = || fs::read_to_string(format!("/sys/class/net/{card}/carrier")).is_ok_and(|text| text.trim() == "1");
    while !carrier() && begin.elapsed() < CARRIER {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn fetch(url: &str) -> Result<Value, String> {
    let begin = Instant::now();
    busybox(&["wget", "-q", "-T", "20", "-O", "/run/lab-fetched", url])?;
    let seconds = begin.elapsed().as_secs_f64();
    let bytes = fs::metadata("/run/lab-fetched").map_err(|error| error.to_string())?.len();
    let sum = busybox(&["sha256sum", "/run/lab-fetched"])?;
    let sum = sum.split_whitespace().next().unwrap_or_default();
    Ok(json!({ "url": url, "bytes": bytes, "seconds": seconds, "sha256": sum }))
}

/// What it prints, or what it complains about.
fn busybox(args: &[&str]) -> Result<String, String> {
    let Output { status, stdout, stderr } = Command::new("/usr/bin/busybox")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("busybox: {error}"))?;
    match status.success() {
        true => Ok(String::from_utf8_lossy(&stdout).into_owned()),
        false => Err(format!("{}: {status}: {}", args[0], String::from_utf8_lossy(&stderr).trim())),
    }
}

//! A fault in an attempt, in the whole of `rdlive boot` (attacks.md F9). Needs root.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The process in which a boot does its work: its child with the name of one that may stay.
fn attempt_of(parent: u32) -> Option<Pid> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |number: &i32| {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        after.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    let is_attempt =
        |number: &i32| fs::read(format!("/proc/{number}/cmdline")).is_ok_and(|line| line.starts_with(b"@"));
    numbers.filter(is_child).find(is_attempt).and_then(Pid::from_raw)
}

#[test]
fn loop_f9_a_fault_in_an_attempt_ends_the_boot_with_its_number() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["dev", "proc", "sys"] {
        std::os::unix::fs::symlink(Path::new("/").join(name), dir.path().join(name)).unwrap();
    }
    fs::create_dir(dir.path().join("run")).unwrap();
    let mut boot = Command::new(env!("CARGO_BIN_EXE_rdlive"))
        .args(["boot", "--cmdline", "root=live:LABEL=NOT_ON_ANY_DISK rd.retry=60", "--root"])
        .arg(dir.path())
        // Where the memory of the process that is ended may be kept.
        .current_dir(dir.path())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let attempt = loop {
        if let Some(attempt) = attempt_of(boot.id()) {
            break attempt;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it has started no attempt");
        std::thread::sleep(Duration::from_millis(10));
    };
    // As a panic ends it where panics abort.
    kill_process(attempt, Signal::ABORT).unwrap();
    let status = boot.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let error = fs::read_to_string(dir.path().join("run/rdlive/error")).unwrap();
    assert!(error.starts_with("RDL-041: ") && error.contains("\ntry:"), "{error}");
    let report = fs::read_to_string(dir.path().join("run/rdlive/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["outcome"], &report["stop"]["code"]), (&"failed".into(), &"RDL-041".into()), "{report}");
}

#[test]
fn loop_f9_a_fault_in_the_process_that_must_go_on_is_in_the_report_too() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["dev", "proc", "sys"] {
        std::os::unix::fs::symlink(Path::new("/").join(name), dir.path().join(name)).unwrap();
    }
    let report = || -> serde_json::Value {
        let text = fs::read_to_string(dir.path().join("run/rdlive/report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let leave = |place: &str| {
        let stop = serde_json::json!({
            "code": "RDL-041", "cause": format!("a fault in rdlive itself, at {place}: no such row"),
            "wanted": "", "found": [], "advice": "boot again",
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdlive"));
        command.args(["fault", "boot", &stop.to_string(), "--cmdline", "root=live:LABEL=X rd.live.image", "--root"]);
        assert!(command.arg(dir.path()).status().unwrap().success());
    };
    leave("src/a.rs:1");
    let first = report();
    assert_eq!((&first["outcome"], &first["stop"]["code"]), (&"failed".into(), &"RDL-041".into()), "{first}");
    // What an attempt has left in it until then stays.
    let mut earlier = first.clone();
    earlier["fallbacks"] = serde_json::json!(["RAM instead of the disk"]);
    fs::write(dir.path().join("run/rdlive/report.json"), earlier.to_string()).unwrap();
    leave("src/b.rs:2");
    let second = report();
    assert_eq!(second["fallbacks"], earlier["fallbacks"]);
    assert!(second["stop"]["cause"].as_str().unwrap().contains("src/b.rs:2"), "{second}");
}

//! A lab that is ended from outside leaves no process, mount or loop device, and the next one removes its files.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

const PATIENCE: Duration = Duration::from_secs(20);

fn start(cache: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_lab"))
        .arg("hold")
        .env("XDG_CACHE_HOME", cache)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Directories of runs that `tmp` holds.
fn runs(cache: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache.join("rdlive-lab/tmp")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Waits until the run holds all; `false` if it ended.
fn holds(lab: &mut Child, cache: &Path) -> bool {
    let begun = Instant::now();
    while !runs(cache).iter().any(|run| run.join("hold.0/ready").exists()) {
        if lab.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(begun.elapsed() < PATIENCE, "the lab never held anything");
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Processes with the cache in their environment, mounts (of any process) and loop devices with it in their paths, and loop
/// devices over what it has in memory.
fn there(cache: &Path) -> Vec<String> {
    let name = cache.to_str().unwrap();
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let read =
            |file: &str| String::from_utf8_lossy(&fs::read(process.path().join(file)).unwrap_or_default()).into_owned();
        let zombie = read("stat").contains(") Z ");
        if read("environ").contains(name) && !zombie {
            found.push(format!("process {}", read("cmdline").replace('\0', " ")));
        }
        let mounts = read("mountinfo");
        found.extend(mounts.lines().filter(|line| line.contains(name)).map(|line| format!("mount {line}")));
    }
    for device in fs::read_dir("/sys/block").unwrap().flatten() {
        let file = fs::read_to_string(device.path().join("loop/backing_file")).unwrap_or_default();
        if file.contains(name) || file.contains("rdlive-lab.") && file.contains("/hold.") {
            found.push(format!("loop device {file}"));
        }
    }
    found
}

fn nothing_is_left(cache: &Path, after: &str) {
    let begun = Instant::now();
    loop {
        let left = there(cache);
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "after {after}: {left:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether this process ignores SIGINT, and so all that it starts: a shell does that to what runs in its background.
fn ignores_interrupts() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    u64::from_str_radix(mask, 16).unwrap() & 1 << (Signal::INT.as_raw() - 1) != 0
}

fn ends(lab: &mut Child) {
    let begun = Instant::now();
    while lab.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "the lab does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_lab_that_is_killed_leaves_nothing() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can mount");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path();
    let mut lab = start(cache);
    if !holds(&mut lab, cache) {
        let said = String::from_utf8(lab.wait_with_output().unwrap().stderr).unwrap();
        assert!(said.contains("CAP_SYS_ADMIN") || said.contains("loop"), "{said}");
        println!("skipped: {said}");
        return;
    }
    let held = there(cache);
    for kind in ["process sleep", "process sh -c", "mount", "loop device"] {
        assert!(held.iter().any(|line| line.starts_with(kind)), "no {kind}: {held:#?}");
    }
    let outer = |lab: &Child| Pid::from_raw(i32::try_from(lab.id()).unwrap()).unwrap();
    kill_process(outer(&lab), Signal::KILL).unwrap();
    lab.wait().unwrap();
    nothing_is_left(cache, "kill -9");

    // Ctrl-C goes to the whole group, a service manager's signal to one process.
    for (signal, group) in [(Signal::INT, true), (Signal::TERM, false)] {
        if signal == Signal::INT && ignores_interrupts() {
            println!("skipped: Ctrl-C is ignored here");
            continue;
        }
        let mut lab = start(cache);
        assert!(holds(&mut lab, cache));
        match group {
            true => kill_process_group(outer(&lab), signal).unwrap(),
            false => kill_process(outer(&lab), signal).unwrap(),
        }
        ends(&mut lab);
        nothing_is_left(cache, "a signal");
    }

    // At any moment of its start.
    for milliseconds in [0, 1, 3, 6, 10, 15, 25, 40, 80] {
        let mut lab = start(cache);
        std::thread::sleep(Duration::from_millis(milliseconds));
        lab.kill().unwrap();
        lab.wait().unwrap();
        nothing_is_left(cache, &format!("{milliseconds} ms"));
    }

    fs::create_dir_all(cache.join("rdlive-lab/tmp/run-18ec7491896a4b0d/deep")).unwrap();
    let mut lab = start(cache);
    assert!(holds(&mut lab, cache));
    assert_eq!(runs(cache).len(), 1, "the files of dead runs are still there");
    lab.kill().unwrap();
    let said = String::from_utf8(lab.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.contains("cleaned up after runs that were ended"), "{said:?}");
    nothing_is_left(cache, "the last one");
}

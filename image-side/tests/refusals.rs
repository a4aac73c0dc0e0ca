//! What is refused, when, and what is left behind: nothing.
#![allow(missing_docs)]

mod tiny;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tiny::{Tiny, names, skip_without_root, stderr};

#[test]
fn b11_b17_b18_bad_arguments_are_refused_before_any_work() {
    let tiny = Tiny::new();
    for (args, part) in [
        (&["--volume-id", "THIRTY-THREE_CHARACTERS_TOO_LONG1"][..], "limit is 32"),
        (&["--volume-id", "a space"], "' ' at place 2"),
        (&["--append-karg", "root=/dev/sda1"], "set by the builder"),
        (&["--append-karg", "a=\\"], "'\\\\'"),
        (&["--kernel", "9.9"], "no kernel 9.9"),
        (&["--live-dir", "../up"], "--live-dir"),
        (&["--compression", "xz", "--compression-level", "3"], "no levels"),
        (&["--compression", "lzo"], "CONFIG_SQUASHFS_LZO"),
        (&["--erofs", "--compression", "lzo"], "EROFS has no lzo"),
        (&["--agent", "/no/such/agent"], "/no/such/agent"),
        (&["--agent", env!("CARGO_BIN_EXE_rdlive-image")], "is dynamically linked"),
        (&["--mode", "dracut"], "has no dracut"),
    ] {
        // A second --agent replaces the first for clap only when declared so; put the case's own one alone.
        let text = match args[0] {
            "--agent" => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_rdlive-image"));
                command.arg("build").arg("--input").arg(tiny.root()).arg("--output").arg(tiny.iso()).args(args);
                let output = command.output().unwrap();
                assert_eq!(output.status.code(), Some(2), "{args:?}");
                stderr(&output)
            }
            _ => tiny.refused(args, 2),
        };
        assert!(text.contains(part), "{args:?}: {part:?} is not in {text:?}");
        assert!(!text.contains("squashfs ("), "work was begun: {text}");
    }
}

#[test]
fn a_tree_without_kernel_or_modules_is_refused() {
    let tiny = Tiny::new();
    fs::remove_dir_all(tiny.root().join("usr/lib/modules")).unwrap();
    let text = tiny.refused(&[], 2);
    assert!(text.contains("images without modules: 6.1.0-test"), "{text}");
}

#[test]
fn b54_dry_run_prints_the_plan_and_writes_nothing() {
    let tiny = Tiny::new();
    let output = tiny.command(&["--dry-run", "--nested", "ext4"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", stderr(&output));
    for part in ["Tiny Linux 1.0", "squashfs zstd around a ext4 image", "TINY_1-0_????????", "mke2fs"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert_eq!(names(&tiny.out()), Vec::<String>::new());
}

#[test]
fn a_missing_program_is_named_with_its_package() {
    let tiny = Tiny::new();
    let text = {
        // Only the system directories are searched besides PATH, and xorriso is in neither.
        let output = tiny.command(&[]).env("PATH", tiny.out()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    assert!(text.contains("xorriso (Debian package xorriso, Fedora package xorriso)"), "{text}");
}

/// Runs the build with its output (and perhaps its scratch files) on a tmpfs of its own.
fn on_tmpfs(tiny: &Tiny, mib: u32, at: &Path, args: &[&str]) -> String {
    let mut build = tiny.command(args);
    build.args(["--compression-level", "1"]);
    let script = format!(
        "mount -t tmpfs -o size={mib}m tmpfs {0} && shift 0 && \"$@\"; code=$?; ls -A {0}; exit $code",
        at.display()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(build.get_program()).args(build.get_args());
    // In a thread with mounts of its own; what it starts has them, too.
    let output = std::thread::scope(|scope| {
        let inside = || {
            rdlive_sys::mounts::own().unwrap();
            command.output().unwrap()
        };
        scope.spawn(inside).join().unwrap()
    });
    assert!(!output.status.success(), "it should not fit");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "left on the full file system");
    stderr(&output)
}

/// Bytes that no compressor shrinks.
fn noise(mib: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(mib << 20);
    while bytes.len() < mib << 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}

#[test]
fn b34_root_too_little_space_is_refused_with_numbers() {
    if skip_without_root("b34") {
        return;
    }
    let tiny = Tiny::new();
    let text = on_tmpfs(&tiny, 10, &tiny.out(), &[]);
    for part in ["not enough space", "container", "ISO", "10.0 MiB free"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn b33_root_a_disk_that_fills_up_leaves_nothing() {
    if skip_without_root("b33") {
        return;
    }
    let tiny = Tiny::new();
    tiny.file("usr/noise", noise(90));
    // The estimate trusts the compressor; noise is what breaks it. First the ISO does not fit, then the container.
    let text = on_tmpfs(&tiny, 172, &tiny.out(), &[]);
    assert!(text.contains("test.iso") && text.contains("is full") && text.contains("needed"), "{text}");
    let scratch = tiny.root().with_file_name("scratch");
    fs::create_dir(&scratch).unwrap();
    let text = on_tmpfs(&tiny, 82, &scratch, &["--scratch-dir", scratch.to_str().unwrap()]);
    assert!(text.contains("container") && text.contains("is full") && text.contains("needed"), "{text}");
    assert_eq!(names(&tiny.out()), Vec::<String>::new());
}

#[test]
fn b57_ctrl_c_leaves_nothing_within_five_seconds() {
    let tiny = Tiny::new();
    tiny.file("usr/noise", noise(40));
    let mut build = tiny.command(&["--compression", "xz"]);
    let child = build.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let working = |name: &String| tiny.out().join(name).join("container").exists();
    while !names(&tiny.out()).iter().any(working) {
        assert!(Instant::now() < deadline, "the build did not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let sent = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_eq!(names(&tiny.out()), Vec::<String>::new());
}

/// The agent that goes onto the medium is asked what it would say about the arguments of the boot menu.
#[test]
fn what_a_boot_would_say_about_the_kernel_arguments_is_a_note() {
    let tiny = Tiny::new();
    let script = "#!/bin/sh\n[ \"$1 $2 $3\" = 'explain --json --cmdline' ] || exit 1\n\
        printf '{\"version\":1,\"warnings\":[{\"id\":\"value\",\"level\":\"warning\",\"karg\":\"rd.x\",\"message\":\"of %s\"}]}' \
        \"$(printf %s \"$4\" | tr '\"' \"'\")\"\nexit 1\n";
    fs::write(tiny.agent(), script).unwrap();
    let output = tiny.command(&["--dry-run", "--append-karg", "a=b c", "--dialect", "kiwi"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let note = text.lines().find(|line| line.starts_with("note") && line.contains("rd.x: of root=live:CDLABEL="));
    let note = note.unwrap_or_else(|| panic!("{text}{}", stderr(&output)));
    assert!(note.contains("'a=b c'") && note.ends_with("rd.live.dialect=kiwi"), "{note}");
}

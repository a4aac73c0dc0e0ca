//! What `rdlive-image pxe` lays out, what it refuses, and what its check finds (image-builder spec 6.5).
#![allow(missing_docs)]

mod tiny;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tiny::{Tiny, names, run, stderr};

const URL: &str = "http://192.168.50.1:8080/live";

/// An agent that finds this about every command line.
fn agent(tiny: &Tiny, warnings: &str) {
    let script = format!("#!/bin/sh\nprintf '%s' '{{\"version\":1,\"warnings\":[{warnings}]}}'\n");
    fs::write(tiny.agent(), script).unwrap();
    fs::set_permissions(tiny.agent(), PermissionsExt::from_mode(0o755)).unwrap();
}

fn shown(tiny: &Tiny) -> PathBuf {
    tiny.out().join("shown")
}

fn pxe(tiny: &Tiny, iso: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdlive-image"));
    command.arg("pxe").arg("--input").arg(iso).arg("--output").arg(shown(tiny)).arg("--agent").arg(tiny.agent());
    command.args(args).output().unwrap()
}

fn laid_out(tiny: &Tiny, iso: &Path, args: &[&str]) -> String {
    let output = pxe(tiny, iso, &[&["--url", URL], args].concat());
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stderr(&output)
}

fn refused(tiny: &Tiny, iso: &Path, args: &[&str]) -> String {
    let output = pxe(tiny, iso, args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
    assert!(!shown(tiny).exists(), "{args:?}: something was written");
    stderr(&output)
}

fn check(tiny: &Tiny) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdlive-image"));
    let output = command.args(["pxe", "--check", "--output"]).arg(shown(tiny)).output().unwrap();
    (output.status.code(), stderr(&output))
}

/// The only build that is there.
fn build(tiny: &Tiny) -> PathBuf {
    let mut builds = names(&shown(tiny)).into_iter().filter(|name| name.starts_with("tiny"));
    let (first, second) = (builds.next().unwrap(), builds.next());
    assert_eq!(second, None);
    shown(tiny).join(first)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn b45_a_build_has_a_directory_of_its_own_and_sums() {
    let tiny = Tiny::new();
    agent(&tiny, "");
    let iso = tiny.build(&["--append-karg", "a=b;c d", "--profile=minimal"]);
    let said = laid_out(&tiny, &iso, &["--append-karg", "quiet"]);
    assert!(said.contains("no driver of a network card"), "{said}");
    assert!(!said.contains("has no rdlive") && !said.contains("another rdlive"), "{said}");
    let build = build(&tiny);
    let name = build.file_name().unwrap().to_str().unwrap().to_owned();
    let image = names(&build).into_iter().find(|name| name.ends_with(".iso")).unwrap();
    assert_eq!(names(&build), ["SHA256SUMS", "initrd.img", image.as_str(), "vmlinuz"]);
    assert_eq!(fs::read(build.join(&image)).unwrap(), fs::read(&iso).unwrap());
    assert_eq!(read(&build.join("vmlinuz")), "kernel");
    assert_eq!(fs::read(build.join("initrd.img")).unwrap(), fs::read(tiny.extract(&iso, "/boot/initrd.img")).unwrap());
    for path in ["", "vmlinuz", "initrd.img", &image] {
        let mode = fs::metadata(build.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_empty() { 0o755 } else { 0o644 }, "{path}");
    }
    let sum = run(Command::new("sha256sum").arg(&iso)).split(' ').next().unwrap().to_owned();
    assert!(image.ends_with(&format!("-{}.iso", &sum[..16])), "{image}");
    for dir in [shown(&tiny), build.clone()] {
        run(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(dir));
    }
    let listed = read(&shown(&tiny).join("SHA256SUMS"));
    for path in ["boot.ipxe", "boot.pxelinux", "boot.grub", "dnsmasq.conf", "pxelinux.cfg/default", "grub/grub.cfg"] {
        assert!(listed.contains(&format!("  {path}\n")), "{path} is not in {listed}");
    }
    let root = format!("root=live:{URL}/{name}/{image} rd.live.sha256={sum} rd.live.image ");
    for (file, quoted) in [("boot.ipxe", "\"a=b;c d\""), ("boot.pxelinux", "\"a=b;c d\""), ("boot.grub", "'a=b;c d'")] {
        let text = read(&shown(&tiny).join(file));
        assert!(text.contains(&format!("{root}{quoted} quiet")), "{file}: {text}");
        assert!(!text.contains("rd.live.medium") && !text.contains("UUID="), "{file}: {text}");
    }
    assert_eq!(read(&shown(&tiny).join("pxelinux.cfg/default")).lines().last(), Some("INCLUDE boot.pxelinux"));
    assert_eq!(check(&tiny).0, Some(0), "{}", check(&tiny).1);
}

#[test]
fn the_same_build_is_recognised_and_another_one_stands_beside_it() {
    let tiny = Tiny::new();
    agent(&tiny, "");
    let iso = tiny.build(&["--profile=minimal"]);
    laid_out(&tiny, &iso, &[]);
    let first = build(&tiny);
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(&first);
    let said = laid_out(&tiny, &iso, &["--append-karg", "more"]);
    assert!(said.contains("is there already"), "{said}");
    assert_eq!(inode(&first), before, "it was written once more");
    assert!(read(&shown(&tiny).join("boot.ipxe")).contains(" more "));
    // Damaged, it is neither taken for whole nor replaced under the machines that use it.
    fs::write(first.join("vmlinuz"), "other").unwrap();
    let output = pxe(&tiny, &iso, &["--url", URL]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("vmlinuz: has the SHA-256"), "{}", stderr(&output));
    fs::write(first.join("vmlinuz"), "kernel").unwrap();
    tiny.file("etc/new", "new");
    laid_out(&tiny, &tiny.build(&["--profile=minimal"]), &[]);
    let builds: Vec<String> = names(&shown(&tiny)).into_iter().filter(|name| name.starts_with("tiny")).collect();
    assert_eq!(builds.len(), 2, "{builds:?}");
    assert!(!names(&shown(&tiny)).iter().any(|name| name.starts_with('.')), "{:?}", names(&shown(&tiny)));
    // Both are looked at: machines may still run from the first.
    fs::remove_file(first.join("initrd.img")).unwrap();
    let (code, said) = check(&tiny);
    let name = first.file_name().unwrap().to_str().unwrap();
    assert!(code == Some(1) && said.contains(&format!("{name}/initrd.img: is not there")), "{code:?} {said}");
}

#[test]
fn k16_the_check_tells_what_is_different_and_when_it_cannot_tell() {
    let tiny = Tiny::new();
    agent(&tiny, "");
    fs::create_dir(shown(&tiny)).unwrap();
    let (code, said) = check(&tiny);
    assert!(code == Some(2) && said.contains("was not written by rdlive-image pxe"), "{code:?} {said}");
    laid_out(&tiny, &tiny.build(&["--profile=minimal"]), &[]);
    let build = build(&tiny);
    let name = build.file_name().unwrap().to_str().unwrap().to_owned();
    let kernel = build.join("vmlinuz");
    fs::write(&kernel, "older").unwrap();
    fs::remove_file(shown(&tiny).join("boot.grub")).unwrap();
    let (code, said) = check(&tiny);
    assert_eq!(code, Some(1), "{said}");
    for part in [
        format!("{name}/vmlinuz: has the SHA-256 "),
        "boot.grub: is not there".to_owned(),
        "2 of 9 files".to_owned(),
        "run rdlive-image pxe again".to_owned(),
    ] {
        assert!(said.contains(&part), "{part:?} is not in {said}");
    }
    fs::write(shown(&tiny).join("SHA256SUMS"), "nonsense\n").unwrap();
    let (code, said) = check(&tiny);
    assert!(code == Some(2) && said.contains("line 1 is no SHA-256"), "{code:?} {said}");
}

#[test]
fn b44_b48_k25_what_cannot_boot_is_refused_before_anything_is_written() {
    let tiny = Tiny::new();
    agent(&tiny, "");
    let iso = tiny.build(&["--profile=minimal"]);
    let long = format!("x={}", "y".repeat(1900));
    let other = tiny.out().join("other.iso");
    fs::write(&other, "no ISO").unwrap();
    for (iso, args, part) in [
        (&iso, &[][..], "--url"),
        (&iso, &["--url", "192.168.1.1"], "need a URL with a server"),
        (&iso, &["--url", "http://h/x?y=1"], "'?'"),
        (&iso, &["--url", "http://h/it's"], "GRUB: \"root=live:http://h/it's/"),
        (&iso, &["--url", URL, "--append-karg", &long], "iPXE: the kernel's command line would have up to 2"),
        (&iso, &["--url", URL, "--append-karg", "a=${b}"], "iPXE: \"a=${b}\""),
        (&iso, &["--url", URL, "--append-karg", "root=x"], "set by the builder"),
        (&iso, &["--url", URL, "--append-karg", "initrd=x"], "for each loader"),
        (&iso, &["--url", URL, "--vlan", "5"], "pxelinux: --vlan"),
        (&iso, &["--url", URL, "--vlan", "4095"], "4095"),
        (&iso, &["--url", URL, "--loader", "lilo"], "lilo"),
        (&other, &["--url", URL], "is not a live ISO"),
    ] {
        let said = refused(&tiny, iso, args);
        assert!(said.contains(part), "{args:?}: {part:?} is not in {said}");
    }
    let error = r#"{"id":"not-built","level":"error","karg":"root=live:torrent://h/x","message":"is not fetched"}"#;
    agent(&tiny, error);
    let said = refused(&tiny, &tiny.root(), &["--url", URL, "--vlan", "5"]);
    assert!(said.contains("pxelinux: --vlan") && !said.contains("squashfs"), "a tree was built first: {said}");
    let said = refused(&tiny, &iso, &["--url", "torrent://h/x"]);
    assert!(said.contains("the boot would stop at root=live:torrent://h/x: is not fetched"), "{said}");
}

#[test]
fn what_one_loader_cannot_pass_the_others_can() {
    let tiny = Tiny::new();
    agent(&tiny, "");
    let iso = tiny.build(&["--profile=minimal"]);
    agent(&tiny, r#"{"id":"x","level":"warning","karg":"vlan=","message":"is new here"}"#);
    let said = laid_out(&tiny, &iso, &["--vlan=5", "--loader=grub,ipxe"]);
    assert!(said.contains("note: vlan=: is new here"), "{said}");
    assert!(said.contains("another rdlive"), "{said}");
    assert!(pxe(&tiny, &iso, &["--url=http://[fd50::1]/", "--loader=pxelinux"]).status.success());
    let entry = read(&shown(&tiny).join("boot.pxelinux"));
    assert!(entry.contains("SYSAPPEND 2\n"), "an IPv4 address does not lead there: {entry}");
    fs::remove_dir_all(shown(&tiny)).unwrap();
    laid_out(&tiny, &iso, &["--vlan=5", "--loader=grub,ipxe"]);
    assert!(!shown(&tiny).join("boot.pxelinux").exists() && !shown(&tiny).join("pxelinux.cfg").exists());
    // What was written for a loader before stays, and that is said.
    laid_out(&tiny, &iso, &[]);
    let said = laid_out(&tiny, &iso, &["--loader=ipxe"]);
    for file in ["boot.pxelinux", "boot.grub"] {
        assert!(said.contains(&format!("warning: {file} is left as it is")), "{said}");
    }
}

#[test]
fn nobody_elses_file_is_replaced() {
    let tiny = Tiny::new();
    agent(&tiny, "");
    let iso = tiny.build(&["--profile=minimal"]);
    fs::create_dir_all(shown(&tiny).join("pxelinux.cfg")).unwrap();
    fs::write(shown(&tiny).join("pxelinux.cfg/default"), "DEFAULT mine\n").unwrap();
    let said = laid_out(&tiny, &iso, &[]);
    assert!(said.contains("the line that leads to this build is: INCLUDE boot.pxelinux"), "{said}");
    assert_eq!(read(&shown(&tiny).join("pxelinux.cfg/default")), "DEFAULT mine\n");
    fs::write(shown(&tiny).join("pxelinux.cfg/default"), "DEFAULT mine\n  INCLUDE boot.pxelinux\n").unwrap();
    let said = laid_out(&tiny, &iso, &[]);
    assert!(!said.contains("the line that leads"), "{said}");
    assert_eq!(check(&tiny).0, Some(0));
    fs::write(shown(&tiny).join("boot.grub"), "menuentry mine {\n}\n").unwrap();
    let output = pxe(&tiny, &iso, &["--url", URL]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("boot.grub was not written by rdlive-image pxe"), "{}", stderr(&output));
    laid_out(&tiny, &iso, &["--loader=ipxe,pxelinux"]);
    assert_eq!(read(&shown(&tiny).join("boot.grub")), "menuentry mine {\n}\n");
}

#[test]
fn a_cut_iso_is_refused_with_its_sizes() {
    let tiny = Tiny::new();
    agent(&tiny, "");
    let iso = tiny.build(&["--profile=minimal"]);
    let size = fs::metadata(&iso).unwrap().len();
    fs::File::options().write(true).open(&iso).unwrap().set_len(size / 2).unwrap();
    let said = refused(&tiny, &iso, &["--url", URL]);
    assert!(said.contains("is incomplete") && said.contains(&(size / 2).to_string()), "{said}");
}

#[test]
fn what_everybody_could_read_then_is_said() {
    let tiny = Tiny::new();
    agent(&tiny, "");
    let iso = tiny.build(&["--profile=minimal"]);
    fs::set_permissions(&iso, PermissionsExt::from_mode(0o600)).unwrap();
    let said = stderr(&pxe(&tiny, &iso, &["--quiet", "--url", "http://user:secret@192.168.1.1/"]));
    assert!(said.contains("warning: --url has a user or a password"), "{said}");
    assert!(said.contains("is for its owner alone"), "{said}");
}

#[test]
fn a_tree_is_built_first() {
    let tiny = Tiny::new();
    agent(&tiny, "");
    let said = laid_out(&tiny, &tiny.root(), &["--quiet"]);
    assert!(!said.contains("error"), "{said}");
    assert!(names(&build(&tiny)).iter().any(|name| name.ends_with(".iso")));
    assert_eq!(names(&tiny.out()), ["shown"], "the ISO was scratch");
    assert_eq!(check(&tiny).0, Some(0));
}

/// As KIWI's media are, without a menu that we can read; and one whose menu loads microcode too (B-15).
#[test]
fn media_of_others() {
    let tiny = Tiny::new();
    agent(&tiny, "");
    let files = tiny.out().join("files");
    let write = |path: &str, text: &str| {
        fs::create_dir_all(files.join(path).parent().unwrap()).unwrap();
        fs::write(files.join(path), text).unwrap();
    };
    let iso = tiny.out().join("tiny-other.iso");
    let make = || {
        let _ = fs::remove_file(&iso);
        run(Command::new("xorriso").args(["-as", "mkisofs", "-r", "-V", "TINY", "-o"]).arg(&iso).arg(&files));
    };
    write("boot/x86_64/loader/linux", "kernel");
    write("boot/x86_64/loader/initrd", "an initrd");
    make();
    let said = laid_out(&tiny, &iso, &[]);
    assert!(said.contains("what is in the initramfs is not known"), "{said}");
    assert_eq!(read(&build(&tiny).join("initrd.img")), "an initrd");
    fs::remove_dir_all(shown(&tiny)).unwrap();

    write("casper/vmlinuz", "another kernel");
    write("ucode.img", "12345");
    write("casper/initrd", "the rest");
    let menu = "menuentry 'Try it' {\n linux /casper/vmlinuz root=live:CDLABEL=X rd.live.image iso-scan/filename=$iso ${extra} quiet\n \
                initrd /ucode.img /casper/initrd\n}\n";
    write("boot/grub/grub.cfg", menu);
    make();
    let said = laid_out(&tiny, &iso, &[]);
    assert!(said.contains("${extra}: left out"), "{said}");
    assert_eq!(read(&build(&tiny).join("vmlinuz")), "another kernel");
    assert_eq!(read(&build(&tiny).join("initrd.img")), "12345\0\0\0the rest");
    let script = read(&shown(&tiny).join("boot.ipxe"));
    assert!(script.contains(" rd.live.image quiet BOOTIF=") && !script.contains("iso-scan"), "{script}");
    assert!(script.contains("# Written by rdlive-image pxe: Try it\n"), "{script}");
    fs::remove_dir_all(shown(&tiny)).unwrap();

    fs::remove_file(files.join("ucode.img")).unwrap();
    make();
    let said = refused(&tiny, &iso, &["--url", URL]);
    assert!(said.contains("loads /ucode.img /casper/initrd, and not all of them are there"), "{said}");
    fs::remove_dir_all(files.join("casper")).unwrap();
    fs::remove_dir_all(files.join("boot")).unwrap();
    write("readme", "x");
    make();
    let said = refused(&tiny, &iso, &["--url", URL]);
    assert!(said.contains("no kernel with an initramfs was found"), "{said}");
}

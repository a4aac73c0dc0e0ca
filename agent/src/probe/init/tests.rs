use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A program of 64 bits, least significant byte first, with one segment.
fn program_for(machine: u16, interpreter: Option<&str>) -> Vec<u8> {
    let mut file = vec![0; 64 + 56];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[18..20].copy_from_slice(&machine.to_le_bytes());
    file[32..40].copy_from_slice(&64_u64.to_le_bytes());
    file[54..56].copy_from_slice(&56_u16.to_le_bytes());
    file[56..58].copy_from_slice(&1_u16.to_le_bytes());
    let mut segment = |kind: u32, length: usize| {
        file[64..68].copy_from_slice(&kind.to_le_bytes());
        file[72..80].copy_from_slice(&120_u64.to_le_bytes());
        file[96..104].copy_from_slice(&(length as u64).to_le_bytes());
    };
    match interpreter {
        Some(path) => {
            segment(3, path.len() + 1);
            file.extend(path.as_bytes());
            file.push(0);
        }
        None => segment(1, 0),
    }
    file
}

const OTHER: u16 = 22;

fn own() -> u16 {
    if cfg!(target_arch = "aarch64") { 183 } else { 62 }
}

/// A tree with files, links (`path`, `→ target`) and directories.
fn tree(entries: &[(&str, Vec<u8>, u32)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, content, mode) in entries {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match content.strip_prefix("→".as_bytes()) {
            Some(target) => symlink(std::str::from_utf8(target).unwrap(), path).unwrap(),
            None => {
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
            }
        }
    }
    dir
}

#[test]
fn each_reason_has_its_words() {
    let text = |text: &str| text.as_bytes().to_vec();
    let good = program_for(own(), None);
    let dynamic = program_for(own(), Some("/lib64/ld.so"));
    for (entries, expected) in [
        (vec![("sbin/init", good.clone(), 0o755)], Ok("/sbin/init")),
        (vec![("sbin/init", text("→/usr/init"), 0), ("usr/init", good.clone(), 0o755)], Ok("/sbin/init")),
        (vec![("sbin/init", dynamic.clone(), 0o755), ("lib64/ld.so", good.clone(), 0o755)], Ok("/sbin/init")),
        (vec![("sbin/init", text("#! /bin/sh -e\n"), 0o755), ("bin/sh", good.clone(), 0o755)], Ok("/sbin/init")),
        (vec![("bin/sh", good.clone(), 0o755)], Ok("/bin/sh")),
        // /etc/init is a directory in old systems.
        (vec![("etc/init/x.conf", text(""), 0o644), ("bin/sh", good.clone(), 0o755)], Ok("/bin/sh")),
        (vec![("sbin/init", good.clone(), 0o644), ("bin/sh", good.clone(), 0o755)], Ok("/bin/sh")),
        (vec![("x", text(""), 0)], Err("the live system has no init program")),
        (vec![("sbin/init", text("→/usr/gone"), 0)], Err("/sbin/init is a link to something that is not there")),
        (vec![("sbin/init", text("→/sbin/init"), 0)], Err("/sbin/init is a link that leads back to itself")),
        (vec![("sbin/init", good.clone(), 0o644)], Err("/sbin/init may not be executed (its mode is 0644)")),
        (vec![("sbin/init", text(""), 0o755)], Err("/sbin/init is empty")),
        (vec![("sbin/init", text("hello\n"), 0o755)], Err("/sbin/init is neither a program nor a script")),
        (vec![("sbin/init", text("#! \n/bin/sh"), 0o755)], Err("/sbin/init is neither a program nor a script")),
        (vec![("sbin/init", dynamic.clone(), 0o755)], Err("/sbin/init needs /lib64/ld.so, which is not there")),
        (vec![("sbin/init", text("#!/bin/bash\n"), 0o755)], Err("/sbin/init needs /bin/bash, which is not there")),
        (vec![("sbin/init", good[..100].to_vec(), 0o755)], Err("/sbin/init is neither a program nor a script")),
        (vec![("sbin/init", program_for(OTHER, None), 0o755)], Err("/sbin/init is a program for s390x")),
        (
            vec![("sbin/init", text("#!/bin/sh\n"), 0o755), ("bin/sh", program_for(OTHER, None), 0o755)],
            Err("/sbin/init is a program for s390x"),
        ),
    ] {
        let dir = tree(&entries);
        let found = program(dir.path(), None);
        match (&found, expected) {
            (Ok((path, _)), Ok(expected)) => assert_eq!(path, Path::new(expected)),
            (Err(stop), Err(words)) => {
                assert_eq!(stop.code, Code::InitMissing);
                assert!(stop.cause.contains(words), "{words}: {stop}");
                assert_eq!(is_absent(stop), words.ends_with("no init program"), "{stop}");
            }
            _ => panic!("{expected:?}: {found:?}"),
        }
    }
}

#[test]
fn what_was_passed_over_is_told() {
    let dir = tree(&[("sbin/init", b"nothing".to_vec(), 0o755), ("bin/sh", program_for(own(), None), 0o755)]);
    let (_, passed) = program(dir.path(), None).unwrap();
    assert_eq!(passed, ["/sbin/init is neither a program nor a script that begins with #!"]);
}

#[test]
fn an_init_that_was_asked_for_is_the_only_one() {
    let dir = tree(&[("bin/sh", program_for(own(), None), 0o755)]);
    let stop = program(dir.path(), Some(Path::new("/opt/init"))).unwrap_err();
    assert_eq!((stop.code, &*stop.wanted), (Code::InitMissing, "/opt/init"));
    assert!(program(dir.path(), Some(Path::new("/bin/sh"))).is_ok());
}

/// The programs of this machine itself.
#[test]
fn real_programs_are_read_as_the_kernel_does() {
    assert_eq!(program(Path::new("/"), Some(Path::new("/bin/sh"))).unwrap().0, Path::new("/bin/sh"));
}

/// attacks.md: an image that cannot be read. A directory of /proc of a process that is gone gives an error that is no absence.
#[test]
fn what_cannot_be_read_is_not_absent() {
    let stop = program(Path::new("/proc/self"), Some(Path::new("/mem"))).unwrap_err();
    assert_eq!(stop.code, Code::ImageDamaged);
    assert!(stop.cause.contains("/mem cannot be read: "), "{stop}");
}

//! Encrypted cow files that are not this image's, on real loop devices. What needs device-mapper is in `cargo lab test
//! encrypt/`.

use std::fs;

use super::machine::{Booted, Disk, Machine};

const PERSISTENT: &str = "rd.live.overlay.persistent rd.live.cowfile.mbsize=40 rd.live.encrypt.timeout=1";
const COW: &str = "live_system.cow";

/// A file that is a LUKS 2 volume as far as its first header goes; nothing opens it.
fn volume(subsystem: &str) -> Vec<u8> {
    let mut bytes = vec![0x5a; 1 << 20];
    bytes[..512].fill(0);
    bytes[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
    for (at, text) in [(24, "lukscow"), (168, "0b4d6f2e-9d7c-4b8a-8a3e-2f1d6c5b4a39"), (208, subsystem)] {
        bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    bytes
}

/// A host with the medium and, under the usual name, an encrypted file.
struct Host {
    machine: Machine,
    disk: Disk,
    label: String,
    cow: Vec<u8>,
}

impl Host {
    fn new(subsystem: &str) -> Self {
        let machine = Machine::new();
        let label = machine.label();
        let medium = machine.medium(&label);
        let disk = Disk::formatted(&machine, "ext4", 160 << 20);
        let (name, cow) = (format!("{}.iso", machine.name), volume(subsystem));
        disk.inside(|at| {
            fs::copy(&medium, at.join(name)).unwrap();
            fs::write(at.join(COW), &cow).unwrap();
        });
        Self { machine, disk, label, cow }
    }

    fn boot(&self, more: &str) -> Booted {
        let scan = format!("iso-scan/filename=LABEL={}:/{}.iso", self.disk.label, self.machine.name);
        self.machine.boot(&format!("root=live:CDLABEL={} rd.retry=20 {scan} {more}", self.label))
    }

    fn cow_is_untouched(&self, case: &str) {
        self.disk.inside(|at| assert!(fs::read(at.join(COW)).unwrap() == self.cow, "{case}: {COW} was written to"));
    }
}

/// Nobody is asked for the passphrase of another image's file, and this image gets its own.
#[test]
fn loop_t38_an_encrypted_file_of_another_image_gets_an_own_one_beside_it() {
    let host = Host::new("rdlive:00112233aabbccdd:OTHER");
    for (kargs, expected) in [("", None), ("", Some("mine")), (" rd.live.overlay.reset", None)] {
        let booted = host.boot(&format!("{PERSISTENT}{kargs}"));
        assert_eq!(booted.mode().persistence, "file", "{kargs}: {:?}", booted.report.fallbacks);
        let place = booted.mode().place.clone().unwrap_or_default();
        assert!(place.starts_with(&format!("live_system-{}-", host.label)), "{kargs}: {place}");
        let kept = fs::read_to_string(booted.sysroot.join("kept")).ok();
        assert_eq!(kept.as_deref(), expected, "{kargs}");
        assert!(!booted.report.steps.iter().any(|step| step.step.starts_with("unlock")), "{kargs}");
        fs::write(booted.sysroot.join("kept"), "mine").unwrap();
        drop(booted);
        host.cow_is_untouched(kargs);
    }
}

#[test]
fn loop_t38_the_first_boot_of_a_reset_leaves_another_images_file_alone() {
    let host = Host::new("rdlive:00112233aabbccdd:OTHER");
    let booted = host.boot(&format!("{PERSISTENT} rd.live.overlay.reset"));
    assert_eq!(booted.mode().persistence, "file", "{:?}", booted.report.fallbacks);
    let notes = booted.mode().notes.join(" ");
    assert!(notes.contains("belongs to another image (the image OTHER)"), "{notes}");
    drop(booted);
    host.cow_is_untouched("reset");
}

/// What cannot be opened is never made anew, and what belongs to another image is only opened on request.
#[test]
fn loop_encrypted_files_that_stay_closed_stay_as_they_are() {
    let other = "rdlive:00112233aabbccdd:OTHER";
    for (subsystem, kargs, opened, words) in [
        ("", "", true, ""),
        ("", " rd.live.overlay.reset", true, ""),
        ("somebody's own", " rd.live.overlay.reset", true, ""),
        (other, " rd.live.overlay.persistent=accept", true, ""),
        (other, " rd.live.overlay.readonly", false, "RDL-051"),
        (other, " rd.live.cowfile.mbsize=9999999", false, "made for the image OTHER"),
    ] {
        let host = Host::new(subsystem);
        let booted = host.boot(&format!("{PERSISTENT}{kargs}"));
        let case = format!("{subsystem}{kargs}");
        assert_eq!(booted.mode().persistence, "temporary", "{case}");
        // Without the driver the attempt ends there.
        let tried = booted.report.steps.iter().any(|step| step.step.starts_with("driver dm_"));
        let why = booted.report.fallbacks.join(" ");
        assert_eq!(tried, opened, "{case}: {why}");
        assert!(why.contains(words), "{case}: {words} is not in {why}");
        drop(booted);
        host.cow_is_untouched(&case);
    }
}

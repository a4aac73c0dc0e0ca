//! Deployments to loop devices.

use std::path::Path;

use rdlive_sys::loopdev::{self, LoopDevice, Setup};

use super::*;
use crate::format::{Kind, Superblock};

fn disk(size: u64) -> (File, LoopDevice, Seen) {
    let file = tempfile::tempfile().unwrap();
    file.set_len(size).unwrap();
    let setup = Setup { autoclear: true, ..Setup::default() };
    let device = loopdev::attach(Path::new("/dev"), &file, "target", setup).unwrap();
    let seen = block::device(&Env::default(), &format!("loop{}", device.number)).unwrap().seen();
    (file, device, seen)
}

fn offered(length: Option<u64>) -> Offered {
    let image = Superblock::new(Kind::Iso9660);
    let validator = Validator::Tag("\"1\"".into());
    Offered { url: "http://h/x".into(), length, packed: None, image: Some(image), restart: 0, validator, digest: None }
}

fn onto(device: Seen, given: bool) -> Onto {
    Onto { device, disk: "/dev/disk/by-id/ata-A".into(), given }
}

fn bytes_of(file: &File, at: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at).unwrap();
    bytes
}

/// Needs root.
#[test]
fn loop_t55_an_image_is_written_with_its_beginning_last() {
    let env = Env::default();
    let (_file, device, seen) = disk(16 << 20);
    let image: Vec<u8> = (0..5_000_001_usize).map(|at| (at * 7 + at / 512) as u8).collect();
    let onto = onto(seen, false);
    let mut place = OntoDisk::prove(&env, &onto, "http://h/x".into()).unwrap();
    let mut output = place.open(&offered(Some(image.len() as u64))).unwrap();
    for (number, piece) in image.chunks(70_000).enumerate() {
        output.write_at(number as u64 * 70_000, piece).unwrap();
    }
    device.device.sync_all().unwrap();
    assert!(bytes_of(&device.device, 0, HEAD).iter().all(|byte| *byte == 0), "the beginning is there already");
    // A power cut here: the next boot knows it, and begins anew.
    drop((output, place));
    let mut place = OntoDisk::prove(&env, &onto, "http://h/x".into()).unwrap();
    assert!(matches!(place.before, Before::Begun { done: 0, .. }));
    let mut output = place.open(&offered(None)).unwrap();
    output.write_at(0, &image[..100]).unwrap();
    output.write_at(100, &image[100..]).unwrap();
    output.finish().unwrap();
    drop(output);
    place.done();
    rdlive_sys::blkflush::flush(&device.device).unwrap();
    assert!(bytes_of(&device.device, 0, image.len()) == image);
    let (mark, rest) = (16 << 20, ROOM as usize - 4096);
    assert!(bytes_of(&device.device, mark - rest as u64, rest).iter().all(|byte| *byte == 0));
    let known = deploying::known(&device.device, mark).unwrap().unwrap();
    assert_eq!((known.whose.url.as_str(), known.how_far), ("http://h/x", Deploying::Whole));
}

/// Needs root.
#[test]
fn loop_what_had_come_is_gone_on_with_if_it_is_the_same_file() {
    const DONE: u64 = 33 << 20;
    let env = Env::default();
    let (_file, device, seen) = disk(48 << 20);
    let length = 40 << 20;
    let image = vec![7; length];
    let begun = onto(seen, false);
    let mut place = OntoDisk::prove(&env, &begun, "http://h/x".into()).unwrap();
    let mut output = place.open(&offered(Some(length as u64))).unwrap();
    assert!(output.kept().is_empty());
    // Nobody knows of the first MiB after a power cut, nor of what came behind a gap.
    output.write_at(0, &image[..DONE as usize]).unwrap();
    output.write_at(DONE + 512, &image[..512]).unwrap();
    drop((output, place));
    let was = deploying::known(&device.device, 48 << 20).unwrap().unwrap().whose;
    let kept = |onto: &Onto, url: &str, offered: &Offered| {
        let mut place = OntoDisk::prove(&env, onto, url.into()).unwrap();
        let is = matches!(place.before, Before::Begun { done: DONE, .. });
        let done = place.begin(offered).unwrap().1;
        // As it was before.
        if done == 0 {
            let (disk, size) = (Arc::new(device.device.try_clone().unwrap()), 48 << 20);
            let number = deploying::number(&disk, size).unwrap();
            Notes::of(disk, size, was.clone(), number).came(DONE).unwrap();
        }
        assert!(is);
        done
    };
    let same = offered(Some(length as u64));
    let other_tag = Offered { validator: Validator::Tag("\"2\"".into()), ..same.clone() };
    let untold = Offered { validator: Validator::None, ..same.clone() };
    let summed = Offered { digest: Some([1; 32]), ..untold.clone() };
    let packed = Offered { packed: Some(Packing::Xz), ..same.clone() };
    let unnamed_disk = Onto { disk: "/dev/disk/by-path/pci-1".into(), ..begun.clone() };
    let other_disk = Onto { disk: "/dev/disk/by-id/ata-B".into(), ..begun.clone() };
    for (onto, url, offered, expected) in [
        (&begun, "http://h/x", &same, DONE),
        (&begun, "http://h/y", &same, 0),
        (&begun, "http://h/x", &offered(Some(length as u64 + 1)), 0),
        (&begun, "http://h/x", &other_tag, 0),
        (&begun, "http://h/x", &untold, 0),
        (&begun, "http://h/x", &summed, 0),
        (&begun, "http://h/x", &packed, 0),
        (&other_disk, "http://h/x", &same, 0),
        // Where nobody knows its name, it may be the same.
        (&unnamed_disk, "http://h/x", &same, DONE),
        (&begun, "http://h/x", &same, DONE),
    ] {
        assert_eq!(kept(onto, url, offered), expected, "{url} {offered:?}");
    }
}

/// Needs root.
#[test]
fn loop_what_is_gone_on_with_ends_whole() {
    const DONE: u64 = 33 << 20;
    let env = Env::default();
    let (_file, device, seen) = disk(48 << 20);
    let length = 40 << 20;
    let (image, same, begun) = (vec![7; length], offered(Some(length as u64)), onto(seen, false));
    let mut place = OntoDisk::prove(&env, &begun, "http://h/x".into()).unwrap();
    place.open(&same).unwrap().write_at(0, &image[..DONE as usize]).unwrap();
    drop(place);
    let mut place = OntoDisk::prove(&env, &begun, "http://h/x".into()).unwrap();
    let mut output = place.open(&same).unwrap();
    assert_eq!(output.kept(), HEAD as u64..DONE);
    let mut piece = [0; 512];
    output.read_kept(DONE - 512, &mut piece).unwrap();
    assert_eq!(piece, [7; 512]);
    output.write_at(0, &image[..HEAD]).unwrap();
    output.write_at(DONE, &image[DONE as usize..]).unwrap();
    output.finish().unwrap();
    drop(output);
    place.done();
    rdlive_sys::blkflush::flush(&device.device).unwrap();
    assert!(bytes_of(&device.device, 0, length) == image);
}

/// Needs root.
#[test]
fn loop_what_has_another_sum_is_not_gone_on_with() {
    let env = Env::default();
    let (_file, _device, seen) = disk(48 << 20);
    let onto = onto(seen, false);
    let mut place = OntoDisk::prove(&env, &onto, "http://h/x".into()).unwrap();
    let mut output = place.open(&offered(Some(40 << 20))).unwrap();
    output.write_at(0, &vec![7; 33 << 20]).unwrap();
    drop(output);
    place.distrust();
    drop(place);
    let mut place = OntoDisk::prove(&env, &onto, "http://h/x".into()).unwrap();
    assert_eq!(place.begin(&offered(Some(40 << 20))).unwrap().1, 0);
}

/// network-field.md kind 22c: what udev or mdadm would assemble is gone before the image comes, wherever a table lists it. Needs root.
#[test]
fn loop_k22_signatures_at_both_ends_go_first() {
    let env = Env::default();
    let size = 64_u64 << 20;
    let (_file, device, _) = disk(size);
    let script = b"label: gpt\nfirst-lba: 34\nstart=34,size=2000\nstart=4096,size=40960\nstart=49152,size=81886\n";
    let mut sfdisk = std::process::Command::new("sfdisk")
        .args(["-q", "--wipe", "never", "--no-reread", "--no-tell-kernel", &format!("/dev/loop{}", device.number)])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    io::Write::write_all(sfdisk.stdin.as_mut().unwrap(), script).unwrap();
    drop(sfdisk.stdin.take());
    sfdisk.wait().unwrap();
    let ends = [(34, 2000), (4096, 40960), (49152, 81886)];
    let marks: Vec<u64> =
        ends.into_iter().flat_map(|(start, sectors)| [start * 512, (start + sectors) * 512 - 8192]).collect();
    for mark in marks.iter().chain(&[size - 8192, size - (128 << 10)]) {
        device.device.write_all_at(b"LABELONE", *mark).unwrap();
    }
    device.device.sync_all().unwrap();
    let seen = block::device(&env, &format!("loop{}", device.number)).unwrap().seen();
    let given = onto(seen, true);
    // As after a cut that has left zeros at the beginning.
    let was = old::on(&device.device, size).unwrap();
    device.device.write_all_at(&[0; HEAD], 0).unwrap();
    assert_eq!(old::beginning_with(was.head.clone(), &device.device, size).places, was.places);
    assert_eq!(was.places.len(), 6, "{:?}", was.places);
    device.device.write_all_at(&was.head, 0).unwrap();
    device.device.sync_all().unwrap();
    let mut place = OntoDisk::prove(&env, &given, String::new()).unwrap();
    let output = place.open(&offered(Some(5 << 20))).unwrap();
    rdlive_sys::blkflush::flush(&device.device).unwrap();
    let bytes = bytes_of(&device.device, 0, size as usize);
    let left: Vec<_> =
        bytes.windows(8).enumerate().filter(|(_, bytes)| bytes == b"LABELONE").map(|(at, _)| at).collect();
    assert!(left.is_empty(), "{left:?}");
    drop(output);
}

/// network-field.md kind 22b. Needs root.
#[test]
fn loop_k22_the_disk_of_a_partition_in_use_is_refused() {
    let env = Env::default();
    let (_file, device, _) = disk(16 << 20);
    blkpg::add_partition(&device.device, 1, 4 << 20, 4 << 20).unwrap();
    let part = block::device(&env, &format!("loop{}p1", device.number)).unwrap().seen();
    let claim = Witness::of_unused(&env, &part).unwrap();
    let seen = block::device(&env, &format!("loop{}", device.number)).unwrap().seen();
    for given in [false, true] {
        let busy = OntoDisk::prove(&env, &onto(seen.clone(), given), String::new()).err().unwrap();
        assert!(busy.code == Code::TargetUnusable && busy.cause.contains("in use"), "{:?}", busy.lines());
    }
    drop(claim);
    blkpg::delete_partition(&device.device, 1).unwrap();
}

/// Needs root.
#[test]
fn loop_t57_what_nobody_gave_away_stays_and_what_is_given_away_goes() {
    let env = Env::default();
    let (_file, device, seen) = disk(16 << 20);
    device.device.write_all_at(b"somebody's", 9 << 20).unwrap();
    device.device.write_all_at(b"beginning", 4096).unwrap();
    device.device.sync_all().unwrap();
    let refused = OntoDisk::prove(&env, &onto(seen.clone(), false), String::new()).err().unwrap();
    assert_eq!(refused.code, Code::TargetHolds);
    assert!(refused.advice.contains("rd.kiwi.live.system.wipe="), "{}", refused.advice);
    let given = onto(seen.clone(), true);
    let mut place = OntoDisk::prove(&env, &given, String::new()).unwrap();
    // Before a server has shown an image, nothing is lost; nor by one that does not fit.
    let small = place.open(&offered(Some(16 << 20))).err().unwrap();
    assert_eq!(small.to_string(), "the image has 16 MiB, and the disk holds 15 MiB");
    assert_eq!(bytes_of(&device.device, 4096, 9), b"beginning");
    let mut output = place.open(&offered(None)).unwrap();
    rdlive_sys::blkflush::flush(&device.device).unwrap();
    assert!(bytes_of(&device.device, 0, HEAD).iter().all(|byte| *byte == 0));
    let full = output.write_at((15 << 20) - 3, b"four").unwrap_err();
    assert!(full.to_string().contains("more than 15 MiB"), "{full}");
    // Somebody uses it.
    let busy = OntoDisk::prove(&env, &given, String::new()).err().unwrap();
    assert!(busy.code == Code::TargetUnusable && busy.cause.contains("in use"), "{:?}", busy.lines());
    assert!(busy.advice.contains("rd.kiwi.live.system="), "{}", busy.advice);
}

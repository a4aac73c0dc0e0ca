//! `updates/` of a medium, copied over an overlay root (dracut-live spec 2.13, B27).

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use rdlive::error::Stop;
use rdlive::plan::Done;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::*;

/// A machine with an overlay root at `/sysroot`, and nothing below `/run/live/updates` yet.
fn with_root(machine: &Machine) -> Executor<'_> {
    let lower = machine.path("run/lower");
    for dir in ["usr/lib", "etc", "opt", "var"] {
        fs::create_dir_all(lower.join(dir)).unwrap();
    }
    for file in ["etc/old", "etc/was-file", "etc/target", "opt/stays"] {
        fs::write(lower.join(file), "of the image").unwrap();
    }
    symlink("usr/lib", lower.join("lib")).unwrap();
    symlink("target", lower.join("etc/link")).unwrap();
    // Leads out of the root, seen from the initrd.
    symlink(machine.path("outside"), lower.join("out")).unwrap();
    symlink("../../../../../..", lower.join("up")).unwrap();
    fs::create_dir_all(machine.path("outside")).unwrap();
    fs::create_dir_all(machine.path("run/live/updates")).unwrap();
    let mut executor = Executor::new(&machine.env, &nothing_to_load);
    executor.perform("assemble", &overlay_steps()).unwrap();
    executor
}

fn copy(executor: &mut Executor<'_>) -> Result<Done, Stop> {
    let step = Step::Updates { from: "/run/live/updates".into(), to: "/sysroot".into(), kept: true };
    executor.perform("assemble", &[step])
}

/// Files with a text, and their directories.
fn lay(top: &Path, files: &[&str]) {
    for file in files {
        fs::create_dir_all(top.join(file).parent().unwrap()).unwrap();
        fs::write(top.join(file), "of the update").unwrap();
    }
}

#[test]
fn b27_files_directories_and_links_go_to_where_they_belong_in_the_root() {
    let machine = Machine::new();
    let mut executor = with_root(&machine);
    let (from, root) = (machine.path("run/live/updates"), machine.path("sysroot"));
    lay(&from, &["etc/new", "etc/old", "etc/link", "lib/module", "deep/er/file", "out/caught", "up/above"]);
    fs::hard_link(from.join("etc/new"), from.join("etc/twin")).unwrap();
    symlink("/run/of-the-system", from.join("etc/fresh")).unwrap();
    fs::set_permissions(from.join("etc/new"), fs::Permissions::from_mode(0o640)).unwrap();
    chown(from.join("etc/new"), Some(7), Some(8)).unwrap();
    fs::set_permissions(from.join("deep"), fs::Permissions::from_mode(0o2700)).unwrap();
    let before = fs::metadata(from.join("etc/new")).unwrap();

    let updated = copy(&mut executor).unwrap().updated.unwrap();
    let text = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    for path in ["etc/new", "etc/twin", "etc/old", "etc/link", "usr/lib/module", "deep/er/file", "above"] {
        assert_eq!(text(path), "of the update", "{path}");
    }
    assert_eq!(text("etc/target"), "of the image", "what a link led to stays");
    assert!(root.join("etc/link").symlink_metadata().unwrap().is_file() && root.join("lib").is_symlink());
    assert_eq!(fs::read_link(root.join("etc/fresh")).unwrap(), Path::new("/run/of-the-system"));
    let new = fs::metadata(root.join("etc/new")).unwrap();
    assert_eq!((new.mode() & 0o7777, new.uid(), new.gid(), new.nlink()), (0o640, 7, 8, 1));
    assert_eq!(new.mtime(), before.mtime());
    assert_eq!(fs::metadata(root.join("deep")).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::read_dir(machine.path("outside")).unwrap().count(), 0, "nothing leaves the root");
    assert!(!machine.path("above").exists() && !Path::new("/above").exists());
    assert_eq!(updated.left_out.len(), 1, "{updated:?}");
    assert!(updated.left_out[0].starts_with("out: "), "{updated:?}");
    assert_eq!((updated.files, updated.bytes), (8, 7 * 13), "{updated:?}");

    // At the next boot all of it is there already.
    assert_eq!(copy(&mut executor).unwrap().updated.unwrap(), updated);
    executor.unwind(0);
    assert_eq!(machine.mounts(), Vec::<String>::new());
}

#[test]
fn what_may_do_harm_or_is_in_the_way_is_left_out_and_named() {
    let machine = Machine::new();
    let mut executor = with_root(&machine);
    let (from, root) = (machine.path("run/live/updates"), machine.path("sysroot"));
    lay(&from, &["bin/su", "etc/was-file/below", "opt", "last"]);
    fs::set_permissions(from.join("bin/su"), fs::Permissions::from_mode(0o6755)).unwrap();
    symlink("/tmp", from.join("var")).unwrap();
    mknodat(CWD, from.join("disk"), FileType::BlockDevice, Mode::RUSR, makedev(7, 0)).unwrap();
    mknodat(CWD, from.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let mut deep = from.join("deep");
    (0..150).for_each(|_| deep.push("d"));
    fs::create_dir_all(&deep).unwrap();

    let updated = copy(&mut executor).unwrap().updated.unwrap();
    let named = |path: &str| updated.left_out.iter().any(|what| what.starts_with(&format!("{path}: ")));
    for path in ["bin/su", "etc/was-file", "opt", "var", "disk", "pipe"] {
        assert!(named(path), "{path}: {updated:?}");
    }
    assert!(updated.left_out.iter().any(|what| what.starts_with("deep/d/d")), "{updated:?}");
    assert_eq!((updated.missing, updated.files), (7, 2), "{updated:?}");
    assert_eq!(fs::metadata(root.join("bin/su")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(fs::read_to_string(root.join("etc/was-file")).unwrap(), "of the image");
    assert!(root.join("opt/stays").exists() && root.join("var").symlink_metadata().unwrap().is_dir());
    assert!(root.join("last").exists());
    for path in ["disk", "pipe", ".rdlive-unfinished", "etc/.rdlive-unfinished"] {
        assert!(root.join(path).symlink_metadata().is_err(), "{path}");
    }
    executor.unwind(0);
}

#[test]
fn what_does_not_fit_or_is_a_link_is_refused_before_anything_is_copied() {
    let machine = Machine::new();
    let mut executor = with_root(&machine);
    let (from, root) = (machine.path("run/live/updates"), machine.path("sysroot"));
    lay(&from, &["first"]);
    // Holes need room, too: the copy has none.
    fs::File::create(from.join("large")).unwrap().set_len(1 << 30).unwrap();
    let stop = copy(&mut executor).unwrap_err();
    assert_eq!(stop.code, Code::Updates);
    assert!(stop.cause.contains("it needs 1.0 GiB") || stop.cause.contains("it needs 1 GiB"), "{stop}");
    assert!(stop.with_advice().contains("rd.live.updates=0") && !root.join("first").exists());

    fs::rename(&from, machine.path("run/live/other")).unwrap();
    symlink("other", &from).unwrap();
    let stop = copy(&mut executor).unwrap_err();
    assert!(stop.cause.contains("is a link") && !root.join("first").exists(), "{stop}");
    executor.unwind(0);
}

/// The area has 8 MiB, of which half is for updates.
#[test]
fn what_is_there_from_an_earlier_boot_needs_no_room() {
    let machine = Machine::new();
    let mut executor = with_root(&machine);
    let (from, root) = (machine.path("run/live/updates"), machine.path("sysroot"));
    lay(&from, &["etc/new"]);
    let large = |byte: u8| fs::write(from.join("large"), vec![byte; 3 << 20]).unwrap();
    large(1);
    symlink("large", from.join("link")).unwrap();
    let first = copy(&mut executor).unwrap().updated.unwrap();
    let before = fs::metadata(root.join("large")).unwrap();

    // Half of what is left is less than the file needs.
    assert_eq!(copy(&mut executor).unwrap().updated.unwrap(), first);
    assert_eq!(fs::metadata(root.join("large")).unwrap().ino(), before.ino(), "it was not written again");
    // What was changed since is replaced.
    fs::write(root.join("etc/new"), "of a person!!").unwrap();
    fs::set_permissions(from.join("large"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(copy(&mut executor).is_err(), "its mode is another one, so it needs room");
    fs::set_permissions(from.join("large"), fs::Permissions::from_mode(before.mode())).unwrap();
    copy(&mut executor).unwrap();
    assert_eq!(fs::read_to_string(root.join("etc/new")).unwrap(), "of the update");

    // Other bytes of the same length and time are another file.
    large(2);
    let time = fs::File::open(from.join("large")).unwrap();
    time.set_modified(before.modified().unwrap()).unwrap();
    let stop = copy(&mut executor).unwrap_err();
    assert!(stop.cause.contains("there is room for"), "{stop}");
    executor.unwind(0);
}

//! The container holds what the tree holds, and the same build gives the same bytes.
#![allow(missing_docs)]

mod tiny;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use tiny::{Tiny, names, run, skip_without_root};

/// A label and a file capability (cap_net_raw).
const ATTRIBUTES: [(&str, &[u8]); 2] = [
    ("user.color", b"blue"),
    ("security.capability", &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
];

/// Files of every kind that packers like to lose.
fn awkward(tiny: &Tiny) {
    let root = tiny.root();
    tiny.file("etc/machine-id", "0123456789abcdef\n");
    tiny.file("etc/ssh/ssh_host_ed25519_key", "secret");
    tiny.file("run/state", "volatile");
    tiny.file("tmp/.hidden", "volatile");
    tiny.file("var/run/keep", "not the top-level run");
    tiny.file("var/cache/apt/archives/x.deb", "package");
    tiny.file("usr/bin/ping", "program");
    tiny.file("usr/share/name with * and 'quotes'", "odd");
    fs::hard_link(root.join("usr/bin/ping"), root.join("usr/bin/ping6")).unwrap();
    let sparse = fs::File::create(root.join("usr/sparse")).unwrap();
    sparse.set_len(8 << 20).unwrap();
    let ping = root.join("usr/bin/ping");
    let script = "mkdir -p srv; mknod srv/node b 7 200; mkfifo srv/pipe; chown 1234:99999 srv/pipe; \
                  chmod 4755 usr/bin/ping; chmod 1777 tmp; ln -s ../etc/os-release usr/link; \
                  touch -d '2001-02-03 04:05:06Z' usr/share etc etc/machine-id";
    for (name, value) in ATTRIBUTES {
        rustix::fs::setxattr(&ping, name, value, rustix::fs::XattrFlags::empty()).unwrap();
    }
    run(Command::new("sh").args(["-ec", script]).current_dir(&root));
}

/// Compares input and mounted container.
fn compare(tiny: &Tiny, at: &Path, kind: &str) {
    let root = tiny.root();
    let (a, b) = (at.join("usr/bin/ping").metadata().unwrap(), at.join("usr/bin/ping6").metadata().unwrap());
    assert_eq!((a.ino(), a.nlink()), (b.ino(), 2), "{kind}: hard link");
    assert_eq!(a.mode() & 0o7777, 0o4755, "{kind}: mode");
    for (name, value) in ATTRIBUTES {
        let mut found = vec![0; 64];
        let count = rustix::fs::getxattr(at.join("usr/bin/ping"), name, &mut found).unwrap_or(0);
        assert_eq!(&found[..count], value, "{kind}: {name}");
    }
    let node = at.join("srv/node").metadata().unwrap();
    assert_eq!((node.mode() & 0o170_000, node.rdev()), (0o060_000, rustix::fs::makedev(7, 200)), "{kind}: node");
    let pipe = at.join("srv/pipe").symlink_metadata().unwrap();
    assert_eq!((pipe.uid(), pipe.gid()), (1234, 99999), "{kind}: owner");
    let sparse = at.join("usr/sparse").metadata().unwrap();
    assert_eq!(sparse.len(), 8 << 20, "{kind}: sparse");
    assert!(sparse.blocks() < 256, "{kind}: the hole takes {} blocks", sparse.blocks());
    for path in ["usr/share", "etc", "etc/machine-id", "usr/bin/ping", "usr/link", "srv", "var"] {
        let time = |root: &Path| root.join(path).symlink_metadata().unwrap().mtime();
        assert_eq!(time(at), time(&root), "{kind}: time of {path:?}");
    }
    assert_eq!(names(&at.join("usr/share")), ["name with * and 'quotes'"], "{kind}");
    assert_eq!(fs::read(at.join("etc/machine-id")).unwrap(), b"", "{kind}: machine-id");
    for dir in ["run", "tmp", "dev", "proc", "sys", "etc/ssh", "var/cache/apt/archives"] {
        assert_eq!(names(&at.join(dir)), Vec::<String>::new(), "{kind}: {dir}");
    }
    assert_eq!(at.join("tmp").metadata().unwrap().mode() & 0o7777, 0o1777, "{kind}: /tmp");
    assert!(at.join("var/run/keep").exists(), "{kind}");
    // The input is as it was.
    assert_eq!(fs::read(root.join("etc/machine-id")).unwrap(), b"0123456789abcdef\n", "{kind}");
    assert_eq!(names(&root.join("run")), ["state"], "{kind}");
}

#[test]
fn b29_b30_root_everything_survives_in_every_kind_of_container() {
    if skip_without_root("b29") {
        return;
    }
    let tiny = Tiny::new();
    awkward(&tiny);
    for (args, nested) in [
        (&[][..], None),
        (&["--erofs"], None),
        (&["--nested", "ext4", "--compression", "lz4"], Some("loop,ro")),
        (&["--nested", "xfs", "--compression", "lz4"], Some("loop,ro,norecovery")),
        (&["--nested", "btrfs", "--compression", "lz4"], Some("loop,ro")),
    ] {
        let iso = tiny.build(args);
        tiny.mounted(&iso, nested, |at| compare(&tiny, at, &format!("{args:?}")));
    }
}

#[test]
fn b30_root_identity_is_kept_on_request() {
    if skip_without_root("b30") {
        return;
    }
    let tiny = Tiny::new();
    awkward(&tiny);
    let iso = tiny.build(&["--keep-identity", "--compression", "lz4"]);
    tiny.mounted(&iso, None, |at| {
        assert_eq!(fs::read(at.join("etc/machine-id")).unwrap(), b"0123456789abcdef\n");
        assert_eq!(names(&at.join("etc/ssh")), ["ssh_host_ed25519_key"]);
        assert_eq!(names(&at.join("run")), Vec::<String>::new());
    });
}

#[test]
fn b49_root_same_input_same_bytes() {
    if skip_without_root("b49") {
        return;
    }
    let build = |stamp: &str, args: &[&str]| {
        let tiny = Tiny::new();
        awkward(&tiny);
        // Another path, other file times.
        run(Command::new("sh")
            .args(["-ec", &format!("find . -exec touch -h -d {stamp} {{}} +")])
            .current_dir(tiny.root()));
        let output = tiny.command(args).env("SOURCE_DATE_EPOCH", "1700000000").output().unwrap();
        assert!(output.status.success(), "{}", tiny::stderr(&output));
        fs::read(tiny.iso()).unwrap()
    };
    for args in [&[][..], &["--erofs"]] {
        let (first, second) = (build("2001-01-01", args), build("2010-10-10", args));
        let difference = first.iter().zip(&second).position(|(a, b)| a != b);
        assert_eq!((first.len(), difference), (second.len(), None), "{args:?}");
    }
}

//! On terminals of which the test holds the other end.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::*;

/// Both ends; the kernel keeps a console open.
fn terminal(env: &Env, name: &str) -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let own = File::options().read(true).write(true).open(&path).unwrap();
    symlink(&path, env.path("dev").join(name)).unwrap();
    (master.into(), own)
}

fn machine(active: &str) -> (tempfile::TempDir, Env) {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::new(dir.path());
    fs::create_dir_all(env.path("dev")).unwrap();
    fs::create_dir_all(env.path(ACTIVE).parent().unwrap()).unwrap();
    fs::write(env.path(ACTIVE), active).unwrap();
    (dir, env)
}

#[test]
fn a_key_on_any_console_is_heard_once_and_each_is_as_before() {
    for which in [0, 1] {
        let (_dir, env) = machine("ttyA ttyB\n");
        let mut ends = [terminal(&env, "ttyA"), terminal(&env, "ttyB")];
        let before: Vec<_> = ends.iter().map(|(_, own)| tcgetattr(own).unwrap().local_modes).collect();
        ends[which].0.write_all(b"too early").unwrap();
        let (sender, heard) = channel();
        let keys = Keys::listen(&env, move || sender.send(()).unwrap()).unwrap();
        assert!(!tcgetattr(&ends[which].1).unwrap().local_modes.contains(LocalModes::ICANON));
        // A line that nobody holds.
        ends[which].0.write_all(&[0, 0xff, 0x80]).unwrap();
        assert_eq!(heard.recv_timeout(Duration::from_millis(200)), Err(RecvTimeoutError::Timeout));
        ends[which].0.write_all(b"x").unwrap();
        heard.recv_timeout(Duration::from_secs(5)).unwrap();
        drop(keys);
        let after: Vec<_> = ends.iter().map(|(_, own)| tcgetattr(own).unwrap().local_modes).collect();
        assert_eq!(before, after);
    }
}

#[test]
fn it_ends_without_a_key_and_where_there_is_no_console() {
    let (_dir, env) = machine("ttyA\n");
    assert!(Keys::listen(&env, || unreachable!()).is_none(), "its node is not there");
    let (master, own) = terminal(&env, "ttyA");
    let before = tcgetattr(&own).unwrap().local_modes;
    drop(Keys::listen(&env, || unreachable!()).unwrap());
    assert_eq!(tcgetattr(&own).unwrap().local_modes, before);
    // A line that is hung up keeps no processor busy and is no key.
    let keys = Keys::listen(&env, || unreachable!()).unwrap();
    drop((master, own));
    drop(keys);
    fs::create_dir_all(env.path(PLYMOUTH).parent().unwrap()).unwrap();
    fs::write(env.path(PLYMOUTH), "7").unwrap();
    let (_master, _own) = terminal(&env, "console");
    assert!(Keys::listen(&env, || unreachable!()).is_none(), "somebody else reads there");
}

//! The teardown at power-off, on real layers. Needs root, mksquashfs and mke2fs; `cargo lab test` provides them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rdlive::config::{Access, TmpfsSize};
use rdlive::env::Env;
use rdlive::exec::Executor;
use rdlive::format;
use rdlive::plan::{Place, Slot, Step};
use rdlive::shutdown::teardown::{Scope, Teardown, TornDown};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount as mount_tmpfs, mount_bind, mount_change, mount_move,
    unmount,
};
use tempfile::TempDir;

/// The layers of a live root, from the medium up to an overlay whose upper directory is on a disk image, and all of them
/// mounted inside of that overlay, as systemd leaves them: nothing can go first.
struct Stack {
    env: Env,
    _dir: TempDir,
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = unmount(self.env.root(), UnmountFlags::DETACH);
    }
}

fn run(program: &str, arguments: &[&str], dir: &Path) {
    let output =
        Command::new(program).args(arguments).current_dir(dir).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

fn nothing_to_load(name: &str) -> Result<(), rdlive::exec::ModuleError> {
    Err(rdlive::exec::ModuleError::Absent(name.to_owned()))
}

fn looped(file: &str, access: Access, into: Slot) -> Step {
    Step::Loop { file: file.into(), access, direct: false, into, found: None }
}

fn mount(slot: Slot, fs: &str, access: Access, at: &str) -> Step {
    Step::Mount { what: Place::Slot(slot), fs: fs.into(), access, options: vec![], at: at.into() }
}

impl Stack {
    fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "loop tests mount and need root: run `cargo lab test` as root");
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("m");
        fs::create_dir(&root).unwrap();
        // Private, as systemd makes all mounts before it goes back.
        mount_tmpfs("rdlive-test", &root, "tmpfs", MountFlags::empty(), None).unwrap();
        mount_change(&root, MountPropagationFlags::PRIVATE).unwrap();
        for name in ["dev", "proc", "sys"] {
            std::os::unix::fs::symlink(Path::new("/").join(name), root.join(name)).unwrap();
        }
        let stack = Self { env: Env::new(&root), _dir: dir };
        stack.make_images();
        stack.build();
        stack
    }

    fn path(&self, path: &str) -> PathBuf {
        self.env.path(path)
    }

    fn make_images(&self) {
        fs::create_dir_all(self.path("root/usr")).unwrap();
        fs::write(self.path("root/usr/mark"), "from the image").unwrap();
        fs::create_dir_all(self.path("in/LiveOS")).unwrap();
        fs::create_dir_all(self.path("medium/LiveOS")).unwrap();
        for (image, from) in [("in/LiveOS/rootfs.img", "root"), ("cow.img", "root")] {
            File::create(self.path(image)).unwrap().set_len(16 << 20).unwrap();
            run("mke2fs", &["-q", "-t", "ext4", "-d", from, image], self.env.root());
        }
        run("mksquashfs", &["in", "medium/LiveOS/squashfs.img", "-quiet", "-no-progress"], self.env.root());
        File::create(self.path("medium.img")).unwrap().set_len(32 << 20).unwrap();
        run("mke2fs", &["-q", "-t", "ext4", "-d", "medium", "medium.img"], self.env.root());
    }

    fn build(&self) {
        let (ro, rw) = (Access::ReadOnly, Access::ReadWrite);
        let steps = [
            Step::Tmpfs { size: TmpfsSize::Bytes(1 << 20), options: vec![], at: "/run".into() },
            looped("/medium.img", ro, Slot::Medium),
            mount(Slot::Medium, "ext4", ro, "/run/live"),
            looped("/run/live/LiveOS/squashfs.img", ro, Slot::Container),
            mount(Slot::Container, "squashfs", ro, "/run/container"),
            looped("/run/container/LiveOS/rootfs.img", ro, Slot::Image),
            mount(Slot::Image, "ext4", ro, "/run/lower"),
            looped("/cow.img", rw, Slot::Cow),
            mount(Slot::Cow, "ext4", rw, "/run/write"),
            Step::Overlay {
                lower: vec!["/run/lower".into()],
                upper: "/run/write/upper".into(),
                work: "/run/write/work".into(),
                options: vec![],
                at: "/oldroot".into(),
            },
        ];
        let mut exec = Executor::new(&self.env, &nothing_to_load);
        exec.perform("assemble", &steps).unwrap_or_else(|stop| panic!("{:?}", stop.lines()));
        fs::write(self.path("oldroot/usr/new"), vec![7; 1 << 20]).unwrap();
        for name in ["oldroot/run", "oldroot/mnt"] {
            fs::create_dir(self.path(name)).unwrap();
        }
        mount_move(self.path("run"), self.path("oldroot/run")).unwrap();
        mount_bind(self.path("oldroot/run/live"), self.path("oldroot/mnt")).unwrap();
        // The boot's own descriptors close here, as they do when the agent ends.
        drop(exec);
    }

    fn tear_down(&self) -> TornDown {
        Teardown::new(&self.env, Scope::below(self.env.root()), Duration::from_secs(20)).run()
    }

    /// The journal of the persistent layer asks for recovery: it was not unmounted.
    fn dirty(&self) -> bool {
        format::identify(&mut File::open(self.path("cow.img")).unwrap()).unwrap().unwrap().dirty
    }

    fn mounts(&self) -> usize {
        let below = format!(" {}/", self.env.root().display());
        fs::read_to_string("/proc/self/mounts").unwrap().lines().filter(|line| line.contains(&below)).count()
    }
}

#[test]
fn loop_h2_every_layer_goes_and_the_persistent_one_ends_clean() {
    let stack = Stack::new();
    assert!(stack.dirty(), "the test would show nothing");
    let outcome = stack.tear_down();
    assert_eq!(outcome.left, Vec::<String>::new());
    assert_eq!(stack.mounts(), 0);
    assert!(!stack.dirty(), "the persistent layer was not unmounted cleanly");
    let position = |what: &str| {
        let at = format!("mount {}", stack.path(what).display());
        outcome.gone.iter().position(|gone| *gone == at).unwrap_or_else(|| panic!("{what}: {:?}", outcome.gone))
    };
    for (first, then) in [
        ("oldroot", "aside/0/write"),
        ("oldroot", "aside/0/lower"),
        ("aside/0/lower", "aside/0/container"),
        ("aside/0/container", "aside/0/live"),
        ("aside/0/live", "aside/0"),
    ] {
        assert!(position(first) < position(then), "{first} before {then}: {:?}", outcome.gone);
    }
    // What was written before is there afterwards.
    run("debugfs", &["-R", "dump /upper/usr/new found", "cow.img"], stack.env.root());
    assert!(fs::read(stack.path("found")).unwrap() == vec![7; 1 << 20]);
}

#[test]
fn loop_what_is_in_use_is_named_in_bounded_time_and_goes_later() {
    let stack = Stack::new();
    let held = File::open(stack.path("oldroot/usr/new")).unwrap();
    let begin = Instant::now();
    let outcome = stack.tear_down();
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let left = outcome.left.join("\n");
    assert!(left.contains("oldroot (overlay)") && left.contains("loop"), "{left}");
    drop(held);
    let outcome = stack.tear_down();
    assert_eq!((outcome.left, stack.mounts()), (vec![], 0));
}

#[test]
fn loop_a_run_that_refuses_programs_lets_this_one_run() {
    use rdlive::shutdown::install;
    use rustix::fs::{Access as Right, access};

    let stack = Stack::new();
    let noexec = MountFlags::NOEXEC | MountFlags::NOSUID | MountFlags::NODEV;
    fs::create_dir_all(stack.path("run")).unwrap();
    mount_tmpfs("rdlive-test", stack.path("run"), "tmpfs", noexec, None).unwrap();
    let program = stack.path("run/initramfs/shutdown");

    install::leave(&stack.env).unwrap();
    assert!(access(&program, Right::EXEC_OK).is_err(), "systemd would not call it: the test would show nothing");
    install::prepare(&stack.env).unwrap();
    install::prepare(&stack.env).unwrap();
    access(&program, Right::EXEC_OK).unwrap();
    let table = fs::read_to_string("/proc/self/mounts").unwrap();
    let dir = format!(" {} ", stack.path("run/initramfs").display());
    let mounts: Vec<_> = table.lines().filter(|line| line.contains(&dir)).collect();
    assert!(mounts.len() == 1 && mounts[0].contains("nosuid,nodev"), "once, and no more rights: {mounts:?}");
    assert_eq!(stack.tear_down().left, Vec::<String>::new());
}

#[test]
fn loop_a_device_that_hangs_does_not_stop_the_power_off() {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::new(dir.path());
    fs::create_dir_all(env.path("sys/block/loop9/loop")).unwrap();
    fs::write(env.path("sys/block/loop9/loop/backing_file"), env.path("file").to_str().unwrap()).unwrap();
    // Whoever opens it waits for ever: a pipe that nobody writes to.
    fs::create_dir(env.path("dev")).unwrap();
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, env.path("dev/loop9"), kind, mode, 0).unwrap();
    let begin = Instant::now();
    let outcome = Teardown::new(&env, Scope::below(dir.path()), Duration::from_millis(300)).run();
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert_eq!(outcome.left, ["loop9"]);
}

//! SELinux labels of a root whose upper directory lies on a tmpfs (field.md K). The host's kernel runs no SELinux: what a policy makes of
//! them is shown in the lab (`labels/`).

use std::os::unix::fs::symlink;

use rdlive::error::Stop;
use rdlive::plan::Done;
use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};

use super::*;

const ATTRIBUTE: &str = "security.selinux";

fn set(at: &Path, label: &str) {
    lsetxattr(at, ATTRIBUTE, label.as_bytes(), XattrFlags::empty()).unwrap();
}

fn label(at: &Path) -> Option<String> {
    let mut label = [0; 64];
    let length = lgetxattr(at, ATTRIBUTE, &mut label).ok()?;
    Some(String::from_utf8_lossy(&label[..length]).into_owned())
}

/// A machine with a root on a tmpfs, over an image with labels, that uses the policy `x`.
fn with_root(machine: &Machine) -> Executor<'_> {
    let lower = machine.path("run/lower");
    for dir in ["etc/selinux/x/policy", "usr/lib", "plain"] {
        fs::create_dir_all(lower.join(dir)).unwrap();
    }
    fs::write(lower.join("etc/passwd"), "of the image").unwrap();
    fs::write(lower.join("etc/selinux/x/policy/policy.33"), "the policy").unwrap();
    fs::write(lower.join("etc/selinux/x/policy/policy.35"), "one of a newer kernel").unwrap();
    fs::write(lower.join("etc/selinux/x/policy/policy.9"), "an old one").unwrap();
    symlink("passwd", lower.join("etc/link")).unwrap();
    for (path, value) in
        [("", "root_t"), ("etc", "etc_t"), ("etc/passwd", "passwd_t"), ("etc/link", "link_t"), ("usr", "usr_t")]
    {
        set(&lower.join(path), value);
    }
    let mut executor = Executor::new(&machine.env, &nothing_to_load);
    executor.perform("assemble", &overlay_steps()).unwrap();
    executor
}

/// The kernel's files, as far as they are needed, with SELinux and what it calls us.
fn running(machine: &Machine, own: &str) {
    for name in ["proc", "sys"] {
        fs::remove_file(machine.path(name)).unwrap();
    }
    for dir in ["proc/self/attr", "sys/fs/selinux"] {
        fs::create_dir_all(machine.path(dir)).unwrap();
    }
    symlink("/proc/self/mountinfo", machine.path("proc/self/mountinfo")).unwrap();
    fs::write(machine.path("proc/self/attr/current"), own).unwrap();
    fs::write(machine.path("sys/fs/selinux/policyvers"), "33").unwrap();
    fs::write(machine.path("sys/fs/selinux/load"), "").unwrap();
}

fn loaded(machine: &Machine) -> String {
    fs::read_to_string(machine.path("sys/fs/selinux/load")).unwrap()
}

fn give(executor: &mut Executor<'_>, policies: &str) -> Result<Done, Stop> {
    executor.perform("assemble", &[step(policies)])
}

fn step(policies: &str) -> Step {
    let lower = ["/run/none", "/run/lower"].map(PathBuf::from);
    Step::Labels { policies: policies.into(), root: "/sysroot".into(), upper: "/run/area/upper".into(), lower }
}

const POLICIES: &str = "/etc/selinux/x/policy";

#[test]
fn what_is_put_into_the_root_is_labelled_like_what_it_stands_in_for() {
    let machine = Machine::new();
    let mut executor = with_root(&machine);
    let (from, root) = (machine.path("run/live/updates"), machine.path("sysroot"));
    for (path, value) in
        [("etc/passwd", "on_the_medium"), ("etc/new", ""), ("etc/link", ""), ("new/er/file", ""), ("plain/file", "")]
    {
        fs::create_dir_all(from.join(path).parent().unwrap()).unwrap();
        fs::write(from.join(path), "of the update").unwrap();
        if !value.is_empty() {
            set(&from.join(path), value);
        }
    }
    let step = Step::Updates { from: "/run/live/updates".into(), to: "/sysroot".into(), kept: true };
    executor.perform("assemble", &[step]).unwrap();
    for (path, expected) in [
        ("", Some("root_t")),
        ("etc", Some("etc_t")),
        ("etc/passwd", Some("passwd_t")),
        ("etc/link", Some("link_t")),
        ("etc/new", Some("etc_t")),
        ("new/er", Some("root_t")),
        ("new/er/file", Some("root_t")),
        // The image says nothing about it.
        ("plain/file", None),
    ] {
        assert_eq!(label(&root.join(path)).as_deref(), expected, "{path}");
    }
    executor.unwind(0);
}

#[test]
fn all_in_the_upper_directory_is_labelled_again_when_the_policy_is_loaded() {
    let machine = Machine::new();
    let mut executor = with_root(&machine);
    let root = machine.path("sysroot");
    fs::create_dir_all(root.join("new/er")).unwrap();
    for file in ["etc/passwd", "etc/new", "new/er/file", "gone"] {
        fs::write(root.join(file), "new").unwrap();
    }
    fs::remove_file(root.join("etc/link")).unwrap();
    fs::remove_file(root.join("gone")).unwrap();
    // What a policy does to a tmpfs.
    let all = ["", "etc", "etc/passwd", "etc/new", "new", "new/er", "new/er/file"];
    for path in all {
        set(&root.join(path), "tmpfs_t");
    }
    running(&machine, "kernel\0");
    give(&mut executor, POLICIES).unwrap();
    assert_eq!(loaded(&machine), "the policy");
    let labels: Vec<_> = all.iter().map(|path| label(&root.join(path)).unwrap()).collect();
    assert_eq!(labels, ["root_t", "etc_t", "passwd_t", "etc_t", "root_t", "root_t", "root_t"]);
    assert_eq!(label(&machine.path("run/lower/usr")).as_deref(), Some("usr_t"));

    // Somebody has loaded one before: dracut's own module, or an attempt of ours.
    running_again(&machine);
    set(&root, "tmpfs_t");
    give(&mut executor, POLICIES).unwrap();
    assert_eq!(loaded(&machine), "");
    assert_eq!(label(&root).as_deref(), Some("root_t"));
    executor.unwind(0);
}

/// Debian 13: its policy is one newer than its kernel, and the real system's library writes it anew.
#[test]
fn a_policy_of_version_34_is_what_a_kernel_for_33_reads() {
    let head =
        |version: u8| [&[0x8c, 0xff, 0x7c, 0xf9, 8, 0, 0, 0][..], b"SE Linux", &[version, 0, 0, 0], b"rest"].concat();
    for (highest, version, expected) in
        [("33", 34, Some(33)), ("34", 34, Some(34)), ("35", 34, Some(34)), ("32", 34, None)]
    {
        let machine = Machine::new();
        let mut executor = with_root(&machine);
        let policies = machine.path("run/lower/etc/selinux/y/policy");
        fs::create_dir_all(&policies).unwrap();
        fs::write(policies.join(format!("policy.{version}")), head(version)).unwrap();
        fs::write(policies.join("policy.36"), "too new").unwrap();
        running(&machine, "kernel");
        fs::write(machine.path("sys/fs/selinux/policyvers"), highest).unwrap();
        let done = give(&mut executor, "/etc/selinux/y/policy");
        assert_eq!(done.is_ok(), expected.is_some(), "{highest}: {done:?}");
        let loaded = fs::read(machine.path("sys/fs/selinux/load")).unwrap();
        assert_eq!(loaded, expected.map_or_else(Vec::new, head), "{highest}");
        executor.unwind(0);
    }
}

fn running_again(machine: &Machine) {
    fs::write(machine.path("proc/self/attr/current"), "u:r:kernel_t\0").unwrap();
    fs::write(machine.path("sys/fs/selinux/load"), "").unwrap();
}

#[test]
fn a_policy_that_cannot_be_loaded_is_named_and_nothing_leaves_the_root() {
    let machine = Machine::new();
    let mut executor = with_root(&machine);
    let lower = machine.path("run/lower");
    for (name, file) in [("new", "policy.35"), ("dir", "policy.33"), ("huge", "policy.33"), ("out", "policy.33")] {
        let dir = lower.join("etc/selinux").join(name);
        fs::create_dir_all(&dir).unwrap();
        match name {
            "dir" => fs::create_dir(dir.join(file)).unwrap(),
            "huge" => fs::File::create(dir.join(file)).unwrap().set_len((64 << 20) + 1).unwrap(),
            // Where it leads to there is one, but not in the root.
            "out" => symlink(machine.path("policy"), dir.join(file)).unwrap(),
            _ => fs::write(dir.join(file), "one of a newer kernel").unwrap(),
        }
    }
    fs::write(machine.path("policy"), "of the initrd").unwrap();
    running(&machine, "kernel");
    for (name, words) in [
        ("none", "/etc/selinux/none: there is no policy that this kernel reads"),
        ("new", "/etc/selinux/new: there is no policy that this kernel reads"),
        ("dir", "/etc/selinux/dir/policy.33: it is no file"),
        ("huge", "/etc/selinux/huge/policy.33: file too large"),
        ("out", "/etc/selinux/out: there is no policy"),
    ] {
        let stop = give(&mut executor, &format!("/etc/selinux/{name}")).unwrap_err();
        assert_eq!(stop.code, Code::Labels, "{name}");
        assert!(stop.cause.contains(words), "{name}: {stop}");
        assert_eq!(loaded(&machine), "", "{name}");
    }
    // As the plan has it, the boot goes on.
    let steps = [Step::either(vec![step("/etc/selinux/new")], vec![], Wanted::Labels)];
    let done = executor.perform("assemble", &steps).unwrap();
    let said = done.given_up.iter().map(ToString::to_string).collect::<String>();
    assert!(said.starts_with("the root has no SELinux labels of its own") && said.contains("RDL-032"), "{said}");
    executor.unwind(0);
}

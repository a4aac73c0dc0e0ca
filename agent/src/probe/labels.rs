//! SELinux: whether the labels of the root outlive the loading of a policy.
//!
//! Until a policy is loaded, a label is an extended attribute like any other. When the kernel gets one, it asks each file system for the labels
//! of all that is in use, and a tmpfs says one and the same for everything (`fs_use_trans`); what was made there later keeps its own. The
//! upper directory of an overlay is in use always.

use std::path::{Path, PathBuf};

use rustix::fs::{lgetxattr, statfs};

use crate::env::Env;
use crate::foreign;
use crate::format::lossless;

/// The name of the attribute.
pub const ATTRIBUTE: &str = "security.selinux";
/// Where the kernel takes policies; a directory of that name is there if, and only if, it runs SELinux.
pub const SELINUX: &str = "sys/fs/selinux";
/// The settings of the system, with a directory for each policy beside them.
const SETTINGS: &str = "/etc/selinux";
/// Bytes that are read of the settings; those of distributions have 700.
const SETTINGS_LIMIT: u64 = 64 << 10;
/// Bytes that are read of a label.
const MAX_LABEL: usize = 4096;
/// `f_type` of a tmpfs in statfs(2).
const TMPFS: i64 = 0x0102_1994;

/// Where the policies of a root are, in it, if the kernel runs SELinux, the root's system uses it, and the labels of the root are lost
/// when it does: the image, `lower`, has some, and the upper directory lies on a tmpfs.
#[must_use]
pub fn policies(env: &Env, root: &Path, upper: &Path, lower: &Path) -> Option<PathBuf> {
    if !env.path(SELINUX).exists() {
        return None;
    }
    let forgets = statfs(env.path(upper)).is_ok_and(|stat| stat.f_type == TMPFS);
    let text = foreign::read_inside(&env.path(root), &Path::new(SETTINGS).join("config"), SETTINGS_LIMIT).ok()?;
    let policies = Path::new(SETTINGS).join(used(&lossless(&text))?).join("policy");
    // It may be a link to the medium; with nothing behind it, it is followed.
    (forgets && label(&env.path(lower).join("")).is_some()).then_some(policies)
}

/// Which policy a system uses, as its settings say (selinux_config(5)); `None` where it uses none.
fn used(settings: &str) -> Option<&str> {
    let value =
        |name| settings.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('=')).map(str::trim);
    let off = value("SELINUX").is_some_and(|mode| mode.eq_ignore_ascii_case("disabled"));
    (!off).then(|| value("SELINUXTYPE").filter(|name| !name.is_empty()).unwrap_or("targeted"))
}

/// Whether a policy is loaded: until then the kernel calls everybody by this name.
#[must_use]
pub fn is_loaded(env: &Env) -> bool {
    env.text("proc/self/attr/current").is_some_and(|own| own.trim_end_matches('\0') != "kernel")
}

/// The label of what is at a path, the last part not followed.
#[must_use]
pub fn label(path: &Path) -> Option<Vec<u8>> {
    let mut value = vec![0; MAX_LABEL];
    let length = lgetxattr(path, ATTRIBUTE, &mut value[..]).ok()?;
    value.truncate(length);
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_settings_say_which_policy_is_used() {
        for (settings, expected) in [
            ("SELINUX=enforcing\nSELINUXTYPE=default\n", Some("default")),
            ("# SELINUX=disabled\n\n SELINUX=permissive \nSELINUXTYPE= mls \n", Some("mls")),
            ("SELINUX=Disabled\nSELINUXTYPE=default\n", None),
            ("SELINUXTYPE=default\nSELINUX=disabled", None),
            // As libselinux: what is not said is `targeted`, and what counts as a mode is the business of who sets it.
            ("SELINUX=enforcing\n", Some("targeted")),
            ("SELINUX=enforcing\nSELINUXTYPE=\n", Some("targeted")),
            ("SELINUX=maybe\nSETLOCALDEFS=0\n", Some("targeted")),
            ("", Some("targeted")),
        ] {
            assert_eq!(used(settings), expected, "{settings:?}");
        }
    }

    #[test]
    fn before_a_policy_is_loaded_everybody_is_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        assert!(!is_loaded(&env));
        fs::create_dir_all(dir.path().join("proc/self/attr")).unwrap();
        for (own, expected) in [("kernel\0", false), ("kernel", false), ("system_u:system_r:kernel_t:s0\0", true)] {
            fs::write(dir.path().join("proc/self/attr/current"), own).unwrap();
            assert_eq!(is_loaded(&env), expected, "{own}");
        }
    }

    /// A machine whose kernel runs SELinux, with an image that uses it below an overlay.
    fn machine() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for path in ["sys/fs/selinux", "sysroot/etc/selinux", "lower"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        fs::write(at("sysroot/etc/selinux/config"), "SELINUX=enforcing\nSELINUXTYPE=x\n").unwrap();
        dir
    }

    fn found(dir: &tempfile::TempDir) -> Option<PathBuf> {
        policies(&Env::new(dir.path()), Path::new("/sysroot"), Path::new("/upper"), Path::new("/lower"))
    }

    fn set_label(at: &Path, value: &str) -> bool {
        // Nobody but root may.
        rustix::fs::lsetxattr(at, ATTRIBUTE, value.as_bytes(), rustix::fs::XattrFlags::empty()).is_ok()
    }

    #[test]
    fn labels_are_lost_on_a_tmpfs_and_where_the_image_has_some() {
        let tmpfs = tempfile::tempdir_in("/dev/shm").unwrap();
        let dir = machine();
        symlink(tmpfs.path(), dir.path().join("upper")).unwrap();
        assert_eq!(found(&dir), None, "the image has no labels");
        if !set_label(&dir.path().join("lower"), "u:object_r:root_t") {
            return;
        }
        let all = Some(PathBuf::from("/etc/selinux/x/policy"));
        assert_eq!(found(&dir), all);
        for (gone, what) in [
            ("sys/fs/selinux", "the kernel does not run SELinux"),
            ("sysroot/etc/selinux/config", "the image does not use it"),
            ("upper", "the root is no overlay"),
        ] {
            let away = dir.path().join("away");
            fs::rename(dir.path().join(gone), &away).unwrap();
            assert_eq!(found(&dir), None, "{what}");
            fs::rename(&away, dir.path().join(gone)).unwrap();
        }
        assert_eq!(found(&dir), all);
        fs::write(dir.path().join("sysroot/etc/selinux/config"), "SELINUX=disabled\n").unwrap();
        assert_eq!(found(&dir), None, "the image has switched it off");
    }

    #[test]
    fn labels_outlive_a_policy_on_a_disk() {
        let program = std::env::current_exe().unwrap();
        let disk = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        let dir = machine();
        symlink(disk.path(), dir.path().join("upper")).unwrap();
        if statfs(disk.path()).is_ok_and(|stat| stat.f_type != TMPFS) {
            set_label(&dir.path().join("lower"), "u:object_r:root_t");
            assert_eq!(found(&dir), None);
        }
    }
}

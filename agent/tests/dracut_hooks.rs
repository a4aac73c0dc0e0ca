//! The stubs of the dracut module, sourced by a real shell with stand-ins for what dracut and the agent provide.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dracut-module/50rdlive")
}

/// Sources a stub after `before`, with an agent that exits with `agent`, and returns what `after` prints.
fn source(stub: &str, agent: i32, before: &str, after: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("rdlive");
    fs::write(&bin, format!("#!/bin/sh\necho \"agent $*\" >> {}/calls\nexit {agent}\n", dir.path().display())).unwrap();
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("modprobe"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(dir.path().join("modprobe"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(dir.path().join("hooks/initqueue/finished")).unwrap();
    let script = format!(
        "set -u\nPATH={0}:$PATH hookdir={0}/hooks NEWROOT=/sysroot DRACUT_SYSTEMD= rootok=\n\
         getargbool() {{ return 1; }}\n{before}\n. {1}\n{after}\n",
        dir.path().display(),
        module().join(stub).display(),
    );
    let output = Command::new("sh").arg("-c").arg(&script).output().unwrap();
    assert!(output.stderr.is_empty(), "{stub}: {}", String::from_utf8_lossy(&output.stderr));
    (dir, String::from_utf8(output.stdout).unwrap())
}

const SAY: &str = "echo \"root=$root rootok=$rootok\"; ls $hookdir/initqueue/finished";

#[test]
fn claim_takes_a_live_root_and_its_wait() {
    for (root, file) in [
        ("live:CDLABEL=x", None),
        ("block:/dev/sda1", Some(r"devexists-\x2fdev\x2fsda1.sh")),
        (r"block:/dev/disk/by-label/My\x20Live", Some(r"devexists-\x2fdev\x2fdisk\x2fby-label\x2fMy\x20Live.sh")),
    ] {
        let make = file.map_or(String::new(), |file| format!("touch \"$hookdir/initqueue/finished/\"'{file}'"));
        let before = format!("root='{root}'\n{make}\ntouch $hookdir/initqueue/finished/devexists-other.sh");
        let (_dir, said) = source("rdlive-claim.sh", 0, &before, SAY);
        assert_eq!(said, "root=rdlive rootok=1\ndevexists-other.sh\n", "{root}");
    }
}

/// Whoever opens LVM does so in dracut's main loop, which goes on for a while then.
#[test]
fn claim_keeps_the_main_loop_going_where_dracut_is_to_open_all() {
    let before = "root=live:CDLABEL=x\ngetargbool() { [ \"$2\" = rd.auto ]; }";
    let goes_on = "( main_loop=0; . $hookdir/initqueue/finished/rdlive.sh ) || echo on; \
                   ( main_loop=1; . $hookdir/initqueue/finished/rdlive.sh ) && echo over";
    let (_dir, said) = source("rdlive-claim.sh", 0, before, &format!("{SAY}; {goes_on}"));
    assert_eq!(said, "root=rdlive rootok=1\nrdlive.sh\non\nover\n");
}

#[test]
fn claim_leaves_an_ordinary_root_alone() {
    let before = "root=block:/dev/sda1\ntouch \"$hookdir/initqueue/finished/\"'devexists-\\x2fdev\\x2fsda1.sh'";
    let (_dir, said) = source("rdlive-claim.sh", 1, before, SAY);
    assert_eq!(said, "root=block:/dev/sda1 rootok=\ndevexists-\\x2fdev\\x2fsda1.sh\n");
}

#[test]
fn boot_runs_once_for_a_claimed_root_and_asks_for_help_when_it_fails() {
    let helpers =
        |mounted: i32| format!("ismounted() {{ return {mounted}; }}\nemergency_shell() {{ echo \"emergency $*\"; }}");
    for (root, mounted, agent, expected) in [
        ("rdlive", 1, 0, ""),
        ("rdlive", 1, 1, "emergency The live root could not be mounted. Leave this shell to try again.\n"),
        ("rdlive", 0, 1, ""),
        ("block:/dev/sda1", 1, 1, ""),
    ] {
        let before = format!("root={root}\n{}", helpers(mounted));
        let (dir, said) = source("rdlive-boot.sh", agent, &before, "");
        assert_eq!(said, expected, "{root} mounted={mounted} agent={agent}");
        let called = dir.path().join("calls").exists();
        assert_eq!(called, root == "rdlive" && mounted == 1, "{root} mounted={mounted}");
    }
}

/// field.md K: what is done after a policy is loaded is done under it, so this is the last; only a kernel that runs SELinux needs it.
#[test]
fn labels_are_given_by_a_kernel_that_runs_selinux() {
    let (dir, said) = source("rdlive-label.sh", 0, "", "");
    let calls = fs::read_to_string(dir.path().join("calls")).unwrap_or_default();
    let expected = if Path::new("/sys/fs/selinux").is_dir() { "agent boot --labels --sysroot /sysroot\n" } else { "" };
    assert_eq!((calls.as_str(), said.as_str()), (expected, ""));
}

/// dracut-live C22: the hook of an initrd without systemd. Whether an overlay was asked for is the agent's to know.
#[test]
fn c22_an_ordinary_root_is_covered_when_it_has_been_mounted() {
    let helpers =
        |mounted: i32| format!("ismounted() {{ return {mounted}; }}\nemergency_shell() {{ echo \"emergency $*\"; }}");
    for (root, mounted, agent, expected) in [
        ("block:/dev/sda1", 0, 0, ""),
        (
            "block:/dev/sda1",
            0,
            1,
            "emergency The overlay over the root could not be made. Leave this shell to boot without it.\n",
        ),
        ("block:/dev/sda1", 1, 1, ""),
        ("rdlive", 0, 1, ""),
    ] {
        let before = format!("root={root}\n{}", helpers(mounted));
        let (dir, said) = source("rdlive-overlay.sh", agent, &before, "");
        assert_eq!(said, expected, "{root} mounted={mounted} agent={agent}");
        let calls = fs::read_to_string(dir.path().join("calls")).unwrap_or_default();
        let expected = if root != "rdlive" && mounted == 0 { "agent boot --sysroot /sysroot\n" } else { "" };
        assert_eq!(calls, expected, "{root} mounted={mounted}");
    }
}

/// dracut-live H1: dracut sources the hook up to 41 times if it fails, and runs the hooks of other modules after it.
#[test]
fn h1_the_power_off_hook_says_how_and_never_fails() {
    for agent in [0, 1] {
        let (dir, said) = source("rdlive-shutdown.sh", agent, "ACTION=reboot", "echo \"status $?\"");
        assert_eq!(said, "status 0\n", "agent={agent}");
        let calls = fs::read_to_string(dir.path().join("calls")).unwrap();
        assert_eq!(calls, "agent teardown reboot\n", "agent={agent}");
    }
}

/// What dracut provides to `install()`, and a module of another name (`included`) of which `files` are there.
fn install_beside(included: &str, files: &[&str]) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    let other = dir.path().join(format!("base/modules.d/90{included}"));
    fs::create_dir_all(&other).unwrap();
    files.iter().for_each(|file| fs::write(other.join(file), "").unwrap());
    fs::write(dir.path().join("agent"), "").unwrap();
    let script = format!(
        "set -u\ninitdir={at}/initrd dracutbasedir={at}/base RDLIVE_AGENT={at}/agent moddir={module}\n\
         dracut_module_included() {{ [[ $1 = {included} ]]; }}\n\
         dfatal() {{ echo \"$*\"; }}\ndwarn() {{ :; }}\ndinfo() {{ :; }}\nfind_binary() {{ return 1; }}\n\
         for name in inst_multiple inst_hook inst_libdir_file inst_simple; do eval \"$name() {{ :; }}\"; done\n\
         . {module}/module-setup.sh\ninstall\n",
        module = module().display(),
    );
    let output = Command::new("bash").arg("-c").arg(&script).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let installed = dir.path().join("initrd/usr/bin/rdlive").exists();
    assert_eq!(installed, output.status.success(), "{included} {files:?}");
    (installed, String::from_utf8(output.stdout).unwrap())
}

/// Users ask for this module by the names of those that it stands for. An original beside it would answer to the same kargs.
#[test]
fn an_original_is_refused_and_another_name_of_ours_is_not() {
    for (name, file) in [
        ("dmsquash-live", "dmsquash-live-root.sh"),
        ("dmsquash-live-autooverlay", "create-overlay.sh"),
        ("kiwi-live", "parse-kiwi-live.sh"),
        ("livenet", "livenetroot.sh"),
        ("overlayfs", "mount-overlayfs.sh"),
        ("overlayfs-crypt", "prepare-overlayfs-crypt.sh"),
    ] {
        let (installed, said) = install_beside(name, &["module-setup.sh", file]);
        assert!(!installed && said.contains(&format!("(use --omit {name})")), "{name}: {said}");
        assert_eq!(install_beside(name, &["module-setup.sh"]), (true, String::new()), "{name}");
    }
}

/// What is omitted by the configuration is told while the initrd is made, and not by a boot that fails.
#[test]
fn a_driver_that_is_omitted_and_no_medium_boots_without_is_told() {
    // As dracut passes it to modules: expressions, whole names between them.
    for (omitted, expected) in [
        ("", vec![]),
        ("^floppy$|^loopback$", vec![]),
        ("^floppy$|^overlay$", vec!["overlay"]),
        ("^loop.*$|^isofs$|^squashfs$", vec!["loop", "squashfs", "isofs"]),
    ] {
        let script = format!(
            "set -eu\nomit_drivers='{omitted}'; instmods() {{ :; }}\nfind_binary() {{ return 1; }}\n\
             dwarn() {{ echo \"$*\"; }}\n. {}/module-setup.sh\ninstallkernel\n",
            module().display()
        );
        let output = Command::new("bash").arg("-c").arg(&script).output().unwrap();
        assert!(output.status.success(), "{omitted}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        let told: Vec<_> = said.lines().filter_map(|line| line.split(" leaves ").nth(1)?.split(' ').next()).collect();
        assert_eq!(told, expected, "{omitted}: {said}");
    }
}

/// SD-11: https needs the system's CA certificates, which each distribution keeps elsewhere.
#[test]
fn sd_11_the_systems_ca_certificates_are_installed() {
    for (place, expected) in [
        ("/etc/ssl/certs/ca-certificates.crt", true),
        ("/etc/pki/tls/certs/ca-bundle.crt", true),
        ("/etc/ssl/ca-bundle.pem", true),
        ("/var/lib/ca-certificates/ca-bundle.pem", true),
        ("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", true),
        ("/somewhere/else.pem", false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(&place[1..]);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "-----BEGIN CERTIFICATE-----\n").unwrap();
        // An empty one is what a package's script leaves that has not run yet.
        let earlier = dir.path().join("etc/ssl/certs/ca-certificates.crt");
        if place != "/etc/ssl/certs/ca-certificates.crt" {
            fs::create_dir_all(earlier.parent().unwrap()).unwrap();
            fs::write(earlier, "").unwrap();
        }
        let script = format!(
            "set -eu\ndracutsysrootdir={at} initdir={at}/initrd RDLIVE_AGENT=/bin/true moddir={module}\n\
             for name in inst_multiple inst_hook inst_libdir_file; do eval \"$name() {{ :; }}\"; done\n\
             dracut_module_included() {{ return 1; }}\nfind_binary() {{ return 1; }}\ninst_simple() {{ echo \"in $*\"; }}\n\
             dinfo() {{ echo \"info $*\"; }}\ndwarn() {{ echo \"warning $*\"; }}\n. {module}/module-setup.sh\n\
             area_program() {{ :; }}\ninstall\n",
            at = dir.path().display(),
            module = module().display()
        );
        let output = Command::new("bash").arg("-c").arg(&script).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let wanted = match expected {
            true => format!("in {place}\ninfo rdlive: {place} for https, 28 bytes\n"),
            false => "info rdlive: no CA certificates here, so https will need rd.live.ca= (install ca-certificates and run dracut again)\n".into(),
        };
        assert_eq!(
            (said, output.status.success()),
            (wanted, true),
            "{place}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn module_setup_is_valid_bash_and_the_unit_starts_what_is_installed() {
    let setup = module().join("module-setup.sh");
    assert!(Command::new("bash").arg("-n").arg(&setup).status().unwrap().success());
    let setup = fs::read_to_string(setup).unwrap();
    for name in ["rdlive.service", "rdlive-overlay.service"] {
        let unit = fs::read_to_string(module().join(name)).unwrap();
        assert!(unit.contains("\nExecStart=/usr/bin/rdlive boot --sysroot /sysroot\n"), "{unit}");
    }
    assert!(setup.contains("\"$initdir/usr/bin/rdlive\""), "the agent is installed elsewhere");
    for entry in fs::read_dir(module()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "module-setup.sh" || setup.contains(&name), "{name} is not installed");
    }
}

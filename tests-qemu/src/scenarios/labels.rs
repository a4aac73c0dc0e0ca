//! SELinux labels of the root when a policy is loaded (kind K of the cases from the field). The kernel of user-mode Linux runs SELinux, and
//! Debian's does with `security=selinux`; the policy is a small one of our own, and the real init loads it as systemd does.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::guest::Tree;
use crate::machine::{Bus, Need};
use crate::medium::*;
use crate::mode::Mode;

/// The root, what `updates/` put into it, and the directories that it lies in.
const ROOT: &str = "u:object_r:root_t";
const ETC: &str = "u:object_r:etc_t";
const MARKER: &str = "u:object_r:marker_t";

/// Labels on a tree, and the policy that knows them.
const LABELLED: &str = concat!(
    "conf=$(mktemp) policy=$(mktemp) settings=$(mktemp)\ncat > $conf << 'END'\n",
    include_str!("labels/policy.conf"),
    r#"END
    checkpolicy -U allow -c 30 -o $policy $conf >&2
    printf 'SELINUX=enforcing\nSELINUXTYPE=lab\n' > $settings
    debugfs -w -f /dev/stdin "$1" >&2 << END
mkdir /etc/selinux
mkdir /etc/selinux/lab
mkdir /etc/selinux/lab/policy
write $policy /etc/selinux/lab/policy/policy.30
write $settings /etc/selinux/config
ea_set / security.selinux u:object_r:root_t
ea_set /etc security.selinux u:object_r:etc_t
ea_set /etc/lab-marker security.selinux u:object_r:marker_t
END
    rm $conf $policy $settings
    "#
);
/// The policy lies where its settings do not say.
const MOVED: &str = r#"debugfs -w -f /dev/stdin "$1" >&2 << END
mkdir /etc/other
ln /etc/selinux/lab/policy/policy.30 /etc/other/policy.30
unlink /etc/selinux/lab/policy/policy.30
END
"#;
/// The policy ends in its middle; it is whole in another place.
const CUT: &str = r#"
    part=$(mktemp); debugfs -R "dump /etc/other/policy.30 $part" "$1" >&2; truncate -s 1000 $part
    debugfs -w -R "write $part /etc/selinux/lab/policy/policy.30" "$1" >&2; rm $part
"#;

/// A hook of the initrd loads the policy.
const LOADED_BEFORE: &str = r#"
    mkdir -p var/lib/dracut/hooks/pre-pivot
    cat > var/lib/dracut/hooks/pre-pivot/50-lab.sh << 'END'
mount -t selinuxfs selinuxfs /sys/fs/selinux
cat "$NEWROOT/etc/selinux/lab/policy/policy.30" > /sys/fs/selinux/load
umount /sys/fs/selinux
END
"#;

/// The real init loads the policy again.
const LOAD: &str = "security=selinux selinux=1 lab.policy=/etc/selinux/lab/policy/policy.30";
const LOAD_OTHER: &str = "security=selinux selinux=1 lab.policy=/etc/other/policy.30";

fn labelled() -> Recipe {
    changed(image(Fs::Ext4), LABELLED)
}

fn iso_of(image: Recipe) -> Recipe {
    let files = vec![
        ("LiveOS/squashfs.img", folder(Fs::Squashfs("zstd"), "", vec![("LiveOS/rootfs.img", image)])),
        ("updates/etc/lab-marker", Recipe::Text("updated")),
        ("updates/etc/fresh", Recipe::Text("of the update")),
        ("updates/new/fresh", Recipe::Text("of the update")),
    ];
    folder(Fs::Iso, "ISO", files)
}

/// All is labelled as the image has it, and what is new as its directory is.
fn has_labels(boot: Boot) -> Boot {
    boot.kargs(LOAD)
        .expect(marker("updated"))
        .expect(label_is("/", ROOT))
        .expect(label_is("/etc", ETC))
        .expect(label_is("/etc/lab-marker", MARKER))
        .expect(label_is("/etc/fresh", ETC))
        .expect(label_is("/new", ROOT))
        .expect(label_is("/new/fresh", ROOT))
        .expect(no_fallbacks())
}

/// The same, because the agent has loaded the policy.
fn loads(boot: Boot) -> Boot {
    has_labels(boot)
        .expect(overlay_root())
        .expect(report_left_says("labels of /sysroot by the SELinux policy in its /etc/selinux/lab/policy"))
}

/// A Debian system with the policy of its distribution, enforcing, which says how it is.
const SYSTEM: &str = r#"
    mkdir -p "$1"/etc/{selinux,systemd/system/lab-report.service.d} "$1/usr/local/sbin"
    printf 'SELINUX=enforcing\nSELINUXTYPE=default\n' > "$1/etc/selinux/config"
    cat > "$1/usr/local/sbin/lab-labels" << 'END'
#!/bin/sh
exec > /run/lab-labels 2>&1
getenforce
stat -c %C /
systemctl is-active systemd-journald
systemctl --failed --no-legend --plain
END
    chmod 755 "$1/usr/local/sbin/lab-labels"
    printf '[Unit]\nAfter=multi-user.target\n[Service]\nExecStartPre=/usr/local/sbin/lab-labels\n' \
        > "$1/etc/systemd/system/lab-report.service.d/labels.conf"
"#;
const SETFILES: &str = r#"chroot "$1" setfiles -F /etc/selinux/default/contexts/files/file_contexts /"#;
const SAID: &str = "Enforcing\nsystem_u:object_r:root_t:s0\nactive";

fn debian() -> Boot {
    let packages = "selinux-policy-default selinux-utils policycoreutils";
    let iso = Recipe::Built {
        tree: Tree::Trixie,
        over: Over { packages, script: SYSTEM, whole: SETFILES, network: false },
        args: ["--volume-id=ISO", "--profile=minimal", "--compression-level=1"].map(str::to_owned).to_vec(),
    };
    let boot = Boot::from(iso).memory(1536).needs(Need::DistributionKernel).deadline(600);
    let boot = boot.kargs("security=selinux selinux=1 enforcing=1").expect(overlay_root());
    boot.expect(file_is("/run/lab-labels", SAID)).expect(no_fallbacks())
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let boot = || Boot::from(iso_of(labelled()));
    let mut list = Vec::new();
    for (name, mode, kargs) in [
        ("native", Mode::Native, ""),
        ("native, enforcing", Mode::Native, "enforcing=1"),
        ("dracut 106, enforcing", Mode::Dracut106, "enforcing=1"),
        ("dracut 106 without systemd", Mode::Dracut106Shell, ""),
        ("dracut 059", Mode::Dracut059, ""),
    ] {
        list.push(scenario(
            format!("labels/K a policy leaves the root its labels, {name}"),
            loads(boot().mode(mode).kargs(kargs)),
        ));
    }
    // As dracut's own selinux module does; what it runs for that is not in the tiny tree.
    list.push(scenario(
        "labels/K the initrd has loaded the policy before us, dracut 106 without systemd",
        loads(boot().mode(Mode::Dracut106Shell).over_initrd(LOADED_BEFORE)),
    ));
    let nothing = |boot: Boot| boot.expect(report_lacks("SELinux"));
    list.push(scenario(
        "labels/K a device-mapper root keeps its labels",
        nothing(has_labels(boot().root("root=live:CDLABEL=ISO"))).expect(mapped_root()),
    ));
    for fs in [Fs::Ext4, Fs::Xfs, Fs::Btrfs] {
        let place = Recipe::Partition(Box::new(folder(fs, "P", Vec::new())));
        let kept = boot().and(place, Bus::Disk).mode(Mode::NativeWrite).kargs("rd.overlay=LABEL=P");
        let kept = nothing(has_labels(kept)).expect(persistence("named"));
        list.push(scenario(format!("labels/K {fs:?} keeps the labels of changes"), kept));
    }
    let unusable = |image: Recipe, words: &'static str| {
        let boot = Boot::from(iso_of(image)).kargs(LOAD_OTHER).expect(overlay_root()).expect(marker("updated"));
        boot.expect(report_says("RDL-032")).expect(report_says(words)).expect(console_says("RDL-032"))
    };
    let moved = || changed(labelled(), MOVED);
    list.push(scenario(
        "labels/K an image without the policy that it names boots, and the root has the label of a tmpfs",
        unusable(moved(), "/etc/selinux/lab/policy: there is no policy that this kernel reads")
            .expect(label_is("/", "u:object_r:tmpfs_t")),
    ));
    list.push(scenario(
        "labels/K a policy that is cut off is refused by the kernel in its own words",
        unusable(changed(moved(), CUT), "SELinux: ").expect(label_is("/", "u:object_r:tmpfs_t")),
    ));
    for (name, mode) in [("native", Mode::Native), ("dracut 106", Mode::Dracut106)] {
        let row = scenario(format!("labels/K Debian with its policy enforcing, {name}"), debian().mode(mode));
        list.push(row.with_all());
    }
    list
}

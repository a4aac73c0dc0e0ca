//! AppArmor on the live root (kind Q of the cases from the field): its rules are paths, and overlayfs has more than one for a file.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::guest::Tree;
use crate::machine::Need;
use crate::medium::*;

/// A busybox with a path of its own may read one file and use one directory, both in the image, and no path is attached to the root (`attach_disconnected`).
/// It is asked for what it may do and for what it may not, in the image's layer and, after the first write, in that of the changes.
const PROFILE: &str = r#"
    mkdir -p "$1"/etc/{apparmor.d,lab-dir,systemd/system/{lab-report,apparmor}.service.d} "$1"/usr/local/{bin,sbin}
    cp "$2/usr/bin/busybox" "$1/usr/local/bin/"
    # Without the hundred profiles of the package, which take half a minute.
    printf '[Service]\nExecStart=\nExecStart=/usr/sbin/apparmor_parser --replace /etc/apparmor.d/lab\n' \
        > "$1/etc/systemd/system/apparmor.service.d/one.conf"
    echo allowed > "$1/etc/lab-allowed"; echo other > "$1/etc/lab-other"; echo old > "$1/etc/lab-dir/old"
    cat > "$1/etc/apparmor.d/lab" << 'END'
abi <abi/4.0>,
profile lab /usr/local/bin/busybox {
  /usr/local/bin/busybox mr,
  /etc/lab-allowed r,
  /etc/lab-dir/ r,
  /etc/lab-dir/* rw,
  /run/lab-confined w,
}
END
    cat > "$1/usr/local/sbin/lab-confined" << 'END'
#!/bin/sh
exec > /run/lab-confined 2> /dev/null
b=/usr/local/bin/busybox
grep '^lab ' /sys/kernel/security/apparmor/profiles
$b cat /etc/lab-allowed
$b cat /etc/lab-other || echo denied
$b ls /etc/lab-dir
$b dd if=/etc/lab-allowed of=/etc/lab-dir/old
$b touch /etc/lab-dir/new
$b touch /etc/lab-new || echo denied
$b ls /etc/lab-dir
$b cat /etc/lab-dir/old
dmesg | sed -n 's/.*apparmor="DENIED".* profile="lab" name="\([^"]*\)".*/DENIED \1/p' | sort -u
END
    chmod 755 "$1/usr/local/sbin/lab-confined"
    printf '[Unit]\nAfter=multi-user.target\n[Service]\nExecStartPre=/usr/local/sbin/lab-confined\n' \
        > "$1/etc/systemd/system/lab-report.service.d/confined.conf"
"#;

/// What it says.
const SAID: &str =
    "lab (enforce)\nallowed\ndenied\nold\ndenied\nnew\nold\nallowed\nDENIED /etc/lab-new\nDENIED /etc/lab-other";

/// What takes a third of the processor time of such a boot and has no part in it: the coldplug of all devices, and logins.
const WITHOUT: &str = "systemd.mask=systemd-udevd.service systemd.mask=systemd-udev-trigger.service systemd.mask=dbus.service \
                       systemd.mask=systemd-logind.service systemd.mask=getty.target";

/// All of them.
pub fn all() -> Vec<Scenario> {
    let iso = Recipe::Built {
        tree: Tree::Trixie,
        over: Over { packages: "apparmor", script: PROFILE, ..Over::default() },
        args: ["--volume-id=ISO", "--profile=minimal", "--compression-level=1"].map(str::to_owned).to_vec(),
    };
    vec![scenario(
        "confined/Q AppArmor enforces a profile on the live root",
        Boot::from(iso)
            .memory(1536)
            // User-mode Linux has no AppArmor.
            .needs(Need::DistributionKernel)
            .deadline(420)
            .kargs(WITHOUT)
            .expect(overlay_root())
            .expect(file_is("/run/lab-confined", SAID)),
    )]
}

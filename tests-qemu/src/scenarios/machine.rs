//! Trees that still know the machine they came from (kind H of the cases from the field).

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::guest::Tree;
use crate::medium::*;

/// What an installed system names of its machine. What is left out must not be missed, and what is no machine's must stay.
const OF_A_MACHINE: &str = r#"
    mkdir -p "$1"/etc/{initramfs-tools/conf.d,systemd/system/{multi-user.target.wants,local-fs.target.requires,lab-report.service.d}}
    mkdir -p "$1"/{boot/efi,data,opt/share,srv/old,srv/shown,srv/changes,srv/work,vault,etc/zfs}
    cat > "$1/etc/fstab" << 'END'
# /etc/fstab: static file system information.
UUID=3e6be9de-8139-4a9e-9106-a43f08d823a6 / ext4 errors=remount-ro 0 1
UUID=2B1C-9A07 /boot/efi vfat umask=0077 0 1
UUID=7f2c1a80-43a5-4d57-8c1c-5a2a3c0e9b11 none swap sw 0 0
/swapfile none swap sw 0 0
LABEL=DATA /data ext4 defaults,nofail 0 2
/dev/mapper/vault /vault ext4 defaults 0 2
/data/share /opt/share none bind 0 0
overlay /srv/shown overlay lowerdir=/srv/shown,upperdir=/srv/changes,workdir=/srv/work 0 0
tmpfs /srv/kept tmpfs size=1m 0 0
/dev/cdrom /media/cdrom0 udf,iso9660 user,noauto 0 0
END
    mkdir -p "$1/srv/kept" "$1/media/cdrom0"
    truncate -s 1M "$1/swapfile"; printf SWAPSPACE2 | dd of="$1/swapfile" bs=1 seek=4086 conv=notrunc status=none
    echo 'vault UUID=77aa1c34-6f0e-4c1e-9d57-08d6a1a1f2b3 /etc/vault.key luks' > "$1/etc/crypttab"
    echo secret > "$1/etc/vault.key"
    echo 'RESUME=UUID=7f2c1a80-43a5-4d57-8c1c-5a2a3c0e9b11' > "$1/etc/initramfs-tools/conf.d/resume"
    cd "$1/etc/systemd/system"
    printf '[Mount]\nWhat=/dev/disk/by-label/OLD\nWhere=/srv/old\nType=ext4\n' > srv-old.mount
    ln -s ../srv-old.mount local-fs.target.requires/
    printf '[Swap]\nWhat=/dev/sdy2\n' > dev-sdy2.swap
    ln -s ../dev-sdy2.swap local-fs.target.requires/
    printf '[Unit]\nBindsTo=dev-disk-by\\x2dlabel-OLD.device\n[Service]\nExecStart=/bin/sleep 1000\n' > old.service
    ln -s ../old.service multi-user.target.wants/
    printf '%s\n' '[Unit]' 'After=multi-user.target' '[Service]' \
        "ExecStartPre=/bin/sh -c 'systemctl --failed --plain --no-legend; systemctl is-active multi-user.target; grep -c /srv/kept /proc/mounts' " \
        'StandardOutput=file:/run/lab-units' > lab-report.service.d/all.conf
"#;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let iso = Recipe::Built {
        tree: Tree::Trixie,
        over: Over { script: OF_A_MACHINE, ..Over::default() },
        args: ["--volume-id=ISO", "--profile=minimal", "--compression-level=1"].map(str::to_owned).to_vec(),
    };
    vec![scenario(
        "machine/H a tree that names the disks of its machine boots without a failed unit",
        Boot::from(iso)
            .memory(1536)
            .deadline(240)
            .expect(overlay_root())
            .expect(file_is("/run/lab-units", "active\n1"))
            .expect(file_absent("/swapfile"))
            .expect(file_absent("/etc/vault.key")),
    )]
}

//! What belongs to the machine that a tree came from does not travel (kind H of the cases from the field).
#![allow(missing_docs)]

mod tiny;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use tiny::{Tiny, names, run, skip_without_root};

const FSTAB: &str = "# of the installer\n\
    UUID=3e6be9de-8139-4a9e-9106-a43f08d823a6 / ext4 errors=remount-ro 0 1\n\
    UUID=2B1C-9A07\t/boot/efi\tvfat\tumask=0077\t0\t1\n\
    /swapfile none swap sw 0 0\n\
    tmpfs /tmp tmpfs size=1g 0 0\n\
    /dev/cdrom /media/cdrom0 udf,iso9660 user,noauto 0 0\n\
    # \u{e4}\u{f6}\n";

const UNITS: &str = "etc/systemd/system";
/// As systemd writes the unit of /dev/disk/by-uuid/1.
const ODD: &str = "dev-disk-by\\x2duuid-1.swap";

fn tiny() -> Tiny {
    let tiny = Tiny::new();
    // With a byte that is no UTF-8.
    let fstab: Vec<u8> = FSTAB.chars().map(|c| c as u8).collect();
    tiny.file("etc/fstab", fstab);
    tiny.file("etc/crypttab", "vault UUID=77 /etc/vault.key luks\n");
    tiny.file("etc/vault.key", "secret");
    tiny.file("etc/initramfs-tools/conf.d/resume", "RESUME=UUID=7f\n");
    tiny.file("etc/udev/rules.d/70-persistent-net.rules", "ATTR{address}==\"52:54:00:00:00:01\", NAME=\"eth0\"\n");
    tiny.file("etc/systemd/network/10-lan.link", "[Match]\nMACAddress=52:54:00:00:00:01\n[Link]\nName=lan0\n");
    tiny.file("etc/systemd/network/20-any.link", "[Match]\nOriginalName=*\n[Link]\nName=lan1\n");
    tiny.file("etc/hostname", "live\n");
    tiny.file(&format!("{UNITS}/{ODD}"), "[Swap]\nWhat=/dev/disk/by-uuid/1\n");
    tiny.file(&format!("{UNITS}/srv-tmp.mount"), "[Mount]\nWhat=tmpfs\nWhere=/srv/tmp\nType=tmpfs\n");
    tiny.file(&format!("{UNITS}/db.service.d/disk.conf"), "[Unit]\nRequires=boot-efi.mount\n");
    for (folder, name) in [("swap.target.requires", ODD), ("multi-user.target.wants", "db.service")] {
        let folder = tiny.root().join(UNITS).join(folder);
        fs::create_dir_all(&folder).unwrap();
        symlink(format!("../{name}"), folder.join(name)).unwrap();
    }
    symlink("/usr/lib/systemd/system/ssh.service", tiny.root().join(UNITS).join("multi-user.target.wants/ssh.service"))
        .unwrap();
    let script = "truncate -s 1M swapfile; printf SWAPSPACE2 | dd of=swapfile bs=1 seek=4086 conv=notrunc status=none; \
                  chmod 640 etc/fstab; chown 0:42 etc/fstab; \
                  touch -d '2001-02-03 04:05:06Z' etc etc/fstab";
    run(Command::new("sh").args(["-ec", script]).current_dir(tiny.root()));
    tiny
}

fn compare(tiny: &Tiny, at: &Path, kind: &str) {
    let root = tiny.root();
    let left = "# of the installer\ntmpfs /tmp tmpfs size=1g 0 0\n\
                /dev/cdrom /media/cdrom0 udf,iso9660 user,noauto 0 0\n# \u{e4}\u{f6}\n";
    let left: Vec<u8> = left.chars().map(|c| c as u8).collect();
    assert_eq!(fs::read(at.join("etc/fstab")).unwrap(), left, "{kind}: fstab");
    let (found, before) = (at.join("etc/fstab").metadata().unwrap(), root.join("etc/fstab").metadata().unwrap());
    let facts = |meta: &fs::Metadata| (meta.mode(), meta.uid(), meta.gid(), meta.mtime());
    assert_eq!(facts(&found), facts(&before), "{kind}: fstab");
    for path in ["etc/crypttab", "etc/initramfs-tools/conf.d/resume"] {
        assert_eq!(fs::read(at.join(path)).unwrap(), b"", "{kind}: {path}");
    }
    assert_eq!(
        names(&at.join(UNITS)),
        ["db.service.d", "multi-user.target.wants", "srv-tmp.mount", "swap.target.requires"]
    );
    assert_eq!(names(&at.join(UNITS).join("swap.target.requires")), Vec::<String>::new(), "{kind}");
    assert_eq!(names(&at.join(UNITS).join("multi-user.target.wants")), ["ssh.service"], "{kind}");
    assert_eq!(names(&at.join("etc/systemd/network")), ["20-any.link"], "{kind}");
    for path in ["swapfile", "etc/vault.key", "etc/udev/rules.d/70-persistent-net.rules"] {
        assert!(!at.join(path).exists(), "{kind}: {path}");
    }
    assert_eq!(fs::read(at.join("etc/hostname")).unwrap(), b"live\n", "{kind}");
    // The input is as it was.
    assert!(fs::read(root.join("etc/fstab")).unwrap().starts_with(b"# of the installer\nUUID="), "{kind}");
    assert!(root.join(UNITS).join(ODD).exists() && root.join("swapfile").exists(), "{kind}");
}

#[test]
fn h_root_lines_and_units_of_the_machine_are_left_out_in_every_kind_of_container() {
    if skip_without_root("h") {
        return;
    }
    for args in [&["--compression", "lz4"][..], &["--erofs"], &["--nested", "ext4", "--compression", "lz4"]] {
        let tiny = tiny();
        let nested = args.contains(&"--nested").then_some("loop,ro");
        let iso = tiny.build(args);
        tiny.mounted(&iso, nested, |at| compare(&tiny, at, &format!("{args:?}")));
    }
}

#[test]
fn h_root_a_file_with_labels_keeps_them_when_lines_are_left_out() {
    if skip_without_root("h") {
        return;
    }
    for args in [&["--compression", "lz4"][..], &["--erofs"]] {
        let tiny = tiny();
        let fstab = tiny.root().join("etc/fstab");
        rustix::fs::setxattr(&fstab, "user.color", b"blue", rustix::fs::XattrFlags::empty()).unwrap();
        let iso = tiny.build(args);
        tiny.mounted(&iso, None, |at| {
            let mut found = vec![0; 16];
            let count = rustix::fs::getxattr(at.join("etc/fstab"), "user.color", &mut found).unwrap_or(0);
            assert_eq!(&found[..count], b"blue", "{args:?}");
            compare(&tiny, at, &format!("{args:?} with labels"));
        });
    }
}

/// Lines that name something of the tree, a part of a line, and a volume that stays with all that lies on it.
#[test]
fn h_what_the_tree_has_itself_stays() {
    let tiny = Tiny::new();
    tiny.file("srv/vault.img", "a volume");
    for dir in ["srv/shown", "srv/changes", "data"] {
        fs::create_dir_all(tiny.root().join(dir)).unwrap();
    }
    tiny.file("srv/shown/one", "");
    let stays = "/dev/mapper/vault /data ext4 defaults 0 2\n/data/x /opt none bind 0 0\n\
                 /srv/shown /mnt/shown fuse.bindfs ro 0 0\nnas:/e /mnt/nas nfs nofail 0 0\n";
    let goes = "overlay /usr/share overlay lowerdir=/usr/share,upperdir=/srv/changes,workdir=/srv/changes 0 0\n\
                /dev/mapper/disk /home ext4 defaults 0 2\n/home/x /mnt/x fuse.bindfs ro 0 0\n";
    tiny.file("etc/fstab", format!("{goes}{stays}"));
    tiny.file("etc/crypttab", "vault /srv/vault.img none luks\ndisk UUID=7 none luks\n");
    tiny.file("etc/dracut.conf.d/of-host.conf", "kernel_cmdline=\"rd.luks.uuid=7\n    quiet\"\nhostonly=no\n");
    tiny.file(&format!("{UNITS}/vault.service"), "[Unit]\nRequires=dev-mapper-vault.device\n");
    let folder = tiny.root().join(UNITS).join("multi-user.target.wants");
    fs::create_dir_all(&folder).unwrap();
    symlink("../vault.service", folder.join("vault.service")).unwrap();
    let iso = tiny.build(&["--compression", "lz4"]);
    let container = tiny.extract(&iso, "/LiveOS/squashfs.img");
    let cat = |path: &str| run(Command::new("unsquashfs").arg("-cat").arg(&container).arg(path));
    assert_eq!(cat("etc/fstab"), stays);
    assert_eq!(cat("etc/crypttab"), "vault /srv/vault.img none luks\n");
    assert_eq!(cat("etc/dracut.conf.d/of-host.conf"), "kernel_cmdline=\"\n    quiet\"\nhostonly=no\n");
    let all = run(Command::new("unsquashfs").arg("-l").arg(&container));
    assert!(all.contains("multi-user.target.wants/vault.service"), "{all}");
}

#[test]
fn h_scratch_files_may_lie_below_any_name() {
    let tiny = tiny();
    let scratch = tiny.out().join("it's a \"scratch\"");
    fs::create_dir(&scratch).unwrap();
    let iso = tiny.build(&["--compression", "lz4", "--scratch-dir", scratch.to_str().unwrap()]);
    let container = tiny.extract(&iso, "/LiveOS/squashfs.img");
    let fstab = run(Command::new("unsquashfs").arg("-cat").arg(container).arg("etc/fstab"));
    assert!(fstab.starts_with("# of the installer\ntmpfs /tmp"), "{fstab}");
}

#[test]
fn h_what_is_left_out_is_told_by_kind_and_can_be_kept() {
    let tiny = tiny();
    let told = |args: &[&str]| {
        let output = tiny.command(&[args, &["--dry-run"]].concat()).output().unwrap();
        assert!(output.status.success(), "{}", tiny::stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = told(&[]);
    let kinds = [
        "/etc/fstab: / (UUID=3e6be9de-8139-4a9e-9106-a43f08d823a6), /boot/efi (UUID=2B1C-9A07), swap (/swapfile)",
        "swap files: /swapfile",
        "mount and swap units: /etc/systemd/system/dev-disk-by\\x2duuid-1.swap",
        "/etc/crypttab: vault (UUID=77)",
        "keys of encrypted disks: /etc/vault.key",
        "starts of units that wait for its disks: /etc/systemd/system/multi-user.target.wants/db.service",
        "disks to resume from and to wait for: /etc/initramfs-tools/conf.d/resume",
        "names of its network cards: /etc/udev/rules.d/70-persistent-net.rules, /etc/systemd/network/10-lan.link",
    ];
    let notes: Vec<&str> = text.lines().filter(|line| line.starts_with("note") && line.contains("left out")).collect();
    for (kind, note) in kinds.iter().zip(&notes) {
        assert!(note.ends_with(&format!("(--keep-identity keeps it): {kind}")), "{note}\n{kind}");
    }
    assert_eq!(notes.len(), kinds.len(), "{notes:#?}");
    let kept = told(&["--keep-identity"]);
    assert!(!kept.contains("(--keep-identity keeps it)") && kept.contains("kept,"), "{kept}");
    assert!(!kept.contains("shortened"), "{kept}");
}

/// Beside the pools of ZFS and LVM's list: which targets a machine logs in to, and what it is called there.
#[test]
fn h_lists_of_storage_are_left_out() {
    let tiny = Tiny::new();
    let target = "iqn.2004-10.com.example:disk/[fe80::1],3260,1/default";
    let goes = [
        "etc/zfs/zfs-list.cache/tank",
        &format!("etc/iscsi/nodes/{target}"),
        &format!("var/lib/iscsi/nodes/{target}"),
        "etc/nvme/hostnqn",
        "etc/nvme/hostid",
        "etc/nvme/discovery.conf",
    ];
    let stays = ["etc/iscsi/iscsid.conf", "etc/zfs/zed.d/zed.rc", "etc/nvme/readme"];
    for path in goes.iter().chain(&stays) {
        tiny.file(path, "x\n");
    }
    tiny.file("etc/iscsi/initiatorname.iscsi", "## of Debian\nInitiatorName=iqn.1993-08.org.debian:01:abc\n");
    let planned = || {
        let output = tiny.command(&["--dry-run"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let text = planned();
    for path in goes.iter().chain(&["etc/iscsi/initiatorname.iscsi"]) {
        assert!(text.lines().any(|line| line.starts_with("left out") && line.ends_with(path)), "{path}: {text}");
    }
    for path in stays {
        assert!(!text.contains(path), "{path}: {text}");
    }
    let note = "lists of its disks: /etc/zfs/zfs-list.cache, /etc/iscsi/nodes, /var/lib/iscsi/nodes, \
                /etc/iscsi/initiatorname.iscsi, /etc/nvme/hostnqn, /etc/nvme/hostid, /etc/nvme/discovery.conf\n";
    assert!(text.contains(note), "{text}");
    let iso = tiny.build(&["--compression", "lz4"]);
    let container = tiny.extract(&iso, "/LiveOS/squashfs.img");
    let all = run(Command::new("unsquashfs").arg("-l").arg(&container));
    for (path, expected) in goes.iter().map(|path| (path, false)).chain(stays.iter().map(|path| (path, true))) {
        assert_eq!(all.lines().any(|line| line.ends_with(path)), expected, "{path}: {all}");
    }
    // A name that each machine makes at its first start is nobody's yet.
    tiny.file("etc/iscsi/initiatorname.iscsi", "GenerateName=yes\n");
    assert!(!planned().contains("initiatorname"));
}

/// systemd waits 90 seconds for the device of a card, and networkd's program two minutes.
#[test]
fn h_services_of_its_network_cards_are_not_started() {
    let tiny = Tiny::new();
    let vendor = "usr/lib/systemd/system";
    let device = "sys-subsystem-net-devices-%i.device";
    for (name, lines) in [
        ("wpa_supplicant@.service", format!("Requires={device}\nAfter={device}\n")),
        ("dhcpcd@.service", format!("Wants=network.target {device}\nAfter={device}\n")),
        ("hostapd@.service", "BindsTo=sys-subsystem-net-devices-%I.device\n".to_owned()),
        ("after@.service", format!("After={device}\n")),
        ("wants@.service", format!("Wants={device}\n")),
        ("netctl@.service", "After=network-pre.target\n".to_owned()),
        ("systemd-networkd-wait-online@.service", "Requires=systemd-networkd.service\n".to_owned()),
    ] {
        tiny.file(&format!("{vendor}/{name}"), format!("[Unit]\n{lines}"));
    }
    let of = |card: &str| format!("[Unit]\nBindsTo=sys-subsystem-net-devices-{card}.device\n");
    tiny.file(&format!("{UNITS}/netctl@home.service.d/profile.conf"), of("eno1"));
    tiny.file(&format!("{UNITS}/after@.service.d/x.conf"), "[Unit]\nDescription=x\n");
    tiny.file(&format!("{UNITS}/own.service"), of("wlx001122334455"));
    tiny.file(&format!("{UNITS}/bridge.service"), of("br0"));
    tiny.file(&format!("{UNITS}/second.service"), "[Unit]\nRequires=wpa_supplicant@wlp3s0.service\n");
    tiny.file("etc/systemd/network/10-lan.link", "[Match]\nMACAddress=52:54:00:00:00:01\n[Link]\nName=inside\n");
    let goes = [
        "wpa_supplicant@wlp3s0.service",
        "dhcpcd@eno1.service",
        "dhcpcd@inside.service",
        "hostapd@wlp0s20f3.service",
        "hostapd@enp2s0.10.service",
        "systemd-networkd-wait-online@enp0s31f6.service",
        "systemd-networkd-wait-online@enx001122334455:routable.service",
        "netctl@home.service",
        "own.service",
        "second.service",
    ];
    // By the kernel's names, which a card of any machine has; made by the boot itself; and what waits for none.
    let stays = [
        "wpa_supplicant@wlan0.service",
        "dhcpcd@eth0.service",
        "hostapd@br0.service",
        "hostapd@entry.service",
        "systemd-networkd-wait-online@wg0.service",
        "after@eno1.service",
        "wants@eno1.service",
        "netctl@work.service",
        "bridge.service",
    ];
    for (folder, links) in [("multi-user.target.wants", &goes[..]), ("network-online.target.wants", &stays[..])] {
        let folder = tiny.root().join(UNITS).join(folder);
        fs::create_dir_all(&folder).unwrap();
        for link in links {
            let (name, end) = link.split_once('@').unwrap_or((link, ""));
            let target = if end.is_empty() { format!("../{name}") } else { format!("/{vendor}/{name}@.service") };
            symlink(target, folder.join(link)).unwrap();
        }
    }
    // Started by the card itself.
    let by_card = tiny.root().join(UNITS).join("sys-subsystem-net-devices-wlp3s0.device.wants");
    fs::create_dir_all(&by_card).unwrap();
    symlink(format!("/{vendor}/hostapd@.service"), by_card.join("hostapd@wlp3s0.service")).unwrap();
    let output = tiny.command(&["--dry-run"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for link in goes {
        let path = format!("{UNITS}/multi-user.target.wants/{link}");
        assert!(text.lines().any(|line| line.starts_with("left out") && line.ends_with(&path)), "{link}: {text}");
    }
    for link in stays.iter().chain(&["hostapd@wlp3s0.service"]) {
        assert!(!text.contains(&format!("/{link}")), "{link}: {text}");
    }
    let note = format!("starts of units that wait for its network cards: /{UNITS}/multi-user.target.wants/dhcpcd@eno1");
    assert!(text.contains(&note), "{text}");
}

//! What people have, by the situations of field.md.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = unusable();
    list.extend(longer());
    list.extend(copied());
    list.extend(names());
    list.extend(volumes());
    list.extend(roots());
    list.extend(several());
    list.extend(cow_files());
    list
}

/// S4: a file system of the same label that is no live medium.
fn decoy() -> Boot {
    Boot::from(folder(Fs::Ext4, "ISO", vec![("photos/one", Recipe::Text("a photo\n"))])).on(Bus::Disk)
}

/// C: one match that is unusable.
fn unusable() -> Vec<Scenario> {
    vec![
        scenario(
            "field/S4 the right medium comes after another one of its label",
            decoy()
                .and(iso(), Bus::Disk)
                .kargs("rd.retry=60")
                .plugged_in_on_text("s for another medium")
                .expect(overlay_root())
                .expect(marker("tiny")),
        ),
        scenario(
            "field/S4 it is said at once, with quiet too, and a key ends the wait",
            decoy()
                .kargs("quiet rd.retry=200")
                .on_text("RDL-013", "")
                .on_text("a key ends the wait", "x")
                .deadline(60)
                .expect(stops_with("RDL-013")),
        ),
        scenario(
            "field/S4 the loader's own medium is unusable",
            decoy().kargs("rd.live.medium=LABEL=ISO rd.retry=200").deadline(60).expect(stops_with("RDL-013")),
        ),
    ]
}

/// B: a volume that says it is longer than its place.
fn longer() -> Vec<Scenario> {
    // The padding of an ISO is 300 KiB. An entry of an MBR: active, type 0x17, from sector 0.
    let shorter = changed(
        iso(),
        r#"
        size=$(( $(isosize "$1") / 512 - 400 ))
        bytes=$(printf '\\x%02x' $(( size & 255 )) $(( size >> 8 & 255 )) $(( size >> 16 & 255 )) $(( size >> 24 )))
        printf '\x80\0\0\0\x17\0\0\0\0\0\0\0'"$bytes" | dd of="$1" bs=1 seek=446 conv=notrunc status=none
        printf '\x55\xaa' | dd of="$1" bs=1 seek=510 conv=notrunc status=none"#,
    );
    let cut = |kib: u32| changed(iso(), &format!("truncate -s -{kib}K \"$1\""));
    let cut_file = changed(iso(), "truncate -s -200K \"$1\"");
    let says = "all there, going on";
    vec![
        scenario(
            "field/S3 a partition that is shorter than its volume, by its name",
            Boot::from(shorter)
                .on(Bus::Stick)
                .root("root=live:/dev/{0.1} rd.overlay rd.retry=10")
                .writable()
                .expect(overlay_root())
                .expect(console_says(says))
                .expect(media_unchanged()),
        ),
        scenario(
            "field/S3 a disk without the end of its padding",
            Boot::from(cut(200)).on(Bus::Disk).expect(overlay_root()).expect(console_says(says)),
        ),
        scenario(
            "field/S3 an ISO file without the end of its padding",
            Boot::from(disk_with_iso(Fs::Ext4, "a.iso", cut_file))
                .on(Bus::Disk)
                .kargs("iso-scan/filename=/a.iso")
                .expect(overlay_root())
                .expect(console_says(says)),
        ),
    ]
}

const MARK: &str = "0123456789abcdef";

/// What lies on a medium of our builder, as far as it counts here.
fn files(marker: &'static str, id: &str) -> Vec<(String, Recipe)> {
    let root = Recipe::Image { tree: crate::guest::Tree::Tiny, fs: Fs::Squashfs("zstd"), marker, label: "" };
    vec![("LiveOS/squashfs.img".to_owned(), root), (format!(".rdlive/{id}"), Recipe::Text("a build\n"))]
}

/// D: media whose files were copied to another file system.
fn copied() -> Vec<Scenario> {
    let copy = |fs: Fs, label: &str, id: &str, marker: &'static str| {
        Recipe::Partition(Box::new(Recipe::Folder { fs, label: label.to_owned(), files: files(marker, id) }))
    };
    let boot = |medium: Recipe| {
        Boot::from(medium)
            .on(Bus::Stick)
            .root("root=live:CDLABEL=TINY_29DAD730 rd.live.image rd.overlay")
            .kargs("rd.live.medium=UUID=2026-01-01-00-00-00-00,ID=0123456789abcdef rd.retry=40")
            .expect(overlay_root())
            .expect(marker("tiny"))
    };
    let mut list: Vec<Scenario> = [
        ("FAT, with the label cut", Fs::Vfat, "TINY_29DAD7"),
        ("FAT, renamed", Fs::Vfat, "MY STICK"),
        ("exFAT", Fs::Exfat, "TINY"),
        ("NTFS", Fs::Ntfs, "TINY"),
        ("ext4", Fs::Ext4, "photos"),
    ]
    .map(|(what, fs, label)| {
        let medium = boot(copy(fs, label, MARK, "tiny")).expect(report_says("holds /.rdlive/0123456789abcdef"));
        scenario(format!("field/S5 files copied to {what}"), medium)
    })
    .into();
    list.push(scenario(
        "field/S5 two sticks of different builds",
        boot(copy(Fs::Vfat, "TINY_29DAD7", "fedcba9876543210", "other"))
            .and(copy(Fs::Vfat, "TINY_29DAD7", MARK, "tiny"), Bus::Stick),
    ));
    list.push(scenario(
        "field/S5 without a mark a label that FAT has cut is the last resort",
        Boot::from(copy(Fs::Vfat, "TINY_29DAD7", MARK, "tiny"))
            .on(Bus::Stick)
            .root("root=live:CDLABEL=Tiny_29DAD730 rd.live.image rd.overlay rd.retry=12")
            .expect(overlay_root())
            .expect(console_says("using it because no other has come")),
    ));
    list
}

/// E, F: other names of devices and files.
fn names() -> Vec<Scenario> {
    let link = |to: &str| {
        let medium = disk_with_iso(Fs::Ext4, "iso/real.iso", iso());
        let script = format!("debugfs -w -R 'symlink /latest.iso {to}' \"$1?offset=1048576\" >/dev/null 2>&1");
        Boot::from(changed(medium, &script)).on(Bus::Disk).kargs("iso-scan/filename=/latest.iso").expect(overlay_root())
    };
    let cdrom = |mode: Mode| {
        Boot::from(iso()).on(Bus::ScsiCd).root("root=live:/dev/cdrom rd.overlay").mode(mode).expect(overlay_root())
    };
    vec![
        scenario("field/S17 an ISO file behind an absolute link", link("/iso/real.iso")),
        scenario("field/S17 an ISO file behind a relative link", link("iso/real.iso")),
        scenario(
            "field/SD-6 a stick made for KIWI names its ISO file",
            Boot::from(disk_with_iso(Fs::Ext4, "iso/x.iso", iso()))
                .on(Bus::Disk)
                .root("isofrom_device=/dev/{0.1} isofrom_system=/iso/x.iso rd.overlay")
                .expect(overlay_root()),
        ),
        scenario(
            "field/SD-6 a stick made for KIWI names its device as GRUB does",
            Boot::from(disk_with_iso(Fs::Ext4, "iso/x.iso", iso()))
                .on(Bus::Disk)
                .root("isofrom_device=(hd0,gpt1) isofrom_system=/iso/x.iso rd.overlay rd.retry=5")
                .expect(overlay_root()),
        ),
        scenario("field/S8 /dev/cdrom", cdrom(Mode::Native)),
        // QEMU counts its drives, and the first one on the first channel has this serial number.
        scenario(
            "field/S8 a by-id name of an ATAPI drive",
            Boot::from(iso())
                .on(Bus::IdeCd)
                .root("root=live:/dev/disk/by-id/ata-QEMU_DVD-ROM_QM00001 rd.overlay rd.retry=20")
                .expect(overlay_root()),
        ),
        scenario("field/S8 /dev/cdrom, dracut 106", cdrom(Mode::Dracut106)),
        scenario(
            "field/S8 /dev/block/MAJ:MIN",
            Boot::from(iso())
                .on(Bus::Stick)
                .root("root=live:/dev/block/{0:dev} rd.overlay rd.retry=20")
                .expect(overlay_root()),
        ),
    ]
}

/// The file becomes the volume `my-vg/live` of LVM on a disk, beside `my-vg/keep`, which has room for changes. A host needs no
/// device-mapper for that: the first extent lies 1 MiB behind the start, and what comes first is taken first.
const LVM: &str = r#"
    live=$(( ($(stat -c %s "$1") + 1048575) / 1048576 )); mv "$1" "$1.live"; mke2fs -q -t ext4 -L KEEP "$1.keep" 64M
    truncate -s $((live + 64 + 2))M "$1"; disk=$(losetup -f --show "$1")
    trap 'losetup -d "$disk"; rm -rf --one-file-system "$1.live" "$1.keep" "$1.lock"' EXIT
    export LVM_SUPPRESS_FD_WARNINGS=1; lock=$1.lock
    only="[ \"a|^$disk\$|\", \"r|.*|\" ]"
    offline() {
        "$@" -q -y --config "devices { filter=$only global_filter=$only use_devicesfile=0 obtain_device_list_from_udev=0
            hints=\"none\" } backup { backup=0 archive=0 } activation { udev_sync=0 udev_rules=0 monitoring=0 }
            global { activation=0 locking_dir=\"$lock\" }"
    }
    offline pvcreate "$disk"; offline vgcreate -s 1m my-vg "$disk"; next=1
    for volume in live:$live keep:64; do
        offline lvcreate -an -Zn -Wn -l ${volume#*:} -n ${volume%:*} my-vg
        dd if="$1.${volume%:*}" of="$1" bs=1M seek=$next conv=notrunc,sparse status=none; next=$((next + ${volume#*:}))
    done"#;

/// F: names of device-mapper's devices. Of each name and each way to open a volume one boot, with systemd or without.
fn volumes() -> Vec<Scenario> {
    let boot = |root: &str, mode: Mode| {
        let root = format!("root=live:{root} rd.live.image rd.overlay rd.retry=60");
        Boot::from(changed(iso(), LVM)).on(Bus::Disk).root(&root).mode(mode)
    };
    let found = |boot: Boot| boot.expect(overlay_root()).expect(report_says("/dev/dm-"));
    let kept = || {
        let named = found(boot("/dev/my-vg/live", Mode::Dracut106Lvm)).writable();
        named.kargs("rd.lvm.vg=my-vg rd.overlay=/dev/my-vg/keep").expect(persistence("named"))
    };
    let host = Boot::from(changed(folder(Fs::Ext4, "STORE", vec![("x.iso", iso())]), LVM)).on(Bus::Disk);
    vec![
        scenario(
            "field/S8 /dev/VG/LV, which a native initrd does not open",
            boot("/dev/my-vg/live", Mode::Native)
                .kargs("rd.retry=2")
                .writable()
                .expect(stops_with("RDL-010"))
                .expect(console_says("dracut's module lvm opens that, asked by rd.lvm.lv=GROUP/VOLUME"))
                .expect(media_unchanged()),
        ),
        scenario(
            "field/S8 /dev/VG/LV as medium and as place for changes, dracut 106",
            kept().writes("/kept").then(kept().again().expect(file_is("/kept", "kept"))),
        ),
        scenario(
            "field/S8 /dev/mapper/NAME, dracut 106 without systemd",
            found(boot("/dev/mapper/my--vg-live", Mode::Dracut106LvmShell).kargs("rd.lvm.lv=my-vg/live")),
        ),
        scenario(
            "field/S8 /dev/VG/LV with an ISO file, dracut 106 without systemd",
            found(host.mode(Mode::Dracut106LvmShell))
                .kargs("rd.lvm.lv=my-vg/live iso-scan/filename=/dev/my-vg/live:/x.iso"),
        ),
        scenario(
            "field/S8 a label in LVM that comes late, opened by rd.auto, dracut 106",
            found(boot("CDLABEL=ISO", Mode::Dracut106Lvm))
                .kargs("rd.auto")
                .plugged_in_on_text("looking for the live medium LABEL=ISO: still at it after"),
        ),
        scenario(
            "field/S8 a label in LVM, opened by rd.auto, dracut 106 without systemd",
            found(boot("CDLABEL=ISO", Mode::Dracut106LvmShell)).kargs("rd.auto"),
        ),
    ]
}

/// A file system with a default subvolume, in which the directory lies.
const SUBVOLUME: &str = r#"
    mkdir "$1.mnt"; mount -o loop,offset=1048576 "$1" "$1.mnt"
    cd "$1.mnt"; btrfs -q subvolume create @; cp -r --reflink=auto iso @/
    [ "$DEFAULT" = top ] || btrfs subvolume set-default @
    rm -r iso; cd /; umount "$1.mnt"; rmdir "$1.mnt""#;

/// G: btrfs has two roots.
fn roots() -> Vec<Scenario> {
    let host = |default: &str| {
        changed(store(Fs::Btrfs, vec![("iso/x.iso", iso())], 300), &format!("DEFAULT={default}\n{SUBVOLUME}"))
    };
    let medium = changed(
        Recipe::Partition(Box::new(folder(
            Fs::Btrfs,
            "ISO",
            vec![("LiveOS/squashfs.img", image(Fs::Squashfs("zstd")))],
        ))),
        &SUBVOLUME
            .replace("cp -r --reflink=auto iso @/", "mkdir @/home")
            .replace("rm -r iso; ", "")
            .replace("$DEFAULT", "@"),
    );
    let boot = |medium: Recipe, path: &str| {
        Boot::from(medium).on(Bus::Disk).kargs(&format!("iso-scan/filename={path}")).expect(overlay_root())
    };
    let kept = || {
        let first = boot(host("@"), "/@/iso/x.iso").mode(Mode::NativeWrite).writable();
        let first = first.kargs("rd.live.overlay.persistent rd.live.cowfile.mbsize=150 lab.shutdown");
        first.expect(persistence("file")).writes("/kept")
    };
    vec![
        scenario("field/S9 an ISO file by the path that GRUB uses", boot(host("@"), "/@/iso/x.iso")),
        scenario("field/S9 an ISO file by the path that its owner uses", boot(host("@"), "/iso/x.iso")),
        scenario("field/S9 an ISO file in a subvolume that is not the default", boot(host("top"), "/@/iso/x.iso")),
        scenario(
            "field/S9 a medium above the default subvolume",
            Boot::from(medium).on(Bus::Disk).expect(overlay_root()),
        ),
        scenario(
            "field/S9 a cow file by the path that GRUB uses, and by that of its owner",
            by_both(host("@"), Mode::NativeWrite),
        ),
        scenario(
            "field/S9 a cow file by the path that GRUB uses, and by that of its owner, Debian 12's kernel",
            by_both(host("@"), Mode::NativeWrite12),
        )
        .with_all(),
        scenario(
            "field/S9 a cow file lies where the ISO file was found",
            kept().then(kept().again().expect(file_is("/kept", "kept"))),
        ),
    ]
    .into_iter()
    .chain(named_roots(host("@")))
    .collect()
}

/// A new cow file in a directory of the default subvolume, which its path from the top level names first.
fn by_both(host: Recipe, mode: Mode) -> Boot {
    let at = |path: &str| {
        let boot = Boot::from(host.clone()).on(Bus::Disk).mode(mode).writable().kargs("iso-scan/filename=/iso/x.iso");
        let boot = boot.kargs("rd.live.overlay.persistent rd.live.cowfile.mbsize=150 lab.shutdown");
        let boot = boot.kargs(&format!("rd.live.cowfile.path={path}")).expect(overlay_root());
        boot.expect(persistence("file")).expect(no_fallbacks())
    };
    at("/@/iso/x.cow").writes("/kept").then(at("/iso/x.cow").expect(file_is("/kept", "kept")))
}

/// Both disks of a btrfs one behind the other, each of 200 MiB, with the file at `$AT`: data lies on both in turn.
const TWO_DISKS: &str = r#"
    mv "$1" "$1.file"; truncate -s 400M "$1"; size=$((200 << 20)); mkdir "$1.mnt"
    one=$(losetup -f --show --sizelimit $size "$1"); two=$(losetup -f --show -o $size "$1")
    trap 'losetup -d "$one" "$two"; rm -f "$1.file"' EXIT
    mkfs.btrfs -q -f -L "${LABEL:-ISO}" -d raid0 -m raid1 "$one" "$two"; mount -o device="$one",device="$two" "$one" "$1.mnt"
    mkdir -p "$1.mnt/${AT%/*}"; cp "$1.file" "$1.mnt/$AT"; umount "$1.mnt"; rmdir "$1.mnt""#;

/// G: a btrfs over several disks, of which nobody tells the kernel where udev is not.
fn several() -> Vec<Scenario> {
    let disks = |file: Recipe, at: &str| {
        let both = changed(file, &format!("AT={at}\n{TWO_DISKS}"));
        let second = r#"dd if="$1" of="$1.2" bs=1M skip=200 conv=sparse status=none; mv "$1.2" "$1""#;
        [changed(both.clone(), "truncate -s 200M \"$1\""), changed(both, second)]
    };
    let medium = || disks(image(Fs::Squashfs("zstd")), "LiveOS/squashfs.img");
    let [one, two] = medium();
    let [first, second] = disks(iso(), "iso/x.iso");
    let [data, rest] = disks(Recipe::Text("a photo\n"), "photo\nLABEL=DATA");
    let kept = |place: &str, expected: &'static str| {
        let boot = Boot::from(iso()).on(Bus::Stick).and(data.clone(), Bus::Disk).and(rest.clone(), Bus::Disk);
        let boot = boot.mode(Mode::NativeWrite).writable().kargs("lab.shutdown rd.retry=10").kargs(place);
        boot.expect(overlay_root()).expect(persistence(expected)).expect(no_fallbacks())
    };
    let place = "rd.overlay=LABEL=DATA:/changes";
    let half = Boot::from(iso()).on(Bus::Stick).and(data.clone(), Bus::Disk).mode(Mode::NativeWrite).writable();
    vec![
        scenario(
            "field/G a named place on a btrfs over two disks",
            kept(place, "named").writes("/kept").then(kept(place, "named").expect(file_is("/kept", "kept"))),
        ),
        scenario(
            "field/G half of a named btrfs",
            half.kargs("rd.retry=30")
                .kargs(place)
                .expect(overlay_root())
                .expect(persistence("temporary"))
                .expect(report_says("1 of the 2 devices of this btrfs is missing")),
        ),
        scenario(
            "field/G a btrfs over two disks",
            Boot::from(one.clone())
                .on(Bus::Disk)
                .and(two.clone(), Bus::Disk)
                .kargs("rd.retry=10")
                .expect(overlay_root()),
        ),
        scenario(
            "field/G a btrfs over two disks, named by the second",
            Boot::from(one.clone())
                .on(Bus::Disk)
                .and(two.clone(), Bus::Disk)
                .root("root=live:/dev/{1} rd.overlay rd.retry=10")
                .expect(overlay_root()),
        ),
        scenario(
            "field/G an ISO file on a btrfs over two disks",
            Boot::from(first)
                .on(Bus::Disk)
                .and(second, Bus::Disk)
                .kargs("iso-scan/filename=/iso/x.iso rd.retry=10")
                .expect(overlay_root()),
        ),
        scenario(
            "field/G one disk of a btrfs is missing",
            Boot::from(two)
                .on(Bus::Disk)
                .kargs("rd.retry=6")
                .expect(stops_with("RDL-012"))
                .expect(console_says("1 of the 2 devices of this btrfs is missing")),
        ),
        scenario(
            "field/G a disk of a btrfs comes late",
            Boot::from(one)
                .on(Bus::Disk)
                .and(medium()[1].clone(), Bus::Disk)
                .kargs("rd.retry=60")
                .plugged_in_on_text("looking for the live medium LABEL=ISO: still at it after")
                .expect(overlay_root()),
        ),
    ]
}

/// The same where a place for changes is named; `host` holds the ISO file in a default subvolume.
fn named_roots(host: Recipe) -> Vec<Scenario> {
    const DEFAULT: &str = r#"
        mkdir "$1.mnt"; mount -o loop,offset=1048576 "$1" "$1.mnt"; cd "$1.mnt"
        btrfs -q subvolume create @; mkdir @/home changes; btrfs subvolume set-default @
        cd /; umount "$1.mnt"; rmdir "$1.mnt""#;
    let place = changed(
        Recipe::Partition(Box::new(folder(Fs::Btrfs, "DATA", vec![("photos", Recipe::Text("a photo\n"))]))),
        DEFAULT,
    );
    let on = |medium: &Recipe, path: &str| {
        let boot = Boot::from(iso()).on(Bus::Stick).and(medium.clone(), Bus::Disk).mode(Mode::NativeWrite).writable();
        boot.kargs(&format!("rd.overlay=LABEL=DATA:{path} lab.shutdown")).expect(overlay_root())
    };
    let beside = |iso: &str| {
        let boot = Boot::from(host.clone()).on(Bus::Disk).mode(Mode::NativeWrite).writable();
        let kargs = format!("iso-scan/filename={iso} rd.overlay=LABEL=STORE:/@/changes lab.shutdown");
        boot.kargs(&kargs).expect(overlay_root())
    };
    let first = |boot: Boot| boot.expect(persistence("named")).expect(no_fallbacks()).writes("/kept");
    let second = |boot: Boot| boot.expect(persistence("named")).expect(no_fallbacks()).expect(file_is("/kept", "kept"));
    let lies = |index: usize, file: &str| {
        let script = format!(
            r#"mkdir "$1.mnt"; mount -o loop,offset=1048576,subvolid=5 "$1" "$1.mnt"
            found=$(cat "$1.mnt/{file}" 2>&1 || true); umount "$1.mnt"; rmdir "$1.mnt"
            [ "$found" = kept ] || {{ echo "{file}: $found"; exit 1; }}"#
        );
        disk(index, "where the changes lie", script)
    };
    vec![
        scenario(
            "field/S9 changes in a new directory by the path that GRUB uses",
            first(on(&place, "/@/x")).expect(lies(1, "@/x/kept")).then(second(on(&place, "/x"))),
        ),
        scenario(
            "field/S9 changes above the default subvolume",
            first(on(&place, "/changes/x")).expect(lies(1, "changes/x/kept")).then(second(on(&place, "/changes/x"))),
        ),
        scenario(
            "field/S9 changes in a new directory at the top of the default subvolume",
            first(on(&place, "/x")).expect(lies(1, "@/x/kept")).then(second(on(&place, "/@/x"))),
        ),
        scenario(
            "field/S9 changes beside the ISO file, from the other root",
            first(beside("/iso/x.iso")).expect(lies(0, "@/changes/kept")).then(second(beside("/@/iso/x.iso"))),
        ),
        scenario("field/S9 changes beside the ISO file, from the other root, Debian 12's kernel", {
            let of12 = |iso: &str| beside(iso).mode(Mode::NativeWrite12);
            first(of12("/iso/x.iso")).then(second(of12("/@/iso/x.iso")))
        }),
        scenario(
            "field/S9 changes beside the ISO file, which GRUB's path names",
            first(beside("/@/iso/x.iso")).expect(lies(0, "@/changes/kept")).then(second(beside("/iso/x.iso"))),
        ),
    ]
}

/// SD-6: what live-grub-stick makes for KIWI before 8, with the kargs of its menu. The lines have no `root=`.
fn cow_files() -> Vec<Scenario> {
    const FILE: &str = "boot/x.iso-cowfile";
    let stick = |cow: &str, file: &str| {
        format!(
            "isofrom=/dev/disk/by-label/STORE:/x.iso isofrom_device=/dev/disk/by-label/STORE isofrom_system=/x.iso \
             kiwi_cowdevice={cow} kiwi_cowsystem=/{file} loader=syslinux splash=silent quiet showopts lab.shutdown"
        )
    };
    let with = |fs: Fs, cow: Recipe| store(fs, vec![("x.iso", iso()), (FILE, cow)], 40);
    let boot = |medium: Recipe, cow: &str, file: &str| {
        let boot = Boot::from(medium).on(Bus::Stick).mode(Mode::NativeWrite).root(&stick(cow, file)).writable();
        boot.expect(overlay_root())
    };
    let keeps = |boot: Boot| {
        let boot = boot.expect(persistence("named")).expect(no_fallbacks());
        let again = boot.again().expect(overlay_root()).expect(persistence("named")).expect(file_is("/kept", "kept"));
        boot.writes("/kept").then(again)
    };
    // A file of the store's, as it was before.
    let same = |fs: Fs| {
        let take = match fs {
            Fs::Vfat => "MTOOLS_SKIP_CHECK=1 mtype -i \"$disk@@1M\" ::/boot/x.iso-cowfile",
            _ => "debugfs -R 'cat /boot/x.iso-cowfile' \"$disk?offset=1048576\" 2>/dev/null",
        };
        disk(
            0,
            "the file is as it was",
            format!("for disk in \"$1\" \"$2\"; do {take} | sha256sum; done | uniq | wc -l | grep -qx 1"),
        )
    };
    let mut list = Vec::new();
    for (name, fs) in [("FAT", Fs::Vfat), ("ext4", Fs::Ext4)] {
        list.push(scenario(
            format!("field/SD-6 the cow file of a stick made for KIWI, {name}"),
            keeps(boot(with(fs, Recipe::Zeros(48)), "/dev/disk/by-label/STORE", FILE)),
        ));
        list.push(scenario(
            format!("field/SD-6 a cow file that holds something else, {name}"),
            boot(with(fs, Recipe::Text("a letter\n")), "LABEL=STORE", FILE)
                .expect(persistence("temporary"))
                .expect(says_what_to_do("changes are not kept over a reboot"))
                .expect(console_says("kiwi_cowsystem=/boot/x.iso-cowfile.new"))
                .expect(same(fs)),
        ));
    }
    let other = store(Fs::Ext4, vec![(FILE, Recipe::Zeros(48))], 8);
    let (iso_alone, named) = (store(Fs::Vfat, vec![("x.iso", iso())], 8), "/dev/{1.1}");
    list.push(scenario(
        "field/SD-6 the cow file on another disk, by its node",
        keeps(boot(iso_alone, named, FILE).and(changed(other, RELABELLED), Bus::Disk)),
    ));
    list.push(scenario(
        "field/SD-6 no cow file yet",
        keeps(
            boot(with(Fs::Vfat, Recipe::Text("a letter\n")), "LABEL=STORE", "new/x").kargs("rd.live.cowfile.mbsize=36"),
        ),
    ));
    list
}

/// There is one STORE.
const RELABELLED: &str = "e2label \"$1?offset=1048576\" OTHER";

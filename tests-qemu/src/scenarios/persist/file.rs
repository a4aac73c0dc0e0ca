//! The cow file beside an ISO file: T-38 to T-42.

use super::outside::{look, untouched};
use super::*;

/// Host file systems: its name, the driver, how the cow file is taken out of `$1.part` to `$1.cow`.
const HOSTS: &[(&str, Fs, &str, &str)] = &[
    ("vfat", Fs::Vfat, "vfat", r#"MTOOLS_SKIP_CHECK=1 mcopy -i "$1.part" "::/$path" "$1.cow""#),
    ("exfat", Fs::Exfat, "exfat", EXFAT),
    ("ntfs", Fs::Ntfs, "ntfs3", r#"ntfscat "$1.part" "/$path" > "$1.cow""#),
    ("ext4", Fs::Ext4, "ext4", r#"debugfs -R "dump /$path $1.cow" "$1.part" 2>/dev/null"#),
    ("xfs", Fs::Xfs, "xfs", MOUNTED),
    ("btrfs", Fs::Btrfs, "btrfs", MOUNTED),
];

const MOUNTED: &str = r#"mkdir -p "$1.at"; mount -o loop,ro "$1.part" "$1.at"; trap 'umount "$1.at"' EXIT
    cp --sparse=always "$1.at/$path" "$1.cow""#;

const EXFAT: &str = r#"mkdir -p "$1.at"; mount -t exfat-fuse -o loop,ro "$1.part" "$1.at" >/dev/null
    trap 'umount "$1.at"' EXIT; cp "$1.at/$path" "$1.cow""#;

/// ntfsfix marks the volume, so that Windows checks it.
const DIRTY_NTFS: &str = r#"
    dd if="$1" of="$1.ntfs" bs=1M skip=1 conv=sparse status=none; ntfsfix "$1.ntfs" >/dev/null
    ntfsinfo -fm "$1.ntfs" 2>/dev/null | grep 'Volume Flags.*DIRTY' >/dev/null
    dd if="$1.ntfs" of="$1" bs=1M seek=1 conv=notrunc status=none; rm "$1.ntfs""#;

fn take_out(fs: Fs) -> &'static str {
    HOSTS.iter().find(|(_, host, ..)| *host == fs).map_or("false", |(.., script)| script)
}

/// The host is sound; the file at the path has this many MiB, an ext4 without a label, clean, with this text in `/kept`.
pub(super) fn cow(fs: Fs, path: &str, mib: u64, text: &str) -> Check {
    look(
        "the host is sound and holds the cow file",
        &format!(
            r#"path={path}; cut_out "$1" 1; sound "$1.part"
            {}
            [ $(stat -c %s "$1.cow") = {} ] || fail "it has $(stat -c %s "$1.cow") bytes"
            [ "$(blkid -p -o value -s LABEL "$1.cow")" = "" ] || fail "it has a label"
            sound "$1.cow"
            found=$(debugfs -R "cat /rw/kept" "$1.cow" 2>/dev/null); [ "$found" = "{text}" ] || fail "it keeps '$found'""#,
            take_out(fs),
            mib << 20
        ),
    )
}

fn beside_iso(fs: Fs, room: u64) -> Recipe {
    store(fs, vec![("live.iso", iso())], room)
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list: Vec<_> = HOSTS
        .iter()
        .map(|&(name, fs, driver, _)| scenario(format!("persist/T-38 T-39 cow file on {name}"), twice(fs, driver)))
        .collect();
    list.extend([default_size(), in_a_directory(), reset(), beside_its_own_stick()]);
    list.extend(refusals());
    list
}

/// The second boot asks for another size, and gets the file that is there.
fn twice(fs: Fs, driver: &'static str) -> Boot {
    let boot = host(beside_iso(fs, 64));
    let second = boot.again().kargs("rd.live.cowfile.mbsize=56");
    keeps(writes(boot, "first"), "file")
        .expect(report_says("live_system.cow on /dev/{0.1}"))
        .expect(mounted("/run/initramfs/isoscan", driver))
        .expect(mount_option("/run/initramfs/isoscan", "rw"))
        .expect(mounted("/run/overlay/overlayfs", "ext4"))
        .expect(cow(fs, "live_system.cow", 48, "first"))
        .then(keeps(second, "file").expect(file_is("/kept", "first")).expect(cow(fs, "live_system.cow", 48, "first")))
}

fn default_size() -> Scenario {
    let boot = stick(beside_iso(Fs::Vfat, 520)).on(Bus::Disk).kargs("iso-scan/filename=/live.iso").deadline(400);
    scenario(
        "persist/T-38 the default size, on vfat",
        keeps(writes(boot, "first"), "file").expect(cow(Fs::Vfat, "live_system.cow", 500, "first")),
    )
}

fn in_a_directory() -> Scenario {
    let boot = host(beside_iso(Fs::Ext4, 64)).kargs("rd.live.cowfile.path=/data/deep/x.cow");
    let again = boot.again();
    scenario(
        "persist/T-40 directories of the path are made",
        keeps(writes(boot, "first"), "file")
            .expect(report_says("data/deep/x.cow"))
            .expect(cow(Fs::Ext4, "data/deep/x.cow", 48, "first"))
            .then(keeps(again, "file").expect(file_is("/kept", "first"))),
    )
}

/// kiwi-live took the other stick for the boot disk and added a partition to it (W-04).
fn beside_its_own_stick() -> Scenario {
    let boot = host(beside_iso(Fs::Ext4, 64)).and(hybrid(Table::Gpt, 96), Bus::Stick);
    scenario(
        "persist/W-04 a stick with the same image, beside the ISO file",
        keeps(writes(boot, "first"), "file")
            .expect(report_says("live_system.cow on /dev/"))
            .expect(cow(Fs::Ext4, "live_system.cow", 48, "first"))
            .expect(untouched(1)),
    )
}

fn reset() -> Scenario {
    let boot = host(beside_iso(Fs::Ext4, 64));
    let (second, third) = (boot.again().kargs("rd.live.overlay.reset"), boot.again());
    scenario(
        "persist/T-38 a reset of the cow file",
        keeps(writes(boot, "first"), "file")
            .then(keeps(second, "file").expect(file_absent("/kept")).expect(report_says("reset: removed")).expect(cow(
                Fs::Ext4,
                "live_system.cow",
                48,
                "",
            )))
            .then(keeps(third, "file").expect(file_absent("/kept"))),
    )
}

/// The cow file is the same but for the kernel's own note of an error.
fn same_file() -> Check {
    look(
        "keeps every byte of the file but the kernel's own note of the error in its superblock",
        r#"for f in "$1" "$2"; do cp --sparse=always "$f" "$1.disk"; cut_out "$1.disk" 1
                        debugfs -R "dump /live_system.cow $1.cow" "$1.disk.part" 2>/dev/null
                        [ -s "$1.cow" ] || fail "no file"
                        dd if=/dev/zero of="$1.cow" bs=1024 seek=1 count=1 conv=notrunc status=none; sha256sum < "$1.cow"
                    done | uniq | wc -l | grep -qx 1"#,
    )
}

/// The cow file is as long as it was, and still an ext4.
fn still_there() -> Check {
    look(
        "has the cow file where it was",
        r#"of() { cp --sparse=always "$1" "$1.disk"; cut_out "$1.disk" 1
               debugfs -R "dump /live_system.cow $1.cow" "$1.disk.part" 2>/dev/null
               echo "$(stat -c %s "$1.cow") bytes$(od -An -tx2 -j 1080 -N2 "$1.cow")"; }
           now=$(of "$1"); [ "$now" = "$(of "$2")" ] && [[ $now = *" ef53" ]] || fail "it is now $now""#,
    )
}

/// Hosts on which there can be no file, and files that are no cow file.
fn refusals() -> Vec<Scenario> {
    let garbage = || store(Fs::Ext4, vec![("live.iso", iso()), ("live_system.cow", Recipe::Text("my thesis\n"))], 64);
    let required = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent=required";
    // The superblock is there, what it describes is not.
    let broken = changed(
        image(Fs::Ext4),
        r#"head -c 8M /dev/zero | tr '\0' x | dd of="$1" bs=4096 seek=1 iflag=fullblock conv=notrunc status=none"#,
    );
    let damaged = || host(store(Fs::Ext4, vec![("live.iso", iso()), ("live_system.cow", broken.clone())], 64));
    vec![
        scenario(
            "persist/T-41 5000 MiB on FAT",
            forgets(host(beside_iso(Fs::Vfat, 64)).kargs("rd.live.cowfile.mbsize=5000"), "files end at 4 GiB")
                .expect(untouched(0)),
        ),
        scenario(
            "persist/a full stick",
            forgets(host(beside_iso(Fs::Ext4, 8)), "/dev/{0.1} has").expect(report_says("mbsize")).expect(untouched(0)),
        ),
        scenario(
            "persist/a full stick, and it is required",
            host(beside_iso(Fs::Ext4, 8)).root(required).expect(stops_with("RDL-050")).expect(untouched(0)),
        ),
        scenario(
            "persist/T-25 write protection on the stick with the ISO file",
            forgets(host(beside_iso(Fs::Ext4, 64)).locked(), "/dev/{0.1} refuses writes").expect(untouched(0)),
        ),
        scenario(
            "persist/T-42 a file of that name that is something else",
            forgets(host(garbage()), "kept as it is")
                .expect(look(
                    "keeps the file",
                    r#"cut_out "$1" 1; debugfs -R "cat /live_system.cow" "$1.part" 2>/dev/null | grep -qx 'my thesis'"#,
                ))
                .expect(untouched(0))
                .then(forgets(host(garbage()), "kept as it is").expect(untouched(0))),
        ),
        scenario(
            "persist/T-42 a cow file with a broken file system",
            forgets(damaged(), "RDL-052")
                .expect(mount_option("/run/initramfs/isoscan", "ro"))
                .expect(same_file())
                // With the kernel's note it has met an error, and e2fsck repairs what it can before it gives up.
                .then(forgets(damaged(), "RDL-052").expect(still_there())),
        ),
        scenario(
            "persist/T-42 a cow file with a broken file system is made anew when a reset asks for it",
            keeps(
                writes(
                    host(store(Fs::Ext4, vec![("live.iso", iso()), ("live_system.cow", broken.clone())], 64)),
                    "new",
                )
                .root(&required.replace("=required", "=accept"))
                .kargs("rd.live.overlay.reset"),
                "file",
            )
            .expect(report_says("reset was asked for"))
            .expect(cow(Fs::Ext4, "live_system.cow", 48, "new")),
        ),
        scenario(
            "persist/T-42 a broken cow file on vfat, and it is required",
            host(store(Fs::Vfat, vec![("live.iso", iso()), ("live_system.cow", broken)], 64))
                .root(required)
                .expect(stops_with("RDL-052")),
        ),
        scenario(
            "persist/an NTFS that was not cleanly unmounted",
            forgets(host(changed(beside_iso(Fs::Ntfs, 64), DIRTY_NTFS)), "chkdsk").expect(untouched(0)),
        ),
        scenario(
            "persist/a machine with a hibernated system",
            forgets(host(beside_iso(Fs::Ext4, 64)).and(asleep::sleeping(), Bus::Disk), "hibernated")
                .expect(untouched(0))
                .expect(untouched(1)),
        ),
        scenario(
            "persist/a named place in a machine with a hibernated system",
            forgets(
                Boot::from(iso())
                    .and(folder(Fs::Ext4, "HOME", vec![("letter", Recipe::Text("dear"))]), Bus::Disk)
                    .and(asleep::sleeping(), Bus::Disk)
                    .root("root=live:CDLABEL=ISO rd.live.image rd.overlay=LABEL=HOME")
                    .kargs("lab.shutdown")
                    .writable(),
                "hibernated",
            )
            .expect(untouched(1)),
        ),
    ]
}

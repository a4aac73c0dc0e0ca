//! Images that are fetched onto a disk, and then boot from there alone (kiwi-live spec T-55 to T-60, seed-audit SD-7, SD-12 to SD-15, SD-26).

use super::{Scenario, Work, scenario};
use crate::boot::{Boot, Firmware};
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;
use crate::net::{DOLLY_CLIENT, Dolly, Net, Serve};
use crate::powercut::Deployment;

const URL: &str = "root=live:http://10.9.0.1/live.iso";
/// It has room for an xfs behind the image.
const DISK: u32 = 420;

/// The last partition reaches into the disk's last MiB, and its LVM is behind the image.
const LVM: &str = r#"
    printf 'label: gpt\nlabel-id: 11111111-2222-3333-4444-555555555555\nstart=2048,size=20480\nstart=409600,size=450526\n' | sfdisk -q "$1"
    printf LABELONE | dd of="$1" bs=512 seek=409601 conv=notrunc status=none"#;

fn disk(mib: u32, script: &str) -> Recipe {
    changed(Recipe::Text(""), &format!("truncate -s {mib}M \"$1\"; {script}"))
}

fn blank() -> Recipe {
    disk(DISK, "")
}

fn serving(server: Serve) -> Net {
    Net::new().serve(Serve::Dhcp(vec![])).serve(server)
}

fn http() -> Net {
    serving(Serve::Http(vec![("/live.iso", hybrid(Table::Gpt, 0))]))
}

/// A machine with that disk, which is the target.
fn onto(target: Recipe) -> Boot {
    Boot::nothing()
        .and(target, Bus::Disk)
        .mode(Mode::Native)
        .net(http())
        .root(URL)
        .kargs("rd.minmem=64 rd.retry=30 rd.kiwi.live.system=/dev/{0} lab.shutdown")
        .writable()
}

/// The server, the cable and all kargs of a network are gone.
fn alone(first: &Boot) -> Boot {
    first.again().net(Net::new()).expect(overlay_root()).expect(console_says("no network is needed for it"))
}

/// It ends, and the disk is as it was.
fn refused(target: Recipe, code: &'static str) -> Boot {
    onto(target).kargs("rd.retry=8").keep_after_failure().expect(stops_with(code)).expect(untouched())
}

fn untouched() -> Check {
    disk_check("is as it was", "cmp \"$1\" \"$2\"")
}

fn disk_check(what: &'static str, script: &str) -> Check {
    crate::check::disk(0, what, script)
}

/// The image is there, and of us at the disk's end nothing but its mark.
fn deployed() -> Check {
    disk_check(
        "holds the image, and its mark at the end",
        r#"
        [ "$(dd if="$1" bs=1 skip=32769 count=5 status=none)" = CD001 ]
        [ "$(tail -c 1048576 "$1" | head -c 16)" = "rdlive deploying" ]
        [ "$(tail -c 1044480 "$1" | tr -d '\0' | wc -c)" = 0 ]"#,
    )
}

/// The other disk was not written to.
fn other_untouched() -> Check {
    crate::check::disk(1, "is as it was", "cmp \"$1\" \"$2\"")
}

/// Disks that have other names at the next boot: the image is found by its mark, without a network.
fn moved() -> Vec<Scenario> {
    let two = |other: Recipe| onto(blank()).and(other, Bus::Disk);
    // With a server that has the image, nobody would see where it comes from.
    let next = |first: &Boot| first.again().net(Net::new()).expect(overlay_root()).expect(other_untouched());
    let persistent = || two(disk(420, "")).kargs("rd.live.overlay.persistent rd.live.overlay.cowfs=ext4");
    let foreign = "mke2fs -q -t ext4 \"$1\"";
    let cut = onto(blank()).and(disk(DISK, ""), Bus::Disk);
    vec![
        scenario(
            "deploy/SD-7 K22 two disks have changed places: the mark counts",
            persistent().kargs("lab.write=/kept:first").expect(persistence("partition")).then(
                next(&persistent())
                    .kargs("rd.kiwi.live.system=/dev/{1}")
                    .expect(console_says("is on /dev/{0}, not on /dev/{1}, which rd.kiwi.live.system= names"))
                    .expect(persistence("partition"))
                    .expect(file_is("/kept", "first"))
                    .expect(report_lacks("network (")),
            ),
        ),
        scenario(
            "deploy/SD-7 K22 the name is that of a foreign disk now, which stays as it was",
            two(disk(64, foreign)).expect(overlay_root()).then(
                next(&two(disk(64, foreign)))
                    .kargs("rd.kiwi.live.system=/dev/{1}")
                    .expect(console_says("not on /dev/{1}"))
                    .expect(report_lacks("network (")),
            ),
        ),
        scenario(
            "deploy/SD-7 K22 no disk has the name now",
            two(disk(64, foreign)).expect(overlay_root()).then(
                next(&two(disk(64, foreign)))
                    .kargs("rd.kiwi.live.system=/dev/sdz")
                    .expect(console_says("not on /dev/sdz"))
                    .expect(root_within(8.0))
                    .expect(report_lacks("network (")),
            ),
        ),
        scenario(
            "deploy/K22 an image of another URL is no reason to leave the named disk",
            cut.expect(overlay_root()).then(
                onto(blank())
                    .and(disk(DISK, ""), Bus::Disk)
                    .root("root=live:http://10.9.0.1/other.iso")
                    .net(serving(Serve::Http(vec![("/other.iso", hybrid(Table::Gpt, 0))])))
                    .kargs("rd.kiwi.live.system=/dev/{1}")
                    .expect(overlay_root())
                    .expect(report_says("fetch http://10.9.0.1/other.iso to /dev/{1}, which must be empty"))
                    .expect(crate::check::disk(
                        0,
                        "still holds its image",
                        "[ \"$(dd if=\"$1\" bs=1 skip=32769 count=5 status=none)\" = CD001 ]",
                    )),
            ),
        ),
    ]
}

/// The disk boots by its firmware, without a kernel from elsewhere and without a network.
fn by_firmware() -> Vec<Scenario> {
    let iso = || super::firmware::built(&[]);
    let first = || onto(disk(1024, "")).net(serving(Serve::Http(vec![("/live.iso", iso())])));
    [(Firmware::SeaBios, "SeaBIOS"), (Firmware::Ovmf, "OVMF")]
        .map(|(firmware, name)| {
            let alone = first().again().firmware(firmware).net(Net::new()).memory(1536);
            let next = alone.expect(overlay_root()).expect(persistence("temporary"));
            scenario(format!("deploy/SD-7 the disk boots by {name}"), first().expect(overlay_root()).then(next))
                .with_all()
        })
        .into()
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = written();
    list.extend(by_firmware());
    list.extend(moved());
    list.extend(kept());
    list.extend(refusals());
    list.extend(faults());
    list.extend(names());
    list.extend(by_dolly());
    list.extend(cuts());
    list
}

fn written() -> Vec<Scenario> {
    let first = onto(blank());
    let by_ftp = onto(blank()).net(serving(Serve::Ftp(vec![("/live.iso", hybrid(Table::Gpt, 0))], None)));
    let cut = "printf x | dd of=\"$1\" bs=1 seek=$((300 << 20)) conv=notrunc status=none";
    let given = "rd.kiwi.live.system.wipe=UUID=11111111-2222-3333-4444-555555555555";
    let foreign = "mke2fs -q -t ext4 -U 11111111-2222-3333-4444-555555555555 \"$1\"";
    vec![
        scenario(
            "deploy/T-55 T-59 SD-7 an ISO over HTTP onto a blank disk, and then without a network",
            onto(blank())
                .expect(overlay_root())
                .expect(console_says("fetching http://10.9.0.1/live.iso"))
                .expect(report_says("fetch http://10.9.0.1/live.iso to /dev/{0}, which must be empty"))
                .expect(deployed())
                .then(alone(&first).expect(report_lacks("network ("))),
        ),
        scenario(
            "deploy/T-55 seed 002: FTP, ramdisk_size= and a disk",
            by_ftp
                .root("root=live:ftp://10.9.0.1/live.iso")
                .kargs("ip=dhcp ramdisk_size=1000")
                .expect(overlay_root())
                .expect(console_says("no RAM is taken for it"))
                .expect(deployed()),
        ),
        scenario(
            "deploy/a disk that is given away by the UUID of what is on it",
            onto(disk(DISK, foreign)).kargs(given).expect(overlay_root()).expect(deployed()),
        ),
        scenario(
            "deploy/SD-26 K22 a disk that is given away by its PTUUID, and what LVM would find on it is gone",
            onto(disk(DISK, LVM))
                .kargs("rd.kiwi.live.system.wipe=PTUUID=11111111-2222-3333-4444-555555555555")
                .expect(overlay_root())
                .expect(report_says("in place of what is there"))
                .expect(deployed())
                .expect(disk_check("has no trace of LVM", "! grep -q LABELONE \"$1\"")),
        ),
        scenario(
            "deploy/SD-13 a squashfs onto a partition, whose table stays",
            onto(disk(DISK, "printf 'label: gpt\\nstart=2048,size=204800\\nsize=204800\\n' | sfdisk -q \"$1\""))
                .net(serving(Serve::Http(vec![(
                    "/live.iso",
                    folder(Fs::Squashfs("zstd"), "", vec![("LiveOS/rootfs.img", image(Fs::Ext4))]),
                )])))
                .kargs("rd.kiwi.live.system=/dev/{0.2}")
                .expect(overlay_root())
                .expect(disk_check(
                    "has the same table, and nothing in the first partition",
                    r#"cmp <(sfdisk -d "$1" | sed '/^device/d; s/.*: start/start/') <(sfdisk -d "$2" | sed '/^device/d; s/.*: start/start/')
                    cmp -n $((101 << 20)) "$1" "$2""#,
                )),
        ),
        scenario(
            "deploy/T-55 an ISO over HTTP onto a disk, dracut 106",
            onto(blank()).mode(Mode::Dracut106).kargs("rd.retry=60").expect(overlay_root()).expect(deployed()),
        ),
        scenario(
            "deploy/what looks empty and is not",
            refused(disk(DISK, cut), "RDL-073").expect(report_says("is not empty")),
        ),
    ]
}

/// Changes on a deployed disk.
fn kept() -> Vec<Scenario> {
    let persistent = || onto(blank()).kargs("rd.live.overlay.persistent rd.live.overlay.cowfs=xfs");
    let first = persistent();
    let renewed = first.again().kargs("rd.kiwi.live.reset");
    vec![
        scenario(
            "deploy/T-56 changes are kept on a disk, in an xfs",
            persistent()
                .kargs("lab.write=/kept:first")
                .expect(overlay_root())
                .expect(persistence("partition"))
                .expect(mounted("/run/overlay/overlayfs", "xfs"))
                .then(alone(&first).expect(persistence("partition")).expect(file_is("/kept", "first"))),
        ),
        scenario(
            "deploy/T-58 SD-15 a reset fetches the image again, and nothing of before is there",
            persistent().kargs("lab.write=/kept:first").expect(persistence("partition")).then(
                renewed
                    .expect(overlay_root())
                    .expect(report_says("in place of what is there"))
                    .expect(persistence("partition"))
                    .expect(file_absent("/kept"))
                    .then(alone(&first).expect(file_absent("/kept"))),
            ),
        ),
        scenario(
            "deploy/a reset by what the disk holds: the disk is meant, and not its first partition",
            onto(blank()).expect(overlay_root()).then(
                first
                    .again()
                    .kargs("rd.kiwi.live.system=LABEL=ISO rd.kiwi.live.reset rd.live.overlay.persistent=0")
                    .expect(overlay_root())
                    .expect(report_says("to /dev/{0}, in place of what is there"))
                    .expect(deployed()),
            ),
        ),
    ]
}

fn refusals() -> Vec<Scenario> {
    let foreign = "printf 'label: gpt\\nstart=2048,size=20480\\n' | sfdisk -q \"$1\"";
    vec![
        scenario(
            "deploy/T-57 SD-26 a disk with a table is refused, with the karg to type",
            refused(disk(DISK, foreign), "RDL-073")
                .expect(report_says("holds a table with 1 partition"))
                .expect(console_says("rd.kiwi.live.system.wipe=")),
        ),
        scenario(
            "deploy/T-58 a reset is no consent",
            refused(disk(DISK, "mke2fs -q -t ext4 \"$1\""), "RDL-073")
                .kargs("rd.kiwi.live.reset")
                .expect(report_says("holds ext4")),
        ),
        scenario(
            "deploy/SD-26 a kernel's name gives nothing away",
            refused(disk(DISK, "mke2fs -q -t ext4 \"$1\""), "RDL-073")
                .kargs("rd.kiwi.live.system.wipe=/dev/{0}")
                // The disk of one machine has a serial number, that of the other has none.
                .expect(report_says("a name that stays with the disk or ends with its content, not /dev/{0}"))
                .expect(report_says("if nothing on it is needed: rd.kiwi.live.system.wipe="))
                .expect(report_lacks("system.wipe=/dev/{0}")),
        ),
        scenario(
            "deploy/a disk that is too small",
            refused(disk(3, ""), "RDL-074").expect(report_says("and the disk holds 2 MiB")),
        ),
        scenario(
            "deploy/T-60 a disk that is not there",
            refused(blank(), "RDL-074").kargs("rd.kiwi.live.system=/dev/disk/by-id/nothing rd.retry=4"),
        ),
        scenario(
            "deploy/the server has nothing, and the disk stays as it was",
            refused(blank(), "RDL-071").root("root=live:http://10.9.0.1/nothing.iso").expect(report_says("404")),
        ),
        scenario(
            "deploy/another sum than was given: nothing that boots is on the disk",
            onto(blank())
                .kargs("rd.live.sha256=00000000000000000000000000000000000000000000000000000000000000aa")
                .keep_after_failure()
                .expect(stops_with("RDL-072"))
                .expect(disk_check("begins with zeros", "cmp -n 1040384 \"$1\" /dev/zero"))
                .then(onto(blank()).expect(overlay_root()).expect(deployed())),
        ),
    ]
}

/// Disks that do not do what they should.
fn faults() -> Vec<Scenario> {
    vec![
        scenario(
            "deploy/a disk that is write-protected",
            // Nothing is asked of the network before that is seen.
            onto(blank())
                .locked()
                .kargs("rd.retry=8")
                .keep_after_failure()
                .expect(stops_with("RDL-074"))
                .expect(report_says("/dev/{0} is write-protected"))
                .expect(report_lacks("network (")),
        ),
        scenario(
            "deploy/a disk that fails while it is written to",
            onto(blank())
                .unwritable(4000)
                .kargs("rd.retry=8")
                .keep_after_failure()
                .expect(stops_with("RDL-074"))
                .expect(report_says("/dev/{0}: writing the image failed: I/O error"))
                .expect(report_says("see dmesg; name another disk"))
                .expect(disk_check("begins with zeros", "cmp -n 1040384 \"$1\" /dev/zero")),
        ),
        scenario(
            "deploy/a slow disk is not taken for a silent server",
            onto(blank())
                .slow(200_000)
                .expect(overlay_root())
                .expect(console_says("the disk is slow"))
                .expect(console_lacks("nothing comes"))
                .expect(deployed()),
        ),
    ]
}

/// Names of partitions are made of the file's, so they are left out.
fn same_table() -> Check {
    disk_check(
        "has the same table",
        r#"cmp <(sfdisk -d "$1" | sed '/^device/d; s/.*: start/start/') <(sfdisk -d "$2" | sed '/^device/d; s/.*: start/start/')"#,
    )
}

/// SD-13: each name that a medium may have.
fn names() -> Vec<Scenario> {
    let table = r#"printf 'label: gpt\nstart=2048,size=20480\nsize=204800,name=target,uuid=11111111-2222-3333-4444-555555555555\n' |
        sfdisk -q "$1""#;
    let onto_part = |name: &str| {
        let squashfs = folder(Fs::Squashfs("zstd"), "", vec![("LiveOS/rootfs.img", image(Fs::Ext4))]);
        onto(disk(DISK, table))
            .net(serving(Serve::Http(vec![("/live.iso", squashfs)])))
            .kargs(&format!("rd.kiwi.live.system={name} rd.live.overlay.persistent"))
            .expect(overlay_root())
            .expect(report_says("to /dev/{0.2}, which must be empty"))
            .expect(persistence("temporary"))
            .expect(same_table())
    };
    vec![
        scenario("deploy/SD-13 a partition by its PARTLABEL", onto_part("PARTLABEL=target")),
        scenario(
            "deploy/SD-13 a partition by its PARTUUID",
            onto_part("PARTUUID=11111111-2222-3333-4444-555555555555"),
        ),
    ]
}

/// network.md N-D7 and N-D8, to a disk.
fn by_dolly() -> Vec<Scenario> {
    let from = |what| {
        let net = Net::new().serve(Serve::Dhcp(vec![DOLLY_CLIENT]));
        onto(blank())
            .root("root=live:dolly://10.9.0.1/live.iso")
            .net(net.serve(Serve::Dolly(hybrid(Table::Gpt, 0), what)))
    };
    let second = Dolly { second: true, ..Dolly::default() };
    vec![
        scenario(
            "deploy/N-D7 dolly onto a disk",
            from(second).expect(overlay_root()).expect(dolly_says("the client echoed")).expect(deployed()),
        ),
        scenario(
            "deploy/N-D8 the dolly server dies half way, and the next boot has all of it",
            from(Dolly { dies: true, ..second })
                .kargs("rd.retry=6")
                .keep_after_failure()
                .expect(stops_with("RDL-071"))
                .expect(disk_check("begins with zeros", "cmp -n 1040384 \"$1\" /dev/zero"))
                .then(onto(blank()).expect(overlay_root()).expect(deployed())),
        ),
    ]
}

/// Power cuts of a deployment: 100 of them in each run.
fn cuts() -> Vec<Scenario> {
    // It has bytes that a disk of zeros has not, as much as takes a few notes.
    let image = || changed(hybrid(Table::Gpt, 0), "seq 1 2000000 >> \"$1\"; truncate -s 10M \"$1\"");
    let other = || disk(4, "seq 1 100000 | dd of=\"$1\" conv=notrunc status=none");
    let old = || hybrid(Table::Mbr, 30);
    [("onto an empty disk", disk(32, ""), "", 60, 400), ("in place of an image", old(), "rd.kiwi.live.reset", 40, 300)]
        .map(|(name, disk, once, count, many)| Scenario {
            name: format!("power/T-55 an image {name}"),
            work: Work::Deployment(Box::new(Deployment { image: image(), disk, other: other(), once, count, many })),
            tag: None,
        })
        .into()
}

//! Images that are fetched onto a disk, and then boot from there alone (kiwi-live spec T-55 to T-60, seed-audit SD-7, SD-12 to SD-15, SD-26).

use super::{Scenario, scenario};
use crate::boot::{Boot, Firmware};
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;
use crate::net::{Net, Serve};

const URL: &str = "root=live:http://10.9.0.1/live.iso";
/// It has room for an xfs behind the image.
const DISK: u32 = 420;

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

/// The image is there to its last byte, and the disk's last MiB is nobody's. What an area's partition changes in the table is left out.
fn deployed() -> Check {
    disk_check(
        "holds the image, and nothing of ours at its end",
        r#"
        [ "$(dd if="$1" bs=1 skip=32769 count=5 status=none)" = CD001 ]
        [ "$(tail -c 1048576 "$1" | tr -d '\0' | wc -c)" = 0 ]"#,
    )
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
    list.extend(kept());
    list.extend(refusals());
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
            "deploy/T-55 SD-7 an ISO over HTTP onto a blank disk, and then without a network",
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
                    r#"cmp <(sfdisk -d "$1") <(sfdisk -d "$2" | sed "s:$2:$1:g")
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
                .expect(report_says("wipe=UUID=")),
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

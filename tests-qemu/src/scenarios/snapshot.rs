//! Roots that are a device-mapper device: dracut-live spec 2.7, 7.2 B2 … B23, 7.3 C3 … C16, 7.4 H1.

use super::persist::outside::{untouched, with_functions};
use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::guest::Tree;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;
use crate::outcome::End;

/// A shell on the console types `commands` and then reports.
fn shell(boot: Boot, commands: &str) -> Boot {
    boot.kargs("init=/bin/sh").on_text("# ", &format!("{commands}; exec lab-guest report\n"))
}

/// Says WORD-OK when a line of `rdlive report` in the live system matches.
fn reports(pattern: &str, word: &str) -> String {
    format!("/run/rdlive/rdlive report | busybox grep -E '{pattern}' && echo {word}''-OK")
}

const SNAPSHOT: &str = "^mapped +live-rw: 0 [0-9]+ snapshot 7:[0-9]+ 7:[0-9]+ PO 8$";
const LINEAR: &str = "^mapped +live-rw: 0 [0-9]+ linear 7:[0-9]+ 0$";

/// F1 with an ext4 root image on a partition.
fn bare() -> Recipe {
    Recipe::Partition(Box::new(folder(Fs::Ext4, "dracut", vec![("LiveOS/rootfs.img", image(Fs::Ext4))])))
}

fn on_disk() -> Boot {
    Boot::from(bare()).on(Bus::Disk).root("root=live:/dev/disk/by-label/dracut")
}

/// F2, as a CD.
fn on_cd() -> Boot {
    Boot::from(nested_iso()).root("root=live:CDLABEL=ISO")
}

/// Says BASE-OK when live-base shows what live-rw is made from, the whole of it, read-only.
const BASE: &str = "r=$(/run/rdlive/rdlive report); one() { echo \"$r\" | busybox sed -n \"s/^mapped  *$1/\\\\1 \\\\2/p\"; }; \
    b=$(one 'live-base: 0 \\([0-9]*\\) linear \\(7:[0-9]*\\) 0$'); o=$(one 'live-rw: 0 \\([0-9]*\\) snapshot \\(7:[0-9]*\\) .*'); \
    for d in /sys/block/dm-*; do [ $(cat $d/dm/name) = live-base ] && ro=$(cat $d/ro); done; \
    echo \"$b, $o, $ro\"; [ -n \"$b\" ] && [ \"$b\" = \"$o\" ] && [ $ro = 1 ] && echo BASE''-OK";

/// The root is a snapshot of the image, as B2 and B5 have it.
pub(super) fn is_snapshot(boot: Boot) -> Boot {
    is_snapshot_and(boot, "true")
}

/// As [`is_snapshot`], with more to be typed.
pub(super) fn is_snapshot_and(boot: Boot, commands: &str) -> Boot {
    shell(boot, &format!("{}; {BASE}; {commands}", reports(SNAPSHOT, "TABLE")))
        .expect(mapped_root())
        .expect(marker("tiny"))
        .expect(console_says("TABLE-OK"))
        .expect(console_says("BASE-OK"))
        .expect(exists("/dev/mapper/live-base"))
        .expect(link_below("/dev/live-base", "/dev/loop"))
}

fn is_linear(boot: Boot, commands: &str) -> Boot {
    shell(boot, &format!("{}; {commands}", reports(LINEAR, "TABLE")))
        .expect(mapped_root())
        .expect(marker("tiny"))
        .expect(console_says("TABLE-OK"))
}

/// F10: a second disk with a store of zeros where dracut looks for one.
fn with_store(boot: Boot) -> Boot {
    let zeros = Recipe::Grown(Box::new(Recipe::Text("")), 32);
    let files = vec![("LiveOS/overlay-ISO-2026-01-02-03-04-05-00", zeros)];
    boot.and(Recipe::Partition(Box::new(folder(Fs::Ext4, "P", files))), Bus::Disk)
        .kargs("rd.live.overlay=LABEL=P rd.live.overlay.nouserconfirmprompt")
}

const KEEP: &str = "echo kept > /kept; sync";
const KEPT: &str = "busybox grep kept /kept && echo STILL''-THERE";
const GONE: &str = "[ -e /kept ] || echo KEPT''-GONE";

/// C3: what the first boot wrote is there in the second.
fn twice(mode: Mode) -> Boot {
    let first = with_store(on_cd()).mode(mode);
    let second = first.again();
    shell(first, &format!("{}; {KEEP}", reports(SNAPSHOT, "TABLE")))
        .expect(mapped_root())
        .expect(console_says("TABLE-OK"))
        .expect(persistence("named"))
        .expect(no_fallbacks())
        .then(shell(second, KEPT).expect(mapped_root()).expect(console_says("STILL-THERE")))
}

/// SD-29: where nothing is at the path that is named, and a size is given, the first boot makes a store there, and the second uses it.
fn new_store(fs: Fs, mode: Mode) -> Boot {
    let first = beside(fs).kargs("rd.live.overlay.size=64").mode(mode);
    let second = first.again();
    let made = format!(
        "{}; cd /run/initramfs/overlayfs; [ $(busybox stat -c %s store) = $((64 << 20)) ] && echo SIZE''-OK;          [ -s store.rdlive-identity ] && echo MARK''-OK; [ $(busybox stat -c %b store) -lt 100000 ] && echo HOLES''-OK; cd /; {KEEP}",
        reports(SNAPSHOT, "TABLE")
    );
    let mut first = shell(first, &made)
        .expect(mapped_root())
        .expect(persistence("named"))
        .expect(no_fallbacks())
        .expect(report_says("made the store /run/initramfs/overlayfs/store of 64 MiB"));
    for word in ["TABLE-OK", "SIZE-OK", "MARK-OK"] {
        first = first.expect(console_says(word));
    }
    // FAT and exFAT have no holes.
    if fs == Fs::Ext4 {
        first = first.expect(console_says("HOLES-OK"));
    }
    let second =
        shell(second, KEPT).expect(mapped_root()).expect(no_fallbacks()).expect(report_lacks("made the store"));
    first.then(second.expect(console_says("STILL-THERE")))
}

/// A CD, and a disk with a file of somebody on which the path `/store` is named.
fn beside(fs: Fs) -> Boot {
    on_cd()
        .and(store(fs, vec![("letter.txt", Recipe::Text("a letter"))], 96), Bus::Disk)
        .kargs("rd.live.overlay=LABEL=STORE:/store rd.live.overlay.nouserconfirmprompt")
}

/// B19: the image itself is written.
fn image_twice(mode: Mode) -> Boot {
    let first = on_disk().kargs("rd.live.overlay=none rw").mode(mode);
    let second = first.again();
    is_linear(first, KEEP)
        .expect(report_says("\"persistence\":\"image\""))
        .then(shell(second, KEPT).expect(mapped_root()).expect(console_says("STILL-THERE")))
}

/// H1: a whole system on a persistent store, shut down by systemd, twice: the second boot finds what the first has written,
/// and nothing to repair.
fn powered_off(mode: Mode, image: Recipe, first: &str, second: &str) -> Boot {
    const KEPT: &str = "/usr/kept";
    let medium = Recipe::Partition(Box::new(folder(Fs::Ext4, "LIVE", vec![("LiveOS/rootfs.img", image)])));
    let store = folder(Fs::Ext4, "P", vec![("store", Recipe::Grown(Box::new(Recipe::Text("")), 256))]);
    let boot = Boot::from(medium)
        .on(Bus::Disk)
        .and(Recipe::Partition(Box::new(store)), Bus::Disk)
        .root("root=live:LABEL=LIVE rd.live.overlay=LABEL=P:/store")
        .mode(mode)
        .writable()
        .memory(1536)
        .deadline(420);
    let ends_well = |boot: Boot| {
        boot.expect(mapped_root())
            .expect(marker("debian"))
            .expect(persistence("named"))
            .expect(no_fallbacks())
            .expect(console_says("shutdown: the live system is unmounted"))
            .expect(ends(End::Off))
            .expect(media_clean())
    };
    let again = ends_well(boot.again().kargs(second))
        .expect(file_is(KEPT, "kept"))
        .expect(report_lacks("repaired"))
        // The kernel's word where the file system in the store was not unmounted.
        .expect(console_lacks("recovery complete"));
    ends_well(boot.kargs(first)).writes(KEPT).expect(file_absent(KEPT)).then(again)
}

fn debian(tree: Tree) -> Recipe {
    Recipe::Image { tree, fs: Fs::Ext4, marker: "debian", label: "" }
}

/// H1: another module wants dracut's own program; the first time ours stays in place, the second time dracut's runs.
fn powered_off_beside_dracut(mode: Mode, image: Recipe) -> Boot {
    let own = "lab.poweroff lab.dracut_shutdown rd.info";
    let mut boot = powered_off(mode, image, "lab.poweroff lab.need_shutdown", own);
    boot.checks.push(console_lacks(DRACUTS));
    if let Some(second) = &mut boot.next {
        second.checks.push(console_says(DRACUTS));
    }
    boot
}

/// What dracut's program says.
const DRACUTS: &str = "Killing all remaining processes";

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = Vec::new();
    for (name, mode) in [("native", Mode::Native), ("dracut 106", Mode::Dracut106)] {
        list.push(scenario(
            format!("snapshot/B2 ext4 image on a partition, {name}"),
            is_snapshot(on_disk().mode(mode)).writable().expect(media_unchanged()),
        ));
        list.push(scenario(
            format!("snapshot/B5 nested image on a CD, {name}"),
            is_snapshot(on_cd().mode(mode))
                .expect(mounted("/run/initramfs/live", "iso9660"))
                .expect(not_mounted("/run/initramfs/squashfs"))
                .expect(report_says("\"method\":\"snapshot\"")),
        ));
        list.push(scenario(format!("snapshot/C3 a persistent store, twice, {name}"), twice(mode)).in_every_run(mode));
        list.push(scenario(format!("snapshot/B19 the image itself, twice, {name}"), image_twice(mode)));
    }
    list.push(scenario(
        "snapshot/A19 rootflags that mount(8) knows, and one of ext4",
        is_snapshot(on_disk().kargs("rootflags=defaults,noatime,errors=remount-ro"))
            .expect(mount_option("/", "noatime"))
            .expect(mount_option("/", "errors=remount-ro")),
    ));
    list.push(scenario(
        "snapshot/H1 a system on a persistent store ends clean, native",
        powered_off(Mode::Native, debian(Tree::Trixie), "lab.poweroff", "init=/usr/bin/lab-guest lab.shutdown"),
    ));
    list.push(
        scenario(
            "snapshot/H1 a system on a persistent store ends clean, with dracut's program too, dracut 106",
            powered_off_beside_dracut(Mode::Dracut106, super::shutdown::with_initrd()),
        )
        .in_every_run(Mode::Dracut106),
    );
    list.push(scenario(
        "snapshot/H1 a system on a persistent store ends clean, with dracut's program too, dracut 059",
        powered_off_beside_dracut(
            Mode::Dracut059,
            Recipe::WithInitrd(Box::new(debian(Tree::Bookworm)), Mode::Dracut059),
        ),
    ));
    list.push(
        scenario("snapshot/B5 nested image on a CD, dracut 059", is_snapshot(on_cd().mode(Mode::Dracut059))).with_all(),
    );
    for (name, fs) in [("ext4", Fs::Ext4), ("FAT", Fs::Vfat), ("exFAT", Fs::Exfat)] {
        list.push(scenario(format!("snapshot/SD-29 a store is made on {name}, native"), new_store(fs, Mode::Native)));
    }
    list.push(scenario(
        "snapshot/SD-29 without a size the message says so",
        shell(beside(Fs::Vfat), &reports(SNAPSHOT, "TABLE"))
            .expect(mapped_root())
            .expect(persistence("temporary"))
            .expect(report_says("rd.live.overlay.size=<MiB> makes a store of that size there")),
    ));
    list.push(scenario("snapshot/C3 a persistent store, twice, dracut 059", twice(Mode::Dracut059)));
    list.push(scenario("snapshot/B2 dracut 106 without systemd", is_snapshot(on_disk().mode(Mode::Dracut106Shell))));
    list.push(scenario("snapshot/B3 rd.live.dir", is_snapshot(on_disk().kargs("rd.live.dir=LiveOS"))));
    list.push(scenario(
        "snapshot/B12 a plain tree has an overlay, never live-rw",
        Boot::from(Recipe::Image { tree: Tree::Tiny, fs: Fs::Ext4, marker: "tiny", label: "plain" })
            .on(Bus::Disk)
            .root("root=live:LABEL=plain")
            .writable()
            .expect(overlay_root())
            .expect(media_unchanged()),
    ));
    list.push(scenario(
        "snapshot/B3 a squashfs root image stays below an overlay and says why",
        Boot::from(Recipe::Partition(Box::new(folder(
            Fs::Ext4,
            "dracut",
            vec![("LiveOS/rootfs.img", image(Fs::Squashfs("zstd")))],
        ))))
        .on(Bus::Disk)
        .root("root=live:LABEL=dracut")
        .expect(overlay_root())
        .expect(report_says("which cannot be written to, using an overlay")),
    ));
    list.push(scenario(
        "snapshot/B18 a bare image in RAM is written itself",
        is_linear(on_disk().kargs("rd.live.ram rd.minmem=1"), KEEP)
            .writable()
            .expect(media_unchanged())
            .expect(report_says("\"released\":true")),
    ));
    list.push(scenario(
        "snapshot/B19 without rw the image stays as it is, and why",
        shell(on_disk().kargs("rd.live.overlay=none"), &reports(SNAPSHOT, "TABLE"))
            .writable()
            .expect(mapped_root())
            .expect(console_says("TABLE-OK"))
            .expect(report_says("add rw"))
            .expect(media_unchanged()),
    ));
    list.push(scenario(
        "snapshot/B20 rd.writable.fsimg",
        is_linear(on_cd().kargs("rd.writable.fsimg rd.minmem=1"), KEEP)
            .expect(exists("/run/initramfs/fsimg/rootfs.img")),
    ));
    list.push(scenario(
        "snapshot/B21 a store that runs full says so before and when it happens",
        overflowing("", "echo o > /proc/sysrq-trigger; busybox sleep 9"),
    ));
    // ext4 of kernel 6.12 refuses reads, too, when its journal has failed.
    list.push(scenario(
        "snapshot/B21 a store that is full can still be read, kernel 6.1",
        overflowing("echo 3 > /proc/sys/vm/drop_caches; ", "exec lab-guest report")
            .mode(Mode::Native12)
            .expect(marker("tiny")),
    ));
    let thin = format!(
        "{}; {}; [ $(busybox stat -c %s /run/initramfs/thin-overlay/meta) = $((209712 * 512)) ] && echo META''-OK; used() {{ busybox du -k /run/initramfs/thin-overlay/data | busybox cut -f1; }}; \
         busybox dd if=/dev/urandom of=/a bs=1M count=8; sync; before=$(used); rm /a; sync; busybox fstrim /; after=$(used); \
         echo $before $after; [ $((before - after)) -gt 6000 ] && echo TRIM''-OK",
        reports("^mapped +live-overlay-pool: 0 2097152 thin-pool 7:[0-9]+ 7:[0-9]+ 1024 1024", "POOL"),
        reports("^mapped +live-rw: 0 2097152 thin 25[0-9]:[0-9]+ 0 7:[0-9]+$", "THIN")
    );
    list.push(scenario(
        "snapshot/B22 a thin pool gives freed blocks back",
        shell(on_cd().kargs("rd.live.overlay.thin rd.live.overlay.size=1024"), &thin)
            .expect(mapped_root())
            .expect(console_says("POOL-OK"))
            .expect(console_says("META-OK"))
            .expect(console_says("THIN-OK"))
            .expect(console_says("TRIM-OK")),
    ));
    list.push(scenario(
        "snapshot/B23 thin over a root tree warns",
        on_cd_flat()
            .kargs("rd.live.overlay.thin")
            .expect(overlay_root())
            .expect(report_says("rd.live.overlay.thin: there is a root tree")),
    ));
    list.push(scenario(
        "snapshot/C4 a store overrides overlayfs",
        shell(with_store(on_cd()).kargs("rd.live.overlay.overlayfs"), &reports(SNAPSHOT, "TABLE"))
            .writable()
            .expect(mapped_root())
            .expect(console_says("TABLE-OK")),
    ));
    list.push(on_the_mediums_own_file_system());
    list.extend(of_another_image());
    list.push(kept_readonly());
    list.push(reset());
    list
}

/// B21: a store of 8 MiB is filled by 6.75 MiB, then by more than there is.
fn overflowing(then: &str, end: &str) -> Boot {
    let fill = format!(
        "dd=\"busybox dd if=/dev/urandom bs=64k\"; $dd of=/a count=108; sync; {}; \
         $dd of=/b count=60 conv=fsync || echo WRITES''-FAIL; sync; {}; {then}{end}\n",
        reports("^store +live-rw: .*nearly full", "NEARLY"),
        reports("^store +live-rw: Overflow", "OVERFLOW")
    );
    on_cd()
        .kargs("rd.live.overlay.size=8 init=/bin/sh")
        .on_text("# ", &fill)
        .expect(report_says("\"size\":8388608"))
        .expect(console_says("NEARLY-OK"))
        .expect(console_says("OVERFLOW-OK"))
        .expect(console_says("WRITES-FAIL"))
        .expect(console_says("Snapshot overflowed"))
        .expect(ends(End::Off))
}

/// F3.
fn on_cd_flat() -> Boot {
    Boot::from(iso()).root("root=live:CDLABEL=ISO")
}

/// C16: the store lies beside the container.
fn on_the_mediums_own_file_system() -> Scenario {
    let zeros = Recipe::Grown(Box::new(Recipe::Text("")), 32);
    let files = vec![("LiveOS/squashfs.img", nested(Fs::Ext4)), ("ov", zeros)];
    let first = Boot::from(Recipe::Partition(Box::new(folder(Fs::Ext4, "X", files))))
        .on(Bus::Disk)
        .root("root=live:LABEL=X rd.live.overlay=LABEL=X:/ov");
    let second = first.again();
    let kept = shell(second, KEPT).expect(mapped_root()).expect(console_says("STILL-THERE"));
    scenario(
        "snapshot/C16 a store on the medium's own file system, twice",
        shell(first, &format!("{}; {KEEP}", reports(SNAPSHOT, "TABLE")))
            .expect(mapped_root())
            .expect(console_says("TABLE-OK"))
            .expect(mounted("/run/initramfs/overlayfs", "ext4"))
            .then(kept),
    )
}

/// A store below another image than its own, as after an ISO was made anew: a mixture of both, to which nobody may write.
fn of_another_image() -> Vec<Scenario> {
    let kept = |boot: Boot| shell(boot, KEPT).expect(no_fallbacks()).expect(console_says("STILL-THERE"));
    let refused = |boot: Boot, why: &'static str, kept: Check| {
        shell(boot, GONE)
            .expect(persistence("temporary"))
            .expect(report_says("RDL-051"))
            .expect(report_says(why))
            .expect(console_says("KEPT-GONE"))
            .expect(kept)
    };
    let thrice = |first: Boot, other: &str, why: &'static str, unchanged: Check| {
        let (second, third) = (first.again().root(other), first.again());
        shell(first, KEEP).expect(no_fallbacks()).then(refused(second, why, unchanged)).then(kept(third))
    };
    // The file system that holds the store is mounted before the store is looked at.
    let same_file = disk(
        1,
        "the store is byte for byte as before",
        with_functions(
            r#"for f in "$1" "$2"; do cp --sparse=always "$f" "$1.disk"; cut_out "$1.disk" 1
                e2fsck -fy "$1.disk.part" >/dev/null 2>&1 || true # replays the journal of the boot before
                debugfs -R "dump /store $1.store" "$1.disk.part" 2>/dev/null
                [ -s "$1.store" ] || fail "no file"; sha256sum < "$1.store"
            done | uniq | wc -l | grep -qx 1"#,
        ),
    );
    // Two media with the same image in them: only the mark beside the store tells.
    let store = folder(Fs::Ext4, "P", vec![("store", Recipe::Grown(Box::new(Recipe::Text("")), 32))]);
    let marked = on_cd()
        .and(Recipe::Partition(Box::new(store)), Bus::Disk)
        .and(iso_with("OTHER", nested(Fs::Ext4)), Bus::Disk)
        .root("root=live:CDLABEL=ISO rd.live.overlay=LABEL=P:/store");
    // One medium with two images. A device that is a store has nothing beside it; what it shows tells.
    let images = vec![("A/rootfs.img", image(Fs::Ext4)), ("B/rootfs.img", labelled(Fs::Ext4, "b"))];
    let header = Recipe::Text("SnAp\u{1}\0\0\0\u{1}\0\0\0\u{8}\0\0\0");
    let device = Boot::from(Recipe::Partition(Box::new(folder(Fs::Ext4, "TWO", images))))
        .on(Bus::Disk)
        .and(Recipe::Grown(Box::new(header), 32), Bus::Disk)
        .root("root=live:LABEL=TWO rd.live.dir=A rd.live.overlay=/dev/{1}");
    vec![
        scenario(
            "snapshot/C3 a store file of another medium is left alone",
            thrice(marked, "root=live:CDLABEL=OTHER rd.live.overlay=LABEL=P:/store", "made for ISO", same_file),
        ),
        scenario(
            "snapshot/C3 a store device of another image is left alone",
            thrice(device, "root=live:LABEL=TWO rd.live.dir=B rd.live.overlay=/dev/{1}", "it shows ext4", untouched(1)),
        ),
    ]
}

/// C9: three boots, of which the second keeps nothing.
fn kept_readonly() -> Scenario {
    let first = with_store(on_cd());
    let (second, third) = (first.again().kargs("rd.live.overlay.readonly"), first.again());
    let shown = "^mapped +live-ro: 0 [0-9]+ snapshot 7:[0-9]+ 7:[0-9]+ P 8$";
    let readonly = shell(second, &format!("{KEPT}; echo no > /not-kept; sync; {}", reports(shown, "SHOWN")))
        .expect(mapped_root())
        .expect(console_says("STILL-THERE"))
        .expect(console_says("SHOWN-OK"));
    let third = shell(third, &format!("{KEPT}; [ -e /not-kept ] || echo NOT''-KEPT"))
        .expect(console_says("STILL-THERE"))
        .expect(console_says("NOT-KEPT"));
    scenario(
        "snapshot/C9 kept changes are shown, new ones are not kept",
        shell(first, KEEP).expect(mapped_root()).then(readonly).then(third),
    )
}

/// C10.
fn reset() -> Scenario {
    let first = with_store(on_cd());
    let second = first.again().kargs("rd.live.overlay.reset");
    let emptied = shell(second, GONE)
        .expect(mapped_root())
        .expect(console_says("KEPT-GONE"))
        .expect(report_says("the store's changes are forgotten"));
    scenario("snapshot/C10 a reset empties the store", shell(first, KEEP).expect(mapped_root()).then(emptied))
}

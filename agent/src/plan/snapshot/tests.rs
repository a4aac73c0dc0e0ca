use super::*;
use crate::config::{Persistence, interpret_text};
use crate::plan::Points;
use crate::plan::named::store_device;
use crate::plan::step::describe;

const SNAPSHOT: Method = Method::Snapshot { thin: false };
const THIN: Method = Method::Snapshot { thin: true };

fn medium(kind: Kind) -> MediumFacts {
    MediumFacts {
        origin: Origin::Device("/dev/vda1".into()),
        kind,
        label: None,
        uuid: None,
        device: None,
        looped: false,
        missing: None,
        subvolume: crate::facts::Subvolume::Default,
    }
}

fn file(path: &str, kind: Kind) -> ImageFile {
    ImageFile { path: path.into(), kind, compressor: None, dirty: false }
}

fn nested(kind: Kind) -> (Content, Option<Inner>) {
    let container = Content::Container(file("LiveOS/squashfs.img", Kind::Squashfs));
    (container, Some(Inner::Image(file("LiveOS/rootfs.img", kind))))
}

fn bare(kind: Kind) -> (Content, Option<Inner>) {
    (Content::Image(file("LiveOS/rootfs.img", kind)), None)
}

#[test]
fn b2_to_b23_what_the_root_becomes() {
    let flat = || (Content::Container(file("LiveOS/squashfs.img", Kind::Squashfs)), Some(Inner::Tree));
    let in_ram = || (Content::Image(file("/run/initramfs/ram/rootfs.img", Kind::Ext4)), None);
    let fsimg = || (Content::Image(file("/run/initramfs/fsimg/rootfs.img", Kind::Ext4)), None);
    let (iso, disk) = (Kind::Iso9660, Kind::Ext4);
    let rows = [
        ("B2", "", disk, bare(Kind::Ext4), SNAPSHOT, ""),
        ("B1", "", disk, bare(Kind::Squashfs), Method::Overlayfs, "rootfs.img is squashfs"),
        ("B5", "", iso, nested(Kind::Xfs), SNAPSHOT, ""),
        ("B6", "rd.overlay", iso, nested(Kind::Ext4), Method::Overlayfs, ""),
        ("B7", "", iso, flat(), Method::Overlayfs, ""),
        ("B8", "rd.overlay=0", iso, flat(), Method::Overlayfs, "rd.overlay=0: there is a root tree"),
        ("A18", "rd.overlay=0", iso, nested(Kind::Ext4), SNAPSHOT, ""),
        ("B12", "", disk, (Content::Tree, None), Method::Overlayfs, ""),
        ("B18", "rd.live.ram", disk, in_ram(), Method::Direct, ""),
        ("B18", "rd.live.ram rd.overlay", disk, in_ram(), Method::Overlayfs, ""),
        ("B18", "rd.live.ram rd.overlay.readonly", disk, in_ram(), SNAPSHOT, ""),
        ("B19", "rd.live.overlay=none rw", disk, bare(Kind::Ext4), Method::Direct, ""),
        ("B19", "rd.overlay=none rw", disk, bare(Kind::Ext4), Method::Direct, ""),
        ("B19", "rd.live.overlay=none", disk, bare(Kind::Ext4), SNAPSHOT, "add rw"),
        ("B19", "rd.live.overlay=none rw", iso, bare(Kind::Ext4), SNAPSHOT, "the medium is read-only"),
        ("B19", "rd.live.overlay=none rw", disk, nested(Kind::Ext4), SNAPSHOT, "the image is compressed"),
        ("B19", "rd.live.overlay=none rw", disk, flat(), Method::Overlayfs, "rd.live.overlay=none: there is a root"),
        ("B20", "rd.writable.fsimg", iso, fsimg(), Method::Direct, ""),
        ("B20", "rd.writable.fsimg", iso, nested(Kind::Ext4), SNAPSHOT, "the image is not in RAM"),
        ("B20", "rd.writable.fsimg", iso, flat(), Method::Overlayfs, "rd.writable.fsimg: there is a root tree"),
        ("B22", "rd.live.overlay.thin", iso, nested(Kind::Ext4), THIN, ""),
        ("B23", "rd.live.overlay.thin", iso, flat(), Method::Overlayfs, "rd.live.overlay.thin: there is a root"),
        ("kiwi", "rd.live.dialect=kiwi", iso, nested(Kind::Ext4), Method::Overlayfs, ""),
    ];
    for (case, kargs, kind, (content, inner), method, why) in rows {
        let (config, _) = interpret_text(&format!("root=live:LABEL=x {kargs}"));
        let found = form(&config, &medium(kind), Some(&content), inner.as_ref(), None);
        assert_eq!(found.method, method, "{case} {kargs} {content:?} {inner:?}");
        let said = found.why.map(|why| why.to_string()).unwrap_or_default();
        assert!(said.contains(why) && said.is_empty() == why.is_empty(), "{case} {kargs}: {said}");
    }
}

#[test]
fn c1_c4_a_persistent_place_decides() {
    let (config, _) = interpret_text("root=live:LABEL=x rd.overlay=LABEL=P");
    assert!(matches!(config.overlay.persistence, Some(Persistence::Named { .. })));
    let store = store_device(&config.overlay, crate::facts::Seen::named("/dev/vdb"));
    let directory = Area { store: false, ..store.clone() };
    let (content, inner) = nested(Kind::Ext4);
    for (kargs, area, method) in [
        ("rd.overlay", &store, SNAPSHOT),
        ("rd.live.overlay.overlayfs", &store, SNAPSHOT),
        ("rd.live.overlay=LABEL=P", &directory, Method::Overlayfs),
    ] {
        let (config, _) = interpret_text(&format!("root=live:LABEL=x {kargs}"));
        let found = form(&config, &medium(Kind::Iso9660), Some(&content), inner.as_ref(), Some(area));
        assert_eq!(found, Form::plain(method), "{kargs}");
    }
    let tree = form(&config, &medium(Kind::Ext4), Some(&Content::Tree), None, Some(&store));
    assert_eq!(tree.method, Method::Overlayfs);
    assert!(tree.why.unwrap().to_string().contains("the store of a device-mapper snapshot"));
}

/// dracut-live spec 2.7, line by line.
#[test]
fn tables_are_those_of_the_spec() {
    let points = Points::new(Dialect::Dmsquash);
    let image = file("LiveOS/rootfs.img", Kind::Ext4);
    let base = Base { at: &points.container, file: &image };
    let linear = vec!["map live-rw = linear image 0 (rw) as live"];
    let base_line = "map live-base = linear image 0 (ro) as base";
    let rows = [
        ("", Method::Direct, false, linear),
        ("", SNAPSHOT, false, vec!["map live-rw = snapshot image store PO 8 (rw) as live", base_line]),
        ("", SNAPSHOT, true, vec!["map live-rw = snapshot image cow PO 8 (rw) as live", base_line]),
        (
            "rd.overlay.readonly",
            SNAPSHOT,
            true,
            vec![
                "map live-ro = snapshot image cow P 8 (ro) as shown",
                "map live-rw = snapshot shown store PO 8 (rw) as live",
                base_line,
            ],
        ),
        (
            "rd.live.overlay.size=1024",
            THIN,
            false,
            vec![
                "store /run/initramfs/thin-overlay/meta of 107374080 bytes",
                "store /run/initramfs/thin-overlay/data of 1024 MiB",
                "map live-overlay-pool = thin-pool metadata store 1024 1024 (rw) as pool",
                "map live-rw = thin pool 0 image (rw) as live",
                base_line,
            ],
        ),
        ("rd.live.overlay.size=64", SNAPSHOT, false, vec!["store /run/initramfs/store/live-rw of 64 MiB"]),
        ("rd.live.overlay.size=10%", SNAPSHOT, false, vec!["tmpfs 10% at /run/initramfs/store", "what is free"]),
        ("", SNAPSHOT, false, vec!["tmpfs 50% at /run/initramfs/store", "of at most 32768 MiB"]),
        ("rootflags=noatime", SNAPSHOT, false, vec!["mount live ext4 (rw) [noatime] at /sysroot"]),
    ];
    for (kargs, method, persistent, lines) in rows {
        let (config, _) = interpret_text(&format!("root=live:LABEL=x {kargs}"));
        let area = persistent.then(|| store_device(&config.overlay, crate::facts::Seen::named("/dev/vdb")));
        let steps = root(&config, &base, method, area.as_ref(), Path::new("/sysroot"), Vec::new());
        let text: String = describe("assemble", &steps).map(|line| line + "\n").collect();
        let mut rest = text.as_str();
        for line in lines {
            let at = rest.find(line).unwrap_or_else(|| panic!("{kargs} {method:?}: {line} is not in {text}"));
            rest = &rest[at + line.len()..];
        }
    }
}

#[test]
fn an_image_that_is_written_may_grow_into_half_of_what_is_free() {
    const MIB: u64 = 1 << 20;
    for (bytes, data, available, room) in
        [(100, 100, 1000, 101), (4096, 300, 1300, 801), (500, 300, 1300, 501), (500, 300, 300, 301)]
    {
        let facts =
            RamFacts { bytes: bytes * MIB, data: data * MIB, available: available * MIB, ..RamFacts::default() };
        assert_eq!(room_to_write(&facts), room * MIB, "{facts:?}");
    }
}

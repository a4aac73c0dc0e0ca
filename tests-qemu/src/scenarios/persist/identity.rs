//! Which image an area belongs to (docs/decisions/0021-image-identity.md), and what is done on request: accept, reset, readonly.

use super::disk::with_area;
use super::file::cow;
use super::outside::{kept, untouched, used};
use super::*;

const ROOT: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent";

/// An area that another image has made, with a file.
const OTHER: &str = r#"
    mkdir -p "$1.tree/rw" "$1.tree/work"; echo other > "$1.tree/rw/kept"; truncate -s 64M "$1.area"
    echo '{"volume_id":"OLD","image_uuid":"2001","agent":"0"}' > "$1.tree/.rdlive-identity"
    mke2fs -q -F -t ext4 -L cow -d "$1.tree" "$1.area"; rm -r --one-file-system "$1.tree""#;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = partition();
    list.extend(files());
    list
}

fn partition() -> Vec<Scenario> {
    let other = || stick(with_area(OTHER));
    let accept = other().root(&format!("{ROOT}=accept"));
    let reset = other().kargs("rd.live.overlay.reset");
    let boot = stick(hybrid(Table::Gpt, 96));
    let readonly = boot.again().kargs("rd.live.overlay.readonly");
    let (reset_own, last) = (boot.again().kargs("rd.live.overlay.reset"), boot.again());
    vec![
        scenario(
            "persist/W-13 an area of another image is reported and left alone",
            forgets(other(), "RDL-051")
                .expect(report_says("OLD"))
                .expect(report_says("persistent=accept"))
                .expect(file_absent("/kept"))
                .expect(used(3))
                .expect(kept(3, "other")),
        ),
        scenario(
            "persist/W-13 an area of another image, and it is required",
            other().root(&format!("{ROOT}=required")).expect(stops_with("RDL-051")).expect(kept(3, "other")),
        ),
        scenario(
            "persist/W-13 accepted once, known from then on",
            keeps(accept, "partition")
                .expect(file_is("/kept", "other"))
                .expect(report_says("taken over from OLD"))
                .expect(used(3))
                .then(keeps(other(), "partition").expect(file_is("/kept", "other")).expect(used(3))),
        ),
        scenario(
            "persist/W-13 a reset empties another image's area",
            keeps(writes(reset, "mine"), "partition")
                .expect(report_says("reset: removed 1 entries"))
                .expect(used(3))
                .then(keeps(other(), "partition").expect(file_is("/kept", "mine"))),
        ),
        scenario(
            "persist/shown read-only, then reset",
            keeps(writes(boot, "first"), "partition")
                .then(
                    keeps(readonly.kargs("lab.write=/more:x"), "partition")
                        .expect(file_is("/kept", "first"))
                        .expect(file_is("/more", "x"))
                        .expect(report_says("\"readonly\":true"))
                        .expect(untouched(0)),
                )
                .then(
                    keeps(reset_own, "partition")
                        .expect(file_absent("/kept"))
                        .expect(file_absent("/more"))
                        .expect(report_says("reset: removed"))
                        .expect(used(3)),
                )
                .then(keeps(last, "partition").expect(file_absent("/kept"))),
        ),
        scenario(
            "persist/read-only, and there is nothing to show",
            forgets(stick(hybrid(Table::Gpt, 96)).kargs("rd.live.overlay.readonly"), "nothing to show")
                .expect(untouched(0)),
        ),
    ]
}

/// Two images of the same label on one stick, made at different times: `a.iso` and `b.iso`.
pub(super) fn two_isos() -> Boot {
    let other = iso_with("ISO@2025050505050500", image(Fs::Squashfs("zstd")));
    stick(store(Fs::Ext4, vec![("a.iso", iso()), ("b.iso", other)], 160)).kargs("rd.live.cowfile.mbsize=48")
}

fn files() -> Vec<Scenario> {
    let from = |name: &str| two_isos().kargs(&format!("iso-scan/filename=/{name}.iso"));
    let both = || keeps(writes(from("a"), "a"), "file").then(keeps(writes(from("b"), "b"), "file"));
    vec![
        scenario(
            "persist/T-38 two ISOs of one label on one stick have a file each",
            keeps(writes(from("a"), "a"), "file")
                .then(
                    keeps(from("b"), "file")
                        .expect(file_absent("/kept"))
                        .expect(report_says("belongs to another image")),
                )
                .then(keeps(writes(from("b"), "b"), "file"))
                .then(keeps(from("a"), "file").expect(file_is("/kept", "a")))
                .then(keeps(from("b"), "file").expect(file_is("/kept", "b")).expect(cow(
                    Fs::Ext4,
                    "live_system.cow",
                    48,
                    "a",
                ))),
        ),
        scenario(
            "persist/T-38 a reset empties the own file, not the other image's",
            both()
                .then(keeps(from("b").kargs("rd.live.overlay.reset"), "file").expect(file_absent("/kept")))
                .then(keeps(from("a"), "file").expect(file_is("/kept", "a"))),
        ),
        scenario(
            "persist/T-38 a reset without an own file leaves the other image's alone",
            keeps(writes(from("a"), "a"), "file")
                .then(keeps(from("b").kargs("rd.live.overlay.reset"), "file").expect(file_absent("/kept")).expect(cow(
                    Fs::Ext4,
                    "live_system.cow",
                    48,
                    "a",
                )))
                .then(keeps(from("a"), "file").expect(file_is("/kept", "a"))),
        ),
        scenario(
            "persist/W-13 the ISO file was replaced, and its file is accepted",
            keeps(writes(from("a"), "a"), "file")
                .then(
                    keeps(from("b").root(&format!("{ROOT}=accept")), "file")
                        .expect(file_is("/kept", "a"))
                        .expect(report_says("taken over from ISO")),
                )
                .then(keeps(from("b"), "file").expect(file_is("/kept", "a"))),
        ),
        scenario(
            "persist/the cow file shown read-only",
            keeps(writes(from("a"), "a"), "file").then(
                keeps(from("a").kargs("rd.live.overlay.readonly lab.write=/more:x"), "file")
                    .expect(file_is("/kept", "a"))
                    .expect(untouched(0)),
            ),
        ),
    ]
}

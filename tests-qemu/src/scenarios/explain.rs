//! What `rdlive explain --facts` makes of the report of a boot, on the host, is what that boot has logged, step for step: for each kind of
//! medium (redesign.md S9, issue 11).

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;

const PERSISTENT: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent";

/// The first boot makes the place for changes, the second finds it.
fn twice(recipe: Recipe, kargs: &str, kind: &'static str) -> Boot {
    let boot = Boot::from(recipe).on(Bus::Stick).mode(Mode::NativeWrite).writable();
    let boot = boot.root(PERSISTENT).kargs(&format!("lab.shutdown {kargs}"));
    let kept = |boot: Boot| boot.expect(persistence(kind)).expect(explained());
    kept(boot.again()).then(kept(boot))
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let plain = || Recipe::Partition(Box::new(labelled(Fs::Ext4, "plain")));
    let file = store(Fs::Ext4, vec![("live.iso", iso())], 64);
    let boots = [
        ("a CD", Boot::from(iso()).on(Bus::IdeCd).expect(overlay_root())),
        ("a stick with an area", twice(hybrid(Table::Gpt, 96), "", "partition")),
        ("an ISO file with a cow file", twice(file, "iso-scan/filename=/live.iso rd.live.cowfile.mbsize=48", "file")),
        (
            "a disk that is a squashfs",
            Boot::from(image(Fs::Squashfs("zstd"))).on(Bus::Disk).root("root=live:/dev/{0}").expect(overlay_root()),
        ),
        ("a nested image and a snapshot", Boot::from(nested_iso()).root("root=live:CDLABEL=ISO").expect(mapped_root())),
        (
            "an ordinary root",
            Boot::from(plain()).on(Bus::Disk).root("root=LABEL=plain ro rd.overlay").expect(overlay_root()),
        ),
        (
            "a bad medium before a good one",
            Boot::from(folder(Fs::Ext4, "ISO", vec![]))
                .on(Bus::Disk)
                .and(iso(), Bus::Disk)
                .kargs("rd.live.medium=/dev/{0} rd.retry=6")
                .expect(overlay_root())
                // Whether the other one is known by then is a matter of milliseconds.
                .expect(console_says("RDL-013")),
        ),
    ];
    boots.into_iter().map(|(name, boot)| scenario(format!("explain/{name}"), boot.expect(explained()))).collect()
}

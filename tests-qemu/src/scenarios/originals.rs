//! The originals and the floor on our fixtures: shows that fixtures and bench are right, whatever our agent does.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::nested_iso;
use crate::mode::Mode;

/// One boot per reference.
pub fn all() -> Vec<Scenario> {
    // Nested: the kiwi-live of Debian 12 knows no other layout. 059 makes an overlay only when asked by its own name.
    let root = || {
        Boot::from(nested_iso())
            .on(Bus::IdeCd)
            .kargs("rd.live.overlay.overlayfs")
            .expect(overlay_root())
            .expect(marker("tiny"))
    };
    vec![
        scenario(
            "original/dmsquash-live CD",
            root().mode(Mode::DmsquashLive).expect(mounted("/run/rootfsbase", "ext4")),
        ),
        scenario("original/kiwi-live CD", root().mode(Mode::KiwiLive).expect(mounted("/run/overlay/live", "iso9660"))),
        scenario("original/floor CD", root().mode(Mode::Floor)),
    ]
}

//! Whole systems and odd real inits behind the live root.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::guest::Tree;
use crate::medium::*;
use crate::mode::Mode;

fn debian(tree: Tree) -> Boot {
    let container = Recipe::Image { tree, fs: Fs::Squashfs("zstd"), marker: "debian", label: "" };
    let boot = Boot::from(iso_with("ISO", container)).memory(1536).deadline(420);
    boot.expect(overlay_root())
        .expect(both_dialects())
        .expect(marker("debian"))
        .expect(file_is("/proc/1/comm", "systemd"))
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    vec![
        scenario("init/Debian 13 with systemd, native", debian(Tree::Trixie)),
        scenario("init/Debian 13 with systemd, dracut 106", debian(Tree::Trixie).mode(Mode::Dracut106)),
        scenario("init/Debian 12 with systemd, dracut 059", debian(Tree::Bookworm).mode(Mode::Dracut059)),
        scenario("init/busybox init", Boot::from(iso()).kargs("init=/usr/lib/busybox/init").expect(overlay_root())),
        scenario(
            "init/init=/bin/sh",
            Boot::from(iso()).kargs("init=/bin/sh").on_text("# ", "exec lab-guest report\n").expect(overlay_root()),
        ),
        scenario(
            "init/arguments reach the real init",
            Boot::from(iso()).kargs("-- one two").expect(overlay_root()).expect(init_arguments(&["one", "two"])),
        ),
    ]
}

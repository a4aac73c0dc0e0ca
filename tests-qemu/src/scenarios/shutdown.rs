//! Power-off through systemd: dracut-live spec 7.4 H1, H2, kiwi-live T-72 as far as the medium is the persistent part.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::guest::Tree;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;
use crate::outcome::End;

/// The agent's last word.
const DONE: &str = "shutdown: the live system is unmounted";

fn debian(fs: Fs) -> Recipe {
    Recipe::Image { tree: Tree::Trixie, fs, marker: "debian", label: "" }
}

/// An installed kernel's initrd is in the live system, as H1 says and as most images have it.
pub(super) fn with_initrd() -> Recipe {
    Recipe::WithInitrd(Box::new(debian(Fs::Ext4)), Mode::Dracut106)
}

fn powered_off(boot: Boot) -> Boot {
    boot.memory(1536)
        .deadline(420)
        .kargs("lab.poweroff")
        .expect(overlay_root())
        .expect(marker("debian"))
        .expect(leads_to("/run/initramfs/shutdown", "/run/initramfs/shutdown"))
        .expect(console_says(DONE))
        .expect(ends(End::Off))
}

fn writable_stick() -> Boot {
    let files = vec![("LiveOS/rootfs.img", with_initrd())];
    let boot = Boot::from(Recipe::Partition(Box::new(folder(Fs::Ext4, "LIVE", files)))).on(Bus::Stick).writable();
    powered_off(boot.root("root=live:LABEL=LIVE rd.overlay rw"))
        .expect(mount_option("/run/initramfs/live", "rw"))
        .expect(media_clean())
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    vec![
        scenario("shutdown/H1 a writable medium ends clean, native", writable_stick()),
        scenario("shutdown/H1 a writable medium ends clean, dracut 106", writable_stick().mode(Mode::Dracut106)),
        scenario(
            "shutdown/H2 kiwi dialect from a CD, ejected on request",
            powered_off(Boot::from(iso_with("CDROM", debian(Fs::Squashfs("zstd")))))
                .on(Bus::IdeCd)
                .root("root=live:CDLABEL=CDROM rd.live.image rd.live.dialect=kiwi")
                .kargs("rd.live.eject=prompt")
                .on_text("press Enter", "\n")
                .expect(console_says("/dev/sr0 ejected")),
        ),
    ]
}

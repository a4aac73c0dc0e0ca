//! kiwi-live spec 7, T-01 to T-17: the kiwi dialect, from a CD labelled `CDROM`.

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;

const ROOT: &str = "root=live:CDLABEL=CDROM rd.live.image rd.live.dialect=kiwi";

fn cd(container: Recipe) -> Boot {
    Boot::from(iso_with("CDROM", container)).root(ROOT)
}

fn default() -> Boot {
    cd(nested(Fs::Ext4)).expect(overlay_root()).expect(both_dialects())
}

/// T-11: other names for directory and container, both on the medium and inside the container.
fn renamed() -> Boot {
    let inside = folder(Fs::Squashfs("zstd"), "", vec![("Foo/rootfs.img", image(Fs::Ext4))]);
    Boot::from(folder(Fs::Iso, "CDROM", vec![("Foo/bar.img", inside)])).expect(overlay_root()).expect(marker("tiny"))
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let here = "/run/overlay/rootfsbase";
    let mut list = vec![
        scenario(
            "kiwi/T-01 T-07 nested ISO on a CD",
            default()
                .on(Bus::IdeCd)
                .expect(mounted("/run/overlay", "tmpfs"))
                .expect(mounted("/run/overlay/live", "iso9660"))
                .expect(leads_to("/run/overlay/live", "/run/overlay/live"))
                .expect(mounted("/run/overlay/squashfs_container", "squashfs"))
                .expect(mounted(here, "ext4"))
                .expect(leads_to("/run/overlay/isodev", "/dev/{0}")),
        ),
        scenario(
            "kiwi/T-02 persistent on a CD falls back to RAM and says so",
            default()
                .on(Bus::IdeCd)
                .kargs("rd.live.overlay.persistent")
                .expect(report_says("changes are not kept over a reboot"))
                .expect(report_says("optical drive, which cannot be written to"))
                .expect(report_says("\"persistence\":\"temporary\"")),
        ),
        scenario("kiwi/T-04 root=live:LABEL=", default().root("root=live:LABEL=CDROM rd.live.dialect=kiwi")),
        scenario(
            "kiwi/T-04 root=live:UUID=",
            default().root("root=live:UUID=2026-01-02-03-04-05-00 rd.live.dialect=kiwi"),
        ),
        scenario(
            "kiwi/T-04 root=live:/dev/sr0",
            default().on(Bus::IdeCd).root("root=live:/dev/sr0 rd.live.dialect=kiwi"),
        ),
        scenario(
            "kiwi/T-05 volume id My-Image.1_x",
            Boot::from(iso_with("My-Image.1_x", nested(Fs::Ext4)))
                .root("root=live:CDLABEL=My-Image.1_x rd.live.dialect=kiwi")
                .expect(overlay_root()),
        ),
        scenario(
            "kiwi/T-08 direct squashfs",
            cd(image(Fs::Squashfs("zstd"))).expect(overlay_root()).expect(mounted(here, "squashfs")),
        ),
        scenario(
            "kiwi/T-09 direct erofs named squashfs.img",
            cd(image(Fs::Erofs)).expect(overlay_root()).expect(mounted(here, "erofs")),
        ),
        scenario(
            "kiwi/T-11 rd.live.dir and rd.live.squashimg",
            renamed().root(ROOT).kargs("rd.live.dir=Foo rd.live.squashimg=bar.img"),
        ),
        scenario(
            "kiwi/T-12 live_dir is deprecated and works",
            renamed().root(ROOT).kargs("live_dir=Foo rd.live.squashimg=bar.img").expect(report_says("live_dir")),
        ),
        scenario(
            "kiwi/T-13 rd.live.dir beats live_dir",
            renamed().root(ROOT).kargs("rd.live.dir=Foo live_dir=Nowhere rd.live.squashimg=bar.img"),
        ),
        scenario("kiwi/T-14 write area is half of RAM", default().expect(tmpfs_half("/run/overlay", 1024))),
        scenario(
            "kiwi/T-15 rd.live.overlay.size=1g",
            default().kargs("rd.live.overlay.size=1g").expect(tmpfs_kib("/run/overlay", 1 << 20, 1 << 20)),
        ),
        scenario(
            "kiwi/T-15 rd.live.overlay.size=25%",
            default().kargs("rd.live.overlay.size=25%").expect(tmpfs_kib("/run/overlay", 220 << 10, 256 << 10)),
        ),
        scenario(
            "kiwi/T-16 a bare size is MiB",
            default().kargs("rd.live.overlay.size=300").expect(tmpfs_kib("/run/overlay", 300 << 10, 300 << 10)),
        ),
        scenario(
            "kiwi/T-17 rootflags reach the overlay",
            default().kargs("rootflags=metacopy=on").expect(mount_option("/", "metacopy=on")),
        ),
        scenario(
            "kiwi/T-17 rootflags that mount(8) knows",
            default()
                .kargs("rootflags=defaults,noatime,nodev,metacopy=on,x-systemd.device-timeout=9")
                .expect(mount_option("/", "noatime"))
                .expect(mount_option("/", "nodev"))
                .expect(mount_option("/", "metacopy=on")),
        ),
    ];
    list.push(scenario(
        "kiwi/T-03 root=CDLABEL= with rd.live.image",
        default().root("root=CDLABEL=CDROM rd.live.image rd.live.dialect=kiwi"),
    ));
    list
}

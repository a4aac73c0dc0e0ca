//! From power-on through firmware, GRUB and our own menu, with ISOs of `rdlive-image build`.

use super::{Scenario, scenario};
use crate::boot::{Boot, Firmware};
use crate::check::*;
use crate::guest::Tree;
use crate::machine::Bus;
use crate::medium::*;

/// An ISO of our builder whose menu entries report to the lab. With other content than most it has the fewest drivers.
fn built(extra: &[&str]) -> Recipe {
    let kargs = ["console=ttyS0", "rd.live.report=/dev/ttyS1", "lab.report"];
    let mut args: Vec<String> =
        kargs.iter().flat_map(|karg| ["--append-karg".to_owned(), (*karg).to_owned()]).collect();
    if !extra.is_empty() {
        args.push("--profile=minimal".to_owned());
    }
    args.extend(extra.iter().map(|arg| (*arg).to_owned()));
    Recipe::Built { tree: Tree::Tiny, args }
}

fn through(firmware: Firmware, recipe: Recipe, bus: Bus) -> Boot {
    let boot = Boot::from(recipe).on(bus).firmware(firmware).memory(1536).deadline(420);
    boot.expect(overlay_root()).expect(both_dialects())
}

fn loopback(fs: Fs) -> Boot {
    let stick = Recipe::GrubStick { fs, iso: Box::new(built(&[])), path: "boot/iso/live.iso" };
    through(Firmware::SeaBios, stick, Bus::UsbStick)
        .expect(link_below("/run/initramfs/isoscandev", "/dev/disk/by-uuid/"))
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let grown = || Recipe::Grown(Box::new(built(&[])), 512);
    let on_partition = || leads_to("/run/initramfs/livedev", "/dev/sda1");
    vec![
        scenario("firmware/B-01 OVMF CD", through(Firmware::Ovmf, built(&[]), Bus::IdeCd)),
        scenario("firmware/B-01 OVMF stick", through(Firmware::Ovmf, built(&[]), Bus::UsbStick).expect(on_partition())),
        scenario("firmware/B-01 SeaBIOS CD", through(Firmware::SeaBios, built(&[]), Bus::IdeCd)),
        scenario(
            "firmware/B-01 SeaBIOS stick",
            through(Firmware::SeaBios, built(&[]), Bus::UsbStick).expect(on_partition()),
        ),
        scenario(
            "firmware/B-09 on a larger disk, SeaBIOS",
            through(Firmware::SeaBios, grown(), Bus::UsbStick).expect(on_partition()),
        ),
        scenario(
            "firmware/B-09 on a larger disk, OVMF",
            through(Firmware::Ovmf, grown(), Bus::UsbStick).expect(on_partition()),
        ),
        scenario(
            "firmware/--erofs, OVMF CD",
            through(Firmware::Ovmf, built(&["--erofs"]), Bus::IdeCd).expect(mounted("/run/rootfsbase", "erofs")),
        ),
        scenario(
            "firmware/--nested ext4, SeaBIOS CD",
            through(Firmware::SeaBios, built(&["--nested", "ext4", "--append-karg", "rd.overlay"]), Bus::IdeCd)
                .expect(mounted("/run/rootfsbase", "ext4")),
        ),
        scenario(
            "firmware/--nested ext4 as dmsquash has it, SeaBIOS CD",
            Boot::from(built(&["--nested", "ext4"]))
                .firmware(Firmware::SeaBios)
                .memory(1536)
                .deadline(420)
                .expect(mapped_root())
                .expect(mounted("/run/initramfs/live", "iso9660")),
        ),
        scenario("loopback/T-37 live-grub-stick: FAT32", loopback(Fs::Vfat)),
        scenario("loopback/B-51 ext4", loopback(Fs::Ext4)),
        scenario("loopback/B-51 exFAT", loopback(Fs::Exfat)),
    ]
}

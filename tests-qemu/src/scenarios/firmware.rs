//! From power-on through firmware, GRUB and our own menu, with ISOs of `rdlive-image build`.

use super::{Scenario, scenario};
use crate::boot::{Boot, Firmware};
use crate::check::*;
use crate::guest::Tree;
use crate::machine::Bus;
use crate::medium::*;

/// What live-grub-stick and MultiOS-USB do: the ISO's own loopback.cfg with `iso_path` set.
macro_rules! through_loopback {
    ($path:literal) => {
        concat!(
            "set iso_path=\"",
            $path,
            "\"\nexport iso_path\nloopback loop \"$iso_path\"\nset root=(loop)\nset timeout=1\nexport timeout\n",
            "configfile /boot/grub/loopback.cfg"
        )
    };
}

/// An ISO of our builder whose menu entries report to the lab. With other content than most it has the fewest drivers.
fn built(extra: &[&str]) -> Recipe {
    let kargs = ["console=ttyS0", "rd.live.report=/dev/ttyS1", "lab.report"];
    let mut args: Vec<String> =
        kargs.iter().flat_map(|karg| ["--append-karg".to_owned(), (*karg).to_owned()]).collect();
    if !extra.is_empty() {
        args.push("--profile=minimal".to_owned());
    }
    args.extend(extra.iter().map(|arg| (*arg).to_owned()));
    Recipe::Built { tree: Tree::Tiny, over: Over::default(), args }
}

fn through(firmware: Firmware, recipe: Recipe, bus: Bus) -> Boot {
    let boot = Boot::from(recipe).on(bus).firmware(firmware).memory(1536).deadline(420);
    boot.expect(overlay_root()).expect(both_dialects())
}

fn loopback(fs: Fs) -> Boot {
    let menu = through_loopback!("/boot/iso/live.iso");
    let stick = Recipe::GrubStick { fs, iso: Box::new(built(&[])), path: "boot/iso/live.iso", menu };
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
        scenario(
            "loopback/S7 a path with a device, and quotes, SeaBIOS",
            through(Firmware::SeaBios, quoted(), Bus::UsbStick).expect(report_says("it's")),
        ),
        scenario(
            "loopback/S6 a label with a blank as udev writes it, OVMF",
            through(Firmware::Ovmf, blank(), Bus::UsbStick).expect(report_says("Joe's $1")),
        ),
        scenario(
            "firmware/S5 files copied to a FAT stick, OVMF",
            through(Firmware::Ovmf, changed(built(&[]), COPIED), Bus::UsbStick)
                .expect(mounted("/run/initramfs/live", "vfat")),
        ),
    ]
}

/// KIWI's handbook has the device in the path.
fn quoted() -> Recipe {
    Recipe::GrubStick {
        fs: Fs::Ext4,
        iso: Box::new(built(&[])),
        path: "it's \"my\" \\ iso.iso",
        menu: through_loopback!("(hd0,msdos1)/it's \\\"my\\\" \\\\ iso.iso"),
    }
}

/// A menu of somebody's own.
fn blank() -> Recipe {
    Recipe::GrubStick {
        fs: Fs::Vfat,
        iso: Box::new(built(&["--volume-id", "My Live", "--allow-unusual-volume-id"])),
        path: "isos/Joe's $1 (new).iso",
        menu: concat!(
            "loopback loop \"/isos/Joe's \\$1 (new).iso\"\n",
            "linux (loop)/boot/vmlinuz \"root=live:CDLABEL=My\\x20Live\" rd.live.image rd.retry=30 ",
            "\"iso-scan/filename=/isos/Joe's \\$1 (new).iso\" console=ttyS0 rd.live.report=/dev/ttyS1 lab.report\n",
            "initrd (loop)/boot/initrd.img\nboot"
        ),
    }
}

/// As Rufus' ISO mode does, and who copies by hand: a FAT with the files, and with as much of the label as FAT keeps.
const COPIED: &str = r#"
    files="$1.files"; trap 'chmod -R u+w "$files"; rm -rf --one-file-system "$files"' EXIT
    xorriso -osirrox on -indev "$1" -extract / "$files" >/dev/null 2>&1
    chmod -R u+w "$files"
    label=$(isoinfo -d -i "$1" 2>/dev/null | sed -n 's/^Volume id: //p' || true)
    kib=$(( $(du -sk --apparent-size "$files" | cut -f1) * 11 / 10 + 40960 ))
    truncate -s 0 "$1"; truncate -s $(( kib + 2048 ))K "$1"
    printf 'label: dos\nstart=2048, type=c, bootable\n' | sfdisk -q "$1"
    mkfs.vfat -F 32 --offset 2048 -n "$(printf %.11s "${label:-COPY OF IT}")" "$1" "$kib" >/dev/null
    cd "$files"; shopt -s dotglob; MTOOLS_SKIP_CHECK=1 mcopy -s -Q -i "$1@@1M" -- * ::/"#;

//! From power-on through firmware, GRUB and our own menu, with ISOs of `rdlive-image build`.

use super::{Scenario, scenario};
use crate::boot::{Boot, Firmware};
use crate::check::*;
use crate::guest::Tree;
use crate::machine::Bus;
use crate::medium::*;

/// What MultiOS-USB does: the ISO's own loopback.cfg with `iso_path` set.
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
pub(super) fn built(extra: &[&str]) -> Recipe {
    let kargs = ["console=ttyS0", "rd.live.report=/dev/ttyS1", "lab.report"];
    let mut args: Vec<String> =
        kargs.iter().flat_map(|karg| ["--append-karg".to_owned(), (*karg).to_owned()]).collect();
    if !extra.is_empty() {
        args.push("--profile=minimal".to_owned());
    }
    args.extend(extra.iter().map(|arg| (*arg).to_owned()));
    Recipe::Built { tree: Tree::Tiny, over: Over::default(), args }
}

/// A system of Debian that forbids drivers of its live medium, and whose own dracut makes the initrd: it takes what is in /usr/lib there,
/// and what is in /etc only for the machine itself.
fn hardened() -> Recipe {
    const FORBIDS: &str = r#"
        mkdir -p "$1/usr/lib/modprobe.d" "$1/etc/dracut.conf.d"
        echo 'omit_drivers+=" overlay usb-storage floppy "' > "$1/etc/dracut.conf.d/hardened.conf"
        printf '%s\n' 'blacklist usb-storage' 'install usb-storage /bin/false' 'install squashfs /bin/true' \
            'install overlay /bin/false' > "$1/usr/lib/modprobe.d/hardened.conf""#;
    let Recipe::Built { mut args, .. } = built(&[]) else { return built(&[]) };
    let module = concat!("--dracut-module=", env!("CARGO_MANIFEST_DIR"), "/../dracut-module/50rdlive");
    args.extend(["--mode=dracut", module, "--compression-level=1", "--append-karg=rd.retry=40"].map(str::to_owned));
    Recipe::Built { tree: Tree::Trixie, over: Over { script: FORBIDS, ..Over::default() }, args }
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
        scenario("loopback/T-37 loopback.cfg on FAT32", loopback(Fs::Vfat)),
        scenario(
            "loopback/T-37 SD-6 live-grub-stick --suse-persistent, SeaBIOS",
            kept().then(
                kept().again().expect(overlay_root()).expect(persistence("named")).expect(file_is("/kept", "kept")),
            ),
        ),
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
            "firmware/the initrd that dracut makes in a hardened tree, SeaBIOS stick",
            through(Firmware::SeaBios, hardened(), Bus::UsbStick),
        )
        .with_all(),
        scenario(
            "firmware/S5 files copied to a FAT stick, OVMF",
            through(Firmware::Ovmf, changed(built(&[]), COPIED), Bus::UsbStick)
                .expect(mounted("/run/initramfs/live", "vfat")),
        ),
    ]
}

/// What live-grub-stick does with `--suse-persistent` (it takes an ISO of ours for openSUSE's, its default): GRUB's modules and its
/// menu in `/boot/grub2` as grub2-install leaves them, the ISO file at the top, a cow file of zeros in `/boot` (36 MiB here, for its 500),
/// and an entry that takes kernel and initrd out of the ISO file by KIWI's names and knows the stick by its UUID. The kargs are all that it
/// writes, and behind them those by which the lab learns of the boot.
const LIVE_GRUB_STICK: &str = r#"
    export MTOOLS_SKIP_CHECK=1
    stick="$1@@2M" uuid=$(blkid -p -O 2097152 -s UUID -o value "$1") modules=/usr/lib/grub/i386-pc
    by=/dev/disk/by-uuid/$uuid iso=/My-Live-1.iso
    kargs="isofrom=$by:$iso isofrom_device=$by isofrom_system=$iso kiwi_cowdevice=$by kiwi_cowsystem=/boot$iso-cowfile"
    kargs="$kargs loader=syslinux splash=silent quiet showopts"
    kargs="$kargs console=ttyS0 rd.live.report=/dev/ttyS1 lab.report lab.shutdown lab.read=/kept lab.keep=/kept"
    mmd -i "$stick" ::/boot ::/boot/grub2 ::/boot/grub2/i386-pc
    mcopy -Q -i "$stick" $modules/*.mod $modules/*.lst ::/boot/grub2/i386-pc/
    cat > "$1.cfg" <<EOF
insmod part_gpt
insmod iso9660
insmod linux
insmod gzio
set linux=linux
set initrd=initrd
set default=0
set gfxmode=auto
insmod gfxterm
set timeout=1
menuentry "My-Live-1.iso" --class suse --class os {
    loopback loop /My-Live-1.iso
    set gfxpayload=keep
    \$linux (loop)/boot/x86_64/loader/linux $kargs
    \$initrd (loop)/boot/x86_64/loader/initrd
}
EOF
    truncate -s 36M "$1.cow"; : > "$1.mark"
    mcopy -Q -i "$stick" "$1.cfg" ::/boot/grub2/grub.cfg
    mcopy -Q -i "$stick" "$1.cow" ::/boot/My-Live-1.iso-cowfile
    mcopy -Q -i "$stick" "$1.mark" ::/grubstick
    rm "$1.cfg" "$1.cow" "$1.mark""#;

/// Programs of this machine in the directories of the tiny tree: what makes the file system of the cow file is run from the image.
const MKFS: &str = r#"
    mkdir -p "$1/usr/bin" "$1/usr/lib"
    for program in mkfs.ext4 e2fsck; do
        path=$(PATH=/usr/sbin:/sbin:/usr/bin:/bin command -v $program); cp -L "$path" "$1/usr/bin/"
        for library in $(ldd "$path" | grep -o '/[^ ]*'); do cp -L "$library" "$1/usr/lib/"; done
    done"#;

/// The first boot from such a stick.
fn kept() -> Boot {
    let iso = Recipe::Built { tree: Tree::Tiny, over: Over { script: MKFS, ..Over::default() }, args: Vec::new() };
    let menu = "set prefix=($root)/boot/grub2\nconfigfile /boot/grub2/grub.cfg";
    let stick = Recipe::GrubStick { fs: Fs::Vfat, iso: Box::new(iso), path: "My-Live-1.iso", menu };
    let boot = Boot::from(changed(stick, LIVE_GRUB_STICK)).on(Bus::UsbStick).firmware(Firmware::SeaBios).memory(1536);
    boot.deadline(420).writable().expect(overlay_root()).expect(persistence("named")).expect(no_fallbacks())
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

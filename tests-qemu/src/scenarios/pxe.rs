//! From power-on through the network: firmware, a loader, and our live root, with only what `rdlive-image pxe` has written, or with copies
//! made by hand (network.md 3, network-field.md kinds 9 and 25, seed-audit.md SD-2 and SD-3).

use super::{Scenario, scenario};
use crate::boot::{Boot, Firmware};
use crate::check::*;
use crate::guest::Tree;
use crate::machine::{Bus, Nic};
use crate::medium::*;
use crate::net::{Net, Serve, Starter};

/// An ISO of our builder with drivers of network cards, whose entries report to the lab.
fn live() -> Recipe {
    live_with(&[])
}

fn live_with(more: &[&str]) -> Recipe {
    let kargs = ["console=ttyS0", "rd.live.report=/dev/ttyS1", "lab.report"];
    let args = kargs.iter().chain(more).map(|karg| format!("--append-karg={karg}")).collect();
    Recipe::Built { tree: Tree::Tiny, over: Over { network: true, ..Over::default() }, args }
}

/// What `pxe` writes with these arguments, the loaders' own programs, and what a script does then.
fn laid_out(args: &str, then: &str) -> Serve {
    let script = format!(
        r#"
        "$3" pxe --quiet --input "$2" --output "$1" --agent "$4" --url http://10.9.0.1 --append-karg rd.minmem=64 {args} >&2
        cp /usr/lib/PXELINUX/pxelinux.0 /usr/lib/syslinux/modules/bios/ldlinux.c32 "$1"
        cp /usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed "$1/grubnetx64.efi"
        cp /usr/lib/ipxe/snponly.efi "$1"
        cd "$1"
        {then}"#
    );
    Serve::Shown(Box::new(live()), script)
}

fn through(firmware: Firmware, starter: Starter, served: Serve) -> Boot {
    through_card(firmware, starter, Nic::Virtio, served)
}

fn through_card(firmware: Firmware, starter: Starter, nic: Nic, served: Serve) -> Boot {
    let net = Net::new().serve(served).boots(starter).nic(nic);
    Boot::nothing().firmware(firmware).net(net).memory(1536).deadline(420)
}

/// The kernel shows its command line: the card that the loader has booted from is on it.
fn knows_its_card(boot: Boot) -> Boot {
    boot.expect(overlay_root())
        .expect(console_says("BOOTIF=01-02-00-00-00-00-11"))
        .expect(report_says("fetch http://10.9.0.1/"))
        .expect(report_says("with its SHA-256"))
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = laid_out_by_us();
    list.extend(printed());
    list.extend(by_http());
    list.extend(unseen());
    list
}

/// The medium is a drive that only firmware and loaders see (network-field.md kind 26).
fn unseen() -> Vec<Scenario> {
    let starts = |script: &str| {
        let shown = Serve::Shown(
            Box::new(live_with(&["rd.retry=5"])),
            format!("{DRIVE}\ncat > \"$1/boot.ipxe\" <<'X'\n#!ipxe\n{script}\nX"),
        );
        through(Firmware::SeaBios, Starter::Card, shown).memory(2048)
    };
    let stops =
        |script| starts(script).expect(stops_with("RDL-010")).expect(report_says("root=live:URL fetches the ISO"));
    let kernel = "kernel linux initrd=initrd console=ttyS0 rd.live.report=/dev/ttyS1 lab.report rd.retry=5";
    vec![
        scenario(
            "pxe/K26 memdisk, SeaBIOS",
            stops("kernel memdisk iso raw\ninitrd live.iso\nboot").expect(report_says("loaded by memdisk")),
        )
        .with_all(),
        scenario(
            "pxe/K26 sanboot of an ISO over HTTP, SeaBIOS",
            stops("sanboot --drive 0x80 http://10.9.0.1/live.iso")
                .expect(report_says("loaded by memdisk, sanboot or the like")),
        )
        .with_all(),
        scenario(
            "pxe/K26 the AoE device that iPXE has booted from, SeaBIOS",
            starts(&format!("set keep-san 1\nsanhook aoe:e0.1\n{kernel} root=live:AOEINTERFACE=\ninitrd initrd\nboot"))
                .served(Serve::Aoe(live(), 0))
                .expect(overlay_root())
                .expect(leads_to("/run/initramfs/livedev", "/dev/etherd/e0.1")),
        )
        .with_all(),
        scenario(
            "pxe/K26 another medium is asked for than the AoE device that iPXE has booted from, SeaBIOS",
            starts(&format!("set keep-san 1\nsanhook aoe:e0.1\n{kernel} root=live:LABEL=OTHER\ninitrd initrd\nboot"))
                .served(Serve::Aoe(live(), 0))
                .expect(stops_with("RDL-010"))
                .expect(report_says("root=live:AOEINTERFACE=e0.1; or ")),
        )
        .with_all(),
    ]
}

/// With what `rdlive-image pxe` has written.
fn laid_out_by_us() -> Vec<Scenario> {
    use Firmware::{Ovmf, SeaBios};
    vec![
        scenario(
            "pxe/N-P1 N-P3 N-P7 iPXE in the card's ROM, SeaBIOS",
            knows_its_card(through(SeaBios, Starter::Card, laid_out("", ""))).expect(console_lacks(" ip=")),
        ),
        scenario(
            "pxe/N-P1 N-P7 N-N7 SD-34 pxelinux by e1000, SeaBIOS",
            knows_its_card(through_card(SeaBios, Starter::Card, Nic::E1000, laid_out("--loader=pxelinux", "")))
                .expect(console_says(" ip=10.9.0.1")),
        ),
        scenario(
            "pxe/N-P1 iPXE in the card's ROM, OVMF",
            knows_its_card(through(Ovmf, Starter::Card, laid_out("", ""))),
        )
        .with_all(),
        scenario(
            "pxe/K9 an address that was typed into iPXE is passed on, SeaBIOS",
            knows_its_card(through(SeaBios, Starter::Card, laid_out("", TYPED)))
                .expect(console_says(" ip=10.9.0.77::10.9.0.1:255.255.255.0::02-00-00-00-00-11:none"))
                .expect(console_says(" nameserver=10.9.0.1")),
        ),
        scenario(
            "pxe/N-P1 K25 words that a loader would take for its own, GRUB by the firmware's PXE, OVMF",
            through(Ovmf, Starter::Firmware, laid_out(QUOTED, ""))
                .expect(overlay_root())
                // GRUB writes colons.
                .expect(console_says("BOOTIF=01-02:00:00:00:00:11"))
                .expect(report_says("fetch http://10.9.0.1/"))
                .expect(console_says("a=b;c&d$e \"f=g h\"")),
        ),
        scenario(
            "pxe/N-P1 K25 words that a loader would take for its own, pxelinux by rtl8139, SeaBIOS",
            knows_its_card(through_card(
                SeaBios,
                Starter::Card,
                Nic::Rtl8139,
                laid_out(&format!("--loader=pxelinux {QUOTED}"), ""),
            ))
            .expect(console_says("a=b;c&d$e \"f=g h\"")),
        ),
        scenario(
            "pxe/B-46 an image with one bit flipped is refused, SeaBIOS",
            through(SeaBios, Starter::Card, laid_out("", FLIPPED))
                .expect(stops_with("RDL-072"))
                .expect(report_says(".iso")),
        ),
    ]
}

/// The seeds' three entries as they print them, but for address and file name, and for what the lab needs to see; with plain copies of
/// kernel and initrd, by pxelinux, and QEMU's default card.
fn printed() -> Vec<Scenario> {
    let copied = |iso: Recipe, entry: &str| {
        let files = vec![("/image/live.iso", iso.clone())];
        let shown = Serve::Shown(Box::new(iso), COPIED.replace("ENTRY", entry));
        let boot = through_card(Firmware::SeaBios, Starter::Card, Nic::E1000, shown).memory(2048);
        (boot, Serve::Ftp(files, None))
    };
    let (by_ftp, ftp) = copied(live(), "ip=dhcp root=live:ftp://10.9.0.1/image/live.iso");
    let (by_aoe, _) = copied(live(), "root=live:AOEINTERFACE=e0.1");
    let disk = "ip=dhcp root=live:ftp://10.9.0.1/image/live.iso ramdisk_size=3545728 rd.kiwi.live.system=/dev/sda \
                rd.live.overlay.persistent rd.live.overlay.cowfs=xfs";
    let (onto_disk, disk_ftp) = copied(with_xfs(), disk);
    let blank = || changed(Recipe::Text(""), "truncate -s 3G \"$1\"");
    let onto_disk = onto_disk.and(blank(), Bus::IdeDisk).writable();
    // The FTP server is gone, and what gives the kernel is there.
    let again = onto_disk.again().expect(overlay_root()).expect(persistence("partition"));
    vec![
        scenario(
            "pxe/SD-2 SD-3 seed 002 as printed: FTP into RAM, pxelinux by e1000",
            by_ftp.served(ftp)
                .expect(overlay_root())
                .expect(console_says(" ip=dhcp root=live:ftp://10.9.0.1/image/live.iso")),
        ),
        scenario(
            "pxe/SD-2 SD-7 seed 002 as printed: FTP to /dev/sda with an xfs, and again without the server, pxelinux by e1000",
            onto_disk.served(disk_ftp)
                .expect(overlay_root())
                .expect(persistence("partition"))
                .then(again.expect(console_says("no network is needed for it"))),
        )
        .with_all(),
        scenario(
            "pxe/SD-2 seed 003 as printed: AoE without any ip=, pxelinux by e1000",
            by_aoe.served(Serve::Aoe(live(), 0))
                .expect(overlay_root())
                .expect(console_lacks(" ip="))
                .expect(leads_to("/run/initramfs/livedev", "/dev/etherd/e0.1")),
        )
        .with_all(),
    ]
}

/// The firmware's own HTTP boot.
fn by_http() -> Vec<Scenario> {
    use Firmware::Ovmf;
    vec![
        scenario(
            "pxe/N-P1 iPXE by the firmware's HTTP boot, OVMF",
            through(Ovmf, Starter::FirmwareHttp, laid_out("", ""))
                .expect(overlay_root())
                .expect(report_says("fetch http://10.9.0.1/")),
        )
        .with_all(),
        scenario(
            "pxe/N-P4 an ISO by the firmware's HTTP boot is found in memory, OVMF",
            through(Ovmf, Starter::FirmwareHttp, Serve::Shown(Box::new(live()), BARE.to_owned()))
                .memory(2560)
                .expect(overlay_root())
                .expect(report_lacks("network ("))
                .expect(leads_to("/run/initramfs/livedev", "/dev/pmem0p1")),
        )
        .with_all(),
    ]
}

/// A whole system of Debian 13, for only that has the programs that make an xfs.
fn with_xfs() -> Recipe {
    let args = ["console=ttyS0", "rd.live.report=/dev/ttyS1", "lab.report"].map(|karg| format!("--append-karg={karg}"));
    let args = args.into_iter().chain(["--persistence=xfs".to_owned()]).collect();
    Recipe::Built { tree: Tree::Trixie, over: Over::default(), args }
}

/// Kernel arguments in the shell's words.
const QUOTED: &str = "--append-karg='a=b;c&d$e' --append-karg='f=g h'";

/// One bit of the image, while its name stays.
const FLIPPED: &str = r#"
    image=$(ls */*.iso); at=$(( $(stat -c %s "$image") / 2 ))
    byte=$(od -An -tu1 -j $at -N 1 "$image")
    printf "\\x$(printf %02x $(( byte ^ 1 )))" | dd of="$image" bs=1 seek=$at conv=notrunc status=none"#;

/// What a person does at the prompt of iPXE in a network without DHCP.
const TYPED: &str = r#"
    sed -i 's/^dhcp-boot=tag:ipxe,boot.ipxe$/dhcp-boot=tag:ipxe,typed.ipxe/' dnsmasq.conf
    cat > typed.ipxe <<'X'
#!ipxe
ifclose net0
clear net0.dhcp/dhcp-server
set net0/ip 10.9.0.77
set net0/netmask 255.255.255.0
set net0/gateway 10.9.0.1
set net0/dns 10.9.0.1
ifopen net0
chain tftp://10.9.0.1/boot.ipxe
X"#;

/// Nothing but the ISO, whose address the firmware is told.
const BARE: &str = r#"
    cp "$2" "$1/live.iso"
    printf '%s\n' port=0 interface=srv0 bind-interfaces no-ping dhcp-range=10.9.0.50,10.9.0.60,255.255.255.0,1h \
        dhcp-boot=http://10.9.0.1/live.iso dhcp-option-force=60,HTTPClient > "$1/dnsmasq.conf""#;

/// The ISO, memdisk, and kernel and initrd of the ISO, for iPXE.
const DRIVE: &str = r#"
    cp "$2" "$1/live.iso"; cp /usr/lib/syslinux/memdisk "$1"
    for file in initrd linux; do
        xorriso -osirrox on -indev "$2" -extract /boot/x86_64/loader/$file "$1/$file" >/dev/null 2>&1
    done
    chmod 644 "$1"/{initrd,linux,memdisk}
    printf '%s\n' port=0 interface=srv0 bind-interfaces no-ping dhcp-range=10.9.0.50,10.9.0.60,255.255.255.0,1h \
        enable-tftp "tftp-root=$1" dhcp-boot=boot.ipxe > "$1/dnsmasq.conf""#;

/// The seed's steps: two files out of the ISO by KIWI's names, and the entry.
const COPIED: &str = r#"
    shown=$1 iso=$2; mkdir -p "$shown"/{boot,image,pxelinux.cfg}
    for file in initrd linux; do
        xorriso -osirrox on -indev "$iso" -extract /boot/x86_64/loader/$file "$shown/boot/$file" >/dev/null 2>&1
    done
    chmod 644 "$shown"/boot/*
    cp /usr/lib/PXELINUX/pxelinux.0 /usr/lib/syslinux/modules/bios/ldlinux.c32 "$shown"
    cat > "$shown/pxelinux.cfg/default" <<'X'
DEFAULT Live-Boot
LABEL Live-Boot
    kernel boot/linux
    append initrd=boot/initrd ENTRY console=ttyS0 rd.live.report=/dev/ttyS1 lab.report
X
    printf '%s\n' port=0 interface=srv0 bind-interfaces no-ping dhcp-range=10.9.0.50,10.9.0.60,255.255.255.0,1h \
        enable-tftp "tftp-root=$shown" dhcp-boot=pxelinux.0 > "$shown/dnsmasq.conf""#;

//! Each step, note and warning of the documents that users come with has its place in docs/netboot.md (seed-audit SD-25).

use std::fs;
use std::path::PathBuf;

/// Seed and what it says; the heading under which the page has it, and the words by which it is known.
const PLACES: &[(&str, &str, &[&str])] = &[
    (
        "002, 003: kernel and initrd are copied out of the ISO",
        "### Without it",
        &[
            "mount live.iso /mnt",
            "cp /mnt/boot/x86_64/loader/initrd /srv/tftpboot/boot/initrd",
            "cp /mnt/boot/x86_64/loader/linux /srv/tftpboot/boot/linux",
            "umount /mnt",
        ],
    ),
    ("002, 003: again with each new build", "### Without it", &["again with each new build of the ISO"]),
    ("002: try the URL first", "### Without it", &["Try the URL with `wget` first"]),
    ("002, 003: an entry for pxelinux", "### Without it", &["/srv/tftpboot/pxelinux.cfg/default", "LABEL Live-Boot"]),
    (
        "002, 003: pxelinux.0 is set up",
        "## From power-on: `rdlive-image pxe`",
        &["`pxelinux.0`", "/usr/share/syslinux/"],
    ),
    ("002, 003: a test in QEMU", "### Without it", &["`-boot n`"]),
    (
        "002: ftp, http, https or dolly",
        "## Servers",
        &["live:ftp://", "live:http://", "live:dolly://", "ssl_enable=YES"],
    ),
    ("002: ip= chooses how addresses come", "## Addresses", &["`ip=`", "`dhcp`"]),
    (
        "002: options for curl and dolly",
        "## What the command line may say",
        &["rd.kiwi.live.curl_options=", "rd.kiwi.live.dolly_options="],
    ),
    ("002: the ramdisk's size", "## What the command line may say", &["ramdisk_size="]),
    ("002: a device for the system", "## Onto a disk", &["rd.kiwi.live.system=<device>", "`/dev/ram0`"]),
    ("002: a forced reset", "## Onto a disk", &["`rd.kiwi.live.reset`"]),
    ("002: all data on it will be wiped", "## Onto a disk", &["**what is on that disk is given away**"]),
    (
        "002: the entry with a disk",
        "## Onto a disk",
        &["rd.kiwi.live.system=/dev/sda rd.live.overlay.persistent rd.live.overlay.cowfs=xfs"],
    ),
    ("002: persistence needs a disk", "## What happens, and what is said", &["what asks for persistence is told that"]),
    (
        "003: vblade",
        "## Servers",
        &["`vblade -r 0 1 <interface> /srv/images/live.iso`", "`vbladed`", "zypper in", "apt install", "dnf install"],
    ),
    ("003: the module must fit", "## Servers", &["It needs no kernel module", "of the same kernel as the live system"]),
    ("003: shelf and slot", "## Servers", &["first two numbers are shelf and slot", "/dev/etherd/e<shelf>.<slot>"]),
    ("003: not on the machine itself", "## Servers", &["does not see its own export"]),
    (
        "003: the same network; a bridge; the administrator's",
        "## Servers",
        &["one network segment", "is the bridge", "administrator"],
    ),
    ("003: root=", "## Servers", &["`live:AOEINTERFACE=e0.1`"]),
];

#[test]
fn sd_25_each_step_note_and_warning_of_the_seeds_has_its_place() {
    let page = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/netboot.md")).unwrap();
    for (what, heading, words) in PLACES {
        let begin = page.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{what}: no heading {heading}"));
        let part = &page[begin + 1 + heading.len()..];
        let level = if heading.starts_with("###") { "\n##" } else { "\n## " };
        let part = part.split(level).next().unwrap();
        // Lines are wrapped anywhere.
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in *words {
            assert!(part.contains(word), "{what}: {word} is not below {heading}");
        }
    }
}

//! Rules for whole command lines: warnings, aliases, random tokens.

use super::super::registry::{self, ValueKind};
use super::*;

/// Command lines of random tokens, the same ones in every run.
fn soup(count: usize) -> Vec<String> {
    let names: Vec<&str> = registry::all()
        .flat_map(|karg| karg.names().collect::<Vec<_>>())
        .chain(["rd.live.x", "mod.par", "--", "\"", "é"])
        .collect();
    let values = [
        "",
        "=",
        "=0",
        "=1",
        "=no",
        "=LABEL=x",
        "=live:",
        "=live:LABEL=\\x2",
        "=:",
        "=:/",
        "=::",
        "=tmpfs:size=",
        "=/dev/",
        "=99999999999999999999",
        "=-1",
        "=50%",
        "=\"a b\"",
        "=a\"b",
        "=live:/x.iso",
        "=live:http://",
        "=live:aoe:e",
        "=é:/ü",
        "=,",
        "=\\x",
        "=/dev/disk/by-label/",
    ];
    let mut state: u64 = 0x2545_F491_4F6C_DD1D;
    let mut next = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit as u64).unwrap()
    };
    (0..count)
        .map(|_| {
            let tokens = 1 + next(12);
            (0..tokens).map(|_| format!("{}{} ", names[next(names.len())], values[next(values.len())])).collect()
        })
        .collect()
}

#[test]
fn a23_nearly_right_names_are_ignored_with_a_hint() {
    for name in ["rd-overlay", "rd_overlay", "RD.overlay"] {
        let warnings = interpret_text(name).1;
        assert_eq!(warnings.len(), 1, "{name}");
        assert_eq!(warnings[0].id, "unknown", "{name}");
        assert!(warnings[0].message.contains("did you mean rd.overlay?"), "{name}: {}", warnings[0].message);
    }
}

#[test]
fn warnings_by_id() {
    let rows = [
        ("root=live:LABEL=x rd.live.image quiet splash", ""),
        ("rd.live.ram rd.minmem=1", ""),
        ("rd.live.ram=required", ""),
        ("rd.live.ram=0", ""),
        ("rd.writable.fsimg", ""),
        ("rd.live.check", "not-built"),
        ("rd.live.check=0", ""),
        ("rd.overlay=LABEL=P", ""),
        ("rd.overlay=:auto", ""),
        ("rd.live.overlay.thin", ""),
        ("rd.overlay.crypt=sdb", "value"),
        ("rd.kiwi.verity_options=panic-on-corruption", "not-built"),
        ("rd.overlay=0 rd.overlay.readonly", "contradiction"),
        ("rd.overlay=false", "value"),
        ("rd.overlay=nonsense", "value"),
        ("rd.overlay=LABEL=P rd.live.overlay.persistent", "contradiction"),
        ("rd.overlay=LABEL=P rd.live.overlay.persistent=required", ""),
        ("rd.overlay=LABEL=P:/store rd.live.overlay.persistent=accept", ""),
        ("rd.overlay=0 rd.live.overlay.overlayfs", "deprecated contradiction"),
        ("rd.live.overlay.nouserconfirmprompt", "ignored"),
        ("rd.kiwi.live.pxe", "ignored"),
        ("root=live:LABEL=x rd.overlay rootflags=noatime", "ignored"),
        ("rootflags=noatime", ""),
        ("rootflags=metacopy=on rd.live.dialect=kiwi", ""),
        ("rootflags=noatime rd.overlay=none rw", ""),
        ("rd.overlay=none", "ignored"),
        ("findiso=/x.iso", "foreign"),
        ("boot=live toram persistence", "foreign foreign foreign"),
        ("rd.live.imag", "unknown"),
        ("rd.live.whatever.this.is", "unknown"),
        ("-- rd.live.ram", "after-dashes"),
        ("rd.lvm=0 rd.luks.uuid=x systemd.unit=rescue.target console=ttyS0", ""),
        ("iso-scan/filename=/x.iso root=live:http://h/x.iso", "contradiction"),
    ];
    for (text, expected) in rows {
        let mut found = ids(text);
        let mut expected: Vec<_> = expected.split_whitespace().collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{text}: {:?}", interpret_text(text).1);
    }
}

#[test]
fn every_warning_has_a_documented_id_and_says_what_happens() {
    for text in soup(400) {
        for warning in interpret_text(&text).1 {
            assert!(explain::WARNING_IDS.iter().any(|(id, _)| *id == warning.id), "{}", warning.id);
            assert!(!warning.message.ends_with('.'), "{}", warning.message);
        }
    }
}

#[test]
fn every_alias_reads_as_its_karg() {
    for karg in registry::all() {
        let value = match karg.kind {
            ValueKind::Bool | ValueKind::Word => "",
            ValueKind::Number => "=17",
            ValueKind::Size => "=17m",
            ValueKind::Text | ValueKind::List => "=LABEL=x",
        };
        let context = "root=LABEL=y rd.overlay.size=1";
        let expected = read(&format!("{context} {}{value}", karg.name));
        for alias in karg.aliases {
            let text = format!("{context} {}{value}", alias.name);
            let mut found = read(&text);
            found.dialect_reason.clone_from(&expected.dialect_reason);
            assert_eq!(found, expected, "{text}");
            assert!(ids(&text).contains(&"deprecated"), "{text}");
        }
    }
}

#[test]
fn token_soup_never_panics() {
    for text in soup(3000) {
        let (config, warnings) = interpret_text(&text);
        let json = explain::explain_json(&config, &warnings, &[]);
        explain::explain_lines(&config, &warnings, &[]);
        let back: Config = serde_json::from_value(json["config"].clone()).unwrap();
        assert_eq!(back, config, "{text}");
    }
}

#[test]
fn every_karg_that_is_read_changes_something() {
    let values = ["", "=0", "=1", "=x", "=17", "=LABEL=x", "=live:LABEL=x", "=/dev/ttyS1", "=halt", "=kiwi", "=xfs"];
    // The dialect is fixed, or the reason for it would be a change already.
    let contexts = [
        "",
        "rd.live.overlay.persistent",
        "rw",
        "isofrom_device=LABEL=z",
        "isofrom_system=/x.iso",
        "kiwi_cowdevice=LABEL=z",
        "kiwi_cowsystem=/x",
    ]
    .map(|more| format!("rd.live.dialect=dmsquash root=LABEL=y {more}"));
    for karg in registry::all() {
        if matches!(karg.status, registry::Status::Ignored(_) | registry::Status::Elsewhere(_)) {
            continue;
        }
        let changes = contexts.iter().any(|context| {
            let without = read(context);
            values.iter().any(|value| read(&format!("{context} {}{value}", karg.name)) != without)
        });
        assert!(changes, "{} is in the registry, but nothing reads it", karg.name);
    }
}

#[test]
fn command_lines_from_the_wild() {
    let rows = [
        ("Fedora", "BOOT_IMAGE=(cd0)/boot/vmlinuz root=live:CDLABEL=Fedora-WS-Live-40 rd.live.image quiet rhgb", ""),
        ("openSUSE", "root=live:LABEL=openSUSE_Live splash=silent quiet nomodeset", ""),
        ("KIWI", "root=live:CDLABEL=CDROM rd.live.image splash quiet", ""),
        (
            "KIWI, hybrid persistent",
            "root=live:CDLABEL=CDROM rd.live.image rd.live.overlay.persistent rd.live.overlay.cowfs=xfs",
            "",
        ),
        ("KIWI, media check", "mediacheck=1 plymouth.enable=0 root=live:CDLABEL=CDROM rd.live.image", "not-built"),
        ("live-grub-stick for Fedora", "root=live:CDLABEL=CDROM rd.live.image iso-scan/filename=/my.iso", ""),
        (
            "live-grub-stick --suse-persistent",
            "BOOT_IMAGE=(loop)/boot/x86_64/loader/linux isofrom=/dev/disk/by-uuid/AB-CD:/my.iso \
             isofrom_device=/dev/disk/by-uuid/AB-CD isofrom_system=/my.iso kiwi_cowdevice=/dev/disk/by-uuid/AB-CD \
             kiwi_cowsystem=/boot/my.iso-cowfile loader=syslinux splash=silent quiet showopts",
            "deprecated deprecated deprecated deprecated deprecated",
        ),
        (
            "Kairos",
            "cdroot root=live:CDLABEL=COS_LIVE rd.live.dir=/ rd.live.squashimg=rootfs.squashfs \
             rd.live.overlay.overlayfs console=tty1 console=ttyS0 rd.cos.disable net.ifnames=1",
            "deprecated",
        ),
        (
            "Azure Linux",
            "root=live:LABEL=CDROM rd.shell rd.live.image rd.live.dir=liveos rd.live.squashimg=rootfs.img \
             rd.live.overlay=1 rd.live.overlay.overlayfs rd.live.overlay.nouserconfirmprompt security=selinux",
            "deprecated deprecated ignored",
        ),
        ("iPXE", "vmlinuz initrd=initrd.img root=live:http://h/x.iso ip=dhcp", ""),
        ("an installed system", "BOOT_IMAGE=/vmlinuz root=UUID=x ro quiet splash hostname=h resume=UUID=y", ""),
    ];
    for (case, text, expected) in rows {
        assert_eq!(ids(text).join(" "), expected, "{case}: {:?}", interpret_text(text).1);
    }
}

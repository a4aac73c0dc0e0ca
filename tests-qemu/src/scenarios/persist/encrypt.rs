//! Encrypted areas: kiwi-live T-34 to T-36, dracut-live C23.

use super::outside::{look, untouched};
use super::*;
use crate::mode::KEY;

/// What the agent asks.
pub(super) const NEW: &str = "New passphrase for";
pub(super) const AGAIN: &str = "The same passphrase again:";
pub(super) const OPEN: &str = "Passphrase for the encrypted area";
/// What is typed.
pub(super) const PASS: &str = "correct horse";
/// Written to `/kept`; must not be seen from outside.
const SECRET: &str = "PLAIN-AS-DAY";

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = Vec::new();
    for (name, mode) in [
        ("native", Mode::NativeCrypt),
        ("dracut 106", Mode::Dracut106),
        ("dracut 106 without systemd", Mode::Dracut106Shell),
        ("dracut 059", Mode::Dracut059),
    ] {
        let boot = partition(mode);
        // systemd asks for the passphrase on the console of the kernel, where nobody can type in user-mode Linux.
        let systemd = matches!(mode, Mode::Dracut106 | Mode::Dracut059);
        let boot = if systemd { boot.needs(Need::DistributionKernel) } else { boot };
        list.push(scenario(format!("encrypt/T-34 T-35 T-72 a partition, {name}"), boot).in_every_run(mode));
    }
    list.extend([key_in_initrd(), key_on_a_stick(), cow_file(), cow_file_stays_shut(), no_tool()]);
    list.extend(refusals());
    list.extend(named());
    list
}

pub(super) fn typed(line: &str) -> String {
    format!("{line}\n")
}

pub(super) fn encrypting(mode: Mode) -> Boot {
    stick(hybrid(Table::Gpt, 112)).mode(mode).deadline(400)
}

/// Asked for a new passphrase, and given one.
pub(super) fn new(boot: Boot) -> Boot {
    boot.kargs("rd.live.encrypt").on_text(NEW, &typed(PASS)).on_text(AGAIN, &typed(PASS))
}

pub(super) fn encrypted(boot: Boot) -> Boot {
    boot.expect(report_says("\"encrypted\":true"))
}

/// Shell functions for LUKS volumes in files.
pub(super) const LUKS: &str = r#"
    is_luks() {
        found="$(blkid -p -o value -s TYPE "$1") $(cryptsetup luksDump "$1" | sed -n 's/^Label:[[:space:]]*//p')"
        [ "$found" = "crypto_LUKS $2" ] || fail "found $found"
    }
    # 32 MiB is what the lab's stand-in for cryptsetup asks for.
    is_quick() { cryptsetup luksDump "$1" | grep 'Memory: *32768$' >/dev/null; }
    opens() { printf %s "$2" | cryptsetup open --test-passphrase --key-file - "$1"; }
    no_plain_text() { ! grep -qaF PLAIN-AS-DAY "$1" || fail "what was written can be read on the medium"; }
"#;

/// Partition 3 is a LUKS volume that the key opens, and what was written is nowhere on the medium.
fn locked(key: &str) -> Check {
    let script = format!(
        r#"{LUKS} cut_out "$1" 3; is_luks "$1.part" lukscow; opens "$1.part" '{key}'
        if opens "$1.part" wrong 2>/dev/null; then fail "any key opens it"; fi
        no_plain_text "$1""#
    );
    look("has LUKS, opened by its key alone, and no plain text", &script)
}

/// Its key was made of the passphrase as for everybody: no stand-in was in the way.
fn made_slowly() -> Check {
    let script = format!(r#"{LUKS} cut_out "$1" 3; if is_quick "$1.part"; then fail "it is the stand-in's"; fi"#);
    look("has a key that took its time", &script)
}

/// First boot, second without the karg, third with it and with `quiet`, which hides our log but not the question.
fn partition(mode: Mode) -> Boot {
    let boot = encrypting(mode);
    let opened = |boot: Boot| encrypted(boot).expect(file_is("/kept", SECRET)).expect(locked(PASS));
    let asked = |boot: Boot| boot.on_text(OPEN, &typed(PASS));
    let (second, third) = (boot.again(), boot.again().kargs("rd.live.encrypt quiet"));
    let quiet = asked(third).expect(overlay_root()).expect(persistence("partition")).expect(no_fallbacks());
    encrypted(keeps(writes(new(boot), SECRET), "partition"))
        .expect(mounted("/run/overlay/overlayfs", "ext4"))
        .expect(mount_source("/run/overlay/overlayfs", "/dev/mapper/lukscow"))
        .expect(locked(PASS))
        .expect(made_slowly())
        .then(opened(keeps(asked(second), "partition")))
        .then(opened(quiet.expect(ends(End::Off))))
}

fn key_in_initrd() -> Scenario {
    let boot = encrypting(Mode::NativeCrypt12)
        .kargs("rd.live.encrypt rd.live.encrypt.keyfile=/etc/lab.key rd.live.overlay.cowfs=ext4");
    let second = boot.again();
    scenario(
        "encrypt/T-34 T-35 a key in the initrd, kernel and cryptsetup of Debian 12",
        encrypted(keeps(writes(boot, SECRET), "partition"))
            .expect(locked(KEY))
            .then(encrypted(keeps(second, "partition")).expect(file_is("/kept", SECRET))),
    )
}

fn key_on_a_stick() -> Scenario {
    let keys = store(Fs::Vfat, vec![("keys/live.key", Recipe::Text(KEY))], 1);
    let boot = encrypting(Mode::NativeCryptQuick)
        .and(keys, Bus::Disk)
        .kargs("rd.live.encrypt rd.live.encrypt.keyfile=LABEL=STORE:/keys/live.key");
    scenario(
        "encrypt/T-34 a key on another disk",
        encrypted(keeps(writes(boot, SECRET), "partition"))
            .expect(locked(KEY))
            .expect(not_mounted("/run/rdlive/key"))
            .expect(untouched(1)),
    )
}

fn cow_file() -> Scenario {
    let take_out = r#"cut_out "$1" 1; MTOOLS_SKIP_CHECK=1 mcopy -i "$1.part" ::/live_system.cow "$1.cow""#;
    let locked = || {
        let script = format!(
            r#"{LUKS} {take_out}; is_luks "$1.cow" lukscow; is_quick "$1.cow"; opens "$1.cow" '{PASS}'; no_plain_text "$1""#
        );
        look("holds a LUKS cow file, and no plain text", &script)
    };
    let boot = stick(store(Fs::Vfat, vec![("live.iso", iso())], 80))
        .mode(Mode::NativeCryptQuick)
        .kargs("iso-scan/filename=/live.iso rd.live.cowfile.mbsize=64")
        .deadline(400);
    let second = boot.again();
    scenario(
        "encrypt/T-34 T-35 a cow file",
        encrypted(keeps(writes(new(boot), SECRET), "file")).expect(locked()).then(
            encrypted(keeps(second.on_text(OPEN, &typed(PASS)), "file"))
                .expect(file_is("/kept", SECRET))
                .expect(locked()),
        ),
    )
}

/// The volume stays shut, and the disk that it lies on is read-only again for the whole session.
fn cow_file_stays_shut() -> Scenario {
    let boot = stick(store(Fs::Vfat, vec![("live.iso", iso())], 80))
        .mode(Mode::NativeCryptQuick)
        .kargs("iso-scan/filename=/live.iso rd.live.cowfile.mbsize=64")
        .deadline(400);
    let (first, mut second) = (boot.again().kargs("rd.live.encrypt rd.live.encrypt.keyfile=/etc/lab.key"), boot);
    for _ in 0..3 {
        second = second.on_text(OPEN, "wrong\n");
    }
    scenario(
        "encrypt/T-36 three wrong passphrases for a cow file",
        keeps(first, "file").then(
            forgets(second, "3 wrong passphrases")
                .expect(mount_option("/run/initramfs/isoscan", "ro"))
                .expect(untouched(0)),
        ),
    )
}

fn no_tool() -> Scenario {
    let boot = encrypting(Mode::NativeWrite).kargs("rd.live.encrypt");
    scenario("encrypt/T-36 no cryptsetup in the initrd", forgets(boot, "dm_crypt").expect(untouched(0)))
}

/// T-36: whatever happens, nothing without encryption is made.
fn refusals() -> Vec<Scenario> {
    let fresh = |kargs: &str| encrypting(Mode::NativeCryptQuick).kargs("rd.live.encrypt").kargs(kargs);
    let nobody = fresh("rd.live.encrypt.timeout=3");
    let required = fresh("rd.live.overlay.persistent=required rd.live.encrypt.timeout=3");
    let differ = fresh("").on_text(NEW, "one\n").on_text(AGAIN, "two\n").on_text(NEW, "\n");
    let wrong = {
        let boot = encrypting(Mode::NativeCryptQuick);
        let (first, mut second) = (boot.again().kargs("rd.live.encrypt rd.live.encrypt.keyfile=/etc/lab.key"), boot);
        for _ in 0..3 {
            second = second.on_text(OPEN, "wrong\n");
        }
        keeps(first, "partition").then(forgets(second, "3 wrong passphrases").expect(untouched(0)))
    };
    let plain = {
        let boot = encrypting(Mode::NativeCryptQuick);
        let second = boot.again().kargs("rd.live.encrypt rd.live.encrypt.keyfile=/etc/lab.key");
        // The same look that must find nothing elsewhere finds it here.
        let readable = disk(0, "shows what was written", format!("grep -qaF {SECRET} \"$1\""));
        keeps(writes(boot, SECRET), "partition")
            .expect(readable)
            .then(forgets(second, "not encrypted and rd.live.encrypt was asked for").expect(untouched(0)))
    };
    vec![
        scenario(
            "encrypt/T-36 nobody types anything",
            forgets(nobody, "no passphrase was given within 3 s").expect(untouched(0)),
        ),
        scenario("encrypt/T-36 required stops the boot", required.expect(stops_with("RDL-060")).expect(untouched(0))),
        scenario(
            "encrypt/T-36 two passphrases that differ, then none",
            forgets(differ, "no passphrase was given")
                .expect(console_says("the two passphrases differ"))
                .expect(untouched(0)),
        ),
        scenario("encrypt/T-36 three wrong passphrases", wrong),
        scenario("encrypt/T-36 an area without encryption is not used", plain),
    ]
}

/// C23: `rd.overlay.crypt=`.
fn named() -> Vec<Scenario> {
    let on_cd = |second: Recipe| {
        Boot::from(iso())
            .and(second, Bus::Disk)
            .mode(Mode::NativeCryptQuick)
            .root("root=live:CDLABEL=ISO rd.live.image")
            .kargs("lab.shutdown")
            .writable()
    };
    let zeros = || Recipe::Grown(Box::new(Recipe::Text("")), 64);
    let temporary_at = |mib: u32, boot: Boot| {
        encrypted(ends_well(boot))
            .expect(persistence("temporary"))
            .expect(no_fallbacks())
            .expect(mounted("/run/initramfs/overlayfs", "ext4"))
            .expect(look_at_volume(mib))
    };
    let temporary = |boot: Boot| temporary_at(0, boot);
    let empty = {
        let boot = on_cd(zeros()).kargs("rd.overlay.crypt=/dev/{1}");
        let second = boot.again();
        temporary(writes(boot, SECRET)).then(temporary(second).expect(file_absent("/kept")))
    };
    let data = || folder(Fs::Ext4, "DATA", vec![("letter", Recipe::Text("dear"))]);
    let refused = on_cd(data()).kargs("rd.overlay.crypt=LABEL=DATA");
    let named = || {
        let disk = Recipe::Partition(Box::new(Recipe::Grown(Box::new(data()), 48)));
        changed(disk, "sfdisk -q --part-label \"$1\" 1 secret")
    };
    let forced = on_cd(named()).kargs("rd.overlay.crypt=PARTLABEL=secret,mkfs=force,mapname=mine");
    let forced_by_node = on_cd(named()).kargs("rd.overlay.crypt=/dev/{1.1},mkfs=force");
    let forced_by_label = on_cd(Recipe::Grown(Box::new(data()), 48)).kargs("rd.overlay.crypt=LABEL=DATA,mkfs=force");
    let passphrase = {
        let boot = encrypting(Mode::NativeCryptQuick);
        let again = boot
            .again()
            .root("root=live:CDLABEL=ISO rd.live.image rd.overlay.crypt=LABEL=lukscow")
            .on_text(OPEN, &typed(PASS));
        keeps(new(boot), "partition").then(encrypted(keeps(again, "named")).expect(locked(PASS)))
    };
    let ordinary = {
        let root = Recipe::Partition(Box::new(labelled(Fs::Ext4, "plain")));
        Boot::from(root)
            .on(Bus::Disk)
            .and(Recipe::Grown(Box::new(Recipe::Text("")), 64), Bus::Disk)
            .mode(Mode::Dracut106)
            .root("root=LABEL=plain ro rd.overlay.crypt=/dev/{1}")
            .writable()
    };
    vec![
        scenario("encrypt/C23 an empty device gets a random key, at each boot", empty),
        scenario(
            "encrypt/C23 a device with data is left alone",
            forgets(refused, "mkfs=force wipes it").expect(untouched(1)),
        ),
        scenario(
            "encrypt/C23 consent needs a name that stays",
            forgets(forced_by_label, "a name that stays").expect(untouched(1)),
        ),
        scenario(
            "encrypt/C23 F5 the kernel's name is no consent, the refusal says another",
            forgets(forced_by_node, "rd.overlay.crypt=PARTUUID=").expect(untouched(1)),
        ),
        scenario("encrypt/C23 a device with data, and consent", temporary_at(1, writes(forced, SECRET))),
        scenario("encrypt/C23 a LUKS device, by its passphrase", passphrase),
        scenario(
            "encrypt/C23 an ordinary root, dracut 106",
            encrypted(writes(ordinary, SECRET))
                .expect(overlay_root())
                .expect(mounted("/run/overlayfs-backing", "ext4"))
                .expect(no_fallbacks())
                .expect(super::super::ordinary::as_it_was(Mode::Dracut106))
                .expect(look_at_volume(0)),
        ),
    ]
}

/// The second disk from this MiB on.
fn look_at_volume(mib: u32) -> Check {
    let script = r#"fail() { echo "$*"; exit 1; }"#;
    disk(
        1,
        "is LUKS with a forgotten key, and shows no plain text",
        format!(
            r#"{script} {LUKS} dd if="$1" of="$1.part" bs=1M skip={mib} status=none
            is_luks "$1.part" rdlive-temporary; no_plain_text "$1""#
        ),
    )
}

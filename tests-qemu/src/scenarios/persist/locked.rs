//! Encrypted areas of other images, and what a reset does to encrypted areas (docs/decisions/0021, 0024).

use super::disk::with_area;
use super::encrypt::{AGAIN, LUKS, NEW, OPEN, PASS, encrypted, encrypting, new, typed};
use super::identity::two_isos;
use super::outside::{look, untouched, with_functions};
use super::*;
use crate::mode::KEY;

const ROOT: &str = "root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent";
const KEY_FILE: &str = "rd.live.encrypt.keyfile=/etc/lab.key";
/// What another image's owner types.
const OTHER_PASS: &str = "battery staple";
/// Volumes of the lab's own, with a key that everybody knows: nothing is gained by making it slowly.
const QUICK: &str = "--pbkdf-force-iterations 4 --pbkdf-memory 65536";
/// In the header of another image's volume.
const OTHER: &str = "rdlive:00112233aabbccdd:OLD";

/// All of them.
pub fn all() -> Vec<Scenario> {
    vec![
        two_files(),
        another_images_partition(),
        header_asks_for_nothing(),
        key_wants_more_memory(),
        damaged_inside(),
        somebody_elses(),
    ]
}

/// The header of partition 3 says that it is for the image on the medium.
fn marked() -> Check {
    let script = format!(
        r#"{LUKS} cut_out "$1" 3; is_luks "$1.part" lukscow; mark=$(blkid -p -o value -s SUBSYSTEM "$1.part")
        [[ $mark =~ ^rdlive:[0-9a-f]{{16}}:ISO$ && $mark != {OTHER} ]] || fail "the header says '$mark'""#
    );
    look("has a volume marked for the image", &script)
}

/// The second image is never asked for the first one's passphrase.
fn two_files() -> Scenario {
    let from = |name: &str| {
        two_isos().mode(Mode::NativeCryptQuick).deadline(400).kargs(&format!("iso-scan/filename=/{name}.iso"))
    };
    let first = new(writes(from("a"), "a"));
    let second = writes(from("b"), "b")
        .kargs("rd.live.encrypt")
        .on_text(NEW, &typed(OTHER_PASS))
        .on_text(AGAIN, &typed(OTHER_PASS));
    let again = |name: &str, pass: &str| encrypted(keeps(from(name).on_text(OPEN, &typed(pass)), "file"));
    let headers = format!(
        r#"{LUKS} cut_out "$1" 1; debugfs -R "ls -p /" "$1.part" 2>/dev/null | tr / '\n' | grep '^live_system.*cow$' > "$1.names"
        [ $(wc -l < "$1.names") = 2 ] || fail "cow files: $(cat "$1.names")"
        while read -r name; do
            debugfs -R "dump /$name $1.cow" "$1.part" 2>/dev/null; is_luks "$1.cow" lukscow
            blkid -p -o value -s SUBSYSTEM "$1.cow" >> "$1.marks"
        done < "$1.names"
        [ $(sort -u "$1.marks" | grep -c '^rdlive:[0-9a-f]*:ISO$') = 2 ] || fail "$(cat "$1.marks")""#
    );
    scenario(
        "encrypt/T-38 two ISOs of one label on one stick have an encrypted file each",
        encrypted(keeps(first, "file"))
            .then(
                encrypted(keeps(second, "file"))
                    .expect(report_says("belongs to another image"))
                    .expect(look("has two volumes for two images", &headers)),
            )
            .then(again("a", PASS).expect(file_is("/kept", "a")))
            .then(again("b", OTHER_PASS).expect(file_is("/kept", "b"))),
    )
}

/// One that holds nothing inside, made elsewhere with the key that our initrd has too.
fn another_images_partition() -> Scenario {
    let volume = format!(
        r#"truncate -s 64M "$1.area"; printf %s '{KEY}' > "$1.key"
        cryptsetup luksFormat -q --type luks2 --label lukscow --subsystem {OTHER} {QUICK} --key-file "$1.key" "$1.area"
        rm "$1.key""#
    );
    let boot = || stick(with_area(&volume)).mode(Mode::NativeCryptQuick).deadline(400);
    let required = boot().root(&format!("{ROOT}=required")).expect(stops_with("RDL-051")).expect(untouched(0));
    let closed = forgets(boot().kargs("rd.live.encrypt"), "RDL-051")
        .expect(report_says("the image OLD"))
        .expect(report_says("persistent=accept"))
        .expect(untouched(0));
    let mut nobody = boot().kargs("rd.live.overlay.reset");
    for _ in 0..3 {
        nobody = nobody.on_text(OPEN, "wrong\n");
    }
    let nobody = forgets(nobody, "reset needs the passphrase too").expect(untouched(0));
    let empty = boot().root(&format!("{ROOT}=accept")).kargs(KEY_FILE);
    let empty = forgets(empty, "holds nothing that is known").expect(untouched(0));
    let reset = writes(boot().kargs("rd.live.overlay.reset").kargs(KEY_FILE), "mine");
    let last = boot().kargs(KEY_FILE);
    scenario(
        "encrypt/W-13 a partition of another image: not opened, emptied by its passphrase alone",
        required
            .then(closed)
            .then(nobody)
            .then(empty)
            .then(encrypted(keeps(reset, "partition")).expect(marked()))
            .then(encrypted(keeps(last, "partition")).expect(file_is("/kept", "mine"))),
    )
}

/// attacks.md F4: somebody who had the stick has changed the header. The owner's key opens the volume, which encrypts nothing.
fn header_asks_for_nothing() -> Scenario {
    let volume = format!(
        r#"truncate -s 64M "$1.area"; printf %s '{KEY}' > "$1.key"
        cryptsetup luksFormat -q --type luks2 --label lukscow {QUICK} --key-file "$1.key" "$1.area"
        rm "$1.key"
        # Both copies of the header, each with its SHA-256; the two names have the same length.
        for copy in 0 1; do
            header() {{ dd if="$1.area" bs=16384 skip=$copy count=1 status=none; }}
            put() {{ dd of="$1.area" bs=1 seek=$((copy * 16384 + $2)) conv=notrunc status=none; }}
            text='"iv_tweak":"0","encryption":"'
            at=$(header "$1" | grep -obUaF "$text"aes-xts-plain64 | cut -d: -f1)
            printf cipher_null-ecb | put "$1" $((at + ${{#text}}))
            head -c 64 /dev/zero | put "$1" 448
            printf "$(header "$1" | sha256sum | cut -c1-64 | sed 's/../\\x&/g')" | put "$1" 448
        done
        cryptsetup luksDump "$1.area" | grep 'cipher: cipher_null-ecb' >/dev/null"#
    );
    let boot = stick(with_area(&volume)).mode(Mode::NativeCryptQuick).deadline(400).kargs(KEY_FILE);
    scenario(
        "encrypt/F4 a header that asks for no encryption",
        forgets(boot, "cipher_null-ecb").expect(report_says("RDL-061")).expect(untouched(0)),
    )
}

/// A header may ask for any amount: the kernel would end a program for that, cryptsetup or another one.
fn key_wants_more_memory() -> Scenario {
    let volume = format!(
        r#"truncate -s 64M "$1.area"; printf %s '{KEY}' > "$1.key"
        cryptsetup luksFormat -q --type luks2 --label lukscow --pbkdf argon2id --pbkdf-force-iterations 4 \
            --pbkdf-parallel 1 --pbkdf-memory 1048576 --key-file "$1.key" "$1.area"
        rm "$1.key""#
    );
    let boot = stick(with_area(&volume)).mode(Mode::NativeCryptQuick).kargs(KEY_FILE).memory(512);
    scenario(
        "encrypt/T-36 a key that wants more memory than there is",
        forgets(boot, "making the key takes 1 GiB of memory")
            .expect(report_says("RDL-061"))
            .expect(report_says("luksConvertKey"))
            .expect(console_lacks("Out of memory"))
            .expect(root_within(10.0))
            .expect(untouched(0)),
    )
}

/// The volume of another system, which may sleep, and whose key our initrd has: what is inside says so only when it is open
/// (attacks.md F3). Then somebody says that nobody uses it.
fn somebody_elses() -> Scenario {
    let mounted = r#"
        mkdir "$1.at"; mount -o loop "$1" "$1.at"; trap 'umount "$1.at"' EXIT; echo more > "$1.at/more"; sync -f "$1.at"
        cp --sparse=always "$1" "$1.seen"; umount "$1.at"; trap - EXIT; mv "$1.seen" "$1"; rmdir "$1.at""#;
    let home = folder(Fs::Ext4, "HOME", vec![("letter", Recipe::Text("dear"))]);
    let boot = Boot::from(iso())
        .and(changed(home, mounted), Bus::Disk)
        .sealed()
        .mode(Mode::NativeCryptQuick)
        .root("root=live:CDLABEL=ISO rd.live.image rd.overlay.crypt=/dev/{1}")
        .kargs(KEY_FILE)
        .kargs("lab.shutdown");
    let awake = boot.again().kargs("rd.live.host.awake=1");
    scenario(
        "encrypt/F3 a volume of another system that was not cleanly unmounted",
        forgets(boot, "was not cleanly unmounted")
            .expect(report_says("rd.live.host.awake=1"))
            .expect(untouched(1))
            .then(encrypted(keeps(awake, "named"))),
    )
}

/// What is encrypted behind the superblock is overwritten; then another image's header over our own area.
fn damaged_inside() -> Scenario {
    let damage = with_functions(
        r#"head -c 60M /dev/urandom | dd of="$1" bs=4096 seek=$(( ($(first "$1" 3) + 16777216 + 4096) / 4096 )) \
            iflag=fullblock conv=notrunc status=none"#,
    );
    let rename = with_functions(&format!(
        r#"cut_out "$1" 3; cryptsetup config --label lukscow --subsystem {OTHER} "$1.part"
        dd if="$1.part" of="$1" bs=1M seek=$(( $(first "$1" 3) / 1048576 )) conv=notrunc,sparse status=none; rm "$1.part""#
    ));
    let boot = || encrypting(Mode::NativeCryptQuick).kargs(KEY_FILE);
    let first = writes(boot().kargs("rd.live.encrypt"), "first");
    let kept = forgets(boot().edited(&damage), "RDL-052");
    let reset = writes(boot().kargs("rd.live.overlay.reset"), "second");
    let accept = boot().root(&format!("{ROOT}=accept")).edited(&rename);
    scenario(
        "encrypt/T-33 a file system that is damaged inside, made anew by a reset; accepted from another image",
        encrypted(keeps(first, "partition"))
            .expect(marked())
            .then(kept)
            .then(
                encrypted(keeps(reset, "partition"))
                    .expect(report_says("reset was asked for"))
                    .expect(report_says("discarded content"))
                    .expect(marked()),
            )
            .then(encrypted(keeps(accept, "partition")).expect(file_is("/kept", "second")).expect(marked())),
    )
}

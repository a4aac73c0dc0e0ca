//! What a boot says: the right cause, in the kernel's words where it has some, and what to do (issue 12, points 6 and 7, kinds J and M).

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = inits();
    list.extend(kernels());
    list.extend(journals());
    list.extend(refusals());
    list.extend(lost());
    list.extend(names());
    list.extend(raids());
    list
}

/// The tiny tree, changed by a script that runs in it, as an ISO.
fn remade(script: &str) -> Recipe {
    let script = format!(
        "d=$(mktemp -d); unsquashfs -q -n -d $d/t \"$1\" >/dev/null; cd $d/t
         {script}
         mksquashfs . \"$1\" -comp zstd -noappend -quiet -no-progress; cd /; rm -rf --one-file-system \"$d\""
    );
    iso_with("ISO", changed(image(Fs::Squashfs("zstd")), &script))
}

/// An init that is there and cannot be executed, or in an image that cannot be read.
fn inits() -> Vec<Scenario> {
    let stops = |medium: Recipe, code: &'static str, words: &'static str| {
        Boot::from(medium).kargs("rd.retry=5").expect(stops_with(code)).expect(console_says(words))
    };
    // Of a squashfs all between its superblock, with the options of its compressor, and its tables is data; the place of a table stands in the superblock.
    let noise = "noise() { head -c $2 /dev/urandom | dd of=\"$f\" bs=1 seek=$1 conv=notrunc status=none; }; f=$1
        place() { od -An -tu8 -j $1 -N 8 \"$f\" | tr -d ' '; }; ";
    let unread = |script: &str| iso_with("ISO", changed(image(Fs::Squashfs("zstd")), &format!("{noise}{script}")));
    let program = "printf '#!/none\\n' >init; chmod 755 init; rm -f sbin/init usr/sbin/init";
    let mut list = vec![
        scenario(
            "words/6 no init at all",
            stops(
                iso_with("ISO", folder(Fs::Squashfs("zstd"), "", vec![("usr/README", Recipe::Text("empty\n"))])),
                "RDL-030",
                "the live system has no init program",
            ),
        ),
        scenario(
            "words/6 an init without its interpreter",
            stops(remade(program), "RDL-030", "/init needs /none, which is not there").kargs("init=/init"),
        ),
        scenario(
            "words/6 an init for another machine",
            stops(
                remade("cp --remove-destination \"$(readlink -f bin/busybox)\" init; printf '\\026\\0' | dd of=init bs=1 seek=18 conv=notrunc status=none"),
                "RDL-030",
                "/init is a program for s390x, and this machine is x86_64",
            )
            .kargs("init=/init"),
        ),
        scenario(
            "words/6 an init that may not be executed",
            stops(remade("echo x >init; chmod 644 init"), "RDL-030", "/init may not be executed (its mode is 0644)")
                .kargs("init=/init"),
        ),
        scenario(
            "words/6 an image whose data cannot be read",
            stops(unread("noise 160 $(( $(place 64) - 160 ))"), "RDL-014", "init cannot be read"),
        ),
        scenario(
            "words/6 an image whose directories cannot be read",
            stops(unread("noise $(place 72) $(( $(place 80) - $(place 72) ))"), "RDL-014", "cannot be looked for"),
        ),
    ];
    for (name, mode) in [("dracut 106", Mode::Dracut106), ("dracut 106 without systemd", Mode::Dracut106Shell)] {
        list.push(scenario(
            format!("words/6 an image whose data cannot be read, {name}"),
            stops(unread("noise 160 $(( $(place 64) - 160 ))"), "RDL-014", "init cannot be read").mode(mode),
        ));
    }
    list
}

/// The right or the wrong kernel (issue 12, point 7).
fn kernels() -> Vec<Scenario> {
    let boot = || {
        Boot::from(remade("mkdir -p usr/lib/modules/5.4.0-other/kernel"))
            .kargs("quiet")
            .expect(overlay_root())
            .expect(report_says("\"modules\":[\"5.4.0-other\"]"))
            .expect(console_says("runs, and the live system has modules for 5.4.0-other alone"))
    };
    vec![
        scenario("words/7 modules of another kernel", boot()),
        scenario("words/7 modules of another kernel, dracut 106", boot().mode(Mode::Dracut106)),
    ]
}

/// What lies in a journal alone (field.md J): it was written, and the power went. Nothing is replayed unasked.
fn journals() -> Vec<Scenario> {
    const PENDING: &str = "its journal is pending and was not replayed";
    let file_systems = [("XFS", Fs::Xfs), ("ext4", Fs::Ext4), ("btrfs", Fs::Btrfs)];
    // What the file system has on the disk when a new file is synchronised, which is as it is after a power cut.
    let cut = |fs: Fs, from: &str, to: &str, recipe: Recipe| {
        let script = format!(
            "mkdir \"$1.mnt\"; mount -o loop \"$1\" \"$1.mnt\"; mkdir -p \"$1.mnt/$(dirname {to})\"; sync -f \"$1.mnt\"
             cp --reflink=never \"$1.mnt/{from}\" \"$1.mnt/{to}\"; sync \"$1.mnt/{to}\"; cp --sparse=always \"$1\" \"$1.new\"
             umount \"$1.mnt\"; rmdir \"$1.mnt\"; mv \"$1.new\" \"$1\""
        );
        changed(folder(fs, "ROOT2", vec![(from, recipe), ("home/README", Recipe::Text("a server"))]), &script)
    };
    let medium = |fs| cut(fs, "home/new.img", "LiveOS/squashfs.img", image(Fs::Squashfs("zstd")));
    let mut list = Vec::new();
    for (name, fs) in file_systems {
        let boot = |kargs: &str| Boot::from(medium(fs)).root("root=live:LABEL=ROOT2").kargs(kargs).writable();
        list.push(scenario(
            format!("words/S12 a container that is only in the journal of {name}"),
            boot("rd.retry=5")
                .expect(stops_with("RDL-013"))
                .expect(console_says(PENDING))
                .expect(report_says("rw rd.live.host.awake=1"))
                .expect(media_unchanged()),
        ));
        list.push(scenario(
            format!("words/S12 the same of {name}, replayed on request"),
            boot("rw rd.live.host.awake=1").expect(overlay_root()),
        ));
        list.push(scenario(
            format!("words/J an ISO file that is only in the journal of {name}"),
            Boot::from(cut(fs, "home/old.iso", "iso/x.iso", iso()))
                .kargs("iso-scan/filename=/iso/x.iso rd.retry=5")
                .writable()
                .expect(stops_with("RDL-011"))
                .expect(console_says(PENDING))
                .expect(report_says("once and shut it down"))
                .expect(media_unchanged()),
        ));
    }
    list
}

/// Why a driver refuses stands in the kernel's log, and in the error (field.md M); what no kernel reads is no damage.
fn refusals() -> Vec<Scenario> {
    // A byte at a place. Without its first feature an EROFS has no checksum of its superblock.
    let set = |recipe: Recipe, at: u64, byte: &str| {
        changed(recipe, &format!("printf '\\{byte}' | dd of=\"$1\" bs=1 seek={at} conv=notrunc status=none"))
    };
    let stops = |medium: Recipe, code: &'static str, words: &'static str| {
        Boot::from(medium).kargs("rd.retry=5").expect(stops_with(code)).expect(console_says(words))
    };
    let squashfs = || image(Fs::Squashfs("zstd"));
    vec![
        scenario(
            "words/M S15 an ext4 medium with a feature of tomorrow",
            stops(
                changed(
                    labelled(Fs::Ext4, "ISO"),
                    "debugfs -w -R 'set_super_value feature_incompat 0x800002c2' \"$1\" 2>/dev/null",
                ),
                "RDL-012",
                "(kernel: EXT4-fs (",
            ),
        ),
        scenario(
            "words/M an EROFS container with a feature of tomorrow",
            stops(
                iso_with("ISO", set(set(image(Fs::Erofs), 1024 + 8, "0"), 1024 + 83, "100")),
                "RDL-021",
                "(kernel: erofs",
            )
            .expect(console_lacks("truncated copy")),
        ),
        scenario(
            "words/6 a squashfs compressed with LZMA",
            stops(iso_with("ISO", set(squashfs(), 20, "2")), "RDL-016", "compressed with lzma, which no kernel")
                .expect(console_lacks("truncated copy")),
        ),
        scenario(
            "words/6 a squashfs compressed with something of tomorrow",
            stops(
                iso_with("ISO", set(squashfs(), 20, "11")),
                "RDL-016",
                "compressed with unknown (9), which no kernel",
            )
            .expect(console_lacks("truncated copy")),
        ),
        scenario(
            "words/M no disk at all",
            Boot::nothing().kargs("rd.retry=3").expect(stops_with("RDL-010")).expect(console_says("no disk at all")),
        ),
    ]
}

/// A medium whose beginning is lost is not missing (issue 12, point 6).
fn lost() -> Vec<Scenario> {
    let zeros = |recipe: Recipe, from: u64, sectors: u64| {
        let script = format!("dd if=/dev/zero of=\"$1\" bs=2048 seek={from} count={sectors} conv=notrunc status=none");
        changed(recipe, &script)
    };
    let stops = |medium: Recipe, words: &'static str| {
        Boot::from(medium)
            .kargs("rd.retry=5")
            .expect(stops_with("RDL-010"))
            .expect(console_says(words))
            .expect(report_says("write it again: its beginning is lost"))
    };
    // The partition of a hybrid begins 16 blocks behind the disk, and has descriptors of its own.
    const HEADER: &str = "unknown content: an ISO whose header is damaged";
    vec![
        scenario("words/6 an ISO whose first descriptor is zeros", stops(zeros(iso(), 16, 1), HEADER)),
        scenario(
            "words/6 a hybrid stick whose descriptors are zeros",
            stops(zeros(hybrid(Table::Mbr, 8), 16, 48), HEADER),
        ),
        scenario(
            "words/6 a hybrid stick with a GPT whose descriptors are zeros",
            stops(zeros(hybrid(Table::Gpt, 8), 16, 48), HEADER),
        ),
        scenario(
            "words/6 an ISO that begins with zeros",
            stops(zeros(iso(), 0, 40), "unknown content: its first 64 KiB are zeros"),
        ),
    ]
}

/// Names without extensions of ISO 9660, and beyond ASCII (field.md N and P).
fn names() -> Vec<Scenario> {
    let plain = |volume: &str, recipe: Recipe| {
        let script = format!(
            "d=$(mktemp -d); xorriso -osirrox on -indev \"$1\" -extract / $d/t >/dev/null 2>&1; chmod -R u+w $d/t; rm \"$1\"
             xorriso -compliance no_emul_toc -rockridge off -joliet off -outdev \"$1\" -volid {volume} -map $d/t / >/dev/null 2>&1
             rm -rf --one-file-system \"$d\""
        );
        changed(recipe, &script)
    };
    let joliet =
        "d=$(mktemp -d); export LC_ALL=C.UTF-8; xorriso -osirrox on -indev \"$1\" -extract / $d/t >/dev/null 2>&1
        chmod -R u+w $d/t; mv $d/t/LiveOS \"$d/t/Größe 条\"; rm \"$1\"
        xorriso -compliance no_emul_toc -rockridge off -joliet on -outdev \"$1\" -volid ISO -map $d/t / >/dev/null 2>&1
        rm -rf --one-file-system \"$d\"";
    let dvd = folder(Fs::Iso, "DVD", vec![("ISOs/Live.iso", iso())]);
    let moved = |fs: Fs, mount: &str| {
        let script = format!(
            "export LC_ALL=C.UTF-8; mkdir \"$1.mnt\"; {mount} >/dev/null; mkdir \"$1.mnt/Téléchargements\"
             mv \"$1.mnt/x.iso\" \"$1.mnt/Téléchargements/Größe 条 1.iso\"; umount \"$1.mnt\"; rmdir \"$1.mnt\""
        );
        changed(folder(fs, "STORE", vec![("x.iso", iso())]), &script)
    };
    let fat = changed(
        folder(Fs::Vfat, "STORE", vec![("x.iso", iso())]),
        "export LC_ALL=C.UTF-8 MTOOLS_SKIP_CHECK=1; mmd -i \"$1\" ::/Téléchargements
         mmove -i \"$1\" ::/x.iso '::/Téléchargements/Größe 条 1.iso'",
    );
    let beyond = |medium: Recipe| {
        Boot::from(medium)
            .on(Bus::Stick)
            .kargs("\"iso-scan/filename=/Téléchargements/Größe 条 1.iso\"")
            .writable()
            .expect(overlay_root())
            .expect(media_unchanged())
    };
    vec![
        scenario(
            "words/S16 an ISO with neither Rock Ridge nor Joliet",
            Boot::from(plain("ISO", iso())).expect(overlay_root()),
        ),
        scenario(
            "words/N an ISO file on such an ISO",
            Boot::from(plain("DVD", dvd)).kargs("iso-scan/filename=/ISOs/Live.iso").expect(overlay_root()),
        ),
        scenario(
            "words/S29 a path beyond ASCII on FAT",
            beyond(fat).expect(mount_option("/run/initramfs/isoscan", "utf8")),
        ),
        scenario(
            "words/S29 a path beyond ASCII on exFAT",
            beyond(moved(Fs::Exfat, "mount -t exfat-fuse -o loop \"$1\" \"$1.mnt\"")),
        ),
        scenario("words/S29 a path beyond ASCII on NTFS", beyond(moved(Fs::Ntfs, "ntfs-3g \"$1\" \"$1.mnt\""))),
        scenario(
            "words/P a directory beyond ASCII on an ISO with Joliet",
            Boot::from(changed(iso(), joliet)).kargs("\"rd.live.dir=Größe 条\"").expect(overlay_root()),
        ),
    ]
}

/// The record of a RAID that is left over, or of one half of a mirror (field.md L): what is in front of it is read, and never written to.
fn raids() -> Vec<Scenario> {
    // The fields that tell what it is and where, of version 1.0 (8 KiB from the end, or a little more) and 0.90 (64 KiB and more).
    const MARK: &str = "f=$1; at() { dd of=\"$f\" bs=1 seek=$1 conv=notrunc status=none; }
        le() { local n=$1 i; for i in 1 2 3 4 5 6 7 8; do printf \"\\\\$(printf %03o $((n & 255)))\"; n=$((n >> 8)); done; }
        size=$(stat -c %s \"$f\"); ";
    const V1: &str = "s=$(( (size / 512 - 16) & ~7 )); o=$((s * 512)); printf '\\374\\116\\053\\251\\1' | at $o
        printf 'RAIDRAIDRAIDRAIDnas:0' | at $((o + 16)); le $s | at $((o + 144))";
    const V0: &str =
        "o=$(( (size & ~65535) - 65536 )); printf '\\374\\116\\053\\251' | at $o; printf 'RAID' | at $((o + 20))";
    let marked = |recipe: Recipe, version: &str| changed(recipe, &format!("{MARK}{version}"));
    let live = |fs: Fs| folder(fs, "LIVEFAT", vec![("LiveOS/squashfs.img", image(Fs::Squashfs("zstd")))]);
    let boots = |medium: Recipe, root: &str| {
        Boot::from(medium)
            .on(Bus::Stick)
            .root(root)
            .writable()
            .expect(overlay_root())
            .expect(console_says("has the record of a RAID beside its file system, and is only read"))
            .expect(console_says("mdadm --zero-superblock"))
            .expect(media_unchanged())
    };
    const LABEL: &str = "root=live:LABEL=LIVEFAT";
    let host = |fs: Fs| folder(fs, "STORE", vec![("x.iso", iso())]);
    let on_host = |fs: Fs, version: &str| {
        boots(marked(host(fs), version), "root=live:CDLABEL=ISO")
            .kargs("iso-scan/filename=/x.iso rd.live.overlay.persistent")
    };
    vec![
        scenario("words/S14 a FAT stick with the record of a RAID 1.0", boots(marked(live(Fs::Vfat), V1), LABEL)),
        scenario("words/L an ext4 stick with the record of a RAID 0.90", boots(marked(live(Fs::Ext4), V0), LABEL)),
        scenario(
            "words/L the same, with rw and changes that are to be kept on it",
            boots(marked(live(Fs::Vfat), V1), LABEL).kargs("rw rd.live.host.awake=1 rd.overlay=LABEL=LIVEFAT"),
        ),
        scenario(
            "words/L one half of a mirror, behind whose file system there is room for the record",
            boots(marked(Recipe::Grown(Box::new(live(Fs::Ext4)), 1), V1), LABEL)
                .expect(console_says("no other has come")),
        ),
        scenario("words/L an ISO file on a FAT with the record of a RAID 1.0", on_host(Fs::Vfat, V1)),
        scenario("words/L an ISO file on an ext4 with the record of a RAID 0.90", on_host(Fs::Ext4, V0)),
    ]
}

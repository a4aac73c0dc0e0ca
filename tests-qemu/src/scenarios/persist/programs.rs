//! Programs of the image make and check the place for changes where the initrd has none (decision 0031).

use super::file::cow;
use super::outside::{GPT, kept, made, untouched, used};
use super::*;
use crate::guest::Tree;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = vec![
        scenario("persist/programs of a Debian 13 image, native", debian()),
        scenario("persist/programs of an image, native", twice(on_stick(tree(&PROGRAMS)))),
        scenario("persist/programs of a nested image, native", twice(on_stick(nested_with(&PROGRAMS)))),
        scenario("persist/programs of a nested image for a named partition, native", named()),
        scenario(
            "persist/programs of an image, dracut 106",
            twice(on_stick(tree(&PROGRAMS)).mode(Mode::Dracut106Bare)),
        ),
        scenario(
            "persist/programs of an image in RAM, native",
            twice(on_stick(tree(&PROGRAMS)).kargs("rd.live.ram rd.minmem=1")),
        ),
        scenario("persist/programs of an image in an ISO file, native", in_file()),
        scenario("persist/programs of an image that has none, native", {
            let why = "mkfs.ext4 or mke2fs is neither in the initrd nor in the image; install e2fsprogs into the image";
            forgets(on_stick(image(Fs::Squashfs("zstd"))), why).expect(untouched(0))
        }),
        scenario("persist/programs of an image, of which one hangs, native", {
            forgets(on_stick(hangs()), "has done nothing for 60 s and was stopped")
                .expect(console_says("rdlive: making an ext4"))
                .deadline(180)
        }),
    ];
    for (fs, mib) in [("xfs", 340), ("btrfs", 140)] {
        let boot = on_stick_of(tree(&PROGRAMS), mib).kargs(&format!("rd.live.overlay.cowfs={fs}"));
        let first = keeps(writes(boot.again(), "first"), "partition").expect(made(3, GPT, fs));
        let second = keeps(boot, "partition").expect(file_is("/kept", "first")).expect(used(3));
        list.push(scenario(format!("persist/programs of an image, {fs}, native"), first.then(second)));
    }
    list
}

const PROGRAMS: [&str; 4] = ["mkfs.ext4", "e2fsck", "mkfs.xfs", "mkfs.btrfs"];

/// A bash script that puts programs of this machine, with what they need to start, into the tree at `$tree`, where all lies in two
/// directories.
fn install(programs: &[&str]) -> String {
    format!(
        r#"for program in {}; do
            path=$(PATH=/usr/sbin:/sbin:/usr/bin:/bin command -v $program); cp -L "$path" "$tree/usr/bin/"
            for library in $(ldd "$path" | grep -o '/[^ ]*'); do cp -L "$library" "$tree/usr/lib/"; done
        done"#,
        programs.join(" ")
    )
}

/// A bash script that changes the tree in the squashfs at `$1`.
fn in_squashfs(script: &str) -> String {
    format!(
        r#"work=$(mktemp -d "$1.XXXXXX"); tree=$work/tree; unsquashfs -q -n -d "$tree" "$1" > /dev/null
        {script}
        rm "$1"; mksquashfs "$tree" "$1" -comp zstd -quiet -no-progress; rm -r --one-file-system "$work""#
    )
}

/// The tiny tree with programs, as a container.
fn tree(programs: &[&str]) -> Recipe {
    changed(image(Fs::Squashfs("zstd")), &in_squashfs(&install(programs)))
}

/// The same in an ext4 in a container.
fn nested_with(programs: &[&str]) -> Recipe {
    let script = format!(
        r#"tree=$(mktemp -d "$1.XXXXXX"); truncate -s +32M "$1"; resize2fs "$1" 2> /dev/null; mount -o loop "$1" "$tree"
        trap 'umount "$tree"; rmdir "$tree"' EXIT
        {}"#,
        install(programs)
    );
    folder(Fs::Squashfs("zstd"), "", vec![("LiveOS/rootfs.img", changed(image(Fs::Ext4), &script))])
}

/// The tiny tree with a program that never does anything.
fn hangs() -> Recipe {
    let script = in_squashfs(
        r#"echo '#include <unistd.h>
        int main() { for (;;) pause(); }' | cc -static -x c -o "$tree/usr/bin/mkfs.ext4" -"#,
    );
    changed(image(Fs::Squashfs("zstd")), &script)
}

/// A stick with this container, whose initrd is as the builder makes it.
fn on_stick(container: Recipe) -> Boot {
    on_stick_of(container, 96)
}

fn on_stick_of(container: Recipe, mib: u64) -> Boot {
    stick(hybrid_with(Table::Gpt, container, mib)).mode(Mode::Native)
}

/// First boot: the partition is made, the file kept. Second boot: the file is there.
fn twice(boot: Boot) -> Boot {
    keeps(writes(boot.again(), "first"), "partition")
        .expect(report_says("programs of /run/"))
        .expect(not_mounted("/run/rdlive/programs"))
        .expect(made(3, GPT, "ext4"))
        .expect(kept(3, "first"))
        .then(keeps(boot, "partition").expect(file_is("/kept", "first")).expect(used(3)).expect(kept(3, "first")))
}

/// A third partition that holds nothing, and is named.
fn named() -> Boot {
    const EMPTY: &str = r#"
        sgdisk -e "$1" >/dev/null; echo "size=56MiB, type=L, name=empty" | sfdisk -q --append "$1" 2>/dev/null"#;
    let medium = changed(hybrid_with(Table::Gpt, nested_with(&PROGRAMS), 64), EMPTY);
    let root = "root=live:CDLABEL=ISO rd.live.image rd.overlay=PARTLABEL=empty rd.live.overlay.cowfs=ext4";
    let boot = stick(medium).mode(Mode::Native).root(root);
    keeps(writes(boot.again(), "first"), "named")
        .expect(report_says("programs of /run/rdlive/programs"))
        .expect(not_mounted("/run/rdlive/programs"))
        .then(keeps(boot, "named").expect(file_is("/kept", "first")).expect(used(3)))
}

fn in_file() -> Boot {
    let iso = iso_with("ISO", tree(&PROGRAMS));
    let boot = host(store(Fs::Vfat, vec![("live.iso", iso)], 64)).mode(Mode::Native);
    keeps(writes(boot.again(), "first"), "file").expect(cow(Fs::Vfat, "live_system.cow", 48, "first")).then(
        keeps(boot, "file").expect(file_is("/kept", "first")).expect(cow(Fs::Vfat, "live_system.cow", 48, "first")),
    )
}

/// As people have it. That the changes are used again needs no systemd.
fn debian() -> Boot {
    let container = Recipe::Image { tree: Tree::Trixie, fs: Fs::Squashfs("zstd"), marker: "debian", label: "" };
    let boot = on_stick(container).memory(1536).deadline(420);
    let ends = |boot: Boot| {
        boot.expect(overlay_root())
            .expect(persistence("partition"))
            .expect(no_fallbacks())
            .expect(console_says("shutdown: the live system is unmounted"))
            .expect(ends(End::Off))
            .expect(kept(3, "first"))
    };
    let second = boot.again().kargs("init=/usr/bin/lab-guest lab.shutdown");
    let second = ends(second).expect(file_is("/kept", "first")).expect(used(3));
    ends(boot.kargs("lab.poweroff lab.write=/kept:first")).expect(made(3, GPT, "ext4")).then(second)
}

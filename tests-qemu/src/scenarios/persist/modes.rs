//! The main cases in every kind of initrd: T-18, T-21, T-38, T-72.

use super::file::cow;
use super::outside::{GPT, kept, made, used};
use super::*;
use crate::guest::Tree;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = Vec::new();
    for (name, mode) in [
        ("dracut 106", Mode::Dracut106),
        ("dracut 106 without systemd", Mode::Dracut106Shell),
        ("dracut 059", Mode::Dracut059),
    ] {
        // One chain of each initrd is booted with the kernel that people have below it: for dracut 106 it is that of encrypt/T-34.
        let whole = match mode {
            Mode::Dracut106 => partition(mode),
            _ => partition(mode).needs(Need::DistributionKernel),
        };
        list.push(scenario(format!("persist/T-18 T-21 T-72 {name}"), whole).in_every_run(mode));
        list.push(scenario(format!("persist/T-38 T-72 {name}"), file(mode)));
    }
    for (name, mode) in [
        ("native", Mode::NativeWrite),
        ("dracut 106", Mode::Dracut106),
        ("dracut 106 without systemd", Mode::Dracut106Shell),
        ("dracut 059", Mode::Dracut059),
    ] {
        let full = stick(hybrid(Table::Gpt, 0)).mode(mode);
        list.push(scenario(
            format!("persist/T-24 quiet does not hide why, {name}"),
            forgets_quietly(full, "no room behind the image"),
        ));
    }
    list.push(scenario("persist/T-72 power-off by systemd, native", systemd(Mode::NativeWrite)));
    list.push(scenario("persist/T-72 power-off by systemd, dracut 106", systemd(Mode::Dracut106)));
    list
}

fn partition(mode: Mode) -> Boot {
    let boot = stick(hybrid(Table::GptHybrid, 96)).mode(mode);
    keeps(writes(boot.again(), "first"), "partition")
        .expect(made(3, GPT, "ext4"))
        .expect(kept(3, "first"))
        .then(keeps(boot, "partition").expect(file_is("/kept", "first")).expect(used(3)))
}

fn file(mode: Mode) -> Boot {
    let boot = host(store(Fs::Vfat, vec![("live.iso", iso())], 64)).mode(mode);
    keeps(writes(boot.again(), "first"), "file").expect(cow(Fs::Vfat, "live_system.cow", 48, "first")).then(
        keeps(boot, "file").expect(file_is("/kept", "first")).expect(cow(Fs::Vfat, "live_system.cow", 48, "first")),
    )
}

/// A whole Debian, whose systemd takes it down.
fn systemd(mode: Mode) -> Boot {
    let container =
        Box::new(Recipe::Image { tree: Tree::Trixie, fs: Fs::Squashfs("zstd"), marker: "debian", label: "" });
    let recipe = Recipe::Grown(Box::new(Recipe::Hybrid { table: Table::Gpt, label: "ISO", container }), 96);
    Boot::from(recipe)
        .on(Bus::Stick)
        .mode(mode)
        .writable()
        .root("root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent")
        .kargs("lab.poweroff lab.write=/kept:first")
        .memory(1536)
        .deadline(420)
        .expect(overlay_root())
        .expect(persistence("partition"))
        .expect(console_says("shutdown: the live system is unmounted"))
        .expect(ends(End::Off))
        .expect(made(3, GPT, "ext4"))
        .expect(kept(3, "first"))
}

#[cfg(test)]
mod tests {
    use crate::artifact;
    use crate::tool;

    /// dracut's own functions are stood in for: what counts is who is told what.
    const DRACUT: &str = r#"
        dracut_module_included() { return 1; }; inst_hook() { :; }; inst_multiple() { echo "in $*"; }; inst_simple() { :; }; inst_libdir_file() { :; }
        dwarn() { echo "warning $*"; }; dinfo() { echo "info $*"; }
        find_binary() { [[ " $HAS " == *" $1 "* ]]; }
        initdir=$(mktemp -d); trap 'rm -r --one-file-system "$initdir"' EXIT; dracutsysrootdir=$initdir/system
        mkdir -p "$dracutsysrootdir/etc/ssl/certs"; echo -----BEGIN CERTIFICATE----- > "$dracutsysrootdir/etc/ssl/certs/ca-certificates.crt"
        RDLIVE_AGENT=/bin/true moddir=$1; . "$1/module-setup.sh"; install"#;

    #[test]
    fn missing_programs_are_named_when_the_initrd_is_made() {
        let module = artifact::module_dir();
        for (has, expected) in [
            (
                "mkfs.ext4 e2fsck mkfs.xfs mkfs.btrfs",
                [("in mkfs.ext4", true), ("in mkfs.btrfs", true), ("warning", false)],
            ),
            ("mkfs.ext4 e2fsck", [("in e2fsck", true), ("info rdlive: no mkfs.xfs", true), ("warning", false)]),
            ("", [("warning rdlive: no mkfs.ext4", true), ("install e2fsprogs", true), ("in mkfs", false)]),
        ] {
            let said = tool::shell(&format!("HAS='{has}'\n{DRACUT}"), &[&module]).unwrap();
            for (text, there) in expected {
                assert_eq!(said.contains(text), there, "with {has:?}, {text:?} in:\n{said}");
            }
        }
    }
}

//! Kargs we do not know: misspelt ones of ours, and those of other live systems that have a counterpart here.

use super::all;

/// A karg of another live system.
#[derive(Debug)]
pub struct Foreign {
    /// Its name; a trailing `*` stands for any ending.
    pub name: &'static str,
    /// Only with one of these values; empty for any.
    pub values: &'static [&'static str],
    /// Whose it is.
    pub owner: &'static str,
    /// What to write here.
    pub instead: &'static str,
}

const fn foreign(name: &'static str, owner: &'static str, instead: &'static str) -> Foreign {
    Foreign { name, values: &[], owner, instead }
}

/// Kargs of others that look related, and what to write here (dracut-live spec 1.8, kiwi-live spec 1.11, peers).
pub static FOREIGN: &[Foreign] = &[
    Foreign {
        name: "boot",
        values: &["live", "casper"],
        owner: "live-boot and casper",
        instead: "root=live:CDLABEL=<label>",
    },
    foreign("live-media", "live-boot and casper", "root=live:<device>"),
    foreign("live-media-path", "live-boot and casper", "rd.live.dir=<directory>"),
    foreign("findiso", "live-boot", "iso-scan/filename=<path>"),
    foreign("fromiso", "live-boot", "iso-scan/filename=<path>"),
    foreign("img_dev", "archiso", "iso-scan/filename=<device>:<path>"),
    foreign("img_loop", "archiso", "iso-scan/filename=<path>"),
    foreign("archisolabel", "archiso", "root=live:CDLABEL=<label>"),
    foreign("archisodevice", "archiso", "root=live:<device>"),
    foreign("archisosearchuuid", "archiso", "root=live:UUID=<uuid>"),
    foreign("archisobasedir", "archiso", "rd.live.dir=<directory>"),
    foreign("cow_device", "archiso", "rd.overlay=<device>"),
    foreign("cow_label", "archiso", "rd.overlay=LABEL=<label>"),
    foreign("cow_spacesize", "archiso", "rd.live.overlay.size=<size>"),
    foreign("cdroot", "Gentoo and elemental", "root=live:CDLABEL=<label>"),
    foreign("toram", "live-boot, casper and KIWI before 8", "rd.live.ram"),
    foreign("copytoram", "archiso and NixOS", "rd.live.ram"),
    foreign("todisk", "live-boot", "rd.kiwi.live.system=<device>"),
    foreign("persistence", "live-boot", "rd.live.overlay.persistent"),
    foreign("persistence-*", "live-boot", "rd.overlay=<device>"),
    foreign("persistent", "casper", "rd.live.overlay.persistent"),
    foreign("perch", "Slax", "rd.live.overlay.persistent"),
    foreign("kiwi_hybrid*", "KIWI before 8", "rd.live.overlay.persistent"),
    foreign("overlaytmpfs", "Alpine", "rd.overlay"),
    foreign("systemd.volatile", "systemd", "rd.overlay"),
    foreign("verify-checksums", "live-boot", "rd.live.check"),
    foreign("integrity-check", "casper", "rd.live.check"),
    foreign("fetch", "live-boot", "root=live:<URL>"),
    foreign("httpfs", "live-boot", "root=live:<URL>"),
    foreign("ftpfs", "live-boot", "root=live:<URL>"),
    foreign("archiso_http_srv", "archiso", "root=live:<URL>"),
    foreign("coreos.live.rootfs_url", "Fedora CoreOS", "root=live:<URL>"),
    foreign("rd.systemd.pull", "systemd", "root=live:<URL>"),
    foreign("rd.live.azldownloader", "Azure Linux's dracut", "root=live:<URL>"),
    foreign("rd.live.retry", "no released program", "rd.retry=<seconds>"),
    foreign("rd.livenet.*", "no released program", "rd.retry=<seconds>"),
    foreign("rd.live.join", "proposals for dracut", "a single image"),
];

/// Beginnings that nobody else uses: such a karg is meant for us.
const OURS: [&str; 6] = ["rd.live", "rd.kiwi", "rd.overlay", "rd.root.overlay", "iso-scan", "live_"];

/// Beginnings of the kargs of others: of dracut's other modules, systemd, udev and the installer.
const OTHERS: [&str; 16] = [
    "rd.lvm",
    "rd.luks",
    "rd.md",
    "rd.dm",
    "rd.driver",
    "rd.multipath",
    "rd.iscsi",
    "rd.nvmf",
    "rd.udev",
    "rd.vconsole",
    "rd.plymouth",
    "rd.systemd.",
    "systemd.",
    "udev.",
    "vconsole.",
    "inst.",
];

impl Foreign {
    /// Whether a karg with this key and value is the one.
    fn matches(&self, key: &str, value: Option<&str>) -> bool {
        let name = match self.name.strip_suffix('*') {
            Some(start) => key.starts_with(start),
            None => key == self.name,
        };
        name && (self.values.is_empty() || value.is_some_and(|value| self.values.contains(&value)))
    }
}

/// The karg of another live system that has this key and value.
pub fn foreign_karg(key: &str, value: Option<&str>) -> Option<&'static Foreign> {
    FOREIGN.iter().find(|foreign| foreign.matches(key, value))
}

/// What to think of a key that neither the registry nor [`FOREIGN`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Somebody else's; not our business.
    Other,
    /// Meant for us, and nothing here is like it.
    Ours,
    /// Nearly this name.
    Like(&'static str),
}

/// Judges a key that is not in the registry. Case, `-`, `_` and `.` are taken as equal here, and only here. This compares with
/// every name: for a person who reads the answer, not for a boot that goes on anyway.
pub fn unknown(key: &str) -> Unknown {
    if OTHERS.iter().any(|other| key.starts_with(other)) {
        return Unknown::Other;
    }
    let plain = plain(key);
    let ours = OURS.iter().any(|start| key.starts_with(start));
    let length = plain.chars().count();
    let near = match length {
        0..6 => 0,
        6..10 => 1,
        _ => 2,
    };
    let far = if ours { near.max(length / 4) } else { near };
    let best = all()
        .filter(|karg| ours || karg.name.len() >= 6)
        .flat_map(|karg| karg.names().map(move |name| (name, karg.name)))
        // The others are further away by their length alone.
        .filter(|(known, _)| known.len().abs_diff(length) <= far)
        .map(|(known, name)| (distance(&plain, &self::plain(known)), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= far);
    match best {
        Some((distance, name)) if distance <= near => Unknown::Like(name),
        _ if !ours => Unknown::Other,
        far => cut_short(&plain).or(far.map(|(_, name)| name)).map_or(Unknown::Ours, Unknown::Like),
    }
}

/// The shortest name that goes on where this one stops, if it says more than a prefix of ours.
fn cut_short(typed: &str) -> Option<&'static str> {
    let longer = all().map(|karg| karg.name).filter(|name| plain(name).starts_with(typed));
    longer.min_by_key(|name| name.len()).filter(|_| typed.len() >= 10)
}

/// A name without what people mix up: case and separators.
fn plain(name: &str) -> String {
    name.chars().take(64).map(|c| if matches!(c, '-' | '_' | '/') { '.' } else { c.to_ascii_lowercase() }).collect()
}

/// Edit distance: insertions, deletions, substitutions and swaps of neighbours each cost one.
pub(in crate::config) fn distance(left: &str, right: &str) -> usize {
    #[cfg(test)]
    tests::COMPARED.set(tests::COMPARED.get() + 1);
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut previous = None;
    for (row, c) in left.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, &d) in right.iter().enumerate() {
            let mut best = (above[column] + usize::from(c != d)).min(above[column + 1] + 1).min(current[column] + 1);
            if column > 0 && Some(d) == previous && right[column - 1] == c {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        previous = Some(c);
        before = std::mem::replace(&mut above, current);
    }
    above[right.len()]
}

#[cfg(test)]
pub(in crate::config) mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::config::registry::find;

    thread_local! {
        /// Names that this thread has compared.
        pub(in crate::config) static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn distances() {
        let rows =
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("abc", "acb", 1), ("abc", "abd", 1), ("kitten", "sitting", 3)];
        for (left, right, expected) in rows {
            assert_eq!(distance(left, right), expected, "{left} {right}");
            assert_eq!(distance(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn misspelt_kargs_get_a_suggestion() {
        let rows = [
            ("rd.liv.image", "rd.live.image"),
            ("rd.live.overlay.persistant", "rd.live.overlay.persistent"),
            ("rd.live.overlay.presistent", "rd.live.overlay.persistent"),
            ("rd.live.squashing", "rd.live.squashimg"),
            ("rd.live.overlaysize", "rd.live.overlay.size"),
            ("rd.live.overlay_size", "rd.live.overlay.size"),
            ("rd.overlay.read-only", "rd.overlay.readonly"),
            ("rd-overlay", "rd.overlay"),
            ("rd_overlay", "rd.overlay"),
            ("RD.overlay", "rd.overlay"),
            ("rd.live.medai", "rd.live.medium"),
            ("iso-scan.filename", "iso-scan/filename"),
            ("isoscan/filename", "iso-scan/filename"),
            ("iso-scan/file", "iso-scan/filename"),
            ("rd.live.overlay.nouser", "rd.live.overlay.nouserconfirmprompt"),
            ("mediachek", "mediacheck"),
            ("MediaCheck", "mediacheck"),
            ("live_dirs", "rd.live.dir"),
            ("rd.kiwi.debugg", "rd.kiwi.debug"),
            ("rd.kiwi.live.sytem", "rd.kiwi.live.system"),
        ];
        for (typed, meant) in rows {
            assert_eq!(unknown(typed), Unknown::Like(meant), "{typed}");
        }
    }

    #[test]
    fn kargs_of_others_are_left_alone() {
        let rows = "rd.lvm rd.lvm.lv rd.lvm.vg rd.luks rd.luks.uuid rd.luks.name rd.luks.options systemd.unit systemd.mask \
            systemd.log_level rd.systemd.unit quiet splash rhgb console BOOT_IMAGE initrd vmlinuz crashkernel loglevel \
            nomodeset rd.md rd.md.uuid rd.dm rd.auto rd.info rd.udev.log_level udev.log_priority vga video audit selinux \
            security apparmor lsm cgroup_disable mitigations rd.znet rd.zfcp rd.vconsole.keymap vconsole.keymap locale.LANG \
            rd.plymouth plymouth.ignore-serial-consoles rootwait rootdelay nfsroot nfsaddrs resume noresume \
            rd.skipfsck rd.memdebug rd.fips fips rd.multipath rd.iscsi.initiator inst.stage2 inst.ks inst.repo elemental.disable \
            rd.cos.debugrw single 3 S emergency rescue debug earlyprintk net.core.somaxconn usbcore.autosuspend \
            ignition.platform.id rd.hostonly rd.usrmount.ro rd.cmdline rd.nvmf.discover ds cloud-init hugepages persistence_ \
            mem maxcpus nosmp acpi pci efi edd nopat locale keyboard lang init_on_alloc module.sig_enforce panic_on_oops";
        for key in rows.split_whitespace() {
            assert_eq!(unknown(key), Unknown::Other, "{key}");
        }
    }

    #[test]
    fn ours_without_likeness_are_still_reported() {
        for key in ["rd.live.frobnicate.all.the.things", "rd.kiwi.oem.x", "iso-scan/x", "live_nothing_like_it"] {
            assert_eq!(unknown(key), Unknown::Ours, "{key}");
        }
    }

    #[test]
    fn counterparts_exist_and_are_not_ours() {
        for foreign in FOREIGN {
            assert!(find(foreign.name).is_none(), "{} is in the registry", foreign.name);
            let name = foreign.instead.split('=').next().unwrap_or_default();
            assert!(find(name).is_some() || foreign.instead == "a single image", "{}: no karg {name}", foreign.name);
        }
        assert!(foreign_karg("boot", Some("live")).is_some());
        assert!(foreign_karg("boot", Some("/dev/sda1")).is_none());
        assert!(foreign_karg("kiwi_hybridpersistent", None).is_some());
    }
}

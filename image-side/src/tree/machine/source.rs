//! What a mount is made from, as fstab, crypttab and units name it.

/// Names by which udev finds a block device (fstab(5)).
const TAGS: [&str; 5] = ["UUID", "LABEL", "PARTUUID", "PARTLABEL", "ID"];

/// What lies in `/dev` and is no disk.
const NO_DISK: [&str; 11] =
    ["zram", "null", "zero", "full", "random", "urandom", "hwrng", "shm", "fuse", "hugepages", "pts"];

/// Whether a text names a disk or a part of one: by a tag, or by a path in `/dev`. Compressed RAM is made anew in each boot.
pub fn is_disk(source: &str) -> bool {
    if let Some((tag, _)) = source.split_once('=') {
        return TAGS.iter().any(|name| tag.eq_ignore_ascii_case(name));
    }
    let Some(name) = source.strip_prefix("/dev/") else { return false };
    let first = name.split('/').next().unwrap_or_default().trim_end_matches(|c: char| c.is_ascii_digit());
    !NO_DISK.contains(&first)
}

/// As [`is_disk`] for the name of a device unit (`dev-disk-by\x2duuid-….device`).
pub fn is_disk_unit(unit: &str) -> bool {
    // With a specifier in it only an instance of the unit names a device.
    let name = unit.strip_suffix(".device").filter(|name| !name.contains('%'));
    // Serial ports and network cards are devices too, and a console is often asked for on purpose.
    let no_disk = |name: &str| name.starts_with("dev-tty") || !name.starts_with("dev-");
    name.is_some_and(|name| !no_disk(name) && is_disk(&format!("/{}", name.replace('-', "/"))))
}

/// The name that systemd gives to the unit of a path (systemd.unit(5), "String Escaping for Inclusion in Unit Names").
pub fn unit_of(path: &str, suffix: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return format!("-.{suffix}");
    }
    let mut name = String::new();
    for (at, byte) in parts.join("/").bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if at == 0 => name.push_str("\\x2e"),
            byte if byte.is_ascii_alphanumeric() || b":_.".contains(&byte) => name.push(char::from(byte)),
            byte => name.push_str(&format!("\\x{byte:02x}")),
        }
    }
    format!("{name}.{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_and_what_only_looks_like_one() {
        for (source, expected) in [
            ("UUID=3e6be9de", true),
            ("UUID=\"3e6be9de\"", true),
            ("uuid=1", true),
            ("LABEL=My\\040Disk", true),
            ("PARTUUID=1-01", true),
            ("PARTLABEL=root", true),
            ("ID=nvme-x", true),
            ("/dev/sda1", true),
            ("/dev/nvme0n1p2", true),
            ("/dev/disk/by-id/x", true),
            ("/dev/mapper/vg-lv", true),
            ("/dev/loop3", true),
            ("/dev/zram0", false),
            ("/dev/zramdisk", true),
            ("/dev/shm/image", false),
            ("tmpfs", false),
            ("nas:/export", false),
            ("/swapfile", false),
            ("//host/share=x", false),
        ] {
            assert_eq!(is_disk(source), expected, "{source}");
        }
    }

    #[test]
    fn units_by_the_names_that_systemd_escape_gives() {
        for (path, unit) in [
            ("/", "-.mount"),
            ("/boot/efi", "boot-efi.mount"),
            ("/srv//my-data/", "srv-my\\x2ddata.mount"),
            ("/.snapshots", "\\x2esnapshots.mount"),
            ("/mnt/a b", "mnt-a\\x20b.mount"),
        ] {
            assert_eq!(unit_of(path, "mount"), unit, "{path}");
        }
        for (unit, expected) in [
            ("dev-disk-by\\x2duuid-12.device", true),
            ("dev-sda1.device", true),
            ("dev-mapper-x.device", true),
            ("dev-zram0.device", false),
            ("dev-ttyS0.device", false),
            ("dev-%i.device", false),
            ("sys-subsystem-net-devices-eth0.device", false),
            ("data.mount", false),
        ] {
            assert_eq!(is_disk_unit(unit), expected, "{unit}");
        }
    }
}

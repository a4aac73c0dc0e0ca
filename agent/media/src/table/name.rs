//! How the kernel names partitions.

/// The kernel's name of a partition: `sda` → `sda3`, `nvme0n1` → `nvme0n1p3`, `mmcblk0` → `mmcblk0p3`: a `p` stands
/// between two digits.
pub fn of(disk: &str, number: u32) -> String {
    let between = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    format!("{disk}{between}{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_p_stands_between_two_digits() {
        for (disk, name) in [
            ("sda", "sda3"),
            ("sdaa", "sdaa3"),
            ("vdb", "vdb3"),
            ("nvme0n1", "nvme0n1p3"),
            ("mmcblk0", "mmcblk0p3"),
            ("loop7", "loop7p3"),
        ] {
            assert_eq!(of(disk, 3), name);
        }
    }
}

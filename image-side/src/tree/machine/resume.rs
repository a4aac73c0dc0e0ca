//! Where the machine a tree came from kept its sleep, and what else an initrd that is made in the tree would wait for.

use super::source::is_disk;

/// Kernel arguments that name a disk whatever stands behind them.
const WAITING: [&str; 7] = ["resume=", "root=", "rd.luks.", "rd.lvm.", "rd.md.uuid=", "rd.dm.uuid=", "cryptdevice="];

/// Settings of dracut that put disks into an initrd (dracut.conf(5)).
const OF_DRACUT: [&str; 3] = ["kernel_cmdline", "add_device", "fstab_lines"];

/// Whether a line of initramfs-tools' configuration names the disk to resume from (initramfs-tools(7)).
pub fn is_initramfs_tools(line: &str) -> bool {
    let value = assigned(line, "RESUME");
    value.is_some_and(|value| is_disk(value.trim_matches(['"', '\''])))
}

/// Whether a line of dracut's configuration names disks. One that goes on in the next line is left to dracut.
pub fn is_dracut(line: &str) -> bool {
    let Some(value) = OF_DRACUT.iter().find_map(|key| assigned(line, key)) else { return false };
    let quotes = value.chars().filter(|c| *c == '"').count() + value.chars().filter(|c| *c == '\'').count();
    let waits = |word: &str| is_disk(word) || WAITING.iter().any(|key| word.starts_with(key));
    quotes % 2 == 0 && !value.ends_with('\\') && value.split(['"', '\'', ' ', '\t']).any(waits)
}

/// What a line of a shell's file assigns or appends to a variable.
fn assigned<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let line = line.trim();
    let rest = line.strip_prefix("export ").unwrap_or(line).strip_prefix(name)?;
    rest.strip_prefix("+=").or_else(|| rest.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_name_a_disk() {
        for (line, goes) in [
            ("RESUME=UUID=1", true),
            ("RESUME=\"/dev/mapper/vg-swap\"", true),
            ("export RESUME=LABEL=swap", true),
            ("RESUME=none", false),
            ("RESUME=auto", false),
            ("#RESUME=UUID=1", false),
            ("MODULES=most", false),
        ] {
            assert_eq!(is_initramfs_tools(line), goes, "{line}");
        }
        for (line, goes) in [
            ("kernel_cmdline=\"rd.luks.uuid=luks-1 quiet\"", true),
            ("kernel_cmdline+=\" resume=/dev/sda2 \"", true),
            ("add_device+=\" /dev/disk/by-uuid/1 \"", true),
            ("kernel_cmdline=\"quiet rd.driver.pre=x\"", false),
            ("kernel_cmdline=\"resume=/dev/sda2", false),
            ("add_drivers+=\" nvme \"", false),
            ("# add_device+=\" /dev/sda \"", false),
        ] {
            assert_eq!(is_dracut(line), goes, "{line}");
        }
    }
}

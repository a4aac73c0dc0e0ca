//! Where the machine a tree came from kept its sleep.

use super::source::is_disk;

/// Whether a line of initramfs-tools' configuration names the disk to resume from (initramfs-tools(7)).
pub fn is_initramfs_tools(line: &str) -> bool {
    let value = assigned(line, "RESUME");
    value.is_some_and(|value| is_disk(value.trim_matches(['"', '\''])))
}

/// What a line of a shell's file assigns to a variable.
fn assigned<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let line = line.trim();
    line.strip_prefix("export ").unwrap_or(line).strip_prefix(name)?.strip_prefix('=')
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
    }
}

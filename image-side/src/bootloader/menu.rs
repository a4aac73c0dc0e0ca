//! The boot menu: `grub.cfg` for the medium itself, `loopback.cfg` for a GRUB that starts the ISO file from a disk.

use std::fmt::Write as _;

use super::kargs::{Karg, grub_quote};

/// Path of the kernel on the medium.
pub const KERNEL: &str = "/boot/vmlinuz";
/// Path of the initramfs on the medium.
pub const INITRD: &str = "/boot/initrd.img";

/// The names that KIWI's media have for both: what live-grub-stick starts, and people extract (seed-audit SD-3).
pub const OTHER_NAMES: [&str; 2] = ["/boot/x86_64/loader/linux", "/boot/x86_64/loader/initrd"];

/// What the failsafe entry adds: no mode setting, no BIOS disk calls, no resume from disk.
const FAILSAFE: [&str; 3] = ["nomodeset", "edd=off", "noresume"];

/// Everything the menu shows.
#[derive(Clone, Debug)]
pub struct Menu<'a> {
    /// Title of the normal entry.
    pub title: &'a str,
    /// Arguments of the normal entry.
    pub kargs: &'a [Karg],
    /// Seconds until it starts.
    pub timeout: u32,
    /// Menu on the first serial port too.
    pub serial: bool,
    /// An entry that checks the medium first.
    pub media_check: bool,
}

impl Menu<'_> {
    /// Text of `/boot/grub/grub.cfg`.
    pub fn grub_cfg(&self) -> String {
        let mut text =
            String::from("# The early configuration in the GRUB image has set root and prefix to this medium.\n");
        let _ = writeln!(text, "set default=0\nset timeout={}\nset gfxpayload=keep", self.timeout);
        if self.serial {
            text.push_str(
                "serial --unit=0 --speed=115200\nterminal_input console serial\nterminal_output console serial\n",
            );
        }
        self.entries(&mut text, None);
        text.push_str(concat!(
            "if [ \"$grub_platform\" = efi ]; then\n",
            "    menuentry 'Firmware settings' --id firmware {\n        fwsetup\n    }\n",
            "fi\n",
            "menuentry 'Leave this menu' --id leave {\n    exit\n}\n",
        ));
        text
    }

    /// Text of `/boot/grub/loopback.cfg`: the outer GRUB has set root to the loop device and `iso_path`; nothing else is
    /// sure, and a search could find another medium (image-builder spec 3.7).
    pub fn loopback_cfg(&self) -> String {
        let mut text = String::from("# For a GRUB that did: loopback loop FILE; set root=loop; set iso_path=FILE.\n");
        // Double quotes: the variable is replaced, and a space in it does not end the argument.
        self.entries(&mut text, Some("\"iso-scan/filename=$iso_path\""));
        text
    }

    fn entries(&self, text: &mut String, last: Option<&str>) {
        let mut entry = |title: &str, id: &str, more: &[&str]| {
            let words: Vec<String> = self.kargs.iter().map(Karg::to_grub).collect();
            let words = words.iter().map(String::as_str).chain(more.iter().copied()).chain(last);
            let words = words.collect::<Vec<_>>().join(" ");
            let _ = writeln!(text, "menuentry {} --id {id} {{", grub_quote(title));
            let _ = writeln!(text, "    linux {KERNEL} {words}\n    initrd {INITRD}\n}}");
        };
        entry(self.title, "normal", &[]);
        entry(&format!("{} (failsafe)", self.title), "failsafe", &FAILSAFE);
        if self.media_check {
            entry("Check this medium, then start", "media-check", &["rd.live.check"]);
        }
    }
}

/// Configuration inside the GRUB images: finds the medium of this very build, whatever its label or place.
pub fn early(id_file: &str) -> String {
    format!("search.file /{id_file} root\nset prefix=($root)/boot/grub\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn menu<'a>(kargs: &'a [Karg]) -> Menu<'a> {
        Menu { title: "Joe's Linux", kargs, timeout: 5, serial: true, media_check: false }
    }

    #[test]
    fn grub_cfg_text() {
        let kargs = [Karg::own("root=live:CDLABEL=X"), Karg::own("a=b c")];
        let expected = "\
# The early configuration in the GRUB image has set root and prefix to this medium.
set default=0
set timeout=5
set gfxpayload=keep
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
menuentry 'Joe'\\''s Linux' --id normal {
    linux /boot/vmlinuz root=live:CDLABEL=X 'a=b c'
    initrd /boot/initrd.img
}
menuentry 'Joe'\\''s Linux (failsafe)' --id failsafe {
    linux /boot/vmlinuz root=live:CDLABEL=X 'a=b c' nomodeset edd=off noresume
    initrd /boot/initrd.img
}
if [ \"$grub_platform\" = efi ]; then
    menuentry 'Firmware settings' --id firmware {
        fwsetup
    }
fi
menuentry 'Leave this menu' --id leave {
    exit
}
";
        assert_eq!(menu(&kargs).grub_cfg(), expected);
    }

    #[test]
    fn b51_loopback_cfg_uses_only_iso_path() {
        let kargs = [Karg::own("root=live:CDLABEL=X")];
        let expected = "\
# For a GRUB that did: loopback loop FILE; set root=loop; set iso_path=FILE.
menuentry 'Joe'\\''s Linux' --id normal {
    linux /boot/vmlinuz root=live:CDLABEL=X \"iso-scan/filename=$iso_path\"
    initrd /boot/initrd.img
}
menuentry 'Joe'\\''s Linux (failsafe)' --id failsafe {
    linux /boot/vmlinuz root=live:CDLABEL=X nomodeset edd=off noresume \"iso-scan/filename=$iso_path\"
    initrd /boot/initrd.img
}
";
        let text = menu(&kargs).loopback_cfg();
        assert_eq!(text, expected);
        assert!(!text.contains("search"));
    }

    #[test]
    fn a_media_check_entry_only_when_asked() {
        let kargs = [Karg::own("a")];
        let with = Menu { media_check: true, ..menu(&kargs) };
        assert!(with.grub_cfg().contains("linux /boot/vmlinuz a rd.live.check\n"));
        assert!(!menu(&kargs).grub_cfg().contains("rd.live.check"));
    }
}

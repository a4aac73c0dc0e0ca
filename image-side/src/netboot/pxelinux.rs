//! The entry of pxelinux. Its paths begin where `pxelinux.0` lies, also in a file that another one includes.

use super::entry::{ADDRESS, CARD};
use super::{Entry, Loader, MARK, Refusal, fits};

/// `SYSAPPEND`: the address that the loader got, as `ip=` with four fields.
const IP: u8 = 1;
/// `SYSAPPEND`: the card, as `BOOTIF=`.
const BOOTIF: u8 = 2;

/// The file.
///
/// # Errors
/// A VLAN, a word that pxelinux would change, or too long a line.
pub fn text(entry: &Entry) -> Result<String, Refusal> {
    if entry.vlan.is_some() {
        return Err(Refusal::Vlan);
    }
    let mut words = vec![format!("initrd={}", entry.initrd())];
    for karg in entry.kargs {
        let word = karg.to_kernel();
        if word.chars().any(char::is_control) {
            let what = "pxelinux ends the line there";
            return Err(Refusal::Word { loader: Loader::Pxelinux, word, what });
        }
        words.push(word);
    }
    let line = words.join(" ");
    // What pxelinux knows is IPv4 without a name server, and an address that is given is one that nobody asks for any more.
    let passes_address = !entry.has_address() && entry.by_address;
    let append = if passes_address { IP } else { 0 } + if entry.has_card() { 0 } else { BOOTIF };
    let mut longest = format!("BOOT_IMAGE={} {line}", entry.kernel());
    if append & IP != 0 {
        longest.push_str(&format!(" ip={}", [ADDRESS; 4].join(":")));
    }
    if append & BOOTIF != 0 {
        longest.push_str(&format!(" BOOTIF=01-{CARD}"));
    }
    fits(Loader::Pxelinux, longest.len())?;

    let mut file = format!("# {MARK}: {}\n", entry.shown_title());
    if !passes_address && !entry.has_address() {
        file.push_str(
            "# --url has no IPv4 address, so the kernel asks for addresses: what pxelinux knows has no name server.\n",
        );
    }
    file.push_str("DEFAULT live\nLABEL live\n");
    file.push_str(&format!("    MENU LABEL {}\n", entry.shown_title()));
    file.push_str(&format!("    KERNEL {}\n    APPEND {line}\n", entry.kernel()));
    if append != 0 {
        file.push_str(&format!("    SYSAPPEND {append}\n"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::{entry, kargs};
    use super::*;

    #[test]
    fn the_entry() {
        let kargs = kargs(&["label=two words", "a=b;c&d${e}#"]);
        let expected = "\
# Written by rdlive-image pxe: Joe's\\x0aLinux
DEFAULT live
LABEL live
    MENU LABEL Joe's\\x0aLinux
    KERNEL tiny-0123456789ab/vmlinuz
    APPEND initrd=tiny-0123456789ab/initrd.img \
root=live:http://10.0.2.2:8377/tiny-0123456789ab/tiny-0123456789abcdef.iso rd.live.image \"label=two words\" a=b;c&d${e}#
    SYSAPPEND 3
";
        assert_eq!(text(&entry(&kargs)).unwrap(), expected);
    }

    #[test]
    fn k9_the_address_is_passed_on_where_it_is_enough() {
        let with = kargs(&["ip=eth1:dhcp"]);
        let without = kargs(&[]);
        let named = Entry { by_address: false, ..entry(&without) };
        for (entry, append, says) in [(entry(&without), 3, false), (named, 2, true), (entry(&with), 2, false)] {
            let text = text(&entry).unwrap();
            assert!(text.contains(&format!("    SYSAPPEND {append}\n")), "{text}");
            assert_eq!(text.contains("has no name server"), says, "{text}");
        }
        let both = kargs(&["ip=dhcp", "BOOTIF=01-52-54-00-12-34-56"]);
        assert!(!text(&entry(&both)).unwrap().contains("SYSAPPEND"));
    }

    #[test]
    fn a_vlan_is_refused_by_name_with_the_way_on() {
        let kargs = kargs(&[]);
        let refusal = text(&Entry { vlan: Some(5), ..entry(&kargs) }).unwrap_err();
        assert_eq!(refusal, Refusal::Vlan);
        assert!(refusal.to_string().contains("--loader=ipxe,grub"), "{refusal}");
    }

    #[test]
    fn k25_the_longest_line_that_arrives() {
        let rest = |kargs: &[crate::bootloader::kargs::Karg]| {
            let words: usize = kargs.iter().map(|karg| karg.text().len() + 1).sum();
            "BOOT_IMAGE=tiny-0123456789ab/vmlinuz initrd=tiny-0123456789ab/initrd.img ".len()
                + words
                + "ip=255.255.255.255:255.255.255.255:255.255.255.255:255.255.255.255 ".len()
                + "BOOTIF=01-52-54-00-12-34-56".len()
        };
        let room = 2047 - rest(&kargs(&[])) - 1;
        text(&entry(&kargs(&[&"x".repeat(room)]))).unwrap();
        let refusal = text(&entry(&kargs(&[&"x".repeat(room + 1)]))).unwrap_err();
        assert_eq!(refusal, Refusal::TooLong { loader: Loader::Pxelinux, length: 2048, limit: 2047 });
    }
}

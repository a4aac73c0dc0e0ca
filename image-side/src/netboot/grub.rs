//! The menu of GRUB as a network boot image. Its paths begin where the server's tree does: GRUB's own device is the server.

use super::entry::{ADDRESS, CARD};
use super::{Entry, Loader, MARK, Refusal, fits};
use crate::bootloader::kargs::grub_quote;

/// Seconds until the entry starts, as on a medium.
const TIMEOUT: u32 = 5;

/// The menu.
///
/// # Errors
/// A word that GRUB would change, or too long a line.
pub fn text(entry: &Entry) -> Result<String, Refusal> {
    let mut words = Vec::new();
    let mut longest = format!("BOOT_IMAGE=(tftp,{ADDRESS})/{}", entry.kernel());
    for karg in entry.kargs {
        let plain = karg.text();
        if plain.chars().any(|c| "'\"\\".contains(c)) {
            let what = "GRUB puts a backslash before quotes and backslashes";
            return Err(Refusal::Word { loader: Loader::Grub, word: plain.to_owned(), what });
        }
        if plain.chars().any(char::is_control) {
            let what = "GRUB ends the line there";
            return Err(Refusal::Word { loader: Loader::Grub, word: plain.to_owned(), what });
        }
        words.push(karg.to_grub());
        longest.push_str(&format!(" {}", karg.to_kernel()));
    }
    // Double quotes: the variable is replaced. It has colons, which the kernel's side reads as well as dashes.
    let mut knows = |word: &str| {
        words.push(format!("\"{word}$net_default_mac\""));
        longest.push_str(&format!(" {word}{CARD}"));
    };
    if !entry.has_card() {
        knows("BOOTIF=01-");
    }
    if let Some(id) = entry.vlan {
        knows(&format!("vlan=vlan{id}:"));
    }
    fits(Loader::Grub, longest.len())?;

    let title = entry.shown_title();
    Ok(format!(
        "# {MARK}: {title}\nset default=0\nset timeout={TIMEOUT}\nset gfxpayload=keep\nmenuentry {} --id live {{\n    \
         linux /{} {}\n    initrd /{}\n}}\n",
        grub_quote(&title),
        entry.kernel(),
        words.join(" "),
        entry.initrd()
    ))
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::{entry, kargs};
    use super::*;
    use crate::bootloader::menu_reader;

    #[test]
    fn the_menu() {
        let kargs = kargs(&["label=two words", "a=b;c&d$e"]);
        let expected = "\
# Written by rdlive-image pxe: Joe's\\x0aLinux
set default=0
set timeout=5
set gfxpayload=keep
menuentry 'Joe'\\''s\\x0aLinux' --id live {
    linux /tiny-0123456789ab/vmlinuz \
root=live:http://10.0.2.2:8377/tiny-0123456789ab/tiny-0123456789abcdef.iso rd.live.image 'label=two words' 'a=b;c&d$e' \
\"BOOTIF=01-$net_default_mac\"
    initrd /tiny-0123456789ab/initrd.img
}
";
        let found = text(&entry(&kargs)).unwrap();
        assert_eq!(found, expected);
        let entries = menu_reader::entries(&found);
        assert_eq!(entries[0].kargs[2..], ["label=two words", "a=b;c&d$e", "BOOTIF=01-$net_default_mac"]);
    }

    #[test]
    fn k25_a_url_with_what_ends_a_command_is_one_word() {
        let kargs = [crate::bootloader::kargs::Karg::own("root=live:http://h/a;b&c")];
        let found = text(&entry(&kargs)).unwrap();
        assert!(found.contains(" 'root=live:http://h/a;b&c' "), "{found}");
        let kargs = [crate::bootloader::kargs::Karg::own("root=live:http://h/it's")];
        let refusal = text(&entry(&kargs)).unwrap_err().to_string();
        assert!(refusal.contains("backslash") && refusal.contains("% and two digits"), "{refusal}");
        assert!(refusal.contains("--loader=ipxe,pxelinux"), "{refusal}");
    }

    #[test]
    fn k9_a_vlan_lies_on_the_card() {
        let kargs = kargs(&[]);
        let text = text(&Entry { vlan: Some(5), ..entry(&kargs) }).unwrap();
        assert!(text.contains("\"BOOTIF=01-$net_default_mac\" \"vlan=vlan5:$net_default_mac\"\n"), "{text}");
    }

    #[test]
    fn k25_the_longest_line_that_arrives() {
        let rest = |kargs: &[crate::bootloader::kargs::Karg]| {
            let words: usize = kargs.iter().map(|karg| karg.text().len() + 1).sum();
            "BOOT_IMAGE=(tftp,255.255.255.255)/tiny-0123456789ab/vmlinuz ".len()
                + words
                + "BOOTIF=01-52:54:00:12:34:56".len()
        };
        let room = 2047 - rest(&kargs(&[])) - 1;
        text(&entry(&kargs(&[&"x".repeat(room)]))).unwrap();
        let refusal = text(&entry(&kargs(&[&"x".repeat(room + 1)]))).unwrap_err();
        assert_eq!(refusal, Refusal::TooLong { loader: Loader::Grub, length: 2048, limit: 2047 });
    }
}

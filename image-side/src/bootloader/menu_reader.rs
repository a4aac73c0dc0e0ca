//! Reads boot entries back from a `grub.cfg`. Variables stay as they are written: nothing is executed.

use serde::Serialize;

/// A menu entry that starts a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BootEntry {
    /// Title.
    pub title: String,
    /// Value of `--id`.
    pub id: Option<String>,
    /// Path of the kernel.
    pub kernel: String,
    /// Kernel arguments.
    pub kargs: Vec<String>,
    /// Paths of the initramfs files.
    pub initrds: Vec<String>,
}

/// All entries of a configuration that have a `linux` line, in order.
pub fn entries(text: &str) -> Vec<BootEntry> {
    let mut found = Vec::new();
    let mut current: Option<BootEntry> = None;
    let text = text.replace("\\\n", " ");
    for line in text.lines() {
        let words = words(line);
        let Some((command, rest)) = words.split_first() else { continue };
        match command.as_str() {
            "menuentry" => current = Some(heading(rest)),
            "linux" | "linuxefi" | "linux16" => {
                if let (Some(entry), Some((kernel, kargs))) = (&mut current, rest.split_first()) {
                    entry.kernel = kernel.clone();
                    entry.kargs = kargs.to_vec();
                }
            }
            "initrd" | "initrdefi" | "initrd16" => {
                if let Some(entry) = &mut current {
                    entry.initrds = rest.to_vec();
                }
            }
            "}" => found.extend(current.take().filter(|entry| !entry.kernel.is_empty())),
            _ => {}
        }
    }
    found
}

fn heading(words: &[String]) -> BootEntry {
    let id = words.iter().position(|word| word == "--id").and_then(|at| words.get(at + 1)).cloned();
    let id = id.or_else(|| words.iter().find_map(|word| word.strip_prefix("--id=").map(str::to_owned)));
    BootEntry { title: words.first().cloned().unwrap_or_default(), id, ..BootEntry::default() }
}

/// The words of one line in GRUB's script language, without quotes; a comment ends it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => word.get_or_insert_default().extend(chars.by_ref().take_while(|c| *c != '\'')),
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    word.extend(if c == '\\' { chars.next() } else { Some(c) });
                }
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            '#' if word.is_none() => break,
            c if c.is_whitespace() || c == ';' => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootloader::kargs::Karg;
    use crate::bootloader::menu::{INITRD, KERNEL, Menu};

    #[test]
    fn words_of_a_line() {
        for (line, expected) in [
            ("linux /k a=b 'c d' \"e $f\"", vec!["linux", "/k", "a=b", "c d", "e $f"]),
            ("  menuentry 'Joe'\\''s' {", vec!["menuentry", "Joe's", "{"]),
            ("set a='' # comment", vec!["set", "a="]),
            ("a\\ b \"c\\\"d\"", vec!["a b", "c\"d"]),
            ("# all comment", vec![]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn what_we_write_we_read() {
        let kargs = [Karg::own("root=live:CDLABEL=X"), Karg::parse("a=b;c d$e").unwrap()];
        let menu = Menu { title: "Joe's {Linux}", kargs: &kargs, timeout: 1, serial: false, media_check: true };
        let entries = entries(&menu.grub_cfg());
        let ids: Vec<_> = entries.iter().map(|entry| entry.id.as_deref().unwrap_or("")).collect();
        assert_eq!(ids, ["normal", "failsafe", "media-check"]);
        assert_eq!(entries[0].title, "Joe's {Linux}");
        assert_eq!(entries[0].kargs, ["root=live:CDLABEL=X", "a=b;c d$e"]);
        assert_eq!((entries[0].kernel.as_str(), &entries[0].initrds[..]), (KERNEL, &[INITRD.to_owned()][..]));
    }

    #[test]
    fn foreign_menus() {
        let text = "menuentry \"Try\" --class gnu {\n\tset gfxpayload=keep\n\tlinux\t/casper/vmlinuz  --- quiet\n\
                    \tinitrd\t/a.img /b.img\n}\nsubmenu 'x' {\nmenuentry 'No kernel' {\n exit\n}\n}\n";
        let entries = entries(text);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].kargs, ["---", "quiet"]);
        assert_eq!(entries[0].initrds, ["/a.img", "/b.img"]);
    }
}

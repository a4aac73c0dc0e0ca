//! Names that have passed GRUB. It puts a backslash before each backslash and quote of an argument, and a path may begin with a device as
//! GRUB calls it; the kernel undoes neither (field.md E; GRUB manual, "File name syntax", `lib/cmdline.c`).

use super::lookup::Lookup;
use super::registry::{COWFILE_PATH, LIVE_DIR, LIVE_OVERLAY, LIVE_SQUASHIMG, OVERLAY};
use super::{Config, Level, Selector};

/// The text without GRUB's backslashes; `None` where there are none.
pub(super) fn undone(text: &str) -> Option<String> {
    let (mut meant, mut chars, mut found) = (String::new(), text.chars().peekable(), false);
    while let Some(c) = chars.next() {
        let escaped = chars.next_if(|next| c == '\\' && matches!(next, '\\' | '\'' | '"'));
        found |= escaped.is_some();
        meant.push(escaped.unwrap_or(c));
    }
    found.then_some(meant)
}

/// A path below a place as it was meant: nobody types a backslash before a quote but GRUB.
pub(super) fn taken(path: String) -> String {
    undone(&path).unwrap_or(path)
}

/// A path without the device that GRUB has put before it, as in `(hd0,gpt2)/boot/x.iso`.
fn without_device(path: &str) -> Option<&str> {
    let (device, path) = path.strip_prefix('(')?.split_once(')')?;
    (!device.is_empty() && path.starts_with('/')).then_some(path)
}

/// Whether this is a device as GRUB calls it, alone: `(hd0,gpt2)`, or what GRUB's own variables hold of it, `hd0,gpt2` (GRUB manual, "Device
/// syntax").
pub(super) fn is_device(text: &str) -> bool {
    let text = text.trim_end_matches('/');
    if let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        return !inner.is_empty() && !inner.contains(['(', ')']);
    }
    let (disk, parts) = text.split_once(',').unwrap_or((text, "1"));
    let number = disk.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let bus = &disk[..disk.len() - number.len()];
    let is_disk = ["hd", "fd", "cd", "ata", "ahci", "usb"].contains(&bus) && number.parse::<u32>().is_ok();
    let is_part =
        |part: &str| part.ends_with(|c: char| c.is_ascii_digit()) && part.bytes().all(|c| c.is_ascii_alphanumeric());
    let is_mapped = ["lvm/", "lvmid/", "md/", "mduuid/", "cryptouuid/"].iter().any(|start| disk.starts_with(start));
    (is_disk || is_mapped) && parts.split(',').all(is_part)
}

/// What a path may mean besides what it says, the likeliest first.
pub(super) fn readings(path: &str) -> Vec<String> {
    let undone = undone(path);
    let mut found = Vec::new();
    for text in [undone.as_deref(), Some(path)].into_iter().flatten() {
        found.extend(without_device(text).map(str::to_owned));
    }
    found.extend(undone);
    found.dedup();
    found
}

/// Says which names are also looked for in another reading.
pub(super) fn notices(lookup: &mut Lookup, config: &Config) {
    let mut say = |name: String, shown: String| {
        let message = format!("{shown} is looked for too, for GRUB writes {name} so");
        lookup.report(Level::Notice, "grub", &name, message);
    };
    for selector in config.selectors() {
        if let Selector::Grub { written, meant } = selector {
            say(written.to_string(), meant.to_string());
        }
    }
    if let Some(scan) = &config.iso_scan
        && let Some(meant) = scan.readings.first()
    {
        say(scan.path.display().to_string(), format!("/{}", meant.display()));
    }
    for karg in [&LIVE_DIR, &LIVE_SQUASHIMG, &COWFILE_PATH, &OVERLAY, &LIVE_OVERLAY] {
        if let Some(token) = lookup.token(karg)
            && let Some(meant) = token.value.as_deref().and_then(undone)
            && !config.selectors().any(|selector| matches!(selector, Selector::Grub { .. }))
        {
            lookup.report(Level::Notice, "grub", &token.raw, format!("taking it as {meant}, for GRUB writes that so"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grub_has_written() {
        for (text, expected) in [
            (r"My\\x20Live", Some(r"My\x20Live")),
            (r"it\'s", Some("it's")),
            (r#"a \"b\" c"#, Some(r#"a "b" c"#)),
            (r"a\\\\b", Some(r"a\\b")),
            (r"My\x20Live", None),
            (r"end\", None),
            ("plain", None),
        ] {
            assert_eq!(undone(text).as_deref(), expected, "{text}");
        }
        for (path, expected) in [
            ("(hd0,gpt2)/iso/x.iso", vec!["/iso/x.iso"]),
            (r"(hd0,msdos1)/it\'s.iso", vec!["/it's.iso", r"/it\'s.iso", "(hd0,msdos1)/it's.iso"]),
            (r"/it\'s.iso", vec!["/it's.iso"]),
            ("(1) new.iso", vec![]),
            ("()/x.iso", vec![]),
            ("/a(b)/x.iso", vec![]),
        ] {
            assert_eq!(readings(path), expected, "{path}");
        }
        for (text, device) in [
            ("(hd0,gpt2)", true),
            ("(hd0,gpt2)/", true),
            ("(lvm/vg-lv)", true),
            ("(cd0)", true),
            ("hd0,msdos5", true),
            ("hd1,gpt2,bsd1", true),
            ("hd0", true),
            ("cd0", true),
            ("lvmid/a-b/c-d", true),
            ("()", false),
            ("(hd0)/x", false),
            ("hd0,", false),
            ("sdb1", false),
            ("hd", false),
            ("LABEL=x", false),
        ] {
            assert_eq!(is_device(text), device, "{text}");
        }
    }
}

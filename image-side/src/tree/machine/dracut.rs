//! What an initrd that dracut makes in the tree would wait for (dracut.conf(5)).

use std::ops::Range;

use super::source::is_disk;

/// Kernel arguments that name a disk whatever stands behind them.
const WAITING: [&str; 7] = ["resume=", "root=", "rd.luks.", "rd.lvm.", "rd.md.uuid=", "rd.dm.uuid=", "cryptdevice="];

/// Settings whose words are each something by itself.
const LISTS: [&str; 2] = ["kernel_cmdline", "add_device"];

/// Setting of lines, each of several words (fstab(5)).
const LINES: &str = "fstab_lines";

/// A file of dracut's configuration without the words that name disks; `None` if it has none. All else stays byte for byte.
pub fn without_disks(text: &[u8]) -> Option<Vec<u8>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let statement = Statement::read(text, at);
        at = statement.end;
        out.extend(statement.disks(text));
    }
    let kept = text.iter().enumerate().filter(|(at, _)| !out.iter().any(|range| range.contains(at)));
    (!out.is_empty()).then(|| kept.map(|(_, byte)| *byte).collect())
}

/// A piece of a file in the shell's syntax, to the end of a line or to a semicolon; what stands in quotes may go over several lines.
struct Statement {
    /// Each with the number of the line or quoted text that it stands in.
    words: Vec<(Range<usize>, u32)>,
    end: usize,
}

impl Statement {
    fn read(text: &[u8], start: usize) -> Self {
        let (mut words, mut line, mut word, mut at) = (Vec::new(), 0, None, start);
        // The quote that is open, whether one that is text is open in it, and whether a list is.
        let (mut quote, mut inner, mut list) = (None, false, false);
        while at < text.len() {
            let (byte, next) = (text[at], text.get(at + 1).copied());
            let is_quote = match quote {
                None => byte == b'"' || byte == b'\'',
                Some(open) => byte == open,
            };
            let is_end = quote.is_none() && !list && (byte == b'\n' || byte == b';');
            let is_bracket = quote.is_none() && (byte == b'(' || byte == b')');
            if byte == b'\\' && next == Some(b'\n') {
                // The word goes on behind it.
                at += 2;
                continue;
            }
            if byte == b'\\' && quote != Some(b'\'') {
                inner ^= quote.is_some() && next == Some(b'"');
                word.get_or_insert(at);
                at += 2;
                continue;
            }
            if byte == b'#' && quote.is_none() && word.is_none() {
                at += text[at..].iter().position(|byte| *byte == b'\n').unwrap_or(text.len() - at);
                continue;
            }
            if is_quote || is_end || is_bracket || (byte.is_ascii_whitespace() && !inner) {
                words.extend(word.take().map(|start| (start..at, line)));
                line += u32::from(is_quote || byte == b'\n');
            } else {
                inner ^= byte == b'"' && quote == Some(b'\'');
                word.get_or_insert(at);
            }
            if is_quote {
                (quote, inner) = (if quote.is_none() { Some(byte) } else { None }, false);
            }
            at += 1;
            if is_bracket {
                list = byte == b'(';
            }
            if is_end {
                break;
            }
        }
        let end = at.min(text.len());
        words.extend(word.map(|start| (start..end, line)));
        Self { words, end }
    }

    /// Where disks are named, if it is a setting of them.
    fn disks(mut self, text: &[u8]) -> Vec<Range<usize>> {
        let of = |range: &Range<usize>| String::from_utf8_lossy(&text[range.clone()]).into_owned();
        if self.words.first().is_some_and(|(range, _)| of(range) == "export") {
            self.words.remove(0);
        }
        let Some((first, _)) = self.words.first_mut() else { return Vec::new() };
        let head = of(first);
        let Some((name, value)) = head.split_once('=') else { return Vec::new() };
        let name = name.strip_suffix('+').unwrap_or(name);
        // A value without quotes begins in the same word.
        first.start = first.end - value.len();
        let waits = |word: &str| is_disk(word) || WAITING.iter().any(|key| word.starts_with(key));
        let named = self.words.iter().filter(|(range, _)| waits(&of(range)));
        if LISTS.contains(&name) {
            return named.map(|(range, _)| range.clone()).collect();
        }
        let whole = |line: u32| {
            let mut of_it = self.words.iter().filter(move |(_, its)| *its == line).map(|(range, _)| range.clone());
            of_it.next().map(|range| of_it.fold(range, |all, range| all.start..range.end))
        };
        if name == LINES { named.filter_map(|(_, line)| whole(*line)).collect() } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_disks_go_and_the_rest_stays() {
        for (text, left) in [
            ("kernel_cmdline=\"rd.luks.uuid=luks-1 quiet\"\n", "kernel_cmdline=\" quiet\"\n"),
            ("kernel_cmdline+=\" quiet resume=/dev/sda2 rd.md.uuid=1 \"\n", "kernel_cmdline+=\" quiet   \"\n"),
            ("export kernel_cmdline='a root=UUID=1'; b=c\n", "export kernel_cmdline='a '; b=c\n"),
            ("kernel_cmdline=resume=UUID=1\nquiet=1", "kernel_cmdline=\nquiet=1"),
            ("kernel_cmdline=\"a\n  rd.lvm.lv=vg/root\n  b\"\nx=1\n", "kernel_cmdline=\"a\n  \n  b\"\nx=1\n"),
            ("kernel_cmdline=\"a resume=UUID=1 \\\n b\"\n", "kernel_cmdline=\"a  \\\n b\"\n"),
            ("kernel_cmdline=\"root=LABEL=\\\"my disk\\\" quiet\"\n", "kernel_cmdline=\" quiet\"\n"),
            ("kernel_cmdline='root=LABEL=\"my disk\" quiet'\n", "kernel_cmdline=' quiet'\n"),
            ("add_device+=\" /dev/disk/by-uuid/1 /dev/zram0 \"\n", "add_device+=\"  /dev/zram0 \"\n"),
            ("add_device+=/dev/sda2 # of root\n", "add_device+= # of root\n"),
            ("a=1; add_device='/dev/sda'\n", "a=1; add_device=''\n"),
            ("fstab_lines+=\"/dev/sda1 /x ext4 ro 0 0\"\n", "fstab_lines+=\"\"\n"),
            (
                "fstab_lines+=( \"tmpfs /t tmpfs\"\n  \"UUID=1 /x ext4\" )\nadd_device=UUID=2",
                "fstab_lines+=( \"tmpfs /t tmpfs\"\n  \"\" )\nadd_device=",
            ),
            ("fstab_lines+=\"tmpfs /t tmpfs\nLABEL=x /x ext4 ro\n\"\n", "fstab_lines+=\"tmpfs /t tmpfs\n\n\"\n"),
        ] {
            let found = without_disks(text.as_bytes()).map(|text| String::from_utf8(text).unwrap());
            assert_eq!(found.as_deref(), Some(left), "{text}");
        }
        let bytes = without_disks(b"# \xe4\nkernel_cmdline=\"resume=/dev/sda2 \xf6\"\n");
        assert_eq!(bytes.as_deref(), Some(&b"# \xe4\nkernel_cmdline=\" \xf6\"\n"[..]));
    }

    #[test]
    fn what_only_looks_like_that_stays() {
        for text in [
            "",
            "kernel_cmdline=\"quiet rd.driver.pre=x it's\"\n",
            "add_drivers+=\" nvme \"\n",
            "# add_device+=\" /dev/sda \"\n",
            "x=1 # don't; add_device=/dev/sda\n",
            "note=\"\nadd_device=/dev/sda\n\"\n",
            "note='it is \"\nadd_device=/dev/sda'\n",
            "add_device+=\" /dev/zram0 \"\n",
            "fstab_lines+=\"tmpfs /t tmpfs\"\n",
            "unset add_device\n",
            "kernel_cmdline=\"quiet\\",
        ] {
            assert_eq!(without_disks(text.as_bytes()), None, "{text}");
        }
    }
}

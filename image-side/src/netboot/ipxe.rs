//! The iPXE script. It is found by the name that DHCP tells, over TFTP or HTTP, and its paths begin where it lies itself.

use super::entry::{ADDRESS, CARD, INITRD, KERNEL};
use super::{Entry, Loader, MARK, Refusal, fits};

/// What iPXE puts for the card's address in a line of its own.
const MAC: &str = "${netX/mac:hexhyp}";

/// On BIOS iPXE takes the first `mem=` anywhere in the line for the end of the memory that it may use, that in `rd.minmem=64` too (seen
/// with 1.0.0+git-20190125: "Error 0x2a818006"). A word in front of it that the kernel takes for another module's has the end that kernels
/// name themselves.
const MEMORY: &str = "ipxe.mem=2048M";

/// The script.
///
/// # Errors
/// A word that iPXE would change, or too long a line.
pub fn text(entry: &Entry) -> Result<String, Refusal> {
    let mut words = vec![format!("initrd={INITRD}")];
    // One that is really meant counts for both.
    let (meant, rest): (Vec<_>, Vec<_>) = entry.kargs.iter().partition(|karg| karg.text().starts_with("mem="));
    if meant.is_empty() && rest.iter().any(|karg| karg.text().contains("mem=")) {
        words.push(MEMORY.to_owned());
    }
    for karg in meant.into_iter().chain(rest) {
        words.push(passable(&karg.to_kernel())?);
    }
    if !entry.has_card() {
        words.push(format!("BOOTIF=01-{MAC}"));
    }
    words.extend(entry.vlan.map(|id| format!("vlan=vlan{id}:{MAC}")));
    let interface = entry.vlan.map_or(MAC.to_owned(), |id| format!("vlan{id}"));
    let address = format!("ip=${{netX/ip}}::${{netX/gateway}}:${{netX/netmask}}::{interface}:none");
    let line = words.join(" ");
    let passes_address = !entry.has_address();
    fits(Loader::Ipxe, longest(&line, if passes_address { &address } else { "" }))?;

    let mut script = format!("#!ipxe\n# {MARK}: {}\n", entry.shown_title());
    if passes_address {
        script
            .push_str("# An address that did not come from DHCP was typed, and the kernel cannot ask for it again.\n");
        script.push_str("clear live-address\n");
        script.push_str("isset ${netX/dhcp-server} && goto start ||\n");
        script.push_str("isset ${netX/ip} || goto start\n");
        script.push_str(&format!("set live-address {address}\n"));
        script.push_str("isset ${netX/dns} && set live-address ${live-address} nameserver=${netX/dns} ||\n");
    }
    script.push_str(":start\n");
    let known = if passes_address { " ${live-address}" } else { "" };
    script.push_str(&format!("kernel {} {line}{known}\ninitrd {}\nboot\n", entry.kernel(), entry.initrd()));
    Ok(script)
}

/// The bytes that the kernel sees at most: on UEFI the name of the kernel stands in front.
fn longest(line: &str, address: &str) -> usize {
    let spelt = |text: &str| {
        let text = text.replace(MAC, CARD);
        ["${netX/ip}", "${netX/gateway}", "${netX/netmask}"].iter().fold(text, |text, name| text.replace(name, ADDRESS))
    };
    let address = if address.is_empty() { String::new() } else { format!(" {} nameserver={ADDRESS}", spelt(address)) };
    KERNEL.len() + 1 + spelt(line).len() + address.len()
}

/// iPXE knows no quotes. It joins what stands between blanks with one blank, and that is all that it does to most words.
fn passable(word: &str) -> Result<String, Refusal> {
    let refused = |what| Err(Refusal::Word { loader: Loader::Ipxe, word: word.to_owned(), what });
    if word.contains("vga=") && !word.starts_with("vga=") {
        return refused("iPXE takes the vga= in it for a video mode");
    }
    if word.contains("${") {
        return refused("${ begins a setting of iPXE");
    }
    if word.chars().any(|c| c.is_control()) || word.contains("  ") {
        return refused("iPXE makes one blank of several");
    }
    for part in word.split(' ') {
        if part.starts_with('#') {
            return refused("# begins a comment");
        }
        if matches!(part, "&&" | "||" | ";") {
            return refused("iPXE ends the command there");
        }
    }
    Ok(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::{URL, entry, kargs};
    use super::*;

    #[test]
    fn the_script() {
        let kargs = kargs(&["label=two words", "a=b;c&d"]);
        let expected = "\
#!ipxe
# Written by rdlive-image pxe: Joe's\\x0aLinux
# An address that did not come from DHCP was typed, and the kernel cannot ask for it again.
clear live-address
isset ${netX/dhcp-server} && goto start ||
isset ${netX/ip} || goto start
set live-address ip=${netX/ip}::${netX/gateway}:${netX/netmask}::${netX/mac:hexhyp}:none
isset ${netX/dns} && set live-address ${live-address} nameserver=${netX/dns} ||
:start
kernel tiny-0123456789ab/vmlinuz initrd=initrd.img \
root=live:http://10.0.2.2:8377/tiny-0123456789ab/tiny-0123456789abcdef.iso rd.live.image \"label=two words\" a=b;c&d \
BOOTIF=01-${netX/mac:hexhyp} ${live-address}
initrd tiny-0123456789ab/initrd.img
boot
";
        assert_eq!(text(&entry(&kargs)).unwrap(), expected);
    }

    #[test]
    fn k9_a_vlan_lies_on_the_card_and_has_its_address() {
        let kargs = kargs(&[]);
        let text = text(&Entry { vlan: Some(5), ..entry(&kargs) }).unwrap();
        assert!(
            text.contains("BOOTIF=01-${netX/mac:hexhyp} vlan=vlan5:${netX/mac:hexhyp} ${live-address}\n"),
            "{text}"
        );
        assert!(
            text.contains("set live-address ip=${netX/ip}::${netX/gateway}:${netX/netmask}::vlan5:none\n"),
            "{text}"
        );
    }

    #[test]
    fn k25_memory_that_is_to_stay_free_is_not_where_ipxe_ends() {
        for (words, begin) in [
            (&["rd.minmem=64"][..], format!("initrd=initrd.img ipxe.mem=2048M {URL} ")),
            (&["rd.minmem=64", "mem=1G"], format!("initrd=initrd.img mem=1G {URL} ")),
            (&["mem=1G"], format!("initrd=initrd.img mem=1G {URL} ")),
            (&["quiet"], format!("initrd=initrd.img {URL} ")),
        ] {
            let kargs = kargs(words);
            let text = text(&entry(&kargs)).unwrap();
            assert!(text.contains(&begin), "{words:?}: {text}");
            assert!(words.iter().all(|word| text.contains(&format!(" {word} "))), "{words:?}: {text}");
        }
    }

    #[test]
    fn an_address_of_the_operators_own_stands_alone() {
        let kargs = kargs(&["ip=eth1:dhcp"]);
        let text = text(&entry(&kargs)).unwrap();
        assert!(!text.contains("live-address") && text.contains(" ip=eth1:dhcp BOOTIF="), "{text}");
    }

    #[test]
    fn k25_what_would_not_arrive_is_refused() {
        for (word, what) in [
            ("a=${net0/mac}", "begins a setting"),
            ("a=b  c", "one blank"),
            ("a=b && c", "ends the command"),
            ("a=b || c", "ends the command"),
            ("a=b ; c", "ends the command"),
            ("x.vga=1", "video mode"),
            ("#a", "comment"),
            ("a=b #c", "comment"),
        ] {
            let kargs = kargs(&[word]);
            let refusal = text(&entry(&kargs)).unwrap_err().to_string();
            assert!(refusal.starts_with("iPXE: ") && refusal.contains(what), "{word}: {refusal}");
            assert!(refusal.contains("--loader=pxelinux,grub"), "{refusal}");
        }
        for word in ["a=$root", "a=b&&c", "a=b;c", "a=b#c", "---", "a={b}"] {
            let kargs = kargs(&[word]);
            assert!(text(&entry(&kargs)).unwrap().contains(&format!(" {word} ")), "{word}");
        }
    }

    #[test]
    fn k25_the_longest_line_that_arrives() {
        // What the script makes of the names, counted by hand: the kernel's name, the card's and all that was typed.
        let rest = |kargs: &[crate::bootloader::kargs::Karg]| {
            let words: usize = kargs.iter().map(|karg| karg.text().len() + 1).sum();
            "vmlinuz initrd=initrd.img ".len()
                + words
                + "BOOTIF=01-52-54-00-12-34-56 ".len()
                + "ip=255.255.255.255::255.255.255.255:255.255.255.255::52-54-00-12-34-56:none".len()
                + " nameserver=255.255.255.255".len()
        };
        let room = 2047 - rest(&kargs(&[])) - 1;
        let fit = kargs(&[&"x".repeat(room)]);
        text(&entry(&fit)).unwrap();
        let over = kargs(&[&"x".repeat(room + 1)]);
        assert_eq!(
            text(&entry(&over)).unwrap_err(),
            Refusal::TooLong { loader: Loader::Ipxe, length: 2048, limit: 2047 }
        );
    }
}

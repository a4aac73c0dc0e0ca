//! Who brings the network up: rdlive, or the program of an initrd of dracut that reads the same words (network.md 4.1, 4.2).

use rdlive_net::grammar::others::{self, Verdict};
use rdlive_net::grammar::{Wish, Word};

use crate::config::Config;
use crate::facts::Provider;

/// Words that ask for a network, whether anything needs one or not; without one of them no program of dracut begins by itself.
const ASKING: [&str; 9] = ["ip", "rd.neednet", "BOOTIF", "bootdev", "vlan", "bond", "bridge", "team", "rd.route"];

/// Who does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// rdlive.
    Own,
    /// rdlive, although another program was asked: it cannot read this word.
    Instead {
        /// Who cannot.
        of: Provider,
        /// What.
        word: String,
    },
    /// Another program, which is waited for.
    Follow(Provider),
}

/// Chooses, where the initrd has such a program.
#[must_use]
pub fn choose(config: &Config, provider: Option<Provider>) -> Way {
    let words: Vec<Word<'_>> =
        config.network.iter().map(|setting| Word { key: &setting.name, value: setting.value.as_deref() }).collect();
    match provider {
        Some(provider) if asks(&words) => match cannot_read(provider, &words) {
            Some(word) => Way::Instead { of: provider, word },
            None => Way::Follow(provider),
        },
        _ => Way::Own,
    }
}

/// Whether that program begins only if dracut knows of a root that needs the network, which of ours it does not: networkd starts anyway.
#[must_use]
pub fn waits_to_be_asked(config: &Config, provider: Option<Provider>) -> bool {
    let followed = matches!(choose(config, provider), Way::Follow(provider) if provider != Provider::Networkd);
    followed && config.needs_network()
}

fn asks(words: &[Word<'_>]) -> bool {
    let is_off = |word: &Word<'_>| matches!(word.value, Some("0" | "no" | "off"));
    words.iter().any(|word| ASKING.contains(&word.key) && !(word.key == "rd.neednet" && is_off(word)))
}

/// The first word with which it does nothing at all.
fn cannot_read(provider: Provider, words: &[Word<'_>]) -> Option<String> {
    let verdict = |others: others::Others| match provider {
        Provider::Networkd => others.systemd,
        Provider::NetworkManager => others.network_manager,
        // The scripts end the boot by themselves; nobody has tried connmand.
        Provider::Connman | Provider::Legacy => Verdict::Same,
    };
    let is_lost = |word: &&Word<'_>| {
        let alone = Wish::parse([**word]).0;
        let verdicts = alone.requests.iter().map(others::of).chain(others::of_word(word)).map(verdict);
        verdicts.into_iter().any(|verdict| match verdict {
            Verdict::RejectsAll | Verdict::Skips => true,
            // Without its hint an interface is found all the same; without the interface of many ports nothing is.
            Verdict::Ignores => word.key == "team",
            _ => false,
        })
    };
    let word = words.iter().find(is_lost)?;
    Some(format!("{}={}", word.key, word.value.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpret_text;

    fn choice(words: &str, provider: Option<Provider>) -> Way {
        choose(&interpret_text(&format!("root=live:http://h/x.iso {words}")).0, provider)
    }

    #[test]
    fn what_networkd_cannot_read_rdlive_does() {
        let networkd = Some(Provider::Networkd);
        for (word, reads) in [
            ("ip=dhcp", true),
            ("ip=any", true),
            ("ip=single-dhcp", false),
            ("ip=dhcp,dhcp6", false),
            ("ip=eth0:dhcp", true),
            ("ip=eth0:dhcp:1400", true),
            ("ip=52-54-00-12-34-56:dhcp", false),
            ("ip=192.0.2.9::192.0.2.1:255.255.255.0:host:eth0:none", true),
            ("ip=[2001:db8::5]::[2001:db8::1]:64:host:eth0:none", true),
            ("ip=:::::eth0:dhcp", true),
            ("ip=192.0.2.9/24::192.0.2.1:::eth0:none", false),
            ("ip=192.0.2.9:192.0.2.1:192.0.2.1:255.255.255.0", false),
            ("team=team0:eth0", false),
            ("vlan=vlan5:eth0", true),
            ("BOOTIF=01-52-54-00-12-34-56", true),
        ] {
            let expected = match reads {
                true => Way::Follow(Provider::Networkd),
                false => Way::Instead { of: Provider::Networkd, word: word.to_owned() },
            };
            assert_eq!(choice(&format!("rd.neednet=1 {word}"), networkd), expected, "{word}");
        }
        assert_eq!(
            choice("ip=192.0.2.9/24::192.0.2.1:::eth0:none", Some(Provider::NetworkManager)),
            Way::Follow(Provider::NetworkManager)
        );
    }

    #[test]
    fn k12_a_program_that_dracut_would_not_start_is_started() {
        for (line, provider, expected) in [
            ("root=live:http://h/x.iso ip=dhcp", Some(Provider::NetworkManager), true),
            ("root=live:http://h/x.iso ip=dhcp", Some(Provider::Legacy), true),
            ("root=live:http://h/x.iso ip=dhcp", Some(Provider::Networkd), false),
            ("root=live:http://h/x.iso ip=dhcp", None, false),
            ("root=live:http://h/x.iso", Some(Provider::NetworkManager), false),
            ("root=live:LABEL=x ip=dhcp", Some(Provider::NetworkManager), false),
            ("root=live:LABEL=x ip=dhcp live.updates=http://h/x.tar", Some(Provider::NetworkManager), true),
            ("root=live:http://h/x.iso ip=eth0:link-local", Some(Provider::NetworkManager), false),
        ] {
            assert_eq!(waits_to_be_asked(&interpret_text(line).0, provider), expected, "{line} {provider:?}");
        }
    }

    #[test]
    fn a_program_that_nobody_asks_is_not_waited_for() {
        let legacy = Some(Provider::Legacy);
        for (words, expected) in [
            ("", Way::Own),
            ("nameserver=192.0.2.53 rd.peerdns=0", Way::Own),
            ("rd.neednet=0", Way::Own),
            ("rd.neednet=1", Way::Follow(Provider::Legacy)),
            ("rd.neednet", Way::Follow(Provider::Legacy)),
            ("bond=bond0:eth0,eth1 ip=bond0:dhcp", Way::Follow(Provider::Legacy)),
        ] {
            assert_eq!(choice(words, legacy), expected, "{words}");
        }
        assert_eq!(choice("ip=dhcp", None), Way::Own);
    }
}

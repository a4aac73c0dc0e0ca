//! Driver profiles: which kernel modules a native initramfs carries.

use std::collections::BTreeSet;

use clap::ValueEnum;
use rdlive_media::modindex::normalise;

use super::beside::drivers_of_disks;
use super::kmod::ModuleTree;

/// A named set of drivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// The usual virtual machine or PC.
    Minimal,
    /// PCs, servers and hypervisors.
    #[default]
    Generic,
}

impl Profile {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Generic => "generic",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Minimal => include_str!("minimal.profile"),
            Self::Generic => include_str!("generic.profile"),
        }
    }

    /// The modules of `tree` that this profile names, without their dependencies.
    pub fn modules(self, tree: &ModuleTree) -> BTreeSet<String> {
        chosen(&parse(self.text()), tree)
    }

    /// Whether the network comes with it, if nobody leaves it out.
    pub fn has_network(self) -> bool {
        self == Self::Generic
    }

    /// Those of them without which a medium or an area may not be found: all but keyboards.
    pub fn for_media(self, tree: &ModuleTree) -> BTreeSet<String> {
        let mut rules = parse(self.text());
        rules.retain(|rule| !matches!(rule, Rule::Keyboard(_)));
        chosen(&rules, tree)
    }
}

/// The modules of `tree` for the network, without their dependencies, by group.
pub fn network(tree: &ModuleTree) -> Vec<(String, BTreeSet<String>)> {
    let rules = parse(include_str!("network.profile"));
    let groups = rules.chunk_by(|_, next| !matches!(next, Rule::Group(_)));
    let named = groups.filter_map(|rules| match rules.split_first() {
        Some((Rule::Group(title), rules)) => Some((title.clone(), chosen(rules, tree))),
        _ => None,
    });
    named.collect()
}

fn chosen(rules: &[Rule], tree: &ModuleTree) -> BTreeSet<String> {
    let never: BTreeSet<&str> = rules.iter().filter_map(Rule::never).collect();
    let mut chosen = BTreeSet::new();
    for rule in rules {
        match rule {
            Rule::Module(name) | Rule::Keyboard(name) => chosen.extend(tree.contains(name).then(|| name.clone())),
            Rule::Directory(dir) => {
                chosen.extend(tree.below(dir).filter(|name| !never.contains(name.as_str())));
            }
            Rule::Beside => {
                let needs_one = |name: &str| {
                    tree.file(name).is_some_and(|file| file.deps.iter().any(|dep| never.contains(dep.as_str())))
                };
                let disks = drivers_of_disks(tree).filter(|name| !never.contains(name) && !needs_one(name));
                chosen.extend(disks.map(str::to_owned));
            }
            Rule::Phys => {
                let phys = tree.aliases().filter(|(pattern, _)| pattern.starts_with("mdio:")).map(|(_, name)| name);
                chosen.extend(phys.filter(|name| tree.contains(name)).map(str::to_owned));
            }
            Rule::Never(_) | Rule::Group(_) => {}
        }
    }
    chosen
}

#[derive(Debug, PartialEq, Eq)]
enum Rule {
    Module(String),
    /// A module of a keyboard, or of a console.
    Keyboard(String),
    Directory(String),
    /// Drivers of disks that lie beside the kernel's own.
    Beside,
    /// Drivers of the chips between a network card and its socket.
    Phys,
    Never(String),
    /// The name of what follows.
    Group(String),
}

impl Rule {
    fn never(&self) -> Option<&str> {
        match self {
            Self::Never(name) => Some(name),
            _ => None,
        }
    }
}

fn parse(text: &str) -> Vec<Rule> {
    let mut rules = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        match words[..] {
            [] => {}
            ["keyboard", name] => rules.push(Rule::Keyboard(normalise(name))),
            ["group", ..] => rules.push(Rule::Group(words[1..].join(" "))),
            ["phys"] => rules.push(Rule::Phys),
            ["beside"] => rules.push(Rule::Beside),
            ["include", "minimal"] => rules.extend(parse(Profile::Minimal.text())),
            ["dir", dir] => rules.push(Rule::Directory(dir.to_owned())),
            ["not", name] => rules.push(Rule::Never(normalise(name))),
            [name] => rules.push(Rule::Module(normalise(name))),
            // The profiles are part of the program; the test below reads them all.
            _ => unreachable!("bad profile line {line:?}"),
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_can_be_read() {
        for profile in Profile::value_variants() {
            assert!(parse(profile.text()).len() > 20, "{}", profile.name());
        }
        // With no module but one in each group, and PHYs that only their aliases tell from other modules.
        let dep = "kernel/drivers/net/ethernet/e1000.ko:\nkernel/drivers/net/phy/realtek.ko.xz:\nkernel/a/phy.ko:\n\
                   kernel/drivers/net/virtio_net.ko:\nkernel/b/8021q.ko:\nkernel/drivers/net/phy/sfp.ko:\n";
        let alias = "alias mdio:0000000000011100110010????????? realtek\nalias mdio:1* phy\nalias pci:v* sfp\nalias mdio:* gone\n";
        let groups = network(&ModuleTree::from_texts("6.1", dep, "", alias, ""));
        let list = |(title, names): &(String, BTreeSet<String>)| {
            format!("{title}: {}", names.iter().cloned().collect::<Vec<_>>().join(" "))
        };
        let groups: Vec<String> = groups.iter().map(list).collect();
        let expected = [
            "cards of virtual machines: virtio_net",
            "cards of PCs: e1000",
            "cards of servers: ",
            "PHYs: phy realtek",
            "USB cards: ",
            "protocols: 8021q",
            "AoE: ",
            "NFS: ",
        ];
        assert_eq!(groups, expected);
    }

    /// An initrd of dracut has the same cards.
    #[test]
    fn the_dracut_module_asks_for_the_same_cards() {
        let module = include_str!("../../../dracut-module/50rdlive/module-setup.sh");
        let asked: BTreeSet<&str> = module.split_whitespace().collect();
        for rule in parse(include_str!("network.profile")) {
            if let Rule::Module(name) = rule {
                assert!(asked.contains(name.as_str()), "{name}");
            }
        }
        assert!(asked.contains("=drivers/net/phy"));
    }

    #[test]
    fn directories_lose_their_exceptions_but_names_stay() {
        let tree = ModuleTree::from_texts(
            "6.1",
            "kernel/drivers/scsi/scsi_debug.ko:\nkernel/drivers/scsi/hpsa.ko.xz:\nkernel/drivers/block/loop.ko:\n\
             kernel/drivers/net/e1000.ko:\n",
            "",
            "",
            "",
        );
        let chosen: Vec<String> = Profile::Generic.modules(&tree).into_iter().collect();
        assert_eq!(chosen, ["hpsa", "loop"]);
        let chosen: Vec<String> = Profile::Minimal.modules(&tree).into_iter().collect();
        assert_eq!(chosen, ["loop"]);
    }
}

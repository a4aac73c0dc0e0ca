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

    /// Those of them without which a medium or an area may not be found: all but keyboards.
    pub fn for_media(self, tree: &ModuleTree) -> BTreeSet<String> {
        let mut rules = parse(self.text());
        rules.retain(|rule| !matches!(rule, Rule::Keyboard(_)));
        chosen(&rules, tree)
    }
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
            Rule::Never(_) => {}
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
    Never(String),
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

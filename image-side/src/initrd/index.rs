//! The module index: what the agent's loader needs to know about the packed modules.

use std::collections::BTreeSet;

use rdlive_media::modindex::{IndexBuilder, Module, normalise};

use super::kmod::ModuleTree;
use super::modprobe_conf::ModprobeConf;

/// The index text for `chosen`, whose files are found below `prefix` (absolute, inside the initramfs).
///
/// `file_of` maps a module's path below the module directory to its path as packed.
pub fn text(
    tree: &ModuleTree,
    conf: &ModprobeConf,
    chosen: &BTreeSet<String>,
    file_of: impl Fn(&str) -> String,
) -> String {
    let mut index = IndexBuilder::new(&tree.version);
    let packed = |names: Vec<String>| names.into_iter().filter(|name| chosen.contains(name)).collect();
    for name in chosen {
        let Some(file) = tree.file(name) else { continue };
        let soft = tree.soft(name);
        index.module(Module {
            name: name.clone(),
            file: file_of(&file.path),
            deps: file.deps.clone(),
            pre: packed(soft.pre),
            post: packed(soft.post),
        });
    }
    for name in tree.builtins() {
        index.builtin(name);
    }
    for (pattern, name) in tree.aliases().filter(|(_, name)| chosen.contains(*name)) {
        index.alias(pattern, name);
    }
    for name in conf.blacklist.iter().filter(|name| chosen.contains(&normalise(name))) {
        index.blacklist(name);
    }
    for (name, parameters) in conf.options.iter().filter(|(name, _)| chosen.contains(&normalise(name))) {
        index.options(name, parameters);
    }
    index.to_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packed_modules_are_listed() {
        let tree = ModuleTree::from_texts(
            "6.1",
            "kernel/a.ko.xz: kernel/b.ko.xz\nkernel/b.ko.xz:\nkernel/c.ko.xz:\n",
            "softdep a pre: b c\n",
            "alias fs-a a\nalias fs-c c\n",
            "kernel/v.ko\n",
        );
        let mut conf = ModprobeConf::default();
        conf.parse("blacklist b\nblacklist c\noptions a x=1\noptions c y=1\n");
        let chosen = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let text = text(&tree, &conf, &chosen, |path| format!("/m/{path}"));
        let expected = "rdlive-modules 1 6.1\nm a /m/kernel/a.ko.xz b b -\nm b /m/kernel/b.ko.xz - - -\n\
                        v v\na fs-a a\nb b\no a x=1\n";
        assert_eq!(text, expected);
    }
}

//! The kernel's build configuration, where the tree has it: what this kernel cannot do is known before the work.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::resolve;

/// Options that are set, of one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    set: HashSet<String>,
}

impl KernelConfig {
    /// Reads `/boot/config-VERSION` or `/usr/lib/modules/VERSION/config`; `None` when the tree has neither.
    pub fn of_tree(root: &Path, version: &str) -> Option<Self> {
        let places = [
            format!("boot/config-{version}"),
            format!("usr/lib/modules/{version}/config"),
            format!("lib/modules/{version}/config"),
        ];
        places
            .iter()
            .filter_map(|path| fs::read_to_string(resolve(root, Path::new(path))?).ok())
            .map(|text| Self::parse(&text))
            .next()
    }

    /// Reads `CONFIG_X=y` and `=m` lines.
    pub fn parse(text: &str) -> Self {
        let set = text.lines().filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.starts_with("CONFIG_") && matches!(value, "y" | "m")).then(|| name.to_owned())
        });
        Self { set: set.collect() }
    }

    /// Whether the option is built in or a module.
    pub fn has(&self, option: &str) -> bool {
        self.set.contains(option)
    }

    /// Those of `options` that are not set.
    pub fn lacks<'a>(&self, options: &[&'a str]) -> Vec<&'a str> {
        options.iter().filter(|option| !self.has(option)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_are_not_set() {
        let config = KernelConfig::parse("CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=\"x\"\n");
        assert_eq!(config.lacks(&["CONFIG_A", "CONFIG_B", "CONFIG_C", "CONFIG_D"]), ["CONFIG_C", "CONFIG_D"]);
    }
}

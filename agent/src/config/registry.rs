//! Every karg we know: ours, both originals' with their historic names, and where each one stands.
//!
//! The table drives parsing (a lookup needs an entry), the suggestions for misspelt kargs and `docs/cmdline.md`. To add a
//! karg, add an entry to the table of its area and read it in the module of `config` that owns it.

mod area;
mod live;
mod network;
mod overlay;
pub mod page;
pub mod spelling;
mod system;

pub use area::Area;
pub use live::*;
pub use network::*;
pub use overlay::*;
pub use system::*;

/// One karg: its names, its meaning and where it stands.
#[derive(Debug)]
pub struct Karg {
    /// The name to write today.
    pub name: &'static str,
    /// Older names with the same meaning, looked up in this order when the name itself is absent.
    pub aliases: &'static [Alias],
    /// Where it comes from.
    pub origin: Origin,
    /// What its value is.
    pub kind: ValueKind,
    /// The default, as a person would write it; empty when there is none.
    pub default: &'static str,
    /// The first release that has it, where known.
    pub since: &'static str,
    /// The karg to write instead, when this one has had its day but is no mere alias.
    pub replaced_by: Option<&'static str>,
    /// Whether we act on it.
    pub status: Status,
    /// One line for the documentation.
    pub meaning: &'static str,
    /// The values it takes; empty when the kind says it all.
    pub values: &'static str,
    /// The words it knows, a switch besides yes and no. What comes close to one of them is a slip.
    pub words: &'static [&'static str],
}

/// An older name of a karg.
#[derive(Debug)]
pub struct Alias {
    /// The name.
    pub name: &'static str,
    /// When it was in use, for the documentation.
    pub history: &'static str,
}

/// Who invented a karg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// KIWI's kiwi-live.
    Kiwi,
    /// dracut: its live modules or its core.
    Dracut,
    /// Both originals have it.
    Both,
    /// New here.
    Rdlive,
    /// The kernel, or the kernel's module loader.
    Kernel,
}

/// What the value of a karg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// True unless `0`, `no` or `off`.
    Bool,
    /// Any text; empty means not given.
    Text,
    /// A decimal number.
    Number,
    /// A size: `512m`, `2g`, `25%`; a bare number below 1048576 is MiB, otherwise bytes.
    Size,
    /// Items separated by commas.
    List,
    /// A bare word without a value.
    Word,
}

/// Whether we act on a karg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Yes.
    Built,
    /// Read and reported, but the part that would act on it does not exist yet.
    NotBuilt(Area),
    /// Accepted, without effect, because of the reason given.
    Ignored(&'static str),
    /// Another program obeys it.
    Elsewhere(&'static str),
}

/// A titled part of the table.
#[derive(Debug)]
pub struct Section {
    /// Heading in the documentation.
    pub title: &'static str,
    /// Its entries, in the order of the documentation.
    pub kargs: &'static [&'static Karg],
}

/// The whole table, in the order of the documentation.
pub static SECTIONS: &[Section] = &[
    Section { title: "Finding the live system", kargs: LIVE_TABLE },
    Section { title: "The writable layer", kargs: OVERLAYS_TABLE },
    Section { title: "Network", kargs: NETWORK_TABLE },
    Section { title: "Waiting, failing, logging, modules, init", kargs: SYSTEM_TABLE },
];

/// All entries.
pub fn all() -> impl Iterator<Item = &'static Karg> {
    SECTIONS.iter().flat_map(|section| section.kargs.iter().copied())
}

/// The entry that has this name or alias.
pub fn find(name: &str) -> Option<&'static Karg> {
    all().find(|karg| karg.names().any(|known| known == name))
}

impl Karg {
    /// The name and then the aliases, in lookup order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().map(|alias| alias.name))
    }

    /// An entry with neither aliases nor default that we act on.
    const fn new(name: &'static str, kind: ValueKind, origin: Origin, meaning: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            origin,
            kind,
            default: "",
            since: "",
            replaced_by: None,
            status: Status::Built,
            meaning,
            values: "",
            words: &[],
        }
    }

    const fn aliases(mut self, aliases: &'static [Alias]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    const fn since(mut self, since: &'static str) -> Self {
        self.since = since;
        self
    }

    const fn values(mut self, values: &'static str) -> Self {
        self.values = values;
        self
    }

    const fn words(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }

    const fn replaced_by(mut self, name: &'static str) -> Self {
        self.replaced_by = Some(name);
        self
    }

    const fn not_built(mut self, area: Area) -> Self {
        self.status = Status::NotBuilt(area);
        self
    }

    const fn ignored(mut self, why: &'static str) -> Self {
        self.status = Status::Ignored(why);
        self
    }

    const fn elsewhere(mut self, who: &'static str) -> Self {
        self.status = Status::Elsewhere(who);
        self
    }
}

const fn alias(name: &'static str, history: &'static str) -> Alias {
    Alias { name, history }
}

/// Declares each entry as a static of its own, so that a lookup cannot misspell it, and the table that lists them.
macro_rules! table {
    ($table:ident: $($id:ident = $entry:expr;)*) => {
        $(
            #[doc = concat!("Entry of the registry; see its `meaning`: `", stringify!($id), "`.")]
            pub static $id: Karg = $entry;
        )*
        /// The entries of this area, in the order of the documentation.
        pub(in crate::config) static $table: &[&Karg] = &[$(&$id),*];
    };
}
use table;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_unique() {
        let mut seen = BTreeSet::new();
        for karg in all() {
            for name in karg.names() {
                assert!(seen.insert(name), "{name} is in the registry twice");
            }
        }
        assert!(seen.len() > 100, "only {} names", seen.len());
    }

    #[test]
    fn every_name_finds_its_entry() {
        for karg in all() {
            for name in karg.names() {
                assert_eq!(find(name).map(|found| found.name), Some(karg.name), "{name}");
            }
        }
    }

    #[test]
    fn every_entry_says_what_it_means() {
        for karg in all() {
            assert!(karg.meaning.len() > 10, "{} has no meaning", karg.name);
            assert!(!karg.meaning.ends_with('.'), "{}: one line, no full stop", karg.name);
            for cell in [karg.meaning, karg.values, karg.default, karg.since] {
                assert!(!cell.contains(['|', '\n']), "{}: {cell:?} breaks the table", karg.name);
            }
        }
    }
}

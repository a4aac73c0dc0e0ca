//! The module index of a native initramfs: names, files, load order and aliases in one text file.
//!
//! The builder derives it from `modules.dep`, `modules.alias`, `modules.softdep`, `modules.builtin` and `modprobe.d`, so
//! that the agent answers "which modules does this modalias need" with one pass over one file and without libkmod.
//!
//! The file is lines of space-separated fields, `-` for an empty field:
//! ```text
//! rdlive-modules 1 6.12.48-amd64     magic, version, kernel release
//! m NAME FILE DEPS PRE POST          a module; DEPS, PRE, POST are comma-separated module names in load order
//! v NAME                             built into the kernel
//! a PATTERN NAME                     an alias; PATTERN is a glob as in modules.alias
//! b NAME                             blacklisted: aliases do not load it, its name does
//! o NAME PARAMETERS…                 parameters from modprobe.d
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

const MAGIC: &str = "rdlive-modules 1";

/// One loadable module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// Name with underscores.
    pub name: String,
    /// Absolute path of the file inside the initramfs.
    pub file: String,
    /// Modules that must be loaded before, in order.
    pub deps: Vec<String>,
    /// Soft dependencies to load before, if they exist.
    pub pre: Vec<String>,
    /// Soft dependencies to load after, if they exist.
    pub post: Vec<String>,
}

/// Collects modules and writes the index text; used by the builder.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    kernel: String,
    modules: BTreeMap<String, Module>,
    builtin: BTreeSet<String>,
    aliases: BTreeSet<(String, String)>,
    blacklist: BTreeSet<String>,
    options: BTreeMap<String, String>,
}

impl IndexBuilder {
    /// An empty index for a kernel release such as `6.12.48+deb13-amd64`.
    pub fn new(kernel: &str) -> Self {
        Self { kernel: kernel.to_owned(), ..Self::default() }
    }

    /// Adds a loadable module; names are normalised to underscores.
    pub fn module(&mut self, mut module: Module) {
        module.name = normalise(&module.name);
        for list in [&mut module.deps, &mut module.pre, &mut module.post] {
            list.iter_mut().for_each(|name| *name = normalise(name));
        }
        self.modules.insert(module.name.clone(), module);
    }

    /// Notes a module that is built into the kernel.
    pub fn builtin(&mut self, name: &str) {
        self.builtin.insert(normalise(name));
    }

    /// Adds an alias pattern of a module; aliases of unknown modules are dropped when the text is written.
    pub fn alias(&mut self, pattern: &str, module: &str) {
        self.aliases.insert((pattern.to_owned(), normalise(module)));
    }

    /// Notes a `blacklist` line of modprobe.d.
    pub fn blacklist(&mut self, name: &str) {
        self.blacklist.insert(normalise(name));
    }

    /// Adds an `options` line of modprobe.d.
    pub fn options(&mut self, name: &str, parameters: &str) {
        let entry = self.options.entry(normalise(name)).or_default();
        if !entry.is_empty() {
            entry.push(' ');
        }
        entry.push_str(parameters);
    }

    /// The index as text; the same input gives the same bytes.
    pub fn to_text(&self) -> String {
        let mut out = format!("{MAGIC} {}\n", self.kernel);
        let list = |names: &[String]| if names.is_empty() { "-".to_owned() } else { names.join(",") };
        for m in self.modules.values() {
            let _ = writeln!(out, "m {} {} {} {} {}", m.name, m.file, list(&m.deps), list(&m.pre), list(&m.post));
        }
        for name in self.builtin.iter().filter(|name| !self.modules.contains_key(*name)) {
            let _ = writeln!(out, "v {name}");
        }
        for (pattern, name) in self.aliases.iter().filter(|(_, name)| self.modules.contains_key(name)) {
            let _ = writeln!(out, "a {pattern} {name}");
        }
        for name in &self.blacklist {
            let _ = writeln!(out, "b {name}");
        }
        for (name, parameters) in &self.options {
            let _ = writeln!(out, "o {name} {parameters}");
        }
        out
    }
}

/// Why an index cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The first line is not the magic and version of this agent.
    #[error("not a module index of version 1: first line is '{0}'")]
    Magic(String),
    /// A line has too few fields.
    #[error("line {0} of the module index is incomplete")]
    Line(usize),
}

/// A parsed index; borrows the text.
#[derive(Debug, Default)]
pub struct Index<'a> {
    kernel: &'a str,
    modules: HashMap<&'a str, Entry<'a>>,
    builtin: BTreeSet<&'a str>,
    aliases: HashMap<&'a str, Vec<(&'a str, &'a str)>>,
    prefixes: BTreeSet<usize>,
    blacklist: BTreeSet<&'a str>,
    options: HashMap<&'a str, &'a str>,
}

#[derive(Debug)]
struct Entry<'a> {
    file: &'a str,
    deps: &'a str,
    pre: &'a str,
    post: &'a str,
}

/// A module to hand to the kernel: its name, file and configured parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loadable<'a> {
    /// Name with underscores.
    pub name: &'a str,
    /// Absolute path of the file.
    pub file: &'a str,
    /// Parameters from modprobe.d, may be empty.
    pub parameters: &'a str,
}

impl<'a> Index<'a> {
    /// Parses the text of an index.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let mut lines = text.lines().enumerate();
        let first = lines.next().map_or("", |(_, line)| line);
        let kernel = first.strip_prefix(MAGIC).ok_or_else(|| Error::Magic(first.to_owned()))?.trim();
        let mut index = Self { kernel, ..Self::default() };
        for (number, line) in lines {
            index.line(line).ok_or(Error::Line(number + 1))?;
        }
        Ok(index)
    }

    fn line(&mut self, line: &'a str) -> Option<()> {
        let (kind, rest) = line.split_once(' ')?;
        match kind {
            "m" => {
                let mut fields = rest.split(' ');
                let name = fields.next()?;
                let entry =
                    Entry { file: fields.next()?, deps: fields.next()?, pre: fields.next()?, post: fields.next()? };
                self.modules.insert(name, entry);
            }
            "v" => {
                self.builtin.insert(rest);
            }
            "a" => {
                let (pattern, name) = rest.rsplit_once(' ')?;
                let prefix = &pattern[..pattern.find(['*', '?', '[']).unwrap_or(pattern.len())];
                self.prefixes.insert(prefix.len());
                self.aliases.entry(prefix).or_default().push((pattern, name));
            }
            "b" => {
                self.blacklist.insert(rest);
            }
            "o" => {
                let (name, parameters) = rest.split_once(' ')?;
                self.options.insert(name, parameters);
            }
            // A newer builder may add line kinds; those an old agent does not know cannot be essential to it.
            _ => {}
        }
        Some(())
    }

    /// The kernel release the modules belong to.
    pub fn kernel(&self) -> &'a str {
        self.kernel
    }

    /// Whether the module is built into the kernel.
    pub fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(normalise(name).as_str())
    }

    /// Whether the index has a loadable module of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.modules.contains_key(normalise(name).as_str())
    }

    /// Names of the modules whose aliases match a modalias; blacklisted ones left out.
    pub fn matches(&self, modalias: &str) -> Vec<&'a str> {
        let mut found: Vec<&'a str> = Vec::new();
        for &length in self.prefixes.range(..=modalias.len()) {
            let Some(prefix) = modalias.get(..length) else { continue };
            for &(pattern, name) in self.aliases.get(prefix).into_iter().flatten() {
                let allowed = !self.blacklist.contains(name) && !found.contains(&name);
                if allowed && glob(pattern.as_bytes(), modalias.as_bytes()) {
                    found.push(name);
                }
            }
        }
        found
    }

    /// The module and all it needs, in the order to load them; empty if unknown or built in.
    pub fn load_order(&self, name: &str) -> Vec<Loadable<'a>> {
        let mut order = Vec::new();
        self.visit(&normalise(name), &mut BTreeSet::new(), &mut order);
        order
    }

    fn visit(&self, name: &str, seen: &mut BTreeSet<&'a str>, order: &mut Vec<Loadable<'a>>) {
        let Some((&name, entry)) = self.modules.get_key_value(name) else { return };
        if !seen.insert(name) {
            return;
        }
        for before in names(entry.pre).chain(names(entry.deps)) {
            self.visit(before, seen, order);
        }
        let parameters = self.options.get(name).copied().unwrap_or("");
        order.push(Loadable { name, file: entry.file, parameters });
        for after in names(entry.post) {
            self.visit(after, seen, order);
        }
    }
}

fn names(field: &str) -> impl Iterator<Item = &str> {
    field.split(',').filter(|name| !name.is_empty() && *name != "-")
}

/// The spelling the kernel uses in `/proc/modules`: underscores for dashes.
pub fn normalise(name: &str) -> String {
    name.replace('-', "_")
}

/// Shell-style match of `*`, `?` and `[…]`, without special treatment of slashes, as modalias patterns need.
pub fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => class(&pattern[p..], text[t]),
            Some(&byte) if byte == text[t] => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(width), _) => {
                p += width;
                t += 1;
            }
            // The last star takes one byte more; earlier stars never need to be tried again.
            (None, Some((after, from))) => {
                star = Some((after, from + 1));
                p = after;
                t = from + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Width of the bracket expression at the start of `pattern` if it matches the byte.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let end = pattern.iter().position(|&b| b == b']').filter(|&end| end > 1)?;
    let (negated, set) = match &pattern[1..end] {
        [b'!' | b'^', rest @ ..] => (true, rest),
        set => (false, set),
    };
    let mut hit = false;
    let mut i = 0;
    while i < set.len() {
        if i + 2 < set.len() && set[i + 1] == b'-' {
            hit |= (set[i]..=set[i + 2]).contains(&byte);
            i += 3;
        } else {
            hit |= set[i] == byte;
            i += 1;
        }
    }
    (hit != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glob_table() {
        for (pattern, text, expected) in [
            ("usb:v*p*d*dc*ic08isc06ip50in*", "usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00", true),
            ("usb:v*p*d*dc*ic08isc06ip62in*", "usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00", false),
            ("pci:v00008086d00007010sv*sd*bc*sc*i*", "pci:v00008086d00007010sv00001AF4sd00001100bc01sc01i80", true),
            ("usb:v0421p0019d059[2-9]dc*", "usb:v0421p0019d0593dcFF", true),
            ("usb:v0421p0019d059[2-9]dc*", "usb:v0421p0019d0591dcFF", false),
            ("a[!b]c", "axc", true),
            ("a[!b]c", "abc", false),
            ("fs-iso9660", "fs-iso9660", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("", "x", false),
            ("[", "[", false),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxbxx", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} against {text}");
        }
    }

    fn sample() -> String {
        let mut builder = IndexBuilder::new("6.12.0");
        let module = |name: &str, deps: &[&str], pre: &[&str], post: &[&str]| Module {
            name: name.into(),
            file: format!("/lib/modules/{name}.ko"),
            deps: deps.iter().map(|&n| n.into()).collect(),
            pre: pre.iter().map(|&n| n.into()).collect(),
            post: post.iter().map(|&n| n.into()).collect(),
        };
        builder.module(module("usb-storage", &["usbcore", "usb_common"], &["crc32c"], &[]));
        builder.module(module("usbcore", &["usb_common"], &[], &[]));
        builder.module(module("usb_common", &[], &[], &[]));
        builder.module(module("crc32c", &[], &[], &["usb-storage"]));
        builder.module(module("floppy", &[], &[], &[]));
        builder.builtin("virtio");
        builder.alias("usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*", "usb-storage");
        builder.alias("platform:floppy", "floppy");
        builder.alias("platform:gone", "not-there");
        builder.blacklist("floppy");
        builder.options("usb-storage", "delay_use=0");
        builder.to_text()
    }

    #[test]
    fn modalias_leads_to_modules_in_load_order() {
        let text = sample();
        let index = Index::parse(&text).unwrap();
        assert_eq!(index.matches("usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00"), ["usb_storage"]);
        let order: Vec<_> = index.load_order("usb-storage").iter().map(|m| m.name).collect();
        assert_eq!(order, ["crc32c", "usb_common", "usbcore", "usb_storage"], "cycle of soft dependencies ends");
        assert_eq!(index.load_order("usb_storage")[3].parameters, "delay_use=0");
        assert!(index.is_builtin("virtio") && !index.is_builtin("floppy"));
    }

    #[test]
    fn blacklist_stops_aliases_but_not_names() {
        let text = sample();
        let index = Index::parse(&text).unwrap();
        assert!(index.matches("platform:floppy").is_empty());
        assert_eq!(index.load_order("floppy").len(), 1);
        assert!(index.matches("platform:gone").is_empty(), "alias of a module that is not packed");
    }

    #[test]
    fn broken_text_is_an_error() {
        for (text, expected) in [
            ("", Error::Magic(String::new())),
            ("rdlive-modules 2 x", Error::Magic("rdlive-modules 2 x".into())),
            ("rdlive-modules 1 x\nm only three fields", Error::Line(2)),
            ("rdlive-modules 1 x\na lonely", Error::Line(2)),
        ] {
            assert_eq!(Index::parse(text).unwrap_err(), expected, "{text:?}");
        }
        assert!(Index::parse("rdlive-modules 1 x\nz something new").is_ok());
    }
}

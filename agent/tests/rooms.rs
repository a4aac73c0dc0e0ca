//! The gate of the house (architecture.md and redesign.md, "Rooms"): which room may use which, how long a file and a function may be,
//! how much there is of all, and that pages are wrapped. No file of a program is excepted; tests may use what they like.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, GenericArgument, ImplItemFn, Item, ItemFn, ItemUse, Macro, PathArguments, Type, UseTree};

/// Lines of `agent/src` and of `agent/media/src` without tests; let them go down with what they count. When this gate was built, all of it
/// lay in the first, and had 26,583: reasons and steps that are types, the seam, and the facts that a report carries are what both have more.
const LINES: [(&str, usize); 2] = [("src", 35_717), ("media/src", 6_359)];
const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;

/// Name, files and folders below `agent/src` or `agent/media/src`, and the rooms that it may use. All may use the ground and what media hold.
type Room = (&'static str, &'static [&'static str], &'static [&'static str]);

const OPEN: [&str; 2] = ["media", "ground"];

/// A room uses none that stands below it here, so there are no circles.
const ROOMS: &[Room] = &[
    // A crate of its own, agent/media, which the builder uses too.
    (
        "media",
        &[
            "format/",
            "table/",
            "modindex.rs",
            "packed.rs",
            "packed/",
            "layout.rs",
            "json.rs",
            "printable.rs",
            "rdlive_media/",
        ],
        &[],
    ),
    (
        "ground",
        &[
            "env.rs",
            "clock.rs",
            "error.rs",
            "kmsg.rs",
            "terminal.rs",
            "silence.rs",
            "foreign.rs",
            "cmdline.rs",
            "console.rs",
            "console/",
            "mountinfo.rs",
            "patient.rs",
            "random.rs",
        ],
        &[],
    ),
    ("mapper", &["mapper.rs", "mapper/"], &[]),
    ("config", &["config/"], &[]),
    ("facts", &["facts.rs", "facts/"], &["config"]),
    ("source", &["source.rs", "source/"], &["config", "facts"]),
    ("area", &["area.rs", "area/"], &["config", "facts", "source"]),
    ("probe", &["probe/"], &["config", "facts", "area"]),
    ("attempt", &["attempt.rs", "attempt/"], &["facts"]),
    ("watch", &["watch.rs"], &["facts", "probe", "attempt"]),
    ("plan", &["plan/"], &["mapper", "config", "facts", "area"]),
    ("report", &["handover.rs", "handover/"], &["config", "facts", "area", "plan"]),
    ("exec", &["exec/"], &["mapper", "config", "facts", "area", "probe", "attempt", "plan", "report"]),
    ("shutdown", &["shutdown/"], &["mapper", "config", "facts", "area", "attempt", "report", "exec"]),
    ("boot", &["boot.rs", "boot/"], &["config", "facts", "area", "probe", "source", "attempt", "plan", "report"]),
    (
        "machine",
        &["machine.rs"],
        &["config", "facts", "area", "probe", "attempt", "watch", "plan", "report", "exec", "boot"],
    ),
    ("explain", &["explain.rs", "explain/"], &["config", "facts", "area", "report", "boot"]),
    (
        "personality",
        &["native/", "dracut.rs", "generator.rs"],
        &[
            "mapper", "config", "facts", "area", "probe", "attempt", "watch", "plan", "report", "shutdown", "exec",
            "boot", "machine",
        ],
    ),
    (
        "doors",
        &["lib.rs", "main.rs", "cli.rs", "report.rs", "fuzzing.rs"],
        &[
            "mapper",
            "config",
            "facts",
            "area",
            "probe",
            "source",
            "attempt",
            "watch",
            "plan",
            "report",
            "shutdown",
            "exec",
            "boot",
            "explain",
            "personality",
        ],
    ),
];

/// A file of the agent, as far as its tests are left out.
#[derive(Debug, Default)]
struct Seen {
    /// How many modules deep the file is below the crate: `super` so often is the crate.
    depth: usize,
    /// Uses that say neither what they take nor where from.
    hidden: Vec<String>,
    /// First parts of the paths below `crate` that it names.
    names: BTreeSet<String>,
    /// Functions with their lines.
    functions: Vec<(String, usize)>,
    /// Lines of tests.
    tests: usize,
    /// Results whose error is a text.
    text_errors: usize,
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("cfg")
            && list.is_ok_and(|list| list.tokens.to_string().split_whitespace().any(|word| word == "test"))
    })
}

fn lines(of: &impl Spanned) -> usize {
    let span = of.span();
    span.end().line - span.start().line + 1
}

impl Seen {
    /// A use from its beginning, `above` modules above this one; `None` when it began with the crate.
    fn at_top(&mut self, tree: &UseTree, above: usize) {
        match tree {
            UseTree::Path(path) if path.ident == "crate" => self.tree(&path.tree),
            UseTree::Path(path) if path.ident == "super" && above + 1 == self.depth => self.tree(&path.tree),
            UseTree::Path(path) if path.ident == "super" => self.at_top(&path.tree, above + 1),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.at_top(tree, above)),
            UseTree::Rename(name) if name.ident == "crate" => self.hidden.push("a new name for the crate".to_owned()),
            _ => {}
        }
    }

    fn tree(&mut self, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => drop(self.names.insert(path.ident.to_string())),
            UseTree::Name(name) => drop(self.names.insert(name.ident.to_string())),
            UseTree::Rename(name) => drop(self.names.insert(name.ident.to_string())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree)),
            UseTree::Glob(_) => self.hidden.push("all of the crate".to_owned()),
        }
    }

    /// What stands in a macro are tokens, and no path yet.
    fn tokens(&mut self, tokens: TokenStream) {
        let all: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in all.iter().enumerate() {
            match (token, all.get(at + 3)) {
                (TokenTree::Group(group), _) => self.tokens(group.stream()),
                (TokenTree::Ident(first), Some(TokenTree::Ident(name))) if first == "crate" => {
                    self.names.insert(name.to_string());
                }
                _ => {}
            }
        }
    }
}

/// Whether it is a `Result` with an error that is a text: nothing can be decided from that, and nobody knows what to do about it.
fn has_text_error(path: &syn::Path) -> bool {
    let Some(last) = path.segments.last().filter(|last| last.ident == "Result") else { return false };
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return false };
    let Some(GenericArgument::Type(Type::Path(error))) = arguments.args.iter().nth(1) else { return false };
    error.path.segments.last().is_some_and(|last| last.ident == "String")
}

impl<'ast> Visit<'ast> for Seen {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Const(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if is_test(attributes) {
            self.tests += lines(item);
        } else {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.at_top(&item.tree, 0);
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.functions.push((item.sig.ident.to_string(), lines(item)));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if is_test(&item.attrs) {
            self.tests += lines(item);
            return;
        }
        self.functions.push((item.sig.ident.to_string(), lines(item)));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.text_errors += usize::from(has_text_error(path));
        let mut parts = path.segments.iter().peekable();
        let mut above = 0;
        while parts.next_if(|part| part.ident == "super").is_some() {
            above += 1;
        }
        if above == self.depth && above > 0 || parts.next_if(|part| part.ident == "crate").is_some() {
            self.names.extend(parts.next().map(|part| part.ident.to_string()));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

/// Each file of both crates without those that are nothing but tests: its path below `agent/src` or `agent/media/src`, its lines, and
/// what is in it.
fn files() -> Vec<(String, usize, Seen)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = files_below(&top.join("src"));
    found.extend(files_below(&top.join("media/src")).into_iter().filter(|(name, ..)| name != "lib.rs"));
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

fn files_below(root: &Path) -> Vec<(String, usize, Seen)> {
    let mut found = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let is_tests = path.file_stem().is_some_and(|stem| stem == "tests");
            if path.is_dir() {
                if !is_tests {
                    dirs.push(path);
                }
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                let depth = name.split('/').filter(|part| *part != "mod.rs").count();
                let mut seen = Seen { depth, ..Seen::default() };
                seen.visit_file(&syn::parse_file(&text).unwrap_or_else(|error| panic!("{name}: {error}")));
                let lines = text.lines().count();
                // The readers of foreign bytes for the fuzzer, and tests of all of them: in no program that is shipped.
                if name == "fuzzing.rs" || name == "format/hostile.rs" {
                    seen.tests = lines;
                }
                if is_tests {
                    // As of tests in the file itself: they may use what they like.
                    seen.names.clear();
                    seen.tests = lines;
                }
                found.push((name, lines, seen));
            }
        }
    }
    found
}

/// The room of a file, or of what a path below `crate` names.
fn room_of(path: &str) -> Option<&'static str> {
    let holds = |held: &&str| match held.strip_suffix('/') {
        Some(folder) => path.split('/').next() == Some(folder),
        None => path == *held || format!("{path}.rs") == *held,
    };
    ROOMS.iter().find(|(_, all, _)| all.iter().any(holds)).map(|(name, ..)| *name)
}

#[test]
fn each_file_has_a_room_and_rooms_use_what_is_above_them() {
    let place = |name: &str| ROOMS.iter().position(|(room, ..)| *room == name);
    for (at, (name, _, uses)) in ROOMS.iter().enumerate() {
        for used in *uses {
            assert!(place(used).is_some_and(|place| place < at), "{name} may use {used}, which is no room above it");
        }
    }
    let mut wrong = Vec::new();
    for (file, _, seen) in files() {
        let Some(room) = room_of(&file) else { panic!("{file} has no room") };
        let (at, (.., uses)) = (place(room).unwrap(), ROOMS[place(room).unwrap()]);
        wrong.extend(seen.hidden.iter().map(|what| format!("{file} takes {what}")));
        for name in &seen.names {
            let Some(other) = room_of(name) else {
                wrong.push(format!("{file} uses crate::{name}, which has no room"));
                continue;
            };
            let open = OPEN.contains(&other) && place(other).unwrap() < at;
            if other != room && !open && !uses.contains(&other) {
                wrong.push(format!("{file} uses {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_and_functions_are_short() {
    let mut wrong = Vec::new();
    for (file, lines, seen) in files() {
        if lines > FILE_LINES {
            wrong.push(format!("{file} has {lines} lines, at most {FILE_LINES} are allowed"));
        }
        let long = seen.functions.iter().filter(|(_, lines)| *lines > FUNCTION_LINES);
        wrong.extend(long.map(|(name, lines)| format!("{name} in {file} has {lines} lines")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_error_is_a_text() {
    let found: Vec<_> = files().into_iter().filter(|(.., seen)| seen.text_errors > 0).map(|(file, ..)| file).collect();
    assert!(found.is_empty(), "an error that is a String in {found:?}");
    let path = |text: &str| syn::parse_str::<syn::Path>(text).unwrap();
    for (text, expected) in [
        ("Result<(), String>", true),
        ("std::result::Result<Vec<u8>, std::string::String>", true),
        ("Result<String, Stop>", false),
        ("io::Result<String>", false),
    ] {
        assert_eq!(has_text_error(&path(text)), expected, "{text}");
    }
}

#[test]
fn the_agent_grows_no_longer() {
    for (root, most) in LINES {
        let files = files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root));
        let lines: usize = files.iter().map(|(_, lines, seen)| lines - seen.tests).sum();
        assert!(lines <= most, "{root}: {lines} lines without tests, at most {most} are allowed");
    }
}

/// Prose is wrapped at 120 characters; tables and code are as long as they are.
#[test]
fn pages_are_wrapped() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = vec![top.join("README.md"), top.join("CHANGELOG.md")];
    for folder in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(top.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        pages.extend(entries.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    }
    let mut long = Vec::new();
    for page in pages {
        let (text, mut is_code) = (fs::read_to_string(&page).unwrap(), false);
        for (number, line) in text.lines().enumerate() {
            is_code ^= line.trim_start().starts_with("```");
            if !is_code && !line.starts_with('|') && line.chars().count() > 120 {
                long.push(format!("{}:{}", page.display(), number + 1));
            }
        }
    }
    assert!(long.is_empty(), "more than 120 characters in {}", long.join(", "));
}

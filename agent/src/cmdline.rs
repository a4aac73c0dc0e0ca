//! The kernel command line: quoting rules, and lookups in which the last occurrence wins.
//!
//! Nothing here knows what a karg means; see [`crate::config`]. Keys are compared byte by byte: unlike the kernel, `-`
//! and `_` differ (dracut-live spec 1.1, case A23).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::format::lossless;

/// One argument of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Text before the first `=`, or the whole word.
    pub key: String,
    /// Text after the first `=`; `None` for a bare word, empty for `key=`.
    pub value: Option<String>,
    /// The argument as it was written, quotes included.
    pub raw: String,
}

/// A parsed command line: ordered tokens, and what belongs to init.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cmdline {
    tokens: Vec<Token>,
    init_args: Vec<String>,
    kernel: Option<KernelLine>,
}

/// How the kernel's own line came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelLine {
    /// Its length, without the end of line that the kernel puts behind it.
    pub bytes: usize,
    /// Its last word as it was written.
    pub last: String,
}

/// A file of the command line exists but cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("reading the command line from {path}")]
pub struct ReadError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// Where the command line comes from, in order; a directory stands for its `*.conf` files in name order (kiwi-live
/// spec 1.1, dracut-live spec 1.1). Paths are relative to the root given to [`Cmdline::load`].
pub const SOURCES: [&str; 4] = ["etc/cmdline.d", "etc/cmdline", KERNEL, "run/initramfs/cmdline.d"];
/// The one that a loader has given to the kernel.
const KERNEL: &str = "proc/cmdline";

impl Cmdline {
    /// Splits `text` by the kernel's rules. Any white space separates arguments; a double quote protects it. Quotes
    /// vanish where they enclose the whole argument or the whole value, and stay anywhere else. There is no escape
    /// and no comment, but a quote that GRUB has put a backslash before ends nothing where all others make pairs (field.md E): the
    /// backslashes stay. What follows a bare `--` belongs to init.
    pub fn parse(text: &str) -> Self {
        let mut cmdline = Self::default();
        let mut rest = text;
        let grub = is_escaped(text);
        while let Some((raw, tail)) = next_word(rest, grub) {
            rest = tail;
            let token = Token::from_word(raw);
            if token.value.is_none() && token.key == "--" {
                while let Some((word, tail)) = next_word(rest, grub) {
                    cmdline.init_args.push(plain_word(word));
                    rest = tail;
                }
            } else {
                cmdline.tokens.push(token);
            }
        }
        cmdline
    }

    /// Reads and joins all [`SOURCES`] below `root` (`/` on a real machine). Missing ones count as empty; bytes that
    /// are not UTF-8 become their `\xNN`. Each source is parsed by itself, so a `--` or an open quote in one cannot swallow
    /// the next.
    ///
    /// # Errors
    /// A source that exists but cannot be read.
    pub fn load(root: &Path) -> Result<Self, ReadError> {
        let mut all = Self::default();
        for name in SOURCES {
            let path = root.join(name);
            let failed = |source| ReadError { path: path.clone(), source };
            for text in texts(&path).map_err(failed)? {
                all.append(Self::parse(&text));
            }
            if name == KERNEL {
                all.kernel = kernel_line(&path).map_err(failed)?;
            }
        }
        Ok(all)
    }

    /// How the kernel's own line came, where it was read from the kernel.
    #[must_use]
    pub fn kernel_line(&self) -> Option<&KernelLine> {
        self.kernel.as_ref()
    }

    /// Adds the tokens and init arguments of `other` at the end.
    pub fn append(&mut self, other: Self) {
        self.tokens.extend(other.tokens);
        self.init_args.extend(other.init_args);
    }

    /// All tokens, in order.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The arguments after `--`, quotes removed.
    pub fn init_args(&self) -> &[String] {
        &self.init_args
    }

    /// The last token with this key, bare or with a value.
    pub fn get(&self, key: &str) -> Option<&Token> {
        self.tokens.iter().rev().find(|token| token.key == key)
    }

    /// The value of the last token with this key; `None` when it is absent, bare or empty. A bare key overrides an
    /// earlier value.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Token::text)
    }

    /// The boolean rule of both originals: absent gives `default`; `0`, `no`, `off` are false; anything else is true.
    pub fn flag(&self, key: &str, default: bool) -> bool {
        self.get(key).map_or(default, Token::is_true)
    }

    /// The last value as a decimal number; `None` when absent, bare or empty, `Err` with the text when it is none.
    pub fn number(&self, key: &str) -> Option<Result<i64, &str>> {
        let text = self.value(key)?;
        Some(text.parse().map_err(|_| text))
    }

    /// All tokens with this key, in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Token> {
        self.tokens.iter().filter(move |token| token.key == key)
    }
}

impl Token {
    /// The value unless it is absent or empty.
    pub fn text(&self) -> Option<&str> {
        self.value.as_deref().filter(|value| !value.is_empty())
    }

    /// Whether the value counts as true: all but `0`, `no` and `off` do, so does a bare key.
    pub fn is_true(&self) -> bool {
        !matches!(self.value.as_deref(), Some("0" | "no" | "off"))
    }

    /// One word, by the rules of [`Cmdline::parse`].
    fn from_word(raw: &str) -> Self {
        let (word, quoted) = match raw.strip_prefix('"') {
            Some(word) => (word, true),
            None => (raw, false),
        };
        // The kernel looks for `=` behind the first byte only: a word that starts with `=` has no empty key.
        let equals = word.bytes().skip(1).position(|byte| byte == b'=').map(|at| at + 1);
        let (key, value) = match equals {
            None => (word, None),
            Some(at) => (&word[..at], Some(&word[at + 1..])),
        };
        let opened = value.is_some_and(|value| value.starts_with('"'));
        let value = value.map(|value| value.strip_prefix('"').unwrap_or(value));
        let close = |text: &str| {
            let text = if quoted || opened { text.strip_suffix('"').unwrap_or(text) } else { text };
            text.to_owned()
        };
        match value {
            Some(value) => Self { key: key.to_owned(), value: Some(close(value)), raw: raw.to_owned() },
            None => Self { key: close(key), value: None, raw: raw.to_owned() },
        }
    }
}

/// Whether quotes with a backslash before them are those of names, and the other ones make pairs.
fn is_escaped(text: &str) -> bool {
    let (mut in_quotes, mut found, mut chars) = (false, false, text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => found |= chars.next() == Some('"'),
            '"' => in_quotes = !in_quotes,
            _ => {}
        }
    }
    found && !in_quotes
}

/// Cuts the first word off: white space inside double quotes does not end it. With `grub` no quote with a backslash before it counts.
fn next_word(text: &str, grub: bool) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(is_space);
    if text.is_empty() {
        return None;
    }
    let (mut in_quotes, mut escaped) = (false, false);
    let end = text
        .find(|c| {
            in_quotes ^= c == '"' && !escaped;
            escaped = grub && c == '\\' && !escaped;
            is_space(c) && !in_quotes
        })
        .unwrap_or(text.len());
    Some(text.split_at(end))
}

/// White space of the C locale, as both originals use it, and the byte that ends a C string.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' | '\0')
}

/// An argument for init: the text of the token without its quotes.
fn plain_word(raw: &str) -> String {
    let token = Token::from_word(raw);
    match token.value {
        Some(value) => format!("{}={value}", token.key),
        None => token.key,
    }
}

/// The text of a file, or of each `*.conf` file of a directory in name order; a file that does not exist has none.
fn texts(path: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "conf") {
                files.push(file);
            }
        }
        files.sort();
    } else {
        files.push(path.to_owned());
    }
    files.iter().filter_map(|file| text(file).transpose()).collect()
}

fn kernel_line(file: &Path) -> io::Result<Option<KernelLine>> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let last = lossless(line).split(is_space).next_back().unwrap_or_default().to_owned();
    Ok(Some(KernelLine { bytes: line.len(), last }))
}

fn text(file: &Path) -> io::Result<Option<String>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(lossless(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row<'a> = (&'a str, &'a [(&'a str, Option<&'a str>)]);

    /// field.md E: as GRUB 2.06 writes `a "b c"`, and what a person may write who knows the kernel's rule.
    #[test]
    fn a_quote_that_grub_has_escaped_ends_nothing() {
        let rows: &[Row] = &[
            (r#""n=a \"b c\" d" e"#, &[("n", Some(r#"a \"b c\" d"#)), ("e", None)]),
            (r#""n=a \"b" e"#, &[("n", Some(r#"a \"b"#)), ("e", None)]),
            (r#""n=a b\\" e"#, &[("n", Some(r"a b\\")), ("e", None)]),
            (r#""n=a b\" e"#, &[("n", Some(r"a b\")), ("e", None)]),
            (r#"n="a b\" "m=c d" e"#, &[("n", Some(r"a b\")), ("m", Some("c d")), ("e", None)]),
        ];
        for (text, expected) in rows {
            let parsed = Cmdline::parse(text);
            let tokens: Vec<_> = parsed.tokens.iter().map(|token| (&*token.key, token.value.as_deref())).collect();
            assert_eq!(tokens, *expected, "{text}");
        }
    }

    #[test]
    fn quoting_follows_the_kernel() {
        let rows: &[Row] = &[
            ("", &[]),
            (" \t\n", &[]),
            ("a b=c", &[("a", None), ("b", Some("c"))]),
            ("a=", &[("a", Some(""))]),
            ("a=b=c", &[("a", Some("b=c"))]),
            ("=a", &[("=a", None)]),
            ("=a=b", &[("=a", Some("b"))]),
            ("\"root=live:CDLABEL=My Live\"", &[("root", Some("live:CDLABEL=My Live"))]),
            ("root=\"live:CDLABEL=My Live\"", &[("root", Some("live:CDLABEL=My Live"))]),
            // A2: quotes inside the value stay here; config strips them with a warning.
            ("root=live:CDLABEL=\"My Live\" x", &[("root", Some("live:CDLABEL=\"My Live\"")), ("x", None)]),
            ("a=\"b c\"d e", &[("a", Some("b c\"d")), ("e", None)]),
            ("\"a b\" c", &[("a b", None), ("c", None)]),
            ("a=\"b c", &[("a", Some("b c"))]),
            ("a=\"\"", &[("a", Some(""))]),
            ("\"", &[("", None)]),
            ("# a", &[("#", None), ("a", None)]),
            ("ro\nrw\n", &[("ro", None), ("rw", None)]),
            ("Ü=ä\u{a0}ö", &[("Ü", Some("ä\u{a0}ö"))]),
            ("vmlinuz initrd=a", &[("vmlinuz", None), ("initrd", Some("a"))]),
        ];
        for (text, expected) in rows {
            let cmdline = Cmdline::parse(text);
            let found: Vec<_> =
                cmdline.tokens().iter().map(|token| (token.key.as_str(), token.value.as_deref())).collect();
            assert_eq!(&found, expected, "row {text:?}");
        }
    }

    #[test]
    fn raw_keeps_what_was_typed() {
        let cmdline = Cmdline::parse(" x \"root=a b\"  y");
        assert_eq!(cmdline.tokens()[1].raw, "\"root=a b\"");
    }

    #[test]
    fn double_dash_gives_the_rest_to_init() {
        let cmdline = Cmdline::parse("a=1 -- single \"b c\" d=\"e f\" -- a=2");
        assert_eq!(cmdline.init_args(), ["single", "b c", "d=e f", "--", "a=2"]);
        assert_eq!(cmdline.value("a"), Some("1"));
        assert!(Cmdline::parse("--- a").init_args().is_empty());
    }

    #[test]
    fn the_last_occurrence_wins() {
        let rows = [
            ("", None, false),
            ("x", None, true),
            ("x=0 x", None, true),
            ("x x=0", Some("0"), false),
            ("x=no", Some("no"), false),
            ("x=off", Some("off"), false),
            ("x=", None, true),
            ("x=false", Some("false"), true),
            ("x=NO", Some("NO"), true),
            ("x=LABEL=a", Some("LABEL=a"), true),
            ("xx=0 X=0 x-=0", None, false),
        ];
        for (text, value, flag) in rows {
            let cmdline = Cmdline::parse(text);
            assert_eq!(cmdline.value("x"), value, "value of row {text:?}");
            assert_eq!(cmdline.flag("x", false), flag, "flag of row {text:?}");
        }
        assert!(Cmdline::parse("").flag("x", true));
    }

    #[test]
    fn numbers_and_lists() {
        let cmdline = Cmdline::parse("n=12 m=-3 bad=1k bare e= l=a l l=b");
        assert_eq!(cmdline.number("n"), Some(Ok(12)));
        assert_eq!(cmdline.number("m"), Some(Ok(-3)));
        assert_eq!(cmdline.number("bad"), Some(Err("1k")));
        for key in ["bare", "e", "absent"] {
            assert_eq!(cmdline.number(key), None, "key {key}");
        }
        let values: Vec<_> = cmdline.all("l").map(|token| token.value.as_deref()).collect();
        assert_eq!(values, [Some("a"), None, Some("b")]);
    }

    #[test]
    fn load_joins_all_sources_in_order_a22() {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        assert_eq!(Cmdline::load(root.path()).unwrap(), Cmdline::default());
        put("etc/cmdline.d/20-b.conf", b"k=2\nrd.overlay\n");
        put("etc/cmdline.d/10-a.conf", b"k=1");
        put("etc/cmdline.d/30-c.txt", b"k=never");
        put("etc/cmdline", b"k=3 open=\"quote");
        put("proc/cmdline", b"k=4 rd.overlay=0 bad=\xff -- for init\n");
        let cmdline = Cmdline::load(root.path()).unwrap();
        let order: Vec<_> = cmdline.all("k").filter_map(Token::text).collect();
        assert_eq!(order, ["1", "2", "3", "4"]);
        assert!(!cmdline.flag("rd.overlay", false), "A22: the kernel line beats /etc/cmdline.d");
        assert_eq!(cmdline.value("bad"), Some(r"\xff"));

        put("run/initramfs/cmdline.d/z.conf", b"rd.overlay");
        let cmdline = Cmdline::load(root.path()).unwrap();
        assert!(cmdline.flag("rd.overlay", false), "A22: /run/initramfs/cmdline.d beats the kernel line");
        assert_eq!(cmdline.init_args(), ["for", "init"]);
    }
}

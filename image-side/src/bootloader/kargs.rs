//! Kernel arguments on their way through GRUB to `/proc/cmdline`.
//!
//! GRUB writes an argument with a space as `"argument"`, which the kernel reads as one; but it puts a backslash before
//! `'`, `"` and `\`, which the kernel does not undo. So those three cannot arrive unchanged and are refused.

use anyhow::{Result, bail};

/// One argument without quotes, as the kernel will see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Karg(String);

impl Karg {
    /// An argument that we made ourselves from checked parts.
    pub fn own(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Reads what an operator typed; the kernel's own double quotes are understood and removed.
    ///
    /// # Errors
    /// Names the character that cannot pass, or the argument that we must own.
    pub fn parse(text: &str) -> Result<Self> {
        let plain = unquote(text);
        if plain.is_empty() {
            bail!("an empty kernel argument");
        }
        if let Some(c) = plain.chars().find(|c| "'\"\\".contains(*c) || c.is_control()) {
            bail!("kernel argument {plain:?}: GRUB cannot pass the character {c:?} unchanged");
        }
        for own in ["root", "rd.live.medium"] {
            if plain.split('=').next() == Some(own) && plain.contains('=') {
                bail!("kernel argument {plain:?}: {own}= is set by the builder to find this medium; leave it out");
            }
        }
        Ok(Self(plain))
    }

    /// The argument without quotes.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// As it stands in the kernel's command line.
    pub fn to_kernel(&self) -> String {
        if self.0.contains(char::is_whitespace) { format!("\"{}\"", self.0) } else { self.0.clone() }
    }

    /// As a word of GRUB's script language.
    pub fn to_grub(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "=:/._,-+@%".contains(c);
        if !self.0.is_empty() && self.0.chars().all(plain) {
            return self.0.clone();
        }
        grub_quote(&self.0)
    }
}

/// A text as one literal word of GRUB's script language.
pub fn grub_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Undoes the kernel's quoting: a pair of double quotes around the whole, or around the value.
fn unquote(text: &str) -> String {
    let inner = |text: &str| Some(text.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    if let Some(whole) = inner(text) {
        return whole;
    }
    match text.split_once('=') {
        Some((key, value)) => match inner(value) {
            Some(value) => format!("{key}={value}"),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b17_arguments_become_one_grub_word() {
        for (typed, grub) in [
            ("quiet", "quiet"),
            ("console=ttyS0,115200", "console=ttyS0,115200"),
            ("a=b;c", "'a=b;c'"),
            ("a=$root", "'a=$root'"),
            ("label=two words", "'label=two words'"),
            ("label=\"two words\"", "'label=two words'"),
            ("\"label=two words\"", "'label=two words'"),
            ("a={x}&|<>#*", "'a={x}&|<>#*'"),
            ("size=20%", "size=20%"),
            ("rootflags=a=b", "rootflags=a=b"),
        ] {
            assert_eq!(Karg::parse(typed).unwrap().to_grub(), grub, "{typed}");
        }
    }

    #[test]
    fn what_grub_would_change_is_refused() {
        for (typed, reason) in [
            ("a=it's", "'\\''"),
            ("a=b\\c", "'\\\\'"),
            ("a=b\"c", "'\"'"),
            ("a=b\nc", "'\\n'"),
            ("", "empty"),
            ("root=/dev/sda1", "root= is set by the builder"),
            ("rd.live.medium=x", "set by the builder"),
        ] {
            let text = Karg::parse(typed).unwrap_err().to_string();
            assert!(text.contains(reason), "{typed:?}: {text}");
        }
    }

    #[test]
    fn titles_are_quoted() {
        assert_eq!(grub_quote("Joe's $5"), "'Joe'\\''s $5'");
    }
}

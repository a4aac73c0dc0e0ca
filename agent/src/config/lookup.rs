//! Lookups by registry entry: old names, quotes and odd values are handled here, once, with a warning.

use std::ops::RangeInclusive;

use super::explain::without_secret;
use super::meant;
use super::registry::Karg;
use super::warnings::{Said, Warnings};
use super::{Level, Warning};
use crate::cmdline::{Cmdline, Token};

/// A command line and what there is to say about it.
pub(super) struct Lookup<'a> {
    cmdline: &'a Cmdline,
    warnings: Warnings,
}

impl<'a> Lookup<'a> {
    pub fn new(cmdline: &'a Cmdline) -> Self {
        Self { cmdline, warnings: Warnings::default() }
    }

    /// The command line itself.
    pub fn cmdline(&self) -> &'a Cmdline {
        self.cmdline
    }

    /// Takes all warnings out.
    pub fn take_warnings(&mut self) -> Warnings {
        std::mem::take(&mut self.warnings)
    }

    /// Notes a karg that neither the registry nor the list of foreign ones has.
    pub fn stranger(&mut self, token: &Token) {
        self.warnings.add(Said::Stranger { key: token.key.clone(), karg: without_secret(&token.raw) });
    }

    /// Adds a warning, once.
    pub fn report(&mut self, level: Level, id: &'static str, karg: &str, message: impl Into<String>) {
        let warning = Warning { id, level, karg: without_secret(karg), message: message.into() };
        self.warnings.add(Said::Warning(warning));
    }

    /// Adds a warning of the usual level.
    pub fn warn(&mut self, id: &'static str, karg: &str, message: impl Into<String>) {
        self.report(Level::Warning, id, karg, message);
    }

    /// The last token under the name of the entry, or under the first of its aliases that is present.
    pub fn token(&self, karg: &Karg) -> Option<&'a Token> {
        karg.names().find_map(|name| self.cmdline.get(name))
    }

    /// Whether the entry is present under any of its names.
    pub fn has(&self, karg: &Karg) -> bool {
        self.token(karg).is_some()
    }

    /// The boolean rule; a word that looks like "no" but counts as true gets a warning (kiwi-live T-27).
    pub fn flag(&mut self, karg: &Karg, default: bool) -> bool {
        let Some(token) = self.token(karg) else {
            return default;
        };
        if !self.doubt_truth(token)
            && let Some(message) = meant::odd_item(token.value.as_deref().unwrap_or_default(), karg.words)
            && token.is_true()
        {
            self.warn("value", &token.raw, message);
        }
        token.is_true()
    }

    /// Warns, and says so, if the value reads like a refusal but counts as true.
    pub fn doubt_truth(&mut self, token: &Token) -> bool {
        let value = token.value.as_deref().unwrap_or_default().to_ascii_lowercase();
        let doubtful = token.is_true()
            && matches!(value.as_str(), "false" | "no" | "off" | "n" | "f" | "none" | "disable" | "disabled");
        if doubtful {
            let message = format!("only 0, no and off mean no; taking it as yes, write {}=0 to turn it off", token.key);
            self.warn("value", &token.raw, message);
        }
        doubtful
    }

    /// The last value, without stray quotes; `None` when absent, bare or empty.
    pub fn text(&mut self, karg: &Karg) -> Option<String> {
        let token = self.token(karg)?;
        let value = self.clean(token)?;
        Some(meant::in_their_letters(value, karg.words))
    }

    /// The value of a token, without stray quotes (dracut-live A2).
    pub fn clean(&mut self, token: &Token) -> Option<String> {
        let value = token.text()?;
        // Those that GRUB has put a backslash before are part of a name.
        let inner = value.matches('"').count() - value.matches("\\\"").count();
        if inner == 0 {
            return Some(value.to_owned());
        }
        if inner % 2 == 1 {
            self.warn("quotes", &token.raw, "a quote is not closed, taking it as part of the value");
            return Some(value.to_owned());
        }
        let clean = value.replace('"', "");
        let message = format!(
            "quotes inside a value belong to it for the kernel, ignoring them; write \"{}={clean}\"",
            token.key
        );
        self.warn("quotes", &token.raw, message);
        Some(clean).filter(|clean| !clean.is_empty())
    }

    /// The last value as a number in a range, else `None`, with a warning if there was something.
    pub fn number(&mut self, karg: &Karg, range: RangeInclusive<i64>) -> Option<i64> {
        let token = self.token(karg)?;
        let text = self.clean(token)?;
        match text.parse() {
            Ok(number) if range.contains(&number) => Some(number),
            Ok(_) => {
                let message = format!("outside {} to {}, using the default", range.start(), range.end());
                self.warn("value", &token.raw, message);
                None
            }
            Err(_) => {
                self.warn("value", &token.raw, "not a number, using the default");
                None
            }
        }
    }

    /// The items of all occurrences under any name, in order, split at commas.
    pub fn list(&mut self, karg: &Karg) -> Vec<String> {
        let tokens = self.cmdline.tokens().iter();
        let mine = tokens.filter(|token| karg.names().any(|name| name == token.key));
        let mut items = Vec::new();
        for token in mine {
            let value = self.clean(token).unwrap_or_default();
            items.extend(split_list(&value));
        }
        items
    }
}

/// The non-empty items of a comma list.
pub(super) fn split_list(value: &str) -> impl Iterator<Item = String> + '_ {
    value.split(',').filter(|item| !item.is_empty()).map(str::to_owned)
}

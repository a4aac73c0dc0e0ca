//! Acceptance cases of the specs, as tables: dracut-live A1–A24, kiwi-live T-01–T-17 and T-26–T-28 (their config halves).

mod others;
mod places;
mod whole;
mod writable;

use super::*;
use crate::cmdline::Cmdline;

fn read(text: &str) -> Config {
    interpret_text(text).0
}

fn ids(text: &str) -> Vec<&'static str> {
    interpret_text(text).1.iter().map(|warning| warning.id).collect()
}

//! The table as a page of documentation.

use std::fmt::Write;

use super::spelling::FOREIGN;
use super::{Area, Karg, Origin, SECTIONS, Status, ValueKind};

/// `docs/cmdline.md`, complete: the hand-written frame around the generated tables.
pub fn page() -> String {
    let mut page = include_str!("page_head.md").to_owned();
    for area in Area::ALL {
        let _ = writeln!(page, "| {} | {} | {} |", area.name(), area.what(), area.instead());
    }
    for section in SECTIONS {
        let _ = write!(page, "\n## {}\n\n{}", section.title, TABLE_HEAD);
        for karg in section.kargs {
            page.push_str(&row(karg));
        }
    }
    page.push('\n');
    page.push_str(include_str!("page_tail.md"));
    page.push_str("\n| theirs | whose | write instead |\n|---|---|---|\n");
    for foreign in FOREIGN {
        let values = foreign.values.join("` or `");
        let equals = if values.is_empty() { "" } else { "=" };
        let _ =
            writeln!(page, "| `{}{equals}{values}` | {} | {} |", foreign.name, foreign.owner, code(foreign.instead));
    }
    page
}

const TABLE_HEAD: &str = "| karg | kind | default | from | what | state |\n|---|---|---|---|---|---|\n";

fn row(karg: &Karg) -> String {
    let mut what = karg.meaning.to_owned();
    if !karg.values.is_empty() {
        let _ = write!(what, ". Values: {}", karg.values);
    }
    for alias in karg.aliases {
        let _ = write!(what, ". Old name `{}` ({})", alias.name, alias.history);
    }
    let from = match (karg.origin, karg.since) {
        (origin, "") => self::origin(origin).to_owned(),
        (Origin::Dracut, since) => since.to_owned(),
        (origin, since) => format!("{}, {since}", self::origin(origin)),
    };
    format!(
        "| `{}` | {} | {} | {from} | {what} | {} |\n",
        karg.name,
        kind(karg.kind),
        karg.default,
        status(karg.status)
    )
}

/// Text as code when it holds a karg, plain when it is a sentence.
fn code(text: &str) -> String {
    if text.contains(' ') { text.to_owned() } else { format!("`{text}`") }
}

fn kind(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Bool => "bool",
        ValueKind::Text => "string",
        ValueKind::Number => "number",
        ValueKind::Size => "size",
        ValueKind::List => "list",
        ValueKind::Word => "bare word",
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Kiwi => "kiwi",
        Origin::Dracut => "dracut",
        Origin::Both => "both",
        Origin::Rdlive => "rdlive",
        Origin::Kernel => "kernel",
    }
}

fn status(status: Status) -> String {
    match status {
        Status::Built => "built".to_owned(),
        Status::NotBuilt(area) => format!("not built yet: {}", area.name()),
        Status::Ignored(why) => format!("ignored: {why}"),
        Status::Elsewhere(who) => format!("obeyed by {who}"),
    }
}

//! Every number that can end a boot has a section in `docs/troubleshooting.md`, and every section has a number.

use std::collections::BTreeSet;

use rdlive::error::Code;

const PAGE: &str = include_str!("../../docs/troubleshooting.md");

fn sections() -> Vec<(&'static str, &'static str)> {
    PAGE.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap_or((section, ""))).collect()
}

#[test]
fn every_code_has_a_section_that_says_what_to_do() {
    for code in Code::ALL {
        let title = code.to_string();
        let found: Vec<_> = sections().into_iter().filter(|(name, _)| *name == title).collect();
        let [(_, text)] = found.as_slice() else { panic!("{title} ({code:?}) has {} sections", found.len()) };
        assert!(text.contains("\n- *Do*:"), "{title} does not say what to do");
    }
}

#[test]
fn every_section_has_a_code() {
    let known: BTreeSet<String> = Code::ALL.iter().map(ToString::to_string).collect();
    for (title, _) in sections() {
        assert!(!title.starts_with("RDL-") || known.contains(title), "{title} is no code");
    }
}

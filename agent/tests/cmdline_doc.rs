//! The documentation of the command line and of `explain` says what the code says. `UPDATE=1` rewrites the generated page.

use std::fs;
use std::path::PathBuf;

use rdlive::config::explain::{WARNING_IDS, explain_json};
use rdlive::config::{interpret_text, registry};
use serde_json::Value;

fn docs(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

#[test]
fn cmdline_page_equals_the_registry() {
    let path = docs("cmdline.md");
    let page = registry::page::page();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let differs = page.lines().zip(written.lines().chain(std::iter::repeat(""))).find(|(new, old)| new != old);
    assert_eq!(page, written, "docs/cmdline.md is out of date ({differs:?}); run again with UPDATE=1");
}

#[test]
fn cmdline_page_has_every_name() {
    let page = registry::page::page();
    for karg in registry::all() {
        for name in karg.names() {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
}

/// seed-audit SD-30: each word of the network is obeyed, or refused by name.
#[test]
fn sd_30_no_word_of_the_network_is_not_built() {
    let page = registry::page::page();
    let network = page.split("\n## ").find(|part| part.starts_with("Network")).expect("a table of the network");
    assert!(network.lines().filter(|line| line.starts_with("| `")).count() > 30, "{network}");
    assert!(!network.contains("not built yet"), "{network}");
    let text = "root=live:torrent://h/x.iso";
    let (config, warnings) = interpret_text(text);
    let whole = format!("{config:?} {warnings:?}");
    assert!(whole.contains("torrent"), "{whole}");
}

#[test]
fn explain_page_has_every_warning() {
    let page = fs::read_to_string(docs("explain.md")).unwrap();
    for (id, meaning) in WARNING_IDS {
        assert!(page.contains(&format!("| `{id}` | {meaning} |")), "docs/explain.md lacks: | `{id}` | {meaning} |");
    }
}

#[test]
fn explain_page_has_every_key_of_the_json() {
    let page = fs::read_to_string(docs("explain.md")).unwrap();
    let texts = [
        "root=live:LABEL=x iso-scan/filename=/a rd.live.overlay.persistent rd.live.medium=UUID=x ip=dhcp",
        "root=live:UUID=x rd.overlay=PARTUUID=x:/y rd.live.overlay.thin mod.par=1 rd.kiwi.bad",
        "root=live:PARTLABEL=x rd.overlay=:/y rd.live.overlay.size=1g",
        "root=live:/dev/sr0 rd.overlay=none",
        "root=live:/dev/sr0 rd.overlay.crypt=LABEL=x rd.live.encrypt.keyfile=LABEL=x:/y",
        "root=live:/x.iso",
        "root=live:aoe:e0.1",
        "root=live:http://h/x",
        "root=live:nonsense",
        "",
    ];
    for text in texts {
        let (config, warnings) = interpret_text(text);
        check_keys(&explain_json(&config, &warnings, &["line".to_owned()]), &page);
    }
}

/// Every key stands in backquotes or in quotes on the page.
fn check_keys(json: &Value, page: &str) {
    match json {
        Value::Object(map) => {
            for (key, value) in map {
                let known = page.contains(&format!("`{key}`")) || page.contains(&format!("\"{key}\""));
                assert!(known, "docs/explain.md lacks the key {key}");
                check_keys(value, page);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| check_keys(item, page)),
        _ => {}
    }
}

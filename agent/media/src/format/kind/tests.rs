use super::*;

#[test]
fn every_mountable_kind_names_module_and_option() {
    for kind in Kind::ALL {
        let known = kind.driver().is_some();
        assert_eq!(kind.module().is_some(), known, "{kind}");
        assert_eq!(kind.config_option().is_some_and(|o| o.starts_with("CONFIG_")), known, "{kind}");
    }
}

#[test]
fn json_words_are_lower_case() {
    let words: Vec<String> = Kind::ALL.iter().map(|kind| serde_json::to_string(kind).unwrap()).collect();
    assert_eq!(words[0], "\"iso9660\"");
    assert!(words.contains(&"\"snapshotcow\"".to_owned()), "{words:?}");
}

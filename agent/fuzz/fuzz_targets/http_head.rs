//! The head of an HTTP answer: no panic, and no control character in what is kept of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive_fetch::http::Head;

fuzz_target!(|data: &[u8]| {
    let Ok(head) = Head::parse(data) else { return };
    let texts = [head.range, head.tag, head.modified, head.encoding, head.kind, head.location];
    assert!(texts.into_iter().flatten().all(|text| !text.chars().any(char::is_control)));
});

//! URLs and redirects: what is sent to a server is printable ASCII, and is read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive_fetch::url::Url;

fuzz_target!(|text: &str| {
    let base: Url = "http://user@a/b/c?d".parse().expect("a URL");
    for url in [text.parse::<Url>(), base.resolve(text)].into_iter().flatten() {
        let target = url.target();
        assert!(target.starts_with('/') && target.bytes().all(|b| b.is_ascii_graphic()));
        assert!(url.authority().bytes().all(|b| b.is_ascii_graphic()));
        let again: Url = format!("{}://{}{target}", url.scheme().name(), url.authority()).parse().expect("the same URL");
        assert_eq!(again.target(), target);
        let _ = (url.digest(), url.file_name(), url.to_string());
    }
});

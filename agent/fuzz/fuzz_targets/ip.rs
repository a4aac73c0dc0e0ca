//! The words of the network, one a line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive_net::grammar::{Wish, Word, others};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let words = text.split('\n').map(|word| match word.split_once('=') {
        Some((key, value)) => Word { key, value: Some(value) },
        None => Word { key: word, value: None },
    });
    let (wish, complaints) = Wish::parse(words);
    for request in &wish.requests {
        assert!(!request.to_string().contains(char::is_control));
        let _ = others::of(request);
    }
    for complaint in complaints {
        assert!(!complaint.fault.to_string().contains(char::is_control) && !complaint.fault.remedy().is_empty());
    }
});

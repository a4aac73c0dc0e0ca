//! Where packages come from: the host's own apt configuration, so that no host name is in the source.

use std::path::Path;

use anyhow::{Result, bail};

/// The mirror for Debian packages: the one given, else the first http(s) Debian archive apt knows.
pub fn debian(given: Option<&str>) -> Result<String> {
    if let Some(url) = given {
        return Ok(url.to_owned());
    }
    let mut texts = Vec::new();
    collect(Path::new("/etc/apt/sources.list"), &mut texts);
    if let Ok(entries) = std::fs::read_dir("/etc/apt/sources.list.d") {
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            collect(&path, &mut texts);
        }
    }
    let urls: Vec<String> = texts.iter().flat_map(|text| urls(text)).collect();
    match pick(&urls) {
        Some(url) => Ok(url),
        None => bail!("no Debian mirror in /etc/apt/sources.list or sources.list.d: give one with --mirror URL"),
    }
}

fn collect(path: &Path, into: &mut Vec<String>) {
    let known = ["list", "sources"];
    if path.extension().is_some_and(|ext| known.iter().any(|&k| ext == k)) {
        into.extend(std::fs::read_to_string(path));
    }
}

/// All archive addresses of one file, in either of apt's two formats, commented lines left out.
fn urls(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("URIs:") {
            found.extend(rest.split_whitespace().map(str::to_owned));
        } else if line.starts_with("deb ") {
            let words = line.split_whitespace().skip(1);
            found.extend(words.filter(|word| word.contains("://")).take(1).map(str::to_owned));
        }
    }
    found
}

/// An archive that holds whole suites: its path ends in `/debian`; security and third-party archives do not.
fn pick(urls: &[String]) -> Option<String> {
    urls.iter()
        .map(|url| url.trim_end_matches('/'))
        .find(|url| url.starts_with("http") && url.ends_with("/debian"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read_and_the_main_archive_is_picked() {
        let table = [
            ("deb http://a.example/debian trixie main\n", Some("http://a.example/debian")),
            ("deb [signed-by=/x] https://a.example/debian/ trixie main\n", Some("https://a.example/debian")),
            ("# deb http://a.example/debian trixie main\n", None),
            ("deb-src http://a.example/debian trixie main\n", None),
            (
                "Types: deb\n# URIs: http://no.example/debian\nURIs: http://s.example/debian-security http://b.example/debian\n",
                Some("http://b.example/debian"),
            ),
            ("deb http://s.example/debian-security trixie main\n", None),
        ];
        for (text, expected) in table {
            assert_eq!(pick(&urls(text)).as_deref(), expected, "row {text:?}");
        }
    }
}

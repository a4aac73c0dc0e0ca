//! The volume id: checked when given, unique per content when not (image-builder spec 3.6, B-10, B-11).

use anyhow::{Result, bail};

use crate::tree::os_release::OsRelease;

/// Longest volume id of ISO 9660, in characters.
pub const LIMIT: usize = 32;

/// Refuses a volume id that is too long or has characters that some reader of the medium mistreats.
///
/// With `unusual` every printable ASCII character is allowed.
///
/// # Errors
/// States the limit, or the offending character and its place.
pub fn check(id: &str, unusual: bool) -> Result<()> {
    let length = id.chars().count();
    if length == 0 {
        bail!("the volume id is empty; it needs 1 to {LIMIT} characters");
    }
    if length > LIMIT {
        let rest: String = id.chars().skip(LIMIT).collect();
        bail!("the volume id has {length} characters, the limit is {LIMIT}: '{rest}' is too much");
    }
    let allowed = |c: char| match unusual {
        true => (' '..='~').contains(&c),
        false => c.is_ascii_alphanumeric() || "_.-".contains(c),
    };
    match id.chars().enumerate().find(|(_, c)| !allowed(*c)) {
        Some((at, c)) => bail!(
            "the volume id has the character {c:?} at place {}; allowed are {}",
            at + 1,
            match unusual {
                true => "printable ASCII characters",
                false => "A-Z a-z 0-9 _ . - (all printable ASCII with --allow-unusual-volume-id)",
            }
        ),
        None if id.starts_with(' ') || id.ends_with(' ') => {
            bail!("the volume id '{id}' begins or ends with a space, which readers strip")
        }
        None => Ok(()),
    }
}

/// `NAME_VERSION_HASH` from os-release and the hex digest of the content.
pub fn unique(os: &OsRelease, content: &str) -> String {
    let hash: String = content.chars().take(8).collect::<String>().to_ascii_uppercase();
    let parts = [os.id.as_str(), os.version.as_str()];
    let name: Vec<String> = parts.iter().map(|part| d_characters(part)).filter(|part| !part.is_empty()).collect();
    let name: String = name.join("_").chars().take(LIMIT - 1 - hash.len()).collect();
    format!("{}_{hash}", name.trim_end_matches(['_', '-']))
}

/// Upper case, everything else becomes a dash.
fn d_characters(text: &str) -> String {
    text.chars()
        .map(|c| match c.to_ascii_uppercase() {
            c @ ('A'..='Z' | '0'..='9' | '_') => c,
            _ => '-',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b11_bad_volume_ids_are_refused_with_the_reason() {
        for (id, unusual, expected) in [
            ("DEBIAN_13", false, None),
            ("a.b-c_D", false, None),
            ("THIRTY-TWO_CHARACTERS_IS_THE_MAX", false, None),
            ("THIRTY-THREE_CHARACTERS_TOO_LONG1", false, Some("limit is 32")),
            ("has space", false, Some("' ' at place 4")),
            ("has space", true, None),
            ("slash/", true, None),
            ("slash/", false, Some("'/' at place 6")),
            ("trailing ", true, Some("ends with a space")),
            ("ümlaut", true, Some("'ü'")),
            ("tab\t", true, Some("'\\t'")),
            ("", false, Some("empty")),
        ] {
            let result = check(id, unusual).map_err(|error| error.to_string());
            match (expected, &result) {
                (None, Ok(())) => {}
                (Some(part), Err(text)) if text.contains(part) => {}
                _ => panic!("{id:?} (unusual: {unusual}) gave {result:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn b10_the_default_is_unique_and_valid() {
        for (id, version, expected) in [
            ("debian", "13", "DEBIAN_13_0123ABCD"),
            ("opensuse-leap", "15.6", "OPENSUSE-LEAP_15-6_0123ABCD"),
            ("linux", "", "LINUX_0123ABCD"),
            ("a-very-long-distribution-name-indeed", "1", "A-VERY-LONG-DISTRIBUTIO_0123ABCD"),
        ] {
            let os = OsRelease { id: id.into(), version: version.into(), pretty_name: String::new() };
            let volume = unique(&os, "0123abcdef");
            assert_eq!(volume, expected);
            check(&volume, false).unwrap();
            assert_ne!(volume, unique(&os, "ffffffffff"));
        }
    }
}

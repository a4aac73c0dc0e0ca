//! UUIDs and serial numbers in the form blkid prints.

use std::fmt::Write;

/// Bytes in order, dashes after 4, 6, 8 and 10; `None` if all are zero.
pub fn uuid(bytes: &[u8; 16]) -> Option<String> {
    if bytes.iter().all(|b| *b == 0) {
        return None;
    }
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

/// Whether a text has the form that [`uuid`] gives.
pub fn is_uuid(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    };
    text.len() == 36 && text.bytes().enumerate().all(fits)
}

/// A GUID as GPT stores it: the first three fields are little-endian. `None` if all bytes are zero.
pub fn guid(bytes: &[u8; 16]) -> Option<String> {
    let [a, b, c, d, e, f, g, h, rest @ ..] = *bytes;
    let [i, j, k, l, m, n, o, p] = rest;
    uuid(&[d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p])
}

/// A 32-bit volume serial as `XXXX-XXXX`; `None` if zero.
pub(super) fn serial32(serial: u32) -> Option<String> {
    (serial != 0).then(|| format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let bytes: [u8; 16] = std::array::from_fn(|i| i as u8);
        assert_eq!(uuid(&bytes).as_deref(), Some("00010203-0405-0607-0809-0a0b0c0d0e0f"));
        assert_eq!(guid(&bytes).as_deref(), Some("03020100-0504-0706-0809-0a0b0c0d0e0f"));
        assert_eq!(uuid(&[0; 16]), None);
        assert!(uuid(&bytes).is_some_and(|text| is_uuid(&text)));
        for other in ["", "x", "00010203-0405-0607-0809-0a0b0c0d0e0", "00010203-0405-0607-0809-0A0b0c0d0e0f"] {
            assert!(!is_uuid(other), "{other}");
        }
        assert_eq!(serial32(0x0a1b_c2d3).as_deref(), Some("0A1B-C2D3"));
        assert_eq!(serial32(0), None);
    }
}

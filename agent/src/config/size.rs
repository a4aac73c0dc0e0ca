//! Sizes: a unit or `%` means what it says; a bare number below 1048576 is MiB, otherwise bytes (product.md §4).

use std::str::FromStr;

use super::TmpfsSize;

/// A size and how it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// The size.
    pub size: TmpfsSize,
    /// Whether it was a bare number, read as MiB or as bytes.
    pub bare: Option<Bare>,
}

/// How a bare number was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// As MiB, which it means in dracut.
    Mebibytes,
    /// As bytes, which it means in KIWI.
    Bytes,
}

/// A size that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSizeError {
    /// Not a number with an optional unit.
    #[error("not a size such as 512m, 2g or 25%")]
    Form,
    /// More than 64 bits hold.
    #[error("too large")]
    Large,
    /// Zero.
    #[error("zero is no size")]
    Zero,
}

/// From here on a bare number is bytes.
const MIB: u64 = 1 << 20;

impl FromStr for Size {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Self, ParseSizeError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(ParseSizeError::Form);
        }
        let number: u64 = number.parse().map_err(|_| ParseSizeError::Large)?;
        if number == 0 {
            return Err(ParseSizeError::Zero);
        }
        let (size, bare) = match unit {
            "%" => (TmpfsSize::Percent(u16::try_from(number).map_err(|_| ParseSizeError::Large)?), None),
            "" if number < MIB => (TmpfsSize::Bytes(number * MIB), Some(Bare::Mebibytes)),
            "" => (TmpfsSize::Bytes(number), Some(Bare::Bytes)),
            _ => {
                let bytes = number.checked_mul(factor(unit)?).ok_or(ParseSizeError::Large)?;
                (TmpfsSize::Bytes(bytes), None)
            }
        };
        Ok(Self { size, bare })
    }
}

/// More RAM than a machine has that boots a live system.
const LARGEST: u64 = 16 << 40;
/// What the first minute of a system writes.
const SMALLEST: u64 = 4 << 20;

impl TmpfsSize {
    /// Why nobody can have meant this size; `None` for one that makes sense.
    pub(super) fn beyond_sense(self) -> Option<&'static str> {
        match self {
            Self::Percent(100..) => {
                Some("that is all of the RAM or more, and a machine whose RAM is full of changes ends")
            }
            Self::Bytes(LARGEST..) => Some("no machine has so much RAM"),
            Self::Bytes(..SMALLEST) => Some("that is full before the system has started"),
            Self::Percent(_) | Self::Bytes(_) => None,
        }
    }
}

/// Bytes of a unit: `k`, `m`, `g`, `t`, `p`, `e` of either case, optionally followed by `B` or `iB`; all are powers of 1024.
fn factor(unit: &str) -> Result<u64, ParseSizeError> {
    let unit = unit.to_ascii_lowercase();
    let letter = unit.trim_end_matches('b').trim_end_matches('i');
    let power = match letter {
        "" if unit == "b" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        "e" => 60,
        _ => return Err(ParseSizeError::Form),
    };
    Ok(1 << power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use TmpfsSize::{Bytes, Percent};

    #[test]
    fn t_15_t_16_sizes() {
        let rows = [
            ("1g", Ok((Bytes(1 << 30), None))),
            ("1G", Ok((Bytes(1 << 30), None))),
            ("512m", Ok((Bytes(512 << 20), None))),
            ("512MiB", Ok((Bytes(512 << 20), None))),
            ("64KB", Ok((Bytes(64 << 10), None))),
            ("4096B", Ok((Bytes(4096), None))),
            ("25%", Ok((Percent(25), None))),
            ("150%", Ok((Percent(150), None))),
            ("32768", Ok((Bytes(32768 << 20), Some(Bare::Mebibytes)))),
            ("1048575", Ok((Bytes(1048575 << 20), Some(Bare::Mebibytes)))),
            ("1048576", Ok((Bytes(1048576), Some(Bare::Bytes)))),
            ("", Err(ParseSizeError::Form)),
            ("m", Err(ParseSizeError::Form)),
            ("-1", Err(ParseSizeError::Form)),
            ("1.5g", Err(ParseSizeError::Form)),
            ("1gg", Err(ParseSizeError::Form)),
            ("1i", Err(ParseSizeError::Form)),
            ("50 %", Err(ParseSizeError::Form)),
            ("50%%", Err(ParseSizeError::Form)),
            ("0", Err(ParseSizeError::Zero)),
            ("0%", Err(ParseSizeError::Zero)),
            ("70000%", Err(ParseSizeError::Large)),
            ("16e", Err(ParseSizeError::Large)),
            ("99999999999999999999", Err(ParseSizeError::Large)),
            ("1ü", Err(ParseSizeError::Form)),
        ];
        for (text, expected) in rows {
            let found = text.parse::<Size>().map(|size| (size.size, size.bare));
            assert_eq!(found, expected, "{text:?}");
        }
    }
}

//! Addresses of network hardware, in each spelling that loaders and people use.

use std::fmt;

/// Bytes of an Ethernet address.
pub const ETHERNET: usize = 6;
/// Bytes of the GUID of an InfiniBand port, the part of its address that stays (network-field.md kind 4).
pub const GUID: usize = 8;
/// Bytes of an InfiniBand address: queue pair and subnet change from boot to boot, the GUID at the end does not.
pub const INFINIBAND: usize = 20;

/// The address of a network interface: 6 bytes (Ethernet), 8 (the GUID of an InfiniBand port alone) or 20 (InfiniBand).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HardwareAddress {
    bytes: [u8; INFINIBAND],
    length: usize,
}

impl HardwareAddress {
    /// The address with these bytes, as the kernel gives them; `None` unless there are 6, 8 or 20.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if !matches!(bytes.len(), ETHERNET | GUID | INFINIBAND) {
            return None;
        }
        let mut all = [0; INFINIBAND];
        all.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { bytes: all, length: bytes.len() })
    }

    /// Reads pairs of hexadecimal digits with `-` or `:` between them, in upper or lower case, mixed or not; or twelve digits without
    /// anything between them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (bytes, length) = pairs(text)?;
        Self::new(bytes.get(..length)?)
    }

    /// Reads the value of `BOOTIF=` (network.md 3.2, 4.2): an address, with or without the type of hardware before it (`01` for Ethernet,
    /// `20` for InfiniBand, RFC 826's numbers in hexadecimal). How many bytes there are tells the two apart.
    #[must_use]
    pub fn parse_bootif(text: &str) -> Option<Self> {
        let (bytes, length) = pairs(text)?;
        let bytes = bytes.get(..length)?;
        Self::new(bytes).or_else(|| Self::new(bytes.get(1..)?))
    }

    /// The bytes, 6, 8 or 20 of them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }

    /// The six bytes of an Ethernet address.
    #[must_use]
    pub fn ethernet(&self) -> Option<[u8; ETHERNET]> {
        self.bytes().try_into().ok()
    }

    /// Whether a person or a loader who writes `self` means the interface with the address `present`. Of InfiniBand the GUID counts alone;
    /// a loader that made an Ethernet address of it left out the two bytes in its middle (RFC 4391, EUI-64).
    #[must_use]
    pub fn means(&self, present: &Self) -> bool {
        if self == present {
            return true;
        }
        let Some(guid) = present.guid() else { return false };
        match self.guid() {
            Some(own) => own == guid,
            None => {
                let (own, universal) = (self.bytes(), 0x02);
                own.first().map(|byte| byte | universal) == guid.first().map(|byte| byte | universal)
                    && own.get(1..3) == guid.get(1..3)
                    && own.get(3..6) == guid.get(5..8)
            }
        }
    }

    fn guid(&self) -> Option<&[u8]> {
        let bytes = self.bytes();
        (bytes.len() >= GUID).then(|| bytes.get(bytes.len() - GUID..)).flatten()
    }
}

impl fmt::Display for HardwareAddress {
    /// As the kernel writes it in `/sys/class/net/*/address`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.bytes().iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for HardwareAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// At most 21 bytes: a type and an InfiniBand address.
fn pairs(text: &str) -> Option<([u8; INFINIBAND + 1], usize)> {
    let mut bytes = [0; INFINIBAND + 1];
    let mut length = 0;
    let mut put = |pair: &[u8]| -> Option<()> {
        let [high, low] = pair else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *bytes.get_mut(length)? = digit(*high)? << 4 | digit(*low)?;
        length += 1;
        Some(())
    };
    if text.len() == 2 * ETHERNET && !text.contains(['-', ':']) {
        for pair in text.as_bytes().chunks(2) {
            put(pair)?;
        }
    } else {
        for pair in text.split(['-', ':']) {
            put(pair.as_bytes())?;
        }
    }
    Some((bytes, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_the_same_address() {
        let plain = HardwareAddress::new(&[0x52, 0x54, 0, 0x12, 0x34, 0xab]).unwrap();
        for text in ["52:54:00:12:34:ab", "52-54-00-12-34-AB", "52:54-00:12:34:Ab", "5254001234ab"] {
            assert_eq!(HardwareAddress::parse(text), Some(plain), "{text}");
        }
        assert_eq!(plain.to_string(), "52:54:00:12:34:ab");
        for text in [
            "",
            "5",
            "52:54:00:12:34",
            "52:54:00:12:34:ab:cd",
            "52:54:00:12:34:a",
            "52:54:00:12:34:+b",
            "52::00:12:34:ab",
        ] {
            assert_eq!(HardwareAddress::parse(text), None, "{text}");
        }
        assert_eq!(HardwareAddress::parse(&"00:".repeat(4000)), None);
    }

    #[test]
    fn bootif_has_a_type_or_none() {
        let plain = HardwareAddress::parse("52:54:00:12:34:56");
        for text in [
            "01-52-54-00-12-34-56",
            "01-52:54:00:12:34:56",
            "01:52:54:00:12:34:56",
            "52-54-00-12-34-56",
            "52:54:00:12:34:56",
            "06-52-54-00-12-34-56",
        ] {
            assert_eq!(HardwareAddress::parse_bootif(text), plain, "{text}");
        }
        assert_eq!(
            HardwareAddress::parse_bootif("01-52-54-00-12-34"),
            plain.and(HardwareAddress::parse("01:52:54:00:12:34"))
        );
        assert_eq!(HardwareAddress::parse_bootif("01-02-03-52-54-00-12-34-56-78"), None);
    }

    /// network-field.md kind 4: 20 bytes of which the first 12 change.
    #[test]
    fn of_infiniband_the_guid_counts() {
        let present =
            HardwareAddress::parse(&format!("80-00-02-08-fe-80-00-00-00-00-00-00-{}", "f4-52-14-03-00-8d-7e-01"))
                .unwrap();
        let means = |text: &str| HardwareAddress::parse_bootif(text).is_some_and(|written| written.means(&present));
        assert!(means("20-f4-52-14-03-00-8d-7e-01"));
        assert!(means("f4:52:14:03:00:8d:7e:01"));
        assert!(means("20-00-00-00-11-fe-80-00-00-00-00-00-01-F4-52-14-03-00-8D-7E-01"));
        assert!(means("20-f4-52-14-8d-7e-01"), "an Ethernet address that a loader made of it");
        assert!(means("20-f6-52-14-8d-7e-01"), "and marked as its own");
        assert!(!means("20-f4-52-14-03-00-8d-7e-02"));
        assert!(!means("20-f4-52-14-8d-7e-02"));
        assert!(
            !HardwareAddress::parse("f4:52:14:8d:7e:01")
                .unwrap()
                .means(&HardwareAddress::parse("f6:52:14:8d:7e:01").unwrap())
        );
    }
}

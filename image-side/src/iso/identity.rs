//! What tells this medium from every other: ISO UUID, id file, GUIDs; all fixed before the image is written.

use crate::digest;
use crate::epoch::Epoch;

/// Identity of one build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Modification date in the volume descriptor: 16 digits, the last two hundredths of a second.
    pub date: String,
    /// 64 hex digits that depend on content and date.
    digest: String,
}

impl Identity {
    /// The identity of a medium with this content digest (hex), built at this time.
    pub fn new(content: &str, epoch: Epoch) -> Self {
        // The hundredths come from the content: builds of one second, or of one SOURCE_DATE_EPOCH, still differ.
        let hundredths = u32::from_str_radix(content.get(..7).unwrap_or("0"), 16).unwrap_or(0) % 100;
        let date = format!("{}{hundredths:02}", epoch.digits());
        let digest = digest::of_texts(&["medium", content, &date]);
        Self { date, digest }
    }

    /// The UUID as `blkid` prints it: `YYYY-MM-DD-HH-MM-SS-cc`.
    pub fn uuid(&self) -> String {
        let d = &self.date;
        [&d[..4], &d[4..6], &d[6..8], &d[8..10], &d[10..12], &d[12..14], &d[14..]].join("-")
    }

    /// Name of the id file in `/.rdlive`: 16 hex digits.
    pub fn id(&self) -> &str {
        &self.digest[..16]
    }

    /// What the agent knows the medium by: the UUID, and the name of the id file where its files were copied to another file system.
    pub fn medium(&self) -> String {
        format!("UUID={},ID={}", self.uuid(), self.id())
    }

    /// Serial number of the EFI system partition: 8 hex digits.
    pub fn fat_serial(&self) -> &str {
        &self.digest[16..24]
    }

    /// GPT disk GUID.
    pub fn disk_guid(&self) -> String {
        uuid_from(&self.digest[24..])
    }
}

/// A version 4 UUID from the first 32 of some hex digits.
pub fn uuid_from(hex: &str) -> String {
    let mut hex: Vec<char> = hex.chars().chain(std::iter::repeat('0')).take(32).collect();
    hex[12] = '4';
    hex[16] = match hex[16] {
        '0' | '4' | '8' | 'c' => '8',
        '1' | '5' | '9' | 'd' => '9',
        '2' | '6' | 'a' | 'e' => 'a',
        _ => 'b',
    };
    let text: String = hex.into_iter().collect();
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch { seconds: 1_700_000_000, fixed: true };

    #[test]
    fn the_uuid_is_the_date() {
        let identity = Identity::new("000000aaaa", EPOCH);
        assert_eq!(identity.date, "2023111422132010");
        assert_eq!(identity.uuid(), "2023-11-14-22-13-20-10");
    }

    #[test]
    fn other_content_or_time_is_another_medium() {
        let one = Identity::new("0123456789", EPOCH);
        assert_eq!(one, Identity::new("0123456789", EPOCH));
        assert_ne!(one.id(), Identity::new("1123456789", EPOCH).id());
        let later = Epoch { seconds: EPOCH.seconds + 1, ..EPOCH };
        assert_ne!(one.id(), Identity::new("0123456789", later).id());
    }

    #[test]
    fn uuids_have_version_and_variant() {
        assert_eq!(uuid_from(&"f".repeat(40)), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid_from(""), "00000000-0000-4000-8000-000000000000");
    }
}

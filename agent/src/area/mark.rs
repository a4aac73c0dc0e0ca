//! Which image an encrypted area is for, in words that can be read without its key: the subsystem of its LUKS 2 header.
//!
//! `rdlive:`, 64 bits of a digest of the image's identity, a colon, and of the volume id what there is room for. The digest
//! decides; the name is for people, who see it in `cryptsetup luksDump` and in our messages. It is a hint, not a proof:
//! whoever can write the medium can write this text, so the identity inside is asked as well.

use sha2::{Digest, Sha256};

use super::Identity;

const PREFIX: &str = "rdlive:";
/// Bytes of the digest that are kept: nobody has so many images that two share them by chance.
const DIGEST: usize = 8;
/// The field has 48 bytes and ends with a zero.
const LENGTH: usize = 47;

/// Whose volume it is, as far as its header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Not said: kiwi-live made it, or an agent that did not write this yet.
    Unsaid,
    /// The field holds a text that is none of ours and stays.
    Taken,
    /// The image that is booted.
    Same,
    /// Another image; a name for a person.
    Other(String),
}

impl Owner {
    /// What a subsystem says about an area to the image that is booted.
    #[must_use]
    pub fn of(subsystem: Option<&str>, image: &Identity) -> Self {
        let Some(text) = subsystem else { return Self::Unsaid };
        let Some(other) = text.strip_prefix(PREFIX) else { return Self::Taken };
        if text == image.header_mark() {
            return Self::Same;
        }
        let name = other.split_once(':').map(|(_, name)| name).filter(|name| !name.is_empty());
        Self::Other(name.map_or("an image that its mark does not name".to_owned(), |name| format!("the image {name}")))
    }
}

impl Identity {
    /// The subsystem in the LUKS header of an area for this image.
    #[must_use]
    pub fn header_mark(&self) -> String {
        let mut hasher = Sha256::new();
        for part in [&self.volume_id, &self.image_uuid] {
            // Neither has a zero byte, so no two pairs are the same bytes.
            hasher.update(part.as_ref().map_or("-\0".to_owned(), |text| format!("+{text}\0")));
        }
        let digest: String = hasher.finalize().iter().take(DIGEST).map(|byte| format!("{byte:02x}")).collect();
        let name = self.volume_id.as_deref().unwrap_or_default();
        let plain = name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' });
        let head = format!("{PREFIX}{digest}:");
        let room = LENGTH - head.len();
        head + &plain.take(room).collect::<String>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(volume_id: Option<&str>, image_uuid: Option<&str>) -> Identity {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Identity { volume_id: own(volume_id), image_uuid: own(image_uuid), agent: "1".to_owned() }
    }

    /// The text is on disks: it never changes.
    #[test]
    fn marks_have_their_length_and_stay_what_they_are() {
        for (volume_id, uuid, expected) in [
            (Some("CDROM"), Some("2026-11-20-10-00-00-00"), "rdlive:1e5216f66bafa3fd:CDROM"),
            (Some("A volume id / of 32 characters !!"), Some("x"), "rdlive:e3b5f93ec4e00d32:A_volume_id___of_32_cha"),
            (Some("ÄÖ"), None, "rdlive:d8b6732a99086f1e:__"),
            (None, None, "rdlive:5762979018f5c1e6:"),
        ] {
            let mark = image(volume_id, uuid).header_mark();
            assert_eq!(mark, expected, "{volume_id:?} {uuid:?}");
            assert!(mark.len() <= LENGTH, "{mark}");
        }
    }

    #[test]
    fn t38_only_the_same_volume_id_and_uuid_are_the_same_image() {
        let images = [
            image(Some("CDROM"), Some("1")),
            image(Some("CDROM"), Some("2")),
            image(Some("CDROM"), None),
            image(Some("OTHER"), Some("1")),
            image(None, Some("CDROM")),
            image(None, Some("1")),
            image(None, None),
            image(Some(""), None),
            image(Some("A volume id of 32 characters, a"), None),
            image(Some("A volume id of 32 characters, b"), None),
        ];
        for (nth, one) in images.iter().enumerate() {
            for (mth, two) in images.iter().enumerate() {
                let same = Owner::of(Some(&one.header_mark()), two) == Owner::Same;
                assert_eq!(same, nth == mth, "{one} and {two}");
            }
        }
        let newer = Identity { agent: "2".to_owned(), ..images[0].clone() };
        assert_eq!(
            Owner::of(Some(&images[0].header_mark()), &newer),
            Owner::Same,
            "the agent's version decides nothing"
        );
    }

    #[test]
    fn what_a_header_says() {
        let own = image(Some("CDROM"), Some("1"));
        for (subsystem, expected) in [
            (None, Owner::Unsaid),
            (Some("systemd-homed"), Owner::Taken),
            (Some("rdlive:00112233aabbccdd:OLD"), Owner::Other("the image OLD".to_owned())),
            (Some("rdlive:00112233aabbccdd:"), Owner::Other("an image that its mark does not name".to_owned())),
            (Some("rdlive:2"), Owner::Other("an image that its mark does not name".to_owned())),
        ] {
            assert_eq!(Owner::of(subsystem, &own), expected, "{subsystem:?}");
        }
    }
}

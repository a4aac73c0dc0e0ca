//! Which lines of crypttab are about disks of the machine a tree came from (crypttab(5)).

use super::fstab::{Look, Place};
use super::source::is_disk;

/// An encrypted volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its name in `/dev/mapper`.
    pub name: String,
    /// What is opened.
    pub device: String,
    /// File with the key, as the line has it.
    pub key: Option<String>,
    by_hand: bool,
    swap: bool,
}

impl Volume {
    /// Reads a line; `None` for comments and for what is no volume.
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let mut fields = (!line.starts_with('#')).then(|| line.split_whitespace().map(str::to_owned))?;
        let (name, device, key) = (fields.next()?, fields.next()?, fields.next());
        let options = fields.next().unwrap_or_default();
        let has = |wanted: &str| options.split(',').any(|option| option == wanted);
        Some(Self { name, device, key, by_hand: has("noauto"), swap: has("swap") })
    }

    /// Whether the boot of another machine would wait for it, or, where a key is made anew, overwrite what has its disk's name there.
    pub fn is_of_a_machine(&self, look: Look) -> bool {
        !self.by_hand && !self.is_here(look)
    }

    /// Whether every machine has what is opened, and opens it when somebody asks for the volume, `noauto` or not.
    pub fn is_here(&self, look: Look) -> bool {
        let absent =
            self.device.starts_with('/') && !self.device.starts_with("/dev/") && look(&self.device) == Place::Absent;
        !self.swap && !is_disk(&self.device) && !absent
    }

    /// Files of the tree that may hold the key.
    pub fn keys(&self) -> Vec<String> {
        let named = self.key.iter().filter(|key| key.starts_with('/') && !key.starts_with("/dev/")).cloned();
        named.chain([format!("/etc/cryptsetup-keys.d/{}.key", self.name)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_of_a_machine() {
        let look = |path: &str| if path == "/vault.img" { Place::There } else { Place::Absent };
        for (line, goes, here) in [
            ("# vault UUID=1 none", false, false),
            ("vault UUID=1 none luks,discard", true, false),
            ("vault PARTLABEL=x /etc/key luks,nofail", true, false),
            ("swap /dev/sda2 /dev/urandom swap,cipher=aes-xts-plain64", true, false),
            ("swap /vault.img /dev/urandom swap", true, false),
            ("vault UUID=1 none noauto", false, false),
            ("vault /vault.img none luks", false, true),
            ("vault /vault.img none noauto,nofail", false, true),
            ("vault /data/vault.img none luks", true, false),
            ("vault /data/vault.img none noauto", false, false),
            ("vault", false, false),
        ] {
            let volume = Volume::parse(line);
            let is = |what: fn(&Volume, Look) -> bool| volume.as_ref().is_some_and(|volume| what(volume, &look));
            assert_eq!((is(Volume::is_of_a_machine), is(Volume::is_here)), (goes, here), "{line}");
        }
    }

    #[test]
    fn keys_are_files() {
        let keys = |line| Volume::parse(line).unwrap().keys();
        let beside = "/etc/cryptsetup-keys.d/v.key";
        assert_eq!(keys("v UUID=1 /etc/key luks"), ["/etc/key", beside]);
        for line in ["v UUID=1 /dev/urandom swap", "v UUID=1 none", "v UUID=1 other keyscript=x", "v UUID=1"] {
            assert_eq!(keys(line), [beside], "{line}");
        }
    }
}

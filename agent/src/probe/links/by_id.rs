//! The names of disks by what they are, as udev makes them: `60-persistent-storage.rules`, and the programs that it asks, `usb_id`,
//! `ata_id` and `scsi_id`.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rdlive_sys::ata::{IDENTITY_BYTES, identity};
use rustix::fs::OFlags;

use crate::env::Env;
use crate::format::lossless;

/// Link names of a whole disk, without directory.
pub fn of(env: &Env, name: &str) -> Vec<String> {
    let disk = Disk(env.path("sys/class/block").join(name));
    let serial = || disk.text("device/serial");
    let mut found = Vec::new();
    if name.starts_with("vd") {
        found.extend(disk.text("serial").map(|serial| format!("virtio-{serial}")));
    } else if name.starts_with("nvme") {
        found.extend(nvme(&disk));
    } else if name.starts_with("mmcblk") {
        found.extend(disk.text("device/name").zip(serial()).map(|(name, serial)| format!("mmc-{name}_{serial}")));
    } else if name.starts_with("pmem") {
        found.extend(disk.text("uuid").map(|uuid| format!("pmem-{uuid}")));
    } else if name.starts_with("dm-") {
        found.extend(disk.text("dm/name").map(|name| format!("dm-name-{name}")));
        found.extend(disk.text("dm/uuid").map(|uuid| format!("dm-uuid-{uuid}")));
    } else {
        found.extend(drive(env, name, &disk).unwrap_or_else(|| scsi(&disk)));
    }
    found
}

/// The directory of a disk in sysfs.
struct Disk(PathBuf);

impl Disk {
    /// An attribute, spelt as in a name; `None` without one.
    fn text(&self, file: &str) -> Option<String> {
        let text = spelt(&lossless(&fs::read(self.0.join(file)).ok()?));
        (!text.is_empty()).then_some(text)
    }

    /// A page of vital product data, which the kernel keeps for SCSI and ATA disks.
    fn page(&self, number: &str) -> Option<Vec<u8>> {
        fs::read(self.0.join(format!("device/vpd_pg{number}"))).ok()
    }

    /// The text of an attribute with its length, as an INQUIRY has it.
    fn padded(&self, file: &str, length: usize) -> String {
        let text = fs::read(self.0.join(file)).map(|bytes| lossless(&bytes)).unwrap_or_default();
        format!("{:length$.length$}", text.trim_end_matches('\n'))
    }
}

fn nvme(disk: &Disk) -> Vec<String> {
    let mut found: Vec<String> = disk.text("wwid").map(|wwid| format!("nvme-{wwid}")).into_iter().collect();
    if let (Some(model), Some(serial)) = (disk.text("device/model"), disk.text("device/serial")) {
        let number = disk.text("nsid").unwrap_or_else(|| "1".to_owned());
        if number == "1" {
            found.push(format!("nvme-{model}_{serial}"));
        }
        found.push(format!("nvme-{model}_{serial}_{number}"));
    }
    found
}

/// Disks with SCSI commands: those of USB, of ATA, and the others.
fn scsi(disk: &Disk) -> Vec<String> {
    let designators = disk.page("83").map(|page| designators(&page)).unwrap_or_default();
    let (vendor, model) = (disk.text("device/vendor"), disk.text("device/model"));
    let mut found = Vec::new();
    if let Some(name) = usb(disk, vendor.as_deref(), model.as_deref()) {
        found.push(name);
    } else if vendor.as_deref() == Some("ATA") {
        found.extend(ata(disk, model.as_deref(), &designators));
    } else if let Some(best) = best(&designators) {
        found.push(format!("scsi-{}", spelt(&identifier(disk, best))));
    } else if let Some(serial) = disk.page("80").and_then(|page| Some(lossless(page.get(4..)?))) {
        let (vendor, model) = (disk.padded("device/vendor", 8), disk.padded("device/model", 16));
        found.push(format!("scsi-{}", spelt(&format!("S{vendor}{model}{serial}"))));
    }
    let worldwide = designators.iter().find(|one| one.kind == NAA && !one.text).map(|one| one.hex());
    let worldwide = worldwide.or_else(|| disk.text("device/wwid")?.strip_prefix("naa.").map(str::to_owned));
    found.extend(worldwide.map(|number| format!("wwn-0x{number}")));
    found
}

/// The name of a disk on USB: its serial number is the one of the USB device, the end its target and unit.
fn usb(disk: &Disk, vendor: Option<&str>, model: Option<&str>) -> Option<String> {
    let path = disk.0.canonicalize().ok()?;
    path.components().find(|part| part.as_os_str().as_encoded_bytes().starts_with(b"usb"))?;
    let (vendor, model) = (vendor?, model?);
    let serial =
        path.ancestors().find_map(|dir| fs::read(dir.join("serial")).ok()).map(|bytes| spelt(&lossless(&bytes)));
    let address = path.iter().rev().filter_map(|part| part.to_str()).find(|part| part.split(':').count() == 4);
    let unit: Vec<&str> = address.unwrap_or("0:0:0:0").split(':').skip(2).collect();
    let serial = serial.filter(|serial| !serial.is_empty()).map(|serial| format!("_{serial}")).unwrap_or_default();
    Some(format!("usb-{vendor}_{model}{serial}-{}", unit.join(":")))
}

/// The kernel tells model and serial number of an ATA disk in one designator of page 0x83 (SAT-3, 10.3.4); its `model` is cut at 16
/// characters.
fn ata(disk: &Disk, model: Option<&str>, designators: &[Designator]) -> Option<String> {
    let whole = designators.iter().filter(|one| one.kind == T10).find_map(|one| {
        let bytes = one.bytes.strip_prefix(b"ATA     ")?;
        Some((spelt(&lossless(bytes.get(..40)?)), spelt(&lossless(bytes.get(40..)?))))
    });
    let (model, serial) = whole.or_else(|| Some((model?.to_owned(), serial(&disk.page("80")?)?)))?;
    Some(format!("ata-{model}_{serial}"))
}

/// The names of an optical drive of ATA, which keeps no vital product data; `None` for any other disk. udev asks those whose commands are
/// of SPC-4 or later, which libata says of all that name no version.
fn drive(env: &Env, name: &str, disk: &Disk) -> Option<Vec<String>> {
    let path = disk.0.canonicalize().ok()?;
    let has = |bus: &str| path.iter().any(|part| part.to_str().is_some_and(|part| is_numbered(part, bus)));
    let level: Option<u8> = disk.text("device/scsi_level").and_then(|level| level.parse().ok());
    if !is_numbered(name, "sr") || !has("ata") || has("usb") || level.is_none_or(|level| level < 6) {
        return None;
    }
    // Without O_NONBLOCK the open waits for a disc.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let drive = fs::OpenOptions::new().read(true).custom_flags(flags).open(env.path("dev").join(name)).ok()?;
    Some(packet(&identity(&drive).ok()?))
}

fn is_numbered(text: &str, start: &str) -> bool {
    let number = text.strip_prefix(start).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The names that follow from what a drive says of itself: serial number in word 10, model in word 27, a number of the whole world in
/// word 108 (ATA/ATAPI-7, 6.18).
fn packet(identity: &[u8; IDENTITY_BYTES]) -> Vec<String> {
    let text = |from: usize, length: usize| spelt(&lossless(&identity[2 * from..][..length]));
    let (serial, model) = (text(10, 20), text(27, 40));
    let mut found = Vec::new();
    if !model.is_empty() {
        let serial = if serial.is_empty() { serial } else { format!("_{serial}") };
        found.push(format!("ata-{model}{serial}"));
    }
    let words: Vec<u16> =
        identity[2 * 108..][..8].chunks(2).map(|word| u16::from_ne_bytes([word[0], word[1]])).collect();
    if words[0] >> 12 == 5 {
        let number: String = words.iter().map(|word| format!("{word:04x}")).collect();
        found.push(format!("wwn-0x{number}"));
    }
    found
}

/// Types of designators (SPC-4, 7.8.6.2).
const VENDOR: u8 = 0;
const T10: u8 = 1;
const EUI: u8 = 2;
const NAA: u8 = 3;
/// The most designators of a page that are looked at.
const MAX_DESIGNATORS: usize = 64;

/// One name that a disk has for itself (SPC-4, 7.8.6).
#[derive(Debug)]
pub(crate) struct Designator {
    kind: u8,
    /// Its bytes are text.
    text: bool,
    bytes: Vec<u8>,
}

impl Designator {
    fn hex(&self) -> String {
        self.bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The smaller, the more the name is worth; `None` for what is no name of a disk.
    fn rank(&self) -> Option<u8> {
        let kind = match self.kind {
            // IEEE registered extended, IEEE registered, others.
            NAA => match self.bytes.first()? >> 4 {
                6 => 0,
                5 => 1,
                _ => 2,
            },
            EUI => 3,
            T10 => 4,
            VENDOR => 5,
            _ => return None,
        };
        Some(2 * kind + u8::from(self.text))
    }
}

/// The designators of a disk itself in page 0x83.
pub(crate) fn designators(page: &[u8]) -> Vec<Designator> {
    let mut found = Vec::new();
    let mut rest = page.get(4..).unwrap_or_default();
    while let (Some(&[set, kind, _, length]), true) = (rest.first_chunk::<4>(), found.len() < MAX_DESIGNATORS) {
        let Some(bytes) = rest.get(4..4 + usize::from(length)) else { break };
        // Those of a port or of the whole target name something else; sets: 1 binary, 2 ASCII, 3 UTF-8.
        if kind & 0x30 == 0 {
            found.push(Designator { kind: kind & 0xf, text: set & 0xf != 1, bytes: bytes.to_vec() });
        }
        rest = rest.get(4 + usize::from(length)..).unwrap_or_default();
    }
    found
}

fn best(designators: &[Designator]) -> Option<&Designator> {
    designators.iter().filter(|one| one.rank().is_some()).min_by_key(|one| one.rank())
}

/// The type as a digit, then the name; one that a vendor gives is told from those of others by vendor and model.
fn identifier(disk: &Disk, designator: &Designator) -> String {
    let name = if designator.text { lossless(&designator.bytes) } else { designator.hex() };
    let whose = match designator.kind {
        VENDOR => disk.padded("device/vendor", 8) + &disk.padded("device/model", 16),
        _ => String::new(),
    };
    format!("{}{whose}{name}", designator.kind)
}

/// The serial number in vital product data page 0x80 (SPC-4, 7.8.19): a head of four bytes, then text.
pub(crate) fn serial(page: &[u8]) -> Option<String> {
    let serial = spelt(&lossless(page.get(4..)?));
    (!serial.is_empty()).then_some(serial)
}

/// udev's spelling of free text in a link name: trimmed, inner white space as one underscore, and one for each character that is not
/// usual in names.
fn spelt(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    let joined = clean.split_whitespace().collect::<Vec<_>>().join("_");
    let usual = |c: char| c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c) || !c.is_ascii();
    joined.chars().map(|c| if usual(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// field.md F. The first is what QEMU's drive says; udev of Debian 13 gives it that name.
    #[test]
    fn names_of_an_optical_drive_of_ata() {
        for (serial, model, number, expected) in [
            ("QM00003             ", "QEMU DVD-ROM                            ", 0, vec!["ata-QEMU_DVD-ROM_QM00003"]),
            ("", "HL-DT-ST DVDRAM GH24", 0, vec!["ata-HL-DT-ST_DVDRAM_GH24"]),
            ("A/1", "X", 0x5000_c500_15ea_71aa_u64, vec!["ata-X_A_1", "wwn-0x5000c50015ea71aa"]),
            ("A1", "", 0x6000_c500_15ea_71aa, vec![]),
        ] {
            let mut identity = [0; IDENTITY_BYTES];
            identity[20..][..serial.len()].copy_from_slice(serial.as_bytes());
            identity[54..][..model.len()].copy_from_slice(model.as_bytes());
            for (at, word) in number.to_be_bytes().chunks(2).enumerate() {
                let word = u16::from_be_bytes([word[0], word[1]]);
                identity[216 + 2 * at..][..2].copy_from_slice(&word.to_ne_bytes());
            }
            assert_eq!(packet(&identity), expected, "{model:?}");
        }
    }
}

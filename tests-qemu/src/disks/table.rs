//! Writing partition tables, as others do: the lab's own hand, so that nothing of the agent judges the agent.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use anyhow::Result;

/// `EBD0A0A2-B9E5-4433-87C0-68B6B72699C7`, data of Windows, as it is stored.
const DATA: [u8; 16] = [0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7];
const COUNT: usize = 128;
const LENGTH: usize = 128;
/// The CRC of the GPT (UEFI specification 5.3.2).
const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// A partition.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its bytes.
    pub place: Range<u64>,
    /// Its name.
    pub name: &'static str,
    /// Its UUID.
    pub uuid: [u8; 16],
}

/// A GPT.
pub struct Gpt {
    /// Bytes of a sector.
    pub sector: u64,
    /// GUID of the disk.
    pub disk: [u8; 16],
    /// Its partitions.
    pub entries: Vec<Entry>,
    /// The sector of the copy of the header.
    pub alternate: u64,
}

impl Gpt {
    /// Writes guard, both headers and both arrays.
    pub fn write(&self, file: &File, size: u64) -> Result<()> {
        mbr(file, self.sector, &[(0xee, self.sector..size)])?;
        let mut array = vec![0; (COUNT * LENGTH).next_multiple_of(self.sector as usize)];
        for (slot, entry) in array.chunks_exact_mut(LENGTH).zip(&self.entries) {
            slot[..16].copy_from_slice(&DATA);
            slot[16..32].copy_from_slice(&entry.uuid);
            slot[32..40].copy_from_slice(&(entry.place.start / self.sector).to_le_bytes());
            slot[40..48].copy_from_slice(&(entry.place.end / self.sector - 1).to_le_bytes());
            for (at, unit) in entry.name.encode_utf16().enumerate() {
                slot[56 + 2 * at..58 + 2 * at].copy_from_slice(&unit.to_le_bytes());
            }
        }
        let sectors = array.len() as u64 / self.sector;
        for (own, other, place) in [(1, self.alternate, 2), (self.alternate, 1, self.alternate - sectors)] {
            let mut header = vec![0; self.sector as usize];
            header[..8].copy_from_slice(b"EFI PART");
            header[8..12].copy_from_slice(&0x1_0000_u32.to_le_bytes());
            header[12..16].copy_from_slice(&92_u32.to_le_bytes());
            let last = (size / self.sector).saturating_sub(sectors + 2).max(self.alternate.saturating_sub(sectors + 1));
            let last = if self.alternate == size / self.sector - 1 { self.alternate - sectors - 1 } else { last };
            for (at, value) in [(24, own), (32, other), (40, 2 + sectors), (48, last), (72, place)] {
                header[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
            header[56..72].copy_from_slice(&self.disk);
            header[80..84].copy_from_slice(&(COUNT as u32).to_le_bytes());
            header[84..88].copy_from_slice(&(LENGTH as u32).to_le_bytes());
            header[88..92].copy_from_slice(&CRC.checksum(&array[..COUNT * LENGTH]).to_le_bytes());
            let sum = CRC.checksum(&header[..92]);
            header[16..20].copy_from_slice(&sum.to_le_bytes());
            file.write_all_at(&header, own * self.sector)?;
            file.write_all_at(&array, place * self.sector)?;
        }
        Ok(())
    }
}

fn entry(kind: u8, start: u64, sectors: u64) -> [u8; 16] {
    let mut entry = [0; 16];
    entry[4] = kind;
    entry[8..12].copy_from_slice(&(start as u32).to_le_bytes());
    entry[12..16].copy_from_slice(&(sectors as u32).to_le_bytes());
    entry
}

/// Writes an MBR with up to four partitions: type and place.
pub fn mbr(file: &File, sector: u64, entries: &[(u8, Range<u64>)]) -> Result<()> {
    let mut record = [0; 66];
    for (slot, (kind, place)) in record.chunks_exact_mut(16).zip(entries) {
        slot.copy_from_slice(&entry(*kind, place.start / sector, (place.end - place.start) / sector));
    }
    record[64..].copy_from_slice(&[0x55, 0xaa]);
    Ok(file.write_all_at(&record, 446)?)
}

/// Writes an MBR whose first partition is the first place, and the others logical ones in an extended one up to the end of the disk.
/// Those without a sector in front of them for their own record are left out; returns what is claimed.
pub fn mbr_logical(file: &File, sector: u64, places: &[Range<u64>], size: u64) -> Result<Vec<Range<u64>>> {
    let (first, others) = places.split_first().map_or((&(0..0), &[][..]), |(first, others)| (first, others));
    let mut others = others.to_vec();
    others.sort_by_key(|place| place.start);
    let base = others.first().map_or(first.end, |place| place.start - sector);
    let extended = base..size / sector * sector;
    mbr(file, sector, &[(0x83, first.clone()), (0x05, extended.clone())])?;
    let mut at = base;
    for (index, place) in others.iter().enumerate() {
        let mut record = [0; 66];
        record[..16].copy_from_slice(&entry(0x83, (place.start - at) / sector, (place.end - place.start) / sector));
        // Its own record needs a sector that belongs to nobody.
        let next = others[index + 1..].iter().find(|next| next.start - sector >= place.end);
        if let Some(next) = next.filter(|next| others.get(index + 1).is_some_and(|follows| follows.start == next.start))
        {
            record[16..32].copy_from_slice(&entry(
                0x05,
                (next.start - sector - base) / sector,
                (next.end - next.start) / sector + 1,
            ));
        }
        record[64..].copy_from_slice(&[0x55, 0xaa]);
        file.write_all_at(&record, at + 446)?;
        match next {
            Some(next) if others.get(index + 1).is_some_and(|follows| follows.start == next.start) => {
                at = next.start - sector
            }
            _ => break,
        }
    }
    Ok(vec![first.clone(), extended])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lab's own tables, as a reader that is neither the lab's nor the agent's names what is in them.
    #[test]
    fn sfdisk_names_what_the_tables_have() {
        const MIB: u64 = 1 << 20;
        let listed = |write: &dyn Fn(&File)| {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(32 * MIB).unwrap();
            write(file.as_file());
            let mut sfdisk = std::process::Command::new("sfdisk");
            let output =
                sfdisk.args(["--list", "--output", "start,end,type"]).arg(file.path()).env("LC_ALL", "C").output();
            let text = String::from_utf8(output.unwrap().stdout).unwrap();
            let rows = text.lines().skip_while(|line| !line.trim_start().starts_with("Start")).skip(1);
            rows.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        let entry = Entry { place: MIB..4 * MIB, name: "x", uuid: [7; 16] };
        let gpt = Gpt { sector: 512, disk: [9; 16], entries: vec![entry], alternate: 32 * MIB / 512 - 1 };
        assert_eq!(listed(&|file| gpt.write(file, 32 * MIB).unwrap()), ["2048 8191 Microsoft basic data"]);
        let whole = [(0x83, MIB..2 * MIB), (0x07, 2 * MIB..3 * MIB)];
        let expected = ["2048 4095 Linux", "4096 6143 HPFS/NTFS/exFAT"];
        assert_eq!(listed(&|file| mbr(file, 512, &whole).unwrap()), expected);
        let places = [MIB..2 * MIB, 3 * MIB..4 * MIB];
        let logical = listed(&|file| drop(mbr_logical(file, 512, &places, 32 * MIB).unwrap()));
        assert_eq!(logical, ["2048 4095 Linux", "6143 65535 Extended", "6144 8191 Linux"]);
    }
}

//! What loaders and firmware have left of from where they have loaded (network-field.md kind 26): tables beside or among those of ACPI,
//! the boot entry of UEFI, the drives of a BIOS. It is looked for only when there is no medium.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::config::explain::without_password;
use crate::env::Env;
use crate::facts::Loaded;
use crate::format::lossless;
use crate::terminal::printable;

/// Where UEFI keeps its variables, and the namespace of those that it defines itself (UEFI 2.10, 3.3).
pub const VARIABLES: &str = "sys/firmware/efi/efivars";
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Tables of loaders that are no programs of the firmware lie between the end of a PC's usual memory and 1 MiB, but for its screen; the
/// kernel looks for iBFT there too.
const LOW: [(u64, usize); 2] = [(0x8_0000, 0x2_0000), (0xC_0000, 0x4_0000)];
/// A table of ACPI begins with its signature and its length; all bytes add up to 0 (ACPI 6.5, 5.2.6).
const HEADER: usize = 36;

/// Looks for all of it.
pub fn loaded(env: &Env) -> Loaded {
    let is_bios = cfg!(target_arch = "x86_64") && !env.path("sys/firmware/efi").exists();
    let low = if is_bios { low(env) } else { Vec::new() };
    let find = |signature: &str| {
        let listed = fs::read(env.path("sys/firmware/acpi/tables").join(signature)).ok();
        listed.or_else(|| low.iter().find_map(|memory| table(memory, signature)))
    };
    Loaded {
        memdisk: find("mBFT").is_some(),
        aoe: find("aBFT").and_then(|table| aoe(&table)),
        iscsi: find("iBFT").and_then(|table| iscsi(&table)),
        http: booted_by(env).as_deref().and_then(http),
        ram_disk: env.path("sys/firmware/acpi/tables/NFIT").exists(),
        drives: drives(env),
        disks: if is_bios { disks(env) } else { 0 },
        hooked: is_bios && is_hooked(env),
    }
}

/// That memory, as far as the kernel shows it: what is used as RAM it shows as zeros.
fn low(env: &Env) -> Vec<Vec<u8>> {
    let Ok(memory) = File::open(env.path("dev/mem")) else { return Vec::new() };
    let read = |(at, length): (u64, usize)| {
        let mut bytes = vec![0; length];
        memory.read_exact_at(&mut bytes, at).ok().map(|()| bytes)
    };
    LOW.into_iter().filter_map(read).collect()
}

/// A table; that of memdisk lies at no multiple of anything.
fn table(memory: &[u8], signature: &str) -> Option<Vec<u8>> {
    (0..memory.len()).filter_map(|at| memory.get(at..)).find_map(|rest| {
        let length = rest.starts_with(signature.as_bytes()).then(|| u32_at(rest, 4)).flatten()?;
        let table = rest.get(..usize::try_from(length).ok()?).filter(|table| table.len() >= HEADER)?;
        let sum = table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        (sum == 0).then(|| table.to_vec())
    })
}

/// The device in the table of a loader that has booted from AoE: behind the header its shelf and its slot.
fn aoe(table: &[u8]) -> Option<String> {
    Some(format!("e{}.{}", u16_at(table, HEADER)?, table.get(HEADER + 2)?))
}

/// The name of the first target (iBFT 1.02): a directory behind the header of 48 bytes says where its structure lies, and that, where its
/// name does.
fn iscsi(table: &[u8]) -> Option<String> {
    let target = table.get(usize::from(u16_at(table, 48 + 12)?)..)?;
    let (length, at) = (usize::from(u16_at(target, 34)?), usize::from(u16_at(target, 36)?));
    let name = table.get(at..at.checked_add(length)?).filter(|name| !name.is_empty())?;
    Some(printable(&lossless(name)))
}

/// The path of the device in the boot entry that UEFI has used. A variable begins with four bytes of attributes; the entry has its own, the
/// length of the path and a text before it (UEFI 2.10, 3.1.3).
fn booted_by(env: &Env) -> Option<Vec<u8>> {
    let variable = |name: &str| fs::read(env.path(VARIABLES).join(format!("{name}-{GLOBAL}"))).ok();
    let current = u16_at(&variable("BootCurrent")?, 4)?;
    let entry = variable(&format!("Boot{current:04X}"))?;
    let length = usize::from(u16_at(&entry, 8)?);
    let text = entry.get(10..)?.chunks_exact(2).position(|unit| unit == [0, 0])?;
    let path = 10 + 2 * (text + 1);
    entry.get(path..path.checked_add(length)?).map(<[u8]>::to_vec)
}

/// The address in a path of a device, without a password (UEFI 2.10, 10.3.4.23: type 3, subtype 24).
fn http(path: &[u8]) -> Option<String> {
    let mut rest = path;
    while let (Some(kind), Some(length)) = (rest.get(..2), u16_at(rest, 2)) {
        let node = rest.get(4..usize::from(length))?;
        if kind == [3, 24] {
            let text = lossless(node);
            return Some(printable(&without_password(text.trim_end_matches('\0'))));
        }
        rest = rest.get(usize::from(length)..)?;
    }
    None
}

/// Bytes of the drives that the module edd shows.
fn drives(env: &Env) -> Vec<u64> {
    let entries = fs::read_dir(env.path("sys/firmware/edd")).into_iter().flatten().flatten();
    let mut drives: Vec<u64> = entries.filter_map(|entry| drive(&entry.path())).collect();
    drives.sort_unstable();
    drives.dedup();
    drives
}

/// The hard disks that a BIOS counts, with those that a loader has added: a byte of its data area, at 0040:0075.
fn disks(env: &Env) -> u8 {
    first_page(env, 0x475).map_or(0, |[count]| count)
}

/// Whether what a BIOS does for drives (interrupt 13h) is done by a program in the RAM, between the BIOS's own data and the screen. The
/// kernel hides the table of memdisk where it shares a page with RAM that is used; this it never hides.
fn is_hooked(env: &Env) -> bool {
    let Some([low, high, segment_low, segment_high]) = first_page(env, 4 * 0x13) else { return false };
    let segment = u32::from(u16::from_le_bytes([segment_low, segment_high]));
    (0x500..0xA_0000).contains(&(16 * segment + u32::from(u16::from_le_bytes([low, high]))))
}

/// Bytes of the page with the vectors and the data of a BIOS, which no kernel uses as RAM.
fn first_page<const N: usize>(env: &Env, at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    File::open(env.path("dev/mem")).and_then(|memory| memory.read_exact_at(&mut bytes, at)).ok().map(|()| bytes)
}

fn drive(dir: &Path) -> Option<u64> {
    let sectors: u64 = fs::read_to_string(dir.join("sectors")).ok()?.trim().parse().ok()?;
    sectors.checked_mul(512).filter(|bytes| *bytes > 0)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of files.
    fn machine(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Env) {
        let root = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let env = Env::new(root.path());
        (root, env)
    }

    fn acpi(signature: &str, body: &[u8]) -> Vec<u8> {
        let mut table = signature.as_bytes().to_vec();
        table.extend(u32::try_from(HEADER + body.len()).unwrap().to_le_bytes());
        table.resize(HEADER, 0);
        table.extend(body);
        let sum = table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        table[9] = sum.wrapping_neg();
        table
    }

    fn memory(at: usize, table: &[u8]) -> Vec<u8> {
        let mut memory = vec![0; 1 << 20];
        memory[at..at + table.len()].copy_from_slice(table);
        memory
    }

    /// Shelf 258, slot 3.
    const AOE: [u8; 10] = [2, 1, 3, 0, 2, 0, 0, 0, 0, 0x11];

    #[test]
    fn k26_tables_are_found_in_low_memory_and_among_those_of_acpi() {
        let aoe = acpi("aBFT", &AOE);
        for at in [0x8_0000, 0x9_ABC7, 0xC_0000, 0xF_FF00] {
            let (_root, env) = machine(&[("dev/mem", &memory(at, &aoe))]);
            assert_eq!(loaded(&env), Loaded { aoe: Some("e258.3".into()), ..Loaded::default() }, "{at:x}");
        }
        let (_root, env) = machine(&[("sys/firmware/acpi/tables/aBFT", &aoe)]);
        assert_eq!(loaded(&env).aoe.as_deref(), Some("e258.3"));
        let (_root, env) = machine(&[("dev/mem", &memory(0x9_F000, &acpi("mBFT", &[0; 30])))]);
        assert_eq!(loaded(&env), Loaded { memdisk: true, ..Loaded::default() });
        let (_root, env) = machine(&[("sys/firmware/acpi/tables/NFIT", b"")]);
        assert_eq!(loaded(&env), Loaded { ram_disk: true, ..Loaded::default() });
    }

    #[test]
    fn k26_what_only_looks_like_a_table_is_none() {
        let table = acpi("aBFT", &AOE);
        let mut wrong = table.clone();
        wrong[20] ^= 1;
        let mut short = table.clone();
        short[4] = 8;
        let mut long = table.clone();
        long[7] = 0xff;
        // On the screen's memory, with a wrong sum or length; and what ends before it is complete.
        for memory in [
            memory(0xA_0000, &table),
            memory(0x8_0000, &wrong),
            memory(0x8_0000, &short),
            memory(0x8_0000, &long),
            memory(0x8_0000, &acpi("aBFT", &[])),
            memory(0, &table)[..0x1000].to_vec(),
        ] {
            let (_root, env) = machine(&[("dev/mem", &memory)]);
            assert_eq!(loaded(&env), Loaded::default());
        }
        // With UEFI nothing lies there.
        let (_root, env) = machine(&[("dev/mem", &memory(0x8_0000, &table)), ("sys/firmware/efi/x", b"")]);
        assert_eq!(loaded(&env), Loaded::default());
    }

    #[test]
    fn k26_the_target_of_iscsi() {
        // Behind 48 bytes the directory, with the target's structure at 0x60, whose name lies at 0x90.
        let mut body = vec![0; 0x90 - HEADER];
        body[48 + 12 - HEADER] = 0x60;
        body[0x60 + 34 - HEADER] = 9;
        body[0x60 + 36 - HEADER] = 0x90;
        body.extend(b"iqn.x:\x1by!more");
        let (_root, env) = machine(&[("dev/mem", &memory(0x9_0000, &acpi("iBFT", &body)))]);
        assert_eq!(loaded(&env), Loaded { iscsi: Some("iqn.x:\\x1by!".into()), ..Loaded::default() });
        body[0x60 + 37 - HEADER] = 0xff;
        let (_root, env) = machine(&[("dev/mem", &memory(0x9_0000, &acpi("iBFT", &body)))]);
        assert_eq!(loaded(&env), Loaded::default());
    }

    fn node(kind: u8, subtype: u8, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + data.len()).unwrap().to_le_bytes();
        [&[kind, subtype, length[0], length[1]], data].concat()
    }

    fn entry(path: &[u8]) -> Vec<u8> {
        let mut entry = vec![7, 0, 0, 0, 1, 0, 0, 0];
        entry.extend(u16::try_from(path.len()).unwrap().to_le_bytes());
        entry.extend("UEFI HTTPv4".encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        entry.extend(path);
        entry.extend(b"optional data");
        entry
    }

    #[test]
    fn k26_the_boot_entry_of_uefi_says_from_where() {
        let url = b"http://u:secret@10.9.0.1/live.iso";
        let mac = node(3, 11, &[0; 33]);
        let end = node(0x7f, 0xff, &[]);
        for (nodes, expected) in [
            ([mac.clone(), node(3, 12, &[0; 23]), node(3, 24, url), end.clone()].concat(), Some("/live.iso")),
            ([mac.clone(), node(3, 24, &[]), end.clone()].concat(), Some("")),
            ([mac.clone(), node(4, 1, &[0; 38]), end.clone()].concat(), None),
            // Lengths that lead nowhere.
            (vec![3, 24, 0xff, 0xff, b'h'], None),
            (vec![3, 24, 1, 0], None),
            (vec![3, 11, 0, 0], None),
        ] {
            let files = [
                (format!("{VARIABLES}/BootCurrent-{GLOBAL}"), vec![6, 0, 0, 0, 0x1a, 0]),
                (format!("{VARIABLES}/Boot001A-{GLOBAL}"), entry(&nodes)),
            ];
            let files: Vec<(&str, &[u8])> =
                files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
            let (_root, env) = machine(&files);
            let found = loaded(&env).http;
            assert_eq!(found.is_some(), expected.is_some(), "{nodes:?}");
            assert!(found.is_none_or(|url| url.ends_with(expected.unwrap()) && !url.contains("secret")), "{nodes:?}");
        }
    }

    #[test]
    fn k26_drives_of_a_bios() {
        let (_root, env) = machine(&[
            ("sys/firmware/edd/int13_dev80/sectors", b"131072\n"),
            ("sys/firmware/edd/int13_dev81/sectors", b"0\n"),
            ("sys/firmware/edd/int13_dev82/version", b"0x30\n"),
        ]);
        assert_eq!(loaded(&env).drives, [64 << 20]);
        let (_root, env) = machine(&[("dev/mem", &memory(0x475, &[2]))]);
        assert_eq!(loaded(&env), Loaded { disks: 2, ..Loaded::default() });
        let (_root, env) = machine(&[("dev/mem", &memory(0x475, &[2])), ("sys/firmware/efi/x", b"")]);
        assert_eq!(loaded(&env), Loaded::default());
        for (vector, hooked) in [
            ([0x34, 0x12, 0x80, 0x9b], true),
            ([0xfe, 0xe3, 0x00, 0xf0], false),
            ([0x00, 0x00, 0x00, 0xc8], false),
            ([0; 4], false),
        ] {
            let (_root, env) = machine(&[("dev/mem", &memory(4 * 0x13, &vector))]);
            assert_eq!(loaded(&env), Loaded { hooked, ..Loaded::default() }, "{vector:x?}");
        }
    }
}

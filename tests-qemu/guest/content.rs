//! What the files of a power cut hold: known to the guest that writes them and to the host that looks for them.

/// The bytes of the file with this number, of many lengths.
pub fn bytes(number: u32) -> Vec<u8> {
    let length = 1 + number as usize * 7919 % 40_000;
    format!("{number:08}\n").into_bytes().into_iter().cycle().take(length).collect()
}

//! What came, by its first 64 KiB (network-field.md kind 15): names and content types are not asked.

use std::io::Cursor;

use rdlive_media::format::{self, Kind, Superblock};
use rdlive_media::printable::{human, printable};

use crate::http::begins;

/// So many bytes decide. The descriptors of an ISO begin at 32 KiB, everything else is in front of them.
pub const HEAD: usize = 64 * 1024;
/// An ISO may be padded less than its volume descriptor says.
const PADDING: u64 = 1024 * 1024;

/// A compression that can be undone while the bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// `.xz`.
    Xz,
    /// `.zst`.
    Zstd,
    /// `.gz` (RFC 1952).
    Gzip,
}

/// What the first bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An image that can be booted from.
    Image(Box<Superblock>),
    /// Something compressed: what is in it is looked at when it is unpacked.
    Packed(Packing),
    /// Files in an archive.
    Archive,
}

/// Why what came is no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoImage {
    /// A login page, a message of a proxy, another file.
    #[error(
        "what the server sent is no image (ISO 9660, squashfs, EROFS, ext4, or one of them compressed): {}, begins with `{begins}`",
        kind.as_deref().unwrap_or("without a type")
    )]
    Foreign {
        /// `Content-Type`, printable.
        kind: Option<String>,
        /// The first 40 characters, printable.
        begins: String,
    },
    /// A known format that no system is booted from.
    #[error("what the server sent is {0}, not an image (ISO 9660, squashfs, EROFS, ext4, or one of them compressed)")]
    Other(&'static str),
    /// The file on the server ends too early.
    #[error("the file on the server is cut: its {kind} needs {needs} bytes ({}), it has {has}", human(*.needs))]
    Cut {
        /// What the superblock is of.
        kind: &'static str,
        /// Bytes that it says it has.
        needs: u64,
        /// Bytes of the file.
        has: u64,
    },
    /// Not one byte.
    #[error("the file is empty")]
    Empty,
}

/// Looks at the first bytes of a file: [`HEAD`] of them, or all. `length`: of the whole file, where it is known; `kind`: the server's
/// `Content-Type`, for the message only.
///
/// # Errors
/// It is no image, or one that ends too early.
pub fn sniff(head: &[u8], length: Option<u64>, kind: Option<&str>) -> Result<Content, NoImage> {
    if head.is_empty() {
        return Err(NoImage::Empty);
    }
    if let Some(packing) = packing(head) {
        return Ok(Content::Packed(packing));
    }
    // The padding keeps readers that look at the end of a device from taking the end of this piece for it.
    let mut padded = head.to_vec();
    padded.resize(padded.len() + 2 * HEAD, 0);
    let found = format::identify(&mut Cursor::new(padded)).ok().flatten();
    match found {
        Some(found) if is_image(found.kind) => {
            if let Some(length) = length {
                whole(&found, length)?;
            }
            Ok(Content::Image(Box::new(found)))
        }
        Some(found) if !is_text(head) => Err(NoImage::Other(found.kind.name())),
        _ => {
            let kind = kind.map(|kind| printable(&kind.chars().take(40).collect::<String>()));
            Err(NoImage::Foreign { kind, begins: begins(head) })
        }
    }
}

/// As [`sniff`] for files that are to be copied somewhere: an archive will do, too.
///
/// # Errors
/// As [`sniff`].
pub fn sniff_files(head: &[u8], length: Option<u64>, kind: Option<&str>) -> Result<Content, NoImage> {
    if is_archive(head) { Ok(Content::Archive) } else { sniff(head, length, kind) }
}

/// tar (POSIX.1-1988 "ustar", by GNU too), or cpio in the form of the kernel's initramfs
/// (`Documentation/driver-api/early-userspace/buffer-format.rst`).
#[must_use]
pub fn is_archive(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar") || is_cpio(head)
}

/// That of cpio.
#[must_use]
pub fn is_cpio(head: &[u8]) -> bool {
    head.starts_with(b"070701") || head.starts_with(b"070702")
}

/// Whether a file of this length holds all that its superblock speaks of.
///
/// # Errors
/// [`NoImage::Cut`], with both numbers.
pub fn whole(found: &Superblock, length: u64) -> Result<(), NoImage> {
    let slack = if found.kind == Kind::Iso9660 { PADDING } else { 0 };
    match found.truncated(length) {
        Some(missing) if missing > slack => {
            Err(NoImage::Cut { kind: found.kind.name(), needs: found.size.unwrap_or(0), has: length })
        }
        _ => Ok(()),
    }
}

fn is_image(kind: Kind) -> bool {
    matches!(kind, Kind::Iso9660 | Kind::Squashfs | Kind::Erofs | Kind::Ext4 | Kind::Ext3 | Kind::Ext2)
}

/// The magic numbers: of xz 1.2.1.1, RFC 8878 3.1.1 (skippable frames may come first), RFC 1952 2.3.1 (method 8 is the only one).
fn packing(head: &[u8]) -> Option<Packing> {
    match head {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Packing::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Packing::Zstd),
        [0x1f, 0x8b, 8, ..] => Some(Packing::Gzip),
        _ => None,
    }
}

/// A page may by chance have a signature somewhere; what it says helps more.
fn is_text(head: &[u8]) -> bool {
    let start = head.trim_ascii_start();
    start.starts_with(b"<") || start.starts_with(b"{")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faulty::image;

    fn image_kind(head: &[u8], length: Option<u64>) -> Result<Kind, NoImage> {
        match sniff(head, length, Some("text/html"))? {
            Content::Image(found) => Ok(found.kind),
            other => panic!("{other:?}"),
        }
    }

    /// Volume descriptors of an ISO of so many blocks of 2 KiB.
    fn iso(blocks: u32) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        head[0x8000..0x8006].copy_from_slice(b"\x01CD001");
        head[0x8006] = 1;
        head[0x8000 + 80..0x8000 + 84].copy_from_slice(&blocks.to_le_bytes());
        head[0x8000 + 84..0x8000 + 88].copy_from_slice(&blocks.to_be_bytes());
        head[0x8000 + 128..0x8000 + 132].copy_from_slice(&[0, 8, 8, 0]);
        head[0x8800..0x8806].copy_from_slice(b"\xffCD001");
        head
    }

    fn erofs(blocks: u32) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        head[1024..1028].copy_from_slice(&[0xe2, 0xe1, 0xf5, 0xe0]);
        head[1024 + 12] = 12;
        head[1024 + 36..1024 + 40].copy_from_slice(&blocks.to_le_bytes());
        head
    }

    fn ext4(blocks: u32) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        let mut put = |at: usize, bytes: &[u8]| head[1024 + at..1024 + at + bytes.len()].copy_from_slice(bytes);
        put(0, &128_u32.to_le_bytes());
        put(4, &blocks.to_le_bytes());
        put(24, &2_u32.to_le_bytes());
        put(32, &32768_u32.to_le_bytes());
        put(40, &128_u32.to_le_bytes());
        put(56, &[0x53, 0xef]);
        put(76, &1_u32.to_le_bytes());
        put(88, &256_u16.to_le_bytes());
        put(92, &4_u32.to_le_bytes());
        put(96, &0x42_u32.to_le_bytes());
        put(100, &0x1_u32.to_le_bytes());
        head
    }

    #[test]
    fn images_by_their_content() {
        let squashfs = image(200_000);
        assert_eq!(image_kind(&squashfs[..HEAD], Some(200_000)), Ok(Kind::Squashfs));
        assert_eq!(image_kind(&squashfs[..HEAD], None), Ok(Kind::Squashfs));
        assert_eq!(image_kind(&iso(1000), Some(2_048_000)), Ok(Kind::Iso9660));
        assert_eq!(image_kind(&erofs(100), Some(409_600)), Ok(Kind::Erofs));
        assert_eq!(image_kind(&ext4(100), Some(409_600)), Ok(Kind::Ext4));
        // A hybrid ISO has a boot sector in front.
        let mut hybrid = iso(1000);
        hybrid[510..512].copy_from_slice(&[0x55, 0xaa]);
        hybrid[446..462].copy_from_slice(&[0x80, 0, 1, 0, 0x17, 0xfe, 0xff, 0xff, 0, 0, 0, 0, 0, 16, 0, 0]);
        assert_eq!(image_kind(&hybrid, None), Ok(Kind::Iso9660));
        // A file that is shorter than what is looked at.
        let small = image(5000);
        assert_eq!(image_kind(&small, Some(5000)), Ok(Kind::Squashfs));
    }

    #[test]
    fn files_that_are_cut() {
        let cut = |kind, needs, has| Err(NoImage::Cut { kind, needs, has });
        assert_eq!(image_kind(&image(200_000)[..HEAD], Some(199_999)), cut("squashfs", 200_000, 199_999));
        assert_eq!(image_kind(&erofs(100), Some(409_599)), cut("erofs", 409_600, 409_599));
        assert_eq!(image_kind(&ext4(100), Some(1)), cut("ext4", 409_600, 1));
        // Less than 1 MiB of an ISO is padding.
        assert_eq!(image_kind(&iso(1000), Some(2_048_000 - PADDING)), Ok(Kind::Iso9660));
        let has = 2_048_000 - PADDING - 1;
        assert_eq!(image_kind(&iso(1000), Some(has)), cut("iso9660", 2_048_000, has));
        let words = image_kind(&image(200_000)[..HEAD], Some(100_000)).unwrap_err().to_string();
        assert_eq!(words, "the file on the server is cut: its squashfs needs 200000 bytes (195 KiB), it has 100000");
    }

    #[test]
    fn what_is_packed() {
        let packed = |head: &[u8]| match sniff(head, Some(5), None) {
            Ok(Content::Packed(packing)) => Some(packing),
            _ => None,
        };
        assert_eq!(packed(b"\xfd7zXZ\0\0\x04"), Some(Packing::Xz));
        assert_eq!(packed(b"\x28\xb5\x2f\xfd\x04"), Some(Packing::Zstd));
        assert_eq!(packed(b"\x50\x2a\x4d\x18\0"), Some(Packing::Zstd));
        assert_eq!(packed(b"\x1f\x8b\x08\0"), Some(Packing::Gzip));
        assert_eq!(packed(b"\x1f\x8b\x07\0"), None);
        assert_eq!(packed(b"\x1f"), None);
    }

    #[test]
    fn what_came_instead_is_shown() {
        let page = b"<!DOCTYPE html>\n<html><title>\x1b[31mLog in to Hotel Wi-Fi \xc3\xa4</title>";
        let error = sniff(page, None, Some("text/html; charset=utf-8\x1b]")).unwrap_err();
        let shown = "<!DOCTYPE html>\\x0a<html><title>\\x1b[31mL";
        assert_eq!(
            error,
            NoImage::Foreign { kind: Some("text/html; charset=utf-8\\x1b]".into()), begins: shown[..40].into() }
        );
        assert!(error.to_string().contains("text/html; charset=utf-8") && !error.to_string().contains('\x1b'));
        let zeros = sniff(&[0; HEAD], None, None).unwrap_err();
        assert!(zeros.to_string().contains("without a type, begins with `\\x00\\x00"), "{zeros}");
        assert_eq!(sniff(b"", None, None), Err(NoImage::Empty));
        let mut luks = vec![0; HEAD];
        luks[..8].copy_from_slice(b"LUKS\xba\xbe\0\x01");
        assert!(matches!(sniff(&luks, None, None), Err(NoImage::Other("crypto_LUKS") | NoImage::Foreign { .. })));
    }

    /// Damaged superblocks: the readers have fuzz targets of their own; here, that what is around them holds.
    #[test]
    fn damaged_images_do_no_harm() {
        let mut seed = 88_172_645_463_325_252_u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for sample in [image(HEAD), iso(9), erofs(9), ext4(9)] {
            for _ in 0..300 {
                let mut bytes = sample.clone();
                for _ in 0..8 {
                    let at = random() as usize % 2048 + if sample[0x8000] == 1 { 0x8000 } else { 0 };
                    bytes[at] = random() as u8;
                }
                bytes.truncate(1 + random() as usize % HEAD);
                if let Err(error) = sniff(&bytes, Some(random()), None) {
                    assert!(!error.to_string().chars().any(char::is_control));
                }
            }
        }
    }
}

//! How a file system was left: in order, by a session of ours that a power cut has ended, or by somebody who may only sleep.
//!
//! What is on the disk of a system that sleeps is not all that it knows. Writing there destroys it, and nothing on the disk says
//! "asleep" (attacks.md F3): so only marks count that a clean end leaves, or signs that only a session of ours leaves and that
//! every other system which mounts the file system afterwards changes.
//!
//! | file system | clean end | a session of ours |
//! |---|---|---|
//! | ext2, ext3, ext4 | state in the superblock, empty journal | path and time of the last mount: the path has the time in it ([`signing_path`]) |
//! | XFS | the log ends with an unmount | the buffers of the last record have our size ([`xfs_log::OURS`]) |
//! | FAT, exFAT | a bit | a note with a [`fingerprint`] of the allocation and the root directory |
//! | NTFS | a bit | nothing: without a check its own driver does not write to it |
//! | btrfs | nothing | nothing |

use std::io::{Read, Seek};

use sha2::{Digest, Sha256};

use super::bytes::{Fields, read_at};
use super::journal::{self, LAST_MOUNTED, Pending};
use super::source::Input;
use super::xfs_log::{self, End};
use super::{Error, Kind, Superblock, exfat, fat};

/// How a file system was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Unmounted in order.
    InOrder,
    /// By a session of ours: what is unfinished there is ours, and nobody has mounted it since.
    ByUs,
    /// Mounted for writing, and nothing was written: by us in the moment before we sign, or by somebody. Or by a live session of another
    /// program, which leaves no sign that others change.
    Idle,
    /// It has no marks that would say.
    Unmarked,
    /// Not in order, and nothing says that it was us.
    ByOthers,
}

/// Where the mount time is in the superblock of an ext, in seconds.
const MOUNT_TIME: usize = 0x2c;
/// Directories in which an ext is signed begin so.
const SIGNED: &str = "/rdlive/at-";

/// Below `/run`, the directory in which an ext that was mounted at this time is shown while its first file is opened: the kernel
/// writes the path into the superblock.
pub fn signing_path(mounted: u32) -> String {
    format!("run{SIGNED}{mounted:08x}")
}

/// Where live systems of other programs mount the host of an ISO file and a named place (kiwi-live, dracut). They never sleep.
const LIVE: [&str; 3] = ["/run/initramfs/isoscan", "/run/initramfs/overlayfs", "/run/overlayfs-backing"];

fn path(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field.split(|byte| *byte == 0).next()?).ok()
}

/// Whether the path is that of a live session which leaves no sign.
fn is_live(field: &[u8]) -> bool {
    path(field).is_some_and(|path| LIVE.iter().any(|live| path.ends_with(live)))
}

/// The time in a path of [`signing_path`], which is padded with zeros.
fn signed(field: &[u8]) -> Option<u32> {
    let path = path(field)?;
    let (_, time) = path.rsplit_once(SIGNED)?;
    u32::from_str_radix(time, 16).ok().filter(|_| time.len() == 8)
}

/// When an ext was mounted for writing last, in seconds; `None` when it is none.
pub fn mount_time<R: Read + Seek>(reader: &mut R) -> Option<u32> {
    let sb = read_at(&mut (reader as &mut dyn Input), "the ext superblock", 1024, 1024).ok()?;
    sb.le32(MOUNT_TIME).filter(|_| sb.has(0x38, &[0x53, 0xef]))
}

/// How a file system was left. `note` is what a session of ours has written down of it, if that is there.
pub fn left<R: Read + Seek>(reader: &mut R, found: &Superblock, note: Option<&[u8]>) -> Left {
    how(&mut (reader as &mut dyn Input), found, note)
}

fn how(reader: &mut &mut dyn Input, found: &Superblock, note: Option<&[u8]>) -> Left {
    match (found.kind, found.dirty) {
        (Kind::Ext2 | Kind::Ext3 | Kind::Ext4, true) => ext(reader, found.kind).unwrap_or(Left::ByOthers),
        (Kind::Xfs, false) => match xfs_log::end(reader) {
            Some(End::InOrder) => Left::InOrder,
            Some(End::Pending(xfs_log::OURS)) if xfs_log::takes_ours(reader) => Left::ByUs,
            Some(End::Pending(_)) | None => Left::ByOthers,
        },
        (Kind::Vfat | Kind::Exfat, true) => {
            match note
                .is_some_and(|note| fingerprint(reader, found).is_some_and(|now| note.starts_with(now.as_bytes())))
            {
                true => Left::ByUs,
                false => Left::ByOthers,
            }
        }
        (Kind::Btrfs, _) => Left::Unmarked,
        (_, true) => Left::ByOthers,
        (_, false) => Left::InOrder,
    }
}

/// Whether a journal has something that is not in its place yet, so that who does not replay it may miss files.
pub fn is_pending<R: Read + Seek>(reader: &mut R, found: &Superblock) -> bool {
    const INCOMPAT_RECOVER: u32 = 0x4;
    let reader = &mut (reader as &mut dyn Input);
    match found.kind {
        Kind::Ext3 | Kind::Ext4 => {
            let sb = read_at(reader, "the ext superblock", 1024, 1024).unwrap_or_default();
            let recover = sb.le32(0x60).is_some_and(|features| features & INCOMPAT_RECOVER != 0);
            recover && journal::pending(reader) != Some(Pending::Nothing)
        }
        Kind::Xfs => matches!(xfs_log::end(reader), Some(End::Pending(_))),
        Kind::Btrfs | Kind::Ntfs => found.dirty,
        _ => false,
    }
}

/// Where the journal has a complete transaction, the newest path of the last mount may still be in it only.
fn ext(reader: &mut &mut dyn Input, kind: Kind) -> Option<Left> {
    let sb = read_at(reader, "the ext superblock", 1024, 1024).ok()?;
    let (at, length) = LAST_MOUNTED;
    let mounted = sb.le32(MOUNT_TIME)?;
    let ours = |field: &[u8]| signed(field) == Some(mounted);
    let last = sb.span(at, length)?;
    let pending = if kind == Kind::Ext2 { None } else { journal::pending(reader) };
    Some(match pending {
        _ if ours(last) => Left::ByUs,
        Some(Pending::Something(Some(field))) if ours(&field) => Left::ByUs,
        Some(Pending::Something(Some(field))) if !is_live(&field) => Left::ByOthers,
        Some(Pending::Something(Some(_)) | Pending::Nothing) => Left::Idle,
        _ if is_live(last) => Left::Idle,
        Some(Pending::Something(_)) | None => Left::ByOthers,
    })
}

/// What every other system that writes to a FAT or exFAT changes, and a session of ours does not, whose file has all its room:
/// the beginning of the allocation and the names, places and lengths in the root directory, without times. 64 hexadecimal digits;
/// `None` when it cannot be read, or is another file system.
pub fn fingerprint<R: Read + Seek>(reader: &mut R, found: &Superblock) -> Option<String> {
    let reader = &mut (reader as &mut dyn Input);
    let bytes: Result<Option<Vec<u8>>, Error> = match found.kind {
        Kind::Vfat => fat::allocation(reader),
        Kind::Exfat => exfat::allocation(reader),
        _ => return None,
    };
    let mut hasher = Sha256::new();
    hasher.update(found.kind.name());
    hasher.update(found.uuid.as_deref().unwrap_or_default());
    hasher.update(bytes.ok().flatten()?);
    Some(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The name of the note with a [`fingerprint`], at the top of its file system.
pub const NOTE: &str = ".rdlive-host";
/// Its length in bytes: what a disk writes as a whole.
pub const NOTE_LENGTH: usize = 512;

/// Whether a note was written as a whole: it says something, be it that somebody else has written since.
pub fn is_whole(note: &[u8]) -> bool {
    note.len() == NOTE_LENGTH && note[..64].iter().all(u8::is_ascii_hexdigit)
}

/// What stands in the note behind the fingerprint, for people.
const TEXT: &str = "\nA live system (rdlive) has written to this disk and was not shut down yet, or this is how it looked then.\n\
                    If the power fails meanwhile, this tells the next live system that nobody else has written here since.\n";

/// Whether a file of the note's name is one that may be written over: a note, one that is being changed, or what a cut has left of its
/// making. Anybody may have a file of that name.
pub fn is_ours(content: &[u8]) -> bool {
    let of_length = content.len() == NOTE_LENGTH;
    let whole = is_whole(content) && content[64..].starts_with(TEXT.as_bytes());
    let begun = of_length && content[..64] == [0; 64] && content[128..].iter().all(|byte| *byte == 0);
    of_length && (whole || begun) || is_empty(content)
}

/// Whether nothing was ever written into a note, because a cut has ended its making.
pub fn is_empty(content: &[u8]) -> bool {
    content.len() <= NOTE_LENGTH && content.iter().all(|byte| *byte == 0)
}

/// Whether a session of ours had begun to change what it had noted, and neither it nor anybody else has come to that.
pub fn has_only_begun<R: Read + Seek>(reader: &mut R, found: &Superblock, content: &[u8]) -> bool {
    content.starts_with(&[0; 64]) && fingerprint(reader, found).is_some_and(|now| content == begun(&now))
}

/// The content of the note.
pub fn note(fingerprint: &str) -> Vec<u8> {
    let mut bytes = [fingerprint, TEXT].concat().into_bytes();
    bytes.resize(NOTE_LENGTH, b' ');
    bytes
}

/// The content of the note while what it said is being changed: not whole, and how the file system looked just before.
pub fn begun(fingerprint: &str) -> Vec<u8> {
    let mut bytes = [&[0; 64], fingerprint.as_bytes()].concat();
    bytes.resize(NOTE_LENGTH, 0);
    bytes
}

/// Whether a file system of this kind is signed with a note.
pub fn has_note(driver: &str) -> bool {
    [Kind::Vfat, Kind::Exfat].iter().any(|kind| kind.driver() == Some(driver))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_its_time_is_ours() {
        let field = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(64, 0);
            bytes
        };
        assert_eq!(signed(&field(&format!("/{}", signing_path(0x65f0_a1b2)))), Some(0x65f0_a1b2));
        assert_eq!(signed(&field(&format!("/tmp/x/{}", signing_path(7)))), Some(7));
        assert!(is_live(&field("/run/initramfs/isoscan")) && is_live(&field("/run/initramfs/overlayfs")));
        assert!(!is_live(&field("/home")) && !is_live(&field(&signing_path(7))));
        for other in
            ["/run/initramfs/isoscan", "/", "/run/rdlive/at-", "/run/rdlive/at-65f0a1b", "/run/rdlive/at-zzzzzzzz", ""]
        {
            assert_eq!(signed(&field(other)), None, "{other}");
        }
    }

    /// Where the stripe of the log is as long as the records that we ask for, every system writes such records.
    #[test]
    fn records_of_our_size_say_nothing_where_all_have_it() {
        for (stripe, expected) in [(0, Left::ByUs), (32 << 10, Left::ByUs), (64 << 10, Left::ByOthers)] {
            let mut disk = xfs_log::sample();
            disk[196..200].copy_from_slice(&u32::to_be_bytes(stripe));
            let xfs = Superblock::new(Kind::Xfs);
            assert_eq!(left(&mut std::io::Cursor::new(disk), &xfs, None), expected, "{stripe}");
        }
    }

    #[test]
    fn a_note_has_the_length_of_a_sector() {
        let note = note(&"0".repeat(64));
        assert_eq!(note.len(), NOTE_LENGTH);
        assert!(note.starts_with(&[b'0'; 64]) && is_whole(&note));
        assert!(!is_whole(&begun(&"0".repeat(64))));
        for torn in [&note[..100], &[0; NOTE_LENGTH], &[b'0'; 64]] {
            assert!(!is_whole(torn));
        }
    }

    /// What is written over is a note: somebody may have a file of its name and length.
    #[test]
    fn only_a_note_is_written_over() {
        let (whole, begun) = (note(&"0".repeat(64)), begun(&"0".repeat(64)));
        for ours in [&whole[..], &begun, &[0; NOTE_LENGTH], &[0; 100], &[]] {
            assert!(is_ours(ours), "{ours:?}");
        }
        let mut other = whole.clone();
        other[70] = b'?';
        let mut longer = begun.clone();
        longer[200] = 1;
        for theirs in
            [&other[..], &longer, &[b'x'; NOTE_LENGTH], &[b'0'; NOTE_LENGTH], &whole[..100], &[0; NOTE_LENGTH + 1]]
        {
            assert!(!is_ours(theirs), "{theirs:?}");
        }
        assert!(is_empty(&[0; NOTE_LENGTH]) && is_empty(&[]) && !is_empty(&begun) && !is_empty(&[0; NOTE_LENGTH + 1]));
    }
}

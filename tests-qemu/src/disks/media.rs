//! What is on the partitions of generated disks: small file systems, each made once by programs that are not ours.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::lab::Lab;
use crate::medium::{Fs, Recipe, Table, changed, hybrid_with, image, iso, iso_with, nested};

/// The label of the image that is booted, and what its mark in an area says.
pub const LABEL: &str = "LIVE";
/// What another image's mark says.
pub const OTHER: &str = "ELSE";
/// Where changes are kept that were made before.
pub const CHANGES: &str = "changes";
/// The file beside an ISO file.
pub const COW: &str = "live_system.cow";
/// Where a person has the first of [`PHOTOS`].
pub const PHOTO_DIR: &str = "photos";
/// Files that belong to a person, on each file system that could be written to.
pub const PHOTOS: [&str; 2] = ["photos/one.jpg", "a letter.txt"];

/// In what state an area is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Area {
    /// Made for the image that is booted.
    Own,
    /// Made for another image.
    Other,
    /// By whomever: there is no mark.
    Unmarked,
    /// Its superblock is sound, what lies behind it is not.
    Damaged,
    /// Not a file system, but something.
    Unknown,
}

impl Area {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Own, Self::Other, Self::Unmarked, Self::Damaged, Self::Unknown];
}

/// The files, in the order of [`Area::ALL`] where there is one for each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Media {
    /// A root image by itself, which has no name.
    pub plain: PathBuf,
    /// A medium with a label, as an ISO has one; the host's kernel need not know ISO 9660.
    pub labelled: PathBuf,
    /// Areas in a partition.
    pub areas: Vec<PathBuf>,
    /// File systems with that medium in a file, and a cow file beside it; the last one has none.
    pub hosts: Vec<PathBuf>,
    /// A file system of a person, with changes in a directory.
    pub store: PathBuf,
    /// The same, and the last of the hosts, as a system leaves them that sleeps.
    pub asleep: [PathBuf; 2],
}

/// The UUID of the image that is booted.
const UUID: &str = "11111111-2222-4333-8444-555555555555";

// Checksums would have to be written again where the generator changes a mark.
const FUNCTIONS: &str = r#"
    out=$1; work=$1.work; mkdir "$work"; cd "$work"; trap 'rm -rf --one-file-system "$work"' EXIT
    ext4() { truncate -s $3 $1; mke2fs -q -F -t ext4 -b 4096 -O ^metadata_csum,^resize_inode -E root_owner=0:0 -d $2 "${@:4}" $1; }
    plain() { mkdir -p root/usr; echo from the image > root/usr/mark; mksquashfs root plain -quiet -no-progress; }
    labelled() { plain; mkdir -p top/LiveOS; cp plain top/LiveOS/squashfs.img; ext4 labelled top 4M -O ^has_journal -L LIVE -U UUID; }
    photos() { mkdir -p $1/photos; seq 20000 > "$1/photos/one.jpg"; seq 99 > "$1/a letter.txt"; }
    area() {
        mkdir -p tree/rw/deep tree/work; seq 3000 > tree/rw/deep/old
        case $1 in
            Own) printf '{"volume_id":"LIVE","image_uuid":"UUID","agent":"0"}' > tree/.rdlive-identity ;;
            Other|Damaged) printf '{"volume_id":"ELSE","image_uuid":"x","agent":"0"}' > tree/.rdlive-identity ;;
        esac
        ext4 area tree 40M "${@:2}"
        case $1 in
            Damaged) head -c 4096 /dev/zero | tr '\0' '\377' | dd of=area bs=4096 seek=1 conv=notrunc status=none ;;
            Unknown) rm area; truncate -s 40M area; seq 3000 | dd of=area bs=4096 seek=99 conv=notrunc status=none ;;
        esac
    }
"#;

fn recipe(script: &str) -> Recipe {
    changed(Recipe::Text(""), &format!("{FUNCTIONS}{script}").replace("UUID", UUID))
}

impl Media {
    /// Makes all of them, or finds them in the cache.
    pub fn of(lab: &Lab) -> Result<Self> {
        let file = |script: &str| recipe(script).file(lab);
        let area = |area: &Area| file(&format!(r#"area {area:?} -L cow; cp --sparse=always area "$out""#));
        let hosting = |cow: &str| {
            format!(
                "labelled; rm -r top; mkdir top; photos top; cp labelled top/live.iso; {cow}\next4 host top 96M -L HOST\n"
            )
        };
        let host = |cow: &str| file(&(hosting(cow) + r#"cp --sparse=always host "$out""#));
        let beside = |area: &Area| host(&format!("area {area:?}; cp --sparse=always area top/{COW}"));
        // What is copied while it is mounted was not left in order.
        let asleep = |made: &str, name: &str| {
            file(&format!(
                r#"{made} mkdir at; mount -o loop {name} at; seq 9 > at/new; sync at/new; sync -f at
                cp --sparse=always {name} "$out"; umount at"#
            ))
        };
        let store = format!(
            r#"photos top; mkdir -p top/{CHANGES}/deep top/ovlwork; seq 3000 > top/{CHANGES}/deep/old; ext4 store top 48M -L STORE
            debugfs -w -R "ea_set /{CHANGES} trusted.overlay.impure y" store 2>/dev/null
            "#
        );
        Ok(Self {
            plain: file(r#"plain; cp plain "$out""#)?,
            labelled: file(r#"labelled; cp --sparse=always labelled "$out""#)?,
            areas: Area::ALL.iter().map(area).collect::<Result<_>>()?,
            hosts: Area::ALL.iter().map(beside).chain([host(":")]).collect::<Result<_>>()?,
            store: file(&format!(r#"{store} cp --sparse=always store "$out""#))?,
            asleep: [asleep(&store, "store")?, asleep(&hosting(":"), "host")?],
        })
    }
}

/// What disks for a machine consist of, whose kernel has what the host's lacks.
#[derive(Clone, Debug)]
pub struct GuestMedia {
    /// An ISO that is a disk too.
    pub hybrid: PathBuf,
    /// An ISO whose root is a file system in its container.
    pub nested: PathBuf,
    /// File systems with an ISO file: the driver's name, and whether a system may sleep on it.
    pub hosts: Vec<(&'static str, bool, PathBuf)>,
    /// A file system of a person with a file for a snapshot, of zeros; and of something.
    pub stores: [PathBuf; 2],
}

/// The label of the ISOs.
pub const ISO: &str = "ISO";
/// The file for a snapshot.
pub const STORE: &str = "store";

impl GuestMedia {
    /// Makes all of them, or finds them in the cache.
    pub fn of(lab: &Lab) -> Result<Self> {
        let host = |script: &str| {
            let begin = r#"photos top; mv "$out" top/live.iso"#;
            changed(iso(), &format!("{FUNCTIONS}{begin}\n{script}\nmv host \"$out\"")).file(lab)
        };
        const VFAT: &str = "truncate -s 120M host; mkfs.vfat -F 32 -s 1 -n HOST host >/dev/null
            (cd top; MTOOLS_SKIP_CHECK=1 mcopy -s -Q -i ../host -- * ::/)";
        // What the driver does first: the bit in the boot sector, and in its copy in the sixth.
        let dirty = format!(
            r"{VFAT}
            for at in 65 $((6 * 512 + 65)); do printf '\001' | dd of=host bs=1 seek=$at conv=notrunc status=none; done"
        );
        const XFS: &str = "truncate -s 400M host; mkfs.xfs -q -L HOST host; mkdir at; mount -o loop host at
            cp -a top/. at; umount at";
        const BTRFS: &str = "truncate -s 240M host; mkfs.btrfs -q -L HOST --rootdir top host";
        let store = |content: &str| {
            let script = format!("photos top; {content} > top/{STORE}; ext4 store top 64M -L P; mv store \"$out\"");
            recipe(&script).file(lab)
        };
        Ok(Self {
            hybrid: hybrid_with(Table::Mbr, image(Fs::Squashfs("zstd")), 0).file(lab)?,
            nested: iso_with(ISO, nested(Fs::Ext4)).file(lab)?,
            hosts: vec![
                ("vfat", false, host(VFAT)?),
                ("vfat", true, host(&dirty)?),
                ("xfs", false, host(XFS)?),
                ("btrfs", false, host(BTRFS)?),
            ],
            stores: [store("head -c 32M /dev/zero")?, store("seq 3000000")?],
        })
    }
}

/// What a script says: the numbers up to `last`, one a line.
pub fn lines(last: u32) -> Vec<u8> {
    (1..=last).map(|number| format!("{number}\n")).collect::<String>().into_bytes()
}

//! The kinds of content, and what the kernel needs to use each of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What mounting a kind takes.
struct Mount {
    driver: &'static str,
    module: &'static str,
    config: &'static str,
}

/// The kinds, each with blkid's word; what can be mounted has the kernel's type, its module and the option that builds it.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal $(($driver:literal, $module:literal, $config:literal))?,)*) => {
        /// What a device or file contains.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: [Self; [$(stringify!($kind)),*].len()] = [$(Self::$kind),*];

            /// blkid's word: `iso9660`, `crypto_LUKS`, ….
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            const fn mount(self) -> Option<Mount> {
                match self {
                    $($(Self::$kind => Some(Mount { driver: $driver, module: $module, config: $config }),)?)*
                    _ => None,
                }
            }
        }
    };
}

// The ext4 driver mounts ext2 and ext3 too; the ext3 driver is gone since Linux 4.3 and ext2 is rarely built.
kinds! {
    /// ISO 9660, with or without extensions.
    Iso9660 = "iso9660" ("iso9660", "isofs", "CONFIG_ISO9660_FS"),
    /// UDF without an ISO 9660 volume beside it.
    Udf = "udf" ("udf", "udf", "CONFIG_UDF_FS"),
    /// squashfs.
    Squashfs = "squashfs" ("squashfs", "squashfs", "CONFIG_SQUASHFS"),
    /// EROFS.
    Erofs = "erofs" ("erofs", "erofs", "CONFIG_EROFS_FS"),
    /// ext2.
    Ext2 = "ext2" ("ext4", "ext4", "CONFIG_EXT4_FS"),
    /// ext3.
    Ext3 = "ext3" ("ext4", "ext4", "CONFIG_EXT4_FS"),
    /// ext4.
    Ext4 = "ext4" ("ext4", "ext4", "CONFIG_EXT4_FS"),
    /// The external journal of an ext3 or ext4.
    Jbd = "jbd",
    /// XFS.
    Xfs = "xfs" ("xfs", "xfs", "CONFIG_XFS_FS"),
    /// btrfs.
    Btrfs = "btrfs" ("btrfs", "btrfs", "CONFIG_BTRFS_FS"),
    /// FAT12, FAT16 or FAT32.
    Vfat = "vfat" ("vfat", "vfat", "CONFIG_VFAT_FS"),
    /// exFAT.
    Exfat = "exfat" ("exfat", "exfat", "CONFIG_EXFAT_FS"),
    /// NTFS.
    Ntfs = "ntfs" ("ntfs3", "ntfs3", "CONFIG_NTFS3_FS"),
    /// LUKS 1 or 2.
    Luks = "crypto_LUKS",
    /// Swap space.
    Swap = "swap",
    /// Swap space that holds a suspended system: nothing this system has open may be changed.
    Hibernation = "swsuspend",
    /// COW store of a device-mapper snapshot.
    SnapshotCow = "DM_snapshot_cow",
    /// LVM physical volume.
    Lvm = "LVM2_member",
    /// Member of a Linux software RAID.
    Raid = "linux_raid_member",
    /// BitLocker.
    Bitlocker = "BitLocker",
    /// ReFS of Windows.
    Refs = "ReFS",
    /// APFS of Apple.
    Apfs = "apfs",
    /// BlueStore of Ceph.
    CephBluestore = "ceph_bluestore",
    /// Volume of the first LVM.
    Lvm1 = "LVM1_member",
    /// VDO, which stores what is equal once.
    Vdo = "vdo",
    /// dm-integrity.
    Integrity = "DM_integrity",
    /// Digests of dm-verity.
    Verity = "DM_verity_hash",
    /// Stratis.
    Stratis = "stratis",
    /// Oracle ASM.
    OracleAsm = "oracleasm",
    /// bcachefs.
    Bcachefs = "bcachefs",
    /// bcache.
    Bcache = "bcache",
    /// F2FS.
    F2fs = "f2fs",
    /// JFS.
    Jfs = "jfs",
    /// ReiserFS and Reiser4.
    Reiserfs = "reiserfs",
    /// OCFS2 and OCFS.
    Ocfs2 = "ocfs2",
    /// GFS2 and GFS.
    Gfs2 = "gfs2",
    /// UFS of the BSDs.
    Ufs = "ufs",
    /// VxFS.
    Vxfs = "vxfs",
    /// BFS of BeOS and Haiku.
    Befs = "befs",
    /// HPFS of OS/2.
    Hpfs = "hpfs",
    /// romfs.
    Romfs = "romfs",
    /// cramfs.
    Cramfs = "cramfs",
    /// UBI or UBIFS.
    Ubi = "ubi",
    /// zonefs.
    Zonefs = "zonefs",
    /// NILFS2.
    Nilfs2 = "nilfs2",
    /// HFS+ of Apple.
    Hfsplus = "hfsplus",
    /// HFS of Apple.
    Hfs = "hfs",
    /// MINIX.
    Minix = "minix",
    /// VMFS of VMware.
    Vmfs = "VMFS_volume_member",
    /// ZFS.
    Zfs = "zfs_member",
    /// DRBD, and what its manager and its proxy keep.
    Drbd = "drbd",
    /// Member of a RAID that a mainboard's firmware makes (Intel, Promise, NVIDIA, LSI, DDF, …).
    FirmwareRaid = "firmware_raid_member",
    /// BFS of SCO UnixWare.
    Bfs = "bfs",
    /// The file system of System V.
    Sysv = "sysv",
    /// The file system of Xenix.
    Xenix = "xenix",
    /// NSS of NetWare.
    Nss = "nss",
    /// mpool.
    Mpool = "mpool",
    /// EXFS.
    Exfs = "exfs",
    /// A Core Storage volume of Apple, which FileVault 2 encrypts.
    Fvault = "cs_fvault2",
    /// squashfs before version 4, which no kernel reads.
    Squashfs3 = "squashfs3",
    /// The log of an XFS that lies on another device.
    XfsLog = "xfs_external_log",
}

impl Kind {
    /// The kernel's file-system type to mount with, `None` if it cannot be mounted.
    #[must_use]
    pub const fn driver(self) -> Option<&'static str> {
        match self.mount() {
            Some(mount) => Some(mount.driver),
            None => None,
        }
    }

    /// Whether the kernel's driver can write to it.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        matches!(
            self,
            Self::Vfat | Self::Exfat | Self::Ntfs | Self::Ext2 | Self::Ext3 | Self::Ext4 | Self::Xfs | Self::Btrfs
        )
    }

    /// The kernel module that holds [`Kind::driver`].
    #[must_use]
    pub const fn module(self) -> Option<&'static str> {
        match self.mount() {
            Some(mount) => Some(mount.module),
            None => None,
        }
    }

    /// The kernel option that builds [`Kind::driver`].
    #[must_use]
    pub const fn config_option(self) -> Option<&'static str> {
        match self.mount() {
            Some(mount) => Some(mount.config),
            None => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the data of a squashfs or EROFS is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compressor {
    /// zlib.
    Gzip,
    /// LZMA: the old format in squashfs (no kernel reads it), `MicroLZMA` in EROFS.
    Lzma,
    /// LZO.
    Lzo,
    /// XZ.
    Xz,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
    /// Raw deflate (EROFS).
    Deflate,
    /// Not compressed.
    None,
    /// An id this program does not know.
    Unknown(u16),
}

/// Every kernel option that decides whether a container can be read; distributions leave some of them out.
pub const DECOMPRESSION_OPTIONS: [&str; 9] = [
    "CONFIG_SQUASHFS_ZLIB",
    "CONFIG_SQUASHFS_LZO",
    "CONFIG_SQUASHFS_XZ",
    "CONFIG_SQUASHFS_LZ4",
    "CONFIG_SQUASHFS_ZSTD",
    "CONFIG_EROFS_FS_ZIP",
    "CONFIG_EROFS_FS_ZIP_LZMA",
    "CONFIG_EROFS_FS_ZIP_DEFLATE",
    "CONFIG_EROFS_FS_ZIP_ZSTD",
];

impl Compressor {
    /// The word that mksquashfs and mkfs.erofs use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Lzma => "lzma",
            Self::Lzo => "lzo",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
            Self::None => "none",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The kernel option that reads this compressor in a file system of `kind`.
    ///
    /// `None` when there is nothing to build in: no compression, or no kernel can read it.
    #[must_use]
    pub const fn config_option(self, kind: Kind) -> Option<&'static str> {
        match (kind, self) {
            (Kind::Squashfs, Self::Gzip) => Some("CONFIG_SQUASHFS_ZLIB"),
            (Kind::Squashfs, Self::Lzo) => Some("CONFIG_SQUASHFS_LZO"),
            (Kind::Squashfs, Self::Xz) => Some("CONFIG_SQUASHFS_XZ"),
            (Kind::Squashfs, Self::Lz4) => Some("CONFIG_SQUASHFS_LZ4"),
            (Kind::Squashfs, Self::Zstd) => Some("CONFIG_SQUASHFS_ZSTD"),
            (Kind::Erofs, Self::Lz4) => Some("CONFIG_EROFS_FS_ZIP"),
            (Kind::Erofs, Self::Lzma) => Some("CONFIG_EROFS_FS_ZIP_LZMA"),
            (Kind::Erofs, Self::Deflate) => Some("CONFIG_EROFS_FS_ZIP_DEFLATE"),
            (Kind::Erofs, Self::Zstd) => Some("CONFIG_EROFS_FS_ZIP_ZSTD"),
            _ => None,
        }
    }
}

impl fmt::Display for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(id) => write!(f, "unknown ({id})"),
            known => f.write_str(known.name()),
        }
    }
}

#[cfg(test)]
mod tests;

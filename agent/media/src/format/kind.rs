//! The kinds of content, and what the kernel needs to use each of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a device or file contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// ISO 9660, with or without extensions.
    Iso9660,
    /// UDF without an ISO 9660 volume beside it.
    Udf,
    /// squashfs.
    Squashfs,
    /// EROFS.
    Erofs,
    /// ext2.
    Ext2,
    /// ext3.
    Ext3,
    /// ext4.
    Ext4,
    /// The external journal of an ext3 or ext4.
    Jbd,
    /// XFS.
    Xfs,
    /// btrfs.
    Btrfs,
    /// FAT12, FAT16 or FAT32.
    Vfat,
    /// exFAT.
    Exfat,
    /// NTFS.
    Ntfs,
    /// LUKS 1 or 2.
    Luks,
    /// Swap space.
    Swap,
    /// Swap space that holds a suspended system: nothing this system has open may be changed.
    Hibernation,
    /// COW store of a device-mapper snapshot.
    SnapshotCow,
    /// LVM physical volume.
    Lvm,
    /// Member of a Linux software RAID.
    Raid,
    /// BitLocker.
    Bitlocker,
    /// ReFS of Windows.
    Refs,
    /// APFS of Apple.
    Apfs,
    /// BlueStore of Ceph.
    CephBluestore,
    /// Volume of the first LVM.
    Lvm1,
    /// VDO, which stores what is equal once.
    Vdo,
    /// dm-integrity.
    Integrity,
    /// Digests of dm-verity.
    Verity,
    /// Stratis.
    Stratis,
    /// Oracle ASM.
    OracleAsm,
    /// bcachefs.
    Bcachefs,
    /// bcache.
    Bcache,
    /// F2FS.
    F2fs,
    /// JFS.
    Jfs,
    /// ReiserFS and Reiser4.
    Reiserfs,
    /// OCFS2 and OCFS.
    Ocfs2,
    /// GFS2 and GFS.
    Gfs2,
    /// UFS of the BSDs.
    Ufs,
    /// VxFS.
    Vxfs,
    /// BFS of BeOS and Haiku.
    Befs,
    /// HPFS of OS/2.
    Hpfs,
    /// romfs.
    Romfs,
    /// cramfs.
    Cramfs,
    /// UBI or UBIFS.
    Ubi,
    /// zonefs.
    Zonefs,
    /// NILFS2.
    Nilfs2,
    /// HFS+ of Apple.
    Hfsplus,
    /// HFS of Apple.
    Hfs,
    /// MINIX.
    Minix,
    /// VMFS of VMware.
    Vmfs,
    /// ZFS.
    Zfs,
    /// DRBD, and what its manager and its proxy keep.
    Drbd,
    /// Member of a RAID that a mainboard's firmware makes (Intel, Promise, NVIDIA, LSI, DDF, …).
    FirmwareRaid,
    /// BFS of SCO UnixWare.
    Bfs,
    /// The file system of System V.
    Sysv,
    /// The file system of Xenix.
    Xenix,
    /// NSS of NetWare.
    Nss,
    /// mpool.
    Mpool,
    /// EXFS.
    Exfs,
    /// A Core Storage volume of Apple, which FileVault 2 encrypts.
    Fvault,
    /// squashfs before version 4, which no kernel reads.
    Squashfs3,
    /// The log of an XFS that lies on another device.
    XfsLog,
}

/// One row per kind: blkid's word, the type to mount with, the module, the kernel option.
struct Row {
    name: &'static str,
    mount: Option<Mount>,
}

/// What mounting a kind takes.
struct Mount {
    driver: &'static str,
    module: &'static str,
    config: &'static str,
}

const fn plain(name: &'static str) -> Row {
    Row { name, mount: None }
}

const fn mountable(name: &'static str, driver: &'static str, module: &'static str, config: &'static str) -> Row {
    Row { name, mount: Some(Mount { driver, module, config }) }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 61] = [
        Self::Iso9660,
        Self::Udf,
        Self::Squashfs,
        Self::Erofs,
        Self::Ext2,
        Self::Ext3,
        Self::Ext4,
        Self::Jbd,
        Self::Xfs,
        Self::Btrfs,
        Self::Vfat,
        Self::Exfat,
        Self::Ntfs,
        Self::Luks,
        Self::Swap,
        Self::Hibernation,
        Self::SnapshotCow,
        Self::Lvm,
        Self::Raid,
        Self::Bitlocker,
        Self::Refs,
        Self::Apfs,
        Self::CephBluestore,
        Self::Lvm1,
        Self::Vdo,
        Self::Integrity,
        Self::Verity,
        Self::Stratis,
        Self::OracleAsm,
        Self::Bcachefs,
        Self::Bcache,
        Self::F2fs,
        Self::Jfs,
        Self::Reiserfs,
        Self::Ocfs2,
        Self::Gfs2,
        Self::Ufs,
        Self::Vxfs,
        Self::Befs,
        Self::Hpfs,
        Self::Romfs,
        Self::Cramfs,
        Self::Ubi,
        Self::Zonefs,
        Self::Nilfs2,
        Self::Hfsplus,
        Self::Hfs,
        Self::Minix,
        Self::Vmfs,
        Self::Zfs,
        Self::Drbd,
        Self::FirmwareRaid,
        Self::Bfs,
        Self::Sysv,
        Self::Xenix,
        Self::Nss,
        Self::Mpool,
        Self::Exfs,
        Self::Fvault,
        Self::Squashfs3,
        Self::XfsLog,
    ];

    // The ext4 driver mounts ext2 and ext3 too; the ext3 driver is gone since Linux 4.3 and ext2 is rarely built.
    const fn row(self) -> Row {
        match self {
            Self::Iso9660 => mountable("iso9660", "iso9660", "isofs", "CONFIG_ISO9660_FS"),
            Self::Udf => mountable("udf", "udf", "udf", "CONFIG_UDF_FS"),
            Self::Squashfs => mountable("squashfs", "squashfs", "squashfs", "CONFIG_SQUASHFS"),
            Self::Erofs => mountable("erofs", "erofs", "erofs", "CONFIG_EROFS_FS"),
            Self::Ext2 => mountable("ext2", "ext4", "ext4", "CONFIG_EXT4_FS"),
            Self::Ext3 => mountable("ext3", "ext4", "ext4", "CONFIG_EXT4_FS"),
            Self::Ext4 => mountable("ext4", "ext4", "ext4", "CONFIG_EXT4_FS"),
            Self::Jbd => plain("jbd"),
            Self::Xfs => mountable("xfs", "xfs", "xfs", "CONFIG_XFS_FS"),
            Self::Btrfs => mountable("btrfs", "btrfs", "btrfs", "CONFIG_BTRFS_FS"),
            Self::Vfat => mountable("vfat", "vfat", "vfat", "CONFIG_VFAT_FS"),
            Self::Exfat => mountable("exfat", "exfat", "exfat", "CONFIG_EXFAT_FS"),
            Self::Ntfs => mountable("ntfs", "ntfs3", "ntfs3", "CONFIG_NTFS3_FS"),
            Self::Luks => plain("crypto_LUKS"),
            Self::Swap => plain("swap"),
            Self::Hibernation => plain("swsuspend"),
            Self::SnapshotCow => plain("DM_snapshot_cow"),
            Self::Lvm => plain("LVM2_member"),
            Self::Raid => plain("linux_raid_member"),
            Self::Bitlocker => plain("BitLocker"),
            Self::Refs => plain("ReFS"),
            Self::Apfs => plain("apfs"),
            Self::CephBluestore => plain("ceph_bluestore"),
            Self::Lvm1 => plain("LVM1_member"),
            Self::Vdo => plain("vdo"),
            Self::Integrity => plain("DM_integrity"),
            Self::Verity => plain("DM_verity_hash"),
            Self::Stratis => plain("stratis"),
            Self::OracleAsm => plain("oracleasm"),
            Self::Bcachefs => plain("bcachefs"),
            Self::Bcache => plain("bcache"),
            Self::F2fs => plain("f2fs"),
            Self::Jfs => plain("jfs"),
            Self::Reiserfs => plain("reiserfs"),
            Self::Ocfs2 => plain("ocfs2"),
            Self::Gfs2 => plain("gfs2"),
            Self::Ufs => plain("ufs"),
            Self::Vxfs => plain("vxfs"),
            Self::Befs => plain("befs"),
            Self::Hpfs => plain("hpfs"),
            Self::Romfs => plain("romfs"),
            Self::Cramfs => plain("cramfs"),
            Self::Ubi => plain("ubi"),
            Self::Zonefs => plain("zonefs"),
            Self::Nilfs2 => plain("nilfs2"),
            Self::Hfsplus => plain("hfsplus"),
            Self::Hfs => plain("hfs"),
            Self::Minix => plain("minix"),
            Self::Vmfs => plain("VMFS_volume_member"),
            Self::Zfs => plain("zfs_member"),
            Self::Drbd => plain("drbd"),
            Self::FirmwareRaid => plain("firmware_raid_member"),
            Self::Bfs => plain("bfs"),
            Self::Sysv => plain("sysv"),
            Self::Xenix => plain("xenix"),
            Self::Nss => plain("nss"),
            Self::Mpool => plain("mpool"),
            Self::Exfs => plain("exfs"),
            Self::Fvault => plain("cs_fvault2"),
            Self::Squashfs3 => plain("squashfs3"),
            Self::XfsLog => plain("xfs_external_log"),
        }
    }

    /// blkid's word: `iso9660`, `crypto_LUKS`, ….
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The kernel's file-system type to mount with, `None` if it cannot be mounted.
    #[must_use]
    pub const fn driver(self) -> Option<&'static str> {
        match self.row().mount {
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
        match self.row().mount {
            Some(mount) => Some(mount.module),
            None => None,
        }
    }

    /// The kernel option that builds [`Kind::driver`].
    #[must_use]
    pub const fn config_option(self) -> Option<&'static str> {
        match self.row().mount {
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
mod tests {
    use super::*;

    #[test]
    fn every_mountable_kind_names_module_and_option() {
        for kind in Kind::ALL {
            let known = kind.driver().is_some();
            assert_eq!(kind.module().is_some(), known, "{kind}");
            assert_eq!(kind.config_option().is_some_and(|o| o.starts_with("CONFIG_")), known, "{kind}");
        }
    }

    #[test]
    fn json_words_are_lower_case() {
        let words: Vec<String> = Kind::ALL.iter().map(|kind| serde_json::to_string(kind).unwrap()).collect();
        assert_eq!(words[0], "\"iso9660\"");
        assert!(words.contains(&"\"snapshotcow\"".to_owned()), "{words:?}");
    }
}

//! The names that agent, builder and lab share: files on a medium, paths in `/run`, mount sources.

/// Directory of the live image on the medium, unless `rd.live.dir` names another.
pub const LIVE_DIR: &str = "LiveOS";
/// The container (squashfs or EROFS) in [`LIVE_DIR`], unless `rd.live.squashimg` names another.
pub const SQUASHIMG: &str = "squashfs.img";
/// The nested root image inside a container or beside it.
pub const ROOTFS_IMG: &str = "rootfs.img";
/// Older name of [`ROOTFS_IMG`], still used by some distributions (dracut-live spec 8.2, `ext3fs.img`).
pub const EXT3FS_IMG: &str = "ext3fs.img";
/// Directory at the top of a medium that is copied over the root (dracut-live spec 2.13).
pub const UPDATES: &str = "updates";
/// Mount source of an overlay root; installers and desktop tools test for this name.
pub const ROOT_SOURCE: &str = "LiveOS_rootfs";
/// Mount source of a device-mapper root, known to the same programs.
pub const ROOT_DEVICE: &str = "/dev/mapper/live-rw";
/// Settings that the builder or the dracut module puts into an initrd.
pub const CONF: &str = "etc/rdlive.conf";
/// Module index of a native initramfs, relative to its root.
pub const MODULE_INDEX: &str = "usr/lib/rdlive/modules.index";
/// Dictionary of the compressed modules of a native initramfs ([`crate::packed::seal`]), relative to its root.
pub const MODULE_DICTIONARY: &str = "usr/lib/rdlive/modules.dict";
/// Directory of what a medium says about itself. Beside [`INFO`] it has a file whose name, 16 hexadecimal digits, marks the build.
pub const MARKS: &str = ".rdlive";
/// What a medium of our builder says about itself, relative to its root.
pub const INFO: &str = ".rdlive/info.json";
/// What a deployment of ours notes at the end of a disk begins with this.
pub const DEPLOYED_MAGIC: &[u8; 16] = b"rdlive deploying";
/// So many bytes before the end of a disk lies the mark of an image that was deployed there.
pub const DEPLOYED_ROOM: u64 = 1 << 20;
/// Report of the boot, relative to the root of the agent's environment.
pub const REPORT: &str = "run/rdlive/report.json";
/// Why the boot stopped, as lines for a person; dracut's emergency hook prints it.
pub const ERROR: &str = "run/rdlive/error";
/// Links to layers of the root whose own paths an overlay cannot be told.
pub const LAYERS: &str = "run/rdlive/layers";
/// This program in the live system, whether or not that has it.
pub const COMMAND: &str = "run/rdlive/rdlive";

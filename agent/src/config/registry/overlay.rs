//! Kargs about the writable layer: its kind, its size, where it is kept.

use super::{Karg, Origin, ValueKind, alias, table};

table! { OVERLAYS_TABLE:
    OVERLAY = Karg::new("rd.overlay", ValueKind::Text, Origin::Dracut, "Overlayfs on or off, and where changes are kept; also over a root that is no live system")
        .since("dracut 110")
        .default("off in dialect dmsquash (a device-mapper snapshot for a nested image); on in dialect kiwi")
        .values("bare, `1`, `yes`, `on`, `true`: overlayfs in RAM; `0`, `no`, `off`: device-mapper; `none`: no layer, write the image; `tmpfs:size=S,nr_blocks=N,nr_inodes=N`; `<device>`, `<device>:<path>`, `<device>:auto`: keep changes there; `:auto`, `:<path>`: on the medium itself")
        .aliases(&[alias("rd.overlayfs", "never released")]);
    LIVE_OVERLAY_OVERLAYFS = Karg::new("rd.live.overlay.overlayfs", ValueKind::Bool, Origin::Dracut, "The boolean half of `rd.overlay`, used when that is absent; deprecated since dracut 110")
        .replaced_by("rd.overlay")
        .default("0");
    LIVE_OVERLAY = Karg::new("rd.live.overlay", ValueKind::Text, Origin::Dracut, "The storage half of `rd.overlay`, used when that names none; does not turn overlayfs on; deprecated since dracut 110")
        .replaced_by("rd.overlay")
        .values("`<device>`, `<device>:<path>`, `<device>:auto`, `:auto`, `:<path>`, `none`")
        .aliases(&[alias("overlay", "dracut before 104")]);
    OVERLAY_READONLY = Karg::new("rd.overlay.readonly", ValueKind::Bool, Origin::Dracut, "Show the kept changes but keep no new ones")
        .since("dracut 110")
        .default("0")
        .aliases(&[
            alias("rd.live.overlay.readonly", "dracut before 110, still accepted there"),
            alias("readonly_overlay", "dracut before 104"),
            alias("rd.live.overlayfs.readonly", "a slip in dracut 110 and 111"),
            alias("rd.overlayfs.readonly", "never released"),
        ]);
    OVERLAY_RESET = Karg::new("rd.overlay.reset", ValueKind::Bool, Origin::Dracut, "Empty the persistent area first; an automatic one that is damaged is made anew")
        .since("dracut 110")
        .default("0")
        .aliases(&[
            alias("rd.live.overlay.reset", "dracut before 110, still accepted there"),
            alias("reset_overlay", "dracut before 104"),
            alias("rd.overlayfs.reset", "never released"),
        ]);
    OVERLAY_CRYPT = Karg::new("rd.overlay.crypt", ValueKind::List, Origin::Dracut, "Changes on an encrypted device. LUKS that is there is opened with a passphrase; an empty device is encrypted with a random key that is forgotten at power-off")
        .since("dracut 111")
        .default("`mapname=overlay-crypt`, `fstype=ext4`, `mkfs=1`, `timeout` as rd.live.encrypt.timeout")
        .values("`<device>[,mapname=N][,fstype=F][,mkfs=M][,timeout=S]`; F: `ext4`, `ext3`, `ext2`, `xfs`, `btrfs`; M: `1` only an empty device, or one whose key an earlier boot has forgotten, is made anew; `0` none; `force` (rdlive) **the device is wiped at each boot, whatever is on it**; it must have a name that stays then: `PARTUUID=`, `PARTLABEL=`, a path below `/dev/disk/by-id`, `/dev/disk/by-path` or `/dev/mapper`. dracut 111 wipes everything that is not LUKS");
    OVERLAY_SIZE = Karg::new("rd.live.overlay.size", ValueKind::Size, Origin::Both, "Size of the temporary write area: of the overlay's tmpfs, or of the store of a device-mapper snapshot. In dialect dmsquash, where `rd.live.overlay=<device>[:path]` names a path at which nothing is, a store of this size is made there and keeps the changes")
        .default("50% of RAM; dracut: a store of 32768 MiB, whatever the RAM");
    OVERLAY_THIN = Karg::new("rd.live.overlay.thin", ValueKind::Bool, Origin::Dracut, "A thin pool in RAM instead of a snapshot: blocks that were freed return to RAM. Only over a nested image, and without overlayfs")
        .since("dracut 042")
        .default("0");
    OVERLAY_NO_PROMPT = Karg::new("rd.live.overlay.nouserconfirmprompt", ValueKind::Bool, Origin::Dracut, "Do not ask when the persistent area is missing")
        .since("dracut 106")
        .default("0")
        .ignored("rdlive never waits for an answer when a persistent area is missing");
    OVERLAY_PERSISTENT = Karg::new("rd.live.overlay.persistent", ValueKind::Bool, Origin::Kiwi, "Keep changes on the boot disk or beside the ISO file. mkfs and e2fsck are taken from the image where the initrd has none")
        .default("0")
        .values("also `required` (rdlive): stop when that is impossible instead of using RAM; `accept` (rdlive): use an area, or a store at a named place, that was made for another image; `required,accept`")
        .words(&["required", "accept"]);
    OVERLAY_COWFS = Karg::new("rd.live.overlay.cowfs", ValueKind::Text, Origin::Both, "File system of a new persistent area; given, it also lets one be made on a device that `rd.overlay=` names and that holds nothing")
        .default("ext4")
        .values("`ext4`, `xfs`, `btrfs`")
        .words(&["ext4", "xfs", "btrfs"])
        .since("dracut 058");
    AUTOOVERLAY = Karg::new("rd.live.autooverlay", ValueKind::Bool, Origin::Rdlive, "Make the partition that `rd.overlay=LABEL=` names in free space of the boot disk, if no file system has that label; dracut does it when its module autooverlay is in the initrd")
        .default("0");
    COWFILE_MBSIZE = Karg::new("rd.live.cowfile.mbsize", ValueKind::Number, Origin::Kiwi, "MiB of a new cow file beside the ISO file")
        .default("500");
    COWFILE_PATH = Karg::new("rd.live.cowfile.path", ValueKind::Text, Origin::Kiwi, "Cow file on the file system that holds the ISO file")
        .default("live_system.cow");
    COWDEVICE = Karg::new("kiwi_cowdevice", ValueKind::Text, Origin::Kiwi, "The device with the cow file `kiwi_cowsystem=`, on sticks made for KIWI before 8: changes are kept there unless another karg says where. A file that is missing, or holds nothing but zeros, is made ready")
        .replaced_by("rd.overlay")
        .values("a device");
    COWSYSTEM = Karg::new("kiwi_cowsystem", ValueKind::Text, Origin::Kiwi, "The cow file on `kiwi_cowdevice=`")
        .replaced_by("rd.overlay")
        .values("a path");
    HOST_AWAKE = Karg::new("rd.live.host.awake", ValueKind::Bool, Origin::Rdlive, "You know that no system sleeps (hibernation, Windows' fast startup) which would still use the disks of this machine: write to file systems although they were not cleanly unmounted, a system may sleep on them, or nobody can read whether they are one half of a mirror. **If a system does sleep on one, that is destroyed**")
        .default("0: changes go to RAM then, and the message says why");
    LIVE_ENCRYPT = Karg::new("rd.live.encrypt", ValueKind::Bool, Origin::Kiwi, "Encrypt a new persistent area (LUKS2); asks for a passphrase. An area without encryption is not used then. An encrypted one is found without this karg too")
        .default("0");
    LIVE_ENCRYPT_KEYFILE = Karg::new("rd.live.encrypt.keyfile", ValueKind::Text, Origin::Rdlive, "Key of an encrypted area, instead of a passphrase: the whole file, to its last byte, as `cryptsetup --key-file` takes it; for tests and machines without a person. **Who has the medium has a key in its initrd**")
        .values("`/path` in the initrd; `<device>:/path`, such as `LABEL=KEYS:/live.key`");
    LIVE_ENCRYPT_TIMEOUT = Karg::new("rd.live.encrypt.timeout", ValueKind::Number, Origin::Rdlive, "Seconds that a prompt for a passphrase waits, then changes go to RAM; 0 waits for ever")
        .default("120");
    ROOTFLAGS = Karg::new("rootflags", ValueKind::List, Origin::Both, "Mount options of the root; dracut meant the image's file system, kiwi-live the overlay")
        .values("dialect kiwi: given to the overlay; dialect dmsquash: given to the root image's file system below device-mapper, not to an overlay");
    ROOTFSTYPE = Karg::new("rootfstype", ValueKind::Text, Origin::Kernel, "File system of a root that is no live image; used below `rd.overlay` in a native initrd")
        .values("a driver's name, `auto`")
        .default("what the device holds");
    ROOT_OVERLAY_WRITE = Karg::new("rd.root.overlay.write", ValueKind::Text, Origin::Kiwi, "Write partition of KIWI's overlay disks").ignored(OVERLAY_DISK);
    ROOT_OVERLAY_TEMPORARY = Karg::new("rd.root.overlay.temporary", ValueKind::Bool, Origin::Kiwi, "Temporary write area of KIWI's overlay disks").ignored(OVERLAY_DISK);
    ROOT_OVERLAY_READONLY = Karg::new("rd.root.overlay.readonly", ValueKind::Bool, Origin::Kiwi, "KIWI's overlay disks without a write area").ignored(OVERLAY_DISK);
    ROOT_OVERLAY_SIZE = Karg::new("rd.root.overlay.size", ValueKind::Size, Origin::Kiwi, "Size of the write area of KIWI's overlay disks").ignored(OVERLAY_DISK);
}

const OVERLAY_DISK: &str =
    "it belongs to root=overlay: disks; for a live medium see rd.overlay and rd.live.overlay.size";

//! Kargs that say where the live system is and what to do with it before it is mounted.

use super::{Area, Karg, Origin, ValueKind, alias, table};

table! { LIVE_TABLE:
    ROOT = Karg::new("root", ValueKind::Text, Origin::Both, "The live system; see the forms above")
        .values("`live:CDLABEL=…`, `live:LABEL=…`, `live:UUID=…`, `live:/dev/…`, `live:<URL>` …");
    LIVE_IMAGE = Karg::new("rd.live.image", ValueKind::Bool, Origin::Both, "`root=` names a live system even without `live:`")
        .default("0")
        .aliases(&[alias("liveimg", "dracut before 104")]);
    LIVE_DIR = Karg::new("rd.live.dir", ValueKind::Text, Origin::Both, "Directory of the live image on the medium and inside the container")
        .default("LiveOS")
        .values("a path; `/` is the top of the medium")
        .aliases(&[alias("live_dir", "kiwi-live; dracut before 104")]);
    LIVE_SQUASHIMG = Karg::new("rd.live.squashimg", ValueKind::Text, Origin::Both, "File name of the container below `rd.live.dir`")
        .default("squashfs.img")
        .values("a path");
    ISO_SCAN = Karg::new("iso-scan/filename", ValueKind::Text, Origin::Both, "Find this ISO file on the file systems of the machine; `root=` still names the volume in it")
        .values("`<path>`; `<LABEL=, UUID=, PARTUUID=, PARTLABEL= or /dev/…>:<path>` looks on one device only");
    ISOFROM_DEVICE = Karg::new("isofrom_device", ValueKind::Text, Origin::Kiwi, "The device that holds the ISO file `isofrom_system=`, on sticks made for KIWI; without `root=` the live system is the volume in it")
        .replaced_by("iso-scan/filename")
        .values("a device; one as GRUB calls it, such as `(hd0,gpt2)`, may be any");
    ISOFROM_SYSTEM = Karg::new("isofrom_system", ValueKind::Text, Origin::Kiwi, "The ISO file on `isofrom_device=`")
        .replaced_by("iso-scan/filename")
        .values("a path");
    ISOFROM = Karg::new("isofrom", ValueKind::Text, Origin::Kiwi, "Both in one; grml names the path alone")
        .replaced_by("iso-scan/filename")
        .values("`<device>:<path>`, `<path>`");
    LIVE_DIALECT = Karg::new("rd.live.dialect", ValueKind::Text, Origin::Rdlive, "Read the kargs as kiwi-live or as dracut's dmsquash-live")
        .values("`kiwi`, `dmsquash`")
        .words(&["kiwi", "dmsquash"])
        .default("from `/etc/rdlive.conf`; else `kiwi` if a kiwi-only karg is present; else `dmsquash`");
    LIVE_MEDIUM = Karg::new("rd.live.medium", ValueKind::Text, Origin::Rdlive, "Identity of the medium the boot loader came from; it wins when several media match. With its mark it is found under any label: on a file system that holds `/.rdlive/<16 digits>`")
        .values("`UUID=…`, `LABEL=…`, `PARTUUID=…`, `PARTLABEL=…`, `ID=<16 digits>`, or one of the first four and `,ID=…`; `any`: none, and an image over a network may be of another build than this initrd")
        .default("from `/etc/rdlive.conf`");
    LIVE_RAM = Karg::new("rd.live.ram", ValueKind::Bool, Origin::Dracut, "Copy the image to RAM and release the medium. If it does not fit, the boot goes on from the medium and says why; with `=required` it stops")
        .values("bool or `required`")
        .words(&["required"])
        .default("0")
        .aliases(&[alias("live_ram", "dracut before 104")]);
    MINMEM = Karg::new("rd.minmem", ValueKind::Number, Origin::Dracut, "MiB of RAM that must stay available after the image has been copied to RAM")
        .default("1024")
        .since("dracut 060");
    MEDIUM_UPDATES = Karg::new("rd.live.updates", ValueKind::Bool, Origin::Rdlive, "Copy what is in `updates/` at the top of the medium over the root, at each boot")
        .default("1; `0` in dialect kiwi");
    WRITABLE_FSIMG = Karg::new("rd.writable.fsimg", ValueKind::Bool, Origin::Dracut, "Copy the nested root image to RAM and write into the copy, without an overlay. If it does not fit, changes go to a snapshot")
        .default("0")
        .aliases(&[alias("writable_fsimg", "dracut before 104")]);
    LIVE_CHECK = Karg::new("rd.live.check", ValueKind::Bool, Origin::Both, "Check the sum embedded in the medium before use; `=0` is off, unlike in dracut")
        .default("0")
        .aliases(&[alias("check", "dracut before 104")])
        .not_built(Area::Check);
    MEDIACHECK = Karg::new("mediacheck", ValueKind::Bool, Origin::Kiwi, "The same as `rd.live.check`")
        .default("0")
        .not_built(Area::Check);
    VERITY_OPTIONS = Karg::new("rd.kiwi.verity_options", ValueKind::List, Origin::Kiwi, "Further dm-verity options for an image with a verity table")
        .values("`panic-on-corruption`, `restart-on-corruption`, `ignore-corruption`, `ignore-zero-blocks`, `check-at-most-once` …")
        .not_built(Area::Verity);
    VERITYROOT = Karg::new("verityroot", ValueKind::Text, Origin::Kiwi, "Verity partition of an installed KIWI disk")
        .ignored("it belongs to installed disks, not to live media");
    CDINST = Karg::new("cdinst", ValueKind::Bool, Origin::Kiwi, "Marks KIWI install media")
        .ignored("install media are not live media");
}

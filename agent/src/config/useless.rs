//! Options that another option, or the lack of one, leaves without effect. What was asked for and is not done must not look as if it
//! were: each pair is said. Pure.

use super::lookup::Lookup;
use super::registry::*;
use super::{Access, Config, Level, Method, Persistence, Selector, Source};

/// An option, whether it does nothing, and why.
type Row = (&'static Karg, bool, &'static str);

/// Says of each option that does nothing here why it does not; the first reason counts.
pub(super) fn without_effect(lookup: &mut Lookup, config: &Config) {
    let rows =
        [new_area(config).to_vec(), layer(config).to_vec(), whole(lookup, config).to_vec(), live_only(config)].concat();
    let mut said: Vec<&str> = Vec::new();
    for (karg, _, why) in rows.into_iter().filter(|(_, holds, _)| *holds) {
        let token = lookup.token(karg).filter(|token| karg.kind != ValueKind::Bool || token.is_true());
        if let Some(token) = token.filter(|_| !said.contains(&karg.name)) {
            lookup.report(Level::Notice, "ignored", &token.raw, format!("does nothing here: {why}"));
            said.push(karg.name);
        }
    }
}

/// Whether changes are kept anywhere, as far as the command line goes.
fn has_place(config: &Config) -> bool {
    let overlay = &config.overlay;
    overlay.method != Method::Direct && (overlay.persistence.is_some() || overlay.crypt.is_some())
}

/// The details of a place for changes that may be made.
fn new_area(config: &Config) -> [Row; 13] {
    let overlay = &config.overlay;
    let (no_place, crypt) = (!has_place(config), overlay.crypt.is_some());
    let not_automatic = no_place || overlay.wish().is_none() || crypt;
    let no_label = !matches!(&overlay.persistence, Some(Persistence::Named { device: Selector::Label(_), .. }));
    let on_medium = matches!(overlay.persistence, Some(Persistence::OnMedium { .. }));
    let other_time = overlay.crypt.as_ref().is_some_and(|crypt| crypt.timeout_s.is_some());
    let shown = "rd.overlay.readonly makes no new area";
    let cow_file = "no cow file is asked for (rd.live.overlay.persistent, beside an ISO file)";
    let cipher = "no encrypted area is asked for (rd.live.overlay.persistent with rd.live.encrypt, rd.overlay.crypt=)";
    [
        (&OVERLAY_COWFS, crypt, "the file system of an encrypted device is fstype= in rd.overlay.crypt"),
        (&OVERLAY_COWFS, on_medium, "the medium has its file system already"),
        (
            &OVERLAY_COWFS,
            no_place,
            "no place for changes is asked for (rd.live.overlay.persistent, rd.overlay=<device>)",
        ),
        (&OVERLAY_COWFS, overlay.readonly, shown),
        (&AUTOOVERLAY, crypt, "rd.overlay.crypt= names the device"),
        (&AUTOOVERLAY, no_place || no_label, "no partition is named by rd.overlay=LABEL="),
        (&AUTOOVERLAY, overlay.readonly, shown),
        (&COWFILE_MBSIZE, not_automatic && overlay.cow_file_mib.is_none(), cow_file),
        (&COWFILE_MBSIZE, overlay.readonly, shown),
        (&COWFILE_PATH, not_automatic, cow_file),
        (&LIVE_ENCRYPT_KEYFILE, not_automatic && !crypt, cipher),
        (&LIVE_ENCRYPT_TIMEOUT, not_automatic && !crypt, cipher),
        (&LIVE_ENCRYPT_TIMEOUT, other_time, "timeout= in rd.overlay.crypt says another time"),
    ]
}

/// What becomes of the image and of changes.
fn layer(config: &Config) -> [Row; 6] {
    let overlay = &config.overlay;
    let (direct, place) = (overlay.method == Method::Direct, has_place(config));
    let (kept, snapshot) = (place && !overlay.readonly, matches!(overlay.method, Method::Snapshot { .. }));
    let unused = direct && overlay.persistence.is_some();
    [
        (&OVERLAY_SIZE, direct, "the image itself is written, without a layer"),
        (&OVERLAY_THIN, kept && snapshot, "changes that are kept lie in no thin pool"),
        (&OVERLAY_PERSISTENT, unused && !overlay.fsimg, "without a layer no place for changes is used"),
        (&OVERLAY_READONLY, unused, "without a layer no place for changes is used"),
        (&OVERLAY_RESET, unused, "without a layer no place for changes is used, and none emptied"),
        (&OVERLAY_RESET, place && !kept, "rd.overlay.readonly only shows the changes, and empties nothing"),
    ]
}

/// What concerns the boot as a whole.
fn whole(lookup: &Lookup, config: &Config) -> [Row; 15] {
    let live = config.source.is_live();
    let in_initrd = matches!(config.source, Source::InitrdFile(_));
    let writes = has_place(config) || config.covers_root() || config.medium_access == Access::ReadWrite;
    let why = "a file of the initrd is in RAM already";
    let fetched = config.source.is_fetched();
    let comes = "what comes over the network is in RAM already";
    let in_ram = fetched && config.system.is_none();
    // It means something for what is fetched, too.
    let any = lookup.token(&LIVE_MEDIUM).is_some_and(|token| token.value.as_deref() == Some("any"));
    let to_ram = config.ram || config.overlay.fsimg || in_ram;
    [
        (&MINMEM, !to_ram, "nothing is copied to RAM (rd.live.ram)"),
        (&HOST_AWAKE, !writes, "nothing is written to a disk"),
        (&ROOTFSTYPE, live && config.rootfstype.is_some(), "a live image says itself what it is"),
        (&TIMEOUT, lookup.has(&RETRY), "rd.retry says how long"),
        (&LIVE_RAM, in_initrd, why),
        (&LIVE_EJECT, in_initrd, why),
        (&LIVE_MEDIUM, in_initrd, why),
        (&LIVE_RAM, in_ram, comes),
        (&LIVE_EJECT, in_ram, comes),
        (&LIVE_MEDIUM, in_ram && !any, comes),
        (&KIWI_SYSTEM, live && !fetched, "nothing is fetched (root=live:<URL>)"),
        (
            &KIWI_RESET,
            config.system.is_none(),
            "without rd.kiwi.live.system=<device> the image is fetched at each boot",
        ),
        (&LIVE_SYSTEM_WIPE, config.system.is_none(), "without rd.kiwi.live.system=<device> nothing is written"),
        (
            &RAMDISK_SIZE,
            config.system.is_some(),
            "the image goes to a disk (rd.kiwi.live.system), no RAM is taken for it",
        ),
        (
            &KIWI_DOLLY_OPTIONS,
            !config.source.is_dolly(),
            "the image does not come from a dolly server (root=live:dolly:)",
        ),
    ]
}

/// What only a live system has, where `root=` names none.
fn live_only(config: &Config) -> Vec<Row> {
    let not_live = matches!(config.source, Source::NotLive(Some(_)));
    let kargs: [&'static Karg; 9] = [
        &LIVE_DIR,
        &LIVE_SQUASHIMG,
        &ISO_SCAN,
        &LIVE_MEDIUM,
        &LIVE_RAM,
        &WRITABLE_FSIMG,
        &OVERLAY_PERSISTENT,
        &OVERLAY_THIN,
        &AUTOOVERLAY,
    ];
    kargs.map(|karg| (karg, not_live, "root= names no live system (root=live:…, rd.live.image)")).to_vec()
}

#[cfg(test)]
mod tests {
    use crate::config::interpret_text;

    /// What is said of options without effect, `id karg: message` for each.
    fn said(text: &str) -> Vec<String> {
        let warnings = interpret_text(&format!("root=live:LABEL=x {text}")).1;
        let useless = warnings.into_iter().filter(|warning| matches!(warning.id, "ignored" | "contradiction"));
        useless.map(|warning| format!("{} {}: {}", warning.id, warning.karg, warning.message)).collect()
    }

    #[test]
    fn options_that_another_makes_useless_table() {
        for (text, karg, why) in [
            ("rd.minmem=5", "rd.minmem=5", "nothing is copied to RAM"),
            ("rd.live.overlay.cowfs=xfs", "rd.live.overlay.cowfs=xfs", "no place for changes"),
            ("rd.overlay=:auto rd.live.overlay.cowfs=xfs", "rd.live.overlay.cowfs=xfs", "the medium has"),
            ("rd.overlay.crypt=LABEL=C rd.live.overlay.cowfs=xfs", "rd.live.overlay.cowfs=xfs", "fstype="),
            (
                "rd.overlay=LABEL=P rd.overlay.readonly rd.live.overlay.cowfs=xfs",
                "rd.live.overlay.cowfs=xfs",
                "no new area",
            ),
            ("rd.live.autooverlay", "rd.live.autooverlay", "rd.overlay=LABEL="),
            ("rd.overlay=/dev/sdb1 rd.live.autooverlay", "rd.live.autooverlay", "rd.overlay=LABEL="),
            ("rd.overlay.crypt=LABEL=C rd.live.autooverlay", "rd.live.autooverlay", "rd.overlay.crypt"),
            ("rd.live.cowfile.mbsize=99", "rd.live.cowfile.mbsize=99", "no cow file"),
            ("rd.overlay=LABEL=P rd.live.cowfile.path=/x", "rd.live.cowfile.path=/x", "no cow file"),
            ("rd.live.host.awake", "rd.live.host.awake", "nothing is written"),
            ("rd.live.encrypt", "rd.live.encrypt", "encrypting nothing"),
            ("rd.live.encrypt.keyfile=/k", "rd.live.encrypt.keyfile=/k", "no encrypted area"),
            ("rd.overlay=LABEL=P rd.live.encrypt.timeout=5", "rd.live.encrypt.timeout=5", "no encrypted area"),
            (
                "rd.overlay.crypt=LABEL=C,timeout=7 rd.live.encrypt.timeout=5",
                "rd.live.encrypt.timeout=5",
                "another time",
            ),
            ("rd.overlay=none rw rd.live.overlay.size=1g", "rd.live.overlay.size=1g", "without a layer"),
            ("rd.live.overlay=LABEL=P rd.live.overlay.thin", "rd.live.overlay.thin", "no thin pool"),
            ("rd.overlay=none rw rd.live.overlay.persistent", "rd.live.overlay.persistent", "without a layer"),
            ("rd.overlay=none rw rd.live.overlay.persistent rd.overlay.reset", "rd.overlay.reset", "none emptied"),
            ("rd.overlay=none rw rd.overlay.reset", "rd.overlay.reset", "no persistent area"),
            ("rd.overlay=none rw rd.live.overlay=LABEL=P", "rd.live.overlay=LABEL=P", "no other place"),
            (
                "rd.overlay=none rw rd.live.overlay=LABEL=P rd.overlay.readonly",
                "rd.overlay.readonly",
                "without a layer",
            ),
            ("rd.overlay=none", "rd.overlay=none", "only with rw"),
            ("rd.overlay=LABEL=P rd.overlay.readonly rd.overlay.reset", "rd.overlay.reset", "empties nothing"),
            ("rd.overlay=LABEL=P rd.live.overlay=LABEL=Q", "rd.live.overlay=LABEL=Q", "rd.overlay says where"),
            ("rd.overlay=LABEL=P rd.live.overlay=none", "rd.live.overlay=none", "rd.overlay says where"),
            ("rd.writable.fsimg rd.overlay", "rd.overlay", "using no overlay"),
            ("rd.overlay=0 rd.live.overlay.persistent", "rd.overlay=0", "need an overlay"),
            ("rootfstype=ext4", "rootfstype=ext4", "says itself"),
            ("rd.retry=5 rd.timeout=7", "rd.timeout=7", "rd.retry"),
            ("root=live:/x.iso rd.live.ram", "rd.live.ram", "in RAM already"),
            ("root=live:/x.iso rd.live.eject", "rd.live.eject", "in RAM already"),
            ("root=live:/x.iso rd.live.medium=LABEL=x", "rd.live.medium=LABEL=x", "in RAM already"),
            ("root=live:LABEL=x rd.live.image=0", "rd.live.image=0", "looking for it"),
            ("root=LABEL=x rd.live.ram", "rd.live.ram", "no live system"),
            ("root=LABEL=x rd.overlay rd.live.overlay.persistent", "rd.live.overlay.persistent", "no live system"),
            ("root=LABEL=x iso-scan/filename=/x.iso", "iso-scan/filename=/x.iso", "no live system"),
        ] {
            let found = said(text);
            let meant = |line: &String| line.contains(&format!(" {karg}: ")) && line.contains(why);
            assert!(found.iter().any(meant), "{text}: {found:?}");
        }
    }

    /// What belongs together is not doubted.
    #[test]
    fn options_that_do_something_are_left_alone() {
        for text in [
            "rd.live.ram rd.minmem=5",
            "rd.writable.fsimg rd.minmem=5",
            "rd.overlay=/dev/sdb1 rd.live.overlay.cowfs=xfs",
            "rd.overlay=LABEL=P rd.live.autooverlay rd.live.overlay.cowfs=xfs",
            "rd.live.overlay.persistent rd.live.overlay.cowfs=xfs rd.live.cowfile.mbsize=99 rd.live.cowfile.path=/x",
            "rd.live.overlay.persistent rd.live.encrypt rd.live.encrypt.keyfile=/k rd.live.encrypt.timeout=5",
            "rd.live.overlay.persistent rd.live.encrypt.timeout=5",
            "rd.overlay.crypt=LABEL=C rd.live.encrypt rd.live.encrypt.timeout=5",
            "rd.live.overlay=LABEL=P rd.overlay.readonly rd.live.overlay.thin rd.live.overlay.size=1g",
            "rd.overlay=LABEL=P rd.live.overlay.size=1g",
            // Without a place for changes it is that of the write area in RAM.
            "rd.live.overlay.persistent rd.live.overlay.size=1g",
            "rd.overlay=LABEL=P rd.live.overlay=LABEL=P",
            "rd.overlay=0 rd.live.overlay=LABEL=P",
            "rd.overlay=LABEL=P rd.overlay.reset rd.live.host.awake",
            "rd.live.overlay=none rw",
            "rd.live.overlay=none rd.live.ram",
            "rootfstype=auto",
            "rd.live.overlay.persistent=0 rd.live.encrypt=0 rd.overlay.reset=0 rd.live.ram=0 rd.live.host.awake=0",
            "rw rd.live.host.awake",
            "root=LABEL=x rd.overlay rd.overlay.reset=0 rd.live.host.awake rootfstype=ext4",
        ] {
            assert_eq!(said(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn sizes_beyond_sense_table() {
        for (text, why) in [
            ("rd.live.overlay.size=200%", "all of the RAM"),
            ("rd.live.overlay.size=100%", "all of the RAM"),
            ("rd.live.overlay.size=99%", ""),
            ("rd.overlay=tmpfs:size=300%", "all of the RAM"),
            ("rd.live.overlay.size=99t", "no machine"),
            ("rd.live.overlay.size=32g", ""),
            ("rd.live.overlay.size=512k", "before the system has started"),
            ("rd.overlay=tmpfs:size=1", "before the system has started"),
            ("rd.live.overlay.size=8", ""),
            ("rd.live.overlay.size=0", "zero is no size"),
        ] {
            let warnings = interpret_text(&format!("root=live:LABEL=x {text}")).1;
            let found: String = warnings.iter().map(|warning| warning.message.as_str()).collect();
            assert!(found.contains(why) && found.is_empty() == why.is_empty(), "{text}: {found}");
        }
    }
}

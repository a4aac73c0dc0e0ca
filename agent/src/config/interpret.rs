//! From tokens to [`Config`]: the whole reading on one screen.

use super::consistency::{contradictions, tokens};
use super::lookup::{Lookup, split_list};
use super::registry::{Area, LIVE_RAM, MEDIUM_UPDATES, MINMEM, ROOT, ROOTFLAGS, VERITY_OPTIONS};
use super::{
    Conf, Config, Dialect, Level, Source, Warning, Warnings, cut, debug, dialect, grub, modules, net, overlay, root,
    shutdown, target, transfer,
};
use crate::cmdline::Cmdline;

impl Config {
    /// Whether the machine's ordinary root is to lie below an overlay: no live root, but one was asked for
    /// (dracut-live spec 1.5).
    pub fn covers_root(&self) -> bool {
        !self.source.is_live() && self.overlay.ordinary
    }

    /// Whether there is anything for the agent to do.
    pub fn concerns_us(&self) -> bool {
        self.source.is_live() || self.covers_root()
    }
}

impl Source {
    /// Whether a live system was asked for, in a usable form or not.
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::NotLive(_))
    }
}

/// What the command line means, and all there is to say about it. Pure: nothing of the machine is looked at.
pub fn interpret(cmdline: &Cmdline, conf: &Conf) -> (Config, Warnings) {
    let lookup = &mut Lookup::new(cmdline);
    for line in &conf.unknown {
        lookup.warn("conf", "/etc/rdlive.conf", format!("\"{line}\" is not known, ignoring"));
    }
    let choice = dialect::choose(lookup, conf);
    let (medium, medium_id) = root::medium(lookup, conf);
    let config = Config {
        dialect: choice.dialect,
        dialect_reason: choice.reason,
        source: root::source(lookup),
        medium,
        medium_id,
        kernel_lacks: conf.kernel_lacks.clone(),
        iso_scan: root::iso_scan(lookup),
        live_dir: root::live_dir(lookup),
        squashimg: root::squashimg(lookup),
        overlay: overlay::overlay(lookup, choice.dialect),
        rootflags: lookup.text(&ROOTFLAGS).map(|flags| split_list(&flags).collect()).unwrap_or_default(),
        rootfstype: root::rootfstype(lookup),
        medium_access: root::medium_access(lookup),
        ram: lookup.flag(&LIVE_RAM, false),
        ram_required: lookup.text(&LIVE_RAM).as_deref() == Some("required"),
        ram_reserve_mib: lookup.number(&MINMEM, 0..=1 << 40).and_then(|mib| u64::try_from(mib).ok()).unwrap_or(1024),
        updates: lookup.flag(&MEDIUM_UPDATES, choice.dialect == Dialect::Dmsquash),
        check: debug::check(lookup),
        verity_options: lookup.list(&VERITY_OPTIONS),
        network: net::settings(lookup),
        system: target::system(lookup),
        deadline: debug::deadline(lookup),
        failure: debug::failure(lookup),
        shutdown: shutdown::shutdown(lookup),
        init: modules::init(lookup),
        modules: modules::modules(lookup),
        report: debug::report(lookup),
        debug: debug::debug(lookup),
    };
    if config.source.is_not_built()
        && let Some(token) = lookup.token(&ROOT)
    {
        let message = format!("{} is not built yet, the boot stops", Area::Network.what());
        lookup.report(Level::Error, "not-built", &token.raw, message);
    }
    if config.source.is_fetched() {
        transfer::complaints(lookup, &config);
    }
    cut::complaints(lookup, &config.source);
    grub::notices(lookup, &config);
    tokens(lookup, &config.source);
    contradictions(lookup, &config, choice.guessed);
    (config, lookup.take_warnings())
}

/// [`interpret`] of a text, with nothing in the initrd's settings, and all that is said to a person: for tests and examples.
pub fn interpret_text(text: &str) -> (Config, Vec<Warning>) {
    let (config, warnings) = interpret(&Cmdline::parse(text), &Conf::default());
    (config, warnings.for_a_person())
}

//! Kernel modules: lists and parameters. And the real init.

use std::path::PathBuf;

use super::lookup::Lookup;
use super::registry::{self, DRIVER_BLACKLIST, DRIVER_POST, DRIVER_PRE, INIT, MODPROBE_BLACKLIST, MODULE_BLACKLIST};
use super::{Init, Modules};
use crate::cmdline::Token;

/// First parts of dotted kargs that are no module names.
const NOT_MODULES: [&str; 12] = [
    "rd",
    "systemd",
    "udev",
    "inst",
    "luks",
    "plymouth",
    "vconsole",
    "locale",
    "live",
    "ignition",
    "elemental",
    "coreos",
];

/// The lists and parameters, names with underscores as the kernel has them.
pub(super) fn modules(lookup: &mut Lookup) -> Modules {
    let mut names = |karg| -> Vec<String> { lookup.list(karg).iter().map(|name| module_name(name)).collect() };
    let mut blacklist = names(&DRIVER_BLACKLIST);
    blacklist.extend(names(&MODPROBE_BLACKLIST));
    blacklist.extend(names(&MODULE_BLACKLIST));
    let (pre, post) = (names(&DRIVER_PRE), names(&DRIVER_POST));
    let mut parameters: Vec<(String, String)> = Vec::new();
    for (module, parameter) in lookup.cmdline().tokens().iter().filter_map(parameter) {
        match parameters.iter_mut().find(|(known, _)| *known == module) {
            Some((_, all)) => *all = format!("{all} {parameter}"),
            None => parameters.push((module, parameter)),
        }
    }
    Modules { blacklist, pre, post, parameters }
}

fn module_name(name: &str) -> String {
    name.replace('-', "_")
}

/// `module.parameter[=value]` as the module and the text that the module loader passes to the kernel.
fn parameter(token: &Token) -> Option<(String, String)> {
    let (module, name) = token.key.split_once('.')?;
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if !word(module) || !word(name) || NOT_MODULES.contains(&module) || registry::find(&token.key).is_some() {
        return None;
    }
    let parameter = match &token.value {
        None => name.to_owned(),
        Some(value) if value.contains(char::is_whitespace) => format!("{name}=\"{value}\""),
        Some(value) => format!("{name}={value}"),
    };
    Some((module_name(module), parameter))
}

/// `init=`, and the arguments after `--`; as PID 1 the caller puts its own argv there.
pub(super) fn init(lookup: &mut Lookup) -> Init {
    Init { path: lookup.text(&INIT).map(PathBuf::from), args: lookup.cmdline().init_args().to_vec() }
}

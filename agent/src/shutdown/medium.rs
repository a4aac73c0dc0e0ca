//! The medium, when nothing is mounted from it any more.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::console::Console;
use crate::env::Env;
use crate::facts::{Origin, is_optical};
use crate::handover::Report;
use crate::patient::bounded;

/// How long a person may take to remove the medium before the machine goes down all the same.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a drive may take to open its door.
const DOOR_LIMIT: Duration = Duration::from_secs(20);

/// Opens the drive of an optical medium; with `prompt` asks for any medium to be taken away.
pub fn eject(env: &Env, report: Option<&Report>, prompt: bool) {
    let medium = report.and_then(|report| report.medium.as_ref());
    match medium.map(|medium| &medium.origin) {
        Some(Origin::Device(node)) if is_drive(node) => open_door(env, node),
        Some(Origin::Device(_)) => {}
        _ => log::info!("rd.live.eject: the medium was no device of its own, ejecting nothing"),
    }
    // An ISO file lies on a stick, too.
    if prompt && let Ok(mut console) = Console::open(env) {
        console.say("");
        console.ask("Remove the live medium, then press Enter: ");
        // Whoever has walked away finds the machine switched off.
        let _ = console.line(Some(Instant::now() + PATIENCE));
        console.say("");
    }
}

fn open_door(env: &Env, node: &Path) {
    let (drive, what) = (env.path(node), format!("ejecting {}", node.display()));
    match bounded(env, DOOR_LIMIT, &what, move || rdlive_sys::cdrom::eject(&drive)) {
        Some(Ok(())) => log::info!(target: crate::kmsg::NOTICE, "shutdown: {} ejected", node.display()),
        Some(Err(error)) => log::warn!("rd.live.eject: {}: {error}, ignoring", node.display()),
        None => log::warn!("rd.live.eject: {} does not answer, ignoring", node.display()),
    }
}

/// Other drives have no door.
fn is_drive(node: &Path) -> bool {
    node.file_name().and_then(|name| name.to_str()).is_some_and(is_optical)
}

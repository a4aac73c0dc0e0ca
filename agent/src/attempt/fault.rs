//! What happens when code of ours panics. In an attempt it is an answer to the supervisor; while a device is looked at, it makes
//! that device one that does not answer (attacks.md F9).

use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::message::Message;
use crate::error::{Code, Stop};

/// Threads that look at a device are called this and the device.
const PROBE: &str = "probe ";

/// Devices at which a probe has failed.
static FAILED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The name of a thread that looks at a device.
#[must_use]
pub fn probe_of(device: &str) -> String {
    format!("{PROBE}{device}")
}

/// Whether a probe of this device has failed.
#[must_use]
pub fn has_failed(device: &str) -> bool {
    FAILED.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|failed| failed == device)
}

/// The error that a fault is.
#[must_use]
pub fn stop(place: &str, what: &str) -> Stop {
    Stop::new(Code::Fault, format!("a fault in rdlive itself, at {place}: {what}"))
}

/// Where and what.
#[must_use]
pub fn described(info: &PanicHookInfo<'_>) -> (String, String) {
    let place =
        info.location().map_or_else(|| "an unknown place".to_owned(), |at| format!("{}:{}", at.file(), at.line()));
    let payload = info.payload();
    let what = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    (place, what.unwrap_or("no reason was given").to_owned())
}

/// As [`install`], for a process that only lists devices: nobody waits for its answer.
pub fn only_probes_may_fail() {
    install(|message| {
        if let Message::Fault { place, what } = message {
            crate::terminal::complain(&stop(place, what).to_string());
        }
    });
}

/// From now on a panic in this process is sent, and ends it; one in a probe ends that probe only.
pub(super) fn install(send: impl Fn(&Message) + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |info| {
        let (place, what) = described(info);
        let thread = thread::current();
        if let Some(device) = thread.name().and_then(|name| name.strip_prefix(PROBE)) {
            log::error!("{}, looking at /dev/{device}, going on without it", stop(&place, &what));
            FAILED.lock().unwrap_or_else(PoisonError::into_inner).push(device.to_owned());
            // A release build would abort the whole process after this hook.
            loop {
                thread::park();
            }
        }
        send(&Message::Fault { place, what });
        std::process::abort();
    }));
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;
    use std::process::{Command, Stdio};

    use crate::env::Env;

    /// In the process of the child that carries a fault out.
    const ROOT: &str = "RDLIVE_TEST_FAULT_ROOT";

    /// The hook of a panic is one for the whole process, and those that are tested end it: so the test with this name is run once
    /// more in a process of its own, where `faulty` is called and nothing else. `None` there, should that come back.
    pub(crate) fn child(name: &str, root: &Path, faulty: impl FnOnce(Env)) -> Option<Command> {
        if let Some(root) = std::env::var_os(ROOT) {
            faulty(Env::new(root));
            return None;
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--nocapture"]).env(ROOT, root);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Some(command)
    }
}

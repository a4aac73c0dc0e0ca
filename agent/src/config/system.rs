//! What is not about the medium: failing, power-off, init and kernel modules.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::defaults;

/// What may happen when the boot stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A prompt or shell is allowed (`rd.shell`, default true).
    pub shell: bool,
    /// `panic=`: seconds before a reboot; 0 or absent waits for a person, negative reboots at once.
    pub panic: Option<i64>,
    /// `rd.emergency=`.
    pub emergency: Option<Emergency>,
}

/// `rd.emergency=`: what to do after the prompt is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Emergency {
    /// Reboot.
    Reboot,
    /// Power off.
    Poweroff,
    /// Halt.
    Halt,
}

/// What happens at power-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shutdown {
    /// `rd.live.eject`.
    pub eject: Eject,
    /// How long one unmount may take without writing anything (`rd.shutdown.timeout.umount`); zero waits as long as it
    /// takes. Seconds in JSON.
    #[serde(rename = "umount_timeout_s", with = "defaults::seconds")]
    pub umount_timeout: Duration,
}

/// `rd.live.eject`: what becomes of the medium when the machine has been taken down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Eject {
    /// Nothing.
    #[default]
    No,
    /// An optical drive opens.
    Yes,
    /// The same, and a person is asked to take the medium away.
    Prompt,
}

/// The real init and its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init {
    /// `init=`, or `None` for the usual places (`/sbin/init`, `/etc/init`, `/bin/init`, `/bin/sh`).
    pub path: Option<PathBuf>,
    /// Arguments after argv\[0\]: what the kernel passed to us, unchanged.
    pub args: Vec<String>,
}

/// Which kernel modules are forced or forbidden. Names use underscores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modules {
    /// `rd.driver.blacklist=`, `modprobe.blacklist=`, `module_blacklist=`.
    pub blacklist: Vec<String>,
    /// `rd.driver.pre=`: loaded before anything else.
    pub pre: Vec<String>,
    /// `rd.driver.post=`: loaded after all others.
    pub post: Vec<String>,
    /// Module parameters from the command line (`module.param=value`), module → parameter string.
    pub parameters: Vec<(String, String)>,
}

//! What holds when nothing was said.

use std::time::Duration;

use super::*;
use crate::layout;

/// How long to wait for the medium: the default of `rd.retry` (kiwi-live spec 1.9, dracut-live spec 1.7).
pub const DEADLINE: Duration = Duration::from_secs(180);

/// Apparent size of a temporary COW store: dracut's 32768 MiB (dracut-live spec 1.4).
pub const STORE: TmpfsSize = TmpfsSize::Bytes(32768 << 20);

impl Default for Config {
    /// An empty command line in dialect dmsquash.
    fn default() -> Self {
        Self {
            dialect: Dialect::Dmsquash,
            dialect_reason: String::new(),
            source: Source::NotLive(None),
            medium: None,
            medium_id: None,
            iso_scan: None,
            live_dir: layout::LIVE_DIR.to_owned(),
            squashimg: layout::SQUASHIMG.to_owned(),
            overlay: Overlay::default(),
            rootflags: Vec::new(),
            rootfstype: None,
            medium_access: Access::ReadOnly,
            ram: false,
            ram_required: false,
            ram_reserve_mib: 1024,
            updates: true,
            check: false,
            verity_options: Vec::new(),
            network: Vec::new(),
            system: None,
            deadline: DEADLINE,
            failure: Failure::default(),
            shutdown: Shutdown::default(),
            init: Init::default(),
            modules: Modules::default(),
            kernel_lacks: Vec::new(),
            report: None,
            debug: false,
        }
    }
}

impl Default for Shutdown {
    /// The medium stays, and an unmount gets dracut's time (dracut-live spec 2.14).
    fn default() -> Self {
        Self { eject: Eject::No, umount_timeout: Duration::from_secs(90) }
    }
}

impl Default for Overlay {
    /// A temporary overlay of half the RAM; the method is dmsquash's.
    fn default() -> Self {
        Self {
            method: Method::Snapshot { thin: false },
            size: TmpfsSize::Percent(50),
            store: STORE,
            tmpfs_options: Vec::new(),
            persistence: None,
            autooverlay: None,
            readonly: false,
            reset: false,
            fsimg: false,
            crypt: None,
            unlock: Unlocking::default(),
            refused: false,
            ordinary: false,
            required: false,
            accept: false,
            blank: None,
            cow_file_mib: None,
            awake: false,
        }
    }
}

impl Default for Unlocking {
    /// A person is asked and has two minutes for each try.
    fn default() -> Self {
        Self { encrypt: false, key_file: None, timeout_s: 120 }
    }
}

impl Default for Failure {
    /// A prompt, and nothing happens by itself.
    fn default() -> Self {
        Self { shell: true, panic: None, emergency: None }
    }
}

/// A duration as whole seconds.
pub(super) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.as_secs())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

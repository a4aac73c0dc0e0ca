//! Device-mapper: block devices made from tables. The kernel's interface is reached through the crate `devicemapper`
//! (`docs/decisions/0023-device-mapper.md`).

pub mod cipher;
mod kernel;
pub mod status;
pub mod target;

pub use kernel::{create, message, remove, status, table};
pub use status::Status;
pub use target::Target;

/// Directory of the named nodes, below `/dev`.
pub const DIR: &str = "/dev/mapper";

/// A request that device-mapper refused. The kernel's reason, if it gives one, is in its log.
#[derive(Debug, thiserror::Error)]
#[error("device-mapper {name}: {operation}: {cause}")]
pub struct MapperError {
    /// The device.
    pub name: String,
    /// What was asked for.
    pub operation: &'static str,
    /// The error number in words, or what is missing.
    pub cause: String,
}

/// A device that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its node is `/dev/dm-<minor>`.
    pub minor: u32,
    /// udev did not confirm it in time, so its names may be missing.
    pub unconfirmed: bool,
}

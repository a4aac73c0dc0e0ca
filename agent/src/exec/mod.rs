//! Acting: the steps of a plan, done on this machine. Short functions over system calls, tested on real devices.

pub mod apply;
mod area;
mod basics;
mod begun;
pub mod blank;
mod check;
pub mod copy;
mod crypt;
mod cryptsetup;
mod delete;
mod digest;
pub mod driver;
mod fetch;
mod labels;
pub mod mount;
mod net;
mod overlay;
mod passphrase;
pub mod programs;
pub mod progress;
mod protected;
mod ram;
pub mod reset;
pub mod secret;
mod sign;
mod snapshot;
mod telling;
mod tool;
mod unfinished;
pub mod unwind;
mod updates;
mod ways;
mod witness;
mod words;

pub use apply::Executor;
pub use driver::{LoadModule, MODULE_LIMIT, ModuleError};

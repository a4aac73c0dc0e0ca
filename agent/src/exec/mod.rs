//! Acting: the steps of a plan, done on this machine. Short functions over system calls, tested on real devices.

pub mod apply;
pub mod copy;
pub mod mount;
pub mod progress;
pub mod unwind;

pub use apply::Executor;

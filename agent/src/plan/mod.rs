//! Thinking: from what was asked and what was found to a list of steps. Pure; nothing here touches the machine.

pub mod acquire;
pub mod act;
pub mod assemble;
mod common;
mod cowfile;
pub mod crypt;
pub mod deploy;
pub mod drivers;
pub mod flags;
pub mod kept_net;
pub mod named;
pub mod ordinary;
pub mod persist;
pub mod points;
pub mod prepare;
pub mod programs;
pub mod provider;
pub mod ram;
pub mod remote;
pub mod slot;
pub mod snapshot;
pub mod step;
pub mod wanted;

pub use points::{Points, Presence};
pub use slot::{Place, Slot};
pub use step::Step;
pub use wanted::{Done, Finding, GivenUp, Wanted, When};

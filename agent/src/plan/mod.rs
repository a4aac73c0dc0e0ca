//! Thinking: from what was asked and what was found to a list of steps. Pure; nothing here touches the machine.

pub mod acquire;
pub mod assemble;
pub mod crypt;
pub mod named;
pub mod ordinary;
pub mod persist;
pub mod points;
pub mod prepare;
pub mod ram;
mod shown;
pub mod snapshot;
pub mod step;
pub mod wanted;

pub use points::{Points, Presence};
pub use step::{Place, Replace, Slot, Step, Target};
pub use wanted::{Done, GivenUp, Wanted};

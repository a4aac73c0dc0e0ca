//! One attempt to build the root, in a process of its own.
//!
//! The kernel does not end a thread that waits for a device, and a program that has such a thread can neither end nor become
//! another one (attacks.md F1). So the process that must go on, PID 1 or the main process of a unit, opens no device: it starts
//! an attempt, listens, and leaves it behind when it hangs. What goes wrong in an attempt, a fault of ours included, is an
//! answer like others (F9, F10).

pub mod fault;
mod message;
mod sleep;
mod supervisor;
pub mod watchdog;
mod worker;

pub use message::{Avoid, Avoided, Hang, Message, NO_PROGRESS};
pub use sleep::{Sleep, Stillness, answered, sleep_of};
pub use supervisor::{Supervisor, Trouble, answer, detach};
pub use watchdog::Watchdog;
pub use worker::{Stays, run};

//! The dolly receiver: the byte vectors of network.md 1.11 through the state machine, and whole transfers on loopback with a server and
//! clients that are written for the tests from network.md alone. Names are those of network.md 1.12.

mod bench;
mod bytes;
mod chains;
mod peers;
mod relay;
mod texts;
mod vectors;

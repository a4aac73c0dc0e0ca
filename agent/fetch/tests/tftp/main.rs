//! TFTP against servers of the test's own: in a network with a clock and faults of the test's making, and on loopback.

mod peer;
mod simulated;
mod sockets;
mod vectors;

//! `cargo lab`: the test bench of rdlive.
fn main() {}

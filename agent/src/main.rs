//! `rdlive`: one binary, as PID 1 of a small initramfs or as a service in a dracut initrd.
fn main() {}

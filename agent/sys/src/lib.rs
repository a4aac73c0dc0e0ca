//! The only unsafe code of rdlive: what no library offers with a safe signature.

pub mod apart;
pub mod ata;
pub mod blkflush;
pub mod blkpg;
pub mod blkro;
pub mod btrfs;
pub mod cdrom;
pub mod device;
pub mod loopdev;
pub mod mounts;
pub mod packet;
#[cfg(all(panic = "abort", target_env = "musl"))]
mod unwind;

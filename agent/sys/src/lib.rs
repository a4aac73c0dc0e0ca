//! The only unsafe code of rdlive: ioctls that no library offers with a safe signature.

pub mod blkflush;
pub mod blkpg;
pub mod blkro;
pub mod cdrom;
pub mod loopdev;

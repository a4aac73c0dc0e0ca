//! A run that does nothing but hold what a killed run must not leave.

use anyhow::Result;

use crate::cache::{self, Cache};
use crate::tool;

/// Mounts a file system in a file, leaves a process to itself, and waits to be killed. The file `ready` in the scratch
/// directory says that all of it is there.
pub fn hold() -> Result<()> {
    let cache = Cache::open(&cache::place())?;
    tool::shell_with_mounts(HOLD, &[&cache.scratch("hold")?, &cache.fast_scratch("hold")?]).map(drop)
}

const HOLD: &str = r#"
    cd "$1"; truncate -s 8M "$2/disk"; mke2fs -q -F -t ext4 "$2/disk"; mkdir mnt; mount -o loop "$2/disk" mnt
    setsid sh -c 'sleep 1000; exit 0' "$1" </dev/null >/dev/null 2>&1 &
    sleep 0.1; touch ready
    sleep 1000"#;

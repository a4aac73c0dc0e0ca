//! Whether a thread makes progress, as the kernel counts it.

use std::path::Path;

/// What `status` of a thread says (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sleep {
    /// It waits for a device, or for something else that no signal ends (state D).
    pub uninterruptible: bool,
    /// How often it has waited so far. Each answer of a device wakes it, so a thread that copies or mounts counts on.
    pub waits: u64,
}

/// Reads `/proc/<pid>` or `/proc/<pid>/task/<tid>`; `None` if the thread has gone.
#[must_use]
pub fn sleep_of(dir: &Path) -> Option<Sleep> {
    parse(&std::fs::read_to_string(dir.join("status")).ok()?)
}

fn parse(status: &str) -> Option<Sleep> {
    let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim);
    Some(Sleep {
        uninterruptible: value("State")?.starts_with('D'),
        waits: value("voluntary_ctxt_switches")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_table() {
        let sleep = |uninterruptible, waits| Some(Sleep { uninterruptible, waits });
        for (status, expected) in [
            (
                "Name:\tx\nState:\tD (disk sleep)\nvoluntary_ctxt_switches:\t17\nnonvoluntary_ctxt_switches:\t3\n",
                sleep(true, 17),
            ),
            ("State:\tS (sleeping)\nvoluntary_ctxt_switches:\t0\n", sleep(false, 0)),
            ("State:\tS (sleeping)\n", None),
            ("", None),
        ] {
            assert_eq!(parse(status), expected, "{status:?}");
        }
    }

    #[test]
    fn a_thread_that_waits_counts_on() {
        let own = || sleep_of(Path::new("/proc/thread-self")).unwrap();
        let before = own();
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(own().waits > before.waits && !before.uninterruptible, "{before:?}");
        assert_eq!(sleep_of(Path::new("/proc/0")), None);
    }
}

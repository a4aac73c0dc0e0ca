//! File systems for changes, checked and repaired before they are mounted.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::apply::Executor;
use super::programs::{self, Tool};
use super::tool::{Ended, ToolError};
use super::witness::Witness;
use crate::error::{Code, Stop};
use crate::format::{self, Kind, torn};
use crate::plan::Slot;
use crate::plan::programs::E2FSCK;

/// A check that takes longer than this is not what somebody who boots waits for.
const CHECK_LIMIT: Duration = Duration::from_secs(300);

impl Executor<'_> {
    /// Mends a superblock that a power cut has torn, then checks with the file system's own tool where that is what its makers
    /// advise, if the file system itself says that it needs it; XFS and btrfs replay their logs when they are mounted.
    pub(super) fn check(&mut self, slot: Slot, fs: Kind) -> Result<(), Stop> {
        let (witness, mended) = self.mended(slot)?;
        // Even `e2fsck -p` changes a file system that it then gives up on, and writes to one that has nothing to repair.
        if !matches!(fs, Kind::Ext2 | Kind::Ext3 | Kind::Ext4) || !mended && is_clean(&witness) {
            return Ok(());
        }
        let node = witness.node().to_owned();
        let program = match self.e2fsck_program() {
            Ok(program) => program,
            // The kernel replays the journal; a check beyond that is better, not necessary.
            Err(stop) => {
                self.note(format!("not checked: {}", stop.cause));
                return Ok(());
            }
        };
        // What a torn superblock counts and says about errors is of two moments.
        let arguments: &[&str] = if mended { &["-p", "-f"] } else { &["-p"] };
        self.e2fsck(slot, &program, arguments, &node)
    }

    /// See [`AreaAct::Repair`](crate::plan::act::AreaAct::Repair).
    pub(super) fn repair(&mut self, slot: Slot, always: bool) -> Result<(), Stop> {
        let (witness, mended) = self.mended(slot)?;
        // What a power cut leaves needs no more than in any other boot.
        if !always && !mended && has_no_errors(&witness) {
            drop(witness);
            return self.check(slot, Kind::Ext4);
        }
        let node = witness.node().to_owned();
        let program = match self.e2fsck_program() {
            Err(stop) if !always => {
                self.note(format!("not checked: {}", stop.cause));
                return Ok(());
            }
            program => program?,
        };
        // `-y` would agree to write over what cannot be read.
        let what = format!("looking at the damage on {}", node.display());
        let looked = self.run_checker(&what, &program, &["-f", "-n"], &node);
        let unreadable = |cause: String| Stop::new(Code::AreaUnavailable, format!("{what}: {cause}"));
        match looked {
            Ok(looked) if looked.unreadable => return Err(unreadable(looked.words)),
            Ok(_) => {}
            Err(error) => return Err(unreadable(error.to_string())),
        }
        self.e2fsck(slot, &program, &["-f", "-y"], &node)?;
        self.repaired = true;
        // What it has patched up must satisfy itself: the kernel would find the rest of the damage when there is something to lose.
        let what = format!("checking the repair of {}", node.display());
        let ended = self.run_checker(&what, &program, &["-f", "-n"], &node);
        let (code, cause) = match ended {
            Ok(ended) if ended.status.success() => return Ok(()),
            Ok(ended) if is_beyond_repair(&ended) => (Code::AreaDamaged, ended.words),
            Ok(ended) => (Code::AreaUnavailable, format!("{}: {}", ended.status, ended.words)),
            Err(error) => (Code::AreaUnavailable, error.to_string()),
        };
        Err(Stop::new(code, format!("{what}: {cause}")))
    }

    fn e2fsck_program(&self) -> Result<Tool, Stop> {
        programs::find(self.env, self.programs.as_deref(), &E2FSCK)
    }

    fn e2fsck(&mut self, slot: Slot, program: &Tool, options: &[&str], device: &Path) -> Result<(), Stop> {
        let node = device.display();
        let failed = |code: Code, cause: String| {
            Stop::new(code, format!("checking {node}: {cause}"))
                .advice(format!("repair it from another system: e2fsck -f {node}"))
        };
        let what = format!("checking the area on {node}");
        let ended = self.run_checker(&what, program, options, device);
        let ended = ended.map_err(|error| failed(Code::AreaUnavailable, error.to_string()))?;
        // e2fsck(8): 1 and 2 are errors that were corrected, 4 are errors that are left; the rest is not about errors: it
        // does not know a feature, was stopped, or somebody uses the device.
        let code = match ended.status.code() {
            Some(0) => return Ok(()),
            Some(1..=3) if !ended.unreadable => {
                self.made_anew(slot);
                self.note(format!("repaired: {}", ended.words));
                return Ok(());
            }
            _ if is_beyond_repair(&ended) => Code::AreaDamaged,
            _ => Code::AreaUnavailable,
        };
        Err(failed(code, format!("{}: {}", ended.status, ended.words)))
    }

    fn run_checker(&self, what: &str, program: &Tool, arguments: &[&str], device: &Path) -> Result<Ended, ToolError> {
        self.watchdog.telling(what, || {
            let ended = program.run(arguments, device, CHECK_LIMIT);
            // The program can be ended while it reads, and then the close of the device waits for that read.
            if matches!(ended, Err(ToolError::Silent(..))) {
                self.watchdog.unanswered();
            }
            ended
        })
    }

    /// Mends a superblock that a power cut has torn.
    pub(super) fn mend(&mut self, what: Slot) -> Result<(), Stop> {
        self.mended(what).map(drop)
    }

    /// See [`Executor::mend`]; the device, and whether there was something to mend.
    fn mended(&mut self, what: Slot) -> Result<(Witness, bool), Stop> {
        let witness = self.witness(what)?;
        let mended = mend(&witness).map_err(|error| {
            Stop::new(
                Code::AreaUnavailable,
                format!("repairing the superblock of {}: {error}", witness.node().display()),
            )
        })?;
        if let Some(words) = mended {
            self.made_anew(what);
            self.note(format!("repaired: {words}"));
        }
        Ok((witness, mended.is_some()))
    }
}

/// Whether the superblock of an ext says that it was left in order, or has a journal to be replayed and nothing else.
fn has_no_errors(witness: &Witness) -> bool {
    const STATE: u64 = 1024 + 0x3a;
    const IN_ORDER: [u8; 2] = [1, 0];
    let mut state = [0; 2];
    witness.file().read_exact_at(&mut state, STATE).is_ok() && state == IN_ORDER
}

/// Whether e2fsck has found errors that it left, or has given up in the middle of repairing (e2fsck(8): the bits 4, and 8 beside 1 or 2).
/// What cannot be read is not known to be damaged, and 8 alone is about the machine, the program, or somebody who uses the device.
fn is_beyond_repair(ended: &Ended) -> bool {
    let Some(code @ 0..16) = ended.status.code() else { return false };
    !ended.unreadable && (code & 4 != 0 || code & 8 != 0 && code & 3 != 0)
}

/// Mends the superblock if a power cut has torn it, and says what it was. Nobody else may have the device open for
/// something.
fn mend(witness: &Witness) -> io::Result<Option<&'static str>> {
    let torn = |file: &File| {
        let kind = format::identify(&mut &*file).ok().flatten().map(|found| found.kind);
        kind.and_then(|kind| torn::mend(&mut &*file, kind).ok().flatten())
    };
    if torn(witness.file()).is_none() {
        return Ok(None);
    }
    witness.alone(|device| {
        let Some(mend) = torn(device) else { return Ok(None) };
        for (at, bytes) in &mend.patches {
            device.write_all_at(bytes, *at)?;
            device.sync_data()?;
        }
        Ok(Some(mend.words))
    })
}

/// Whether the superblock says that the file system was unmounted in order and has no errors.
fn is_clean(witness: &Witness) -> bool {
    format::identify(&mut witness.file()).ok().flatten().is_some_and(|found| !found.dirty)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn f6_only_errors_that_are_left_are_beyond_repair() {
        for (code, unreadable, beyond) in [
            (0, false, false),
            (1, false, false),
            (3, false, false),
            (4, false, true),
            (5, false, true),
            (4, true, false),
            (8, false, false),
            (9, false, true),
            (9, true, false),
            (12, false, true),
            (16, false, false),
            (32 + 4, false, false),
            (128, false, false),
        ] {
            let ended = Ended { status: ExitStatus::from_raw(code << 8), words: String::new(), unreadable };
            assert_eq!(is_beyond_repair(&ended), beyond, "{code} {unreadable}");
        }
    }
}

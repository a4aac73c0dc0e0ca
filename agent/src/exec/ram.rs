//! Images in RAM: copied, and compared with what the medium says.

use std::path::Path;

use super::apply::Executor;
use super::copy;
use crate::error::{Code, Stop};
use crate::kmsg;
use crate::plan::act::RamAct;

impl Executor<'_> {
    pub(super) fn ram_act(&mut self, act: &RamAct) -> Result<(), Stop> {
        match act {
            RamAct::Copy { from, to, bytes, digest } => self.copy_to_ram(from, to, *bytes, *digest),
            RamAct::Compare { file, sha256 } => self.compare(file, sha256),
        }
    }

    /// The original's words begin and end it: people and programs look for them (dracut-live spec 2.6, case B15).
    fn copy_to_ram(&mut self, from: &Path, to: &Path, bytes: u64, digest: bool) -> Result<(), Stop> {
        kmsg::tell(self.env, "Copying live image to RAM...");
        let mut say = |line: &str| {
            kmsg::tell(self.env, line);
            self.watchdog.said();
        };
        let sum = copy::copy(&self.env.path(from), &self.env.path(to), bytes, digest, &mut say).map_err(|error| {
            Stop::new(Code::RamCopy, error.to_string()).advice("check the medium and its cable, or write it again")
        })?;
        self.sums.extend(sum.map(|sum| (to.to_owned(), sum)));
        kmsg::tell(self.env, "Done copying live image to RAM.");
        Ok(())
    }

    fn compare(&self, file: &Path, sha256: &str) -> Result<(), Stop> {
        let sum = self.sums.iter().rfind(|(of, _)| of == file);
        match sum.map(|(_, sum)| sum) {
            Some(sum) if sum != sha256 => {
                let cause = format!("the image in RAM has SHA-256 {sum}, but the medium says {sha256}");
                Err(Stop::new(Code::RamDigest, cause)
                    .wanted("an image that is what its builder wrote")
                    .advice("write the medium again; to boot it as it is, remove rd.live.ram"))
            }
            // Without a sum it was not copied, and that has been said.
            _ => Ok(()),
        }
    }
}

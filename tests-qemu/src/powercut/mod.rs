//! Power cuts. A boot is recorded write by write; then the disk of any moment can be made, booted, and looked at.
//!
//! A cut is wanted after every possible write, but a boot takes seconds: so a seed chooses, and what it chose can be done
//! again (`cargo lab test power/ --seed N --points M`).

mod deployment;
mod files;
mod judge;
mod kill;
mod log;
mod points;
pub mod random;
mod recording;
mod replay;
mod reset;
mod run;
mod shown;
mod sparse;
mod store;
pub mod volume;

pub use deployment::Deployment;
pub use points::Phase;
pub use random::Random;
pub use recording::{Place, STORE, Setup};
pub use reset::{CHANGES, Old};
pub use run::Cuts;

/// Which cuts a run makes.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Decides about places and caches.
    pub seed: u64,
    /// Points of each scenario instead of its own number.
    pub points: Option<usize>,
    /// Each scenario's larger number.
    pub many: bool,
}

impl Choice {
    /// With a seed of its own where none was given.
    pub fn settled(self) -> Self {
        let clock = || std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_secs());
        Self { seed: if self.seed == 0 { clock() } else { self.seed }, ..self }
    }
}

impl Default for Choice {
    /// Always the same, so that a commit's result does not depend on luck.
    fn default() -> Self {
        Self { seed: 1, points: None, many: false }
    }
}

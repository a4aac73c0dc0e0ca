//! What an attempt and its supervisor tell each other: one JSON value a line.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Stop};

/// From an attempt to its supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Message {
    /// It goes on. Sent every few seconds.
    Alive,
    /// It will not end by itself after its last word, and must not be ended: see [`super::worker`].
    Stays,
    /// The root is at the sysroot.
    Built {
        /// `init=`.
        init: Option<PathBuf>,
    },
    /// The command line does not ask for a live root.
    Declined,
    /// It ended as it should, and this is why.
    Stopped(Stop),
    /// It cannot go on.
    Hangs(Hang),
    /// A fault of ours.
    Fault {
        /// Source file and line.
        place: String,
        /// What was wrong.
        what: String,
    },
}

/// A step that has made no progress for [`Hang::seconds`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hang {
    /// The step.
    pub what: String,
    /// For how long.
    pub seconds: u64,
    /// Disks with requests that have not been answered in that time.
    pub devices: Vec<Avoided>,
    /// The image was within reach: what hangs may be the place for changes alone.
    pub acquired: bool,
}

impl Hang {
    /// What a person reads.
    #[must_use]
    pub fn cause(&self) -> String {
        let names: Vec<_> = self.devices.iter().map(|device| format!("/dev/{}", device.name)).collect();
        let (what, seconds) = (&self.what, self.seconds);
        match names.as_slice() {
            [] => format!("{what}: no progress for {seconds} s"),
            names => format!("{what}: {} has not answered for {seconds} s", names.join(" and ")),
        }
    }

    /// The error of a boot that ends with it.
    #[must_use]
    pub fn stop(&self) -> Stop {
        Stop::new(Code::Silent, self.cause())
    }
}

/// A disk that an attempt keeps away from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Avoided {
    /// Kernel name.
    pub name: String,
    /// Its number among all disks of this boot ([`crate::facts::Device::sequence`]): what is plugged in again has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
}

/// What an attempt does not try, for an earlier one has hung there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Avoid {
    /// Disks.
    #[serde(default)]
    pub devices: Vec<Avoided>,
    /// Why changes go to RAM whatever was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
}

impl Avoid {
    /// What the next attempt avoids after one that hung; `None` if there is nothing left to avoid.
    #[must_use]
    pub fn after(&self, hang: &Hang) -> Option<Self> {
        let mut next = self.clone();
        if hang.acquired && next.area.is_none() {
            next.area = Some(hang.cause());
            return Some(next);
        }
        let new: Vec<_> = hang.devices.iter().filter(|device| !self.devices.contains(device)).cloned().collect();
        next.devices.extend(new.iter().cloned());
        (!new.is_empty()).then_some(next)
    }
}

/// How long an attempt may make no progress.
pub const NO_PROGRESS: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(name: &str, sequence: u64) -> Avoided {
        Avoided { name: name.to_owned(), sequence: Some(sequence) }
    }

    #[test]
    fn after_a_hang_something_is_avoided_that_was_not_before() {
        let hang = |devices: &[Avoided], acquired| Hang {
            what: "mounting".into(),
            seconds: 60,
            devices: devices.to_vec(),
            acquired,
        };
        let nothing = Avoid::default();
        let area = Avoid { area: Some("mounting: /dev/sda has not answered for 60 s".into()), ..Avoid::default() };
        let without = Avoid { devices: vec![disk("sda", 3)], ..Avoid::default() };
        for (before, hang, expected) in [
            // The medium: another one may be there.
            (&nothing, hang(&[disk("sda", 3)], false), Some(without.clone())),
            // The image was there already: what is left to hang is the place for changes.
            (&nothing, hang(&[disk("sda", 3)], true), Some(area.clone())),
            // Even without changes it hangs: it is the medium after all.
            (&area, hang(&[disk("sda", 3)], true), Some(Avoid { devices: vec![disk("sda", 3)], ..area.clone() })),
            // Plugged in again it is another disk, which may hang on its own account.
            (
                &without,
                hang(&[disk("sda", 4)], false),
                Some(Avoid { devices: vec![disk("sda", 3), disk("sda", 4)], area: None }),
            ),
            // Nothing that would make the next attempt another one.
            (&nothing, hang(&[], false), None),
            (&without, hang(&[disk("sda", 3)], false), None),
        ] {
            assert_eq!(before.after(&hang), expected, "{before:?} {hang:?}");
        }
    }

    #[test]
    fn messages_are_one_line_each() {
        let stop = Stop::new(Code::MediumNotFound, "a\nb").found(["x", "y"]);
        let hang = Hang { what: "mounting".into(), seconds: 61, devices: vec![disk("sr0", 1)], acquired: true };
        for message in [
            Message::Alive,
            Message::Stays,
            Message::Built { init: Some("/bin/sh".into()) },
            Message::Stopped(stop),
            Message::Hangs(hang),
            Message::Fault { place: "boot.rs:7".into(), what: "index\nout of bounds".into() },
        ] {
            let line = serde_json::to_string(&message).unwrap();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(serde_json::from_str::<Message>(&line).unwrap(), message);
        }
    }
}

//! Changes that outlive a reboot: kiwi-live spec 3 and 7 (T-18 … T-42, T-72), each looked at from outside after power-off.

pub(super) mod asleep;
mod disk;
mod encrypt;
mod faults;
mod file;
mod identity;
mod locked;
mod modes;
pub(super) mod outside;
mod programs;

pub(super) use disk::with_area;

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::{Bus, Need};
use crate::medium::*;
use crate::mode::Mode;
use crate::outcome::End;

/// All of them.
pub fn all() -> Vec<Scenario> {
    [
        modes::all(),
        asleep::all(),
        disk::all(),
        encrypt::all(),
        file::all(),
        identity::all(),
        locked::all(),
        programs::all(),
        faults::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A stick that asks for persistence and is switched off properly.
fn stick(recipe: Recipe) -> Boot {
    Boot::from(recipe)
        .on(Bus::Stick)
        .mode(Mode::NativeWrite)
        .writable()
        .root("root=live:CDLABEL=ISO rd.live.image rd.live.overlay.persistent")
        .kargs("lab.shutdown")
}

/// As [`stick`], with the ISO as the file `live.iso` on it.
fn host(recipe: Recipe) -> Boot {
    stick(recipe).kargs("iso-scan/filename=/live.iso rd.live.cowfile.mbsize=48")
}

/// The system boots and goes down in order.
fn ends_well(boot: Boot) -> Boot {
    boots(boot).expect(console_says("shutdown: the live system is unmounted"))
}

fn boots(boot: Boot) -> Boot {
    boot.expect(overlay_root()).expect(both_dialects()).expect(marker("tiny")).expect(ends(End::Off))
}

/// It writes `/kept`.
fn writes(boot: Boot, text: &str) -> Boot {
    boot.kargs(&format!("lab.write=/kept:{text}"))
}

/// Changes go to the area of this kind: `partition` or `file`.
fn keeps(boot: Boot, kind: &'static str) -> Boot {
    ends_well(boot).expect(persistence(kind)).expect(no_fallbacks())
}

/// Changes go to RAM, and this is why.
fn forgets(boot: Boot, why: &'static str) -> Boot {
    given_up(ends_well(boot), why)
}

/// As [`forgets`], with `quiet`, which hides the kernel's log from the console.
fn forgets_quietly(boot: Boot, why: &'static str) -> Boot {
    given_up(boots(boot.kargs("quiet")), why).expect(console_lacks("Command line:"))
}

fn given_up(boot: Boot, why: &'static str) -> Boot {
    boot.expect(persistence("temporary"))
        .expect(says_what_to_do("changes are not kept over a reboot"))
        .expect(report_says(why))
        .expect(console_says(why))
        .expect(console_says_once("changes are not kept over a reboot"))
}

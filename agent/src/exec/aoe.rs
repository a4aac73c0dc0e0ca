//! ATA over Ethernet: interfaces are set up, and the device is asked for until it is there (network.md 2.2 to 2.4).

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use rdlive_net::attach::Attached;
use rdlive_net::grammar::Wish;
use rdlive_sys::blkro;

use super::apply::Executor;
use super::net::{FIRST_WORD, Heard, LACKING, MISSING, NEXT_WORD, There, no_netlink};
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::facts::Provider;
use crate::kmsg;

/// The driver itself asks once a minute. What is sent before the link carries frames is lost.
const ASK: Duration = Duration::from_millis(250);

impl Executor<'_> {
    pub(super) fn aoe(
        &mut self,
        node: &str,
        wish: &Wish,
        patience: Duration,
        follow: Option<Provider>,
    ) -> Result<(), Stop> {
        // Its limit is its own, so it is no hang.
        let _waiting = self.watchdog.waiting();
        let begin = if follow.is_some() { Attached::follow } else { Attached::begin };
        let attached = begin(wish.clone(), self.env.root()).map_err(no_netlink)?;
        let (begun, mut told, mut next) = (Instant::now(), Heard::default(), FIRST_WORD);
        while !is_there(self.env, node) {
            told.hear(self.env, attached.wait(ASK));
            ask(self.env);
            let waited = begun.elapsed();
            if waited >= LACKING {
                told.lacks(self.env, &There::of(&attached));
            }
            let states = || told.states(wish, &There::of(&attached), waited.max(MISSING));
            if waited >= patience {
                let cause = format!("no AoE server has answered for {node} in {} s", waited.as_secs());
                return Err(Stop::new(Code::AoeSilent, cause).found(states()));
            }
            if waited >= next {
                let (waited, all, states) = (waited.as_secs(), patience.as_secs(), states().join("; "));
                kmsg::tell(self.env, &format!("waiting for the AoE device {node}, {waited} s of {all}: {states}"));
                self.watchdog.said();
                next += NEXT_WORD;
            }
        }
        protect(self.env, node);
        // The root needs the link as long as it lives.
        self.keep(attached);
        Ok(())
    }
}

/// Whether the kernel shows the device, with its size.
fn is_there(env: &Env, node: &str) -> bool {
    let size = Path::new("sys/class/block").join(format!("etherd!{node}")).join("size");
    fs::read_to_string(env.path(size)).is_ok_and(|size| size.trim().parse::<u64>().is_ok_and(|size| size > 0))
}

/// Lets the driver ask all servers what they have. Before it is ready there is no such file.
fn ask(env: &Env) {
    if let Ok(mut discover) = OpenOptions::new().write(true).open(env.path("dev/etherd/discover")) {
        let _ = discover.write_all(b"\n");
    }
}

/// Others boot from the same image, and the driver does not say whether its server takes writes.
fn protect(env: &Env, node: &str) {
    let disk = node.split('p').next().unwrap_or(node);
    for name in [disk, node] {
        if let Ok(file) = File::open(env.path("dev/etherd").join(name)) {
            let _ = blkro::set_read_only(&file, true);
        }
    }
}

//! A directory of an NFS server, mounted by the kernel's own client (nfs(5), `fs/nfs/fs_context.c`).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rdlive_fetch::http::{Dial, Network, ResolveError};
use rdlive_fetch::policy;
use rdlive_net::attach::Attached;
use rustix::io::Errno;

use super::apply::Executor;
use super::basics::make_dir;
use super::mount::{self, FileSystem, MountError, Purpose};
use super::net::{FIRST_WORD, NEXT_WORD};
use super::unwind::Undo;
use super::ways::Ways;
use crate::config::Share;
use crate::error::{Code, Stop};
use crate::kmsg;

/// One attempt to reach the server, and the pause before the next one.
const ATTEMPT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(500);

impl Executor<'_> {
    pub(super) fn nfs(&mut self, share: &Share, at: &Path, patience: Duration) -> Result<(), Stop> {
        // Its limit is its own, so it is no hang.
        let _waiting = self.watchdog.waiting();
        let mut wait = Wait { begun: Instant::now(), patience, next: FIRST_WORD };
        let failed = |why: &Failure, wait: &Wait| {
            Stop::new(Code::FetchFailed, format!("{share}: {why} ({} s)", wait.seconds()))
                .advice("start the NFS server, and let it show the directory to this machine (showmount -e, exportfs)")
        };
        let address = loop {
            match reached(&Ways(self.net.as_ref().map(Attached::reach)), share) {
                Ok(address) => break address,
                Err(why) if wait.is_over() => return Err(failed(&why, &wait)),
                Err(why) => {
                    self.told(&mut wait, &format!("{share}: {why}"));
                    thread::sleep(PAUSE);
                }
            }
        };
        let target = self.env.path(at);
        make_dir(&target)?;
        let mut last = None;
        for options in share.tries(address) {
            match self.mounted(share, &target, &options, &mut wait) {
                Ok(()) => {
                    self.undo(Undo::Unmount(target));
                    self.note(format!("mounted {} ({options})", share.source()));
                    // The root needs the network as long as it lives.
                    if let Some(attached) = self.net.take() {
                        self.keep(attached);
                    }
                    return Ok(());
                }
                // A version that one of both does not know says nothing that the one before has not said.
                Err(Failure::Mount(error)) if error.errno == Errno::PROTONOSUPPORT && last.is_some() => {}
                Err(Failure::Mount(error)) => last = Some(Failure::Mount(error)),
                Err(other) => return Err(failed(&other, &wait)),
            }
        }
        Err(failed(&last.unwrap_or(Failure::Silent), &wait))
    }

    /// One mount, on a thread of its own: the kernel waits for a server as long as that takes.
    fn mounted(&self, share: &Share, target: &Path, options: &str, wait: &mut Wait) -> Result<(), Failure> {
        let (sender, result) = mpsc::channel();
        let (source, at, options): (String, PathBuf, Vec<String>) =
            (share.source(), target.to_owned(), options.split(',').map(str::to_owned).collect());
        let work = move || {
            let what = FileSystem { fs: "nfs", source: &source, options, read_only: true, purpose: Purpose::Data };
            let _ = sender.send(mount::attach(&what, &at));
        };
        thread::Builder::new().name("nfs".into()).spawn(work).map_err(Failure::Thread)?;
        loop {
            match result.recv_timeout(PAUSE) {
                Ok(mounted) => return Ok(mounted?),
                Err(mpsc::RecvTimeoutError::Timeout) if !wait.is_over() => {
                    self.told(wait, &format!("{share}: {}", Failure::Silent));
                }
                Err(_) => return Err(Failure::Silent),
            }
        }
    }

    /// Says why it is waited, after 3 s and then each 5 s.
    fn told(&self, wait: &mut Wait, why: &str) {
        if wait.begun.elapsed() >= wait.next {
            kmsg::tell(self.env, &format!("{why}, {} s of {}", wait.seconds(), wait.patience.as_secs()));
            self.watchdog.said();
            wait.next += NEXT_WORD;
        }
    }
}

struct Wait {
    begun: Instant,
    patience: Duration,
    next: Duration,
}

impl Wait {
    fn is_over(&self) -> bool {
        self.begun.elapsed() >= self.patience
    }

    fn seconds(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }
}

/// Why the share is not mounted.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0} has no address: {1}")]
    NoAddress(String, ResolveError),
    #[error("{0}: {1}")]
    Unreached(SocketAddr, policy::Errno),
    #[error("the server does not answer the mount")]
    Silent,
    #[error("no thread for the mount: {0}")]
    Thread(io::Error),
    #[error(transparent)]
    Mount(#[from] MountError),
}

/// The address at which the server takes connections; the kernel itself would only wait.
fn reached(ways: &Ways, share: &Share) -> Result<IpAddr, Failure> {
    let no_address = |why| Failure::NoAddress(share.host.clone(), why);
    let addresses = match share.host.parse() {
        Ok(address) => vec![address],
        Err(_) => ways.addresses(&share.host).map_err(no_address)?,
    };
    let mut first = None;
    for address in addresses {
        let to = SocketAddr::new(address, share.port);
        match ways.connect(to, Dial { timeout: ATTEMPT, segment: None }) {
            Ok(_) => return Ok(address),
            Err(error) => drop(first.get_or_insert(Failure::Unreached(to, policy::Errno::from(&error)))),
        }
    }
    Err(first.unwrap_or_else(|| no_address(ResolveError("the answer is empty".into()))))
}

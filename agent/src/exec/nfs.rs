//! A directory of an NFS server, mounted by the kernel's own client (nfs(5), `fs/nfs/fs_context.c`).

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rdlive_fetch::http::{Dial, Network};
use rdlive_net::attach::{Attached, Leave};
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
        let failed = |why: String| {
            Stop::new(Code::FetchFailed, format!("{share}: {why}"))
                .advice("start the NFS server, and let it show the directory to this machine (showmount -e, exportfs)")
        };
        let address = loop {
            match reached(&Ways(self.net.as_ref().map(Attached::reach)), share) {
                Ok(address) => break address,
                Err(why) if wait.is_over() => return Err(failed(format!("{why} ({} s)", wait.seconds()))),
                Err(why) => {
                    self.told(&mut wait, &format!("{share}: {why}"));
                    thread::sleep(PAUSE);
                }
            }
        };
        let target = self.env.path(at);
        make_dir(&target)?;
        let mut first: Option<MountError> = None;
        for options in share.tries(address) {
            match self.mounted(share, &target, &options, &mut wait) {
                Some(Ok(())) => {
                    self.undo(Undo::Unmount(target));
                    self.note(format!("mounted {} ({options})", share.source()));
                    // The root needs the network as long as it lives.
                    if let Some(attached) = self.net.take() {
                        attached.end(Leave::AsItIs);
                    }
                    return Ok(());
                }
                // A version that one of both does not know says nothing about the next one.
                Some(Err(error)) if error.errno == Errno::PROTONOSUPPORT && first.is_some() => {}
                Some(Err(error)) => drop(first.replace(error)),
                None => return Err(failed(format!("the server has not answered the mount in {} s", wait.seconds()))),
            }
        }
        Err(failed(first.map_or_else(|| "no version of NFS is left".to_owned(), |error| error.to_string())))
    }

    /// One mount, on a thread of its own: the kernel waits for a server as long as that takes. `None`: too long.
    fn mounted(&self, share: &Share, target: &Path, options: &str, wait: &mut Wait) -> Option<Result<(), MountError>> {
        let (sender, result) = mpsc::channel();
        let (source, at, options): (String, PathBuf, Vec<String>) =
            (share.source(), target.to_owned(), options.split(',').map(str::to_owned).collect());
        let work = move || {
            let what = FileSystem { fs: "nfs", source: &source, options, read_only: true, purpose: Purpose::Data };
            let _ = sender.send(mount::attach(&what, &at));
        };
        thread::Builder::new().name("nfs".into()).spawn(work).ok()?;
        loop {
            match result.recv_timeout(PAUSE) {
                Ok(mounted) => return Some(mounted),
                Err(mpsc::RecvTimeoutError::Timeout) if !wait.is_over() => {
                    self.told(wait, &format!("{share}: the server does not answer the mount"));
                }
                Err(_) => return None,
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

/// The address at which the server takes connections; the kernel itself would only wait.
fn reached(ways: &Ways, share: &Share) -> Result<IpAddr, String> {
    let addresses = match share.host.parse() {
        Ok(address) => vec![address],
        Err(_) => ways.addresses(&share.host).map_err(|why| format!("{} has no address: {why}", share.host))?,
    };
    let mut first = None;
    for address in addresses {
        let to = SocketAddr::new(address, share.port);
        match ways.connect(to, Dial { timeout: ATTEMPT, segment: None }) {
            Ok(_) => return Ok(address),
            Err(error) => {
                let words = rdlive_fetch::policy::Errno::from(&error);
                first.get_or_insert_with(|| format!("{to}: {words}"));
            }
        }
    }
    Err(first.unwrap_or_else(|| format!("{} has no address", share.host)))
}

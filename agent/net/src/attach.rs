//! The network brought up for a source: all interfaces that the command line allows at once, in a thread of its own, for as long as
//! somebody needs it. The first that reaches the server wins (network.md 4.3). Where another program of the initrd has the
//! interfaces, nothing is changed: what becomes of them is only followed.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use crate::grammar::{Address, Wish};
use crate::hardware::HardwareAddress;
use crate::hostname::Hostname;
use crate::link::{Events, Failure, Handle};
use crate::route::Route;

mod card;
mod course;
mod followed;
mod news;
mod reach;
#[cfg(test)]
mod tests;

pub use news::{Lost, News, Notice};
pub use reach::Reach;

/// What is known of one interface that is brought up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address.
    pub mac: Option<HardwareAddress>,
    /// Its driver.
    pub driver: Option<String>,
    /// It is set up.
    pub up: bool,
    /// It is up, and the driver sees the other end.
    pub carrier: bool,
    /// Addresses that can be used, without link-local ones.
    pub addresses: Vec<Address>,
    /// Of these the ones that the command line or a DHCP server gave; the kernel makes others from what routers say.
    pub given: Vec<Given>,
    /// Its frames carry the tag of a VLAN, and it shares its hardware address with another one.
    pub is_vlan: bool,
    /// Servers for names, those of the command line first.
    pub dns: Vec<IpAddr>,
    /// Domains in which names are looked up.
    pub search: Vec<Hostname>,
    /// The name of this machine, as this network has it.
    pub hostname: Option<Hostname>,
    /// Servers for the time.
    pub ntp: Vec<IpAddr>,
    /// The best comes first: smaller is better.
    pub metric: u32,
}

/// An address that was given to an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The address.
    pub address: Address,
    /// The routes that came with it, in the order in which the kernel takes them; the one to the subnet it makes itself.
    pub routes: Vec<Route>,
    /// A DHCP server gave it, and may give it to others when nobody asks for more time.
    pub is_leased: bool,
}

impl Card {
    /// Whether servers of an address family may be reached over it.
    #[must_use]
    pub fn has(&self, v4: bool) -> bool {
        self.addresses.iter().any(|address| address.ip.is_ipv4() == v4)
    }
}

/// What the thread writes and others read.
#[derive(Debug, Default)]
struct Board {
    cards: Vec<Card>,
    news: Vec<News>,
    /// The card over which a server was reached.
    winner: Option<u32>,
    /// So many sockets for packets were asked for.
    turns: usize,
    /// The thread has ended.
    over: bool,
}

#[derive(Debug, Default)]
struct Shared {
    board: Mutex<Board>,
    changed: Condvar,
    /// Another program has the interfaces: below this path are the files in which it names servers for names.
    followed: Option<PathBuf>,
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of addresses and routes when the thread ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// They stay, without an end: the root needs the network, or was told to keep it.
    AsItIs,
    /// They are taken away, and the interfaces set down, for whoever comes next; no server is told (network.md 4.8).
    Clean,
}

/// A network that is brought up, or is going to be.
pub struct Attached {
    shared: Arc<Shared>,
    wake: Arc<OwnedFd>,
    leave: Arc<Mutex<Option<Leave>>>,
    thread: Option<JoinHandle<()>>,
    by_mac: bool,
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").field("board", &self.shared.board()).finish_non_exhaustive()
    }
}

impl Attached {
    /// Begins. `root` is where `/proc` and `/sys` are below (`/` on a real machine).
    ///
    /// # Errors
    /// The kernel has no netlink sockets, or gives no thread.
    pub fn begin(wish: Wish, root: &Path) -> Result<Self, Failure> {
        Self::start(wish, root, Shared::default())
    }

    /// Follows what another program makes of the interfaces, and changes nothing; of the wish only the servers for names count.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn follow(wish: Wish, root: &Path) -> Result<Self, Failure> {
        Self::start(wish, root, Shared { followed: Some(root.to_owned()), ..Shared::default() })
    }

    fn start(wish: Wish, root: &Path, shared: Shared) -> Result<Self, Failure> {
        let events = Events::open()?;
        let handle = Handle::open()?;
        let shared = Arc::new(shared);
        let leave = Arc::new(Mutex::new(None));
        let failed = |source: io::Error| Failure { doing: crate::link::Doing::Listen, source };
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?);
        let by_mac = wish.client_id.is_none();
        let mut course = course::Course::new(wish, PathBuf::from(root), handle, Arc::clone(&shared));
        let (its_wake, its_leave, its_shared) = (Arc::clone(&wake), Arc::clone(&leave), Arc::clone(&shared));
        let work = move || {
            let how = course.run(events, &its_wake, &its_leave);
            course.end(how);
            its_shared.board().over = true;
            its_shared.changed.notify_all();
        };
        let thread = thread::Builder::new().name("network".into()).spawn(work).map_err(failed)?;
        Ok(Self { shared, wake, leave, thread: Some(thread), by_mac })
    }

    /// The interfaces, best first.
    #[must_use]
    pub fn cards(&self) -> Vec<Card> {
        self.shared.board().cards.clone()
    }

    /// Waits until there is news, or for so long, and takes it.
    #[must_use]
    pub fn wait(&self, time: Duration) -> Vec<News> {
        let until = Instant::now() + time;
        let mut board = self.shared.board();
        while board.news.is_empty() && !board.over {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            board = self.shared.changed.wait_timeout(board, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut board.news)
    }

    /// Whether the interfaces are its own: no other program has them.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.shared.followed.is_none()
    }

    /// Whether DHCP servers know this machine by its hardware address, as they do of most programs that ask.
    #[must_use]
    pub fn is_known_by_mac(&self) -> bool {
        self.by_mac
    }

    /// What connections are made with.
    #[must_use]
    pub fn reach(&self) -> Reach {
        Reach::new(Arc::clone(&self.shared))
    }

    /// Ends. A lease is not renewed any more.
    pub fn end(mut self, leave: Leave) {
        self.stop(leave);
    }

    fn stop(&mut self, leave: Leave) {
        *self.leave.lock().unwrap_or_else(PoisonError::into_inner) = Some(leave);
        // An eventfd takes this always: its counter is far from full.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop(Leave::Clean);
        }
    }
}

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

use crate::grammar::{Address, Names, Wish};
use crate::hardware::HardwareAddress;
use crate::hostname::Hostname;
use crate::link::{Events, Failure, Handle};
use crate::route::Route;

mod called;
mod card;
pub mod choice;
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
    /// All else that it may be called: by udev, and by the kernel before that.
    pub others: Vec<String>,
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
    /// Another interface has the same hardware address, and is no VLAN of it.
    pub is_twin: bool,
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
    /// DHCP servers know it by another name than its hardware address.
    pub by_other_id: bool,
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

    /// All that words of the command line may call it.
    #[must_use]
    pub fn names(&self) -> Names<'_> {
        Names { kernel: &self.name, others: &self.others, mac: self.mac }
    }
}

impl fmt::Display for Card {
    /// For whoever has to find out which one it is: names, hardware address, driver, and if it has a link.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.name)?;
        for name in self.others.iter().filter(|name| **name != self.name) {
            write!(f, "{name}, ")?;
        }
        self.mac.iter().try_for_each(|mac| write!(f, "{mac}, "))?;
        self.driver.iter().try_for_each(|driver| write!(f, "{driver}, "))?;
        f.write_str(match (self.up, self.carrier) {
            (_, true) => "link up)",
            (true, false) => "no link)",
            (false, false) => "not set up)",
        })
    }
}

/// What the thread writes and others read.
#[derive(Debug, Default)]
struct Board {
    cards: Vec<Card>,
    /// Those that nobody has asked for.
    idle: Vec<Card>,
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
    /// Wakes the thread.
    wake: Option<OwnedFd>,
    /// Another program has the interfaces: below this path are the files in which it names servers for names.
    followed: Option<PathBuf>,
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the thread look at what others have changed.
    fn wake(&self) {
        // An eventfd takes this always: its counter is far from full.
        if let Some(wake) = &self.wake {
            let _ = rustix::io::write(wake, &1u64.to_ne_bytes());
        }
    }
}

/// What becomes of addresses and routes when the thread ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// They stay, without an end: the root needs the network, or was told to keep it.
    AsItIs,
    /// As another program has left them: nothing is changed.
    ToOthers,
    /// They are taken away for whoever comes next, and so is a VLAN that was made. Links stay up where udev of the live system has nothing
    /// more to rename, or can; no server is told (network-field.md kind 23).
    Clean,
}

/// A network that is brought up, or is going to be.
pub struct Attached {
    shared: Arc<Shared>,
    leave: Arc<Mutex<Option<Leave>>>,
    thread: Option<JoinHandle<()>>,
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
        let leave = Arc::new(Mutex::new(None));
        let failed = |source: io::Error| Failure { doing: crate::link::Doing::Listen, source };
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|errno| failed(errno.into()))?;
        let shared = Arc::new(Shared { wake: Some(wake), ..shared });
        let mut course = course::Course::new(wish, PathBuf::from(root), handle, Arc::clone(&shared));
        let (its_leave, its_shared) = (Arc::clone(&leave), Arc::clone(&shared));
        let work = move || {
            let how = course.run(events, &its_leave);
            course.end(how);
            its_shared.board().over = true;
            its_shared.changed.notify_all();
        };
        let thread = thread::Builder::new().name("network".into()).spawn(work).map_err(failed)?;
        Ok(Self { shared, leave, thread: Some(thread) })
    }

    /// The interfaces, best first.
    #[must_use]
    pub fn cards(&self) -> Vec<Card> {
        self.shared.board().cards.clone()
    }

    /// The interfaces that are there and that the command line does not mean.
    #[must_use]
    pub fn idle(&self) -> Vec<Card> {
        self.shared.board().idle.clone()
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

    /// What connections are made with.
    #[must_use]
    pub fn reach(&self) -> Reach {
        Reach::new(Arc::clone(&self.shared))
    }

    /// Ends; the interfaces as they are now. A lease is not renewed any more.
    pub fn end(mut self, leave: Leave) -> Vec<Card> {
        self.stop(leave);
        self.cards()
    }

    fn stop(&mut self, leave: Leave) {
        *self.leave.lock().unwrap_or_else(PoisonError::into_inner) = Some(leave);
        self.shared.wake();
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

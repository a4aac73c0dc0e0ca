//! Sessions without sockets, and receivers with them.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdlive_fetch::Output;
use rdlive_fetch::dolly::{
    Action, Caller, Error, Event, Halt, Listener, Offer, Ports, Progress, Received, Session, Times, Wish,
};

/// The payload of the vectors, of any length.
pub fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|i| ((7 * i + 3) % 256) as u8).collect()
}

pub fn quick() -> Times {
    Times {
        wait: Duration::from_secs(20),
        remind: Duration::from_secs(5),
        stray: Duration::from_secs(3),
        silence: Duration::from_secs(10),
        quiet: Duration::from_millis(60),
        pause: Duration::from_millis(200),
        again: Duration::from_millis(50),
        echo: Duration::from_secs(10),
    }
}

/// A session with a clock of the test's own; it stores and answers at once.
pub struct Bench {
    pub session: Session,
    pub now: Duration,
    pub replies: Vec<Vec<u8>>,
    pub told: Vec<(usize, Vec<u8>)>,
    pub stored: Vec<u8>,
    pub others: Vec<Action>,
    pub done: Option<Received>,
}

impl Bench {
    pub fn new(wish: Wish) -> Self {
        Self::between(wish, [10, 77, 0, 1], [10, 77, 0, 2])
    }

    pub fn between(wish: Wish, peer: [u8; 4], local: [u8; 4]) -> Self {
        let session = Session::new(wish, peer.into(), local.into(), Duration::ZERO);
        let (replies, told, stored, others) = Default::default();
        Self { session, now: Duration::ZERO, replies, told, stored, others, done: None }
    }

    pub fn step(&mut self, event: Event<'_>) -> Result<(), Halt> {
        let data = if let Event::Data(bytes) = event { bytes.to_vec() } else { Vec::new() };
        let mut queue = std::collections::VecDeque::from(self.session.step(self.now, event)?);
        while let Some(action) = queue.pop_front() {
            match action {
                Action::Reply(bytes) => self.replies.push(bytes),
                Action::Tell { child, bytes } => self.told.push((child, bytes)),
                Action::Store { offset, length } => {
                    assert_eq!(offset as usize, self.stored.len());
                    self.stored.extend_from_slice(&data[..length]);
                }
                Action::Resolve(names) => {
                    let found: Vec<_> = names.iter().map(|name| name.parse().ok()).collect();
                    queue.extend(self.session.step(self.now, Event::Resolved(&found))?);
                }
                Action::AcceptData => queue.extend(self.session.step(self.now, Event::DataAccepted)?),
                Action::Finish => queue.extend(self.session.step(self.now, Event::Finished)?),
                Action::Done(received) => self.done = Some(received),
                other => self.others.push(other),
            }
        }
        Ok(())
    }

    /// Lets time pass, with each timer at its time.
    pub fn pass(&mut self, time: Duration) -> Result<(), Halt> {
        let until = self.now + time;
        while let Some(next) = self.session.deadline().filter(|next| *next <= until) {
            self.now = next.max(self.now);
            self.step(Event::Tick)?;
        }
        self.now = until;
        Ok(())
    }

    /// The whole head at once, and the silence behind it.
    pub fn introduced(&mut self, head: &[u8]) -> Result<(), Halt> {
        self.step(Event::Control(head))?;
        self.pass(Duration::from_secs(1))
    }
}

/// Bytes in memory, shared with the test.
#[derive(Clone, Default)]
pub struct Memory {
    pub bytes: Arc<Mutex<Vec<u8>>>,
    pub finished: Arc<Mutex<bool>>,
    pub room: Option<usize>,
    /// Finishing lasts until this is set, but not for ever.
    pub disk: Option<Arc<AtomicBool>>,
}

impl Output for Memory {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut all = self.bytes.lock().unwrap();
        assert_eq!(offset as usize, all.len());
        if self.room.is_some_and(|room| all.len() + bytes.len() > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        all.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        for _ in 0..1000 {
            if self.disk.as_ref().is_none_or(|disk| disk.load(Ordering::Relaxed)) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        *self.finished.lock().unwrap() = true;
        Ok(())
    }
}

/// A caller that remembers.
#[derive(Clone, Default)]
pub struct Remembers {
    pub memory: Memory,
    pub offers: Arc<Mutex<Vec<Offer>>>,
    pub notes: Arc<Mutex<Vec<Progress>>>,
    pub refuses: bool,
    pub names: Vec<(String, Ipv4Addr)>,
}

impl Remembers {
    pub fn strays(&self) -> Vec<String> {
        let notes = self.notes.lock().unwrap();
        notes
            .iter()
            .filter_map(|note| if let Progress::Stray { why, .. } = note { Some(format!("{why:?}")) } else { None })
            .collect()
    }

    pub fn has(&self, test: impl Fn(&Progress) -> bool) -> bool {
        self.notes.lock().unwrap().iter().any(test)
    }
}

impl Caller for Remembers {
    fn begin(&mut self, offer: &Offer) -> io::Result<()> {
        self.offers.lock().unwrap().push(offer.clone());
        if self.refuses { Err(io::ErrorKind::Unsupported.into()) } else { Ok(()) }
    }

    fn output(&mut self) -> &mut dyn Output {
        &mut self.memory
    }

    fn tell(&mut self, progress: &Progress) {
        if !matches!(progress, Progress::Stored { .. }) {
            self.notes.lock().unwrap().push(progress.clone());
        }
    }

    fn address(&mut self, name: &str) -> Option<Ipv4Addr> {
        self.names.iter().find(|(known, _)| known == name).map(|(_, address)| *address)
    }
}

/// A network of its own on loopback: addresses that no other test has, and two ports that are free there.
#[derive(Clone, Copy)]
pub struct Net {
    base: [u8; 2],
    pub ports: Ports,
}

impl Net {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = std::process::id().wrapping_mul(64).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let base = [(number >> 8) as u8, number as u8];
        // 127.0.0.0/16 is for everybody.
        let base = [base[0].max(1), base[1]];
        let free: Vec<_> = (0..2).map(|_| TcpListener::bind((Self::ip(base, 200), 0)).unwrap()).collect();
        let port = |at: usize| free[at].local_addr().unwrap().port();
        Self { base, ports: Ports { control: port(0), data: port(1) } }
    }

    fn ip(base: [u8; 2], host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, base[0], base[1], host)
    }

    /// The address of the host with this number.
    pub fn at(&self, host: u8) -> Ipv4Addr {
        Self::ip(self.base, host)
    }

    pub fn names(&self, hosts: std::ops::RangeInclusive<u8>) -> Vec<String> {
        hosts.map(|host| self.at(host).to_string()).collect()
    }

    /// Our receiver at this address; it listens when this returns.
    pub fn ours(&self, host: u8, wish: Wish, caller: Remembers) -> Ours {
        let listener = Listener::bind(self.at(host), self.ports).unwrap();
        let mut own = caller.clone();
        let result = thread::spawn(move || listener.receive(&wish, &mut own));
        Ours { caller, result }
    }
}

/// A receiver at work.
pub struct Ours {
    pub caller: Remembers,
    result: JoinHandle<Result<Received, Error>>,
}

impl Ours {
    pub fn end(self) -> (Result<Received, Error>, Remembers) {
        (self.result.join().unwrap(), self.caller)
    }

    /// All of this came, and everybody behind got it too.
    pub fn has(self, payload: &[u8]) {
        let (result, caller) = self.end();
        assert_eq!(result.unwrap(), Received { total: payload.len() as u64, chain_complete: true });
        assert!(*caller.memory.finished.lock().unwrap());
        assert!(*caller.memory.bytes.lock().unwrap() == payload, "other bytes");
    }
}

pub fn wish() -> Wish {
    Wish { times: quick(), ..Wish::default() }
}

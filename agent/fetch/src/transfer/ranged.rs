//! A file in parts, over as many connections as are faster.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::Duration;

use super::engine::{Ended, Engine};
use super::parts::Parts;
use super::sink::Sink;
use super::width::Width;
use super::worker::{self, Report, Spares, Task, What};
use super::{Fault, Fetched, Restart, Stop};
use crate::http::{Client, Error, RangeFault};
use crate::policy::{Changed, Identity, Next, Validator};
use crate::url::Url;

/// Parts while one connection is watched.
const FIRST: u64 = 8 << 20;
/// Parts of several connections.
const PART: u64 = 2 << 20;
/// Parts where one connection does best.
const LONG: u64 = 256 << 20;
/// Where the bytes are needed in their order, nobody runs further ahead of what is complete: so much is held at most.
const AHEAD: u64 = 8 << 20;
/// The decisions are made again at least so often.
const TICK: Duration = Duration::from_millis(100);
/// Reports that wait to be written; each has at most 64 KiB.
const WAITING: usize = 16;

/// A connection, and what it is doing.
struct Worker {
    tasks: Sender<Task>,
    busy: Option<Busy>,
}

struct Busy {
    source: usize,
    /// What has not come yet.
    rest: Range<u64>,
    /// Bytes have come.
    moving: bool,
    /// It was asked of where a redirect had led.
    remembered: bool,
}

/// What is known of a part that did not come.
struct Lost {
    source: usize,
    /// Not one byte of it came.
    refused: bool,
    remembered: bool,
}

/// One file in parts.
struct Ranged<'p> {
    workers: Vec<Worker>,
    reports: Receiver<Report>,
    report: SyncSender<Report>,
    spares: Spares,
    /// The connection of the first answer.
    client: Option<Client>,
    parts: Parts,
    width: Width,
    sink: Sink<'p>,
    total: u64,
    /// Bytes that came in parts.
    came: u64,
    /// The most connections at a time.
    most: usize,
}

impl Engine<'_> {
    /// Fetches what is left of a file whose first bytes have come.
    pub(super) fn ranged(&mut self, client: Client, total: u64, sink: Sink<'_>) -> Result<Fetched, Ended> {
        let (report, reports) = mpsc::sync_channel(WAITING);
        let parts = Parts::new(self.start.len() as u64, total, sink.kept());
        // One connection leads to one server, also where several stand behind a name and differ in their tags.
        let most = if self.changes > 0 { 1 } else { self.job.connections };
        let width = Width::new(most, self.now());
        let (workers, client, spares) = (Vec::new(), Some(client), Spares::default());
        let mut file = Ranged { workers, reports, report, spares, client, parts, width, sink, total, came: 0, most: 1 };
        while file.parts.missing() > 0 {
            let next = self.give_out(&mut file)?;
            let report = match file.reports.recv_timeout(next) {
                Ok(report) => report,
                // `file` has a sender itself.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => continue,
            };
            self.take(&mut file, report)?;
        }
        let source = self.head.source;
        let identity = self.pins[source].clone().unwrap_or(Identity { total: Some(total), validator: Validator::None });
        self.finished(file.sink, total, identity, file.most)
    }

    /// Gives the workers something to do. Returns when to look again, at the latest.
    fn give_out(&mut self, file: &mut Ranged<'_>) -> Result<Duration, Ended> {
        loop {
            let now = self.now();
            let busy = file.workers.iter().filter_map(|worker| worker.busy.as_ref());
            let (count, waiting) = (busy.clone().count(), busy.filter(|busy| !busy.moving).count());
            // While nothing comes, one try at a time.
            let one_by_one = self.course.cause().is_some() && waiting > 0;
            if count >= file.width.at(now, file.came) || one_by_one {
                return Ok(TICK);
            }
            let source = match self.course.next(now) {
                Next::Ask(source) => source,
                Next::Wait(until) => return Ok(until.saturating_sub(now).min(TICK)),
                Next::GiveUp if count == 0 => return Err(self.given_up().into()),
                Next::GiveUp => return Ok(TICK),
            };
            let Some(part) = file.part() else { return Ok(TICK) };
            self.give(file, source, part)?;
            file.most = file.most.max(count + 1);
        }
    }

    fn give(&mut self, file: &mut Ranged<'_>, source: usize, part: Range<u64>) -> Result<(), Ended> {
        let idle = file.workers.iter().position(|worker| worker.busy.is_none());
        let index = match idle {
            Some(index) => index,
            None => {
                let client = file.client.take().unwrap_or_else(|| Client::new(Arc::clone(self.setup)));
                let tasks = worker::start(file.workers.len(), client, file.report.clone(), file.spares.clone())
                    .map_err(Stop::Thread)?;
                file.workers.push(Worker { tasks, busy: None });
                file.workers.len() - 1
            }
        };
        self.board.asks(self.urls[source].to_string());
        let (url, pinned, head) = (self.urls[source].clone(), self.pins[source].clone(), Arc::clone(&self.start));
        let task = Task { url, part: part.clone(), total: file.total, pinned, head };
        let worker = &mut file.workers[index];
        worker.busy = Some(Busy { source, rest: part, moving: false, remembered: self.remembers(source) });
        // A thread ends only when nobody listens to it, and somebody does.
        worker.tasks.send(task).map_err(|_| Stop::Thread(io::ErrorKind::BrokenPipe.into()))?;
        Ok(())
    }

    fn take(&mut self, file: &mut Ranged<'_>, report: Report) -> Result<(), Ended> {
        let Some(busy) = file.workers.get_mut(report.worker).and_then(|worker| worker.busy.as_mut()) else {
            return Ok(());
        };
        let source = busy.source;
        match report.what {
            What::Proved(identity) => self.pins[source] = Some(self.pin(identity)),
            What::From(url, address) => self.from(source, url, address, file.total),
            What::Bytes(bytes) => {
                let (at, length) = (busy.rest.start, bytes.len() as u64);
                busy.rest.start += length;
                busy.moving = true;
                file.parts.came(length);
                file.came += length;
                if let Some(used) = file.sink.write(at, bytes)? {
                    file.spares.give(used);
                }
                self.moved(source, file.total - file.parts.missing());
            }
            What::Done => file.free(report.worker),
            What::Failed(fault) => {
                let lost = Lost { source, refused: !busy.moving, remembered: busy.remembered };
                file.free(report.worker);
                self.lost(file, &lost, fault)?;
            }
        }
        Ok(())
    }

    fn from(&mut self, source: usize, url: Url, address: SocketAddr, total: u64) {
        (self.urls[source], self.address) = (url, address);
        self.head.source = source;
        self.board.answers(address, Some(total));
    }

    /// A part did not come.
    fn lost(&mut self, file: &mut Ranged<'_>, lost: &Lost, fault: Fault) -> Result<(), Ended> {
        let source = lost.source;
        if self.pins[source].is_some()
            && let Fault::Http(error) = &fault
        {
            let why = match error {
                Error::Changed { why, .. } => Some(Restart::Changed(why.clone())),
                Error::Range { why: RangeFault::Beyond(Some(is)), .. } if *is < file.total => {
                    Some(Restart::Changed(Changed::Length { was: file.total, is: *is }))
                }
                Error::Range { why: RangeFault::Beyond(_), .. } => None,
                Error::Range { .. } => {
                    self.rangeless[source] = true;
                    Some(Restart::NoRanges)
                }
                _ => None,
            };
            if let Some(why) = why {
                return Err(Ended::Restart(why));
            }
        }
        let others = file.workers.iter().filter(|worker| worker.busy.as_ref().is_some_and(|busy| busy.moving)).count();
        if lost.refused && !lost.remembered && others > 0 {
            // The others bring bytes, so it is this connection that the server does not want.
            file.width.refused(others);
        }
        self.failed(source, fault, lost.remembered);
        Ok(())
    }

    /// All bytes have come.
    pub(super) fn finished(
        &self,
        sink: Sink<'_>,
        length: u64,
        identity: Identity,
        connections: usize,
    ) -> Result<Fetched, Ended> {
        let (image, written) = sink.finish(length, self.job.digest)?;
        Ok(Fetched {
            url: self.urls[self.head.source].to_string(),
            address: self.address,
            length,
            written,
            identity,
            image,
            verified: self.job.digest.is_some(),
            connections,
            restarts: self.begun.saturating_sub(1),
        })
    }
}

impl Ranged<'_> {
    /// The next part that somebody may fetch now.
    fn part(&mut self) -> Option<Range<u64>> {
        let one = self.width.is_one();
        let size = match self.most {
            _ if one => LONG,
            1 => FIRST,
            _ => PART,
        };
        let before = if one { None } else { self.sink.complete_to() };
        self.parts.take(size, before.map_or(u64::MAX, |complete| complete + AHEAD))
    }

    /// The worker has nothing to do any more; what did not come is for another one.
    fn free(&mut self, worker: usize) {
        if let Some(busy) = self.workers.get_mut(worker).and_then(|worker| worker.busy.take()) {
            self.parts.give_back(busy.rest);
        }
    }
}

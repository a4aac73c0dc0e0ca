//! The thread that decides and writes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::begin::Head;
use super::progress::{Board, Note};
use super::{Fault, Fetched, Job, Place, RESTARTS, Restart, Stop};
use crate::http::{Error, Setup};
use crate::policy::{Course, Identity, Jitter, Validator};
use crate::url::Url;

/// How an attempt ended that brought no image.
#[derive(Debug)]
pub(super) enum Ended {
    /// All of it.
    Stop(Stop),
    /// The source that was asked.
    Fault(Fault),
    /// The output is of no use any more.
    Restart(Restart),
    /// Nothing happened that counts as a failure; ask again.
    Ask,
}

impl From<Stop> for Ended {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A transfer.
pub(super) struct Engine<'a> {
    pub setup: &'a Arc<Setup>,
    pub job: &'a Job,
    pub board: &'a Arc<Board>,
    began: Instant,
    pub course: Course<Fault>,
    /// Where each source was found last, behind its redirects.
    pub urls: Vec<Url>,
    /// What each source tells versions apart by, once it is known to have this file.
    pub pins: Vec<Option<Identity>>,
    /// The source cannot send parts.
    pub rangeless: Vec<bool>,
    pub head: Head,
    /// The request of this attempt went to where a redirect had led.
    pub remembered: bool,
    /// The first bytes of the file, which a mirror must have too.
    pub start: Arc<[u8]>,
    pub address: SocketAddr,
    /// So many bytes of the file were there at some time.
    high: u64,
    /// So often was an output opened.
    pub begun: u32,
    pub changes: u32,
    /// So often was a server asked that may have several addresses.
    pub tries: usize,
}

impl<'a> Engine<'a> {
    pub(super) fn new(setup: &'a Arc<Setup>, job: &'a Job, board: &'a Arc<Board>) -> Self {
        let shown = job.sources.iter().map(Url::to_string).collect();
        let course = Course::new(shown, job.patience, job.schedule.clone(), Jitter::random(), Duration::ZERO);
        let count = job.sources.len();
        Self {
            setup,
            job,
            board,
            began: Instant::now(),
            course,
            urls: job.sources.clone(),
            pins: vec![None; count],
            rangeless: vec![false; count],
            head: Head::default(),
            remembered: false,
            start: Arc::from([]),
            address: SocketAddr::from(([0; 4], 0)),
            high: 0,
            begun: 0,
            changes: 0,
            tries: 0,
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Fetches until there is an image, or no hope.
    pub(super) fn run(mut self, place: &mut dyn Place) -> Result<Fetched, Stop> {
        loop {
            match self.attempt(place) {
                Ok(fetched) => return Ok(fetched),
                Err(Ended::Stop(stop)) => return Err(stop),
                Err(Ended::Ask) => {}
                Err(Ended::Fault(fault)) => self.failed(self.head.source, fault, self.remembered),
                Err(Ended::Restart(why)) => {
                    self.pins.fill(None);
                    if matches!(why, Restart::Changed(_)) {
                        // Another file: its bytes are new ones.
                        self.high = 0;
                        self.changes += 1;
                    }
                    if self.changes > RESTARTS {
                        return Err(Stop::Restless { url: self.urls[self.head.source].to_string(), why });
                    }
                }
            }
        }
    }

    /// What later answers of this source have to say. Several servers behind one name may each have a tag of their own for the same file:
    /// after one change the digest decides, where there is one, and not the tag.
    pub(super) fn pin(&self, identity: Identity) -> Identity {
        let loose = self.changes > 0 && self.job.digest.is_some();
        if loose { Identity { validator: Validator::None, ..identity } } else { identity }
    }

    pub(super) fn given_up(&self) -> Stop {
        match self.course.failure(self.now()) {
            Some(failure) => Stop::Source(Box::new(failure)),
            // Nothing has failed, and there is nothing to ask: a job without sources, which `Job` does not make.
            None => Stop::Refused("no source".into()),
        }
    }

    /// So many bytes of the file have come in all.
    pub(super) fn moved(&mut self, source: usize, bytes: u64) {
        self.board.bytes(bytes);
        if bytes > self.high {
            self.high = bytes;
            if self.course.cause().is_some() {
                self.board.why(None);
            }
            self.course.moved(self.now(), source);
        }
    }

    /// Whether a request to the source goes to where a redirect led before.
    pub(super) fn remembers(&self, source: usize) -> bool {
        self.urls[source] != self.job.sources[source]
    }

    /// The source has failed: what that means for it, and for others on the same way. `remembered`: the request went to where a redirect
    /// had led before, which may have expired (streaming.md 4.5): then the first URL is asked, at once.
    pub(super) fn failed(&mut self, source: usize, fault: Fault, remembered: bool) {
        if fault.is_silence() && !self.setup.small_segments.swap(true, Ordering::Relaxed) {
            self.board.note(Note::SmallSegments(fault.clone()));
        }
        if let Fault::Http(error) = &fault {
            if error.is_death() {
                self.setup.deaths.fetch_add(1, Ordering::Relaxed);
            }
            if remembered && matches!(error, Error::Status { status: 401 | 403 | 404 | 410, .. }) {
                self.urls[source] = self.job.sources[source].clone();
                return;
            }
        }
        self.course.failed(self.now(), source, fault);
        self.board.why(self.course.cause());
    }
}

//! The beginning of a file: the first answer, what it is, and the rest of it where the server has no ranges.

use std::sync::Arc;
use std::thread;

use super::engine::{Ended, Engine};
use super::sink::{Known, Sink};
use super::worker::PIECE;
use super::{Fault, Fetched, Place, Restart, Stop};
use crate::http::{Answer, Client, Error, Given, Wanted};
use crate::policy::{Identity, Next};
use crate::sniff::{self, HEAD};
use crate::url::Scheme;

/// What is known of a file whose first bytes are being fetched.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub source: usize,
    identity: Option<Identity>,
    /// `Content-Type`.
    kind: Option<String>,
    bytes: Vec<u8>,
}

impl Engine<'_> {
    /// Waits for the source whose turn it is.
    pub(super) fn turn(&self) -> Result<usize, Stop> {
        loop {
            let now = self.now();
            match self.course.next(now) {
                Next::Ask(source) => return Ok(source),
                Next::Wait(until) => thread::sleep(until.saturating_sub(now)),
                Next::GiveUp => return Err(self.given_up()),
            }
        }
    }

    /// Asks one source once, and fetches the whole file if all goes well.
    pub(super) fn attempt(&mut self, place: &mut dyn Place) -> Result<Fetched, Ended> {
        let source = self.turn()?;
        if self.head.source != source {
            self.head = Head { source, ..Head::default() };
        }
        let url = self.urls[source].clone();
        self.remembered = self.remembers(source);
        self.board.asks(url.to_string());
        if !matches!(url.scheme(), Scheme::Http | Scheme::Https) {
            return self.streamed(source, place);
        }
        let mut asking = Client::new(Arc::clone(self.setup));
        let wanted = match self.rangeless[source] {
            true => Wanted::Whole,
            false => Wanted::Range { from: self.head.bytes.len() as u64, to: HEAD as u64 },
        };
        let pinned = self.head.identity.clone();
        let answer = match asking.get(&url, wanted, pinned.as_ref()) {
            Ok(answer) => answer,
            // Such parts are of no use: everything at once, then.
            Err(Error::Range { .. }) if wanted != Wanted::Whole => {
                self.rangeless[source] = true;
                self.head.clear();
                return Err(Ended::Ask);
            }
            // Nothing was written yet.
            Err(Error::Changed { .. }) => {
                self.head.clear();
                return Err(Ended::Ask);
            }
            Err(error) => return Err(Fault::from(error).into()),
        };
        self.urls[source] = answer.url.clone();
        self.address = answer.address;
        self.board.answers(answer.address, answer.identity.total);
        let ranges = matches!(answer.given, Given::Part { .. });
        if !ranges {
            return self.all(answer, place);
        }
        self.first(answer)?;
        let Some(identity) = self.head.identity.clone() else { return Err(Ended::Ask) };
        let total = identity.total.unwrap_or(0);
        let sink = self.begin(place, &identity, None)?;
        self.pins[source] = Some(self.pin(identity));
        self.ranged(asking, total, sink)
    }

    /// Reads a part of the head, and remembers what came also if it breaks.
    fn first(&mut self, mut answer: Answer<'_>) -> Result<(), Ended> {
        let end = answer.identity.total.unwrap_or(u64::MAX).min(HEAD as u64);
        self.head.identity = Some(answer.identity.clone());
        self.head.kind.clone_from(&answer.head.kind);
        let mut piece = vec![0; PIECE];
        loop {
            match answer.body.read(&mut piece) {
                Ok(0) if self.head.bytes.len() as u64 >= end => return Ok(()),
                // A server that gives less at a time than is asked for.
                Ok(0) => return Err(Ended::Ask),
                Ok(read) => {
                    self.head.bytes.extend_from_slice(&piece[..read]);
                    // What it is has to be seen before its bytes count as progress.
                    self.board.bytes(self.head.bytes.len() as u64);
                }
                Err(error) => return Err(Fault::from(error).into()),
            }
        }
    }

    /// Judges the head, and makes room.
    pub(super) fn begin<'p>(
        &mut self,
        place: &'p mut dyn Place,
        identity: &Identity,
        length: Option<u64>,
    ) -> Result<Sink<'p>, Ended> {
        let head = std::mem::take(&mut self.head.bytes);
        let kind = self.head.kind.take();
        self.head.clear();
        let length = identity.total.or(length);
        let look = if self.job.archives { sniff::sniff_files } else { sniff::sniff };
        let content = look(&head, length, kind.as_deref()).map_err(Fault::from)?;
        let about = (self.urls[self.head.source].to_string(), length, self.begun);
        let known =
            Known { validator: identity.validator.clone(), digest: self.job.digest, archives: self.job.archives };
        let mut sink = Sink::begin(place, self.board, about, content, known)?;
        self.begun += 1;
        self.start = head.clone().into();
        self.moved(self.head.source, head.len() as u64);
        sink.write(0, head)?;
        Ok(sink)
    }

    /// Fetches the whole file in one answer.
    fn all(&mut self, mut answer: Answer<'_>, place: &mut dyn Place) -> Result<Fetched, Ended> {
        let (source, identity) = (self.head.source, answer.identity.clone());
        self.head.clear();
        self.head.kind.clone_from(&answer.head.kind);
        let mut piece = vec![0; PIECE];
        let mut received = 0_u64;
        let mut sink: Option<Sink<'_>> = None;
        let mut place = Some(place);
        loop {
            let read = match answer.body.read(&mut piece) {
                Ok(read) => read,
                Err(error) => {
                    self.head.clear();
                    self.failed(source, error.into(), false);
                    return Err(if sink.is_some() { Ended::Restart(Restart::NoRanges) } else { Ended::Ask });
                }
            };
            received += read as u64;
            self.board.bytes(received);
            match &mut sink {
                Some(sink) => {
                    let bytes = piece[..read].to_vec();
                    sink.write(received - read as u64, bytes)?;
                    self.moved(source, received);
                }
                None => {
                    self.head.bytes.extend_from_slice(&piece[..read]);
                    if (self.head.bytes.len() >= HEAD || read == 0)
                        && let Some(place) = place.take()
                    {
                        let begun = self.begin(place, &identity, (read == 0).then_some(received))?;
                        sink.insert(begun).whole();
                    }
                }
            }
            if read == 0 {
                break;
            }
        }
        match sink {
            Some(sink) => self.finished(sink, received, identity, 1),
            None => Err(Ended::Ask),
        }
    }
}

impl Head {
    pub(super) fn clear(&mut self) {
        *self = Self { source: self.source, ..Self::default() };
    }

    /// Takes the next bytes; how many there are now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        self.bytes.extend_from_slice(bytes);
        self.bytes.len()
    }
}

//! Files that come as one stream: by FTP from any byte on, by TFTP from the first one, by dolly when its server comes.

use std::io;

use super::engine::{Ended, Engine};
use super::sink::Sink;
use super::{Fault, Fetched, Place, Restart};
use crate::policy::{Changed, Identity, Validator};
use crate::sniff::{HEAD, NoImage};
use crate::url::{Scheme, Url};
use crate::{Facts, Output, Taker};

/// An attempt that brought not all of a file.
pub(super) struct Broken {
    pub fault: Box<Fault>,
    pub on: Resume,
}

/// How it can go on.
pub(super) enum Resume {
    /// With the next byte.
    Here,
    /// From the first byte.
    Start,
    /// It is another file now.
    Other(Changed),
}

/// What has come of a file, over all attempts that go on with it.
pub(super) struct Taking<'a, 'e, 'p> {
    pub engine: &'a mut Engine<'e>,
    place: Option<&'p mut dyn Place>,
    sink: Option<Sink<'p>>,
    /// What the server has said about it.
    pub facts: Facts,
    /// Bytes that have come.
    received: u64,
    /// Why it is not taken; the protocol only knows that it is not.
    ended: Option<Ended>,
}

impl Engine<'_> {
    /// Fetches a file from a source that sends one stream.
    pub(super) fn streamed(&mut self, source: usize, place: &mut dyn Place) -> Result<Fetched, Ended> {
        let url = self.urls[source].clone();
        self.head.clear();
        let (place, facts) = (Some(place), Facts::default());
        let mut taking = Taking { engine: self, place, sink: None, facts, received: 0, ended: None };
        loop {
            let result = taking.once(&url);
            if let Some(ended) = taking.ended.take() {
                return Err(ended);
            }
            let Err(Broken { fault, on }) = result else { return taking.done() };
            let (is_begun, engine) = (taking.sink.is_some(), &mut *taking.engine);
            engine.failed(source, *fault, false);
            let restart = match on {
                Resume::Other(changed) => Restart::Changed(changed),
                // Whatever the next source can do, it has to begin with the first byte.
                Resume::Here if is_begun && engine.turn()? == source => continue,
                Resume::Here | Resume::Start => Restart::NoRanges,
            };
            engine.head.clear();
            return Err(if is_begun { Ended::Restart(restart) } else { Ended::Ask });
        }
    }
}

impl Taking<'_, '_, '_> {
    fn once(&mut self, url: &Url) -> Result<(), Broken> {
        match url.scheme() {
            Scheme::Ftp | Scheme::Ftps => self.by_ftp(url),
            Scheme::Tftp => self.by_tftp(url),
            Scheme::Dolly => self.by_dolly(url),
            // The engine has its own way for these.
            Scheme::Http | Scheme::Https => Ok(()),
        }
    }

    /// The byte with which an attempt can go on. What did not suffice to know the file has to come again.
    pub fn next(&mut self) -> u64 {
        if self.sink.is_none() {
            self.engine.head.clear();
            self.received = 0;
        }
        self.received
    }

    fn take(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Ended> {
        self.received = offset.saturating_add(bytes.len() as u64);
        let Some(sink) = &mut self.sink else {
            // What it is has to be seen before its bytes count as progress.
            self.engine.board.bytes(self.received);
            return match self.engine.head.push(bytes) < HEAD {
                true => Ok(()),
                false => self.open(None),
            };
        };
        self.engine.moved(self.engine.head.source, self.received);
        sink.write(offset, bytes.to_vec()).map(drop)
    }

    /// Judges the first bytes, and makes room. `length`: of the whole file, where these are all.
    fn open(&mut self, length: Option<u64>) -> Result<(), Ended> {
        let identity = self.identity();
        if let Some(place) = self.place.take() {
            self.sink = Some(self.engine.begin(place, &identity, length)?);
        }
        Ok(())
    }

    fn identity(&self) -> Identity {
        let Facts { size, modified } = &self.facts;
        Identity { total: *size, validator: Validator::of(None, modified.as_deref()) }
    }

    fn done(mut self) -> Result<Fetched, Ended> {
        if self.sink.is_none() {
            self.open(Some(self.received))?;
        }
        let identity = self.identity();
        let Some(sink) = self.sink else { return Err(Fault::from(NoImage::Empty).into()) };
        self.engine.finished(sink, self.received, identity, 1)
    }
}

impl Output for Taking<'_, '_, '_> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.take(offset, bytes).map_err(|ended| {
            self.ended = Some(ended);
            io::ErrorKind::Other.into()
        })
    }

    /// The digest is compared first.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Taker for Taking<'_, '_, '_> {
    fn begin(&mut self, facts: &Facts) -> io::Result<()> {
        self.facts = facts.clone();
        self.engine.board.answers(self.engine.address, facts.size);
        Ok(())
    }

    fn output(&mut self) -> &mut dyn Output {
        self
    }
}

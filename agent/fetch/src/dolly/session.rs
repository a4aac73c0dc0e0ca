//! One parent's transfer, from its first byte on the control connection to the echo: what follows from what.

mod timers;

use std::net::Ipv4Addr;
use std::time::Duration;

use super::child::{Child, Ware};
use super::error::{ChildLoss, Error, Stray};
use super::flow::Flow;
use super::head::{Halt, Head};
use super::progress::Progress;
use super::text::{Generation, Text, parse};
use super::{Action, ChildEvent, Event, Offer, Received, Wish};

/// Where a session is.
#[derive(Debug)]
enum Stage {
    /// The parent introduces itself.
    Head(Head),
    /// Names are being looked up.
    Names(Text, usize),
    /// The data connection is awaited.
    Data(Duration),
    /// Clients behind us are being connected.
    Linking,
    /// "Ready" was said; data come.
    Receiving,
    /// All is here and goes where it belongs.
    Finishing,
    /// Our copy is finished; the echoes of those behind us are awaited.
    Echo,
}

/// The state machine of one control connection and all that belongs to it.
#[derive(Debug)]
pub struct Session {
    wish: Wish,
    peer: Ipv4Addr,
    local: Ipv4Addr,
    generation: Generation,
    text: Vec<u8>,
    name: String,
    /// How many "ready" the part of the tree from us on owes, and has sent.
    owed: usize,
    said: usize,
    stage: Stage,
    children: Vec<Child>,
    flow: Flow,
    opened: Duration,
    last: Duration,
}

type Outcome = Result<Vec<Action>, Halt>;

impl Session {
    /// A control connection from this peer, to this address of ours.
    #[must_use]
    pub fn new(wish: Wish, peer: Ipv4Addr, local: Ipv4Addr, now: Duration) -> Self {
        let (stage, flow) = (Stage::Head(Head::new(wish.key.clone())), Flow::new(wish.limit));
        Self {
            wish,
            peer,
            local,
            generation: Generation::First,
            text: Vec::new(),
            name: String::new(),
            owed: 0,
            said: 0,
            stage,
            children: Vec::new(),
            flow,
            opened: now,
            last: now,
        }
    }

    /// What follows from an event.
    ///
    /// # Errors
    /// When this session ends without an image.
    pub fn step(&mut self, now: Duration, event: Event<'_>) -> Outcome {
        let outcome = self.judge(now, event);
        match outcome {
            // Whoever was not sent by anybody does not end the boot.
            Err(Halt::Failed(_) | Halt::Kill) if self.is_head() && !self.is_host() => Err(Stray::Stranger.into()),
            Err(Halt::Kill) => Err(Halt::Failed(Error::Killed { peer: self.peer })),
            outcome => outcome,
        }
    }

    fn is_head(&self) -> bool {
        matches!(self.stage, Stage::Head(_) | Stage::Names(..))
    }

    fn is_host(&self) -> bool {
        self.wish.host.is_none_or(|host| host == self.peer)
    }

    fn judge(&mut self, now: Duration, event: Event<'_>) -> Outcome {
        match event {
            Event::Control(bytes) => self.control(now, bytes),
            Event::ControlClosed => self.control_closed(),
            Event::Resolved(addresses) => self.resolved(now, addresses),
            Event::DataAccepted => Ok(self.data_accepted(now)),
            Event::Data(bytes) => self.data(now, bytes.len()),
            Event::DataClosed => self.data_closed(now),
            Event::Finished => Ok(self.finished(now)),
            Event::Child(index, event) => self.child(now, index, event),
            Event::Tick => self.tick(now),
        }
    }

    fn control(&mut self, now: Duration, bytes: &[u8]) -> Outcome {
        self.last = now;
        match &mut self.stage {
            Stage::Head(head) => {
                let answer = head.take(bytes)?;
                Ok(answer.map(|answer| Action::Reply(answer.to_vec())).into_iter().collect())
            }
            // What comes late belongs behind the text, and means nothing.
            Stage::Names(..) | Stage::Data(_) | Stage::Linking => Ok(Vec::new()),
            Stage::Receiving | Stage::Finishing | Stage::Echo => {
                let Some(total) = self.flow.control(bytes).map_err(Halt::Failed)? else {
                    return Ok(Vec::new());
                };
                let mut actions = vec![Action::Note(Progress::Total { bytes: total })];
                actions.extend(self.children.iter_mut().filter_map(|child| child.total(total)));
                actions.extend(self.complete());
                Ok(actions)
            }
        }
    }

    fn control_closed(&mut self) -> Outcome {
        match &self.stage {
            Stage::Head(head) => Err(head.closed()),
            Stage::Names(..) | Stage::Data(_) => Err(Stray::Closed.into()),
            Stage::Linking | Stage::Receiving if self.flow.total().is_none() => {
                Err(Halt::Failed(Error::ParentClosed { received: self.flow.received() }))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The text is here, with all that stood behind it.
    fn text(&mut self) -> Outcome {
        let Stage::Head(head) = &mut self.stage else {
            return Ok(Vec::new());
        };
        let head = std::mem::replace(head, Head::new(None));
        self.generation = head.generation();
        self.text = head.into_text();
        let text = parse(&self.text, self.generation).map_err(|why| Halt::Failed(why.into()))?;
        let Some(me) = text.position(self.local, &self.wish.names) else {
            return Err(Halt::Failed(Error::NotListed { reached: self.local, listed: text.clients.len() }));
        };
        let wanted = text.parent(me).into_iter().chain(text.children(me));
        let names = wanted.map(|index| text.clients[index].clone()).collect();
        self.stage = Stage::Names(text, me);
        Ok(vec![Action::Resolve(names)])
    }

    fn resolved(&mut self, now: Duration, addresses: &[Option<Ipv4Addr>]) -> Outcome {
        let Stage::Names(text, me) = &self.stage else {
            return Ok(Vec::new());
        };
        let (me, mut addresses) = (*me, addresses.iter().copied());
        let parent = text.parent(me).and_then(|_| addresses.next().flatten());
        let is_listed = parent == Some(self.peer) || text.clients.iter().any(|name| name.parse() == Ok(self.peer));
        if !self.is_host() && !is_listed {
            return Err(Stray::Stranger.into());
        }
        let give_up = now + self.wish.times.wait;
        let mut children = Vec::new();
        for index in text.children(me) {
            let name = text.clients[index].clone();
            let Some(address) = addresses.next().flatten() else {
                return Err(Halt::Failed(Error::ChildName { name }));
            };
            children.push(Child::new(index, name, address, give_up));
        }
        let offer = Offer {
            peer: self.peer,
            generation: self.generation,
            position: me,
            clients: text.clients.len(),
            children: children.len(),
            gzip: text.gzip,
            infile: text.infile.clone(),
        };
        // The server counts this word wherever it stands.
        let is_safe = !text.clients[me].contains("ready");
        self.name = if is_safe { text.clients[me].clone() } else { self.local.to_string() };
        self.owed = text.below(me);
        self.children = children;
        self.stage = Stage::Data(now + self.wish.times.silence);
        Ok(vec![Action::AcceptData, Action::Note(Progress::Configured(offer.clone())), Action::Begin(offer)])
    }

    fn data_accepted(&mut self, now: Duration) -> Vec<Action> {
        if !matches!(self.stage, Stage::Data(_)) {
            return Vec::new();
        }
        let line = match self.generation {
            Generation::First => format!("Host got parameters '{}'.\n", self.name),
            Generation::Second => format!("Client {} configured with parameters. Ready to proceed.\n", self.name),
        };
        let mut actions = vec![Action::Reply(line.into_bytes())];
        actions.extend(self.children.iter().map(Child::connect));
        self.stage = Stage::Linking;
        actions.extend(self.linked(now));
        actions
    }

    /// "Ready", once all children have what they need.
    fn linked(&mut self, now: Duration) -> Vec<Action> {
        if !matches!(self.stage, Stage::Linking) || !self.children.iter().all(Child::is_linked) {
            return Vec::new();
        }
        self.stage = Stage::Receiving;
        self.last = now;
        self.said += 1;
        let line = match self.generation {
            Generation::First => format!("Host ready '{}'.\n", self.name),
            Generation::Second => format!("Client {} ready.\n", self.name),
        };
        vec![Action::Reply(line.into_bytes()), Action::Note(Progress::Ready)]
    }

    fn data(&mut self, now: Duration, length: usize) -> Outcome {
        self.last = now;
        if !matches!(self.stage, Stage::Receiving) {
            return Ok(Vec::new());
        }
        let (offset, length) = self.flow.data(length).map_err(Halt::Failed)?;
        let mut actions = Vec::new();
        if length > 0 {
            actions.push(Action::Store { offset, length });
            actions.push(Action::Note(Progress::Stored { bytes: self.flow.received() }));
        }
        actions.extend(self.complete());
        Ok(actions)
    }

    fn data_closed(&mut self, now: Duration) -> Outcome {
        self.last = now;
        match self.stage {
            Stage::Receiving => self.flow.end().map(|()| Vec::new()).map_err(Halt::Failed),
            Stage::Finishing | Stage::Echo => Ok(Vec::new()),
            _ => Err(Halt::Failed(Error::ParentClosed { received: 0 })),
        }
    }

    fn complete(&mut self) -> Vec<Action> {
        if !matches!(self.stage, Stage::Receiving) || !self.flow.is_complete() {
            return Vec::new();
        }
        self.stage = Stage::Finishing;
        vec![Action::EndData, Action::Finish]
    }

    fn finished(&mut self, now: Duration) -> Vec<Action> {
        if !matches!(self.stage, Stage::Finishing) {
            return Vec::new();
        }
        self.stage = Stage::Echo;
        self.children.iter_mut().for_each(|child| child.expect_echo(now + self.wish.times.echo));
        let children = self.awaited();
        let note = (children > 0).then_some(Action::Note(Progress::EchoAwaited { children }));
        note.into_iter().chain(self.echo()).collect()
    }

    /// Children whose echo is still to come.
    fn awaited(&self) -> usize {
        self.children.iter().filter(|child| !child.is_lost() && child.echo().is_none()).count()
    }

    /// The end, when all that can come has come.
    fn echo(&self) -> Vec<Action> {
        let (Stage::Echo, Some(total)) = (&self.stage, self.flow.total()) else {
            return Vec::new();
        };
        if self.awaited() > 0 {
            return Vec::new();
        }
        // One that is lost has no image: without our echo the server reports a failure.
        let has_lost = self.children.iter().any(Child::is_lost);
        let wrong = self.children.iter().filter_map(Child::echo).find(|echo| *echo != total);
        let reply = (!has_lost).then(|| Action::Reply(wrong.unwrap_or(total).to_le_bytes().to_vec()));
        let done = Received { total, chain_complete: !has_lost && wrong.is_none() };
        reply.into_iter().chain([Action::Done(done)]).collect()
    }

    fn child(&mut self, now: Duration, index: usize, event: ChildEvent<'_>) -> Outcome {
        let Some(at) = self.children.iter().position(|child| child.index == index) else {
            return Ok(Vec::new());
        };
        self.of_child(now, at, |child, ware| child.step(now, event, ware))
    }

    /// Lets a child act; what follows from it for us.
    fn of_child(
        &mut self,
        now: Duration,
        at: usize,
        act: impl FnOnce(&mut Child, &Ware<'_>) -> Result<Vec<Action>, ChildLoss>,
    ) -> Outcome {
        let Self { wish, text, generation, children, .. } = self;
        let child = &mut children[at];
        let was_behind = child.is_behind();
        let ware = Ware { generation: *generation, key: wish.key.as_ref(), text, times: &wish.times };
        let mut actions = match act(child, &ware) {
            Ok(actions) => actions,
            Err(why) => self.lost(at, why)?,
        };
        let words = actions.iter().map(|action| if let Action::Reply(line) = action { readies(line) } else { 0 });
        self.said += words.sum::<usize>();
        // While a child was behind, nothing was read from the parent: its silence was ours.
        if was_behind {
            self.last = now;
        }
        actions.extend(self.linked(now));
        actions.extend(self.echo());
        Ok(actions)
    }

    /// Before all are ready the server waits for the lost one for ever; afterwards our own copy goes on.
    fn lost(&mut self, at: usize, why: ChildLoss) -> Outcome {
        let child = &mut self.children[at];
        child.lose();
        let name = child.name.clone();
        if self.said < self.owed {
            return Err(Halt::Failed(Error::Child { name, why }));
        }
        Ok(vec![Action::Drop { child: child.index }, Action::Note(Progress::ChildLost { name, why })])
    }
}

/// How often the server will count the word.
fn readies(line: &[u8]) -> usize {
    line.windows(5).filter(|word| word == b"ready").count()
}

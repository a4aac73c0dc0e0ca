//! What follows when nothing happens.

use std::time::Duration;

use super::{Child, Error, Halt, Outcome, Session, Stage, Stray};

impl Session {
    /// When [`Event::Tick`] is due if nothing else happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let children = self.children.iter().filter_map(|child| child.deadline(&self.wish.times));
        children.chain(self.own_deadline()).min()
    }

    fn own_deadline(&self) -> Option<Duration> {
        let times = &self.wish.times;
        match &self.stage {
            Stage::Head(head) if head.has_ended() => {
                Some(self.last + times.quiet).min(Some(self.opened + times.silence))
            }
            Stage::Head(head) if head.has_begun() => Some(self.opened + times.silence),
            Stage::Head(_) => Some(self.opened + times.stray),
            Stage::Data(until) => Some(*until),
            Stage::Receiving if self.children.iter().any(Child::is_behind) => None,
            Stage::Receiving => Some(self.last + self.patience()),
            Stage::Names(..) | Stage::Linking | Stage::Finishing | Stage::Echo => None,
        }
    }

    /// Until the first byte the server waits for other clients, which may take as long as we would.
    fn patience(&self) -> Duration {
        if self.flow.has_begun() { self.wish.times.silence } else { self.wish.times.wait }
    }

    pub(super) fn tick(&mut self, now: Duration) -> Outcome {
        let mut actions = Vec::new();
        for at in 0..self.children.len() {
            actions.extend(self.of_child(now, at, |child, ware| child.tick(now, ware))?);
        }
        if self.own_deadline().is_none_or(|deadline| now < deadline) {
            return Ok(actions);
        }
        match &self.stage {
            Stage::Head(head) if head.has_ended() => return self.text(),
            Stage::Head(head) if head.has_begun() => return Err(Stray::Slow.into()),
            Stage::Head(_) => return Err(Stray::Silent.into()),
            Stage::Data(_) => return Err(Stray::NoData.into()),
            Stage::Receiving => {
                let silence = self.patience();
                let (received, total) = (self.flow.received(), self.flow.total());
                return Err(Halt::Failed(Error::Silent { received, total, silence }));
            }
            Stage::Names(..) | Stage::Linking | Stage::Finishing | Stage::Echo => {}
        }
        Ok(actions)
    }
}

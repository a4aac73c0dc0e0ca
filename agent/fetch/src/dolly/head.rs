//! What a parent says on the control connection before any data: generation, password, kind, configuration text (network.md 1.3).

use super::error::{Error, Stray};
use super::key::Key;
use super::text::{Generation, MAX_TEXT, TextError, has_ended};

const VERDICT: &[u8] = b"OK";
/// The verdict has a client's name in it when it is bad.
const MAX_VERDICT: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Flag,
    Nonce,
    Verdict,
    Kind,
    Text,
}

/// A connection that ends here.
#[derive(Debug)]
pub enum Halt {
    /// It is not the parent: another one may come.
    Stray(Stray),
    /// The parent has said something that cannot be followed.
    Failed(Error),
    /// A control connection that says nothing after its password ends a client.
    Kill,
}

impl From<Stray> for Halt {
    fn from(why: Stray) -> Self {
        Self::Stray(why)
    }
}

/// A connection's first bytes, in pieces of any size.
#[derive(Debug)]
pub struct Head {
    key: Option<Key>,
    state: State,
    generation: Generation,
    bytes: Vec<u8>,
    begun: bool,
    ended: bool,
}

impl Head {
    /// Nothing has come yet. With a key only a server of generation 2 with the same one is followed.
    #[must_use]
    pub fn new(key: Option<Key>) -> Self {
        let (generation, bytes) = (Generation::First, Vec::new());
        Self { key, state: State::Flag, generation, bytes, begun: false, ended: false }
    }

    /// Something has come.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// The line that ends the text has come; what is still under way belongs to it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The protocol's form, known with the first byte.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The text with all that followed it.
    #[must_use]
    pub fn into_text(self) -> Vec<u8> {
        self.bytes
    }

    /// Takes what came; the result is to be sent back.
    ///
    /// # Errors
    /// When this connection ends here.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<[u8; 32]>, Halt> {
        self.begun |= !bytes.is_empty();
        self.bytes.extend_from_slice(bytes);
        let mut answer = None;
        loop {
            let before = self.state;
            match before {
                State::Flag => self.flag()?,
                State::Nonce => answer = self.nonce().or(answer),
                State::Verdict => self.verdict()?,
                State::Kind => self.kind()?,
                State::Text => self.text()?,
            }
            if self.state == before {
                return Ok(answer);
            }
        }
    }

    fn flag(&mut self) -> Result<(), Halt> {
        let Some(first) = self.bytes.first().copied() else {
            return Ok(());
        };
        match (first, &self.key) {
            (0 | b'i' | b'c', Some(_)) => return Err(Stray::PasswordMissing.into()),
            (1, None) => return Err(Stray::PasswordWanted.into()),
            (b'i' | b'c', None) => {
                self.state = State::Text;
                return Ok(());
            }
            (0, None) => self.state = State::Kind,
            (1, Some(_)) => self.state = State::Nonce,
            (other, _) => return Err(Stray::NotDolly(other).into()),
        }
        self.generation = Generation::Second;
        self.bytes.remove(0);
        Ok(())
    }

    fn nonce(&mut self) -> Option<[u8; 32]> {
        let nonce: [u8; 32] = self.bytes.get(..32)?.try_into().ok()?;
        self.bytes.drain(..32);
        self.state = State::Verdict;
        self.key.as_ref().map(|key| key.answer(&nonce))
    }

    fn verdict(&mut self) -> Result<(), Halt> {
        let Some(end) = self.bytes.iter().position(|byte| *byte == 0) else {
            let is_endless = self.bytes.len() > MAX_VERDICT;
            return if is_endless { Err(Stray::PasswordWrong.into()) } else { Ok(()) };
        };
        if &self.bytes[..end] != VERDICT {
            return Err(Stray::PasswordWrong.into());
        }
        self.bytes.drain(..=end);
        self.state = State::Kind;
        Ok(())
    }

    fn kind(&mut self) -> Result<(), Halt> {
        let Some(kind) = self.bytes.get(..4).and_then(|kind| kind.try_into().ok()).map(u32::from_le_bytes) else {
            return Ok(());
        };
        self.bytes.drain(..4);
        self.state = State::Text;
        match kind {
            0 => Ok(()),
            1 => Err(Halt::Failed(Error::Directory)),
            other => Err(Halt::Failed(Error::UnknownKind(other))),
        }
    }

    fn text(&mut self) -> Result<(), Halt> {
        if self.bytes.len() > MAX_TEXT {
            return Err(Halt::Failed(TextError::TooLong.into()));
        }
        self.ended = has_ended(&self.bytes);
        Ok(())
    }

    /// The connection was closed now.
    #[must_use]
    pub fn closed(&self) -> Halt {
        if self.state == State::Kind && self.bytes.is_empty() { Halt::Kill } else { Stray::Closed.into() }
    }
}

//! What an FTP client says, and what follows from the replies (RFC 959, 2428, 3659, 4217). It knows no sockets.

use std::net::IpAddr;

use super::Security;
use super::error::{Doing, Error};
use super::reply::{Reply, extended_port, number, passive_port};
use crate::Facts;

/// Replies that only announce others.
const MOST_PRELIMINARY: usize = 16;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Send this line, and wait for the reply.
    Say(String),
    /// Wait for a reply.
    Hear,
    /// Make the control connection secure, then call [`Conversation::secured`].
    Secure,
    /// Connect to this port of the server, then call [`Conversation::connected`].
    Connect(u16),
    /// The facts are known; then call [`Conversation::accepted`].
    Begin,
    /// Read the data connection to its end, then wait for a reply. It is made secure first if this says so.
    Receive {
        /// TLS on the data connection.
        secure: bool,
    },
    /// All is here.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    Auth,
    User,
    Password,
    BufferSize,
    Protection,
    Type,
    Size,
    Modified,
    Begin,
    Extended,
    Passive,
    Restart,
    Retrieve,
    Receive,
}

/// What is wanted, ready to be sent.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The file, as the server knows it.
    pub path: String,
    /// Who asks.
    pub user: String,
    /// Its password.
    pub password: String,
    /// TLS.
    pub security: Security,
    /// The first byte that is wanted.
    pub from: u64,
    /// What was known of the file when its first bytes came.
    pub known: Option<Facts>,
}

/// The dialogue.
#[derive(Debug)]
pub struct Conversation {
    wanted: Wanted,
    peer: IpAddr,
    stage: Stage,
    preliminary: usize,
    facts: Facts,
}

type Answer = Result<Next, Error>;

impl Conversation {
    /// A dialogue with this server; it speaks first.
    ///
    /// # Errors
    /// What cannot be sent.
    pub fn new(wanted: Wanted, peer: IpAddr) -> Result<Self, Error> {
        for (text, what) in [(&wanted.path, "path"), (&wanted.user, "user"), (&wanted.password, "password")] {
            if text.contains(['\r', '\n', '\0']) {
                return Err(Error::Unsendable(what));
            }
        }
        Ok(Self { wanted, peer, stage: Stage::Greeting, preliminary: 0, facts: Facts::default() })
    }

    /// What the server has said about the file.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What is going on, for messages.
    #[must_use]
    pub fn doing(&self) -> Doing {
        match self.stage {
            Stage::Greeting => Doing::Greeting,
            Stage::Auth | Stage::BufferSize | Stage::Protection => Doing::Securing,
            Stage::User | Stage::Password => Doing::Login,
            Stage::Type | Stage::Size | Stage::Modified | Stage::Begin => Doing::Asking,
            Stage::Extended | Stage::Passive => Doing::Opening,
            Stage::Restart | Stage::Retrieve => Doing::Retrieving,
            Stage::Receive => Doing::Receiving,
        }
    }

    fn say(&mut self, stage: Stage, line: String) -> Next {
        self.stage = stage;
        self.preliminary = 0;
        Next::Say(line)
    }

    /// What follows from a reply.
    ///
    /// # Errors
    /// When there is no way on.
    pub fn replied(&mut self, reply: &Reply) -> Answer {
        if reply.code < 200 && self.stage != Stage::Retrieve {
            self.preliminary += 1;
            return if self.preliminary > MOST_PRELIMINARY { Err(Error::Endless) } else { Ok(Next::Hear) };
        }
        // The server ends the dialogue.
        if reply.code == 421 {
            return Err(self.refused(reply));
        }
        match (self.stage, reply.code) {
            (Stage::Greeting, 200..300) if self.wanted.security == Security::Explicit => {
                Ok(self.say(Stage::Auth, "AUTH TLS".into()))
            }
            (Stage::Greeting, 200..300) => Ok(self.user()),
            (Stage::Auth, 200..300) => Ok(Next::Secure),
            (Stage::User, 331) => Ok(self.say(Stage::Password, format!("PASS {}", self.wanted.password))),
            (Stage::User | Stage::Password, 200..300) => Ok(self.logged_in()),
            (Stage::BufferSize, 200..300) => Ok(self.say(Stage::Protection, "PROT P".into())),
            (Stage::Protection, 200..300) => Ok(self.binary()),
            (Stage::Type, 200..300) => Ok(self.say(Stage::Size, format!("SIZE {}", self.wanted.path))),
            (Stage::Size, code) => Ok(self.sized(code, reply)),
            (Stage::Modified, code) => self.modified(code, reply),
            (Stage::Extended, 200..300) => {
                extended_port(&reply.last).map(Next::Connect).ok_or_else(|| self.unclear(reply))
            }
            // Servers that do not know it, or that a gateway has to help, which does not know it.
            (Stage::Extended, 500..600) if self.peer.is_ipv4() => Ok(self.say(Stage::Passive, "PASV".into())),
            // The address in it is not used. Behind a gateway it is one that nobody reaches; another host than the server has nothing to
            // say to us.
            (Stage::Passive, 200..300) => {
                passive_port(&reply.last).map(Next::Connect).ok_or_else(|| self.unclear(reply))
            }
            (Stage::Restart, 300..400) => Ok(self.retrieve()),
            (Stage::Restart, code) => Err(Error::NoResume { from: self.wanted.from, code, text: reply.text.clone() }),
            (Stage::Retrieve, 100..200) => {
                self.stage = Stage::Receive;
                Ok(Next::Receive { secure: self.wanted.security != Security::None })
            }
            (Stage::Receive, 200..300) => Ok(Next::Done),
            _ => Err(self.refused(reply)),
        }
    }

    fn refused(&self, reply: &Reply) -> Error {
        Error::Refused { doing: self.doing(), code: reply.code, text: reply.text.clone() }
    }

    fn unclear(&self, reply: &Reply) -> Error {
        Error::Unclear { doing: self.doing(), code: reply.code, text: reply.text.clone() }
    }

    /// The control connection is secure now.
    pub fn secured(&mut self) -> Next {
        if self.stage == Stage::Greeting { Next::Hear } else { self.user() }
    }

    fn user(&mut self) -> Next {
        self.say(Stage::User, format!("USER {}", self.wanted.user))
    }

    fn logged_in(&mut self) -> Next {
        if self.wanted.security == Security::None {
            return self.binary();
        }
        self.say(Stage::BufferSize, "PBSZ 0".into())
    }

    fn binary(&mut self) -> Next {
        self.say(Stage::Type, "TYPE I".into())
    }

    /// A server that does not tell the size may still send the file; whether the file is there is seen then.
    fn sized(&mut self, code: u16, reply: &Reply) -> Next {
        self.facts.size = if code == 213 { number(&reply.last) } else { None };
        self.say(Stage::Modified, format!("MDTM {}", self.wanted.path))
    }

    fn modified(&mut self, code: u16, reply: &Reply) -> Answer {
        let digits = reply.last.trim_ascii();
        let is_time = code == 213 && (14..=32).contains(&digits.len());
        let is_time = is_time && digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
        self.facts.modified = is_time.then(|| String::from_utf8_lossy(digits).into_owned());
        let is_other = self.wanted.known.as_ref().is_some_and(|known| self.facts.differ(known));
        if is_other || self.facts.size.is_some_and(|size| self.wanted.from > size) {
            return Err(Error::Changed);
        }
        self.stage = Stage::Begin;
        Ok(Next::Begin)
    }

    /// The caller takes the file.
    pub fn accepted(&mut self) -> Next {
        // A break just before the end leaves nothing to ask for.
        if self.wanted.from > 0 && self.facts.size == Some(self.wanted.from) {
            return Next::Done;
        }
        self.say(Stage::Extended, "EPSV".into())
    }

    /// The data connection is made.
    pub fn connected(&mut self) -> Next {
        if self.wanted.from == 0 {
            return self.retrieve();
        }
        self.say(Stage::Restart, format!("REST {}", self.wanted.from))
    }

    fn retrieve(&mut self) -> Next {
        self.say(Stage::Retrieve, format!("RETR {}", self.wanted.path))
    }
}

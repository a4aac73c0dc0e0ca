//! A connection's thread: reads what it is told to.

use std::io;
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::Fault;
use crate::http::{Client, Wanted};
use crate::policy::{Changed, Identity, Validator};
use crate::url::Url;

/// The most bytes of one report.
pub(super) const PIECE: usize = 64 * 1024;

/// A part to be fetched.
pub(super) struct Task {
    pub url: Url,
    pub part: Range<u64>,
    pub total: u64,
    /// What the source's answers have to say; `None` for a mirror that has not been asked yet.
    pub pinned: Option<Identity>,
    /// What the file begins with: a mirror has to have the same.
    pub head: Arc<[u8]>,
}

/// Buffers that were written out, for those who read next: a new one costs more than what it is filled with, for the allocator gives so
/// large a one back to the kernel each time.
#[derive(Clone, Default)]
pub(super) struct Spares(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spares {
    /// One of [`PIECE`] bytes, whatever is in them.
    fn take(&self) -> Vec<u8> {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        spare.resize(PIECE, 0);
        spare
    }

    /// Gives one back.
    pub(super) fn give(&self, buffer: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// What a worker says.
pub(super) struct Report {
    pub worker: usize,
    pub what: What,
}

pub(super) enum What {
    /// A mirror has the same file, and tells its versions apart by this.
    Proved(Identity),
    /// Where the bytes come from.
    From(Url, std::net::SocketAddr),
    /// The next bytes of the part.
    Bytes(Vec<u8>),
    /// The answer is over.
    Done,
    Failed(Fault),
}

/// Starts a thread with a client; it ends when nobody has tasks for it any more, or listens.
pub(super) fn start(
    worker: usize,
    client: Client,
    reports: SyncSender<Report>,
    spares: Spares,
) -> io::Result<Sender<Task>> {
    let (tasks, mine) = mpsc::channel();
    let name = format!("fetch{worker}");
    thread::Builder::new().name(name).spawn(move || work(worker, client, &mine, &reports, &spares))?;
    Ok(tasks)
}

/// Nobody listens any more.
struct Gone;

fn work(worker: usize, mut client: Client, tasks: &Receiver<Task>, reports: &SyncSender<Report>, spares: &Spares) {
    let say = |what| reports.send(Report { worker, what }).map_err(|_| Gone);
    while let Ok(task) = tasks.recv() {
        let said = match fetch(&mut client, task, &say, spares) {
            Ok(Ok(())) => say(What::Done),
            Ok(Err(fault)) => say(What::Failed(fault)),
            Err(Gone) => return,
        };
        if said.is_err() {
            return;
        }
    }
}

/// Fetches one part. The outer error: nobody listens; the inner one: what the source is told to have.
fn fetch(
    client: &mut Client,
    task: Task,
    say: &dyn Fn(What) -> Result<(), Gone>,
    spares: &Spares,
) -> Result<Result<(), Fault>, Gone> {
    let pinned = match task.pinned {
        Some(pinned) => pinned,
        None => match prove(client, &task) {
            Ok(identity) => {
                say(What::Proved(identity.clone()))?;
                identity
            }
            Err(fault) => return Ok(Err(fault)),
        },
    };
    let wanted = Wanted::Range { from: task.part.start, to: task.part.end };
    let mut answer = match client.get(&task.url, wanted, Some(&pinned)) {
        Ok(answer) => answer,
        Err(error) => return Ok(Err(error.into())),
    };
    say(What::From(answer.url.clone(), answer.address))?;
    loop {
        let mut piece = spares.take();
        match answer.body.read(&mut piece) {
            Ok(0) => return Ok(Ok(())),
            Ok(read) => {
                piece.truncate(read);
                say(What::Bytes(piece))?;
            }
            Err(error) => return Ok(Err(error.into())),
        }
    }
}

/// Whether a mirror has the same file: as long, and with the same first bytes, in which each format has its date or its id.
fn prove(client: &mut Client, task: &Task) -> Result<Identity, Fault> {
    let wanted = Wanted::Range { from: 0, to: task.head.len() as u64 };
    let length = Identity { total: Some(task.total), validator: Validator::None };
    let mut answer = client.get(&task.url, wanted, Some(&length)).map_err(|error| match error {
        crate::http::Error::Changed { why, .. } => Fault::Mirror(why),
        error => error.into(),
    })?;
    let mut piece = vec![0; PIECE];
    let mut rest: &[u8] = &task.head;
    while !rest.is_empty() {
        let read = answer.body.read(&mut piece)?;
        if read == 0 || rest.get(..read) != piece.get(..read) {
            return Err(Fault::Mirror(Changed::Content));
        }
        rest = &rest[read..];
    }
    // The end of the body is read too, so that the connection can be used again.
    let _ = answer.body.read(&mut piece);
    Ok(answer.identity)
}

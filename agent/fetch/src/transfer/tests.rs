//! Whole transfers from servers that do one thing each.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::*;
use crate::faulty::{Request, Server, hasty, image, part, patient, say, serve, together};
use crate::policy::{GaveUp, Schedule};

mod broken;
mod content;
mod kept;
mod slow;
mod sources;

/// Outputs in memory: one for each time that the place was opened.
#[derive(Clone, Default)]
struct Memory {
    outputs: Arc<Mutex<Vec<Image>>>,
    offers: Arc<Mutex<Vec<Offered>>>,
    /// The output fails behind this many bytes.
    room: Option<u64>,
    /// What the place can unpack: see [`Plain`].
    unpacks: bool,
}

#[derive(Clone, Default)]
struct Image {
    bytes: Vec<u8>,
    /// Bytes written, each time that they were.
    written: usize,
    finished: bool,
}

struct Handle(Arc<Mutex<Vec<Image>>>, usize, Option<u64>);

impl Output for Handle {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset as usize + bytes.len();
        if self.2.is_some_and(|room| end as u64 > room) {
            return Err(io::Error::from_raw_os_error(28));
        }
        let mut images = self.0.lock().unwrap();
        let image = &mut images[self.1];
        image.bytes.resize(image.bytes.len().max(end), 0);
        image.bytes[offset as usize..end].copy_from_slice(bytes);
        image.written += bytes.len();
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.lock().unwrap()[self.1].finished = true;
        Ok(())
    }
}

impl Place for Memory {
    fn open(&mut self, offered: &Offered) -> Result<Box<dyn Output>, Refusal> {
        self.offers.lock().unwrap().push(offered.clone());
        let mut outputs = self.outputs.lock().unwrap();
        outputs.push(Image::default());
        Ok(Box::new(Handle(Arc::clone(&self.outputs), outputs.len() - 1, self.room)))
    }

    fn unpack(&mut self, _: Packing) -> Option<Box<dyn Unpack>> {
        self.unpacks.then(|| Box::new(Plain(0)) as Box<dyn Unpack>)
    }
}

impl Memory {
    /// The last output, if it is complete: each byte was written once.
    fn image(&self) -> Vec<u8> {
        let image = self.outputs.lock().unwrap().last().unwrap().clone();
        assert!(image.finished, "not finished");
        assert_eq!(image.written, image.bytes.len(), "bytes were written twice, or not at all");
        image.bytes
    }
}

/// A compression that adds ten bytes in front, and an `X` at the end.
struct Plain(usize);

impl Unpack for Plain {
    fn unpack(&mut self, packed: &[u8], take: Take<'_>) -> io::Result<()> {
        let skip = packed.len().min(10 - self.0);
        self.0 += skip;
        if packed.contains(&b'!') && packed.windows(7).any(|window| window == b"DAMAGED") {
            return Err(io::ErrorKind::InvalidData.into());
        }
        take(&packed[skip..])
    }

    fn finish(&mut self, _: Take<'_>) -> io::Result<()> {
        if self.0 == 10 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// A job whose retries are not spread, and that gives up after so many seconds.
fn job(sources: &[Url], patience: u64) -> Job {
    let mut job = Job::new(sources.to_vec(), None).unwrap();
    job.patience = Duration::from_secs(patience);
    job.schedule = Schedule { spread: Duration::ZERO };
    job
}

fn run(setup: Setup, job: &Job, place: &mut Memory) -> Result<Fetched, Stop> {
    fetch(&Arc::new(setup), job, place, |_| ())
}

/// Fetches from one server that answers in the end.
fn get(server: &Server) -> (Fetched, Memory) {
    let mut place = Memory::default();
    let fetched = run(patient(), &job(&[server.url("/i.iso")], 60), &mut place).unwrap_or_else(|stop| panic!("{stop}"));
    assert!(server.requests().iter().all(|request| request.method() == "GET" && request.field("if-range").is_none()));
    (fetched, place)
}

/// Fetches from one server that never does, and returns the last line, without the port, and how long it took.
fn give_up(setup: Setup, server: &Server, patience: u64) -> (String, Duration) {
    let began = Instant::now();
    let stop = run(setup, &job(&[server.url("/i.iso")], patience), &mut Memory::default()).unwrap_err();
    (stop.to_string().replace(&server.address.to_string(), "S"), began.elapsed())
}

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn a_file_comes_over_one_kept_connection() {
    let data = image(3_000_001);
    let served = data.clone();
    let server = Server::new(move |request, peer| serve(request, peer, &served, "\"x\""));
    let (fetched, place) = get(&server);
    assert!(place.image() == data);
    assert_eq!((fetched.length, fetched.written, fetched.restarts, fetched.verified), (3_000_001, 3_000_001, 0, false));
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
    let offers = place.offers.lock().unwrap();
    assert_eq!((offers.len(), offers[0].length, offers[0].written()), (1, Some(3_000_001), Some(3_000_001)));
    assert_eq!(fetched.to_string(), format!("http://{}/i.iso from 127.0.0.1: 3000001 bytes", server.address));
}

#[test]
fn files_of_all_small_sizes() {
    for size in [100, 65_535, 65_536, 65_537, 131_073] {
        let data = image(size);
        let served = data.clone();
        let server = Server::new(move |request, peer| serve(request, peer, &served, ""));
        let (fetched, place) = get(&server);
        assert!(place.image() == data, "{size}");
        assert_eq!(fetched.identity.validator, Validator::None);
    }
}

/// Each connection is slow for itself, so four are faster; the digest is made of parts that come in any order.
#[test]
fn four_connections_where_that_is_faster_and_the_digest_is_right() {
    let data = image(24 << 20);
    let digest: [u8; 32] = Sha256::digest(&data).into();
    let served = data.clone();
    let server = Server::new(move |request, peer| {
        let (head, body) = part(request, &served, "\"x\"");
        peer.write_all(head.as_bytes())?;
        for piece in body.chunks(64 << 10) {
            peer.write_all(piece)?;
            thread::sleep(Duration::from_millis(8));
        }
        Ok(true)
    });
    let mut job = Job::new(vec![server.url("/i.iso")], Some(digest)).unwrap();
    job.patience = Duration::from_secs(60);
    let mut place = Memory::default();
    let fetched = run(patient(), &job, &mut place).unwrap();
    assert!(place.image() == data);
    assert_eq!((fetched.connections, fetched.verified), (4, true));
    assert_eq!(server.connections(), 4);
}

/// A server that serves one connection at a time and refuses the others.
fn a_server_that_wants_one_connection_gets_one() {
    let data = image(24 << 20);
    let served = data.clone();
    let (busy, refusals) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let refused = Arc::clone(&refusals);
    let server = Server::new(move |request, peer| {
        if busy.fetch_add(1, Ordering::SeqCst) > 0 {
            busy.fetch_sub(1, Ordering::SeqCst);
            refused.fetch_add(1, Ordering::SeqCst);
            return say(peer, "503 Busy", "", "");
        }
        let (head, body) = part(request, &served, "\"x\"");
        let mut sent = peer.write_all(head.as_bytes());
        for piece in body.chunks(64 << 10) {
            sent = sent.and_then(|()| peer.write_all(piece));
            thread::sleep(Duration::from_millis(4));
        }
        busy.fetch_sub(1, Ordering::SeqCst);
        sent.map(|()| true)
    });
    let (fetched, place) = get(&server);
    assert!(place.image() == data);
    assert_eq!(fetched.restarts, 0);
    let refusals = refusals.load(Ordering::SeqCst);
    assert!((1..=3).contains(&refusals), "{refusals}");
}

fn n_p6_a_stall_is_told_with_its_reason_and_the_console_holds_nobody_up() {
    let data = image(1_000_000);
    let served = data.clone();
    let over = Arc::new(AtomicUsize::new(0));
    let down = Arc::clone(&over);
    let server = Server::new(move |request, peer| match down.load(Ordering::SeqCst) {
        0 => {
            let (head, body) = part(request, &served, "\"x\"");
            peer.write_all(head.as_bytes())?;
            peer.write_all(&body[..body.len().min(100_000)])?;
            thread::sleep(Duration::from_millis(250));
            Ok(false)
        }
        1 => say(peer, "500 Broken", "", ""),
        _ => serve(request, peer, &served, "\"x\""),
    });
    let seen: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let (told, switch) = (Arc::clone(&seen), Arc::clone(&over));
    let report = move |progress: &Progress| {
        told.lock().unwrap().push(progress.clone());
        match &progress.stall {
            None => switch.store(1, Ordering::SeqCst),
            Some(_) => {
                switch.store(2, Ordering::SeqCst);
                // A console that never comes back.
                thread::sleep(Duration::from_secs(600));
            }
        }
    };
    let mut place = Memory::default();
    let began = Instant::now();
    fetch(&Arc::new(patient()), &job(&[server.url("/")], 60), &mut place, report).unwrap();
    assert!(place.image() == data);
    assert!(began.elapsed() < secs(60.0));
    let seen = seen.lock().unwrap();
    let stall = seen.last().unwrap().stall.clone().unwrap();
    assert!(stall.lasts >= secs(3.0) && stall.lasts < secs(10.0), "{stall:?}");
    assert!(stall.why.unwrap().to_string().ends_with(": 500 Internal Server Error"));
    let last = seen.last().unwrap();
    assert_eq!(
        (last.total, last.address.map(|address| address.port())),
        (Some(1_000_000), Some(server.address.port()))
    );
}

#[test]
fn jobs_that_make_no_sense() {
    let url = |text: &str| text.parse::<Url>().unwrap();
    let digest = |byte: &str| format!("#sha256={}", byte.repeat(32));
    assert_eq!(Job::new(vec![], None).unwrap_err(), JobError::NoSource);
    let (dolly, mirror) = ("dolly://h/x", "http://h/x");
    for both in [[dolly, mirror], [mirror, dolly]] {
        assert_eq!(Job::new(both.map(url).to_vec(), None).unwrap_err(), JobError::Dolly(dolly.into()));
    }
    let with = |sources: &[String], digest| {
        Job::new(sources.iter().map(|text| url(text)).collect(), digest).map(|job| job.digest)
    };
    let (one, two) = (format!("http://h/x{}", digest("01")), format!("http://h/x{}", digest("02")));
    assert_eq!(with(std::slice::from_ref(&one), None), Ok(Some([1; 32])));
    assert_eq!(with(&["http://h/".into(), one.clone()], Some([1; 32])), Ok(Some([1; 32])));
    assert_eq!(with(&[one.clone(), two], None), Err(JobError::Digests));
    assert_eq!(with(&[one], Some([2; 32])), Err(JobError::Digests));
    assert_eq!(with(&["http://h/#sha256=0".into()], None), Err(JobError::Url(UrlError::Digest(1))));
}

/// Both of these wait for seconds.
#[test]
fn slow_servers_and_stalls() {
    together(&[
        a_server_that_wants_one_connection_gets_one,
        n_p6_a_stall_is_told_with_its_reason_and_the_console_holds_nobody_up,
    ]);
}

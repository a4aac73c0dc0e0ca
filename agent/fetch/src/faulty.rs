//! A server for tests, on loopback, which does what a test wants: one thread for each connection, one function for all answers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::http::{Network, ResolveError, Setup};
use crate::url::Url;

/// What a connection can do.
pub(crate) trait Peer: Read + Write {}
impl<T: Read + Write> Peer for T {}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Which one of this server, from 0.
    pub nth: usize,
    /// On which connection, from 0.
    pub connection: usize,
    pub head: String,
}

impl Request {
    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub(crate) fn method(&self) -> &str {
        self.head.split(' ').next().unwrap()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let wanted = |line: &&str| line.split_once(':').is_some_and(|(field, _)| field.eq_ignore_ascii_case(name));
        self.head.lines().skip(1).find(wanted).map(|line| line.split_once(':').unwrap().1.trim())
    }

    /// First byte and, if there is one, last byte.
    pub(crate) fn range(&self) -> Option<(usize, Option<usize>)> {
        let (first, last) = self.field("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().unwrap(), last.parse().ok()))
    }
}

type Log = Arc<Mutex<Vec<Request>>>;

/// A server that runs until the test ends.
pub(crate) struct Server {
    pub address: SocketAddr,
    log: Log,
    over: Arc<AtomicBool>,
}

impl Server {
    /// Answers each request with `answer`; the connection stays open as long as that says so.
    pub(crate) fn new(answer: impl Fn(&Request, &mut dyn Peer) -> io::Result<bool> + Send + Sync + 'static) -> Self {
        Self::start("127.0.0.1:0", None, answer)
    }

    /// One at an address of its own.
    pub(crate) fn at(
        address: SocketAddr,
        answer: impl Fn(&Request, &mut dyn Peer) -> io::Result<bool> + Send + Sync + 'static,
    ) -> Self {
        Self::start(address, None, answer)
    }

    pub(crate) fn tls(
        config: Arc<ServerConfig>,
        answer: impl Fn(&Request, &mut dyn Peer) -> io::Result<bool> + Send + Sync + 'static,
    ) -> Self {
        Self::start("127.0.0.1:0", Some(config), answer)
    }

    fn start(
        at: impl std::net::ToSocketAddrs,
        config: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Request, &mut dyn Peer) -> io::Result<bool> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let address = listener.local_addr().unwrap();
        let (log, over) = (Log::default(), Arc::new(AtomicBool::new(false)));
        let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        let server = Self { address, log: Arc::clone(&log), over: Arc::clone(&over) };
        thread::spawn(move || {
            for (connection, socket) in listener.incoming().enumerate() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(socket) = socket else { continue };
                let (answer, log, count, config) =
                    (Arc::clone(&answer), Arc::clone(&log), Arc::clone(&count), config.clone());
                thread::spawn(move || {
                    let _ = socket.set_read_timeout(Some(Duration::from_secs(20)));
                    let _ = socket.set_nodelay(true);
                    let each = |head: String, peer: &mut dyn Peer| {
                        let request = Request { nth: count.fetch_add(1, Ordering::Relaxed), connection, head };
                        log.lock().unwrap().push(request.clone());
                        answer(&request, peer)
                    };
                    match config {
                        None => converse(socket, each),
                        Some(config) => {
                            converse(StreamOwned::new(ServerConnection::new(config).unwrap(), socket), each);
                        }
                    }
                });
            }
        });
        server
    }

    pub(crate) fn url(&self, target: &str) -> Url {
        format!("http://{}{target}", self.address).parse().unwrap()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        let mut connections: Vec<_> = self.requests().into_iter().map(|request| request.connection).collect();
        connections.sort_unstable();
        connections.dedup();
        connections.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn converse(stream: impl Peer, each: impl Fn(String, &mut dyn Peer) -> io::Result<bool>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        loop {
            match reader.read_line(&mut head) {
                Ok(1..) if head.ends_with("\r\n\r\n") => break,
                Ok(1..) => {}
                _ => return,
            }
        }
        if !each(head, reader.get_mut()).unwrap_or(false) {
            return;
        }
    }
}

/// Bytes that repeat nowhere, and that are no image.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut seed = 0x1234_5678_9abc_def1_u64;
    let mut data = Vec::with_capacity(bytes + 8);
    while data.len() < bytes {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        data.extend(seed.to_le_bytes());
    }
    data.truncate(bytes);
    data
}

/// The head of an answer to a request for a part of `data`, and the part. `tag`: an `ETag` with its quotes, or nothing.
pub(crate) fn part<'a>(request: &Request, data: &'a [u8], tag: &str) -> (String, &'a [u8]) {
    let tag = if tag.is_empty() { String::new() } else { format!("ETag: {tag}\r\n") };
    match request.range() {
        None => (format!("HTTP/1.1 200 OK\r\n{tag}Content-Length: {}\r\n\r\n", data.len()), data),
        Some((first, _)) if first >= data.len() => {
            let head = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */";
            (format!("{head}{}\r\nContent-Length: 0\r\n\r\n", data.len()), &[])
        }
        Some((first, last)) => {
            let end = last.map_or(data.len(), |last| (last + 1).min(data.len()));
            let range = format!(
                "Content-Range: bytes {first}-{}/{}\r\nContent-Length: {}\r\n",
                end - 1,
                data.len(),
                end - first
            );
            (format!("HTTP/1.1 206 Partial Content\r\n{tag}{range}\r\n"), &data[first..end])
        }
    }
}

/// Answers as an ordinary server does.
pub(crate) fn serve(request: &Request, peer: &mut dyn Peer, data: &[u8], tag: &str) -> io::Result<bool> {
    let (head, body) = part(request, data, tag);
    peer.write_all(head.as_bytes())?;
    peer.write_all(body)?;
    Ok(true)
}

/// Answers with a status and a few fields, each with its line end.
pub(crate) fn say(peer: &mut dyn Peer, status: &str, fields: &str, body: &str) -> io::Result<bool> {
    let length = body.len();
    peer.write_all(format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n{body}").as_bytes())?;
    Ok(true)
}

/// All names are this machine.
pub(crate) struct Loopback;

impl Network for Loopback {
    fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        if host.ends_with(".invalid") {
            Err(ResolveError("no such name".into()))
        } else {
            Ok(vec![[127, 0, 0, 1].into()])
        }
    }
}

/// For servers that answer: nothing that a loaded machine does is a fault.
pub(crate) fn patient() -> Setup {
    let mut setup = Setup::new(Arc::new(Loopback));
    setup.limits.idle = Duration::from_secs(15);
    setup
}

/// For servers that do not answer: 5 s are 300 ms.
pub(crate) fn hasty() -> Setup {
    let mut setup = Setup::new(Arc::new(Loopback));
    setup.limits.idle = Duration::from_millis(300);
    setup.limits.head = Duration::from_millis(900);
    setup.limits.body = Duration::from_millis(900);
    setup
}
/// The same with the superblock of a squashfs of that size in front.
pub(crate) fn image(bytes: usize) -> Vec<u8> {
    let mut data = noise(bytes);
    data[..4].copy_from_slice(b"hsqs");
    data[12..16].copy_from_slice(&131_072_u32.to_le_bytes());
    data[20..22].copy_from_slice(&1_u16.to_le_bytes());
    data[22..24].copy_from_slice(&17_u16.to_le_bytes());
    data[28..30].copy_from_slice(&4_u16.to_le_bytes());
    data[30..32].copy_from_slice(&0_u16.to_le_bytes());
    data[40..48].copy_from_slice(&(bytes as u64).to_le_bytes());
    data
}

/// Runs tests that mostly wait, all at the same time.
pub(crate) fn together(tests: &[fn()]) {
    thread::scope(|scope| {
        let running: Vec<_> = tests.iter().map(|test| scope.spawn(test)).collect();
        for test in running {
            if let Err(panic) = test.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

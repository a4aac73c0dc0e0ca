//! A dolly server, and a client behind ours: after network.md section 1 alone. Nothing of it comes from the agent.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sha2::{Digest, Sha256};

/// The machine's address; the DHCP server gives it to the first card.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 77);
/// Where the client behind ours is: on the server's end of the cable.
const BEHIND: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const CONTROL: u16 = 9997;
const DATA: u16 = 9998;
const PATIENCE: Duration = Duration::from_secs(60);
const PIECE: usize = 4096;

/// What a server does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dolly {
    /// Of generation 2, or 1.
    pub second: bool,
    /// `-P`, of generation 2.
    pub password: Option<&'static str>,
    /// There is a client behind the machine, which gets all from it.
    pub relay: bool,
    /// It goes after half of the image.
    pub dies: bool,
}

/// A server that waits for its client, in a thread.
#[derive(Debug)]
pub struct Server {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<String>>,
}

impl Server {
    /// Begins to ask for the machine.
    ///
    /// # Errors
    /// There is no thread, or no such namespace.
    pub fn start(namespace: &Path, image: PathBuf, what: Dolly) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let (its_over, namespace) = (Arc::clone(&over), File::open(namespace)?);
        let work = move || {
            let moved = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
            let run = Run { what, over: its_over };
            let sent = moved.map_err(io::Error::from).and_then(|()| fs::read(image)).and_then(|bytes| run.all(&bytes));
            sent.unwrap_or_else(|error| format!("the server failed: {error}"))
        };
        let thread = thread::Builder::new().name("dolly".into()).spawn(work).context("a thread for dolly")?;
        Ok(Self { over, thread: Some(thread) })
    }

    /// Ends, and says what became of it.
    pub fn end(mut self) -> String {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

struct Run {
    what: Dolly,
    over: Arc<AtomicBool>,
}

/// Data and control of one client.
struct Line {
    data: TcpStream,
    control: TcpStream,
}

impl Run {
    fn all(&self, image: &[u8]) -> io::Result<String> {
        let behind = self.what.relay.then(|| self.behind()).transpose()?;
        let Some(mut line) = self.reached()? else { return Ok("nobody listens".into()) };
        let clients = 1 + usize::from(self.what.relay);
        let (mut said, mut piece) = (String::new(), [0; 1023]);
        while said.matches("ready").count() < clients {
            match line.control.read(&mut piece)? {
                0 => return Ok(format!("the client went; it said {said:?}")),
                length => said.push_str(&String::from_utf8_lossy(&piece[..length])),
            }
        }
        let end = if self.what.dies { image.len() / 2 } else { image.len() };
        for piece in image[..end].chunks(PIECE) {
            line.data.write_all(piece)?;
        }
        if self.what.dies {
            return Ok("died".into());
        }
        line.control.write_all(&(end as u64).to_le_bytes())?;
        line.data.shutdown(Shutdown::Both)?;
        let mut echo = [0; 8];
        line.control.read_exact(&mut echo)?;
        let mut told = format!("the client echoed {} of {end} bytes", u64::from_le_bytes(echo));
        if let Some(behind) = behind {
            let got = behind.join().unwrap_or_else(|_| Ok(Vec::new()))?;
            let same = if got == image { "the same" } else { "other" };
            told += &format!("; the one behind it has {same} bytes");
        }
        Ok(told)
    }

    /// A connection of each kind to the machine, once it listens.
    fn reached(&self) -> io::Result<Option<Line>> {
        while !self.over.load(Ordering::Relaxed) {
            let text = self.text();
            match greet(CLIENT, &self.what, text.as_bytes()) {
                Ok(line) => return Ok(Some(line)),
                // It is not there yet.
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
                    thread::sleep(Duration::from_millis(100))
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn text(&self) -> String {
        let mut clients = vec![CLIENT.to_string()];
        clients.extend(self.what.relay.then(|| BEHIND.to_string()));
        let list = clients.join("\n");
        match self.what.second {
            true => format!("infile live.iso\noutfile /dev/stdout\n{list}\nendconfig\n"),
            false => format!(
                "infile live.iso\noutfile -\nserver 10.9.0.1\nfirstclient {}\nlastclient {}\nclients {}\n{list}\nendconfig\n",
                clients[0],
                clients[clients.len() - 1],
                clients.len()
            ),
        }
    }

    /// A client that has nobody behind itself. It listens when this returns.
    fn behind(&self) -> io::Result<JoinHandle<io::Result<Vec<u8>>>> {
        let listeners = (TcpListener::bind((BEHIND, CONTROL))?, TcpListener::bind((BEHIND, DATA))?);
        let second = self.what.second;
        thread::Builder::new().name("client".into()).spawn(move || leaf(second, &listeners))
    }
}

fn connect(to: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((to, port)), Duration::from_secs(1))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What a parent says first. A client that knows another password is no use to ask again.
fn greet(to: Ipv4Addr, what: &Dolly, text: &[u8]) -> io::Result<Line> {
    let data = connect(to, DATA)?;
    let mut control = connect(to, CONTROL)?;
    if what.second {
        control.write_all(&[u8::from(what.password.is_some())])?;
        if let Some(password) = what.password {
            let nonce: [u8; 32] = std::array::from_fn(|at| at as u8 * 7 + 3);
            control.write_all(&nonce)?;
            let mut answer = [0; 32];
            control.read_exact(&mut answer)?;
            let wanted = Sha256::new().chain_update(Sha256::digest(password)).chain_update(nonce).finalize();
            if answer[..] != wanted[..] {
                control.write_all(format!("AUTH_FAILED:{to}\0").as_bytes())?;
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another password"));
            }
            control.write_all(b"OK\0")?;
            thread::sleep(Duration::from_millis(50));
        }
        control.write_all(&[0; 4])?;
    }
    control.write_all(text)?;
    Ok(Line { data, control })
}

fn leaf(second: bool, (controls, datas): &(TcpListener, TcpListener)) -> io::Result<Vec<u8>> {
    let (mut control, _) = controls.accept()?;
    control.set_read_timeout(Some(PATIENCE))?;
    if second {
        // No password, and a file.
        let mut head = [0; 5];
        control.read_exact(&mut head)?;
    }
    let (mut text, mut piece) = (String::new(), [0; 1448]);
    while !text.contains("endconfig\n") {
        match control.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => text.push_str(&String::from_utf8_lossy(&piece[..length])),
        }
    }
    let (mut data, _) = datas.accept()?;
    control.write_all(format!("Client {BEHIND} configured with parameters.\n").as_bytes())?;
    control.write_all(format!("Client {BEHIND} ready.\n").as_bytes())?;
    let mut bytes = Vec::new();
    data.set_read_timeout(Some(PATIENCE))?;
    let begun = Instant::now();
    data.read_to_end(&mut bytes)?;
    if begun.elapsed() > PATIENCE {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut total = [0; 8];
    control.read_exact(&mut total)?;
    bytes.truncate(u64::from_le_bytes(total) as usize);
    control.write_all(&total)?;
    Ok(bytes)
}

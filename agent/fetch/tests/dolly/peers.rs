//! A server and a client after the originals, blocking and with the originals' habits: large reads, counted words, pieces of 4096 bytes.
//! Nothing in it comes from the crate.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdlive_fetch::dolly::Ports;
use rustix::net::sockopt;
use sha2::{Digest, Sha256};

const LIMIT: Duration = Duration::from_secs(15);

pub fn answer(password: &str, nonce: &[u8]) -> Vec<u8> {
    let first = Sha256::digest(password.as_bytes());
    Sha256::new().chain_update(first).chain_update(nonce).finalize().to_vec()
}

pub fn connect(to: Ipv4Addr, port: u16) -> TcpStream {
    let until = Instant::now() + LIMIT;
    loop {
        match TcpStream::connect((to, port)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                stream.set_write_timeout(Some(LIMIT)).unwrap();
                stream.set_nodelay(true).unwrap();
                return stream;
            }
            Err(why) if Instant::now() > until => panic!("nobody listens at {to}: {why}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The texts of the two generations.
pub fn text(generation: u8, fanout: usize, clients: &[String]) -> String {
    let list = clients.join("\n");
    if generation == 2 {
        return format!("infile small.img\noutfile /out\n{list}\nendconfig\n");
    }
    let fanout = if fanout == 1 { String::new() } else { format!("fanout {fanout}\n") };
    let (first, last) = (&clients[0], clients.last().unwrap());
    format!(
        "infile small.img\noutfile out\n{fanout}server 10.77.0.1\nfirstclient {first}\nlastclient {last}\nclients {}\n{list}\nendconfig\n",
        clients.len()
    )
}

/// What the server does; the fields are what tests vary.
#[derive(Clone)]
pub struct Server {
    pub generation: u8,
    pub password: Option<&'static str>,
    pub fanout: usize,
    pub clients: Vec<String>,
    pub text: String,
    pub ports: Ports,
}

/// One child as its parent sees it.
pub struct Line {
    pub data: TcpStream,
    pub control: TcpStream,
}

impl Server {
    pub fn new(generation: u8, ports: Ports, clients: Vec<String>) -> Self {
        let text = text(generation, 1, &clients);
        Self { generation, password: None, fanout: 1, clients, text, ports }
    }

    pub fn tree(mut self, fanout: usize) -> Self {
        self.text = text(self.generation, fanout, &self.clients);
        self.fanout = fanout;
        self
    }

    pub fn password(mut self, password: &'static str) -> Self {
        self.password = Some(password);
        self
    }

    /// Everything until "ready" was heard as often as there are clients; `None` if a client does not like us.
    pub fn open(&self) -> Option<Vec<Line>> {
        let lines: Option<Vec<_>> = self.clients[..self.fanout.min(self.clients.len())]
            .iter()
            .map(|client| {
                greet(client.parse().unwrap(), self.ports, self.generation, self.password, self.text.as_bytes())
            })
            .collect();
        let mut lines = lines?;
        let mut ready = 0;
        while ready < self.clients.len() {
            let mut before = ready;
            for line in &mut lines {
                line.control.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                let mut chunk = [0; 1023];
                match line.control.read(&mut chunk) {
                    Ok(0) => return None,
                    Ok(length) => ready += String::from_utf8_lossy(&chunk[..length]).matches("ready").count(),
                    Err(why) if why.kind() == ErrorKind::WouldBlock => before = ready,
                    Err(_) => return None,
                }
            }
            let _ = before;
        }
        for line in &mut lines {
            line.control.set_read_timeout(Some(LIMIT)).unwrap();
        }
        Some(lines)
    }

    /// A whole transfer; what each child echoes.
    pub fn send(&self, payload: &[u8]) -> Vec<Option<u64>> {
        let mut lines = self.open().expect("a client went before all were ready");
        for piece in payload.chunks(4096) {
            for line in &mut lines {
                if line.data.write_all(piece).is_err() {
                    return vec![None];
                }
            }
        }
        for line in &mut lines {
            line.control.write_all(&(payload.len() as u64).to_le_bytes()).unwrap();
            line.data.shutdown(Shutdown::Both).ok();
        }
        lines.iter_mut().map(echo).collect()
    }
}

pub fn echo(line: &mut Line) -> Option<u64> {
    let mut echo = [0; 8];
    line.control.read_exact(&mut echo).ok().map(|()| u64::from_le_bytes(echo))
}

/// What a parent of either kind says first.
pub fn greet(to: Ipv4Addr, ports: Ports, generation: u8, password: Option<&str>, text: &[u8]) -> Option<Line> {
    let data = connect(to, ports.data);
    let mut control = connect(to, ports.control);
    if generation == 2 {
        control.write_all(&[u8::from(password.is_some())]).unwrap();
        if let Some(password) = password {
            let nonce: Vec<u8> = (0..32).map(|i| i * 5 + 1).collect();
            control.write_all(&nonce).ok()?;
            let mut said = [0; 32];
            control.read_exact(&mut said).ok()?;
            if said[..] != answer(password, &nonce) {
                control.write_all(format!("AUTH_FAILED:{to}\0").as_bytes()).unwrap();
                return None;
            }
            control.write_all(b"OK\0").unwrap();
            thread::sleep(Duration::from_millis(50));
        }
        control.write_all(&[0; 4]).ok()?;
    }
    control.write_all(text).ok()?;
    Some(Line { data, control })
}

/// A client after the originals, as a leaf or a relay.
#[derive(Clone, Default)]
pub struct Client {
    pub password: Option<&'static str>,
    /// Waits so long before each read of data.
    pub slow: Duration,
    /// Takes no data until this is set.
    pub held: Option<Arc<AtomicBool>>,
    /// Goes after so many bytes.
    pub dies_after: Option<usize>,
}

/// What became of a client: its bytes, and the text it was sent.
pub struct Got {
    pub bytes: Vec<u8>,
    pub text: Vec<u8>,
    pub total: Option<u64>,
}

impl Client {
    /// Listens when this returns.
    pub fn start(self, at: Ipv4Addr, ports: Ports) -> JoinHandle<Got> {
        let listeners = (TcpListener::bind((at, ports.control)).unwrap(), TcpListener::bind((at, ports.data)).unwrap());
        // Connections inherit it: what a slow client does not take is not taken by its kernel either.
        sockopt::set_socket_recv_buffer_size(&listeners.1, 64 << 10).unwrap();
        thread::spawn(move || self.run(at, ports, listeners))
    }

    fn run(self, at: Ipv4Addr, ports: Ports, (controls, datas): (TcpListener, TcpListener)) -> Got {
        let (mut control, _) = controls.accept().unwrap();
        control.set_nodelay(true).unwrap();
        let mut first = [0];
        control.peek(&mut first).unwrap();
        let generation = if first[0] <= 1 { 2 } else { 1 };
        if generation == 2 {
            self.let_in(&mut control);
        }
        // A read that is no full segment is the last one.
        let mut text = Vec::new();
        loop {
            let mut piece = [0; 1448];
            let length = control.read(&mut piece).unwrap();
            text.extend_from_slice(&piece[..length]);
            if length != 1448 {
                break;
            }
        }
        let (data, _) = datas.accept().unwrap();
        let words = String::from_utf8(text.clone()).unwrap();
        let fanout =
            words.lines().find_map(|line| line.strip_prefix("fanout ")).map_or(1, |width| width.parse().unwrap());
        let list: Vec<_> =
            words.lines().take_while(|line| *line != "endconfig").filter(|line| line.starts_with("127.")).collect();
        let me = list.iter().position(|name| *name == at.to_string()).expect("couldn't find myself");
        let configured = match generation {
            1 => format!("Host got parameters '{at}'.\n"),
            _ => format!("Client {at} configured with parameters. Ready to proceed.\n"),
        };
        control.write_all(configured.as_bytes()).unwrap();
        let below = ((me + 1) * fanout..(me + 2) * fanout).filter_map(|index| list.get(index));
        let mut below: Vec<_> =
            below.map(|name| greet(name.parse().unwrap(), ports, generation, self.password, &text).unwrap()).collect();
        let ready = if generation == 1 { format!("Host ready '{at}'.\n") } else { format!("Client {at} ready.\n") };
        control.write_all(ready.as_bytes()).unwrap();
        self.transfer(control, data, &mut below, text)
    }

    fn let_in(&self, control: &mut TcpStream) {
        let mut flag = [9];
        control.read_exact(&mut flag).unwrap();
        assert_eq!(flag[0], u8::from(self.password.is_some()));
        if let Some(password) = self.password {
            let mut nonce = [0; 32];
            control.read_exact(&mut nonce).unwrap();
            control.write_all(&answer(password, &nonce)).unwrap();
            // The large read that swallows what comes at once.
            let mut verdict = [0; 1024];
            let length = control.read(&mut verdict).unwrap();
            assert_eq!(&verdict[..length], b"OK\0", "the parent did not pause");
        }
        let mut kind = [9; 4];
        control.read_exact(&mut kind).unwrap();
        assert_eq!(kind, [0; 4]);
    }

    fn transfer(self, mut control: TcpStream, mut data: TcpStream, below: &mut [Line], text: Vec<u8>) -> Got {
        let (mut bytes, mut total, mut own, mut ended) = (Vec::new(), Vec::new(), [0; 65536], false);
        control.set_nonblocking(true).unwrap();
        data.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let until = Instant::now() + LIMIT;
        let announced = loop {
            assert!(Instant::now() < until, "no end after {} bytes", bytes.len());
            for line in below.iter_mut() {
                line.control.set_nonblocking(true).unwrap();
                let mut said = [0; 1023];
                if let Ok(length) = line.control.read(&mut said) {
                    control.write_all(&said[..length]).unwrap();
                }
            }
            thread::sleep(self.slow);
            let is_held = self.held.as_ref().is_some_and(|held| !held.load(Ordering::Relaxed));
            match if is_held { Err(ErrorKind::WouldBlock.into()) } else { data.read(&mut own) } {
                Ok(0) => ended = true,
                Ok(length) => {
                    bytes.extend_from_slice(&own[..length]);
                    below.iter_mut().for_each(|line| line.data.write_all(&own[..length]).unwrap());
                }
                Err(_) => {}
            }
            if self.dies_after.is_some_and(|most| bytes.len() >= most) {
                return Got { bytes, text, total: None };
            }
            let mut piece = [0; 8];
            match control.read(&mut piece[total.len()..]) {
                Ok(0) if total.len() < 8 => return Got { bytes, text, total: None },
                Ok(length) => total.extend_from_slice(&piece[total.len()..][..length]),
                Err(_) => {}
            }
            if let Ok(total) = <[u8; 8]>::try_from(total.as_slice()) {
                let total = u64::from_le_bytes(total);
                if bytes.len() as u64 >= total {
                    break total;
                }
                if ended {
                    return Got { bytes, text, total: None };
                }
            }
        };
        control.set_nonblocking(false).unwrap();
        for line in below.iter_mut() {
            line.control.set_nonblocking(false).unwrap();
            line.control.write_all(&announced.to_le_bytes()).unwrap();
            line.data.shutdown(Shutdown::Both).ok();
            if echo(line) != Some(announced) {
                return Got { bytes, text, total: Some(announced) };
            }
        }
        control.write_all(&announced.to_le_bytes()).ok();
        Got { bytes, text, total: Some(announced) }
    }
}

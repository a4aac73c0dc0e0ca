//! An FTP server for one file, which does what its faults say. Each connection is served; faults of the data count for the first one only.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::Hidden;

/// What it serves: the superblock of a squashfs as long as the file, so that it can be taken for an image.
pub fn payload(length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..length).map(|i| ((i * 31) ^ (i >> 8)) as u8).collect();
    for (at, field) in [
        (0, &b"hsqs"[..]),
        (12, &131_072_u32.to_le_bytes()),
        (20, &1_u16.to_le_bytes()),
        (22, &17_u16.to_le_bytes()),
        (28, &4_u16.to_le_bytes()),
        (30, &0_u16.to_le_bytes()),
        (40, &(length as u64).to_le_bytes()),
    ] {
        bytes[at..at + field.len()].copy_from_slice(field);
    }
    bytes
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    Login(&'static str, &'static str),
    NoPassword,
    NoFile,
    Busy,
    NoEpsv(&'static str),
    Pasv(&'static str),
    /// Ends the data there, and says that it is complete.
    CutAt(usize),
    /// Ends everything there.
    CutAndClose(usize),
    /// Ends the data there, and says why.
    CutAndSay(usize),
    StallAt(usize),
    NoRest,
    NoSize,
    Size(usize),
    SilentAt(&'static str),
    NoEnd,
    Trickle,
    Banner,
    EndlessBanner,
    EndlessPreliminary,
    NotFtp,
    Explicit,
    Implicit,
    Injects,
    /// The file has another date from the second connection on.
    Changes,
}

pub struct Server {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

enum Line {
    Plain(TcpStream),
    Hidden(Hidden),
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Hidden(stream) => stream.read(buffer),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Hidden(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Server {
    pub fn start(faults: &[Fault]) -> Self {
        Self::start_on("127.0.0.1:0", faults).unwrap()
    }

    pub fn start_on(address: &str, faults: &[Fault]) -> Option<Self> {
        let listener = TcpListener::bind(address).ok()?;
        let (address, heard) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (faults, shared) = (faults.to_vec(), heard.clone());
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut faults = faults.clone();
                if number > 0 {
                    faults.retain(|fault| {
                        !matches!(fault, Fault::CutAt(_) | Fault::CutAndClose(_) | Fault::CutAndSay(_))
                    });
                }
                if number == 0 {
                    faults.retain(|fault| *fault != Fault::Changes);
                }
                let one = One { faults, heard: shared.clone(), local: address };
                let stream = stream.unwrap();
                // Whoever goes away in the middle is what some tests want.
                thread::spawn(move || one.serve(stream));
            }
        });
        Some(Self { address, heard })
    }

    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

struct One {
    faults: Vec<Fault>,
    heard: Arc<Mutex<Vec<String>>>,
    local: SocketAddr,
}

fn forever() {
    thread::sleep(Duration::from_secs(30));
}

impl One {
    fn find<T>(&self, of: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.faults.iter().find_map(of)
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    fn greet(&self, control: &mut impl Write) -> Option<()> {
        if self.has(Fault::SilentAt("GREETING")) {
            forever();
        }
        if self.has(Fault::Trickle) {
            control.write_all(b"220-").ok()?;
            loop {
                control.write_all(b"x").ok()?;
                thread::sleep(Duration::from_millis(50));
            }
        }
        while self.has(Fault::EndlessBanner) {
            control.write_all(b"220-welcome\r\n").ok()?;
        }
        while self.has(Fault::EndlessPreliminary) {
            control.write_all(b"120 soon\r\n").ok()?;
        }
        let text = match () {
            () if self.has(Fault::Busy) => "421 Too many users\r\n",
            () if self.has(Fault::NotFtp) => "SSH-2.0-OpenSSH\r\n",
            () if self.has(Fault::Banner) => {
                "120 soon\r\n220-Welcome\r\n331 this is no reply\r\n 220 nor this\r\n220 end\r\n"
            }
            () => "220 ready\r\n",
        };
        control.write_all(text.as_bytes()).ok()
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut plain = stream.try_clone().unwrap();
        let line = if self.has(Fault::Implicit) { Line::Hidden(Hidden(stream)) } else { Line::Plain(stream) };
        let mut control = BufReader::new(line);
        self.greet(control.get_mut())?;
        let (mut passive, mut rest): (Option<TcpListener>, usize) = (None, 0);
        loop {
            let mut said = String::new();
            if control.read_line(&mut said).ok()? == 0 {
                return None;
            }
            let said = said.trim_end_matches(['\r', '\n']).to_owned();
            self.heard.lock().unwrap().push(said.clone());
            let (command, value) = said.split_once(' ').unwrap_or((&said, ""));
            if self.find(|fault| if let Fault::SilentAt(at) = fault { Some(*at) } else { None }) == Some(command) {
                forever();
            }
            let answer = match command {
                "AUTH" if self.has(Fault::Explicit) => {
                    plain.write_all(b"234 go\r\n").ok()?;
                    control = BufReader::new(Line::Hidden(Hidden(plain.try_clone().unwrap())));
                    continue;
                }
                "AUTH" if self.has(Fault::Injects) => "234 go\r\n230 logged in".into(),
                "USER" if self.has(Fault::NoPassword) => "230 welcome".into(),
                "USER" => "331 who".into(),
                "PASS" => self.login(value),
                "PBSZ" | "PROT" | "TYPE" => "200 fine".into(),
                "SIZE" => self.size(),
                "MDTM" if self.has(Fault::Changes) => "213 20260202000000".into(),
                "MDTM" => "213 20260101000000".into(),
                "EPSV" | "PASV" => self.passive(command, &mut passive),
                "REST" if self.has(Fault::NoRest) => "502 no".into(),
                "REST" => {
                    rest = value.parse().unwrap();
                    "350 fine".into()
                }
                "RETR" if self.has(Fault::NoFile) => "550 Failed to open file.".into(),
                "RETR" => {
                    assert_eq!(value, "image/a b.iso");
                    self.retrieve(control.get_mut(), passive.take().unwrap(), rest)?
                }
                "QUIT" => "221 bye".into(),
                _ => "502 no".into(),
            };
            control.get_mut().write_all(format!("{answer}\r\n").as_bytes()).ok()?;
        }
    }

    fn login(&self, password: &str) -> String {
        let wanted = self.find(|fault| if let Fault::Login(user, word) = fault { Some((*user, *word)) } else { None });
        match wanted {
            Some((_, word)) if word != password => "530 Login \x1b[2Jincorrect.".into(),
            _ => "230 welcome".into(),
        }
    }

    fn size(&self) -> String {
        let lie = self.find(|fault| if let Fault::Size(size) = fault { Some(*size) } else { None });
        match lie {
            _ if self.has(Fault::NoSize) => "550 SIZE not allowed".into(),
            Some(size) => format!("213 {size}"),
            None => "213 300007".into(),
        }
    }

    fn passive(&self, command: &str, passive: &mut Option<TcpListener>) -> String {
        let refusal = self.find(|fault| if let Fault::NoEpsv(text) = fault { Some(*text) } else { None });
        if let Some(text) = refusal.filter(|_| command == "EPSV") {
            return text.into();
        }
        let listener = TcpListener::bind((self.local.ip(), 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        *passive = Some(listener);
        if command == "EPSV" {
            return format!("229 Entering Extended Passive Mode (|||{port}|)");
        }
        let address = self.find(|fault| if let Fault::Pasv(address) = fault { Some(*address) } else { None });
        format!("227 Entering Passive Mode ({},{},{}).", address.unwrap_or("127,0,0,1"), port >> 8, port & 255)
    }

    /// The data; the reply at their end.
    fn retrieve(&self, control: &mut Line, passive: TcpListener, rest: usize) -> Option<String> {
        let (data, _) = passive.accept().unwrap();
        control.write_all(b"150 here\r\n").ok()?;
        let is_hidden = self.has(Fault::Explicit) || self.has(Fault::Implicit);
        let mut data = if is_hidden { Line::Hidden(Hidden(data)) } else { Line::Plain(data) };
        let all = payload(300_007);
        let cut = self.find(|fault| match fault {
            Fault::CutAt(at) | Fault::CutAndClose(at) | Fault::CutAndSay(at) | Fault::StallAt(at) => {
                Some((*fault, *at))
            }
            _ => None,
        });
        let end = cut.map_or(all.len(), |(_, at)| at);
        data.write_all(&all[rest..end]).ok()?;
        match cut {
            Some((Fault::StallAt(_), _)) => forever(),
            Some((Fault::CutAndClose(_), _)) => return None,
            Some((Fault::CutAndSay(_), _)) => return Some("426 Disk \x07error".into()),
            _ => {}
        }
        drop(data);
        if self.has(Fault::NoEnd) {
            forever();
        }
        Some("226 done".into())
    }
}

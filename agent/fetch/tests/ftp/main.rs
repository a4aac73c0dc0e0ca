//! FTP against a server of the test's own, on loopback, with faults.

mod engine;
mod server;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rdlive_fetch::ftp::{
    Again, Dial, Doing, Error, Failure, Fetched, ReplyError, Security, Source, Stream, Times, fetch,
};
use rdlive_fetch::{Facts, Output, Taker};
use server::{Fault, Server, payload};

#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    room: Option<usize>,
    finished: bool,
    facts: Vec<Facts>,
    refuses: bool,
}

impl Output for Memory {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(offset as usize, self.bytes.len());
        if self.room.is_some_and(|room| room < self.bytes.len() + bytes.len()) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.finished = true;
        Ok(())
    }
}

impl Taker for Memory {
    fn begin(&mut self, facts: &Facts) -> io::Result<()> {
        self.facts.push(facts.clone());
        if self.refuses { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
    }

    fn output(&mut self) -> &mut dyn Output {
        self
    }
}

/// Connects, and hides each byte on what is secured: whoever forgets it is not understood.
#[derive(Default)]
struct Dialler {
    made: Vec<SocketAddr>,
    secured: Vec<String>,
}

pub(crate) struct Hidden(pub(crate) TcpStream);

impl Read for Hidden {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        buffer[..length].iter_mut().for_each(|byte| *byte ^= 0xa5);
        Ok(length)
    }
}

impl Write for Hidden {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes.iter().map(|byte| byte ^ 0xa5).collect::<Vec<_>>())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Dial for Dialler {
    fn connect(&mut self, to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
        self.made.push(to);
        TcpStream::connect_timeout(&to, limit)
    }

    fn secure(&mut self, stream: TcpStream, name: &str) -> io::Result<Box<dyn Stream>> {
        assert!(stream.read_timeout()?.is_some() && stream.write_timeout()?.is_some());
        self.secured.push(name.into());
        Ok(Box::new(Hidden(stream)))
    }
}

fn source() -> Source {
    let times =
        Times { connect: Duration::from_secs(10), reply: Duration::from_secs(10), silence: Duration::from_secs(10) };
    Source { host: "files.example".into(), path: "image/a b.iso".into(), times, ..Source::default() }
}

/// For servers that say nothing.
fn impatient() -> Source {
    let limit = Duration::from_millis(1500);
    Source { times: Times { connect: limit, reply: limit, silence: limit }, ..source() }
}

fn get(server: &Server, source: &Source, memory: &mut Memory) -> Result<Fetched, Failure> {
    fetch(source, server.address, &mut Dialler::default(), memory)
}

fn whole(server: Server, source: &Source) -> Vec<String> {
    let mut memory = Memory::default();
    let fetched = get(&server, source, &mut memory).unwrap();
    assert_eq!(fetched.size, 300_007);
    assert!(memory.bytes == payload(300_007) && memory.finished);
    server.heard()
}

fn fails(faults: &[Fault], source: &Source) -> (Failure, Memory) {
    let server = Server::start(faults);
    let mut memory = Memory::default();
    let begun = Instant::now();
    let failure = get(&server, source, &mut memory).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(8), "{failure:?}");
    assert!(!memory.finished);
    let said = failure.to_string();
    assert!(!said.chars().any(char::is_control), "{said}");
    (failure, memory)
}

#[test]
fn anonymous() {
    let server = Server::start(&[]);
    let mut memory = Memory::default();
    let fetched = get(&server, &source(), &mut memory).unwrap();
    assert!(fetched.size == 300_007 && memory.bytes == payload(300_007) && memory.finished);
    // The last word is not waited for.
    let until = Instant::now() + Duration::from_secs(10);
    while server.heard().len() < 8 && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    let heard = server.heard();
    let expected = [
        "USER anonymous",
        "PASS rdlive@",
        "TYPE I",
        "SIZE image/a b.iso",
        "MDTM image/a b.iso",
        "EPSV",
        "RETR image/a b.iso",
        "QUIT",
    ];
    assert_eq!(heard, expected);
}

#[test]
fn user_and_password() {
    let login = Some(("me".into(), "a secret".into()));
    let heard = whole(Server::start(&[Fault::Login("me", "a secret")]), &Source { login, ..source() });
    assert_eq!(heard[..2], ["USER me", "PASS a secret"]);
    // No password is asked for.
    let heard = whole(Server::start(&[Fault::NoPassword]), &source());
    assert_eq!(heard[1], "TYPE I");
}

#[test]
fn refused_user_and_file() {
    let login = Some(("me".into(), "wrong".into()));
    let (failure, _) = fails(&[Fault::Login("me", "a secret")], &Source { login, ..source() });
    assert!(
        matches!(&failure.why, Error::Refused { doing: Doing::Login, code: 530, text } if text == "Login \\x1b[2Jincorrect.")
    );
    assert_eq!(failure.why.again(), Again::No);
    let (failure, memory) = fails(&[Fault::NoFile], &source());
    assert!(
        matches!(&failure.why, Error::Refused { doing: Doing::Retrieving, code: 550, text } if text == "Failed to open file.")
    );
    assert_eq!((failure.why.again(), memory.bytes.len()), (Again::Briefly, 0));
    assert!(failure.why.remedy().contains("path"));
    let (failure, _) = fails(&[Fault::Busy], &source());
    assert!(matches!(failure.why, Error::Refused { doing: Doing::Greeting, code: 421, .. }));
    assert_eq!(failure.why.again(), Again::Yes);
}

#[test]
fn epsv_refused_and_a_pasv_address_of_no_use() {
    for code in ["500 what", "501 no", "502 no", "522 no"] {
        for address in ["0,0,0,0", "127,9,9,9", "192,168,77,1", "10,0,0,1", "8,8,8,8"] {
            let heard = whole(Server::start(&[Fault::NoEpsv(code), Fault::Pasv(address)]), &source());
            assert!(heard.contains(&"PASV".into()), "{heard:?}");
        }
    }
    let (failure, _) = fails(&[Fault::NoEpsv("500 what"), Fault::Pasv("1,2")], &source());
    assert!(matches!(failure.why, Error::Unclear { doing: Doing::Opening, code: 227, .. }), "{failure:?}");
}

#[test]
fn over_ipv6() {
    let Some(server) = Server::start_on("[::1]:0", &[]) else {
        // A kernel without IPv6 has nothing to be tested.
        assert!(!std::path::Path::new("/proc/net/if_inet6").exists() || !loopback_has_ipv6());
        return;
    };
    assert!(server.address.is_ipv6());
    whole(server, &source());
    // There is no PASV for it.
    let server = Server::start_on("[::1]:0", &[Fault::NoEpsv("500 what")]).unwrap();
    let failure = get(&server, &source(), &mut Memory::default()).unwrap_err();
    assert!(matches!(failure.why, Error::Refused { doing: Doing::Opening, code: 500, .. }), "{failure:?}");
    assert!(!server.heard().contains(&"PASV".into()));
}

fn loopback_has_ipv6() -> bool {
    std::fs::read_to_string("/proc/net/if_inet6").is_ok_and(|table| table.lines().any(|line| line.ends_with(" lo")))
}

#[test]
fn cut_at_half_and_gone_on_with() {
    for fault in [Fault::CutAt(150_000), Fault::CutAndClose(150_000), Fault::CutAndSay(150_000)] {
        let server = Server::start(&[fault]);
        let mut memory = Memory::default();
        let failure = get(&server, &source(), &mut memory).unwrap_err();
        assert!(
            matches!(
                &failure.why,
                Error::Short { received: 150_000, size: 300_007 }
                    | Error::Refused { doing: Doing::Receiving, code: 426, .. }
            ),
            "{failure:?}"
        );
        assert_eq!((failure.why.again(), failure.reached), (Again::Yes, 150_000));
        let source = Source { from: failure.reached, known: Some(failure.facts), ..source() };
        assert_eq!(get(&server, &source, &mut memory).unwrap().size, 300_007);
        assert!(memory.bytes == payload(300_007) && memory.finished);
        assert!(server.heard().contains(&"REST 150000".into()));
    }
}

#[test]
fn a_break_after_the_last_byte_leaves_nothing_to_ask_for() {
    let server = Server::start(&[]);
    let mut memory = Memory { bytes: payload(300_007), ..Memory::default() };
    assert_eq!(get(&server, &Source { from: 300_007, ..source() }, &mut memory).unwrap().size, 300_007);
    assert!(memory.finished && !server.heard().iter().any(|line| line.starts_with("RETR")));
}

#[test]
fn not_gone_on_with() {
    let known = |size, modified: &str| Some(Facts { size: Some(size), modified: Some(modified.into()) });
    let same = known(300_007, "20260101000000");
    for (from, known) in [(5, known(300_008, "20260101000000")), (5, known(300_007, "20260101000001")), (300_008, None)]
    {
        let (failure, memory) = fails(&[], &Source { from, known, ..source() });
        assert!(matches!(failure.why, Error::Changed) && memory.bytes.is_empty());
        assert_eq!(failure.why.again(), Again::FromStart);
    }
    let (failure, _) = fails(&[Fault::NoRest], &Source { from: 5, known: same, ..source() });
    assert!(matches!(failure.why, Error::NoResume { from: 5, code: 502, .. }));
    assert_eq!(failure.why.again(), Again::FromStart);
}

#[test]
fn the_size_is_unknown_or_a_lie() {
    whole(Server::start(&[Fault::NoSize]), &source());
    let (failure, _) = fails(&[Fault::NoSize, Fault::CutAndSay(1000)], &source());
    assert!(matches!(failure.why, Error::Refused { doing: Doing::Receiving, code: 426, .. }), "{failure:?}");
    let (failure, _) = fails(&[Fault::NoSize, Fault::CutAndClose(1000)], &source());
    assert!(matches!(failure.why, Error::Closed { doing: Doing::Receiving } | Error::Connection { .. }), "{failure:?}");
    let (failure, memory) = fails(&[Fault::Size(299_999)], &source());
    assert!(matches!(failure.why, Error::Long { size: 299_999 }) && memory.bytes.len() < 300_000);
    let (failure, _) = fails(&[Fault::Size(300_008)], &source());
    assert!(matches!(failure.why, Error::Short { received: 300_007, size: 300_008 }));
}

#[test]
fn silence_of_the_control_connection() {
    thread::scope(|scope| {
        for command in ["GREETING", "USER", "TYPE", "SIZE", "EPSV", "RETR"] {
            scope.spawn(move || {
                let (failure, _) = fails(&[Fault::SilentAt(command)], &impatient());
                assert!(matches!(failure.why, Error::Silent { .. }), "{failure:?}");
                assert_eq!(failure.why.again(), Again::Yes);
            });
        }
        // A byte now and then is no silence, but makes no reply longer.
        scope.spawn(|| {
            let (failure, _) = fails(&[Fault::Trickle], &impatient());
            assert!(matches!(failure.why, Error::Silent { doing: Doing::Greeting, .. }), "{failure:?}");
        });
    });
}

#[test]
fn silence_of_the_data() {
    let (failure, memory) = fails(&[Fault::StallAt(100_000)], &impatient());
    assert!(matches!(failure.why, Error::Silent { doing: Doing::Receiving, .. }), "{failure:?}");
    assert_eq!((failure.reached, memory.bytes.len()), (100_000, 100_000));
    // All is there, and the server says no word more.
    whole(Server::start(&[Fault::NoEnd]), &impatient());
}

#[test]
fn replies_of_all_kinds() {
    whole(Server::start(&[Fault::Banner]), &source());
    let (failure, _) = fails(&[Fault::EndlessBanner], &source());
    assert!(matches!(failure.why, Error::Reply(ReplyError::TooLong)), "{failure:?}");
    let (failure, _) = fails(&[Fault::EndlessPreliminary], &source());
    assert!(matches!(failure.why, Error::Endless), "{failure:?}");
    let (failure, _) = fails(&[Fault::NotFtp], &source());
    assert!(matches!(failure.why, Error::Reply(ReplyError::Malformed(_))), "{failure:?}");
}

#[test]
fn with_tls() {
    for (security, fault) in [(Security::Explicit, Fault::Explicit), (Security::Implicit, Fault::Implicit)] {
        let server = Server::start(&[fault]);
        let (mut memory, mut dial) = (Memory::default(), Dialler::default());
        fetch(&Source { security, ..source() }, server.address, &mut dial, &mut memory).unwrap();
        assert!(memory.bytes == payload(300_007));
        assert_eq!(dial.secured, ["files.example"; 2], "control and data");
        assert!(dial.made.iter().all(|made| made.ip() == server.address.ip()));
        let heard = server.heard();
        let at = |line: &str| heard.iter().position(|heard| heard == line).unwrap();
        assert!(at("PBSZ 0") < at("PROT P") && at("PROT P") < at("EPSV"));
        if security == Security::Explicit {
            assert!(at("AUTH TLS") < at("USER anonymous"));
        }
    }
}

#[test]
fn tls_is_never_given_up() {
    let login = Some(("me".to_owned(), "a secret".to_owned()));
    let explicit = Source { security: Security::Explicit, login, ..source() };
    for faults in [&[][..], &[Fault::Injects]] {
        let server = Server::start(faults);
        let failure = get(&server, &explicit, &mut Memory::default()).unwrap_err();
        let refused = matches!(failure.why, Error::Refused { doing: Doing::Securing, code: 502, .. });
        assert!(if faults.is_empty() { refused } else { matches!(failure.why, Error::Injected) }, "{failure:?}");
        assert_eq!(server.heard(), ["AUTH TLS"], "no password in clear");
    }
}

#[test]
fn what_is_not_sent() {
    for (path, user) in [("a\r\nDELE b", "me"), ("a\0", "me"), ("a", "me\nx")] {
        let server = Server::start(&[]);
        let source = Source { path: path.into(), login: Some((user.into(), String::new())), ..source() };
        let failure = get(&server, &source, &mut Memory::default()).unwrap_err();
        assert!(matches!(failure.why, Error::Unsendable(_)) && server.heard().is_empty());
    }
}

#[test]
fn the_caller_refuses_or_the_target_is_full() {
    let server = Server::start(&[]);
    let mut memory = Memory { refuses: true, ..Memory::default() };
    let failure = get(&server, &source(), &mut memory).unwrap_err();
    assert!(matches!(&failure.why, Error::Output(why) if why.kind() == io::ErrorKind::FileTooLarge));
    assert_eq!(memory.facts, [Facts { size: Some(300_007), modified: Some("20260101000000".into()) }]);
    assert!(!server.heard().iter().any(|line| line.starts_with("RETR")));
    let server = Server::start(&[]);
    let mut memory = Memory { room: Some(100_000), ..Memory::default() };
    let failure = get(&server, &source(), &mut memory).unwrap_err();
    assert!(matches!(&failure.why, Error::Output(why) if why.kind() == io::ErrorKind::StorageFull));
    assert!(failure.reached <= 100_000);
}

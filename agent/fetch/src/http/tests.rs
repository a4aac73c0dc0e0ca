//! The client against servers that do one thing each.

use std::time::Instant;

mod ways;

use super::*;
use crate::faulty::{Peer, Server, hasty, noise, patient, say, serve, together};
use crate::policy::{Judged, Verdict, Whose};
use crate::url::Url;

const START: Wanted = Wanted::Range { from: 0, to: 1000 };

/// Reads all of an answer, in pieces of a size that fits nothing.
fn read(body: &mut Body<'_>) -> Result<Vec<u8>, Error> {
    let (mut all, mut piece) = (Vec::new(), [0; 777]);
    loop {
        match body.read(&mut piece)? {
            0 => return Ok(all),
            read => all.extend(&piece[..read]),
        }
    }
}

fn fetch(client: &mut Client, url: &Url, wanted: Wanted) -> Result<(Given, Vec<u8>), Error> {
    let mut answer = client.get(url, wanted, None)?;
    let given = answer.given;
    read(&mut answer.body).map(|bytes| (given, bytes))
}

fn once(setup: Setup, url: &Url, wanted: Wanted) -> Result<(Given, Vec<u8>), Error> {
    fetch(&mut Client::new(Arc::new(setup)), url, wanted)
}

/// What a server that says only this is taken for.
fn raw(answer: impl Into<Vec<u8>>) -> Result<(Given, Vec<u8>), Error> {
    let answer = answer.into();
    let server = Server::new(move |_, peer| peer.write_all(&answer).map(|()| false));
    once(patient(), &server.url("/"), START)
}

#[test]
fn ranges_over_one_connection() {
    let data = noise(5000);
    let served = data.clone();
    let server = Server::new(move |request, peer| serve(request, peer, &served, "\"x\""));
    let mut client = Client::new(Arc::new(patient()));
    let url = server.url("/a%2Fb?c=d");
    for (from, to, end) in [(0, 1000, 1000), (1000, 5000, 5000), (4000, 9999, 5000)] {
        let (given, bytes) = fetch(&mut client, &url, Wanted::Range { from, to }).unwrap();
        assert_eq!(given, Given::Part { from, to: end, total: 5000 });
        assert_eq!(bytes, data[from as usize..end as usize]);
    }
    let requests = server.requests();
    assert_eq!(server.connections(), 1);
    for request in &requests {
        assert_eq!((request.method(), request.target()), ("GET", "/a%2Fb?c=d"));
        assert_eq!(request.field("accept-encoding"), Some("identity"));
        assert_eq!(request.field("host"), Some(server.address.to_string().as_str()));
        assert!(["if-range", "if-match", "authorization"].iter().all(|name| request.field(name).is_none()));
    }
    assert_eq!(requests[1].field("range"), Some("bytes=1000-4999"));
}

#[test]
fn bodies_end_as_they_say() {
    let whole = |length| Given::Whole { length };
    for (answer, given, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello surplus", whole(Some(5)), "hello"),
        ("HTTP/1.0 200 OK\r\n\r\nhello", whole(None), "hello"),
        ("HTTP/1.1 200 OK\nConnection: close\n\nhello", whole(None), "hello"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n02;x=\"y\"\r\nlo\r\n0\r\nTrailer: x\r\n\r\n",
            whole(None),
            "hello",
        ),
        (
            "HTTP/1.1 206 x\r\nContent-Range: bytes 0-4/9\r\n\r\nhello surplus",
            Given::Part { from: 0, to: 5, total: 9 },
            "hello",
        ),
        (
            "HTTP/1.1 206 x\r\nContent-Range: bytes 0-4/9\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello sur\r\n0\r\n\r\n",
            Given::Part { from: 0, to: 5, total: 9 },
            "hello",
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            whole(Some(2)),
            "hi",
        ),
    ] {
        assert_eq!(raw(answer), Ok((given, body.as_bytes().to_vec())), "{answer}");
    }
}

#[test]
fn bodies_that_are_cut_or_damaged() {
    for (answer, got, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", 5, Some(6)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello", 5, None),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 5, None),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", 5, None),
        ("HTTP/1.1 206 x\r\nContent-Range: bytes 0-5/9\r\n\r\nhello", 5, Some(6)),
        (
            "HTTP/1.1 206 x\r\nContent-Range: bytes 0-5/9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            5,
            Some(6),
        ),
    ] {
        let error = raw(answer).unwrap_err();
        assert!(
            matches!(error, Error::Short { got: found, expected: of, .. } if (found, of) == (got, expected)),
            "{answer}: {error}"
        );
        assert_eq!(error.verdict(), Verdict::Again(Whose::Servers));
    }
    let chunk = |chunk: &str| raw(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"));
    let trailers = format!("0\r\n{}\r\n", "A: b\r\n".repeat(65));
    for damaged in [
        "x\r\n",
        "\r\n",
        "-1\r\nx",
        "+1\r\nx",
        "0x1\r\nx",
        "1\r\nxy\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nx",
        &"1".repeat(9999),
        &trailers,
    ] {
        assert!(matches!(chunk(damaged), Err(Error::Chunks { .. })), "{damaged:?}");
    }
}

#[test]
fn heads_that_are_none() {
    let head = |answer: Vec<u8>| match raw(answer) {
        Err(Error::Head { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(head(b"SSH-2.0-x\r\n".to_vec()), HeadError::NotHttp("SSH-2.0-x\\x0d\\x0a".into()));
    assert_eq!(head(format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(1 << 20)).into()), HeadError::TooLong);
    assert_eq!(head(format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(500)).into()), HeadError::TooMany);
    assert_eq!(head("HTTP/1.1 102 Processing\r\n\r\n".repeat(99).into()), HeadError::Interim);
    assert_eq!(head(b"HTTP/1.1 101 Switching\r\n\r\n".to_vec()), HeadError::Interim);
    let closed = raw("HTTP/1.1 200 O").unwrap_err();
    assert!(
        closed.to_string().ends_with(": the server closed the connection before its answer was complete"),
        "{closed}"
    );
}

#[test]
fn a_server_that_closes_worn_connections_is_no_error() {
    let data = noise(4000);
    let served = data.clone();
    // Closes after each second answer, without a word.
    let server = Server::new(move |request, peer| serve(request, peer, &served, "").map(|_| request.nth % 2 == 0));
    let mut client = Client::new(Arc::new(patient()));
    for from in (0..4000).step_by(500) {
        let (_, bytes) = fetch(&mut client, &server.url("/"), Wanted::Range { from, to: from + 500 }).unwrap();
        assert_eq!(bytes, data[from as usize..][..500]);
    }
    assert_eq!(server.connections(), 4);
}

#[test]
fn when_one_connection_is_dead_the_idle_ones_are_not_used() {
    let server = Server::new(|request, peer| serve(request, peer, &noise(10), ""));
    let setup = Arc::new(patient());
    let mut client = Client::new(Arc::clone(&setup));
    for _ in 0..2 {
        fetch(&mut client, &server.url("/"), START).unwrap();
    }
    assert_eq!(server.connections(), 1);
    setup.deaths.fetch_add(1, Ordering::Relaxed);
    for _ in 0..2 {
        fetch(&mut client, &server.url("/"), START).unwrap();
    }
    assert_eq!(server.connections(), 2);
}

#[test]
fn an_answer_that_was_not_read_to_its_end_ends_the_connection() {
    let server = Server::new(|request, peer| serve(request, peer, &noise(100_000), ""));
    let mut client = Client::new(Arc::new(patient()));
    let mut answer = client.get(&server.url("/"), Wanted::Whole, None).unwrap();
    answer.body.read(&mut [0; 10]).unwrap();
    let (_, bytes) = fetch(&mut client, &server.url("/"), Wanted::Range { from: 7, to: 9 }).unwrap();
    assert_eq!((bytes.len(), server.connections()), (2, 2));
}

fn silence_ends_a_connection_wherever_it_begins() {
    let silent = |said: &'static str| {
        let server = Server::new(move |_, peer| {
            peer.write_all(said.as_bytes())?;
            std::thread::sleep(Duration::from_secs(8));
            Ok(false)
        });
        let began = Instant::now();
        let error = once(hasty(), &server.url("/"), START).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5), "{said:?} {:?}", began.elapsed());
        match error {
            Error::Silent { doing, .. } => doing,
            error => panic!("{said:?} {error}"),
        }
    };
    assert_eq!(silent(""), Doing::Answer);
    assert_eq!(silent("HTTP/1.1 200 OK\r\n"), Doing::Answer);
    assert_eq!(silent("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), Doing::Start);
    assert_eq!(silent("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), Doing::Body);
    assert_eq!(silent("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5"), Doing::Start);
}

fn drip(peer: &mut dyn Peer, text: &[u8], pause: u64) -> io::Result<()> {
    for byte in text {
        peer.write_all(&[*byte])?;
        std::thread::sleep(Duration::from_millis(pause));
    }
    Ok(())
}

/// 1 KB/s, scaled down: the whole takes 2.6 times as long as a silence may, and any byte restarts that.
fn a_slow_server_is_not_dead() {
    let server = Server::new(|_, peer| {
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")?;
        drip(peer, &[b'x'; 20], 130).map(|()| false)
    });
    let mut setup = hasty();
    (setup.limits.idle, setup.limits.body) = (Duration::from_millis(1000), Duration::from_millis(1000));
    let (_, bytes) = once(setup, &server.url("/"), START).unwrap();
    assert_eq!(bytes.len(), 20);
}

fn a_head_or_a_frame_that_comes_byte_by_byte_for_ever_ends() {
    for said in ["HTTP/1.1 200 OK\r\nA: ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;"] {
        let server = Server::new(move |_, peer| {
            peer.write_all(said.as_bytes())?;
            drip(peer, &[b'x'; 1000], 20).map(|()| false)
        });
        let began = Instant::now();
        let error = once(hasty(), &server.url("/"), START).unwrap_err();
        assert!(matches!(error, Error::Silent { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
}

#[test]
fn nobody_listens_or_the_name_is_unknown() {
    // An address of its own: the port is not given to another test's server.
    let listener = std::net::TcpListener::bind("127.77.1.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = once(patient(), &format!("http://{address}/").parse().unwrap(), START).unwrap_err();
    assert_eq!(error.to_string(), format!("{address}: connection refused"));
    let error = once(patient(), &"http://nowhere.invalid/".parse().unwrap(), START).unwrap_err();
    assert_eq!(error.to_string(), "nowhere.invalid has no address: no such name");
    assert_eq!(error.verdict(), Verdict::Again(Whose::Ours));
    let error = once(patient(), &"https://127.0.0.1:1/".parse().unwrap(), START).unwrap_err();
    assert_eq!(error, Error::NoTls);
}

#[test]
fn statuses_in_words() {
    let status = |line: &'static str, fields: &'static str| {
        let server = Server::new(move |_, peer| say(peer, line, fields, "<html>"));
        let error = once(patient(), &server.url("/"), START).unwrap_err();
        (error.to_string().replace(&server.address.to_string(), "A"), error.verdict())
    };
    let again = Verdict::Again(Whose::Servers);
    assert_eq!(status("404 Gone fishing", ""), ("A: 404 Not Found".into(), Verdict::Missing));
    assert_eq!(status("500 x", "").1, again);
    assert_eq!(status("503 x", "Retry-After: 7\r\n").1, Verdict::After(Duration::from_secs(7)));
    assert_eq!(status("999 x", ""), ("A: the server answers with status 999".into(), Verdict::Final));
    assert_eq!(status("401 x", "").1, Verdict::Final);
    assert_eq!(status("302 x", "").1, Verdict::Final);
    assert!(matches!(raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Err(Error::Empty { .. })));
    assert!(matches!(raw("HTTP/1.1 416 x\r\nContent-Length: 0\r\n\r\n"), Err(Error::Empty { .. })));
}

/// Each of these waits for a second or more.
#[test]
fn servers_that_are_slow_or_silent() {
    together(&[
        silence_ends_a_connection_wherever_it_begins,
        a_slow_server_is_not_dead,
        a_head_or_a_frame_that_comes_byte_by_byte_for_ever_ends,
    ]);
}

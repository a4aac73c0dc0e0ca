//! Servers that break.

use std::net::{IpAddr, TcpStream};

use super::*;
use crate::http::{Dial, Network, ResolveError};

/// Serves, but closes the connection behind so many bytes of each body for which `cut` says so.
fn cutting(data: Vec<u8>, at: usize, cut: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Server {
    Server::new(move |request, peer| {
        let (head, body) = part(request, &data, "\"x\"");
        peer.write_all(head.as_bytes())?;
        let cut = cut(request) && body.len() > at;
        peer.write_all(if cut { &body[..at] } else { body })?;
        Ok(!cut)
    })
}

fn e4_t51_a_file_that_is_not_there_is_asked_for_once_in_ten_seconds() {
    let server = Server::new(|_, peer| say(peer, "404 Not Found", "", "<html>"));
    let (line, took) = give_up(patient(), &server, 1);
    assert_eq!(line, "http://S/i.iso: S: 404 Not Found (1 try in 1 s)");
    assert!(took >= secs(1.0) && took < secs(8.0), "{took:?}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_no_time_makes_better_ends_at_once() {
    for (status, words) in [("401 x", "401 Unauthorized"), ("405 x", "405 Method"), ("302 x", "status 302")] {
        let server = Server::new(move |_, peer| say(peer, status, "", ""));
        let (line, took) = give_up(patient(), &server, 60);
        assert!(line.contains(words) && line.ends_with("(1 try in 0 s)"), "{line}");
        assert!(took < secs(20.0));
    }
}

fn n_p6_a_server_in_trouble_is_asked_again() {
    let data = image(200_000);
    let served = data.clone();
    let server = Server::new(move |request, peer| match request.nth {
        0 => say(peer, "500 x", "", ""),
        1 => say(peer, "429 x", "Retry-After: 1\r\n", ""),
        2 => Ok(false),
        _ => serve(request, peer, &served, "\"x\""),
    });
    let began = Instant::now();
    let (fetched, place) = get(&server);
    assert!(place.image() == data && fetched.restarts == 0);
    assert!(began.elapsed() >= secs(1.0), "Retry-After was not obeyed");
}

fn nobody_listens() {
    let server = Server::new(|_, _| Ok(false));
    // An address of its own: the port is not given to another test's server.
    let free = std::net::TcpListener::bind("127.77.1.2:0").unwrap().local_addr().unwrap();
    let url: Url = format!("http://user:geheim@{free}/i.iso?token=geheim").parse().unwrap();
    let stop = run(patient(), &job(&[url], 1), &mut Memory::default()).unwrap_err();
    let Stop::Source(failure) = &stop else { panic!("{stop}") };
    assert_eq!(failure.why, GaveUp::NoProgress(secs(1.0)));
    let line = stop.to_string();
    assert!(line.starts_with(&format!("http://{free}/i.iso?token=…: {free}: connection refused (")), "{line}");
    assert!(failure.tries >= 3 && !line.contains("geheim"), "{line}");
    drop(server);
}

#[test]
fn e6_n_p6_a_file_that_is_cut_once_goes_on_where_it_was() {
    let data = image(2_000_000);
    let server = cutting(data.clone(), 900_000, |request| request.nth == 1);
    let (fetched, place) = get(&server);
    assert!(place.image() == data && fetched.restarts == 0);
    let ranges: Vec<_> = server.requests().iter().map(|request| request.range().unwrap().0).collect();
    assert_eq!(ranges, [0, 65_536, 965_536]);
}

#[test]
fn e6_a_file_that_is_cut_again_and_again_comes_all_the_same() {
    let data = image(1_500_000);
    let began = Instant::now();
    // 20 kB: the first 64 KiB come in pieces too.
    let server = cutting(data.clone(), 20_000, |_| true);
    let (fetched, place) = get(&server);
    assert!(place.image() == data && fetched.restarts == 0);
    assert_eq!(server.requests().len(), 76, "each byte is asked for until it comes, and not again");
    assert!(began.elapsed() < secs(30.0), "a connection that brought bytes is made again at once");
}

/// A server whose ranges are its own business: it gives less than was asked for.
#[test]
fn small_parts_are_taken() {
    let data = image(300_000);
    let served = data.clone();
    let server = Server::new(move |request, peer| {
        let (first, last) = request.range().unwrap();
        let last = last.unwrap().min(first + 9_999);
        let mut request = request.clone();
        request.head = format!("GET / HTTP/1.1\r\nRange: bytes={first}-{last}\r\n\r\n");
        serve(&request, peer, &served, "\"x\"")
    });
    let (fetched, place) = get(&server);
    assert!(place.image() == data && fetched.restarts == 0);
}

fn n_p6_a_server_that_announces_more_than_it_has() {
    let data = image(200_000);
    let server = Server::new(move |request, peer| {
        let (first, last) = request.range().unwrap();
        let end = (last.unwrap() + 1).min(300_000);
        let range = format!("Content-Range: bytes {first}-{}/300000\r\nContent-Length: {}\r\n", end - 1, end - first);
        peer.write_all(format!("HTTP/1.1 206 x\r\n{range}\r\n").as_bytes())?;
        peer.write_all(data.get(first..end.min(200_000)).unwrap_or_default())?;
        Ok(end <= 200_000)
    });
    let (line, took) = give_up(patient(), &server, 1);
    let words = "http://S/i.iso: S: the server closed the connection after ";
    assert!(line.starts_with(words), "{line}");
    assert!(took >= secs(1.0) && took < secs(10.0), "{took:?}");
}

/// What comes behind an answer is not the next one, even where it looks like that.
#[test]
fn a_server_that_has_more_than_it_announces() {
    let data = image(200_000);
    for surplus in ["and more, and more", "HTTP/1.1 206 x\r\nContent-Range: bytes 65536-199999/200000\r\n\r\n"] {
        let served = data.clone();
        let server = Server::new(move |request, peer| {
            let (head, body) = part(request, &served, "");
            peer.write_all(&[head.as_bytes(), body, surplus.as_bytes(), &[b'?'; 300]].concat())?;
            Ok(true)
        });
        let began = Instant::now();
        let (_, place) = get(&server);
        assert!(place.image() == data, "{surplus}");
        assert!(began.elapsed() < secs(9.0), "{:?}", began.elapsed());
    }
}

#[test]
fn a_server_without_ranges() {
    let data = image(500_000);
    let served = data.clone();
    let server = Server::new(move |request, peer| {
        let mut request = request.clone();
        request.head = "GET / HTTP/1.1\r\n\r\n".into();
        serve(&request, peer, &served, "")
    });
    let (fetched, place) = get(&server);
    assert!(place.image() == data);
    assert_eq!((server.requests().len(), fetched.connections, fetched.length), (1, 1, 500_000));
}

#[test]
fn a_server_without_ranges_that_breaks_begins_anew_into_a_fresh_output() {
    let data = image(500_000);
    let served = data.clone();
    let server = Server::new(move |request, peer| {
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n")?;
        peer.write_all(&served[..[30_000, 200_000, 300_000, 500_000][request.nth.min(3)]])?;
        Ok(false)
    });
    let (fetched, place) = get(&server);
    assert!(place.image() == data);
    assert_eq!((fetched.restarts, place.outputs.lock().unwrap().len()), (2, 3));
    let restarts: Vec<u32> = place.offers.lock().unwrap().iter().map(|offered| offered.restart).collect();
    assert_eq!(restarts, [0, 1, 2]);
}

/// The same bytes again are no new bytes: this would go on for ever.
fn a_server_without_ranges_that_always_breaks_ends() {
    let data = image(500_000);
    let server = Server::new(move |_, peer| {
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n")?;
        peer.write_all(&data[..200_000]).map(|()| false)
    });
    let (line, took) = give_up(patient(), &server, 1);
    assert!(
        line.starts_with("http://S/i.iso: S: the server closed the connection after 200000 of 500000 bytes"),
        "{line}"
    );
    assert!(took >= secs(1.0) && took < secs(10.0), "{took:?}");
}

#[test]
fn parts_that_are_of_no_use_are_not_used() {
    let data = image(200_000);
    for fields in [
        "Content-Range: bytes 0-65535/*\r\n",
        "Content-Range: bytes 1-65536/200000\r\n",
        "Content-Range: bytes 0-65535/200000\r\nContent-Encoding: gzip\r\n",
        "Content-Type: multipart/byteranges; boundary=x\r\n",
        "",
    ] {
        let served = data.clone();
        let server = Server::new(move |request, peer| match request.range() {
            None => serve(request, peer, &served, "\"x\""),
            Some(_) => {
                peer.write_all(format!("HTTP/1.1 206 x\r\n{fields}Content-Length: 65536\r\n\r\n").as_bytes())?;
                peer.write_all(&[b'?'; 65_536]).map(|()| true)
            }
        });
        let (fetched, place) = get(&server);
        assert!(place.image() == data, "{fields}");
        assert_eq!((fetched.restarts, server.requests().len()), (0, 2), "{fields}");
    }
}

/// Ranges that are gone in the middle of the file: another server behind the same name.
#[test]
fn a_server_that_loses_its_ranges() {
    let data = image(300_000);
    let served = data.clone();
    let server = Server::new(move |request, peer| {
        let mut request = request.clone();
        if request.nth > 0 {
            request.head = "GET / HTTP/1.1\r\n\r\n".into();
        }
        serve(&request, peer, &served, "\"x\"")
    });
    let (fetched, place) = get(&server);
    assert!(place.image() == data);
    assert_eq!(fetched.restarts, 1);
}

fn a_slow_server_is_waited_for() {
    let data = image(100);
    let server = Server::new(move |request, peer| {
        let (head, body) = part(request, &data, "");
        peer.write_all(head.as_bytes())?;
        for piece in body.chunks(5) {
            peer.write_all(piece)?;
            thread::sleep(Duration::from_millis(130));
        }
        Ok(true)
    });
    let mut setup = hasty();
    (setup.limits.idle, setup.limits.body) = (secs(1.0), secs(1.0));
    // The whole takes 2.6 s: longer than a silence may last, and than the patience.
    let mut place = Memory::default();
    run(setup, &job(&[server.url("/")], 1), &mut place).unwrap();
    assert_eq!(place.image().len(), 100);
}

fn a_server_that_sends_heads_only() {
    let server = Server::new(|_, peer| {
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n")?;
        thread::sleep(secs(15.0));
        Ok(false)
    });
    let (line, took) = give_up(hasty(), &server, 1);
    assert!(
        line.starts_with("http://S/i.iso: S: no byte for 0.3 s behind the head of its answer (path MTU?) ("),
        "{line}"
    );
    assert!(took >= secs(1.0) && took < secs(10.0), "{took:?}");
    assert!(server.requests().len() >= 2);
}

/// A tunnel that carries small packets only (network-field.md kind 6): the next connection says that it wants those.
fn after_a_silence_the_segments_are_small() {
    struct Tunnel(Mutex<Vec<Option<u16>>>);
    impl Network for Tunnel {
        fn addresses(&self, _: &str) -> Result<Vec<IpAddr>, ResolveError> {
            Ok(vec![])
        }

        fn connect(&self, address: SocketAddr, how: Dial) -> io::Result<TcpStream> {
            self.0.lock().unwrap().push(how.segment);
            TcpStream::connect(address)
        }
    }
    let data = image(100_000);
    let server = Server::new(move |request, peer| match request.connection {
        0 => {
            thread::sleep(secs(15.0));
            Ok(false)
        }
        _ => serve(request, peer, &data, "\"x\""),
    });
    let network = Arc::new(Tunnel(Mutex::default()));
    let mut setup = hasty();
    setup.network = Arc::clone(&network) as Arc<dyn Network>;
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&told);
    let report = move |progress: &Progress| notes.lock().unwrap().extend(progress.notes.clone());
    fetch(&Arc::new(setup), &job(&[server.url("/")], 20), &mut Memory::default(), report).unwrap();
    let told: Vec<String> = told.lock().unwrap().iter().map(ToString::to_string).collect();
    assert!(
        matches!(told.as_slice(), [line] if line.contains("(path MTU?); it is asked again for packets")),
        "{told:?}"
    );
    let segments = network.0.lock().unwrap().clone();
    assert!(segments.len() >= 2 && segments[0].is_none(), "{segments:?}");
    assert!(segments[1..].iter().all(|segment| *segment == Some(1200)), "{segments:?}");
}

/// Each of these waits for a second or more.
/// dracut-live spec, case E5: the server is started while the boot waits for it.
fn e5_a_server_that_is_up_later_is_met() {
    let data = image(300_000);
    let served = data.clone();
    // An address of its own: the port is not given to another test's server.
    let late = std::net::TcpListener::bind("127.77.1.5:0").unwrap().local_addr().unwrap();
    let began = Instant::now();
    let starts = thread::spawn(move || {
        thread::sleep(secs(4.0));
        Server::at(late, move |request, peer| serve(request, peer, &served, "\"x\""))
    });
    let url: Url = format!("http://{late}/").parse().unwrap();
    let mut place = Memory::default();
    run(patient(), &job(&[url], 60), &mut place).unwrap();
    assert!(place.image() == data);
    let took = began.elapsed();
    assert!(took >= secs(4.0) && took < secs(12.0), "{took:?}");
    drop(starts.join().unwrap());
}

#[test]
fn servers_that_make_us_wait() {
    together(&[
        e4_t51_a_file_that_is_not_there_is_asked_for_once_in_ten_seconds,
        nobody_listens,
        e5_a_server_that_is_up_later_is_met,
        n_p6_a_server_that_announces_more_than_it_has,
        a_server_without_ranges_that_always_breaks_ends,
        a_slow_server_is_waited_for,
        a_server_that_sends_heads_only,
        after_a_silence_the_segments_are_small,
        n_p6_a_server_in_trouble_is_asked_again,
    ]);
}

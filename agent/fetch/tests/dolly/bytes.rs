//! N-D2, N-D3, N-D4, N-D8 on sockets: one server, one receiver, and those who are neither.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rdlive_fetch::dolly::{Error, Key, Listener, Progress, Stray, Times, Wish};
use rustix::net::{AddressFamily, SocketType, bind, connect as connect_to, socket};

use crate::bench::{Net, Remembers, payload, quick, wish};
use crate::peers::{Server, answer, connect, echo, greet};

fn key() -> Option<Key> {
    Some(Key::of("secret"))
}

/// A connection from another address.
fn from(source: Ipv4Addr, to: Ipv4Addr, port: u16) -> TcpStream {
    let stream = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&stream, &SocketAddrV4::new(source, 0)).unwrap();
    connect_to(&stream, &SocketAddrV4::new(to, port)).unwrap();
    stream.into()
}

/// Nothing waits for a timer but the silence behind the text.
#[test]
fn n_d1_on_sockets_at_once() {
    let net = Net::new();
    for generation in [1, 2] {
        let ours = net.ours(1, wish(), Remembers::default());
        let begun = Instant::now();
        let payload = payload(10_000);
        assert_eq!(Server::new(generation, net.ports, net.names(1..=1)).send(&payload), [Some(10_000)]);
        ours.has(&payload);
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    }
}

#[test]
fn n_d2_texts_with_junk() {
    let net = Net::new();
    for generation in [1, 2] {
        for length in [1448, 3000] {
            let ours = net.ours(1, wish(), Remembers::default());
            let mut server = Server::new(generation, net.ports, net.names(1..=1));
            let junk = "a line after the end\n".repeat(300);
            server.text = format!("{}{junk}", server.text)[..length].into();
            let payload = payload(100_000);
            assert_eq!(server.send(&payload), [Some(100_000)]);
            ours.has(&payload);
        }
    }
}

#[test]
fn n_d3_total_first_surplus_and_short() {
    let net = Net::new();
    let server = Server::new(2, net.ports, net.names(1..=1));
    let all = payload(300_000);
    // First the total, and more than it.
    let ours = net.ours(1, wish(), Remembers::default());
    let mut lines = server.open().unwrap();
    lines[0].control.write_all(&200_000_u64.to_le_bytes()).unwrap();
    lines[0].data.write_all(&all).unwrap();
    assert_eq!(echo(&mut lines[0]), Some(200_000));
    ours.has(&all[..200_000]);
    // After the end of the data.
    let ours = net.ours(1, wish(), Remembers::default());
    let mut lines = server.open().unwrap();
    lines[0].data.write_all(&all).unwrap();
    lines[0].data.shutdown(Shutdown::Both).unwrap();
    thread::sleep(Duration::from_millis(100));
    lines[0].control.write_all(&300_000_u64.to_le_bytes()).unwrap();
    assert_eq!(echo(&mut lines[0]), Some(300_000));
    ours.has(&all);
    // Too few, without an end.
    let times = Times { silence: Duration::from_millis(1000), ..quick() };
    let ours = net.ours(1, Wish { times, ..wish() }, Remembers::default());
    let mut lines = server.open().unwrap();
    lines[0].data.write_all(&all[..1000]).unwrap();
    lines[0].control.write_all(&300_000_u64.to_le_bytes()).unwrap();
    let (result, caller) = ours.end();
    assert!(matches!(result, Err(Error::Silent { received: 1000, total: Some(300_000), .. })), "{result:?}");
    assert!(!*caller.memory.finished.lock().unwrap());
    assert_eq!(echo(&mut lines[0]), None);
}

#[test]
fn n_d4_password() {
    let net = Net::new();
    let server = Server::new(2, net.ports, net.names(1..=1));
    let ours = net.ours(1, Wish { key: key(), ..wish() }, Remembers::default());
    assert!(server.clone().password("wrong").open().is_none());
    assert!(server.open().is_none());
    assert!(Server::new(1, net.ports, net.names(1..=1)).open().is_none());
    let all = payload(50_000);
    assert_eq!(server.clone().password("secret").send(&all), [Some(50_000)]);
    assert_eq!(ours.caller.strays(), ["PasswordWrong", "PasswordMissing", "PasswordMissing"]);
    ours.has(&all);
    // Ten in vain.
    let ours = net.ours(1, wish(), Remembers::default());
    for _ in 0..10 {
        assert!(server.clone().password("secret").open().is_none());
    }
    let (result, _) = ours.end();
    assert!(matches!(result, Err(Error::Password { attempts: 10, last: Stray::PasswordWanted })), "{result:?}");
}

#[test]
fn n_d4_strays_first() {
    let net = Net::new();
    // Longer than the server would wait.
    let long = Duration::from_secs(60);
    let times = Times { stray: long, silence: long, ..quick() };
    let ours = net.ours(1, Wish { times, ..wish() }, Remembers::default());
    let to = net.at(1);
    // Ports that are looked at, in both ways.
    drop((connect(to, net.ports.data), connect(to, net.ports.control)));
    // Those that stay, and say nothing or something else: the server is served beside them.
    let held = [connect(to, net.ports.data), connect(to, net.ports.control)];
    let mut wrong = connect(to, net.ports.control);
    wrong.write_all(b"SSH-2.0-x\r\n").unwrap();
    let mut begun = connect(to, net.ports.control);
    begun.write_all(b"infile half").unwrap();
    let all = payload(200_000);
    assert_eq!(Server::new(1, net.ports, net.names(1..=1)).send(&all), [Some(200_000)]);
    let strays = ours.caller.strays();
    assert!(strays.contains(&"Closed".into()) && strays.contains(&"NotDolly(83)".into()), "{strays:?}");
    ours.has(&all);
    drop(held);
}

#[test]
fn n_d4_a_silent_stray_is_closed() {
    let net = Net::new();
    let times = Times { stray: Duration::from_millis(500), ..quick() };
    let ours = net.ours(1, Wish { times, ..wish() }, Remembers::default());
    let mut silent = connect(net.at(1), net.ports.control);
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    let all = payload(10);
    Server::new(2, net.ports, net.names(1..=1)).send(&all);
    assert_eq!(ours.caller.strays(), ["Silent"]);
    ours.has(&all);
}

#[test]
fn n_d4_kill() {
    let net = Net::new();
    let ours = net.ours(1, wish(), Remembers::default());
    connect(net.at(1), net.ports.control).write_all(&[0]).unwrap();
    let (result, _) = ours.end();
    assert!(matches!(result, Err(Error::Killed { .. })), "{result:?}");
    // With a password whoever has none kills nothing.
    let ours = net.ours(1, Wish { key: key(), ..wish() }, Remembers::default());
    connect(net.at(1), net.ports.control).write_all(&[0]).unwrap();
    let mut killer = connect(net.at(1), net.ports.control);
    killer.write_all(&[1]).unwrap();
    killer.write_all(&[7; 32]).unwrap();
    let mut said = [0; 32];
    killer.read_exact(&mut said).unwrap();
    assert_eq!(said[..], answer("secret", &[7; 32])[..]);
    killer.write_all(b"OK\0").unwrap();
    drop(killer);
    let (result, caller) = ours.end();
    assert!(matches!(result, Err(Error::Killed { .. })), "{result:?}");
    assert_eq!(caller.strays(), ["PasswordMissing"]);
}

#[test]
fn n_d4_only_from_the_host_of_the_url() {
    let net = Net::new();
    let ours = net.ours(1, Wish { host: Some(net.at(9)), ..wish() }, Remembers::default());
    let text = crate::peers::text(2, 1, &net.names(1..=1));
    let head = [&[0; 5], text.as_bytes()].concat();
    let (to, ports) = (net.at(1), net.ports);
    let mut foreign = (from(net.at(8), to, ports.data), from(net.at(8), to, ports.control));
    foreign.1.write_all(&head).unwrap();
    foreign.1.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(foreign.1.read(&mut [0]).unwrap(), 0, "a stranger was answered");
    from(net.at(8), to, ports.control).write_all(&[0]).unwrap();
    let (mut data, mut control) = (from(net.at(9), to, ports.data), from(net.at(9), to, ports.control));
    control.write_all(&head).unwrap();
    data.write_all(&payload(5000)).unwrap();
    control.write_all(&[]).unwrap();
    let mut said = [0; 200];
    let mut heard = String::new();
    while !heard.contains(" ready.") {
        let length = control.read(&mut said).unwrap();
        heard.push_str(&String::from_utf8_lossy(&said[..length]));
    }
    control.write_all(&5000_u64.to_le_bytes()).unwrap();
    assert_eq!(ours.caller.strays()[0], "Stranger");
    ours.has(&payload(5000));
}

#[test]
fn n_d8_the_server_goes_half_way() {
    let net = Net::new();
    for generation in [1, 2] {
        let ours = net.ours(1, wish(), Remembers::default());
        let mut lines = Server::new(generation, net.ports, net.names(1..=1)).open().unwrap();
        lines[0].data.write_all(&payload(500_000)).unwrap();
        let begun = Instant::now();
        drop(lines);
        let (result, caller) = ours.end();
        assert!(matches!(result, Err(Error::ParentClosed { .. })), "{result:?}");
        assert!(begun.elapsed() < quick().silence);
        assert!(!*caller.memory.finished.lock().unwrap(), "what is not whole must not be finished");
    }
}

#[test]
fn the_target_fails_or_the_caller_refuses() {
    let net = Net::new();
    let server = Server::new(2, net.ports, net.names(1..=1));
    let mut caller = Remembers::default();
    caller.memory.room = Some(100_000);
    let ours = net.ours(1, wish(), caller);
    assert_eq!(server.send(&payload(3_000_000)), [None]);
    let (result, _) = ours.end();
    assert!(matches!(&result, Err(Error::Output(why)) if why.kind() == ErrorKind::StorageFull), "{result:?}");
    let ours = net.ours(1, wish(), Remembers { refuses: true, ..Remembers::default() });
    assert!(server.open().is_none());
    let (result, _) = ours.end();
    assert!(matches!(&result, Err(Error::Output(why)) if why.kind() == ErrorKind::Unsupported), "{result:?}");
}

#[test]
fn waiting_is_told_and_ends() {
    let net = Net::new();
    let times = Times { wait: Duration::from_millis(1000), remind: Duration::from_millis(200), ..quick() };
    let file = Some("/image/it's.iso".into());
    let wish = Wish { times, file, address: Some(net.at(1)), key: key(), ..wish() };
    let ours = net.ours(1, wish, Remembers::default());
    drop(connect(net.at(1), net.ports.control));
    let (result, caller) = ours.end();
    let why = result.unwrap_err();
    assert!(matches!(why, Error::NobodyCame { last: Some(Stray::Closed), .. }), "{why}");
    let notes = caller.notes.lock().unwrap();
    let waiting: Vec<_> = notes.iter().filter(|note| matches!(note, Progress::Waiting { .. })).collect();
    assert!((2..=6).contains(&waiting.len()), "{notes:?}");
    let advice = format!("dolly -s -I '/image/it'\\''s.iso' -O /dev/stdout -H {} -P PASSWORD", net.at(1));
    assert!(waiting[0].to_string().ends_with(&advice), "{}", waiting[0]);
}

#[test]
fn both_ports_or_none() {
    let net = Net::new();
    let taken = std::net::TcpListener::bind((net.at(1), net.ports.data)).unwrap();
    let why = Listener::bind(net.at(1), net.ports).unwrap_err();
    assert!(matches!(why, Error::Listen { port, .. } if port == net.ports.data), "{why}");
    let refused = TcpStream::connect((net.at(1), net.ports.control)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    drop(taken);
    // A server that comes before we ask for it waits in the queue.
    let listener = Listener::bind(net.at(1), net.ports).unwrap();
    let text = crate::peers::text(2, 1, &net.names(1..=1));
    let mut line = greet(net.at(1), net.ports, 2, None, text.as_bytes()).unwrap();
    let mut caller = Remembers::default();
    line.data.write_all(&payload(7)).unwrap();
    let sender = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        line.control.write_all(&7_u64.to_le_bytes()).unwrap();
        line
    });
    assert_eq!(listener.receive(&wish(), &mut caller).unwrap().total, 7);
    drop(sender.join().unwrap());
}

//! N-D5: our receiver at each place among clients after the originals.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rdlive_fetch::dolly::{ChildLoss, Error, Key, Progress, Received, Times, Wish};

use crate::bench::{Net, Remembers, payload, quick, wish};
use crate::peers::{Client, Server, text};

/// Ours at this place of three, the others after the originals; everybody has everything.
fn three(generation: u8, fanout: usize, place: u8, password: Option<&'static str>) {
    let net = Net::new();
    let others: Vec<_> = (1..=3)
        .filter(|host| *host != place)
        .map(|host| Client { password, ..Client::default() }.start(net.at(host), net.ports))
        .collect();
    let key = password.map(Key::of);
    let ours = net.ours(place, Wish { key, ..wish() }, Remembers::default());
    let mut server = Server::new(generation, net.ports, net.names(1..=3)).tree(fanout);
    server.password = password;
    let payload = payload(1_000_003);
    let echoes = server.send(&payload);
    assert!(echoes.iter().all(|echo| *echo == Some(1_000_003)), "{echoes:?}");
    ours.has(&payload);
    for other in others {
        let got = other.join().unwrap();
        assert_eq!(got.total, Some(1_000_003));
        assert!(got.bytes == payload);
        assert_eq!(got.text, text(generation, fanout, &net.names(1..=3)).as_bytes(), "the text is passed on as it is");
    }
}

#[test]
fn n_d5_first_of_three() {
    three(1, 1, 1, None);
    three(2, 1, 1, None);
}

#[test]
fn n_d5_middle_of_three() {
    three(1, 1, 2, None);
    three(2, 1, 2, None);
}

#[test]
fn n_d5_last_of_three() {
    three(1, 1, 3, None);
    three(2, 1, 3, None);
}

#[test]
fn n_d5_with_a_password() {
    for place in 1..=3 {
        three(2, 1, place, Some("secret"));
    }
}

#[test]
fn n_d5_tree() {
    for place in 1..=3 {
        three(1, 2, place, None);
    }
}

#[test]
fn n_d5_only_ours_in_a_wide_tree() {
    let net = Net::new();
    let ours: Vec<_> = (1..=7).map(|host| net.ours(host, wish(), Remembers::default())).collect();
    let payload = payload(300_000);
    let server = Server::new(1, net.ports, net.names(1..=7)).tree(2);
    assert_eq!(server.send(&payload), [Some(300_000); 2]);
    ours.into_iter().for_each(|ours| ours.has(&payload));
}

#[test]
fn n_d5_texts_that_end_with_a_segment_are_passed_on() {
    let net = Net::new();
    let leaf = Client::default().start(net.at(2), net.ports);
    let ours = net.ours(1, wish(), Remembers::default());
    let mut server = Server::new(2, net.ports, net.names(1..=2));
    // Two full segments: the first one is a space longer than what was meant, so that originals go on.
    server.text = format!("{}{}", server.text, "x".repeat(3000))[..2896].into();
    let payload = payload(5_000);
    assert_eq!(server.send(&payload), [Some(5_000)]);
    ours.has(&payload);
    let got = leaf.join().unwrap();
    assert_eq!(got.text.len(), 2897);
    assert!(got.text.starts_with(server.text.as_bytes()));
}

#[test]
fn n_d5_a_slow_child_gets_all() {
    let net = Net::new();
    let slow = Client { slow: Duration::from_millis(4), ..Client::default() }.start(net.at(2), net.ports);
    let ours = net.ours(1, wish(), Remembers::default());
    // More than the kernel holds for both connections.
    let payload = payload(12_000_000);
    assert_eq!(Server::new(2, net.ports, net.names(1..=2)).send(&payload), [Some(12_000_000)]);
    ours.has(&payload);
    assert!(slow.join().unwrap().bytes == payload);
}

/// A child has the total and the end of its data before our disk is waited for: here the disk waits for the child. (The kernel takes the
/// last piece on loopback, so this does not show that the driver itself sends what waits before it finishes.)
#[test]
fn n_d5_a_child_does_not_wait_for_our_disk() {
    let net = Net::new();
    let (go, disk) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let held = Client { held: Some(go.clone()), ..Client::default() }.start(net.at(2), net.ports);
    let mut caller = Remembers::default();
    caller.memory.disk = Some(disk.clone());
    let ours = net.ours(1, Wish { times: Times { silence: Duration::from_secs(60), ..quick() }, ..wish() }, caller);
    let mut lines = Server::new(2, net.ports, net.names(1..=2)).open().unwrap();
    let (all, mut data) = (payload(12_000_000), lines[0].data.try_clone().unwrap());
    let copy = all.clone();
    let writer = thread::spawn(move || drop(data.write_all(&copy)));
    // The child takes nothing, so we stop taking; the total is what has come until then.
    let length = || ours.caller.memory.bytes.lock().unwrap().len();
    let mut total = 0;
    while total == 0 || total != length() {
        total = length();
        thread::sleep(Duration::from_millis(300));
    }
    lines[0].control.write_all(&(total as u64).to_le_bytes()).unwrap();
    go.store(true, Ordering::Relaxed);
    let got = held.join().unwrap();
    assert!(got.total == Some(total as u64) && got.bytes[..total] == all[..total]);
    assert!(!*ours.caller.memory.finished.lock().unwrap(), "the child had to wait for our disk");
    disk.store(true, Ordering::Relaxed);
    assert_eq!(crate::peers::echo(&mut lines[0]), Some(total as u64));
    let (result, caller) = ours.end();
    assert_eq!(result.unwrap(), Received { total: total as u64, chain_complete: true });
    assert!(caller.memory.bytes.lock().unwrap()[..total] == all[..total]);
    drop(lines);
    writer.join().unwrap();
}

/// The server, whose transfer is expected to fail or not, beside a child that goes: our copy is whole and nothing is echoed.
fn lost_child(child: Client, why: impl Fn(&ChildLoss) -> bool) {
    let net = Net::new();
    let dies = child.start(net.at(2), net.ports);
    let times = Times { silence: Duration::from_millis(1500), echo: Duration::from_millis(1500), ..quick() };
    let ours = net.ours(1, Wish { times, ..wish() }, Remembers::default());
    let payload = payload(12_000_000);
    assert_eq!(Server::new(2, net.ports, net.names(1..=2)).send(&payload), [None], "nothing is echoed");
    let (result, caller) = ours.end();
    assert_eq!(result.unwrap(), Received { total: 12_000_000, chain_complete: false });
    assert!(*caller.memory.bytes.lock().unwrap() == payload && *caller.memory.finished.lock().unwrap());
    assert!(
        caller.has(|note| matches!(note, Progress::ChildLost { why: loss, .. } if why(loss))),
        "{:?}",
        caller.notes
    );
    drop(dies);
}

#[test]
fn n_d5_a_child_dies() {
    lost_child(Client { dies_after: Some(100_000), ..Client::default() }, |why| *why == ChildLoss::Closed);
}

#[test]
fn n_d5_a_child_stops_taking() {
    lost_child(Client { slow: Duration::from_secs(8), ..Client::default() }, |why| *why == ChildLoss::Stalled);
}

#[test]
fn n_d5_a_child_that_comes_late_is_waited_for() {
    let net = Net::new();
    let ours = net.ours(1, wish(), Remembers::default());
    let (at, ports, caller) = (net.at(2), net.ports, ours.caller.clone());
    let late = thread::spawn(move || {
        while !caller.has(|note| matches!(note, Progress::ChildAwaited { .. })) {
            thread::sleep(Duration::from_millis(10));
        }
        Client::default().start(at, ports).join().unwrap()
    });
    let payload = payload(100_000);
    assert_eq!(Server::new(1, net.ports, net.names(1..=2)).send(&payload), [Some(100_000)]);
    ours.has(&payload);
    assert!(late.join().unwrap().bytes == payload);
}

#[test]
fn n_d5_a_child_that_never_comes() {
    let net = Net::new();
    let times = Times { wait: Duration::from_millis(1200), ..quick() };
    let ours = net.ours(1, Wish { times, ..wish() }, Remembers::default());
    assert!(Server::new(2, net.ports, net.names(1..=2)).open().is_none());
    let (result, _) = ours.end();
    assert!(matches!(result, Err(Error::Child { why: ChildLoss::Unreachable, .. })), "{result:?}");
}

#[test]
fn n_d5_names_of_the_list() {
    let net = Net::new();
    let names = |names: &[(&str, u8)]| names.iter().map(|(name, host)| ((*name).into(), net.at(*host))).collect();
    let first = Remembers { names: names(&[("two", 2)]), ..Remembers::default() };
    let second = Remembers { names: names(&[("one", 1)]), ..Remembers::default() };
    let wish = |name: &str| Wish { names: vec![name.into()], host: Some(net.at(9)), ..wish() };
    let two = net.ours(2, wish("two"), second);
    let one = net.ours(1, Wish { host: None, ..wish("one") }, first);
    let mut server = Server::new(2, net.ports, net.names(1..=2));
    server.text = "infile a\noutfile b\none\ntwo\nendconfig\n".into();
    let mut lines = server.open().unwrap();
    lines[0].data.write_all(&payload(900)).unwrap();
    lines[0].control.write_all(&900_u64.to_le_bytes()).unwrap();
    one.has(&payload(900));
    two.has(&payload(900));
    // A name without an address.
    let one = net.ours(1, Wish { host: None, ..wish("one") }, Remembers::default());
    assert!(server.open().is_none());
    let (result, _) = one.end();
    assert!(matches!(result, Err(Error::ChildName { name }) if name == "two"));
}

//! What the server's text says, and who says it.

use rdlive_fetch::dolly::{Action, Error, Event, Halt, Stray, TextError, Wish};

use crate::bench::{Bench, wish};
use crate::vectors::{FIRST, SECOND, failed, head_2, strayed};

#[test]
fn refused_by_name() {
    let mut bench = Bench::new(wish());
    let why = failed(bench.step(Event::Control(&[0, 1, 0, 0, 0])));
    assert!(matches!(why, Error::Directory) && why.to_string().contains("directory"));
    let mut bench = Bench::new(wish());
    assert!(matches!(failed(bench.step(Event::Control(&[0, 2, 0, 0, 0]))), Error::UnknownKind(2)));
    for add in ["add 1:a", "add2 1:a"] {
        let mut bench = Bench::new(wish());
        let why = failed(bench.introduced(FIRST.replace("server", &format!("{add}\nserver")).as_bytes()));
        assert!(matches!(why, Error::Text(TextError::ExtraConnections)) && why.to_string().contains("`add`"));
    }
    assert_eq!(strayed(Bench::new(wish()).step(Event::Control(b"GET / HTTP/1.1\r\n"))), Stray::NotDolly(b'G'));
}

#[test]
fn gzip_is_told_before_the_data() {
    for (which, gzip) in [("infile", true), ("outfile", true), ("server", false)] {
        let text = if gzip { FIRST.replacen(which, &format!("compressed {which}"), 1) } else { FIRST.into() };
        let mut bench = Bench::new(wish());
        bench.introduced(text.as_bytes()).unwrap();
        let begun = bench.others.iter().any(|action| matches!(action, Action::Begin(offer) if offer.gzip == gzip));
        assert!(begun, "{which}");
    }
    // Generation 2 has no such word.
    let mut bench = Bench::new(wish());
    assert!(matches!(failed(bench.introduced(&head_2(&format!("compressed {SECOND}")))), Error::Text(_)));
}

#[test]
fn who_are_we() {
    let place = |text: &str, names: &[&str]| {
        let mut bench = Bench::new(Wish { names: names.iter().map(|name| (*name).into()).collect(), ..wish() });
        bench.introduced(&head_2(text))?;
        let place = |action: &Action| if let Action::Begin(offer) = action { Some(offer.position) } else { None };
        Ok::<_, Halt>(bench.others.iter().find_map(place))
    };
    let list = "infile a\noutfile b\n10.77.0.9\nNode1\nnode2-giga\n10.77.0.2\nendconfig\n";
    assert_eq!(place(list, &[]).unwrap(), Some(3));
    let list = "infile a\noutfile b\n10.77.0.9\nNode1\nnode2-giga\n10.77.0.8\n10.77.0.7\nendconfig\n";
    assert_eq!(place(list, &["10.77.0.7"]).unwrap(), Some(4));
    // The last of those that follow need no address.
    let list = "infile a\noutfile b\n10.77.0.9\nnode2-giga\nendconfig\n";
    assert_eq!(place(list, &["node2"]).unwrap(), Some(1));
    let list = "infile a\noutfile b\n10.77.0.9\nNode1\nendconfig\n";
    assert_eq!(place(list, &["node1"]).unwrap(), Some(1));
    let list = "infile a\noutfile b\nhyphennormal\n10.77.0.9\nnode2-giga\nendconfig\n";
    assert!(matches!(place(list, &["node2"]), Err(Halt::Failed(Error::NotListed { listed: 2, .. }))));
    assert_eq!(place("infile a\noutfile b\nwhoever\nendconfig\n", &[]).unwrap(), Some(0));
    // A word that the server counts does not come from a name.
    let mut bench = Bench::new(wish());
    bench.introduced(&head_2("infile a\noutfile b\nalready\nendconfig\n")).unwrap();
    let said = bench.replies.concat();
    assert_eq!(said.windows(5).filter(|word| word == b"ready").count(), 1);
}

#[test]
fn lines_that_are_not_followed() {
    for (bad, wrong) in [
        ("infile", "inflie"),
        ("clients 1", "clients 2"),
        ("clients 1", "clients 0"),
        ("clients 1", "clients -1"),
        ("clients 1", "clients 99999999999999999999"),
        ("server 10.77.0.1\n", ""),
        ("clients 1", "fanout 8\nclients 1"),
        ("server", "fanout 8\nserver"),
        ("server", "fanout 0\nserver"),
        ("\n10.77.0.2\n", "\n\n"),
        ("\n10.77.0.2\n", "\n"),
        ("\n10.77.0.2\n", "\n10.77.0.2 \n"),
        ("\n10.77.0.2\n", "\n10.77.0\u{1b}[2J\n"),
    ] {
        let text = FIRST.replace(bad, wrong);
        assert_ne!(text, FIRST);
        let mut bench = Bench::new(wish());
        let first = text.as_bytes();
        let why = match bench.introduced(first) {
            Err(Halt::Failed(why @ Error::Text(_))) => why.to_string(),
            other => panic!("{wrong:?}: {other:?}"),
        };
        assert!(!why.chars().any(char::is_control), "{why}");
    }
    let mut bench = Bench::new(wish());
    bench.introduced(FIRST.replace("server", "segsize 1448\nfanout 2\nhyphennormal\nserver").as_bytes()).unwrap();
    assert_eq!(bench.replies.len(), 2);
}

#[test]
fn only_the_named_server_or_a_client_of_the_list_is_followed() {
    let host = Some([10, 77, 0, 1].into());
    let text = "infile a\noutfile b\n10.77.0.5\n10.77.0.2\nendconfig\n";
    for (peer, follows) in [([10, 77, 0, 1], true), ([10, 77, 0, 5], true), ([10, 77, 0, 6], false)] {
        let mut bench = Bench::between(Wish { host, ..wish() }, peer, [10, 77, 0, 2]);
        match bench.introduced(&head_2(text)) {
            Ok(()) => assert!(follows && bench.replies.len() == 2),
            Err(Halt::Stray(Stray::Stranger)) => assert!(!follows && bench.replies.is_empty()),
            other => panic!("{other:?}"),
        }
    }
    // What a stranger says ends nothing.
    for said in [&b"infile\nendconfig\n"[..], &[0, 1, 0, 0, 0], b"infile a\noutfile b\nendconfig\n"] {
        let mut bench = Bench::between(Wish { host, ..wish() }, [10, 77, 0, 6], [10, 77, 0, 2]);
        assert_eq!(strayed(bench.introduced(said)), Stray::Stranger);
    }
    let mut bench = Bench::between(Wish { host, ..wish() }, [10, 77, 0, 6], [10, 77, 0, 2]);
    bench.step(Event::Control(&[0])).unwrap();
    assert_eq!(strayed(bench.step(Event::ControlClosed)), Stray::Stranger);
}

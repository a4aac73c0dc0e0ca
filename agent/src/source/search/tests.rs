//! Each rule of the search, with a clock that is no clock.

mod copies;
mod rejected;
mod several;
mod twins;

use std::path::Path;

use super::*;
use crate::config::interpret_text;
use crate::facts::Pending;
use crate::format::{Kind, Superblock};

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A device with this label.
fn device(name: &str, label: &str) -> Device {
    let superblock =
        Superblock { label: Some(label.to_owned()), uuid: Some(format!("uuid-{name}")), ..Superblock::new(Kind::Ext4) };
    Device {
        name: name.to_owned(),
        node: Path::new("/dev").join(name),
        size: 1 << 30,
        superblock: Some(superblock),
        ..Device::default()
    }
}

/// What happens in a world of its own.
#[derive(Clone, Debug)]
enum Event {
    /// A device was looked at.
    Comes(Box<Device>),
    /// A device appeared and is looked at from now on.
    Asked(&'static str),
    /// It is gone.
    Goes(&'static str),
    /// A device chatters.
    Chatters,
    /// udev begins or ends.
    Udev(bool),
    /// A driver is asked for, or had its time.
    Drivers(bool, &'static [&'static str]),
    /// Somebody presses a key.
    Key,
}

use Event::{Asked, Chatters, Comes, Drivers, Goes, Key, Udev};

fn comes(name: &str, label: &str) -> Event {
    Comes(Box::new(device(name, label)))
}

fn happens(view: &mut View, event: &Event) {
    view.last_news = view.now;
    match event {
        Comes(device) => {
            view.pending.retain(|one| one.name != device.name);
            view.devices.retain(|one| one.name != device.name);
            if !view.known.iter().any(|known| known.0 == device.name) {
                view.known.push((device.name.clone(), view.now));
            }
            view.devices.push((**device).clone());
            view.devices.sort_by(|one, other| one.name.cmp(&other.name));
        }
        Asked(name) => view.pending.push(Pending { name: (*name).to_owned(), since: view.now, given_up: false }),
        Goes(name) => {
            view.pending.retain(|one| one.name != *name);
            view.devices.retain(|one| one.name != *name);
            view.known.retain(|known| known.0 != *name);
        }
        Chatters => {}
        Key => view.key = true,
        Udev(works) => view.udev = *works,
        Drivers(busy, silent) => {
            view.drivers.busy = *busy;
            view.drivers.silent = silent.iter().map(|name| (*name).to_owned()).collect();
        }
    }
}

/// The devices that were tried, and when (ms).
type Tried = Vec<(u64, String)>;

/// What the search did and when (ms): the devices that it tried, and how it ended. A device is rejected that is labelled `bad`, or `empty`.
fn searched(kargs: &str, events: &[(u64, Event)]) -> (Tried, Result<(), (u64, Stop)>) {
    let (config, _) = interpret_text(kargs);
    let mut search = Search::new(&config);
    let mut view = View::default();
    let mut events = events.iter().peekable();
    let mut tried = Vec::new();
    for _ in 0..100_000 {
        while let Some((_, event)) = events.next_if(|(at, _)| ms(*at) <= view.now) {
            happens(&mut view, event);
        }
        let at = u64::try_from(view.now.as_millis()).unwrap();
        match search.next(&view) {
            Next::Known(Ok(candidate)) => {
                tried.push((at, candidate.name.clone()));
                let label = view.device(&candidate.name).unwrap().superblock.as_ref().unwrap().label.clone().unwrap();
                let found = view.device(&candidate.name).unwrap().superblock.as_ref().unwrap().kind;
                let code = match label.as_str() {
                    // An ISO is none of the wanted build here.
                    _ if candidate.by == By::Mark && found == Kind::Iso9660 => Code::MediumNotFound,
                    label if label.contains("bad") => Code::ImageDamaged,
                    label if label.contains("empty") && config.iso_scan.is_none() => Code::MediumNotFound,
                    label if label.contains("empty") => Code::IsoFileNotFound,
                    _ => return (tried, Ok(())),
                };
                let why = Stop::new(code, format!("{} is {label}", candidate.name));
                if label.contains("restless") {
                    // It changes while it is tried, and that takes its time.
                    view.now += ms(300);
                    search.reject(&view, &candidate, why);
                    view.devices.iter_mut().for_each(|device| device.size += 1);
                } else {
                    search.reject(&view, &candidate, why);
                }
            }
            Next::Wait(until) => {
                assert!(until > view.now, "waits for what is past: {view:?}");
                view.now = events.peek().map_or(until, |(at, _)| until.min(ms(*at)));
            }
            Next::Known(Err(stop)) => return (tried, Err((at, stop))),
        }
    }
    panic!("it never ends: {tried:?}");
}

const LIVE: &str = "root=live:LABEL=x";

/// Whether the search tries these, at these moments (ms), and takes the last.
fn tries(what: &str, kargs: &str, events: &[(u64, Event)], expected: &[(u64, &str)]) {
    let (tried, end) = searched(kargs, events);
    // The search looks every 100 ms while it holds a candidate back.
    let near = |(at, name): &(u64, String), (expected, wanted): &(u64, &str)| {
        name == wanted && (*expected..=*expected + 100).contains(at)
    };
    let all = tried.len() == expected.len() && tried.iter().zip(expected).all(|(one, other)| near(one, other));
    assert!(all && end.is_ok(), "{what}: {tried:?} {end:?}");
}

const LOADER: &str = "root=live:LABEL=x rd.live.medium=UUID=uuid-sdb";

/// A disk or partition with the label, and what its table lists.
fn disk(name: &str, parent: Option<&str>, table: &[u64]) -> Event {
    let (parent, partition) = (parent.map(str::to_owned), parent.map(|_| 1));
    Comes(Box::new(Device { parent, partition, table: table.to_vec(), ..device(name, "x") }))
}

#[test]
fn a_better_medium_may_still_come() {
    for (what, kargs, events, expected) in [
        ("once nothing has happened for a moment", LIVE, vec![(50, comes("sda", "x"))], vec![(150, "sda")]),
        ("a name that is known needs no silence", LOADER, vec![(50, comes("sdb", "x"))], vec![(50, "sdb")]),
        (
            "the loader's own may come a little later",
            LOADER,
            vec![(50, comes("sda", "x")), (4000, comes("sdb", "x"))],
            vec![(4000, "sdb")],
        ),
        ("another one is used after ten seconds", LOADER, vec![(50, comes("sda", "x"))], vec![(10_050, "sda")]),
        (
            "with a short deadline sooner",
            "root=live:LABEL=x rd.live.medium=UUID=uuid-sdb rd.retry=6",
            vec![(50, comes("sda", "x"))],
            vec![(4050, "sda")],
        ),
        (
            "a disk waits for the partitions of its table",
            LIVE,
            vec![(50, disk("sda", None, &[1 << 20])), (900, disk("sda1", Some("sda"), &[]))],
            vec![(1000, "sda1")],
        ),
        ("and not for ever", LIVE, vec![(50, disk("sda", None, &[1 << 20]))], vec![(2050, "sda")]),
        (
            "of two of the same name the first by name",
            LIVE,
            vec![(50, comes("sdb", "x")), (60, comes("sda", "x"))],
            vec![(160, "sda")],
        ),
        (
            "an ISO file may be anywhere, so all have to be there",
            "root=live:LABEL=x iso-scan/filename=/a.iso rd.live.medium=UUID=uuid-sda",
            vec![(50, comes("sda", "y")), (90, comes("sdb", "z"))],
            vec![(190, "sda")],
        ),
        (
            "one that has gone is not tried",
            LIVE,
            vec![(50, comes("sda", "x")), (80, Goes("sda")), (300, comes("sdb", "x"))],
            vec![(400, "sdb")],
        ),
    ] {
        tries(what, kargs, &events, &expected);
    }
}

#[test]
fn who_does_not_answer_has_its_time() {
    let chatter = (0..600).map(|at| (at * 50, Chatters));
    let chatter: Vec<_> =
        chatter.take(2).chain([(60, comes("sda", "x"))]).chain((2..600).map(|at| (at * 50, Chatters))).collect();
    for (what, kargs, events, expected) in [
        (
            "a device that does not answer has ten seconds",
            LIVE,
            vec![(0, Asked("sdb")), (50, comes("sda", "x"))],
            vec![(10_050, "sda")],
        ),
        (
            "less, when the deadline is near",
            "root=live:LABEL=x rd.retry=6",
            vec![(0, Asked("sdb")), (50, comes("sda", "x"))],
            vec![(4050, "sda")],
        ),
        (
            "one that answers late is not waited for any longer",
            LIVE,
            vec![(0, Asked("sdb")), (50, comes("sda", "x")), (3000, comes("sdb", "y"))],
            vec![(3050, "sda")],
        ),
        (
            "a driver that is being loaded is waited for",
            LIVE,
            vec![(0, Drivers(true, &[])), (50, comes("sda", "x")), (2000, Drivers(false, &["stuck"]))],
            vec![(2050, "sda")],
        ),
        (
            "a device that chatters holds nobody up for ever",
            "root=live:LABEL=x rd.retry=20",
            chatter,
            vec![(18_000, "sda")],
        ),
    ] {
        tries(what, kargs, &events, &expected);
    }
}

/// Whether the search tries these and then ends, at this moment (ms) and for this reason.
fn ends(what: &str, kargs: &str, events: &[(u64, Event)], tried: &[&str], (end, code): (u64, Code)) {
    let (found, ended) = searched(kargs, events);
    let (at, stop) = ended.unwrap_err();
    let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!((names.as_slice(), stop.code), (tried, code), "{what}");
    assert!((end..=end + 200).contains(&at), "{what}: {at}");
}

#[test]
fn without_a_medium_it_ends_at_the_deadline() {
    let wait = "root=live:LABEL=x rd.retry=30";
    for (what, kargs, events, tried, end, code) in [
        ("nothing comes", wait, vec![], vec![], 30_000, Code::MediumNotFound),
        ("nothing that matches", wait, vec![(50, comes("sda", "y"))], vec![], 30_000, Code::MediumNotFound),
        ("udev is given a minute more", wait, vec![(0, Udev(true))], vec![], 90_000, Code::MediumNotFound),
        (
            "and no more than it needs",
            wait,
            vec![(0, Udev(true)), (42_000, Udev(false))],
            vec![],
            42_000,
            Code::MediumNotFound,
        ),
        (
            "a file that is not on one disk may be on the next",
            "root=live:LABEL=x iso-scan/filename=/a.iso rd.retry=30",
            vec![(50, comes("sda", "empty")), (20_000, comes("sdb", "empty"))],
            vec!["sda", "sdb"],
            30_000,
            Code::IsoFileNotFound,
        ),
        (
            "a bad disk says nothing of the others either, but is told",
            "root=live:LABEL=x iso-scan/filename=/a.iso rd.retry=30",
            vec![(50, comes("sda", "bad")), (20_000, comes("sdb", "empty"))],
            vec!["sda", "sdb"],
            30_000,
            Code::ImageDamaged,
        ),
    ] {
        ends(what, kargs, &events, &tried, (end, code));
    }
}

/// What is told is why the best candidate was no medium, not the one whose name comes first; all others stand under `found:`.
#[test]
fn the_end_is_told_by_rank_with_all_others() {
    let kargs = "root=live:LABEL=bad rd.live.medium=UUID=uuid-sdc rd.retry=30";
    let events =
        [(10, comes("sda", "bad")), (20, comes("sdb", "other")), (30, comes("sdc", "bad")), (40, Asked("sdd"))];
    let (tried, end) = searched(kargs, &events);
    let (_, stop) = end.unwrap_err();
    assert_eq!(tried.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["sdc", "sda"]);
    assert_eq!(stop.cause, "sdc is bad");
    let found = stop.found.join("\n");
    for words in ["/dev/sda ext4 LABEL=\"bad\" UUID=uuid-sda 1 GiB: sda is bad", "/dev/sdb ext4", "/dev/sdd: does not"]
    {
        assert!(found.contains(words), "{words} is not in\n{found}");
    }
    assert!(!found.contains("/dev/sdc"), "{found}");
    // One that is gone tells less than one that is there.
    let events = [(10, comes("sda", "bad")), (20, comes("sdc", "bad")), (3000, Goes("sdc"))];
    let (_, end) = searched(kargs, &events);
    assert_eq!(end.unwrap_err().1.cause, "sda is bad");
}

#[test]
fn a_device_that_changes_at_each_try_is_not_tried_for_ever() {
    let kargs = "root=live:LABEL=bad-restless rd.retry=30";
    let (tried, end) = searched(kargs, &[(50, comes("sda", "bad-restless"))]);
    let (at, stop) = end.unwrap_err();
    assert!(tried.len() > 50 && tried.last().unwrap().0 < 30_000, "{tried:?}");
    assert!((30_000..30_400).contains(&at), "{at}");
    assert_eq!(stop.code, Code::ImageDamaged);
    // Nor does it keep another one from its turn.
    let events =
        [(50, comes("sda", "bad-restless")), (60, comes("sdb", "bad-restless")), (70, comes("sdc", "bad-restless"))];
    let (tried, _) = searched(kargs, &events);
    let first: Vec<&str> = tried.iter().take(3).map(|(_, name)| name.as_str()).collect();
    assert_eq!(first, ["sda", "sdb", "sdc"]);
}

#[test]
fn what_udev_shows_at_the_very_end_is_looked_at() {
    let events = [(0, Udev(true)), (40_000, Asked("sda")), (40_000, Udev(false)), (40_300, comes("sda", "x"))];
    let (tried, end) = searched("root=live:LABEL=x rd.retry=30", &events);
    assert!(matches!(tried.as_slice(), [(at, name)] if name == "sda" && *at >= 40_300), "{tried:?}");
    assert!(end.is_ok());
}

#[test]
fn an_ordinary_root_is_taken_when_all_have_answered() {
    let ask = |events: &[(u64, Event)]| {
        let (selector, mut view) = (Selector::Label("x".into()), View::default());
        let mut events = events.iter().peekable();
        loop {
            while let Some((_, event)) = events.next_if(|(at, _)| ms(*at) <= view.now) {
                happens(&mut view, event);
            }
            match root(&view, ms(30_000), &selector) {
                Next::Known(answer) => return (view.now.as_millis(), answer),
                Next::Wait(until) => view.now = events.peek().map_or(until, |(at, _)| until.min(ms(*at))),
            }
        }
    };
    for (what, events, expected, name) in [
        ("all have answered", vec![(50, comes("sda", "x"))], 150, Some("sda")),
        (
            "a partition, not the disk",
            vec![(50, comes("sda", "x")), (60, disk("sda1", Some("sda"), &[]))],
            160,
            Some("sda1"),
        ),
        ("it comes late", vec![(50, comes("sda", "y")), (7000, comes("sdb", "x"))], 7100, Some("sdb")),
        ("one does not answer", vec![(0, Asked("sdb")), (50, comes("sda", "x"))], 10_000, Some("sda")),
        ("it does not come", vec![(50, comes("sda", "y"))], 30_000, None),
    ] {
        let (at, answer) = ask(&events);
        assert_eq!(answer.as_ref().ok().map(|device| device.name.as_str()), name, "{what}: {answer:?}");
        assert!((expected..=expected + 100).contains(&at), "{what}: {at}");
    }
}

//! Candidates that turned out unusable.

use super::*;

const OTHER: &str = "root=live:LABEL=bad rd.retry=30";
const OWN: &str = "root=live:LABEL=bad rd.live.medium=UUID=uuid-sda rd.retry=30";

/// field.md C: a reason that concerns one candidate is no end of the search, unless it is the loader's own medium.
#[test]
fn after_a_rejection_it_ends_at_the_deadline_or_soon() {
    let (other, own) = (OTHER, OWN);
    let bad = vec![(50, comes("sda", "bad"))];
    for (what, kargs, events, tried, end) in [
        (
            "a worse one still gets its turn",
            "root=live:LABEL=bad rd.live.medium=UUID=uuid-sdb",
            vec![(50, comes("sda", "bad")), (60, comes("sdb", "bad"))],
            vec!["sdb", "sda"],
            15_050,
        ),
        ("a bad one does not end the wait", other, bad.clone(), vec!["sda"], 30_000),
        ("the loader's own gives five seconds for another", own, bad.clone(), vec!["sda"], 5050),
        (
            "one beside the loader's own, which has not come, does not",
            "root=live:LABEL=bad rd.live.medium=UUID=uuid-sdc rd.retry=30",
            bad.clone(),
            vec!["sda"],
            30_000,
        ),
        (
            "counted from the last one",
            own,
            vec![(50, comes("sda", "bad")), (3000, comes("sdb", "bad"))],
            vec!["sda", "sdb"],
            18_000,
        ),
    ] {
        ends(what, kargs, &events, &tried, (end, Code::ImageDamaged));
    }
}

#[test]
fn only_where_no_bus_is_at_work_and_nobody_presses_a_key() {
    let own = OWN;
    let chatter = [(50, comes("sda", "bad"))].into_iter().chain((0..1000).map(|at| (at * 50 + 200, Chatters)));
    for (what, kargs, events, tried, end) in [
        (
            "while a bus is at work more may come",
            own,
            vec![(50, comes("sda", "bad")), (60, Drivers(true, &[])), (9000, Drivers(false, &[]))],
            vec!["sda"],
            9000,
        ),
        (
            "so it may while udev is at work",
            own,
            vec![(50, comes("sda", "bad")), (60, Udev(true)), (9000, Udev(false))],
            vec!["sda"],
            9000,
        ),
        (
            "and while a device has not answered",
            own,
            vec![(50, comes("sda", "bad")), (4000, Asked("sdb")), (8000, comes("sdb", "other"))],
            vec!["sda"],
            8000,
        ),
        (
            "one that changes is tried again",
            own,
            vec![(50, comes("sda", "bad")), (1000, Comes(Box::new(Device { size: 2 << 30, ..device("sda", "bad") })))],
            vec!["sda", "sda"],
            6000,
        ),
        ("a device that chatters is no quiet bus", own, chatter.collect(), vec!["sda"], 30_000),
        ("a key ends the wait", OTHER, vec![(50, comes("sda", "bad")), (7000, Key)], vec!["sda"], 7000),
        (
            "and not before what is there had its turn",
            "root=live:LABEL=bad rd.live.medium=UUID=uuid-sdb rd.retry=30",
            vec![(50, comes("sda", "bad")), (1000, Key)],
            vec!["sda"],
            1000,
        ),
    ] {
        ends(what, kargs, &events, &tried, (end, Code::ImageDamaged));
    }
}

#[test]
fn after_a_rejection_the_right_one_may_come_until_the_deadline() {
    let named =
        |name: &str, label: &str| Comes(Box::new(Device { part_label: Some("x".to_owned()), ..device(name, label) }));
    for (kargs, at) in [
        ("root=live:PARTLABEL=x rd.retry=30", 25_000),
        ("root=live:PARTLABEL=x rd.live.medium=UUID=uuid-sdb rd.retry=30", 25_000),
        // The loader's own is bad: nobody waits longer than he waits for the bus.
        ("root=live:PARTLABEL=x rd.live.medium=UUID=uuid-sda rd.retry=30", 4500),
    ] {
        let events = [(50, named("sda", "bad")), (at, named("sdb", "good"))];
        let (tried, end) = searched(kargs, &events);
        let names: Vec<_> = tried.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!((names.as_slice(), end.is_ok()), (["sda", "sdb"].as_slice(), true), "{kargs}: {tried:?}");
    }
}

/// The loader's own is bad, and an internal disk is beside it: nobody waits until that may be looked into for the mark.
#[test]
fn a_mark_is_looked_for_at_once_where_the_loaders_own_is_unusable() {
    let kargs = "root=live:LABEL=bad rd.live.medium=UUID=uuid-sda,ID=0123456789abcdef rd.retry=60";
    let events = [(10, comes("nvme0n1p1", "empty")), (50, comes("sda", "bad"))];
    let (tried, end) = searched(kargs, &events);
    let names: Vec<_> = tried.iter().map(|(at, name)| (name.as_str(), *at < 1000)).collect();
    assert_eq!(names, [("sda", true), ("nvme0n1p1", true)]);
    let (at, stop) = end.unwrap_err();
    assert_eq!((stop.code, (5000..5400).contains(&at)), (Code::ImageDamaged, true), "{at}");
}

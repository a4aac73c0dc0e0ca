//! Each rule of the waits for a place for changes, with a clock that is no clock.

use super::*;
use crate::config::interpret_text;
use crate::facts::Pending;
use crate::format::Kind;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn device(name: &str, kind: Option<Kind>, label: &str) -> Device {
    let superblock = kind.map(|kind| Superblock { label: Some(label.to_owned()), ..Superblock::new(kind) });
    Device { name: name.into(), node: Path::new("/dev").join(name), size: 1 << 30, superblock, ..Device::default() }
}

/// What happens to what is known, and when (ms).
type Event<'a> = (u64, &'a dyn Fn(&mut View));
type Events<'a> = &'a [Event<'a>];

/// Asks again as the boot does, until there is an answer; also when (ms).
fn answer<T>(events: Events<'_>, next: impl Fn(&View) -> Next<T>) -> (u64, T) {
    let mut view = View::default();
    let mut events = events.iter().peekable();
    for _ in 0..100_000 {
        while let Some((_, happens)) = events.next_if(|(at, _)| ms(*at) <= view.now) {
            view.last_news = view.now;
            happens(&mut view);
        }
        match next(&view) {
            Next::Known(answer) => return (u64::try_from(view.now.as_millis()).unwrap(), answer),
            Next::Wait(until) => {
                assert!(until > view.now, "waits for what is past: {view:?}");
                view.now = events.peek().map_or(until, |(at, _)| until.min(ms(*at)));
            }
        }
    }
    panic!("it never ends");
}

/// The name of the device, or of what became of it.
fn course(kargs: &str, may_make: bool, events: Events<'_>) -> (u64, String) {
    let (config, _) = interpret_text(&format!("root=live:LABEL=x {kargs}"));
    let selector = Selector::Label("P".into());
    let course = Course::new(&config, &selector, may_make);
    let (at, answer) = answer(events, |view| course.next(view, |node| node == Path::new("/dev/loop9")));
    let what = match answer {
        Ok(Some(device)) => device.name,
        Ok(None) => "made".into(),
        Err(Obstacle::NotThere { waited_s, can_be_made, .. }) => format!("not there, {waited_s} s, {can_be_made}"),
        Err(Obstacle::Ambiguous { nodes: [one, other], .. }) => format!("{} or {}", one.display(), other.display()),
        Err(other) => panic!("{other:?}"),
    };
    (at, what)
}

/// field.md G.
#[test]
fn a_btrfs_over_several_devices_is_one_place() {
    let ext4 = |name: &'static str| move |view: &mut View| view.devices.push(device(name, Some(Kind::Ext4), "P"));
    let member = |name: &'static str| {
        move |view: &mut View| {
            let mut device = device(name, Some(Kind::Btrfs), "P");
            let found = device.superblock.as_mut().unwrap();
            (found.uuid, found.devices) = (Some("ab-cd".to_owned()), Some(2));
            view.devices.push(device);
        }
    };
    for (what, events, expected) in [
        (
            "a btrfs over two devices is one place",
            &[(0, &member("sda") as _), (0, &member("sdb") as _)][..],
            (0, "sda"),
        ),
        (
            "which is waited for until both are there",
            &[(0, &member("sda") as _), (7000, &member("sdb") as _)],
            (7000, "sda"),
        ),
        ("and taken as it is after a while", &[(0, &member("sda") as _)], (10_000, "sda")),
        (
            "one of it and another place of that name are a guess",
            &[(0, &member("sda") as _), (0, &member("sdb") as _), (0, &ext4("sdc1") as _)],
            (100, "/dev/sda or /dev/sdb"),
        ),
    ] {
        assert_eq!(course("", true, events), (expected.0, expected.1.to_owned()), "{what}");
    }
}

#[test]
fn a_named_place_is_waited_for() {
    let ext4 = |name: &'static str| move |view: &mut View| view.devices.push(device(name, Some(Kind::Ext4), "P"));
    let asked = |view: &mut View| view.pending.push(Pending { name: "sdz".into(), ..Pending::default() });
    let udev = |view: &mut View| view.udev = true;
    let nothing = |_: &mut View| {};
    let auto = "rd.overlay=LABEL=P rd.live.autooverlay=ext4";
    let chatter: Vec<Event<'_>> = (0..3000).map(|at| (at * 50, &nothing as _)).collect();
    for (what, kargs, may_make, events, expected) in [
        ("one that is there is used at once", "", true, &[(0, &ext4("sda1") as _)][..], (0, "sda1")),
        ("one that comes, too", "", true, &[(4000, &ext4("sda1") as _)], (4000, "sda1")),
        (
            "two are a guess",
            "",
            true,
            &[(0, &ext4("sda1") as _), (0, &ext4("sdb1") as _)],
            (100, "/dev/sda1 or /dev/sdb1"),
        ),
        (
            "the medium in its own file is none",
            "",
            true,
            &[(0, &ext4("loop9") as _)],
            (10_000, "not there, 10 s, true"),
        ),
        ("ten seconds of silence are enough", "", true, &[(500, &nothing as _)], (10_500, "not there, 10 s, true")),
        ("no medium, nothing can be made", auto, false, &[], (10_000, "not there, 10 s, false")),
        ("three, where it is made then", auto, true, &[(500, &nothing as _)], (3500, "made")),
        ("a device that does not answer has its ten", auto, true, &[(0, &asked as _)], (10_000, "made")),
        ("udev has ten as well", "", true, &[(0, &udev as _)], (10_000, "not there, 10 s, true")),
        ("chatter ends with the deadline", "rd.retry=30", true, &chatter, (30_000, "not there, 0 s, true")),
        ("and where it is made then", &format!("{auto} rd.retry=30"), true, &chatter, (30_000, "made")),
    ] {
        let (at, found) = course(kargs, may_make, events);
        assert_eq!(found, expected.1, "{what}: {at}");
        assert!((expected.0..=expected.0 + 100).contains(&at), "{what}: {at}");
    }
}

#[test]
fn what_would_be_replaced_is_not_before_all_others_are_seen() {
    let blank =
        |view: &mut View| view.devices.push(Device { part_label: Some("P".into()), ..device("sda1", None, "") });
    let asked = |view: &mut View| view.pending.push(Pending { name: "sdb1".into(), ..Pending::default() });
    let second = |view: &mut View| {
        view.pending.clear();
        view.devices.push(Device { part_label: Some("P".into()), ..device("sdb1", Some(Kind::Ext4), "x") });
    };
    let (config, _) = interpret_text("root=live:LABEL=x rd.overlay=PARTLABEL=P");
    let selector = Selector::PartLabel("P".into());
    let course = Course::new(&config, &selector, false);
    let ask = |events: Events<'_>| answer(events, |view| course.next(view, |_| false));
    assert!(matches!(ask(&[(0, &blank)]), (100, Ok(Some(device))) if device.name == "sda1"));
    let (at, found) = ask(&[(0, &blank), (0, &asked), (700, &second)]);
    assert!(matches!(&found, Err(Obstacle::Ambiguous { .. })) && (800..=900).contains(&at), "{at} {found:?}");
    let (config, _) = interpret_text("root=live:LABEL=x rd.overlay.crypt=PARTLABEL=P,mkfs=force");
    let forced = Course::new(&config, &selector, false);
    let full = |view: &mut View| {
        view.devices.push(Device { part_label: Some("P".into()), ..device("sda1", Some(Kind::Ext4), "x") });
    };
    let (at, _) = answer(&[(0, &full)], |view| forced.next(view, |_| false));
    assert!((100..=200).contains(&at), "{at}: what is wiped is not wiped before all others are seen");
}

#[test]
fn a_system_that_sleeps_may_come_until_all_have_answered() {
    let asleep = |view: &mut View| {
        view.pending.clear();
        view.devices.push(device("sda2", Some(Kind::Hibernation), ""));
    };
    let asked = |name: &'static str| {
        move |view: &mut View| view.pending.push(Pending { name: name.into(), ..Pending::default() })
    };
    let busy = |view: &mut View| view.drivers.busy = true;
    let stuck = |view: &mut View| {
        view.drivers.busy = false;
        view.drivers.silent = vec!["ahci".into()];
    };
    let udev = |view: &mut View| view.udev = true;
    let nothing = |_: &mut View| {};
    let chatter: Vec<Event<'_>> = (0..3000).map(|at| (at * 50, &nothing as _)).collect();
    for (what, events, expected) in [
        ("nobody", &[][..], (100, "awake")),
        ("one that is there", &[(0, &asleep as _)], (100, "hibernated")),
        ("one that answers late", &[(0, &asked("sda2") as _), (6000, &asleep as _)], (6100, "hibernated")),
        ("a disk that does not answer may hold one", &[(0, &asked("sda") as _)], (10_000, "/dev/sda")),
        ("a drive for discs holds none", &[(0, &asked("sr0") as _)], (10_000, "awake")),
        ("a driver is waited for", &[(0, &busy as _), (5000, &stuck as _)], (5100, "what the driver ahci looks for")),
        ("udev at work is waited for, ten seconds", &[(0, &udev as _)], (10_000, "awake")),
        ("no longer than the deadline", &chatter, (20_000, "awake")),
    ] {
        let (at, found) = answer(events, |view| awake(view, ms(20_000), Path::new("/dev/sdb1")));
        let found = match found {
            Ok(()) => "awake".to_owned(),
            Err(InUse::Hibernated { .. }) => "hibernated".to_owned(),
            Err(InUse::Silent { what, .. }) => what,
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(found, expected.1, "{what}: {at}");
        assert!((expected.0..=expected.0 + 100).contains(&at), "{what}: {at}");
    }
}

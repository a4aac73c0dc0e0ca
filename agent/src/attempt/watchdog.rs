//! Sees that an attempt goes on: a person who waits is told what is being waited for, the supervisor that all is well, or that
//! nothing has moved for too long.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::gettid;

use super::message::{Avoided, Hang, Message, NO_PROGRESS};
use super::sleep::{Sleep, Stillness, answered, answered_of, sleep_of};
use crate::env::Env;
use crate::kmsg;
use crate::silence::{FIRST_WORD, NEXT_WORD, still_at_it};

/// How often is looked.
const LOOK: Duration = Duration::from_secs(1);
/// How many times as long a thread may go on without a wait that does not wait for a device: it computes, or waits in another way.
const OTHERWISE: u32 = 10;
/// How long a device may take for what comes next when it has not answered for [`NO_PROGRESS`] already.
const SECOND: Duration = Duration::from_secs(5);

/// A handle for those who work and those who wait; clones are the same watchdog. Without a thread ([`Watchdog::start`]) it sees
/// nothing, as in tests and in `explain`.
#[derive(Clone, Debug, Default)]
pub struct Watchdog(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What is being done, innermost last.
    doing: Vec<Work>,
    /// Waits with limits of their own.
    waiting: u32,
    /// Questions to a person.
    asking: u32,
    /// When a person was last told something about what is being done.
    spoke: Option<Instant>,
    /// Of the thread that works.
    still: Stillness,
    acquired: bool,
    /// There is nothing more to watch.
    ended: bool,
}

#[derive(Clone, Debug)]
struct Work {
    what: String,
    since: Instant,
    /// A program for it has waited in vain for as long as a device may take.
    unanswered: bool,
}

/// What one look has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    /// To be told.
    words: Option<String>,
    /// How long nothing has moved.
    still: Duration,
    /// A program has waited in vain before.
    unanswered: bool,
}

/// What a guard ends.
#[derive(Clone, Copy, Debug)]
enum Guarded {
    Doing,
    Waiting,
    Asking,
}

/// Lasts as long as what it was made for.
#[derive(Debug)]
pub struct Guard {
    watchdog: Watchdog,
    kind: Guarded,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.watchdog.lock();
        match self.kind {
            Guarded::Doing => drop(state.doing.pop()),
            Guarded::Waiting => state.waiting -= 1,
            Guarded::Asking => state.asking -= 1,
        }
        // What was waited for has come: a wait that follows is another one.
        state.still.forget();
    }
}

impl Watchdog {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guard(&self, kind: Guarded, enter: impl FnOnce(&mut State)) -> Guard {
        enter(&mut self.lock());
        Guard { watchdog: self.clone(), kind }
    }

    /// Something begins that may take longer than a person waits without a word.
    pub fn doing(&self, what: impl Into<String>) -> Guard {
        let work = Work { what: what.into(), since: Instant::now(), unanswered: false };
        self.guard(Guarded::Doing, |state| state.doing.push(work))
    }

    /// Does something that may take longer than a person waits without a word.
    pub fn telling<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        let _doing = self.doing(what);
        work()
    }

    /// A program was given up because a device did not answer it. Until the end of what is being done, nobody waits for that as long again:
    /// who closes the device after the program does.
    pub fn unanswered(&self) {
        // That of the program, and what it is a part of.
        self.lock().doing.iter_mut().rev().take(2).for_each(|work| work.unanswered = true);
    }

    /// A wait with a limit of its own, which is no hang however long it takes.
    pub fn waiting(&self) -> Guard {
        self.guard(Guarded::Waiting, |state| state.waiting += 1)
    }

    /// A question to a person: nobody talks into that.
    pub fn asking(&self) -> Guard {
        self.guard(Guarded::Asking, |state| state.asking += 1)
    }

    /// A person was told something, so there is no silence.
    pub fn said(&self) {
        self.lock().spoke = Some(Instant::now());
    }

    /// From now on what hangs may be the place for changes alone.
    pub fn acquired(&self, acquired: bool) {
        self.lock().acquired = acquired;
    }

    /// The work is done.
    pub(super) fn end(&self) {
        self.lock().ended = true;
    }

    /// Watches the calling thread until the end of this process. `send` reaches the supervisor; after [`Message::Hangs`] the
    /// process ends, as far as the kernel lets it.
    pub(super) fn start(&self, env: &Env, send: impl Fn(&Message) + Send + 'static) {
        let (watchdog, env) = (self.clone(), env.clone());
        let task = Path::new("/proc/self/task").join(gettid().as_raw_nonzero().to_string());
        thread::spawn(move || {
            let mut disks = Disks::default();
            loop {
                thread::sleep(LOOK);
                let now = Instant::now();
                if watchdog.lock().ended {
                    return;
                }
                let sleep = sleep_of(&task);
                let found = watchdog.lock().look(now, sleep, answered(&env.path("sys/class/block")));
                if found.still < LOOK {
                    // Whatever hangs later had answered until now.
                    disks = Disks::read(&env);
                }
                if let Some(words) = &found.words {
                    kmsg::tell(&env, words);
                }
                if found.still >= patience(sleep, found.unanswered) {
                    let state = watchdog.lock();
                    let devices = disks.silent(&Disks::read(&env));
                    let before = if found.unanswered { NO_PROGRESS } else { Duration::ZERO };
                    send(&Message::Hangs(state.hang(before + found.still, devices)));
                    std::process::exit(1);
                }
                send(&Message::Alive);
            }
        });
    }
}

/// How long nothing may move.
fn patience(sleep: Option<Sleep>, unanswered: bool) -> Duration {
    match sleep.is_some_and(|sleep| sleep.uninterruptible) {
        true if unanswered => SECOND,
        true => NO_PROGRESS,
        false => NO_PROGRESS * OTHERWISE,
    }
}

impl State {
    /// `sleep` is that of the thread that works, if the kernel tells.
    fn look(&mut self, now: Instant, sleep: Option<Sleep>, answered: u64) -> Found {
        let still = self.still.of(sleep, answered, now);
        let still = if self.waiting > 0 || self.asking > 0 { Duration::ZERO } else { still };
        let unanswered = self.doing.last().is_some_and(|work| work.unanswered);
        Found { words: self.words(now), still, unanswered }
    }

    fn words(&mut self, now: Instant) -> Option<String> {
        let work = self.doing.last().filter(|_| self.asking == 0)?;
        let taken = now.duration_since(work.since);
        let due = match self.spoke.filter(|spoke| *spoke >= work.since) {
            Some(spoke) => now.duration_since(spoke) >= NEXT_WORD,
            None => taken >= FIRST_WORD,
        };
        if !due {
            return None;
        }
        self.spoke = Some(now);
        Some(still_at_it(&work.what, taken))
    }

    fn hang(&self, still: Duration, devices: Vec<Avoided>) -> Hang {
        let what = self.doing.last().map_or_else(|| "booting".to_owned(), |work| work.what.clone());
        Hang { what, seconds: still.as_secs(), devices, acquired: self.acquired }
    }
}

/// Requests of each disk, from `/sys/class/block/*/stat` (`Documentation/block/stat.rst`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Disks(Vec<(String, Requests)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Requests {
    answered: u64,
    unanswered: u64,
    sequence: Option<u64>,
}

impl Disks {
    fn read(env: &Env) -> Self {
        let Ok(entries) = std::fs::read_dir(env.path("sys/class/block")) else { return Self::default() };
        let disk = |dir: &Path| {
            // Layers hang with what lies below them, which is what a person can unplug.
            let real = dir.join("device").exists() && !dir.join("partition").exists();
            let text = |file: &str| std::fs::read_to_string(dir.join(file)).ok().filter(|_| real);
            let stat = text("stat")?;
            let unanswered = stat.split_whitespace().nth(8)?.parse().ok()?;
            let sequence = text("diskseq").and_then(|number| number.trim().parse().ok());
            Some(Requests { answered: answered_of(&stat), unanswered, sequence })
        };
        let known = |entry: std::fs::DirEntry| Some((entry.file_name().into_string().ok()?, disk(&entry.path())?));
        Self(entries.flatten().filter_map(known).collect())
    }

    /// Disks that have not answered anything since then, and should have.
    fn silent(&self, now: &Self) -> Vec<Avoided> {
        let same = |name: &str, requests: &Requests| {
            let before = self.0.iter().find(|(known, _)| known == name);
            before.is_none_or(|(_, before)| before.answered == requests.answered)
        };
        let silent = now.0.iter().filter(|(name, requests)| requests.unanswered > 0 && same(name, requests));
        silent.map(|(name, requests)| Avoided { name: name.clone(), sequence: requests.sequence }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds since the beginning, the count of waits, what is told, and how long nothing has moved.
    type Row = (u64, u64, Option<&'static str>, u64);

    fn looks(watchdog: &Watchdog, begin: Instant, rows: &[Row]) {
        for (at, waits, words, still) in rows {
            // What was begun in the test began a little later.
            let now = begin + Duration::from_secs(*at) + Duration::from_millis(200);
            let sleep = Sleep { uninterruptible: true, waits: *waits };
            // Each wait that ends is an answer here.
            let found = watchdog.lock().look(now, Some(sleep), *waits);
            assert_eq!((found.words.as_deref(), found.still.as_secs()), (*words, *still), "after {at} s");
        }
    }

    #[test]
    fn who_waits_is_told_and_what_does_not_move_is_counted() {
        let watchdog = Watchdog::default();
        let begin = Instant::now();
        looks(&watchdog, begin, &[(1, 1, None, 0), (9, 1, None, 8)]);
        let outer = watchdog.doing("booting");
        let inner = watchdog.doing("mounting /dev/sr0");
        looks(
            &watchdog,
            begin,
            &[
                (2, 5, None, 0),
                (3, 5, Some("mounting /dev/sr0: still at it after 3 s"), 1),
                (7, 5, None, 5),
                (8, 5, Some("mounting /dev/sr0: still at it after 8 s"), 6),
                // One answer of the device, and all begins anew; not the words.
                (9, 6, None, 0),
                (13, 6, Some("mounting /dev/sr0: still at it after 13 s"), 4),
                (69, 6, Some("mounting /dev/sr0: still at it after 69 s"), 60),
            ],
        );
        assert_eq!(watchdog.lock().hang(Duration::from_secs(60), Vec::new()).what, "mounting /dev/sr0");
        drop(inner);
        // The outer one has been told of by the inner one.
        looks(&watchdog, begin, &[(70, 6, None, 0), (74, 6, Some("booting: still at it after 74 s"), 4)]);
        drop(outer);
        looks(&watchdog, begin, &[(200, 7, None, 0)]);
    }

    #[test]
    fn who_computes_may_take_longer_than_who_waits_for_a_device() {
        let sleep = |uninterruptible| Some(Sleep { uninterruptible, waits: 7 });
        assert_eq!(patience(sleep(true), false), NO_PROGRESS);
        for unanswered in [false, true] {
            assert!(patience(sleep(false), unanswered) > NO_PROGRESS && patience(None, unanswered) > NO_PROGRESS);
        }
    }

    #[test]
    fn f10_a_device_that_has_not_answered_a_program_gets_no_second_minute() {
        let watchdog = Watchdog::default();
        let unanswered = || watchdog.lock().look(Instant::now(), None, 0).unanswered;
        let outer = watchdog.doing("check cow ext4");
        let inner = watchdog.doing("checking the area on /dev/sda");
        assert!(!unanswered());
        watchdog.unanswered();
        assert!(unanswered());
        drop(inner);
        assert!(unanswered(), "who started the program closes the device");
        let after = watchdog.doing("taking it away");
        assert!(!unanswered(), "what begins then may take its own time");
        drop((after, outer));
        let _next = watchdog.doing("mounting /dev/sdb");
        assert!(!unanswered());
        let asleep = Some(Sleep { uninterruptible: true, waits: 1 });
        assert!(patience(asleep, true) < patience(asleep, false));
    }

    #[test]
    fn a_wait_with_a_limit_is_no_hang_and_nobody_talks_into_a_question() {
        let watchdog = Watchdog::default();
        let begin = Instant::now();
        let _doing = watchdog.doing("looking for the medium");
        let waiting = watchdog.waiting();
        looks(
            &watchdog,
            begin,
            &[(1, 1, None, 0), (100, 1, Some("looking for the medium: still at it after 100 s"), 0)],
        );
        // Waits come and go, the silence stays one.
        drop(waiting);
        let asking = watchdog.asking();
        looks(&watchdog, begin, &[(101, 1, None, 0), (300, 1, None, 0)]);
        drop(asking);
        looks(&watchdog, begin, &[(301, 1, Some("looking for the medium: still at it after 301 s"), 0)]);
        watchdog.said();
        looks(
            &watchdog,
            Instant::now(),
            &[(3, 2, None, 0), (6, 2, Some("looking for the medium: still at it after 6 s"), 3)],
        );
    }

    #[test]
    fn a_disk_is_silent_that_has_requests_and_answers_none() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        let disk = |name: &str, file: &str, text: &str| {
            let path = env.path("sys/class/block").join(name).join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let stat = |reads: u64, unanswered: u64| format!("{reads} 0 0 0 2 0 0 0 {unanswered} 0 0 0 0 0 0 0 0\n");
        for name in ["sda", "sdb", "sdc", "sda1", "loop0"] {
            disk(name, "stat", &stat(10, 1));
            disk(name, "diskseq", "7\n");
        }
        ["sda", "sdb", "sdc", "sda1"].iter().for_each(|name| disk(name, "device/model", ""));
        disk("sda1", "partition", "1\n");
        let before = Disks::read(&env);
        let mut names: Vec<_> = before.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["sda", "sdb", "sdc"]);
        disk("sdb", "stat", &stat(11, 1));
        disk("sdc", "stat", &stat(10, 0));
        let silent = before.silent(&Disks::read(&env));
        assert_eq!(silent, [Avoided { name: "sda".into(), sequence: Some(7) }]);
    }
}

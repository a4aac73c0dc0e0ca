use super::*;

/// An error for tests: its verdict and a name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bad(Verdict, &'static str);

impl Judged for Bad {
    fn verdict(&self) -> Verdict {
        self.0
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }
}

const REFUSED: Bad = Bad(Verdict::Again(Whose::Servers), "10.0.0.1:80: connection refused");
const NO_ROUTE: Bad = Bad(Verdict::Again(Whose::Ours), "no route to the host");
const DENIED: Bad = Bad(Verdict::Final, "401 Unauthorized");
const GONE: Bad = Bad(Verdict::Missing, "404 Not Found");

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn course(sources: &[&str], patience: u64) -> Course<Bad> {
    let sources = sources.iter().map(|source| (*source).to_owned()).collect();
    let schedule = Schedule { spread: Duration::ZERO };
    Course::new(sources, Duration::from_secs(patience), schedule, Jitter::new(1), Duration::ZERO)
}

/// Lets the clock run; the answer of each source is a function of its number and the time. Returns what was asked when, in ms.
fn run(course: &mut Course<Bad>, answer: impl Fn(usize, u64) -> Option<Bad>) -> (Vec<(u64, usize)>, u64) {
    let mut now = Duration::ZERO;
    let mut asked = Vec::new();
    loop {
        let at = now.as_millis() as u64;
        match course.next(now) {
            Next::GiveUp => return (asked, at),
            Next::Wait(until) => {
                assert!(until > now, "a wait that does not end");
                now = until;
            }
            Next::Ask(source) => {
                asked.push((at, source));
                assert!(asked.len() < 10_000, "asked without end");
                match answer(source, at) {
                    Some(error) => course.failed(now, source, error),
                    None => return (asked, at),
                }
            }
        }
    }
}

#[test]
fn the_first_try_is_immediate_and_retries_follow_the_schedule() {
    let mut course = course(&["u"], 10);
    let (asked, end) = run(&mut course, |_, _| Some(NO_ROUTE));
    let times: Vec<u64> = asked.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 0, 200, 400, 600, 1600, 2600, 3600, 4600, 5600, 6600, 7600, 8600, 9600]);
    assert_eq!(end, 10_000);
    let failure = course.failure(ms(end)).unwrap();
    assert_eq!(failure.why, GaveUp::NoProgress(Duration::from_secs(10)));
    assert_eq!(failure.to_string(), "u: no route to the host (14 tries in 10 s)");
}

#[test]
fn after_a_minute_the_pauses_are_longer() {
    let (asked, end) = run(&mut course(&["u"], 180), |_, _| Some(NO_ROUTE));
    assert_eq!(end, 180_000);
    let pauses: Vec<u64> = asked.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(pauses.iter().all(|pause| *pause <= 6250), "{pauses:?}");
    assert!(pauses[70..].iter().all(|pause| *pause >= 3750), "{pauses:?}");
    assert!((84..100).contains(&asked.len()), "{}", asked.len());
}

#[test]
fn each_second_failure_is_the_next_mirrors_turn() {
    let (asked, _) = run(&mut course(&["a", "b", "c"], 2), |_, _| Some(NO_ROUTE));
    let order: Vec<usize> = asked.iter().map(|(_, source)| *source).collect();
    assert_eq!(order, [0, 0, 1, 1, 2, 2]);
}

#[test]
fn a_final_answer_ends_one_source_not_the_others() {
    let mut course = course(&["a", "b"], 5);
    let (asked, end) = run(&mut course, |source, at| match source {
        0 => Some(DENIED),
        _ if at < 1000 => Some(REFUSED),
        _ => None,
    });
    assert_eq!(asked, [(0, 0), (0, 1), (200, 1), (400, 1), (600, 1), (1600, 1)]);
    assert_eq!(end, 1600);
}

#[test]
fn when_all_sources_ended_it_ends_at_once_and_the_first_one_counts() {
    let mut course = course(&["a", "b"], 180);
    let (asked, end) =
        run(&mut course, |source, _| Some(if source == 0 { DENIED } else { Bad(Verdict::Final, "405") }));
    assert_eq!((asked.len(), end), (2, 0));
    let failure = course.failure(ms(end)).unwrap();
    assert_eq!((failure.why, failure.cause), (GaveUp::NoSource, DENIED));
    assert_eq!(course.failure(ms(0)).unwrap().to_string(), "a: 401 Unauthorized (2 tries in 0 s)");
}

#[test]
fn a_missing_file_is_asked_for_each_10_s_for_a_minute() {
    let mut alone = course(&["a"], 180);
    let (asked, end) = run(&mut alone, |_, _| Some(GONE));
    assert_eq!(
        asked.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
        [0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000]
    );
    assert_eq!(end, 60_000);
    assert_eq!(alone.failure(ms(end)).unwrap().to_string(), "a: 404 Not Found (7 tries in 60 s)");

    // The mirror at once, and the first one again when its time has come.
    let (asked, _) = run(&mut course(&["a", "b"], 180), |source, at| match source {
        0 if at >= 10_000 => None,
        0 => Some(GONE),
        _ => Some(Bad(Verdict::Missing, "403 Forbidden")),
    });
    assert_eq!(asked, [(0, 0), (0, 1), (10_000, 0)]);
}

#[test]
fn a_short_deadline_ends_a_missing_file_too() {
    let mut course = course(&["a"], 25);
    let (asked, end) = run(&mut course, |_, _| Some(GONE));
    assert_eq!((asked.len(), end), (3, 25_000));
    assert_eq!(course.failure(ms(end)).unwrap().cause, GONE);
}

#[test]
fn a_server_is_asked_again_when_it_says() {
    let busy = Bad(Verdict::After(Duration::from_secs(7)), "503");
    let (asked, _) = run(&mut course(&["a"], 30), |_, at| (at < 14_000).then_some(busy.clone()));
    assert_eq!(asked, [(0, 0), (7000, 0), (14_000, 0)]);
    // Meanwhile the mirror.
    let (asked, _) = run(&mut course(&["a", "b"], 30), |source, _| (source == 0).then_some(busy.clone()));
    assert_eq!(asked, [(0, 0), (0, 1)]);
}

#[test]
fn the_first_cause_is_told_not_what_came_after_it() {
    let mut course = course(&["a", "b"], 3);
    let (_, end) = run(&mut course, |source, at| match (source, at) {
        (0, 0) => Some(NO_ROUTE),
        (0, _) => Some(Bad(Verdict::Again(Whose::Servers), "500")),
        _ => Some(REFUSED),
    });
    let failure = course.failure(ms(end)).unwrap();
    // Not "no route": that was the first second of the network. Not what the mirror said last.
    assert_eq!((failure.url.as_str(), failure.cause.1), ("b", REFUSED.1));
    let first = |answers: &[Bad]| {
        let mut course = self::course(&["a"], 3);
        for (at, answer) in answers.iter().enumerate() {
            course.failed(ms(at as u64), 0, answer.clone());
        }
        course.failure(ms(9)).unwrap().cause.1
    };
    assert_eq!(first(&[REFUSED, NO_ROUTE, Bad(Verdict::Again(Whose::Servers), "500")]), REFUSED.1);
    assert_eq!(first(&[NO_ROUTE, Bad(Verdict::Again(Whose::Servers), "500"), REFUSED]), "500");
}

/// A server that goes away in the middle of a file: not "reset", which was only the beginning of it.
#[test]
fn what_meets_the_next_try_says_more_than_the_break() {
    let mut course = course(&["a"], 3);
    course.moved(ms(10), 0);
    course.failed(ms(20), 0, Bad(Verdict::Again(Whose::Servers), "reset"));
    assert_eq!(course.cause().unwrap().1, "reset");
    course.failed(ms(30), 0, NO_ROUTE);
    course.failed(ms(40), 0, REFUSED);
    course.failed(ms(50), 0, Bad(Verdict::Again(Whose::Servers), "500"));
    assert_eq!(course.cause(), Some(&REFUSED));
}

#[test]
fn a_transfer_that_moves_never_ends_by_time() {
    let mut course = course(&["a", "b"], 5);
    let mut now = Duration::ZERO;
    // 24 h at a byte each 4 s, and each time the connection breaks.
    for _ in 0..21_600 {
        assert_eq!(course.next(now), Next::Ask(0), "{now:?}");
        now += Duration::from_secs(4);
        course.moved(now, 0);
        course.failed(now, 0, REFUSED);
    }
    assert_eq!(course.failure(now).unwrap().tries, 1);
    // The deadline counts from the last new byte.
    for _ in 0..4 {
        now += ms(1100);
        course.failed(now, 0, REFUSED);
    }
    assert_ne!(course.next(now), Next::GiveUp);
    now += ms(600);
    assert_eq!(course.next(now), Next::GiveUp);
}

#[test]
fn a_byte_forgives_what_was_before() {
    let mut course = course(&["a"], 100);
    for at in [0, 10, 20, 30, 40] {
        course.failed(Duration::from_secs(at), 0, GONE);
    }
    course.moved(Duration::from_secs(41), 0);
    assert_eq!(course.cause(), None);
    course.failed(Duration::from_secs(70), 0, GONE);
    assert_eq!(course.next(Duration::from_secs(70)), Next::Wait(Duration::from_secs(80)));
    assert_eq!(course.cause(), Some(&GONE));
}

#[test]
fn no_source_is_no_panic() {
    let mut course = course(&[], 1);
    assert_eq!(course.next(ms(0)), Next::GiveUp);
    course.failed(ms(0), 0, REFUSED);
    assert_eq!(course.failure(ms(0)), None);
}

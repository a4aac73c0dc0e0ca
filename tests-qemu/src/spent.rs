//! Processor time of the programs that the lab starts, and what it was spent on.

use std::cell::Cell;
use std::io::Read;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::machine::{processor_time, thread_time};

thread_local! {
    /// All programs that this thread has waited for.
    static PROGRAMS: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// The part of it that has its entry in an account.
    static ENTERED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// As [`Command::output`], with standard error of its own or, with `shown`, the lab's; the program's processor time counts for
/// this thread.
///
/// # Errors
/// The program cannot be started or waited for.
pub fn output(command: &mut Command, shown: bool) -> std::io::Result<Output> {
    let errors = if shown { Stdio::inherit() } else { Stdio::piped() };
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn()?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let read = std::thread::scope(|scope| {
        let other = scope.spawn(|| err.map_or(Ok(0), |mut err| err.read_to_end(&mut stderr)));
        let own = out.map_or(Ok(0), |mut out| out.read_to_end(&mut stdout));
        own.and(other.join().unwrap_or(Ok(0)))
    });
    // Until it is waited for, the kernel keeps its numbers.
    let pid = Pid::from_child(&child);
    let over = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
    let spent = over.map_or(Duration::ZERO, |_| processor_time(child.id()));
    PROGRAMS.set(PROGRAMS.get() + spent);
    let status = child.wait()?;
    read.map(|_| Output { status, stdout, stderr })
}

/// Between two looks at a program that has a limit.
const LOOK: Duration = Duration::from_millis(10);

/// Runs a program without input for at most `patience`, then it is killed; its processor time counts for this thread.
///
/// # Errors
/// The program cannot be started or waited for.
pub fn watched(command: &mut Command, patience: Duration) -> std::io::Result<ExitStatus> {
    let mut child = command.stdin(Stdio::null()).spawn()?;
    let (pid, begin) = (Pid::from_child(&child), Instant::now());
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    while waitid(WaitId::Pid(pid), options)?.is_none() {
        if begin.elapsed() > patience {
            child.kill()?;
            waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
            break;
        }
        std::thread::sleep(LOOK);
    }
    PROGRAMS.set(PROGRAMS.get() + processor_time(child.id()));
    child.wait()
}

/// All that this thread has cost so far, with the programs that it has waited for.
pub fn of_this_thread() -> Duration {
    PROGRAMS.get() + thread_time()
}

/// What was made in this run, with the processor time of the programs that made it.
#[derive(Debug, Default)]
pub struct Account {
    entries: Mutex<Vec<(String, Duration)>>,
}

impl Account {
    /// Enters what the programs of `act` cost, without what has an entry already: what it needed and had to be made before.
    pub fn enter<T>(&self, what: &str, act: impl FnOnce() -> T) -> T {
        let open = || PROGRAMS.get().saturating_sub(ENTERED.get());
        let before = open();
        let done = act();
        let own = open().saturating_sub(before);
        ENTERED.set(ENTERED.get() + own);
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push((what.to_owned(), own));
        done
    }

    /// All entries, the dearest first.
    pub fn entries(&self) -> Vec<(String, Duration)> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone();
        entries.sort_by_key(|(_, spent)| std::cmp::Reverse(*spent));
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shell counts for so many milliseconds of processor time.
    fn work(ms: u32) -> Output {
        let script = format!(
            "while :; do i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; \
             set -- $(cut -d' ' -f14 /proc/$$/stat); [ $(($1 * 10)) -lt {ms} ] || exit 0; done"
        );
        output(Command::new("sh").args(["-c", &script]), false).unwrap()
    }

    #[test]
    fn each_thing_has_its_own_time_and_nothing_counts_twice() {
        let account = Account::default();
        account.enter("outer", || {
            work(100);
            account.enter("inner", || work(400));
        });
        account.enter("nothing", || ());
        let entries = account.entries();
        let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["inner", "outer", "nothing"]);
        let ms: Vec<u128> = entries.iter().map(|(_, spent)| spent.as_millis()).collect();
        assert!((400..900).contains(&ms[0]) && (100..390).contains(&ms[1]) && ms[2] == 0, "{ms:?}");
    }

    #[test]
    fn a_program_that_does_not_end_is_ended_and_counts() {
        let begin = (Instant::now(), of_this_thread());
        let status =
            watched(Command::new("sh").args(["-c", "while :; do :; done"]), Duration::from_millis(400)).unwrap();
        assert!(!status.success() && begin.0.elapsed() < Duration::from_secs(20));
        assert!(of_this_thread() - begin.1 >= Duration::from_millis(20), "{:?}", of_this_thread() - begin.1);
        assert!(watched(&mut Command::new("true"), Duration::from_secs(20)).unwrap().success());
    }

    #[test]
    fn what_a_program_says_and_how_it_ends_is_passed_on() {
        let done = output(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), false).unwrap();
        assert_eq!((done.stdout, done.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
        assert_eq!(done.status.code(), Some(3));
        assert!(output(&mut Command::new("/no/such/program"), false).is_err());
    }
}

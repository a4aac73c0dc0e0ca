//! Asking a person for a passphrase: through systemd where it runs, so that plymouth and every console can answer, else
//! on the console itself.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::programs;
use super::secret::Secret;
use super::tool::{self, Invocation, ToolError};
use crate::console::{Console, SECRET_BYTES, Typed, Unseen};
use crate::env::Env;
use crate::plan::programs::Program;
use crate::terminal::printable;

/// systemd's own program for the question.
const ASKS: Program = Program { names: &["systemd-ask-password"], package: "systemd" };
/// What that program may take beyond the time a person has.
const MARGIN: Duration = Duration::from_secs(10);
/// As good as never.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86400);

/// A question for a passphrase.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// Names the volume to agents that remember answers.
    pub id: &'a str,
    /// What the person reads.
    pub text: &'a str,
    /// How long the person has; zero is for ever.
    pub limit: Duration,
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nothing was typed.
    #[error("no passphrase was given")]
    Nothing,
    /// systemd's program has none; its words.
    #[error("no passphrase was given ({0})")]
    Refused(String),
    /// The time was over.
    #[error("no passphrase was given within {} s", .0.as_secs())]
    Late(Duration),
    /// More was typed than is read.
    #[error("a passphrase has at most {SECRET_BYTES} bytes, none of a longer one was used")]
    TooLong,
    /// systemd's program could not ask.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// There is no console.
    #[error("no console to ask for a passphrase: {0}")]
    NoConsole(io::Error),
    /// It would show what is typed.
    #[error("the console cannot hide what is typed: {0}")]
    CannotHide(io::Error),
}

/// Asks. An empty answer is a refusal.
///
/// # Errors
/// Why there is no passphrase.
pub(super) fn ask(env: &Env, question: &Question<'_>) -> Result<Secret, AskError> {
    let answer = match systemd(env) {
        Some(program) => through_systemd(&program, question),
        None => on_console(env, question),
    }?;
    if answer.is_empty() { Err(AskError::Nothing) } else { Ok(answer) }
}

/// The program, where systemd runs to carry the question.
fn systemd(env: &Env) -> Option<PathBuf> {
    let booted = env.path("run/systemd/system").is_dir();
    booted.then(|| programs::find(env, None, &ASKS).ok()).flatten().map(|tool| tool.path)
}

/// From here until it is dropped nothing is shown of what is typed on the console, between questions and while a program works on
/// an answer. systemd's agents see to that themselves.
pub(super) fn unseen(env: &Env) -> Option<Unseen> {
    if systemd(env).is_some() {
        return None;
    }
    Console::open(env).ok()?.unseen()
}

fn through_systemd(program: &Path, question: &Question<'_>) -> Result<Secret, AskError> {
    let timeout = format!("--timeout={}", question.limit.as_secs());
    let id = format!("--id=rdlive:{}", question.id);
    let arguments = [timeout.as_str(), &id, "--icon=drive-harddisk", &printable(question.text)];
    let limit = if question.limit.is_zero() { FOREVER } else { question.limit + MARGIN };
    let output = tool::call(&Invocation { arguments: &arguments, ..Invocation::of(program) }, limit)?;
    if !output.status.success() {
        return Err(AskError::Refused(output.errors()));
    }
    let mut bytes = output.out;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Ok(Secret::new(std::mem::take(&mut *bytes)))
}

fn on_console(env: &Env, question: &Question<'_>) -> Result<Secret, AskError> {
    let mut console = Console::open(env).map_err(AskError::NoConsole)?;
    let until = (!question.limit.is_zero()).then(|| Instant::now() + question.limit);
    match console.secret(&format!("{} ", question.text), until) {
        Typed::Line(bytes) => Ok(Secret::new(bytes)),
        Typed::Nothing => Err(AskError::Nothing),
        Typed::TooLong => Err(AskError::TooLong),
        Typed::TimeOver => Err(AskError::Late(question.limit)),
        Typed::Failed(error) => Err(AskError::CannotHide(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{Read, Write};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::thread;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    const QUESTION: Question<'_> =
        Question { id: "lukscow", text: "Passphrase for sda3:", limit: Duration::from_secs(20) };

    /// A machine whose console is a terminal that the test holds the other end of. The terminal's own end stays open, as a
    /// kernel's console does.
    fn console() -> (tempfile::TempDir, File, File) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("dev")).unwrap();
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let own = File::options().read(true).write(true).open(&name).unwrap();
        symlink(&name, dir.path().join("dev/console")).unwrap();
        (dir, master.into(), own)
    }

    fn read_until(master: &mut File, text: &str) -> String {
        let mut seen = String::new();
        let mut bytes = [0; 256];
        while !seen.contains(text) {
            let length = master.read(&mut bytes).unwrap();
            seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
        seen
    }

    #[test]
    fn nothing_is_shown_of_what_is_typed_while_a_program_works_on_the_answer() {
        for hides in [true, false] {
            let (dir, mut master, own) = console();
            let env = Env::new(dir.path());
            let guard = hides.then(|| unseen(&env).unwrap());
            master.write_all(b"impatient\n").unwrap();
            // A terminal shows what is typed at once.
            thread::sleep(Duration::from_millis(50));
            drop(guard);
            Console::open(&env).unwrap().say("done");
            let shown = read_until(&mut master, "done");
            assert_eq!(shown.contains("impatient"), !hides, "{shown:?}");
            drop(own);
        }
    }

    #[test]
    fn what_is_typed_at_the_console_is_not_shown_and_what_was_typed_before_does_not_count() {
        let (dir, mut master, own) = console();
        master.write_all(b"too early\n").unwrap();
        let person = thread::spawn(move || {
            read_until(&mut master, "sda3:");
            master.write_all(b"correct hor se\n").unwrap();
            (read_until(&mut master, "\n"), master)
        });
        let answer = ask(&Env::new(dir.path()), &QUESTION).unwrap();
        assert_eq!(answer.bytes(), b"correct hor se");
        let (shown, mut master) = person.join().unwrap();
        assert!(!shown.contains("correct"), "{shown:?}");
        // The echo is on again.
        master.write_all(b"seen\n").unwrap();
        read_until(&mut master, "seen");
        drop(own);
    }

    #[test]
    fn t36_nothing_typed_and_nobody_there_are_refusals() {
        let long = format!("{}\n", "a".repeat(513));
        for (typed, expected) in [
            ("\n", "no passphrase was given"),
            ("\x04", "no passphrase was given"),
            ("half\x04\x04", "no passphrase was given"),
            ("abc", "within 1 s"),
            (long.as_str(), "at most 512 bytes"),
        ] {
            let (dir, mut master, own) = console();
            let text = typed.to_owned();
            let person = thread::spawn(move || {
                read_until(&mut master, "sda3:");
                master.write_all(text.as_bytes()).unwrap();
                master
            });
            let question = Question { limit: Duration::from_secs(1), ..QUESTION };
            let why = ask(&Env::new(dir.path()), &question).unwrap_err().to_string();
            assert!(why.contains(expected), "{typed:?}: {why}");
            drop((person.join(), own));
        }
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(ask(&Env::new(dir.path()), &QUESTION), Err(AskError::NoConsole(_))));
    }

    #[test]
    fn with_systemd_its_program_asks() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("usr/bin/systemd-ask-password");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::create_dir_all(dir.path().join("run/systemd/system")).unwrap();
        let env = Env::new(dir.path());
        for (script, expected) in [
            ("[ $1 = --timeout=20 ] && [ $2 = --id=rdlive:lukscow ] && echo \"its ${4%% *} \"", Ok("its Passphrase ")),
            // The label of a device is in the question.
            ("printf %s \"${4#* for }\"", Ok("a\\x0ab\\x1b[2J:")),
            ("echo Timer expired >&2; exit 1", Err("Timer expired")),
            ("echo", Err("no passphrase was given")),
        ] {
            fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            match (ask(&env, &Question { text: "Passphrase for a\nb\x1b[2J:", ..QUESTION }), expected) {
                (Ok(answer), Ok(text)) => assert_eq!(answer.bytes(), text.as_bytes(), "{script}"),
                (Err(why), Err(part)) => assert!(why.to_string().contains(part), "{script}: {why}"),
                (found, _) => panic!("{script}: {found:?}"),
            }
        }
    }
}

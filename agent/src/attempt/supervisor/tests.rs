use super::*;
use crate::config::Dialect;
use crate::plan::Points;

/// What comes of an attempt that is a shell script; `$0` is what it avoids.
fn attempted(script: &str) -> Result<Message, Trouble> {
    let env = Env::default();
    Supervisor::of(&env, Path::new("/no/sysroot"), Path::new("/bin/sh"), ["-c", script]).run()
}

#[test]
fn only_what_attempts_mount_is_taken_away() {
    let env = Env::new("/machine");
    let supervisor = Supervisor::of(&env, Path::new("/sysroot"), Path::new("/bin/sh"), [""; 0]);
    let points = |dialect| {
        let points = Points::new(dialect);
        [
            points.host,
            points.live,
            points.container,
            points.lower,
            points.area,
            points.persistent,
            points.named,
            points.persistent_image,
            points.key,
            Points::ordinary().named,
            Points::ordinary().lower,
        ]
    };
    for at in points(Dialect::Kiwi)
        .into_iter()
        .chain(points(Dialect::Dmsquash))
        .chain(["/sysroot".into(), "/sysroot/usr".into()])
    {
        assert!(supervisor.is_ours(&env.path(&at)), "{}", at.display());
        assert!(!supervisor.is_ours(&at), "{} of another machine", at.display());
    }
    for at in ["/", "/run", "/run/initramfs", "/run/credentials/x", "/run/media/stick", "/sysroot2", "/home", "/tmp"] {
        assert!(!supervisor.is_ours(&env.path(at)), "{at}");
    }
}

#[test]
fn the_last_word_of_an_attempt_counts_and_not_its_end() {
    let begin = Instant::now();
    for (script, expected) in [
        (
            "echo '\"alive\"'; echo '{\"built\":{\"init\":\"/bin/sh\"}}'",
            Message::Built { init: Some("/bin/sh".into()) },
        ),
        ("echo noise; echo '\"declined\"'", Message::Declined),
        // It is left behind, as one that cannot end.
        ("echo '\"declined\"'; trap '' TERM; while :; do sleep 1; done", Message::Declined),
        // A program of it holds the pipe.
        ("sleep 30 & echo '\"declined\"'", Message::Declined),
    ] {
        assert_eq!(attempted(script), Ok(expected), "{script}");
    }
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn what_goes_wrong_in_an_attempt_is_an_answer() {
    let stop = "{\"code\":\"RDL-010\",\"cause\":\"no\",\"wanted\":\"\",\"found\":[],\"advice\":\"\"}";
    for (script, code, words, reported) in [
        (format!("echo '{{\"stopped\":{stop}}}'"), Code::MediumNotFound, "no", true),
        ("exit 101".to_owned(), Code::Fault, "exit status: 101", false),
        ("kill -SEGV $$".to_owned(), Code::Fault, "signal: 11", false),
        (
            "echo '{\"fault\":{\"place\":\"boot.rs:7\",\"what\":\"index\"}}'; exit 1".to_owned(),
            Code::Fault,
            "boot.rs:7: index",
            false,
        ),
        ("head -c 3000000 /dev/zero; sleep 20".to_owned(), Code::Fault, "unknown way", false),
    ] {
        let trouble = attempted(&script).unwrap_err();
        assert_eq!((trouble.stop.code, trouble.reported), (code, reported), "{script}");
        assert!(trouble.stop.cause.contains(words), "{script}: {}", trouble.stop.cause);
    }
}

#[test]
fn after_a_hang_the_next_attempt_avoids_what_hung() {
    let hang = |devices: &str| {
        format!("{{\"hangs\":{{\"what\":\"mounting\",\"seconds\":60,\"devices\":[{devices}],\"acquired\":false}}}}")
    };
    let sda = "{\"name\":\"sda\",\"sequence\":3}";
    let script =
        format!("case $0 in *sda*) echo '\"declined\"';; *) echo '{}'; while :; do sleep 1; done;; esac", hang(sda));
    assert_eq!(attempted(&script), Ok(Message::Declined));
    // Nothing is known that could be avoided.
    let trouble = attempted(&format!("echo '{}'", hang(""))).unwrap_err();
    assert_eq!((trouble.stop.code, trouble.reported), (Code::Silent, false));
    assert!(trouble.stop.cause.contains("no progress for 60 s"), "{}", trouble.stop.cause);
    // Each time another one: there is an end to that.
    let trouble =
        attempted(&format!("n=$(echo \"$0\" | tr -cd , | wc -c); echo '{}' | sed s/sda/sd$n/", hang(sda))).unwrap_err();
    assert_eq!(trouble.stop.code, Code::Silent);
}

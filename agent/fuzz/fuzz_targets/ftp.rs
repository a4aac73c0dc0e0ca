//! What an FTP server says: the dialogue ends, and nothing that it says gets into what is sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive_fetch::Facts;
use rdlive_fetch::ftp::{Conversation, Next, Replies, Security, Wanted};

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let security = [Security::None, Security::Explicit, Security::Implicit][usize::from(first % 3)];
    let known = (first & 64 != 0).then(|| Facts { size: Some(1000), modified: None });
    let (path, user, password) = ("a/b.iso".into(), "me".into(), "secret".into());
    let wanted = Wanted { path, user, password, security, from: u64::from(first & 32) * 10, known };
    let peer = if first & 128 == 0 { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
    let mut talk = Conversation::new(wanted, peer).expect("it can be sent");
    let mut replies = Replies::default();
    let mut secret = security == Security::Implicit;
    for piece in rest.chunks(1 + usize::from(first >> 3)) {
        replies.take(piece);
        while let Ok(Some(reply)) = replies.reply() {
            assert!(!reply.text.chars().any(char::is_control));
            let mut next = match talk.replied(&reply) {
                Ok(next) => next,
                Err(_) => return,
            };
            loop {
                next = match next {
                    Next::Say(line) => {
                        assert!(secret || security == Security::None || line == "AUTH TLS");
                        assert!(!line.contains(['\r', '\n']));
                        break;
                    }
                    Next::Secure => {
                        secret = true;
                        talk.secured()
                    }
                    Next::Connect(port) => {
                        assert_ne!(port, 0);
                        talk.connected()
                    }
                    Next::Begin => talk.accepted(),
                    Next::Hear | Next::Receive { .. } => break,
                    Next::Done => return,
                };
            }
        }
    }
});

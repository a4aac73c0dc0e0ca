//! The same server as a source of a whole transfer: retries, resumption, mirrors, words.

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdlive_fetch::Output;
use rdlive_fetch::http::{Network, ResolveError, Setup};
use rdlive_fetch::transfer::{Fetched, Job, Offered, Place, Refusal, Stop, fetch};

use super::server::{Fault, Server, payload};

/// Names have no address here.
struct Loopback;

impl Network for Loopback {
    fn addresses(&self, _: &str) -> Result<Vec<IpAddr>, ResolveError> {
        Err(ResolveError("there is no server for names".into()))
    }
}

#[derive(Clone, Default)]
struct Image {
    bytes: Arc<Mutex<Vec<u8>>>,
    offers: Vec<Offered>,
    /// Of the payload, from before.
    kept: Range<u64>,
}

impl Place for Image {
    fn open(&mut self, offered: &Offered) -> Result<Box<dyn Output>, Refusal> {
        self.offers.push(offered.clone());
        self.bytes.lock().unwrap().clear();
        Ok(Box::new(self.clone()))
    }
}

impl Output for Image {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut all = self.bytes.lock().unwrap();
        if all.len() as u64 == self.kept.start && offset == self.kept.end {
            all.extend_from_slice(&payload(300_007)[self.kept.start as usize..self.kept.end as usize]);
        }
        assert_eq!(offset as usize, all.len());
        all.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn kept(&self) -> Range<u64> {
        self.kept.clone()
    }

    fn read_kept(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        bytes.copy_from_slice(&payload(300_007)[offset as usize..offset as usize + bytes.len()]);
        Ok(())
    }
}

fn get(servers: &[&Server], patience: u64) -> (Result<Fetched, Stop>, Image) {
    get_into(Image::default(), None, servers, patience)
}

fn get_into(
    mut place: Image,
    digest: Option<[u8; 32]>,
    servers: &[&Server],
    patience: u64,
) -> (Result<Fetched, Stop>, Image) {
    let url = |server: &&Server| format!("ftp://who:s%20ecret@{}/image/a%20b.iso", server.address).parse().unwrap();
    let mut job = Job::new(servers.iter().map(url).collect(), digest).unwrap();
    job.patience = Duration::from_secs(patience);
    let mut setup = Setup::new(Arc::new(Loopback));
    setup.limits.idle = Duration::from_secs(2);
    (fetch(&Arc::new(setup), &job, &mut place, |_| ()), place)
}

fn count(server: &Server, line: &str) -> usize {
    server.heard().iter().filter(|heard| *heard == line).count()
}

#[test]
fn an_image_comes_and_its_length_is_known_before() {
    let server = Server::start(&[Fault::Login("who", "s ecret")]);
    let (result, image) = get(&[&server], 20);
    let fetched = result.unwrap();
    assert!(*image.bytes.lock().unwrap() == payload(300_007));
    assert_eq!((fetched.length, image.offers[0].length, fetched.restarts), (300_007, Some(300_007), 0));
    assert_eq!(fetched.to_string(), format!("ftp://{}/image/a%20b.iso from 127.0.0.1: 300007 bytes", server.address));
}

#[test]
fn it_goes_on_where_it_broke() {
    for fault in [Fault::CutAt(200_000), Fault::CutAndClose(200_000), Fault::CutAndSay(200_000)] {
        let server = Server::start(&[fault]);
        let (result, image) = get(&[&server], 20);
        assert_eq!(result.unwrap().restarts, 0, "{fault:?}");
        assert!(*image.bytes.lock().unwrap() == payload(300_007), "{fault:?}");
        assert_eq!(count(&server, "REST 200000"), 1, "{fault:?}: {:?}", server.heard());
    }
}

#[test]
fn what_cannot_be_gone_on_with_is_begun_anew() {
    // The first bytes are too few to know what it is; the server cannot go on; the file is another one.
    for (faults, restarts, asked) in [
        (&[Fault::CutAt(9)][..], 0, 0),
        (&[Fault::CutAt(200_000), Fault::NoRest][..], 1, 1),
        (&[Fault::CutAt(200_000), Fault::Changes][..], 1, 0),
    ] {
        let server = Server::start(faults);
        let (result, image) = get(&[&server], 20);
        assert_eq!(result.unwrap().restarts, restarts, "{faults:?}");
        assert!(*image.bytes.lock().unwrap() == payload(300_007), "{faults:?}");
        assert_eq!(count(&server, "REST 200000"), asked, "{faults:?}");
    }
}

#[test]
fn a_mirror_takes_over() {
    let (first, second) = (Server::start(&[Fault::Login("who", "other")]), Server::start(&[]));
    let (result, image) = get(&[&first, &second], 20);
    assert!(result.unwrap().url.contains(&second.address.to_string()));
    assert!(*image.bytes.lock().unwrap() == payload(300_007));
}

#[test]
fn the_servers_words_are_told_and_the_password_is_not() {
    let began = Instant::now();
    for (faults, words, remedy) in [
        (&[Fault::Login("who", "other")][..], "logging in: the server says 530 Login", "check user and password"),
        (&[Fault::NoFile][..], "asking for the file: the server says 550 Failed to open file", "check the path"),
        (&[Fault::NotFtp][..], "SSH-2.0-OpenSSH", "check the port"),
    ] {
        let server = Server::start(faults);
        let (result, image) = get(&[&server], 3);
        let stop = result.unwrap_err();
        let text = stop.to_string();
        assert!(text.contains(words) && !text.contains("ecret") && !text.contains('\x1b'), "{faults:?}: {text}");
        let Stop::Source(failure) = stop else { panic!("{stop:?}") };
        assert!(failure.cause.remedy().unwrap().contains(remedy), "{faults:?}: {:?}", failure.cause.remedy());
        assert!(image.offers.is_empty(), "room was made for nothing");
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn what_is_there_is_left_out() {
    use sha2::{Digest, Sha256};
    let digest: [u8; 32] = Sha256::digest(payload(300_007)).into();
    for digest in [None, Some(digest)] {
        for (kept, asked) in [(250_000..270_000, "REST 270000"), (250_000..300_006, "REST 300006")] {
            let server = Server::start(&[]);
            let place = Image { kept, ..Image::default() };
            let (result, image) = get_into(place, digest, &[&server], 20);
            let fetched = result.unwrap();
            assert_eq!((fetched.length, fetched.restarts, fetched.verified), (300_007, 0, digest.is_some()));
            assert!(*image.bytes.lock().unwrap() == payload(300_007));
            assert_eq!(count(&server, asked), 1, "{:?}", server.heard());
        }
    }
}

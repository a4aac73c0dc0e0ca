//! Transfers of which a part is there already.

use std::ops::Range;

use super::*;

const LENGTH: usize = 6_000_001;
const KEPT: Range<u64> = 1_000_000..4_000_000;

/// An output in memory that has bytes from before.
#[derive(Clone)]
struct Half {
    bytes: Arc<Mutex<Vec<u8>>>,
    written: Arc<AtomicUsize>,
}

impl Half {
    fn of(data: &[u8]) -> Self {
        let mut bytes = vec![0; data.len()];
        let kept = KEPT.start as usize..KEPT.end as usize;
        bytes[kept.clone()].copy_from_slice(&data[kept]);
        Self { bytes: Arc::new(Mutex::new(bytes)), written: Arc::default() }
    }
}

impl Place for Half {
    fn open(&mut self, _: &Offered) -> Result<Box<dyn Output>, Refusal> {
        Ok(Box::new(self.clone()))
    }

    fn unpack(&mut self, _: Packing) -> Option<Box<dyn Unpack>> {
        Some(Box::new(Plain(0)))
    }
}

impl Output for Half {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut all = self.bytes.lock().unwrap();
        let end = offset as usize + bytes.len();
        let length = all.len().max(end);
        all.resize(length, 0);
        all[offset as usize..end].copy_from_slice(bytes);
        self.written.fetch_add(bytes.len(), Ordering::Relaxed);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn kept(&self) -> Range<u64> {
        KEPT
    }

    fn read_kept(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let all = self.bytes.lock().unwrap();
        bytes.copy_from_slice(&all[offset as usize..offset as usize + bytes.len()]);
        Ok(())
    }
}

fn fetched(server: &Server, digest: Option<[u8; 32]>, place: &mut Half) -> Result<Fetched, Stop> {
    let mut job = job(&[server.url("/i.iso")], 60);
    job.digest = digest;
    fetch(&Arc::new(patient()), &job, place, |_| ())
}

#[test]
fn what_is_there_does_not_come_again() {
    let data = image(LENGTH);
    let digest: [u8; 32] = Sha256::digest(&data).into();
    for digest in [None, Some(digest)] {
        let served = data.clone();
        let server = Server::new(move |request, peer| serve(request, peer, &served, "\"x\""));
        let mut place = Half::of(&data);
        let result = fetched(&server, digest, &mut place).unwrap();
        assert_eq!((result.length, result.verified), (LENGTH as u64, digest.is_some()));
        assert!(*place.bytes.lock().unwrap() == data);
        let came = LENGTH as u64 - (KEPT.end - KEPT.start);
        assert_eq!(place.written.load(Ordering::Relaxed) as u64, came);
        for (first, last) in server.requests().iter().filter_map(Request::range) {
            let asked = first as u64..last.unwrap() as u64 + 1;
            assert!(asked.end <= KEPT.start || asked.start >= KEPT.end, "{asked:?} was asked for");
        }
    }
}

/// The disk was written to by somebody else meanwhile.
#[test]
fn what_is_there_has_its_part_in_the_digest() {
    let data = image(LENGTH);
    let digest: [u8; 32] = Sha256::digest(&data).into();
    let served = data.clone();
    let server = Server::new(move |request, peer| serve(request, peer, &served, "\"x\""));
    let mut place = Half::of(&data);
    place.bytes.lock().unwrap()[3_999_999] ^= 1;
    assert!(matches!(fetched(&server, Some(digest), &mut place), Err(Stop::Digest { .. })));
}

#[test]
fn a_server_that_sends_the_whole_file_is_written_as_a_whole() {
    let data = image(LENGTH);
    let digest: [u8; 32] = Sha256::digest(&data).into();
    for digest in [None, Some(digest)] {
        let served = data.clone();
        let server = Server::new(move |_, peer| {
            peer.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes())?;
            peer.write_all(&served)?;
            Ok(true)
        });
        let mut place = Half::of(&vec![0; LENGTH]);
        fetched(&server, digest, &mut place).unwrap();
        assert!(*place.bytes.lock().unwrap() == data);
        assert_eq!(place.written.load(Ordering::Relaxed), LENGTH);
    }
}

/// Where the bytes come in another form, those that are there are not the ones that the server counts.
#[test]
fn what_is_packed_comes_as_a_whole() {
    let data = image(LENGTH);
    let mut served = b"\x28\xb5\x2f\xfd......".to_vec();
    served.extend_from_slice(&data);
    let digest: [u8; 32] = Sha256::digest(&served).into();
    let server = Server::new(move |request, peer| serve(request, peer, &served, "\"x\""));
    let mut place = Half::of(&vec![0; LENGTH]);
    fetched(&server, Some(digest), &mut place).unwrap();
    assert!(*place.bytes.lock().unwrap() == data);
}

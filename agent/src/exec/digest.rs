//! SHA-256 of a stream while it is copied, in a thread of its own: a copy waits for the medium, the digest for the
//! processor, and together they take as long as the slower of the two.

use std::io;
use std::sync::mpsc::{Receiver, SendError, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use sha2::{Digest, Sha256};

/// Buffers that may wait for the digest. More would only be memory.
const AHEAD: usize = 4;
const ZEROS: [u8; 4096] = [0; 4096];

enum Part {
    /// The first bytes of a buffer.
    Data(Vec<u8>, usize),
    /// So many zero bytes that were neither read nor written.
    Hole(u64),
}

/// A digest that grows beside a copy.
#[derive(Debug)]
pub struct Beside {
    parts: SyncSender<Part>,
    free: Receiver<Vec<u8>>,
    worker: JoinHandle<String>,
}

impl Beside {
    /// Starts the thread; `size` is the length of its buffers in bytes.
    ///
    /// # Errors
    /// The kernel's, when there can be no thread.
    pub fn start(size: usize) -> io::Result<Self> {
        let (parts, work) = sync_channel(AHEAD);
        let (done, free) = channel();
        for _ in 0..AHEAD {
            // The receiver is ours: this cannot fail.
            let _ = done.send(vec![0; size]);
        }
        let worker = thread::Builder::new().name("sha256".into()).spawn(move || {
            let mut hasher = Sha256::new();
            while let Ok(part) = work.recv() {
                match part {
                    Part::Data(buffer, length) => {
                        hasher.update(&buffer[..length]);
                        // Nobody takes it back at the end of the copy.
                        let _ = done.send(buffer);
                    }
                    Part::Hole(length) => zeros(&mut hasher, length),
                }
            }
            hex(&hasher.finalize())
        })?;
        Ok(Self { parts, free, worker })
    }

    /// Takes a buffer whose first `length` bytes come next, and gives a free one for it.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn exchange(&self, buffer: Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
        self.send(Part::Data(buffer, length))?;
        self.free.recv().map_err(|_| ended())
    }

    /// `length` zero bytes come next.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn hole(&self, length: u64) -> io::Result<()> {
        if length == 0 { Ok(()) } else { self.send(Part::Hole(length)) }
    }

    /// The digest in lower-case hex, once all parts have been seen.
    ///
    /// # Errors
    /// When the thread has ended before its time.
    pub fn finish(self) -> io::Result<String> {
        drop(self.parts);
        self.worker.join().map_err(|_| ended())
    }

    fn send(&self, part: Part) -> io::Result<()> {
        self.parts.send(part).map_err(|SendError(_)| ended())
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that computes the digest has ended")
}

fn zeros(hasher: &mut Sha256, mut length: u64) {
    while length > 0 {
        let now = usize::try_from(length).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        hasher.update(&ZEROS[..now]);
        length -= now as u64;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_fips_180_4_with_parts_and_holes() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        // A million zero bytes, from sha256sum.
        let million = "d29751f2649b32ff572b5e0a9f541ea660a50f94ff0beedfb0b692b924cc8025";
        let rows: &[(&[&str], u64, &str)] =
            &[(&[], 0, empty), (&["abc"], 0, abc), (&["a", "", "bc"], 0, abc), (&[], 1_000_000, million)];
        for (parts, hole, expected) in rows {
            let digest = Beside::start(8).unwrap();
            let mut buffer = vec![0; 8];
            for part in *parts {
                buffer[..part.len()].copy_from_slice(part.as_bytes());
                buffer = digest.exchange(buffer, part.len()).unwrap();
            }
            digest.hole(*hole).unwrap();
            assert_eq!(digest.finish().unwrap(), *expected, "{parts:?} and {hole} zeros");
        }
    }
}

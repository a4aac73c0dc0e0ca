//! A place that takes its time.

use super::*;

struct Slow;

impl Place for Slow {
    fn open(&mut self, _: &Offered) -> Result<Box<dyn Output>, Refusal> {
        Ok(Box::new(Self))
    }
}

impl Output for Slow {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let middle = 1 << 20;
        if (offset..offset + bytes.len() as u64).contains(&middle) {
            thread::sleep(secs(4.5));
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A silence that the disk makes is not the server's, and a server that is silent is not taken for a slow disk.
#[test]
fn what_waits_for_the_disk_is_told_from_a_silent_server() {
    let data = image(3_000_001);
    for slow in [true, false] {
        let served = data.clone();
        let server = Server::new(move |request, peer| {
            if !slow && request.range().is_some_and(|(first, _)| first > 0) {
                thread::sleep(secs(4.5));
            }
            serve(request, peer, &served, "\"x\"")
        });
        let stalls: Arc<Mutex<Vec<Stall>>> = Arc::default();
        let (seen, job) = (Arc::clone(&stalls), job(&[server.url("/i.iso")], 60));
        let report = move |progress: &Progress| seen.lock().unwrap().extend(progress.stall.clone());
        let mut place: Box<dyn Place> = if slow { Box::new(Slow) } else { Box::new(Memory::default()) };
        fetch(&Arc::new(patient()), &job, place.as_mut(), report).unwrap();
        let stalls = stalls.lock().unwrap();
        assert!(!stalls.is_empty() && stalls.iter().all(|stall| stall.writes == slow), "{slow}: {stalls:?}");
    }
}

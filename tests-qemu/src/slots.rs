//! So many of something at once: machines of QEMU, each of which keeps a processor busy.

use std::sync::{Condvar, Mutex, PoisonError};

/// Places that can be taken.
#[derive(Debug)]
pub struct Slots {
    free: Mutex<usize>,
    changed: Condvar,
}

/// A place, free again when this is dropped.
pub struct Taken<'a>(&'a Slots);

impl Slots {
    /// All of them are free.
    pub fn new(count: usize) -> Self {
        Self { free: Mutex::new(count.max(1)), changed: Condvar::new() }
    }

    /// One place more.
    pub fn add(&self) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_one();
    }

    /// Waits for a place.
    pub fn take(&self) -> Taken<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.changed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Taken(self)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_place_more_is_one_that_is_waited_for() {
        let slots = Slots::new(1);
        let first = slots.take();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| drop(slots.take()));
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!second.is_finished());
            slots.add();
            second.join().unwrap();
        });
        drop(first);
    }

    #[test]
    fn never_more_than_there_are_places_and_all_get_their_turn() {
        let slots = Slots::new(2);
        let (inside, most, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let taken = slots.take();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(taken);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((most.into_inner(), done.into_inner()), (2, 400));
    }
}

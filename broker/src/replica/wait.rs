//! Those who wait for a partition: produces for the watermark, fetches for records.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::Waker;

use futures::task::AtomicWaker;
use parking_lot::Mutex;

/// How the wait of one batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Not yet.
    Waiting = 0,
    /// The high watermark has passed it.
    Committed = 1,
    /// This broker leads no more; whether the batch stays is for the next leader to say.
    NotLeader = 2,
    /// The log directory failed before it was flushed.
    StorageFailed = 3,
}

impl Outcome {
    fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Waiting,
            1 => Self::Committed,
            2 => Self::NotLeader,
            _ => Self::StorageFailed,
        }
    }
}

/// An acks=all produce request: one place per batch that waits.
#[derive(Debug)]
pub struct ProduceWait {
    open: AtomicUsize,
    places: Box<[AtomicU8]>,
    waker: AtomicWaker,
}

impl ProduceWait {
    /// A wait with `places` batches at most. It holds one count of its own until [`ProduceWait::sealed`], so that it
    /// cannot be over while batches are still being appended.
    pub fn new(places: usize) -> Self {
        let places = (0..places).map(|_| AtomicU8::new(Outcome::Committed as u8)).collect();
        Self { open: AtomicUsize::new(1), places, waker: AtomicWaker::new() }
    }

    /// The batch at `place` has been appended and waits.
    pub fn begin(&self, place: usize) {
        self.places[place].store(Outcome::Waiting as u8, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// The wait of the batch at `place` is over. Wakes the request's connection after the last one.
    pub fn end(&self, place: usize, outcome: Outcome) {
        self.places[place].store(outcome as u8, Ordering::Release);
        self.release();
    }

    /// All batches have been appended. Returns whether none waits any more.
    pub fn sealed(&self) -> bool {
        self.release();
        self.is_over()
    }

    fn release(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waker.wake();
        }
    }

    /// Whether nothing waits any more.
    pub fn is_over(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    /// Has `waker` woken at the end.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// How the wait of the batch at `place` has ended; none while anything of the request still waits. What is read
    /// before it is known that all is over may be over the moment after.
    pub fn ended(&self, place: usize) -> Option<Outcome> {
        self.is_over().then(|| self.outcome(place))
    }

    /// How the wait of the batch at `place` stands.
    pub fn outcome(&self, place: usize) -> Outcome {
        Outcome::from_u8(self.places[place].load(Ordering::Acquire))
    }
}

/// A fetch that waits for records: partitions note themselves here when they have more.
#[derive(Debug, Default)]
pub struct FetchWait {
    moved: Mutex<Vec<usize>>,
    interrupted: AtomicBool,
    over: AtomicBool,
    waker: AtomicWaker,
}

impl FetchWait {
    /// The partition at `place` of the fetch has more, or an error to tell of.
    pub fn notify(&self, place: usize) {
        self.moved.lock().push(place);
        self.waker.wake();
    }

    /// A newer fetch takes its place: the answer is due now. False if it has been given already.
    pub fn interrupt(&self) -> bool {
        if self.over.load(Ordering::Acquire) {
            return false;
        }
        self.interrupted.store(true, Ordering::Release);
        self.waker.wake();
        true
    }

    /// Whether a newer fetch has taken its place.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// The answer has been given.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Has `waker` woken at the next change.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Takes the places that have changed.
    pub fn take_moved(&self) -> Vec<usize> {
        std::mem::take(&mut self.moved.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_produce_waits_for_each_of_its_batches() {
        let wait = ProduceWait::new(3);
        wait.begin(0);
        wait.begin(2);
        assert!(!wait.sealed());
        wait.end(2, Outcome::NotLeader);
        assert!(!wait.is_over());
        wait.end(0, Outcome::Committed);
        assert!(wait.is_over());
        let outcomes = [0, 1, 2].map(|place| wait.outcome(place));
        assert_eq!(outcomes, [Outcome::Committed, Outcome::Committed, Outcome::NotLeader]);
    }

    #[test]
    fn a_produce_whose_batches_are_committed_at_once_never_waits() {
        let wait = ProduceWait::new(1);
        wait.begin(0);
        wait.end(0, Outcome::Committed);
        assert!(!wait.is_over(), "another batch may follow");
        assert!(wait.sealed());
    }
}

//! What will happen, in the order of time; of what happens at one moment, in the order in which it was scheduled.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

struct Scheduled<E> {
    at: Duration,
    turn: u64,
    event: E,
}

impl<E> PartialEq for Scheduled<E> {
    fn eq(&self, other: &Self) -> bool {
        self.turn == other.turn
    }
}

impl<E> Eq for Scheduled<E> {}

impl<E> PartialOrd for Scheduled<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Scheduled<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.turn).cmp(&(other.at, other.turn))
    }
}

/// Events to come.
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<Scheduled<E>>>,
    turn: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), turn: 0 }
    }
}

impl<E> Queue<E> {
    /// Has `event` happen at `at`.
    pub fn schedule(&mut self, at: Duration, event: E) {
        self.turn += 1;
        self.heap.push(Reverse(Scheduled { at, turn: self.turn, event }));
    }

    /// The next event and its time.
    pub fn next(&mut self) -> Option<(Duration, E)> {
        self.heap.pop().map(|Reverse(next)| (next.at, next.event))
    }
}

//! What a follower's session has to look at: partitions note themselves here when they have more, or something to tell.
//!
//! A partition notes itself once and is then silent until it is looked at again, so that a fetch costs what has changed,
//! not what is followed. The session says what its places are; this must not know of sessions or logs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;

use futures::task::AtomicWaker;
use indexmap::IndexSet;
use parking_lot::Mutex;

/// The places of one session that have changed since they were looked at, in the order in which they did.
#[derive(Debug, Default)]
pub struct FollowerWatch {
    changed: Mutex<Changed>,
    heeds_hints: AtomicBool,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Changed {
    /// They have more records, or an error to tell of.
    moved: IndexSet<u32>,
    /// Their watermark has moved.
    hinted: IndexSet<u32>,
}

impl FollowerWatch {
    /// The partition at `place` has more, or an error to tell of.
    fn notify(&self, place: u32) {
        self.changed.lock().moved.insert(place);
        self.waker.wake();
    }

    /// The partition at `place` has something to tell that is not worth an answer of its own: its watermark has moved.
    /// Wakes the fetch only once it heeds hints.
    fn hint(&self, place: u32) {
        self.changed.lock().hinted.insert(place);
        if self.heeds_hints.load(Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// The next fetch has to look at `place`, even if nothing more comes.
    pub fn look_again(&self, place: u32) {
        self.changed.lock().moved.insert(place);
    }

    /// Whether a partition has more.
    pub fn has_moved(&self) -> bool {
        !self.changed.lock().moved.is_empty()
    }

    /// Takes all places that have changed.
    pub fn take(&self) -> IndexSet<u32> {
        let Changed { mut moved, hinted } = std::mem::take(&mut *self.changed.lock());
        moved.extend(hinted);
        moved
    }

    /// Takes the places whose watermark has moved.
    pub fn take_hinted(&self) -> IndexSet<u32> {
        std::mem::take(&mut self.changed.lock().hinted)
    }

    /// A fetch waits here, and is to be woken for what has more.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// From now on a hint wakes too; whether there has been one already.
    pub fn heed_hints(&self) -> bool {
        self.heeds_hints.store(true, Ordering::SeqCst);
        !self.changed.lock().hinted.is_empty()
    }

    /// The fetch has its answer: nobody is to be woken before the next one waits.
    pub fn rest(&self) {
        self.heeds_hints.store(false, Ordering::SeqCst);
        drop(self.waker.take());
    }
}

/// The watches that a partition has to tell of its next change.
#[derive(Debug, Default)]
pub(super) struct Watches(Mutex<Vec<Registration>>);

#[derive(Debug)]
struct Registration {
    watch: Weak<FollowerWatch>,
    place: u32,
    hinted: bool,
}

impl Watches {
    /// Has `watch` told of the next change: of `place`.
    pub(super) fn register(&self, watch: &Arc<FollowerWatch>, place: u32) {
        let mut all = self.0.lock();
        let is_same = |one: &&mut Registration| one.place == place && one.watch.as_ptr() == Arc::as_ptr(watch);
        if let Some(known) = all.iter_mut().find(is_same) {
            known.hinted = false;
            return;
        }
        // Those of sessions that are over.
        all.retain(|one| one.watch.strong_count() > 0);
        all.push(Registration { watch: Arc::downgrade(watch), place, hinted: false });
    }

    /// There is more, or an error to tell of.
    pub(super) fn notify(&self) {
        for one in self.0.lock().drain(..) {
            if let Some(watch) = one.watch.upgrade() {
                watch.notify(one.place);
            }
        }
    }

    /// The watermark has moved.
    pub(super) fn hint(&self) {
        for one in self.0.lock().iter_mut().filter(|one| !one.hinted) {
            one.hinted = true;
            if let Some(watch) = one.watch.upgrade() {
                watch.hint(one.place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct Counter(AtomicUsize);

    impl std::task::Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn listed(places: IndexSet<u32>) -> Vec<u32> {
        places.into_iter().collect()
    }

    fn watched() -> (Arc<FollowerWatch>, Watches, Arc<Counter>) {
        let (watch, watches) = (Arc::new(FollowerWatch::default()), Watches::default());
        let woken = Arc::new(Counter(AtomicUsize::new(0)));
        watch.register(&Waker::from(Arc::clone(&woken)));
        watches.register(&watch, 7);
        (watch, watches, woken)
    }

    #[test]
    fn a_partition_is_noted_once_until_it_is_looked_at_again() {
        let (watch, watches, woken) = watched();
        watches.notify();
        watches.notify();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(watch.has_moved());
        assert_eq!(listed(watch.take()), [7]);
        assert!(!watch.has_moved());
        watches.register(&watch, 7);
        watches.register(&watch, 7);
        watches.notify();
        assert_eq!(listed(watch.take()), [7]);
    }

    #[test]
    fn a_hint_wakes_only_once_hints_are_heeded_and_none_is_lost_before() {
        let (watch, watches, woken) = watched();
        watches.hint();
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        assert!(watch.heed_hints(), "what came before is told at once");
        assert_eq!(listed(watch.take_hinted()), [7]);
        assert!(!watch.heed_hints());
        watches.hint();
        assert!(!watch.heed_hints(), "it has not been looked at since");
        watch.register(&Waker::from(Arc::clone(&woken)));
        watches.register(&watch, 7);
        watches.hint();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert_eq!(listed(watch.take()), [7]);
    }

    #[test]
    fn who_rests_is_not_woken_and_misses_nothing() {
        let (watch, watches, woken) = watched();
        assert!(!watch.heed_hints());
        watch.rest();
        watches.hint();
        watches.notify();
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        assert_eq!(listed(watch.take()), [7]);
    }

    #[test]
    fn the_watches_of_sessions_that_are_over_are_forgotten() {
        let (watch, watches, _) = watched();
        drop(watch);
        let next = Arc::new(FollowerWatch::default());
        watches.register(&next, 1);
        assert_eq!(watches.0.lock().len(), 1);
        watches.notify();
        assert_eq!(listed(next.take()), [1]);
    }
}

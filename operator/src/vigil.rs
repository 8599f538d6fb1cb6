//! How long this process has seen something to be so without a break: nothing final rests on one look.
//!
//! Kept in memory on purpose: what an earlier process saw may have changed back and forth since.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ottla_core::ids::BrokerId;
use tokio::time::Instant;

/// At least so many looks must agree.
const LOOKS: u32 = 3;

/// Which brokers of which cluster have been seen empty, since when and how often.
#[derive(Debug, Default)]
pub struct Vigil {
    seen: Mutex<HashMap<(String, BrokerId), Sight>>,
}

#[derive(Clone, Copy, Debug)]
struct Sight {
    since: Instant,
    looks: u32,
}

impl Vigil {
    /// Notes that of the cluster with `uid` exactly the brokers `empty` hold nothing at `now`, and gives those of which
    /// that has been so for `long` at every look.
    pub fn note(&self, uid: &str, empty: &BTreeSet<BrokerId>, now: Instant, long: Duration) -> BTreeSet<BrokerId> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|(cluster, broker), _| cluster != uid || empty.contains(broker));
        let surely = empty.iter().copied().filter(|broker| {
            let sight = seen.entry((uid.to_owned(), *broker)).or_insert(Sight { since: now, looks: 0 });
            sight.looks = sight.looks.saturating_add(1);
            sight.looks >= LOOKS && now.duration_since(sight.since) >= long
        });
        surely.collect()
    }

    /// Nothing is known of the cluster with `uid` at this moment.
    pub fn interrupt(&self, uid: &str) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).retain(|(cluster, _), _| cluster != uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_so_at_every_look_for_long_enough_is_sure() {
        let (vigil, begin) = (Vigil::default(), Instant::now());
        let long = Duration::from_secs(5);
        let empty: BTreeSet<_> = [BrokerId(3), BrokerId(4)].into();
        let look = |empty: &BTreeSet<_>, second: u64| vigil.note("a", empty, begin + Duration::from_secs(second), long);
        assert_eq!(look(&empty, 0), BTreeSet::new());
        assert_eq!(look(&empty, 6), BTreeSet::new(), "two looks are not enough");
        assert_eq!(look(&empty, 7), empty);
        assert_eq!(look(&[BrokerId(4)].into(), 8), [BrokerId(4)].into());
        assert_eq!(look(&empty, 20), [BrokerId(4)].into(), "broker 3 held something in between");
        assert_eq!(vigil.note("b", &empty, begin, long), BTreeSet::new(), "another cluster is another matter");
        vigil.interrupt("a");
        assert_eq!(look(&empty, 30), BTreeSet::new());
    }
}

//! How long what brokers have still to copy takes, from how much less it has become.
//!
//! Kept in memory on purpose: an estimate is about the copying that this process has seen. Nothing is decided by it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ottla_core::ids::BrokerId;
use tokio::time::Instant;

/// So much has to be seen of it before anything is said.
const SHORTEST: Duration = Duration::from_secs(5);

/// What the brokers of each cluster have had to copy since when.
#[derive(Debug, Default)]
pub struct Progress {
    runs: Mutex<HashMap<(String, BrokerId), Run>>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    began: Instant,
    at_first: u64,
    last: u64,
}

impl Progress {
    /// Notes how many bytes brokers of the cluster with `uid` have left at `now`, and gives how long each takes for them at
    /// the rate that it has had. One that has more left than before begins anew.
    pub fn note(&self, uid: &str, left: &BTreeMap<BrokerId, u64>, now: Instant) -> BTreeMap<BrokerId, Duration> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.retain(|(cluster, broker), _| cluster != uid || left.contains_key(broker));
        let estimate = |(broker, left): (&BrokerId, &u64)| {
            let fresh = Run { began: now, at_first: *left, last: *left };
            let run = runs.entry((uid.to_owned(), *broker)).or_insert(fresh);
            *run = if *left > run.last { fresh } else { Run { last: *left, ..*run } };
            Some((*broker, run.rest(now)?))
        };
        left.iter().filter_map(estimate).collect()
    }
}

impl Run {
    fn rest(&self, now: Instant) -> Option<Duration> {
        let (took, copied) = (now.duration_since(self.began), self.at_first - self.last);
        let is_known = took >= SHORTEST && copied > 0;
        is_known.then(|| coarse(took.mul_f64(self.last as f64 / copied as f64)))
    }
}

/// In steps of about a tenth, so that what is written of it changes as seldom.
fn coarse(time: Duration) -> Duration {
    let seconds = time.as_secs();
    let step = match seconds {
        0..120 => 10,
        120..1200 => 60,
        1200..7200 => 600,
        _ => 3600,
    };
    Duration::from_secs(seconds.div_ceil(step).max(1).saturating_mul(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_the_rate_until_now_says() {
        let (progress, begin) = (Progress::default(), Instant::now());
        let look = |uid: &str, second: u64, left: &[(i32, u64)]| {
            let left = left.iter().map(|(id, bytes)| (BrokerId(*id), *bytes)).collect();
            let rest = progress.note(uid, &left, begin + Duration::from_secs(second));
            rest.into_iter().map(|(id, rest)| (id.0, rest.as_secs())).collect::<Vec<_>>()
        };
        assert_eq!(look("a", 0, &[(3, 1000), (4, 500)]), []);
        assert_eq!(look("a", 4, &[(3, 900), (4, 400)]), [], "it is too early");
        assert_eq!(look("a", 10, &[(3, 900), (4, 500)]), [(3, 90)], "broker 4 began anew");
        assert_eq!(look("b", 10, &[(3, 10)]), [], "another cluster is another matter");
        assert_eq!(look("a", 100, &[(3, 900), (4, 100)]), [(3, 900), (4, 30)], "a standstill counts");
        assert_eq!(look("a", 110, &[]), []);
        assert_eq!(look("a", 120, &[(3, 800)]), [], "what was done is forgotten");
    }

    #[test]
    fn estimates_are_as_coarse_as_they_are_long() {
        for (seconds, told) in [(0, 10), (11, 20), (119, 120), (121, 180), (1201, 1800), (7201, 10_800)] {
            assert_eq!(coarse(Duration::from_secs(seconds)).as_secs(), told, "{seconds}");
        }
    }
}

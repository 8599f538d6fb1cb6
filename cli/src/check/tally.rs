//! What was acked, what was found again, and how long it took. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Longer latencies count as this one.
const LONGEST_SECONDS: u64 = 3600;

/// The numbers of one partition's records: a writer numbers them from 0 and repeats each until it is acked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Partition {
    /// Records below this were acked.
    acked: u64,
    /// How often each was found.
    found: BTreeMap<u64, u64>,
}

/// The count of a run.
#[derive(Clone, Debug)]
pub struct Tally {
    partitions: BTreeMap<i32, Partition>,
    /// Attempts that were refused or failed, by what was said.
    refusals: BTreeMap<String, u64>,
    /// From the first attempt of a batch to its ack, in microseconds.
    latency: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let latency = Histogram::new_with_max(LONGEST_SECONDS * 1_000_000, 3);
        let latency = latency.expect("an hour in microseconds with three digits is what a histogram can have");
        Self { partitions: BTreeMap::new(), refusals: BTreeMap::new(), latency }
    }
}

impl Tally {
    /// The next `records` of a partition were acked, `took` after they were first sent.
    pub fn acked(&mut self, partition: i32, records: u64, took: Duration) {
        self.partitions.entry(partition).or_default().acked += records;
        self.latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// An attempt was refused or got no answer.
    pub fn refused(&mut self, what: impl Into<String>) {
        *self.refusals.entry(what.into()).or_default() += 1;
    }

    /// A record was read.
    pub fn found(&mut self, partition: i32, number: u64) {
        *self.partitions.entry(partition).or_default().found.entry(number).or_default() += 1;
    }

    /// Adds what another writer counted.
    pub fn merge(&mut self, other: Self) {
        for (partition, theirs) in other.partitions {
            let ours = self.partitions.entry(partition).or_default();
            ours.acked += theirs.acked;
            for (number, times) in theirs.found {
                *ours.found.entry(number).or_default() += times;
            }
        }
        for (what, times) in other.refusals {
            *self.refusals.entry(what).or_default() += times;
        }
        self.latency.add(&other.latency).expect("histograms of one kind add up");
    }

    /// How many records were acked and not found again.
    pub fn lost(&self) -> u64 {
        let lost = |partition: &Partition| {
            let kept = partition.found.range(..partition.acked).count();
            partition.acked - u64::try_from(kept).unwrap_or(u64::MAX).min(partition.acked)
        };
        self.partitions.values().map(lost).sum()
    }

    fn all_acked(&self) -> u64 {
        self.partitions.values().map(|partition| partition.acked).sum()
    }

    /// How many times a record was found once more.
    fn duplicated(&self) -> u64 {
        self.partitions.values().flat_map(|partition| partition.found.values()).map(|times| times - 1).sum()
    }

    fn refusals_like(&self, part: &str) -> u64 {
        self.refusals.iter().filter(|(what, _)| what.contains(part)).map(|(_, times)| times).sum()
    }

    fn latency_ms(&self, quantile: f64) -> f64 {
        Duration::from_micros(self.latency.value_at_quantile(quantile)).as_secs_f64() * 1000.0
    }
}

/// A line for each kind of refusal, then one line of figures that scripts read.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, times) in &self.refusals {
            writeln!(f, "refused {times} times: {what}")?;
        }
        write!(
            f,
            "acked={} lost={} duplicated={} refused={} not_enough_replicas={} p50_ms={:.1} p99_ms={:.1} max_ms={:.1}",
            self.all_acked(),
            self.lost(),
            self.duplicated(),
            self.refusals_like(""),
            self.refusals_like("NOT_ENOUGH_REPLICAS"),
            self.latency_ms(0.5),
            self.latency_ms(0.99),
            self.latency_ms(1.0),
        )
    }
}

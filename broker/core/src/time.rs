//! Time as the rules see it: always an argument, never read here.

use std::fmt;
use std::time::Duration;

/// Milliseconds since the Unix epoch, as Kafka stores them. −1 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// No timestamp.
    pub const NONE: Self = Self(-1);
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The two clocks at one moment. Time-outs run on `monotonic`; only stored timestamps and retention read `wall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since some fixed point of this process; never goes back.
    pub monotonic: Duration,
    /// The wall clock, which may jump.
    pub wall: Timestamp,
}

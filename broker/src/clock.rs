//! The door by which time enters: the only reader of the clocks for everything that ottla-core and storage are told.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ottla_core::{Now, Timestamp};

/// Gives the time of this process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic time begins now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Both clocks at this moment.
    pub fn now(&self) -> Now {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { monotonic: self.start.elapsed(), wall: Timestamp(since_epoch.as_millis() as i64) }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

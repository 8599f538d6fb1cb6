//! Pauses between attempts: exponential, with jitter so that many clients do not come back at once.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use super::ClientConfig;

/// The pauses of one call.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub(super) fn new(config: &ClientConfig) -> Self {
        Self { next: config.retry_backoff, max: config.retry_backoff_max }
    }

    /// Waits for the next pause, or says at once that it would not end before `deadline`.
    pub(super) async fn pause_before(&mut self, deadline: Instant) -> bool {
        let pause = self.next.mul_f64(rand::rng().random_range(0.8..1.2));
        self.next = (self.next * 2).min(self.max);
        if Instant::now() + pause >= deadline {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }
}

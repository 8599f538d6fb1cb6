//! The time that is spent on a request, which counts while a quota of it is set (KIP-124). Waiting is not work.

use std::pin::pin;
use std::time::Duration;

use ottla_protocol::codec::Response;

use super::Context;
use crate::clock::Clock;

/// Adds up what is spent on one request; off, as by default, it looks at no clock.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    clock: Option<Clock>,
    spent: Duration,
}

impl Stopwatch {
    /// One that is on if the time of the client's requests counts.
    pub(super) fn of(context: &Context) -> Self {
        let counts = context.broker.quotas.count_time();
        Self { clock: counts.then(|| *context.broker.replicas.clock()), spent: Duration::ZERO }
    }

    /// One that stays off, as for what brokers ask of each other.
    pub(super) fn off(_: &Context) -> Self {
        Self::default()
    }

    pub(super) fn is_on(&self) -> bool {
        self.clock.is_some()
    }

    /// What has been spent so far.
    pub(super) fn spent(&self) -> Duration {
        self.spent
    }

    /// Works, and adds the time that it takes.
    pub(super) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let Some(clock) = self.clock else { return work() };
        let began = clock.now().monotonic;
        let result = work();
        self.spent += clock.now().monotonic.saturating_sub(began);
        result
    }

    /// The response of `handler`, which tells the client for how long it is held back because of the time it took.
    pub(super) async fn answer<R: Response>(mut self, context: &Context, handler: impl Future<Output = R>) -> R {
        let mut handler = pin!(handler);
        let mut response = std::future::poll_fn(|cx| self.time(|| handler.as_mut().poll(cx))).await;
        let quotas = &context.broker.quotas;
        response.tell_throttle_time(quotas.worked(&context.peer, context.client_name(), self.spent));
        response
    }
}

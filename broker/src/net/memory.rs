//! The memory that requests on their way in may hold, over all connections.
//!
//! A connection claims memory only for bytes that have arrived. When the budget is spent, further claims wait; a
//! claim that waits picks the slowest of the frames that have been arriving for longer than a grace time, and its
//! connection is closed. So clients that announce much and send little cannot hold up the others for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The budget shared by all connections of a broker.
#[derive(Debug)]
pub struct RequestMemory {
    limit: usize,
    grace: Duration,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    holders: Vec<Arc<Holder>>,
}

/// One frame that is being received.
#[derive(Debug)]
struct Holder {
    since: Instant,
    bytes: Mutex<usize>,
    evicted: AtomicBool,
    wake: Notify,
}

impl Holder {
    /// Bytes per second since its first claim.
    fn rate(&self, now: Instant) -> f64 {
        *self.bytes.lock() as f64 / now.duration_since(self.since).as_secs_f64().max(0.001)
    }
}

/// The frame was the slowest when memory was needed elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request memory is exhausted and this request arrives too slowly")]
pub struct Evicted;

impl RequestMemory {
    /// A budget of `limit` bytes. A frame younger than `grace` is never evicted.
    pub fn new(limit: usize, grace: Duration) -> Arc<Self> {
        Arc::new(Self { limit, grace, state: Mutex::default(), freed: Notify::new() })
    }

    /// Bytes claimed at this moment.
    pub fn used(&self) -> usize {
        self.state.lock().used
    }

    /// An account for one frame, empty at first.
    pub fn account(self: &Arc<Self>) -> Claim {
        Claim { memory: Arc::clone(self), holder: None }
    }

    fn try_take(&self, holder: &Holder, bytes: usize) -> bool {
        let mut state = self.state.lock();
        // A frame larger than the whole budget may still arrive when it is alone.
        let alone = state.used == *holder.bytes.lock();
        if state.used + bytes > self.limit && !alone {
            return false;
        }
        state.used += bytes;
        *holder.bytes.lock() += bytes;
        true
    }

    /// Marks the slowest frame older than the grace time; it may be the caller's own.
    fn evict_slowest(&self) {
        let now = Instant::now();
        let state = self.state.lock();
        let old = |h: &&Arc<Holder>| now.duration_since(h.since) >= self.grace && *h.bytes.lock() > 0;
        let slowest = state.holders.iter().filter(old).min_by(|a, b| a.rate(now).total_cmp(&b.rate(now)));
        if let Some(holder) = slowest {
            holder.evicted.store(true, Ordering::Relaxed);
            holder.wake.notify_one();
        }
    }
}

/// What one frame has claimed; given back when dropped.
#[derive(Debug)]
pub struct Claim {
    memory: Arc<RequestMemory>,
    holder: Option<Arc<Holder>>,
}

impl Claim {
    /// Claims `bytes` more, waiting until they are free. Fails when this frame has to give way itself.
    pub async fn grow(&mut self, bytes: usize) -> Result<(), Evicted> {
        let memory = Arc::clone(&self.memory);
        let holder = self.holder();
        let retry = (memory.grace / 4).max(Duration::from_millis(1));
        loop {
            let freed = memory.freed.notified();
            if holder.evicted.load(Ordering::Relaxed) {
                return Err(Evicted);
            }
            if memory.try_take(&holder, bytes) {
                return Ok(());
            }
            memory.evict_slowest();
            // What is old enough to be evicted changes with time alone, hence the time-out.
            tokio::select! {
                () = freed => {}
                () = holder.wake.notified() => {}
                () = tokio::time::sleep(retry) => {}
            }
        }
    }

    /// Resolves when this frame has to give way; never for a claim that holds nothing. Borrows nothing, so that the
    /// frame can go on arriving meanwhile.
    pub fn evicted(&self) -> impl Future<Output = ()> + Send + use<> {
        let holder = self.holder.clone();
        async move {
            match holder {
                Some(holder) => {
                    while !holder.evicted.load(Ordering::Relaxed) {
                        holder.wake.notified().await;
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    fn holder(&mut self) -> Arc<Holder> {
        if let Some(holder) = &self.holder {
            return Arc::clone(holder);
        }
        let holder = Arc::new(Holder {
            since: Instant::now(),
            bytes: Mutex::new(0),
            evicted: AtomicBool::new(false),
            wake: Notify::new(),
        });
        self.memory.state.lock().holders.push(Arc::clone(&holder));
        self.holder = Some(Arc::clone(&holder));
        holder
    }

    /// Whether so much is claimed in all that nobody should keep what it does not need at this moment.
    pub fn is_scarce(&self) -> bool {
        self.memory.used() > self.memory.limit / 2
    }

    /// Gives everything back.
    pub fn release(&mut self) {
        let Some(holder) = self.holder.take() else { return };
        let mut state = self.memory.state.lock();
        state.holders.retain(|h| !Arc::ptr_eq(h, &holder));
        state.used -= *holder.bytes.lock();
        drop(state);
        self.memory.freed.notify_waiters();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_a_claim_holds_is_given_back_when_it_is_dropped() {
        let memory = RequestMemory::new(100, GRACE);
        let mut claim = memory.account();
        claim.grow(60).await.unwrap();
        assert_eq!(memory.used(), 60);
        drop(claim);
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_waits_for_memory_that_another_gives_back() {
        let memory = RequestMemory::new(100, GRACE);
        let (mut first, mut second) = (memory.account(), memory.account());
        first.grow(80).await.unwrap();
        let waiting = tokio::spawn(async move {
            second.grow(40).await.unwrap();
            second
        });
        tokio::task::yield_now().await;
        first.release();
        let second = waiting.await.unwrap();
        assert_eq!(memory.used(), 40);
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_old_frame_gives_way_within_the_grace_time() {
        let memory = RequestMemory::new(100, GRACE);
        let (mut slow, mut fast, mut newcomer) = (memory.account(), memory.account(), memory.account());
        slow.grow(10).await.unwrap();
        fast.grow(90).await.unwrap();
        let begun = Instant::now();
        let victim = tokio::spawn(async move {
            slow.evicted().await;
            drop(slow);
        });
        newcomer.grow(10).await.unwrap();
        victim.await.unwrap();
        assert!(begun.elapsed() <= GRACE + GRACE / 4);
        assert_eq!(memory.used(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_larger_than_the_budget_is_let_in_when_it_is_alone() {
        let memory = RequestMemory::new(100, GRACE);
        let mut claim = memory.account();
        claim.grow(90).await.unwrap();
        claim.grow(90).await.unwrap();
        assert_eq!(memory.used(), 180);
    }
}

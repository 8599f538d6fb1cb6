//! Looking for records that a member may have, and waiting for some.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use futures::future::join_all;
use ottla_core::share::partition::{Acquire, Acquired, Reach};
use ottla_core::{LeaderEpoch, Offset};
use ottla_protocol::ErrorCode;
use ottla_storage::{AbortedTransaction, FileSlice};
use tokio::time::{Instant, timeout_at};

use crate::api::Context;
use crate::api::share_groups::{Unserved, delivery};
use crate::replica::{Consumer, Error, FetchWait, Read, ReadLimits};
use crate::share::{At, Delivery, Layout, Member, Turn};

/// What a member wants.
pub(super) struct Wish {
    pub(super) max_bytes: usize,
    pub(super) min_bytes: usize,
    pub(super) max_records: u64,
    pub(super) batch_size: u64,
    pub(super) is_strict: bool,
    pub(super) deadline: Instant,
}

/// Records for the member, in whole batches of the log.
pub(super) struct Given {
    pub(super) records: FileSlice,
    pub(super) acquired: Vec<Acquired>,
}

type Found = (At, Result<Given, Unserved>);

/// Records that lie ready, and the right to give them out.
struct Ready {
    at: At,
    turn: Turn,
    from: Offset,
    records: FileSlice,
    /// The transactions that were aborted in it, for a group that reads committed records alone.
    aborted: Vec<AbortedTransaction>,
}

/// Gives `member` what it may have of `partitions`, as soon as there is anything worth it.
pub(super) async fn fetch(context: &Context, member: &Member, partitions: &[At], wish: &Wish) -> Vec<Found> {
    if wish.max_records == 0 || wish.max_bytes == 0 {
        return Vec::new();
    }
    let (mut found, mut deliveries) = (Vec::new(), Vec::new());
    let loading = partitions.iter().map(|at| async move { (*at, delivery(context, &member.0, *at).await) });
    for (at, result) in join_all(loading).await {
        match result {
            Ok(delivery) => deliveries.push((at, delivery)),
            Err(unserved) => found.push((at, Err(unserved))),
        }
    }
    let parked = Parked { deliveries, wait: Arc::default() };
    loop {
        parked.park();
        let ready = look(context, &parked.deliveries, wish, &mut found);
        let bytes: usize = ready.iter().map(|ready| ready.records.len).sum();
        let is_over = !found.is_empty() || wish.deadline <= Instant::now();
        let mut has_moved = false;
        if is_over || bytes >= wish.min_bytes.max(1) {
            has_moved = give(context, &member.1, ready, wish, &mut found).await;
        }
        if is_over || !found.is_empty() || parked.deliveries.is_empty() {
            return found;
        }
        if !has_moved {
            // What is found in vain is waited for again.
            let _ = timeout_at(wish.deadline, parked.moved()).await;
        }
    }
}

/// Reads where the next records are, of each partition whose turn is free.
fn look(context: &Context, deliveries: &[(At, Arc<Delivery>)], wish: &Wish, found: &mut Vec<Found>) -> Vec<Ready> {
    let mut left = wish.max_bytes;
    let mut ready = Vec::new();
    for (at, delivery) in deliveries {
        if !delivery.is_current() {
            found.push((*at, Err(ErrorCode::NOT_LEADER_OR_FOLLOWER.into())));
            continue;
        }
        let Some(turn) = delivery.turn().filter(|_| left > 0) else { continue };
        let reading = context.broker.delivery_settings.of_group(&delivery.key().group, &context.broker.image());
        let log_start = delivery.partition.reader().log_start();
        let from = delivery.with(&context.broker, |machine| {
            machine.reconfigure(reading.delivery);
            machine.log_starts_at(log_start);
            machine.next_fetch()
        });
        let Some(from) = from else { continue };
        let consumer = Consumer { from_follower: false, read_committed: reading.is_committed };
        let limits = ReadLimits { max_bytes: left, at_least_one_batch: ready.is_empty() };
        match delivery.partition.read(from, LeaderEpoch::NONE, LeaderEpoch::NONE, consumer, limits) {
            Ok(Read { records: Some(records), aborted, .. }) if records.len > 0 => {
                left = left.saturating_sub(records.len);
                ready.push(Ready { at: *at, turn, from, records, aborted });
            }
            // Nothing yet; or the log ends before, having lost what was delivered.
            Ok(_) | Err(Error::OffsetOutOfRange { .. }) => {}
            Err(error) => found.push((*at, Err(error.into()))),
        }
    }
    ready
}

/// Gives out what lies ready. True if delivery has moved on, whether or not there was anything for the member.
async fn give(context: &Context, member: &str, ready: Vec<Ready>, wish: &Wish, found: &mut Vec<Found>) -> bool {
    let member: Arc<str> = member.into();
    let mut left = wish.max_records;
    let mut has_moved = false;
    for Ready { at, turn, from, records, aborted } in ready {
        if left == 0 {
            break;
        }
        let reach = turn.delivery().with(&context.broker, |machine| machine.reach(from, left));
        let layout = match layout_of(&records, aborted, reach).await {
            Ok(layout) => layout,
            Err(error) => {
                tracing::warn!(partition = %turn.delivery().partition.id(), %error, "cannot read records");
                found.push((at, Err(ErrorCode::KAFKA_STORAGE_ERROR.into())));
                continue;
            }
        };
        let acquire = Acquire {
            member: &member,
            from,
            extents: &layout.extents,
            aborted: &layout.aborted,
            max_records: left,
            batch_size: wish.batch_size,
            is_strict: wish.is_strict,
        };
        let now = context.broker.replicas.clock().now();
        let (acquired, next) = turn.delivery().with(&context.broker, |machine| {
            let acquired = machine.acquire(now, &acquire);
            (acquired, machine.next_fetch())
        });
        has_moved |= next != Some(from);
        if acquired.is_empty() {
            continue;
        }
        let count: i64 = acquired.iter().map(|one| one.last.0 - one.first.0 + 1).sum();
        let count = u64::try_from(count).unwrap_or(0);
        left = left.saturating_sub(count);
        context.broker.replicas.metrics().share.acquired.inc_by(count);
        let records = records.part(layout.bytes_of(&acquired));
        turn.delivery().partition.counters().bytes_out.inc_by(records.len as u64);
        found.push((at, Ok(Given { records, acquired })));
    }
    has_moved
}

/// Looks on a thread that may wait for the disk.
async fn layout_of(records: &FileSlice, aborted: Vec<AbortedTransaction>, reach: Reach) -> io::Result<Layout> {
    let records = records.clone();
    let look = tokio::task::spawn_blocking(move || Layout::of(&records, &aborted, reach));
    look.await.map_err(io::Error::other)?
}

/// A fetch that waits at its partitions: at their logs, and for records that come back.
struct Parked {
    deliveries: Vec<(At, Arc<Delivery>)>,
    wait: Arc<FetchWait>,
}

impl Parked {
    /// Before it is looked, lest a move in between be missed.
    fn park(&self) {
        self.unpark();
        self.wait.take_moved();
        for (place, (_, delivery)) in self.deliveries.iter().enumerate() {
            delivery.partition.park_fetch(&self.wait, place);
            delivery.park(&self.wait, place);
        }
    }

    fn unpark(&self) {
        for (_, delivery) in &self.deliveries {
            delivery.partition.unpark_fetch(&self.wait);
            delivery.unpark(&self.wait);
        }
    }

    async fn moved(&self) {
        poll_fn(|cx| {
            self.wait.register(cx.waker());
            if self.wait.take_moved().is_empty() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.unpark();
    }
}

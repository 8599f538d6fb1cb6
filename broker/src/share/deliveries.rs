//! The share partitions that this broker leads, each loaded when it is first asked for.

use std::collections::HashMap;
use std::sync::Arc;

use ottla_core::config::OffsetReset;
use ottla_core::share::Key;
use ottla_core::share::partition::SharePartition;
use ottla_core::{LeaderEpoch, Offset, Timestamp};
use ottla_protocol::ErrorCode;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Notify};

use super::delivery::Delivery;
use super::persister;
use super::sessions::ShareSessions;
use super::settings::Reading;
use crate::api::error::of_replica;
use crate::broker::Broker;
use crate::replica::{Partition, record_since};

/// A share partition that is loaded, or being loaded by whoever holds the lock.
type Slot = Arc<AsyncMutex<Option<Arc<Delivery>>>>;

/// The share partitions of this broker.
#[derive(Default)]
pub struct Deliveries {
    slots: Mutex<HashMap<Key, Slot>>,
    begun: Notify,
}

impl Deliveries {
    /// The share partition `key` over `partition`, which is its log; loaded if this term has not yet.
    pub async fn get(
        &self,
        broker: &Arc<Broker>,
        key: &Key,
        partition: &Arc<Partition>,
    ) -> Result<Arc<Delivery>, ErrorCode> {
        let slot = Arc::clone(self.slots.lock().entry(key.clone()).or_default());
        // Held while it is loaded, so that those who wait share it.
        let mut slot = slot.lock().await;
        if let Some(delivery) = slot.as_ref().filter(|delivery| delivery.is_current()) {
            return Ok(Arc::clone(delivery));
        }
        if let Some(former) = slot.take() {
            former.end();
        }
        let epoch = partition.check_leader(LeaderEpoch::NONE).map_err(|_| ErrorCode::NOT_LEADER_OR_FOLLOWER)?;
        let state = persister::read_state(broker, key, epoch).await.map_err(of_load)?;
        let reading = broker.delivery_settings.of_group(&key.group, &broker.image());
        let start = match state.start {
            Some(start) => start,
            None => begin(broker, partition, &reading).await?,
        };
        let machine = SharePartition::new(reading.delivery, epoch, &state, start);
        let delivery = Arc::new(Delivery::new(key.clone(), epoch, Arc::clone(partition), machine));
        self.look_after();
        Ok(Arc::clone(slot.insert(delivery)))
    }

    /// The share partition `key`, if it is loaded.
    pub async fn loaded(&self, key: &Key) -> Option<Arc<Delivery>> {
        let slot = self.slots.lock().get(key).cloned()?;
        let delivery = slot.lock().await.clone();
        delivery.filter(|delivery| delivery.is_current())
    }

    /// There is something to look after: a session, or a share partition.
    pub fn look_after(&self) {
        self.begun.notify_one();
    }

    /// Returns when there may be something to look after that was not before.
    pub(super) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// Whether none is loaded or being looked for.
    pub fn is_empty(&self) -> bool {
        self.slots.lock().is_empty()
    }

    /// How many there are, those included that are being looked for.
    pub fn count(&self) -> usize {
        self.slots.lock().len()
    }

    /// Those that are loaded and not just being looked for.
    pub(super) fn all(&self) -> Vec<Arc<Delivery>> {
        self.slots.lock().values().filter_map(|slot| slot.try_lock().ok()?.clone()).collect()
    }

    /// Ends and forgets what counts no more, and what nobody attends to: of a group without a session here, the coordinator
    /// alone is to say where it stands when it comes again. It may have been set elsewhere meanwhile.
    pub(super) fn forget(&self, sessions: &ShareSessions) {
        self.slots.lock().retain(|key, slot| {
            // Whoever holds it may be about to load it; there must not be two of one key.
            let is_wanted = Arc::strong_count(slot) > 1;
            let Ok(mut held) = slot.try_lock() else { return true };
            let is_done = |delivery: &mut Arc<Delivery>| {
                !delivery.is_current() || (delivery.is_idle() && !sessions.has_group(&key.group))
            };
            if let Some(delivery) = held.take_if(is_done) {
                delivery.end();
            }
            is_wanted || held.is_some()
        });
    }
}

/// Where delivery begins that nobody has begun.
async fn begin(broker: &Broker, partition: &Arc<Partition>, reading: &Reading) -> Result<Offset, ErrorCode> {
    let age = match reading.reset {
        OffsetReset::Earliest => return Ok(partition.reader().log_start()),
        OffsetReset::Latest => return Ok(partition.high_watermark()),
        OffsetReset::ByDuration(age) => i64::try_from(age.as_millis()).unwrap_or(i64::MAX),
    };
    let since = Timestamp(broker.replicas.clock().now().wall.0.saturating_sub(age).max(0));
    let (searched, read_committed) = (Arc::clone(partition), reading.is_committed);
    let found = broker.unpacking.apart(move || record_since(&searched, since, read_committed)).await;
    let found = found.ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?.map_err(|error| of_replica(&error))?;
    Ok(found.map_or_else(|| partition.high_watermark(), |(offset, _)| offset))
}

fn of_load(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::FENCED_LEADER_EPOCH | ErrorCode::FENCED_STATE_EPOCH => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        code if persister::is_passing(code) => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        // The group coordinator begins with a partition before it gives it to a member.
        ErrorCode::INVALID_REQUEST => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        code => code,
    }
}

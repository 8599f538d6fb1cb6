//! What passes with time: the ends of members' times, of their connections, and of terms.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use ottla_core::share::Key;
use ottla_core::{Now, TopicId};
use tokio_util::sync::CancellationToken;

use super::delivery::Delivery;
use super::sessions::{At, Member};
use crate::broker::Broker;

/// How often sessions and terms are looked at, while there is anything to look after.
const INTERVAL: Duration = Duration::from_millis(50);
/// Members have their records for this long at least (`group.share.min.record.lock.duration.ms`): what they are given from
/// now on need not be looked at earlier.
const SHORTEST_LOCK: Duration = Duration::from_secs(1);

/// Looks after the share partitions of `broker` until it stops.
pub async fn run(broker: Arc<Broker>, shutdown: CancellationToken) {
    let until_stop = async {
        let mut due = Duration::ZERO;
        loop {
            let now = broker.replicas.clock().now();
            if due <= now.monotonic {
                let earliest = take_back(&broker, now);
                due = earliest.unwrap_or(Duration::MAX).min(now.monotonic + SHORTEST_LOCK);
            }
            look(&broker);
            if broker.deliveries.is_empty() && broker.share_sessions.is_empty() {
                broker.deliveries.begun().await;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    shutdown.run_until_cancelled(until_stop).await;
}

/// Takes back the records of members whose time is over; gives when the next time is, on the monotonic clock.
fn take_back(broker: &Arc<Broker>, now: Now) -> Option<Duration> {
    let next = |delivery: Arc<Delivery>| {
        delivery.with(broker, |machine| {
            if machine.next_deadline().is_some_and(|deadline| deadline <= now.monotonic) {
                broker.replicas.metrics().share.timed_out.inc_by(machine.tick(now));
            }
            machine.next_deadline()
        })
    };
    broker.deliveries.all().into_iter().filter_map(next).min()
}

fn look(broker: &Arc<Broker>) {
    for (member, partitions) in broker.share_sessions.abandoned() {
        let broker = Arc::clone(broker);
        tokio::spawn(async move { take_leave(&broker, &member, partitions).await });
    }
    broker.deliveries.forget(&broker.share_sessions);
}

/// Gives back what `member`, whose session is over, has of `partitions`.
pub async fn take_leave(broker: &Arc<Broker>, (group, member): &Member, partitions: Vec<At>) {
    let keys = partitions.into_iter().map(|(topic, partition)| Key::new(group, TopicId(topic), partition));
    join_all(keys.map(|key| async move { give_back(broker, &key, member).await })).await;
    broker.deliveries.forget(&broker.share_sessions);
}

/// What cannot be stored is free when its time is over.
async fn give_back(broker: &Arc<Broker>, key: &Key, member: &str) {
    if let Some(delivery) = broker.deliveries.loaded(key).await
        && let Err(error) = delivery.release(broker, member).await
    {
        tracing::debug!(?key, member, %error, "cannot give back what a member had");
    }
}

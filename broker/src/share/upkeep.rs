//! What passes with time: the ends of members' times, of their connections, and of terms.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use ottla_core::TopicId;
use ottla_core::share::Key;
use tokio_util::sync::CancellationToken;

use super::sessions::{At, Member};
use crate::broker::Broker;

/// How often is looked, while there is anything to look after. Members have their records for a second at least.
const INTERVAL: Duration = Duration::from_millis(50);

/// Looks after the share partitions of `broker` until it stops.
pub async fn run(broker: Arc<Broker>, shutdown: CancellationToken) {
    let until_stop = async {
        loop {
            look(&broker);
            if broker.deliveries.is_empty() && broker.share_sessions.is_empty() {
                broker.deliveries.begun().await;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    shutdown.run_until_cancelled(until_stop).await;
}

fn look(broker: &Arc<Broker>) {
    for delivery in broker.deliveries.all() {
        let now = broker.replicas.clock().now();
        delivery.with(broker, |machine| {
            if machine.next_deadline().is_some_and(|deadline| deadline <= now.monotonic) {
                machine.tick(now);
            }
        });
    }
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

//! What KafkaTopics ask of their clusters: another number of replicas than their partitions have.
//!
//! A pass over a topic says it here once it found that it can be; passes over the cluster, which alone move partitions,
//! take it from here. Kept in memory on purpose: each pass over a topic says it anew, and the first ones of a process come
//! before anything that rests on it.

use std::collections::BTreeMap;

use futures::{Stream, stream};
use tokio::sync::watch;

/// What every topic asks for now, by namespace and name of its KafkaTopic.
#[derive(Debug, Default)]
pub struct Wishes(watch::Sender<BTreeMap<(String, String), Wish>>);

/// Another number of replicas for a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The KafkaCluster, in the namespace of the KafkaTopic.
    pub cluster: String,
    /// The topic's name in Kafka.
    pub topic: String,
    /// How many replicas its partitions are to have.
    pub replicas: usize,
}

/// By topic, how many replicas its partitions are to have.
pub type AskedReplicas = BTreeMap<String, usize>;

impl Wishes {
    /// Notes what the KafkaTopic `name` asks for, or that it asks for nothing, or is gone.
    pub fn note(&self, namespace: &str, name: &str, wish: Option<Wish>) {
        let key = (namespace.to_owned(), name.to_owned());
        self.0.send_if_modified(|wishes| {
            let is_new = wishes.get(&key) != wish.as_ref();
            match wish {
                Some(wish) => drop(wishes.insert(key, wish)),
                None => drop(wishes.remove(&key)),
            }
            is_new
        });
    }

    /// What is asked of the cluster `cluster` in `namespace`.
    pub fn of(&self, namespace: &str, cluster: &str) -> AskedReplicas {
        let wishes = self.0.borrow();
        let asked = wishes.iter().filter(|((place, _), wish)| place == namespace && wish.cluster == cluster);
        asked.map(|(_, wish)| (wish.topic.clone(), wish.replicas)).collect()
    }

    /// An item after a change, or after several: clusters are to be looked at then.
    pub fn changes(&self) -> impl Stream<Item = ()> + Send + use<> {
        stream::unfold(self.0.subscribe(), async |mut wishes| wishes.changed().await.ok().map(|()| ((), wishes)))
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    fn wish(cluster: &str, topic: &str, replicas: usize) -> Option<Wish> {
        Some(Wish { cluster: cluster.to_owned(), topic: topic.to_owned(), replicas })
    }

    #[test]
    fn each_cluster_is_asked_what_its_topics_ask_for_now() {
        let wishes = Wishes::default();
        wishes.note("prod", "a", wish("demo", "orders", 2));
        wishes.note("prod", "b", wish("demo", "flights", 3));
        wishes.note("prod", "c", wish("other", "orders", 5));
        wishes.note("prod", "a", wish("demo", "orders", 3));
        wishes.note("prod", "b", None);
        wishes.note("prod", "a-younger-one-for-orders", None);
        assert_eq!(wishes.of("prod", "demo"), [("orders".to_owned(), 3)].into());
        assert_eq!(wishes.of("test", "demo"), AskedReplicas::new());
    }

    #[test]
    fn clusters_are_looked_at_when_something_else_is_asked_for_and_only_then() {
        let wishes = Wishes::default();
        let mut changes = Box::pin(wishes.changes());
        assert_eq!(changes.next().now_or_never(), None);
        wishes.note("prod", "a", wish("demo", "orders", 2));
        wishes.note("prod", "b", wish("demo", "flights", 2));
        assert_eq!(changes.next().now_or_never(), Some(Some(())));
        wishes.note("prod", "a", wish("demo", "orders", 2));
        wishes.note("prod", "c", None);
        assert_eq!(changes.next().now_or_never(), None, "all this was known");
        wishes.note("prod", "a", None);
        assert_eq!(changes.next().now_or_never(), Some(Some(())));
    }
}

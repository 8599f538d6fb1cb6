//! The one watch on KafkaTopics: it fills the cache and the index, and says which of them to look at.

use std::{
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use kube::runtime::{reflector::ObjectRef, watcher};
use ottla_crds::KafkaTopic;
use tokio::time::sleep;

use super::{CachedTopic, index::Index};

/// What the watch has told so far. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Topics(Arc<RwLock<Index>>);

impl Topics {
    /// Every other KafkaTopic that stands for the same topic of the same cluster; `None` before the first list is over.
    pub fn rivals(&self, topic: &KafkaTopic) -> Option<Vec<CachedTopic>> {
        self.index().rivals(topic)
    }

    /// The KafkaTopics of a cluster.
    pub fn of_cluster(&self, namespace: &str, cluster: &str) -> Vec<ObjectRef<CachedTopic>> {
        self.index().of_cluster(namespace, cluster).map(ObjectRef::from_obj).collect()
    }

    /// The topics to look at, as they come out of `watched`.
    pub fn to_look_at<Watched>(
        &self,
        watched: Watched,
    ) -> impl Stream<Item = watcher::Result<CachedTopic>> + use<Watched>
    where
        Watched: Stream<Item = watcher::Result<watcher::Event<CachedTopic>>>,
    {
        let index = self.0.clone();
        watched.flat_map(move |event| {
            let found = match event {
                Ok(event) => {
                    let topics = index.write().unwrap_or_else(PoisonError::into_inner).take(event);
                    topics.into_iter().map(Ok).collect()
                }
                Err(error) => vec![Err(error)],
            };
            stream::iter(found)
        })
    }

    /// One topic after the other, each of them once in `round` while none comes or goes: so what no watch tells of is found
    /// without a timer for each.
    pub fn in_turn(&self, round: Duration) -> impl Stream<Item = ObjectRef<CachedTopic>> + use<> {
        let turns = stream::unfold((self.clone(), 0), move |(topics, turn): (Self, usize)| async move {
            let share = u32::try_from(topics.index().len().max(1)).unwrap_or(u32::MAX);
            sleep(round / share).await;
            let next = topics.index().in_turn(turn).map(ObjectRef::from_obj);
            Some((next, (topics, turn.wrapping_add(1))))
        });
        turns.filter_map(std::future::ready)
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use kube::runtime::watcher::Event;
    use tokio::time::Instant;

    use super::*;

    fn named(name: &str) -> CachedTopic {
        let spec = serde_json::json!({ "clusterRef": { "name": "demo" } });
        let metadata = serde_json::json!({ "name": name, "namespace": "shop" });
        serde_json::from_value(serde_json::json!({ "metadata": metadata, "spec": spec })).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn all_have_a_turn_in_a_round_and_those_that_come_soon_have_theirs() {
        let (topics, began) = (Topics::default(), Instant::now());
        let mut turns = Box::pin(topics.in_turn(Duration::from_secs(60)));
        assert_eq!(turns.next().now_or_never(), None, "there is none");
        let events = ["a", "b", "c"].map(|name| Ok(Event::Apply(named(name))));
        assert_eq!(topics.to_look_at(stream::iter(events)).count().await, 3);
        let mut seen = Vec::new();
        for _ in 0..5 {
            let name = turns.next().await.unwrap().name;
            seen.push((name, began.elapsed().as_secs()));
        }
        let expected = [("a", 60), ("b", 80), ("c", 100), ("a", 120), ("b", 140)];
        assert_eq!(seen, expected.map(|(name, second)| (name.to_owned(), second)));
    }
}

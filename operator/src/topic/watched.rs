//! The one watch on KafkaTopics: it fills the cache and the index, and says which of them to look at.

use std::sync::{Arc, PoisonError, RwLock};

use futures::{Stream, StreamExt, stream};
use kube::runtime::watcher;
use ottla_crds::KafkaTopic;

use super::{CachedTopic, index::Index};

/// What the watch has told so far. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Topics(Arc<RwLock<Index>>);

impl Topics {
    /// Every other KafkaTopic that stands for the same topic of the same cluster; `None` before the first list is over.
    pub fn rivals(&self, topic: &KafkaTopic) -> Option<Vec<CachedTopic>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).rivals(topic)
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
}

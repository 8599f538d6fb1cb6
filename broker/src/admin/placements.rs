//! ListPlacements: where partitions lie as the image has it, and how large they are as their leaders say.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ottla_control::{self as proto, PartitionRef};
use ottla_core::BrokerId;
use ottla_core::metadata::{Image, Partition, Topic};

use super::Admin;
use super::restart::count;
use crate::controller::MetadataLog;

/// A page ends with the topic that reaches so many partitions.
const PAGE: usize = 10_000;

impl Admin {
    /// The topics after the one called `after`. This broker must have the active controller.
    pub(super) async fn placements(&self, after: &str) -> proto::ListPlacementsResponse {
        let image = self.log.committed().borrow().clone();
        let (page, has_more) = page(&image, after, PAGE);
        let sizes = self.sizes_at_leaders(&page).await;
        let topics = page.iter().map(|topic| {
            let min_in_sync = image.min_isr(topic.name.as_str(), self.settings.min_insync_replicas());
            placement(topic, min_in_sync, &sizes)
        });
        proto::ListPlacementsResponse { topics: topics.collect(), has_more, metadata_index: image.index().0 }
    }

    async fn sizes_at_leaders(&self, topics: &[Arc<Topic>]) -> Sizes {
        let mut asked: BTreeMap<BrokerId, Vec<PartitionRef>> = BTreeMap::new();
        for topic in topics {
            for (partition, state) in topic.indexed().filter(|(_, state)| state.leader != BrokerId::NONE) {
                asked.entry(state.leader).or_default().push(reference(topic, partition));
            }
        }
        let answers = self.ask_for_disks(asked.clone()).await;
        let known = answers.iter().flat_map(|(broker, answer)| asked[broker].iter().zip(&answer.sizes));
        known.filter_map(|(asked, size)| Some(((asked.topic_id.clone(), asked.partition), size.bytes?))).collect()
    }
}

type Sizes = HashMap<(Vec<u8>, i32), u64>;

/// Whole topics after the one called `after`, by name, up to the one that reaches `limit` partitions; and whether there
/// are more.
fn page(image: &Image, after: &str, limit: usize) -> (Vec<Arc<Topic>>, bool) {
    let mut topics: Vec<_> = image.topics().iter().filter(|topic| topic.name.as_str() > after).cloned().collect();
    topics.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    let mut partitions = 0;
    let end = topics.iter().position(|topic| {
        partitions += topic.partitions.len();
        partitions >= limit
    });
    let end = end.map_or(topics.len(), |last| last + 1);
    let has_more = end < topics.len();
    topics.truncate(end);
    (topics, has_more)
}

fn placement(topic: &Topic, min_in_sync: usize, sizes: &Sizes) -> proto::TopicPlacement {
    let partition = |(partition, state): (i32, &Arc<Partition>)| {
        let asked = reference(topic, partition);
        proto::PartitionPlacement {
            partition,
            replicas: state.target().map(|broker| broker.0).collect(),
            adding: ids(&state.adding),
            removing: ids(&state.removing),
            in_sync: ids(&state.isr),
            leader: state.leader.0,
            bytes: sizes.get(&(asked.topic_id, asked.partition)).copied(),
        }
    };
    proto::TopicPlacement {
        topic: topic.name.to_string(),
        topic_id: topic.id.0.as_bytes().to_vec(),
        min_in_sync: count(min_in_sync),
        partitions: topic.indexed().map(partition).collect(),
    }
}

fn ids(brokers: &[BrokerId]) -> Vec<i32> {
    brokers.iter().map(|broker| broker.0).collect()
}

fn reference(topic: &Topic, partition: i32) -> PartitionRef {
    PartitionRef { topic_id: topic.id.0.as_bytes().to_vec(), partition }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::testing::TestBroker;

    #[tokio::test]
    async fn pages_hold_whole_topics_and_follow_one_another() {
        let broker = TestBroker::start().await;
        for (name, partitions) in [("c", 1), ("a", 3), ("b", 4)] {
            broker.create_topic(name, partitions, &[]).await;
        }
        let image = broker.controller.image();
        let names = |after: &str, limit| {
            let (page, has_more) = page(&image, after, limit);
            (page.iter().map(|topic| topic.name.to_string()).collect::<Vec<_>>().join(" "), has_more)
        };
        assert_eq!(names("", 3), ("a".to_owned(), true));
        assert_eq!(names("", 4), ("a b".to_owned(), true));
        assert_eq!(names("a", 5), ("b c".to_owned(), false));
        assert_eq!(names("", 100), ("a b c".to_owned(), false));
        assert_eq!(names("c", 100), (String::new(), false));
    }
}

//! Which partition of `__share_group_state` keeps a share partition, and who leads that.

use ottla_core::BrokerId;
use ottla_core::controller::internal_topics::SHARE_GROUP_STATE;
use ottla_core::metadata::Image;
use ottla_core::share::Key;
use ottla_storage::{id_of_text, id_text};

use crate::coordinator::partition_of;

/// The name by which clients ask for the coordinator of `key`: `group:topic id:partition`.
fn coordinator_key(key: &Key) -> String {
    format!("{}:{}:{}", key.group, id_text(key.topic.0), key.partition)
}

/// Whether `text` is such a name. A group's id may have colons.
pub fn is_coordinator_key(text: &str) -> bool {
    let mut parts = text.rsplitn(3, ':');
    let (partition, topic, group) = (parts.next(), parts.next(), parts.next());
    partition.is_some_and(|partition| partition.parse::<i32>().is_ok())
        && topic.is_some_and(|topic| id_of_text(topic).is_some())
        && group.is_some_and(|group| !group.trim().is_empty())
}

/// The partition that keeps `key`; none while there is no such topic.
pub fn state_partition(image: &Image, key: &Key) -> Option<i32> {
    let topic = image.topic(SHARE_GROUP_STATE)?;
    Some(partition_of(&coordinator_key(key), i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)))
}

/// Which broker coordinates `key`; none while there is no such topic, or nobody leads the partition.
pub fn coordinator_of(image: &Image, key: &Key) -> Option<BrokerId> {
    let partition = state_partition(image, key)?;
    let leader = image.topic(SHARE_GROUP_STATE)?.partition(partition)?.leader;
    (leader != BrokerId::NONE).then_some(leader)
}

#[cfg(test)]
mod tests {
    use ottla_core::TopicId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_share_partition_is_asked_for_by_group_topic_and_partition() {
        let key = Key::new("a:b", TopicId(Uuid::from_u128(1)), 3);
        assert_eq!(coordinator_key(&key), "a:b:AAAAAAAAAAAAAAAAAAAAAQ:3");
        assert!(is_coordinator_key(&coordinator_key(&key)));
        for malformed in [
            "",
            "g",
            "g:AAAAAAAAAAAAAAAAAAAAAQ",
            ":AAAAAAAAAAAAAAAAAAAAAQ:0",
            "g:topic:0",
            "g:AAAAAAAAAAAAAAAAAAAAAQ:x",
        ] {
            assert!(!is_coordinator_key(malformed), "{malformed}");
        }
    }
}

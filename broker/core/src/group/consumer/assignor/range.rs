//! Each topic by itself: its partitions in order, cut into ranges for its subscribers in order. Members with an instance
//! id come by that, so that their ranges outlive a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Partitions, Question, Subscriber};

/// Linear in partitions, and in members for each topic.
pub(super) fn assign(question: &Question<'_>) -> BTreeMap<Arc<str>, Partitions> {
    let mut shares: BTreeMap<Arc<str>, Partitions> =
        question.members.iter().map(|member| (Arc::clone(member.id), Partitions::default())).collect();
    let mut members: Vec<&Subscriber<'_>> = question.members.iter().collect();
    // Static members first, as none compares greater than some here.
    members.sort_by_key(|member| (member.instance_id.is_none(), member.instance_id, member.id));
    for (topic, count) in &question.topics {
        let subscribers: Vec<_> = members.iter().filter(|member| member.topics.contains(topic)).collect();
        let mut first = 0;
        for (position, member) in subscribers.iter().enumerate() {
            let count = usize::try_from(*count).unwrap_or(0);
            let larger = usize::from(position < count % subscribers.len());
            let next = first + count / subscribers.len() + larger;
            if let Some(share) = shares.get_mut(member.id) {
                share.extend((first..next).filter_map(|partition| Some((*topic, i32::try_from(partition).ok()?))));
            }
            first = next;
        }
    }
    shares
}

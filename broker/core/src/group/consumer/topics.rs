//! Which groups a change of the cluster's topics concerns.

use super::group::Group;
use super::pattern::Pattern;
use crate::metadata::{Topic, Topics};

/// Marks the groups that subscribe to what differs between two sets of topics.
pub(crate) fn mark_stale<'a>(groups: impl Iterator<Item = &'a mut Group>, before: &Topics, after: &Topics) {
    let mut fresh = groups.filter(|group| !group.is_stale).peekable();
    if fresh.peek().is_none() {
        return;
    }
    let changes = changed_topics(before, after);
    if changes.is_empty() {
        return;
    }
    for group in fresh {
        let patterns: Vec<Pattern> = group.regexes().filter_map(|(text, _)| Pattern::new(text).ok()).collect();
        group.is_stale = changes.iter().any(|(name, is_new)| {
            group.is_subscribed(name) || *is_new && patterns.iter().any(|pattern| pattern.matches(name))
        });
    }
}

/// The names of topics that came, went or got other partitions; true for those that came.
pub(in crate::group) fn changed_topics<'a>(before: &'a Topics, after: &'a Topics) -> Vec<(&'a str, bool)> {
    let size = |topic: &Topic| topic.partitions.len();
    let changes = Topics::differences(before, after).filter_map(|pair| match pair {
        (Some(before), Some(after)) if size(before) == size(after) => None,
        (before, after) => after.or(before).map(|topic| (topic.name.as_str(), before.is_none())),
    });
    changes.collect()
}

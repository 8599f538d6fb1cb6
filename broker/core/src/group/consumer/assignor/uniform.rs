//! All members subscribe to the same topics: a quota for each, kept where it is, the rest handed out.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{Partitions, Question};

/// Linear in members and partitions.
pub(super) fn assign(question: &Question<'_>) -> BTreeMap<Arc<str>, Partitions> {
    let members = question.members.len();
    if members == 0 {
        return BTreeMap::new();
    }
    let total = question.partitions().count();
    let (quota, mut larger) = (total / members, total % members);
    let mut kept = HashSet::with_capacity(total);
    let mut shares: Vec<Partitions> = Vec::with_capacity(members);
    for member in &question.members {
        let fitting = member.target.iter().filter(|(topic, partition)| question.fits(member, *topic, *partition));
        let mut share: Vec<_> = fitting.filter(|partition| !kept.contains(partition)).take(quota + 1).collect();
        // One more than the quota is for as many members as there are partitions left over.
        if share.len() > quota {
            if larger == 0 {
                share.truncate(quota);
            } else {
                larger -= 1;
            }
        }
        kept.extend(share.iter().copied());
        shares.push(share.into_iter().collect());
    }
    let mut rest = question.partitions().filter(|partition| !kept.contains(partition));
    for share in &mut shares {
        let missing = quota.saturating_sub(share.len());
        share.extend(rest.by_ref().take(missing));
    }
    for share in shares.iter_mut().filter(|share| share.len() == quota) {
        share.extend(rest.by_ref().take(1));
    }
    question.members.iter().map(|member| Arc::clone(member.id)).zip(shares).collect()
}

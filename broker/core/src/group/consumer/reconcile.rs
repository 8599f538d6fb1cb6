//! The next step of one member towards its target (KIP-848): first it gives up what is no longer its own and says so,
//! only then does it get what is free. So no partition is ever with two members.

use super::Partitions;
use super::member::{Current, Progress};
use crate::TopicId;

/// What a member is to have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The epoch it is for.
    pub(crate) epoch: i32,
    pub(crate) partitions: &'a Partitions,
}

/// Where the member stands next; the same if it has to wait. `owned` is what it says it owns, if it says; `is_free`
/// tells whether no other member has a partition.
pub(crate) fn reconcile(
    current: &Current,
    target: Target<'_>,
    owned: Option<&Partitions>,
    is_free: impl Fn(TopicId, i32) -> bool,
) -> Current {
    match current.progress {
        Progress::Stable if current.epoch == target.epoch => current.clone(),
        Progress::Stable | Progress::UnreleasedPartitions => next(current, current.epoch, target, owned, is_free),
        Progress::UnrevokedPartitions if still_owns(owned, &current.revoking) => current.clone(),
        // It has given up what it had to, so it is a step further, whatever the next target is.
        Progress::UnrevokedPartitions => {
            let epoch = current.epoch.saturating_add(1).min(target.epoch);
            next(current, epoch, target, owned, is_free)
        }
        Progress::Unknown => next(current, target.epoch, target, owned, is_free),
    }
}

/// One that does not say is taken to own everything still.
fn still_owns(owned: Option<&Partitions>, revoking: &Partitions) -> bool {
    owned.is_none_or(|owned| revoking.iter().any(|(topic, partition)| owned.contains(topic, partition)))
}

fn next(
    current: &Current,
    epoch: i32,
    target: Target<'_>,
    owned: Option<&Partitions>,
    is_free: impl Fn(TopicId, i32) -> bool,
) -> Current {
    let kept = current.assigned.filter(|topic, partition| target.partitions.contains(topic, partition));
    let revoking = current.assigned.filter(|topic, partition| !target.partitions.contains(topic, partition));
    if !revoking.is_empty() && still_owns(owned, &revoking) {
        let progress = Progress::UnrevokedPartitions;
        return Current { progress, assigned: kept, revoking, ..current.in_epoch(epoch) };
    }
    let mut is_complete = true;
    let mut assigned = kept;
    for (topic, partition) in target.partitions.iter() {
        if assigned.contains(topic, partition) || is_free(topic, partition) {
            assigned.insert(topic, partition);
        } else {
            is_complete = false;
        }
    }
    let progress = if is_complete { Progress::Stable } else { Progress::UnreleasedPartitions };
    Current { progress, assigned, revoking: Partitions::default(), ..current.in_epoch(target.epoch) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const T: TopicId = TopicId(Uuid::from_u128(7));

    fn set(partitions: &[i32]) -> Partitions {
        partitions.iter().map(|partition| (T, *partition)).collect()
    }

    fn stable(epoch: i32, assigned: &[i32]) -> Current {
        Current { epoch, previous_epoch: epoch - 1, assigned: set(assigned), ..Current::default() }
    }

    fn run(current: &Current, epoch: i32, target: &[i32], owned: Option<&[i32]>, with_others: &[i32]) -> Current {
        let (target, owned) = (set(target), owned.map(set));
        let target = Target { epoch, partitions: &target };
        reconcile(current, target, owned.as_ref(), |_, partition| !with_others.contains(&partition))
    }

    #[test]
    fn a_member_in_its_target_epoch_stays() {
        let current = stable(5, &[1, 2]);
        assert_eq!(run(&current, 5, &[1, 2], None, &[]), current);
    }

    #[test]
    fn what_is_free_is_given_at_once_in_the_target_epoch() {
        let next = run(&stable(5, &[1]), 6, &[1, 2], None, &[]);
        assert_eq!(next, Current { epoch: 6, previous_epoch: 5, assigned: set(&[1, 2]), ..Current::default() });
    }

    #[test]
    fn what_another_member_has_is_waited_for_in_the_target_epoch() {
        let waiting = run(&stable(5, &[1]), 6, &[1, 2], None, &[2]);
        let progress = Progress::UnreleasedPartitions;
        assert_eq!(waiting, Current { progress, ..Current { previous_epoch: 5, ..stable(6, &[1]) } });
        // Later it is free.
        let stable = run(&waiting, 6, &[1, 2], None, &[]);
        assert_eq!((stable.progress, stable.epoch, stable.assigned), (Progress::Stable, 6, set(&[1, 2])));
    }

    #[test]
    fn partitions_are_given_up_before_any_is_given_and_in_the_old_epoch() {
        let revoking = run(&stable(5, &[1, 2]), 6, &[2, 3], None, &[]);
        let progress = Progress::UnrevokedPartitions;
        assert_eq!(revoking, Current { progress, revoking: set(&[1]), ..stable(5, &[2]) });
        assert_eq!(run(&revoking, 6, &[2, 3], None, &[]), revoking, "the member does not say what it owns");
        assert_eq!(run(&revoking, 6, &[2, 3], Some(&[1, 2]), &[]), revoking, "the member owns it still");
        let done = run(&revoking, 6, &[2, 3], Some(&[2]), &[]);
        assert_eq!((done.epoch, done.progress, done.assigned), (6, Progress::Stable, set(&[2, 3])));
        assert!(done.revoking.is_empty());
    }

    #[test]
    fn one_that_gave_up_for_an_old_target_gives_up_for_the_new_one_a_step_further() {
        let revoking = run(&stable(5, &[1, 2]), 6, &[2], None, &[]);
        let again = run(&revoking, 8, &[3], Some(&[2]), &[]);
        assert_eq!((again.epoch, again.previous_epoch), (6, 5));
        assert_eq!(
            (again.progress, again.assigned, again.revoking),
            (Progress::UnrevokedPartitions, set(&[]), set(&[2]))
        );
    }

    #[test]
    fn a_member_that_does_not_own_what_it_should_give_up_has_given_it_up() {
        let next = run(&stable(5, &[1]), 6, &[2], Some(&[]), &[]);
        assert_eq!((next.epoch, next.progress, next.assigned), (6, Progress::Stable, set(&[2])));
    }

    #[test]
    fn what_a_member_was_giving_up_may_be_its_own_again() {
        let revoking = run(&stable(5, &[1, 2]), 6, &[2], None, &[]);
        let back = run(&revoking, 7, &[1, 2], Some(&[2]), &[]);
        assert_eq!((back.epoch, back.progress, back.assigned), (7, Progress::Stable, set(&[1, 2])));
    }

    #[test]
    fn a_member_in_a_state_of_another_release_begins_anew() {
        let unknown = Current { progress: Progress::Unknown, ..stable(5, &[1]) };
        let next = run(&unknown, 6, &[1, 2], Some(&[]), &[]);
        assert_eq!((next.epoch, next.progress, next.assigned), (6, Progress::Stable, set(&[1, 2])));
    }
}

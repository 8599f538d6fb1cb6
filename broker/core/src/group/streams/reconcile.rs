//! The next step of one member towards its target (KIP-1071): first it gives up what is no longer its own and says so,
//! only then does it get what is free. So no task is ever active on two members, nor twice in one process.

use std::sync::Arc;

use super::member::{Current, Progress};
use super::tasks::{Role, TaskSets};

/// What a member is to have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The epoch it is for.
    pub(crate) epoch: i32,
    pub(crate) tasks: &'a TaskSets,
}

/// Where the member stands next; the same if it has to wait. `owned` is what it says it owns, if it says; `is_free`
/// tells whether a task may be given to it in a role as far as other members are concerned.
pub(crate) fn reconcile(
    current: &Current,
    target: Target<'_>,
    owned: Option<&TaskSets>,
    is_free: impl Fn(Role, &Arc<str>, i32) -> bool,
) -> Current {
    match current.progress {
        Progress::Stable if current.epoch == target.epoch => current.clone(),
        Progress::Stable | Progress::UnreleasedTasks => next(current, current.epoch, target, owned, is_free),
        Progress::UnrevokedTasks if still_owns(owned, &current.revoking) => current.clone(),
        // It has given up what it had to, so it is a step further, whatever the next target is.
        Progress::UnrevokedTasks => {
            let epoch = current.epoch.saturating_add(1).min(target.epoch);
            next(current, epoch, target, owned, is_free)
        }
        Progress::Unknown => next(current, target.epoch, target, owned, is_free),
    }
}

/// One that does not say is taken to own everything still.
fn still_owns(owned: Option<&TaskSets>, revoking: &TaskSets) -> bool {
    owned.is_none_or(|owned| revoking.intersects(owned))
}

fn next(
    current: &Current,
    epoch: i32,
    target: Target<'_>,
    owned: Option<&TaskSets>,
    is_free: impl Fn(Role, &Arc<str>, i32) -> bool,
) -> Current {
    let (mut kept, mut revoking) = (TaskSets::default(), TaskSets::default());
    for (role, subtopology, partition) in current.assigned.iter() {
        let stays = target.tasks.of(role).contains(subtopology, partition);
        let set = if stays { &mut kept } else { &mut revoking };
        set.of_mut(role).insert((Arc::clone(subtopology), partition));
    }
    if !revoking.is_empty() && still_owns(owned, &revoking) {
        let progress = Progress::UnrevokedTasks;
        return Current { progress, assigned: kept, revoking, ..current.in_epoch(epoch) }.date();
    }
    let mut is_complete = true;
    let mut assigned = kept;
    for (role, subtopology, partition) in target.tasks.iter() {
        if assigned.of(role).contains(subtopology, partition) {
            continue;
        }
        if is_free(role, subtopology, partition) {
            assigned.of_mut(role).insert((Arc::clone(subtopology), partition));
        } else {
            is_complete = false;
        }
    }
    let progress = if is_complete { Progress::Stable } else { Progress::UnreleasedTasks };
    Current { progress, assigned, revoking: TaskSets::default(), ..current.in_epoch(target.epoch) }.date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(active: &[i32], standby: &[i32]) -> TaskSets {
        let tasks = |indexes: &[i32]| indexes.iter().map(|index| ("0".into(), *index)).collect();
        TaskSets { active: tasks(active), standby: tasks(standby), ..TaskSets::default() }
    }

    fn stable(epoch: i32, active: &[i32], standby: &[i32]) -> Current {
        Current { epoch, previous_epoch: epoch - 1, assigned: sets(active, standby), ..Current::default() }.date()
    }

    fn run(current: &Current, epoch: i32, target: &TaskSets, owned: Option<&TaskSets>, taken: &[i32]) -> Current {
        reconcile(current, Target { epoch, tasks: target }, owned, |_, _, partition| !taken.contains(&partition))
    }

    #[test]
    fn a_member_in_its_target_epoch_stays() {
        let current = stable(5, &[1], &[2]);
        assert_eq!(run(&current, 5, &sets(&[1], &[2]), None, &[]), current);
    }

    #[test]
    fn what_is_free_is_given_at_once_in_the_target_epoch() {
        let next = run(&stable(5, &[1], &[]), 7, &sets(&[1, 2], &[3]), None, &[]);
        assert_eq!((next.epoch, next.previous_epoch, next.progress), (7, 5, Progress::Stable));
        assert_eq!(next.assigned, sets(&[1, 2], &[3]));
        assert_eq!(next.since, [(("0".into(), 1), 5), (("0".into(), 2), 7)].into());
    }

    #[test]
    fn what_others_have_is_waited_for_in_the_target_epoch() {
        let waiting = run(&stable(5, &[1], &[]), 6, &sets(&[1, 2], &[]), None, &[2]);
        assert_eq!((waiting.epoch, waiting.progress), (6, Progress::UnreleasedTasks));
        assert_eq!(waiting.assigned, sets(&[1], &[]));
        let done = run(&waiting, 6, &sets(&[1, 2], &[]), None, &[]);
        assert_eq!((done.epoch, done.progress, done.assigned), (6, Progress::Stable, sets(&[1, 2], &[])));
    }

    #[test]
    fn tasks_are_given_up_before_any_is_given_and_in_the_old_epoch() {
        let target = sets(&[2, 3], &[1]);
        let revoking = run(&stable(5, &[1, 2], &[]), 6, &target, None, &[]);
        assert_eq!((revoking.epoch, revoking.progress), (5, Progress::UnrevokedTasks));
        assert_eq!((&revoking.assigned, &revoking.revoking), (&sets(&[2], &[]), &sets(&[1], &[])));
        assert_eq!(run(&revoking, 6, &target, None, &[]), revoking, "the member does not say what it owns");
        assert_eq!(run(&revoking, 6, &target, Some(&sets(&[1, 2], &[])), &[]), revoking, "the member owns it still");
        let done = run(&revoking, 6, &target, Some(&sets(&[2], &[])), &[]);
        assert_eq!((done.epoch, done.progress), (6, Progress::Stable));
        assert_eq!((&done.assigned, &done.revoking), (&target, &TaskSets::default()));
    }

    #[test]
    fn a_copy_becomes_active_only_when_it_was_given_up_as_a_copy() {
        let revoking = run(&stable(5, &[], &[1]), 6, &sets(&[1], &[]), Some(&sets(&[], &[1])), &[]);
        assert_eq!((revoking.epoch, &revoking.revoking), (5, &sets(&[], &[1])));
        let done = run(&revoking, 6, &sets(&[1], &[]), Some(&sets(&[], &[])), &[]);
        assert_eq!((done.epoch, &done.assigned), (6, &sets(&[1], &[])));
    }

    #[test]
    fn a_member_in_a_state_of_another_release_begins_anew() {
        let unknown = Current { progress: Progress::Unknown, ..stable(5, &[1], &[]) };
        let next = run(&unknown, 6, &sets(&[1, 2], &[]), Some(&sets(&[], &[])), &[]);
        assert_eq!((next.epoch, next.progress, next.assigned), (6, Progress::Stable, sets(&[1, 2], &[])));
    }
}

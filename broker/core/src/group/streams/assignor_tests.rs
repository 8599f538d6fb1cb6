//! The assignor: exact answers, and what holds for every answer.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Members by id, with their processes and what they were to have.
#[derive(Clone, Debug, Default)]
struct World {
    members: BTreeMap<Arc<str>, (String, TaskSets)>,
    sizes: BTreeMap<Arc<str>, Size>,
    standbys: u32,
}

impl World {
    fn new(sizes: &[(&str, i32, bool)], standbys: u32) -> Self {
        let size = |(id, tasks, is_stateful): &(&str, i32, bool)| {
            ((*id).into(), Size { tasks: *tasks, is_stateful: *is_stateful })
        };
        Self { members: BTreeMap::new(), sizes: sizes.iter().map(size).collect(), standbys }
    }

    fn join(&mut self, id: &str, process: &str) {
        self.members.insert(id.into(), (process.to_owned(), TaskSets::default()));
    }

    fn assign(&mut self) {
        let candidates = self.members.iter();
        let candidates = candidates.map(|(id, (process_id, target))| Candidate { id, process_id, target });
        let question = Question { candidates: candidates.collect(), sizes: &self.sizes, standbys: self.standbys };
        let targets = assign(&question);
        for (id, target) in targets {
            self.members.get_mut(&id).unwrap().1 = target;
        }
    }

    fn active(&self, id: &str) -> BTreeSet<(String, i32)> {
        let active = self.members[id].1.active.iter();
        active.map(|(subtopology, partition)| (subtopology.to_string(), partition)).collect()
    }

    fn tasks(&self) -> usize {
        self.sizes.values().map(|size| to_count(size.tasks)).sum()
    }

    /// Every task is active once; active tasks are balanced over the members of equal processes; a process has a task
    /// once; there are as many copies as there can be.
    fn check(&self, is_balanced: bool) {
        let mut places: HashMap<Task, (usize, BTreeSet<&str>)> = HashMap::new();
        for (process, target) in self.members.values() {
            for (role, subtopology, partition) in target.iter() {
                let (active, processes) = places.entry((Arc::clone(subtopology), partition)).or_default();
                *active += usize::from(role == Role::Active);
                assert!(processes.insert(process), "{process} has {subtopology}_{partition} twice: {self:?}");
            }
        }
        let processes: BTreeSet<&str> = self.members.values().map(|(process, _)| process.as_str()).collect();
        for task in tasks(&self.sizes, |_| true) {
            let copies = if self.sizes[&task.0].is_stateful { self.standbys as usize } else { 0 };
            let (active, found) = &places[&task];
            assert_eq!(*active, 1, "{task:?} in {self:?}");
            assert_eq!(found.len(), (1 + copies).min(processes.len()), "{task:?} in {self:?}");
        }
        assert_eq!(places.len(), self.tasks());
        let counts = || self.members.values().map(|(_, target)| target.active.len());
        if is_balanced {
            assert!(counts().max().unwrap() - counts().min().unwrap() <= 1, "{self:?}");
        }
    }
}

#[test]
fn the_first_member_gets_all_and_a_second_half_of_each_subtopology() {
    let mut world = World::new(&[("0", 4, false), ("1", 4, true)], 0);
    world.join("a", "p");
    world.assign();
    assert_eq!(world.active("a").len(), 8);
    world.join("b", "q");
    world.assign();
    world.check(true);
    let lower = |id: &str| (0..2).map(move |partition| (id.to_owned(), partition)).collect::<Vec<_>>();
    assert_eq!(world.active("a"), lower("0").into_iter().chain(lower("1")).collect(), "the same partitions");
}

#[test]
fn nobody_gets_nothing_and_nothing_is_given_to_somebody() {
    World::new(&[("0", 4, false)], 1).assign();
    let mut world = World::new(&[], 1);
    world.join("a", "p");
    world.assign();
    assert!(world.members["a"].1.is_empty());
}

#[test]
fn who_has_a_copy_becomes_active() {
    let mut world = World::new(&[("0", 3, true)], 1);
    for id in ["a", "b", "c"] {
        world.join(id, id);
    }
    world.assign();
    world.check(true);
    let of_a = world.active("a");
    let holder = ["b", "c"].into_iter().find(|id| {
        of_a.iter().all(|(subtopology, partition)| world.members[*id].1.standby.contains(subtopology, *partition))
    });
    world.members.remove("a");
    world.assign();
    assert!(of_a.is_subset(&world.active(holder.unwrap())));
}

#[test]
fn larger_processes_get_more() {
    let mut world = World::new(&[("0", 6, false)], 0);
    for (id, process) in [("a1", "p"), ("a2", "p"), ("b1", "q")] {
        world.join(id, process);
    }
    world.assign();
    world.check(true);
    assert_eq!(world.active("b1").len(), 2);
}

#[test]
fn an_assignment_that_fits_stays() {
    let mut world = World::new(&[("0", 5, true), ("1", 3, true)], 1);
    for (id, process) in [("a", "p"), ("b", "q"), ("c", "r")] {
        world.join(id, process);
    }
    world.assign();
    let before = format!("{world:?}");
    world.assign();
    assert_eq!(format!("{world:?}"), before);
}

fn steps() -> impl Strategy<Value = Vec<(bool, usize, usize)>> {
    prop::collection::vec((any::<bool>(), 0usize..8, 0usize..4), 1..12)
}

proptest! {
    /// Members come and go, in processes of several: always every task once, and as many copies as there can be.
    #[test]
    fn every_task_is_active_once_and_copies_are_elsewhere(
        sizes in prop::collection::vec((0i32..7, any::<bool>()), 1..4),
        standbys in 0u32..3,
        steps in steps(),
    ) {
        let ids = ["0", "1", "2", "3"];
        let sizes: Vec<_> = ids.iter().zip(sizes).map(|(id, (tasks, is_stateful))| (*id, tasks, is_stateful)).collect();
        let mut world = World::new(&sizes, standbys);
        for (comes, member, process) in steps {
            let id = format!("m{member}");
            if comes { world.join(&id, &format!("p{process}")) } else { drop(world.members.remove(id.as_str())) }
            if !world.members.is_empty() {
                world.assign();
                world.check(false);
            }
        }
    }

    /// With processes of one member each the active tasks are balanced, and only what must move moves.
    #[test]
    fn members_have_equal_shares_and_keep_what_they_can(
        tasks in 1i32..20,
        standbys in 0u32..2,
        steps in steps(),
    ) {
        let mut world = World::new(&[("0", tasks, true), ("1", 3, false)], standbys);
        for (comes, member, _) in steps {
            let id = format!("m{member}");
            if comes == world.members.contains_key(id.as_str()) {
                continue;
            }
            let gone = if comes { BTreeSet::new() } else { world.active(&id) };
            if comes { world.join(&id, &id) } else { drop(world.members.remove(id.as_str())) }
            if world.members.is_empty() {
                continue;
            }
            let before = world.clone();
            world.assign();
            world.check(true);
            let moved: usize = before.members.keys().map(|id| before.active(id).difference(&world.active(id)).count()).sum();
            // Who came gets its share; of who went only its tasks go elsewhere, and one more each for a new balance.
            let share = world.tasks().div_ceil(world.members.len());
            let bound = if comes { share } else { gone.len().min(world.members.len()) };
            prop_assert!(moved <= bound, "{moved} moved of {before:?} to {world:?}");
        }
    }
}

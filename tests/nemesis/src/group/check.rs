//! Judges what the members believed: nothing is ever owned twice, and after every restart everything is owned once more.
//!
//! Pure: it knows tenures and restarts, and nothing of brokers.

use std::collections::BTreeMap;
use std::fmt;

use super::ledger::Tenure;
use crate::history::Micros;

/// How a member is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A dynamic member leaves, and another one joins in its place.
    Leave,
    /// A static member leaves for a while and comes back.
    Pause,
    /// A dynamic member is gone without a word, and another one joins in its place.
    Kill,
    /// A static member is gone without a word, and comes back.
    KillStatic,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Leave, Self::Pause, Self::Kill, Self::KillStatic];

    /// How the member with this number is restarted: of ten members one of each sort is killed.
    pub fn of(member: usize) -> Self {
        match member % 10 {
            0 => Self::Kill,
            5 => Self::KillStatic,
            odd if odd % 2 == 1 => Self::Pause,
            _ => Self::Leave,
        }
    }

    /// Whether the member has an instance id (KIP-345).
    pub fn is_static(self) -> bool {
        matches!(self, Self::Pause | Self::KillStatic)
    }

    /// Whether the member goes without a word, so that the group knows only when its session is over.
    pub fn is_kill(self) -> bool {
        matches!(self, Self::Kill | Self::KillStatic)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leave => "dynamic, leaves (epoch −1)",
            Self::Pause => "static, leaves for a while (−2)",
            Self::Kill => "dynamic, killed",
            Self::KillStatic => "static, killed",
        })
    }
}

/// A restart of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Whose.
    pub member: usize,
    /// How.
    pub kind: Kind,
    /// When it began.
    pub began: Micros,
    /// From when on the group can know: where a member was killed, the end of its session.
    pub known: Micros,
    /// When the coordinator said that every member has what it is to have.
    pub over: Micros,
}

/// All that is judged of a group.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The partitions are numbered from 0 on.
    pub partitions: i32,
    /// Who owned what.
    pub tenures: Vec<Tenure>,
    /// The restarts, one after the other.
    pub restarts: Vec<Restart>,
}

/// How long a restart took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Whose.
    pub member: usize,
    /// How it was done.
    pub kind: Kind,
    /// From when the group could know to the last change of an owner.
    pub settle: Micros,
    /// The same from the beginning.
    pub whole: Micros,
}

impl History {
    /// What is wrong; nothing if all is well.
    pub fn violations(&self) -> Vec<String> {
        let mut by_partition: BTreeMap<i32, Vec<&Tenure>> = (0..self.partitions).map(|p| (p, Vec::new())).collect();
        self.tenures.iter().for_each(|tenure| by_partition.entry(tenure.partition).or_default().push(tenure));
        let mut found = Vec::new();
        for (partition, mut tenures) in by_partition {
            tenures.sort_by_key(|tenure| tenure.from);
            if !(0..self.partitions).contains(&partition) {
                found.push(format!("partition {partition} does not exist and is owned by {}", tenures[0].member));
            }
            found.extend(owned_twice(partition, &tenures));
            found.extend(self.restarts.iter().filter_map(|restart| unowned(partition, &tenures, restart)));
            if tenures.last().is_none_or(|last| last.to.is_some()) {
                found.push(format!("partition {partition} is owned by nobody at the end"));
            }
        }
        found
    }

    /// How long each restart took, in their order.
    pub fn settled(&self) -> Vec<Settled> {
        let mut begun: Vec<Micros> = self.tenures.iter().map(|tenure| tenure.from).collect();
        begun.sort_unstable();
        let of = |restart: &Restart| {
            let before_end = begun.partition_point(|from| *from <= restart.over);
            let last = begun[..before_end].last().copied().unwrap_or(0);
            let Restart { member, kind, began, known, .. } = *restart;
            Settled { member, kind, settle: last.saturating_sub(known), whole: last.saturating_sub(began) }
        };
        self.restarts.iter().map(of).collect()
    }
}

/// Members that owned a partition at the same time. `tenures` are in the order of their beginnings.
fn owned_twice(partition: i32, tenures: &[&Tenure]) -> Vec<String> {
    let mut found = Vec::new();
    let mut longest: Option<&Tenure> = None;
    for tenure in tenures {
        if let Some(before) = longest
            && before.to.is_none_or(|to| to > tenure.from)
        {
            found.push(format!("partition {partition} is owned by two members: {before:?} and {tenure:?}"));
        }
        let end = |tenure: &Tenure| tenure.to.unwrap_or(Micros::MAX);
        if longest.is_none_or(|before| end(before) <= end(tenure)) {
            longest = Some(tenure);
        }
    }
    found
}

/// Tells if nobody owns the partition when a restart is said to be over.
fn unowned(partition: i32, tenures: &[&Tenure], restart: &Restart) -> Option<String> {
    let owns = |tenure: &&Tenure| tenure.from <= restart.over && tenure.to.is_none_or(|to| to > restart.over);
    let is_owned = tenures.iter().any(owns);
    (!is_owned)
        .then(|| format!("partition {partition} is owned by nobody after the restart of member {}", restart.member))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenure(member: &str, partition: i32, from: Micros, to: Option<Micros>) -> Tenure {
        Tenure { member: member.into(), partition, from, to }
    }

    /// Two partitions; a goes at 100 and b takes over.
    fn good() -> History {
        let tenures = vec![
            tenure("a", 0, 10, Some(100)),
            tenure("b", 1, 10, Some(170)),
            tenure("b", 0, 150, None),
            tenure("c", 1, 190, None),
        ];
        let restarts = vec![Restart { member: 7, kind: Kind::Kill, began: 100, known: 140, over: 200 }];
        History { partitions: 2, tenures, restarts }
    }

    fn only(history: &History) -> String {
        let violations = history.violations();
        assert_eq!(violations.len(), 1, "{violations:?}");
        violations[0].clone()
    }

    #[test]
    fn partitions_that_go_from_one_to_the_other_are_right_and_the_last_of_them_settles_the_restart() {
        let history = good();
        assert_eq!(history.violations(), [""; 0]);
        assert_eq!(history.settled(), [Settled { member: 7, kind: Kind::Kill, settle: 50, whole: 90 }]);
    }

    #[test]
    fn one_that_takes_what_another_has_not_given_up_owns_it_twice() {
        let mut history = good();
        history.tenures[2].from = 99;
        assert!(only(&history).contains("partition 0 is owned by two members"));
        // At the very moment it was given up it may be taken.
        history.tenures[2].from = 100;
        assert_eq!(history.violations(), [""; 0]);
    }

    #[test]
    fn a_long_tenure_is_held_against_all_that_begin_within_it() {
        let mut history = good();
        history.tenures[1].to = None;
        history.tenures.push(tenure("d", 1, 180, Some(185)));
        let violations = history.violations();
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert!(violations.iter().all(|violation| violation.contains("two members: Tenure { member: \"b\"")));
    }

    #[test]
    fn a_partition_that_is_given_up_for_good_is_missed_at_the_end_and_after_the_restart() {
        let mut history = good();
        history.tenures[3].to = Some(300);
        assert!(only(&history).contains("partition 1 is owned by nobody at the end"));
        history.tenures[3].to = Some(195);
        assert_eq!(history.violations().len(), 2);
        history.tenures.remove(3);
        assert!(history.violations()[0].contains("partition 1 is owned by nobody after the restart of member 7"));
    }

    #[test]
    fn a_partition_that_nobody_ever_owned_or_that_does_not_exist_is_told() {
        let mut history = good();
        history.partitions = 3;
        history.restarts.clear();
        assert!(only(&history).contains("partition 2 is owned by nobody at the end"));
        history.partitions = 1;
        assert!(only(&history).contains("partition 1 does not exist"));
    }

    #[test]
    fn a_restart_after_which_nothing_changed_took_no_time() {
        let mut history = good();
        history.restarts[0] = Restart { began: 500, known: 500, over: 600, ..history.restarts[0] };
        assert_eq!(history.settled()[0].settle, 0);
    }

    #[test]
    fn of_ten_members_five_are_static_and_two_are_killed() {
        let kinds: Vec<Kind> = (0..10).map(Kind::of).collect();
        assert_eq!(kinds.iter().filter(|kind| kind.is_static()).count(), 5);
        assert_eq!(kinds.iter().filter(|kind| kind.is_kill()).count(), 2);
        assert!(Kind::ALL.iter().all(|kind| kinds.contains(kind)));
    }
}

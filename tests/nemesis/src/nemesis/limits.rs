//! How long the gaps of trials may be, and which of them were longer.

use std::collections::BTreeMap;

use super::trial::Trial;
use crate::checker::Outage;
use crate::history::Micros;

/// What is asked of the gaps of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of the trial in the middle.
    pub median: Option<Micros>,
    /// Of every trial.
    pub worst: Option<Micros>,
    /// Whether a longer median is a failure, or only told.
    pub median_is_goal: bool,
}

/// The lengths of the trials of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gaps {
    /// The kind.
    pub kind: String,
    /// How they are limited.
    pub limits: Limits,
    /// In the order of the trials.
    pub lengths: Vec<Micros>,
    /// The longest wait where the killed broker held nothing.
    pub elsewhere: Option<Micros>,
    /// Acked records that are lost.
    pub lost: u64,
}

impl Trial {
    /// What is asked of it.
    pub fn limits(self) -> Limits {
        let (half, limits) = (500_000, Limits { median: None, worst: None, median_is_goal: false });
        match self {
            Self::KillLeader | Self::KillFollower | Self::KillController | Self::KillLeaderAndController => {
                Limits { median: Some(half), worst: Some(2_000_000), ..limits }
            }
            Self::FreezeLeader => Limits { worst: Some(4_000_000), ..limits },
            Self::TerminateLeader => Limits { median: Some(50_000), median_is_goal: true, ..limits },
            Self::KillAll => Limits { worst: Some(3_000_000), ..limits },
        }
    }

    /// What counts: where nobody is left to take over, the time from the start of the brokers to the first ack.
    pub fn length(self, outage: &Outage) -> Micros {
        if self == Self::KillAll { outage.comeback } else { outage.gap }
    }
}

impl Gaps {
    /// Those of every kind that was tried.
    pub fn of(outages: &[Outage]) -> Vec<Self> {
        let mut by_name: BTreeMap<&str, Vec<&Outage>> = BTreeMap::new();
        outages.iter().for_each(|outage| by_name.entry(&outage.fault).or_default().push(outage));
        let of_kind = |kind: Trial| {
            let outages = by_name.get(&*kind.to_string())?;
            Some(Self {
                kind: kind.to_string(),
                limits: kind.limits(),
                lengths: outages.iter().map(|outage| kind.length(outage)).collect(),
                elsewhere: outages.iter().filter_map(|outage| outage.elsewhere).map(|wait| wait.length).max(),
                lost: outages.iter().map(|outage| outage.lost).sum(),
            })
        };
        Trial::ALL.into_iter().filter_map(of_kind).collect()
    }

    /// The one in the middle.
    pub fn median(&self) -> Micros {
        let mut sorted = self.lengths.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(0)
    }

    /// The longest.
    pub fn worst(&self) -> Micros {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// What was asked and is not so; names the trials, counted from 1.
    pub fn misses(&self) -> Vec<String> {
        let seconds = |micros: Micros| micros as f64 / 1e6;
        let Limits { median, worst, median_is_goal } = self.limits;
        let longer = |limit: Micros| self.lengths.iter().enumerate().filter(move |(_, length)| **length > limit);
        let mut misses: Vec<String> = worst
            .into_iter()
            .flat_map(|limit| longer(limit).map(move |(trial, length)| (limit, trial + 1, *length)))
            .map(|(limit, trial, length)| {
                format!("{}: trial {trial} took {:.2} s, the limit is {} s", self.kind, seconds(length), seconds(limit))
            })
            .collect();
        if let Some(limit) = median.filter(|limit| !median_is_goal && self.median() > *limit) {
            let median = seconds(self.median());
            misses.push(format!("{}: the median is {median:.2} s, the limit is {} s", self.kind, seconds(limit)));
        }
        misses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Wait;

    fn outage(kind: Trial, gap: Micros, comeback: Micros) -> Outage {
        let elsewhere = Some(Wait { partition: 7, invoked: 0, length: gap / 2 });
        Outage { fault: kind.to_string(), gap, partition: 0, comeback, elsewhere, lost: 1 }
    }

    fn misses(outages: &[Outage]) -> Vec<String> {
        Gaps::of(outages).iter().flat_map(Gaps::misses).collect()
    }

    #[test]
    fn the_trials_of_a_kind_are_told_together() {
        let outages = [
            outage(Trial::KillLeader, 300_000, 9),
            outage(Trial::FreezeLeader, 3_000_000, 9),
            outage(Trial::KillLeader, 100_000, 9),
            outage(Trial::KillLeader, 200_000, 9),
        ];
        let gaps = Gaps::of(&outages);
        assert_eq!(gaps.len(), 2);
        assert_eq!((gaps[0].median(), gaps[0].worst()), (200_000, 300_000));
        assert_eq!((gaps[0].elsewhere, gaps[0].lost), (Some(150_000), 3));
        assert_eq!(misses(&outages), [""; 0]);
    }

    #[test]
    fn a_trial_over_the_limit_is_named_and_so_is_a_median() {
        let outages = [400_000, 2_000_001, 600_000].map(|gap| outage(Trial::KillFollower, gap, 0));
        assert_eq!(
            misses(&outages),
            [
                "kill −9 of a follower: trial 2 took 2.00 s, the limit is 2 s",
                "kill −9 of a follower: the median is 0.60 s, the limit is 0.5 s"
            ]
        );
    }

    #[test]
    fn where_all_are_killed_the_time_from_their_start_counts() {
        assert_eq!(misses(&[outage(Trial::KillAll, 9_000_000, 3_000_000)]), [""; 0]);
        assert_eq!(misses(&[outage(Trial::KillAll, 0, 3_000_001)]).len(), 1);
    }

    #[test]
    fn the_median_of_a_stop_in_order_is_a_goal_and_no_limit() {
        assert_eq!(misses(&[outage(Trial::TerminateLeader, 10_000_000, 0)]), [""; 0]);
    }
}

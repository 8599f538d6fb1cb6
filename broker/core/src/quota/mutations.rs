//! How fast clients may change the cluster (KIP-599): a bucket of tokens for each, of which a partition that is made or
//! deleted takes one.

use std::time::Duration;

use super::accounts::Accounts;
use super::entity::{Limit, QuotaKey};
use super::ledger::Client;
use super::rate::Windows;
use super::table::{QuotaTable, Share, Sharers};

/// A client that changes the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutator {
    /// The user.
    pub user: String,
    /// What the client calls itself; empty if it does not say.
    pub client_id: String,
    /// Whether what is beyond its quota is refused. A client that would not understand is slowed down afterwards instead.
    pub is_strict: bool,
}

impl Mutator {
    fn client(&self) -> Client<'_> {
        Client { user: &self.user, id: &self.client_id }
    }
}

/// What one may still change; none of it is left as soon as more has been taken than was there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    tokens: f64,
}

/// Nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Budget {
    /// That of one who is not limited, or who is slowed down afterwards instead.
    pub const UNLIMITED: Self = Self { tokens: f64::INFINITY };

    /// Takes what making or deleting so many `partitions` costs, however much that is, if anything is left.
    pub fn spend(&mut self, partitions: usize) -> Result<(), Exhausted> {
        if self.tokens < 0.0 {
            return Err(Exhausted);
        }
        self.tokens -= partitions as f64;
        Ok(())
    }
}

/// Tokens that come at the rate of a limit, up to what it gives in all windows.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Duration,
    /// From then on it is as one that nobody has used.
    full_at: Duration,
}

impl Bucket {
    fn full(limit: Limit, windows: Windows, now: Duration) -> Self {
        Self { tokens: limit.get() * windows.all().as_secs_f64(), at: now, full_at: now }
    }

    /// Takes `tokens` from what is there `now`.
    fn take(&mut self, tokens: f64, limit: Limit, windows: Windows, now: Duration) {
        let most = limit.get() * windows.all().as_secs_f64();
        let come = limit.get() * now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + come).min(most) - tokens;
        self.at = now;
        self.full_at = now.saturating_add(time_for(most - self.tokens, limit));
    }
}

fn time_for(tokens: f64, limit: Limit) -> Duration {
    Duration::try_from_secs_f64(tokens.max(0.0) / limit.get()).unwrap_or(Duration::MAX)
}

/// What clients have changed of late.
#[derive(Debug)]
pub struct MutationLedger {
    windows: Windows,
    buckets: Accounts<Sharers, Bucket>,
}

impl MutationLedger {
    /// Nothing changed yet. A client may save up what its quota gives in all `windows`.
    pub fn new(windows: Windows) -> Self {
        Self { windows, buckets: Accounts::default() }
    }

    /// What `by` may still change by `quotas`.
    pub fn budget(&mut self, quotas: &QuotaTable, by: &Mutator, now: Duration) -> Budget {
        let bucket = if by.is_strict { self.take(quotas, by, 0, now) } else { None };
        bucket.map_or(Budget::UNLIMITED, |(bucket, _)| Budget { tokens: bucket.tokens })
    }

    /// Notes that `by` has made or deleted so many `partitions`; gives how long it takes until it may go on.
    pub fn spend(&mut self, quotas: &QuotaTable, by: &Mutator, partitions: usize, now: Duration) -> Duration {
        let taken = self.take(quotas, by, partitions, now);
        taken.map_or(Duration::ZERO, |(bucket, limit)| time_for(-bucket.tokens, limit))
    }

    fn take(&mut self, quotas: &QuotaTable, by: &Mutator, partitions: usize, now: Duration) -> Option<(Bucket, Limit)> {
        let Share { limit, sharers } = quotas.share(QuotaKey::Mutations, by.client())?;
        let windows = self.windows;
        let open = || Bucket::full(limit, windows, now);
        let bucket = self.buckets.of(sharers, open, |bucket| bucket.full_at <= now);
        bucket.take(partitions as f64, limit, windows, now);
        Some((*bucket, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{EntityName, QuotaEntity};

    const SECOND: Duration = Duration::from_secs(1);

    fn by(is_strict: bool) -> Mutator {
        Mutator { user: "u".into(), client_id: "c".into(), is_strict }
    }

    fn quotas(limit: f64) -> QuotaTable {
        let mut table = QuotaTable::default();
        let entity = QuotaEntity { user: Some(EntityName::Default), ..QuotaEntity::default() };
        table.set(&entity, QuotaKey::Mutations, Some(limit.try_into().unwrap()));
        table
    }

    #[test]
    fn a_budget_may_be_overdrawn_once() {
        let mut budget = MutationLedger::new(Windows::default()).budget(&quotas(2.0), &by(true), SECOND);
        assert_eq!(budget.spend(22), Ok(()), "two a second for eleven seconds");
        assert_eq!(budget.spend(1000), Ok(()), "there was nothing left, but no debt either");
        assert_eq!(budget.spend(0), Err(Exhausted));
    }

    #[test]
    fn what_was_overdrawn_is_waited_off() {
        let (mut ledger, quotas) = (MutationLedger::new(Windows::default()), quotas(2.0));
        assert_eq!(ledger.spend(&quotas, &by(true), 22, SECOND), Duration::ZERO);
        assert_eq!(ledger.spend(&quotas, &by(true), 3, SECOND), SECOND * 3 / 2);
        assert!(ledger.budget(&quotas, &by(true), 2 * SECOND).spend(1).is_err());
        assert!(ledger.budget(&quotas, &by(true), SECOND * 5 / 2).spend(1).is_ok());
    }

    #[test]
    fn no_more_is_saved_up_than_all_windows_give() {
        let (mut ledger, quotas) = (MutationLedger::new(Windows::default()), quotas(2.0));
        ledger.spend(&quotas, &by(true), 10, SECOND);
        assert_eq!(ledger.spend(&quotas, &by(true), 23, 1000 * SECOND), SECOND / 2);
    }

    #[test]
    fn who_is_not_to_be_refused_is_told_to_wait_all_the_same() {
        let (mut ledger, quotas) = (MutationLedger::new(Windows::default()), quotas(2.0));
        assert_eq!(ledger.spend(&quotas, &by(false), 24, SECOND), SECOND);
        assert_eq!(ledger.budget(&quotas, &by(false), SECOND), Budget::UNLIMITED);
    }

    #[test]
    fn who_has_no_quota_is_unlimited() {
        let mut ledger = MutationLedger::new(Windows::default());
        assert_eq!(ledger.budget(&QuotaTable::default(), &by(true), SECOND), Budget::UNLIMITED);
        assert_eq!(ledger.spend(&QuotaTable::default(), &by(true), 1 << 20, SECOND), Duration::ZERO);
    }
}

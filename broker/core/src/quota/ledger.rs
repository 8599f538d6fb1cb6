//! Who has used how much, and for how long each is to be held back.

use std::sync::Arc;
use std::time::Duration;

use super::accounts::Accounts;
use super::entity::QuotaKey;
use super::rate::{Rate, Windows};
use super::table::{QuotaTable, Sharers};

/// Who uses something.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The user.
    pub user: &'a str,
    /// What the client calls itself; empty if it does not say.
    pub id: &'a str,
}

/// What clients have used of one thing, beside the quotas of it.
#[derive(Debug)]
pub struct Ledger {
    key: QuotaKey,
    windows: Windows,
    quotas: Arc<QuotaTable>,
    rates: Accounts<Sharers, Rate>,
}

impl Ledger {
    /// Of what is limited by quotas of `key`; none is set yet.
    pub fn new(key: QuotaKey, windows: Windows) -> Self {
        Self { key, windows, quotas: Arc::default(), rates: Accounts::default() }
    }

    /// Goes by `quotas` from now on. What was used before counts beside them too.
    pub fn heed(&mut self, quotas: &Arc<QuotaTable>) {
        self.quotas = Arc::clone(quotas);
    }

    /// Notes that `client` has used `amount`; gives how long it is to be held back for it.
    pub fn add(&mut self, client: Client<'_>, amount: f64, now: Duration) -> Duration {
        let windows = self.windows;
        let Some(share) = self.quotas.share(self.key, client) else { return Duration::ZERO };
        let rate = self.rates.of(share.sharers, Rate::default, |rate| rate.is_over(windows, now));
        rate.add(amount, windows, now);
        rate.excess(share.limit, windows, now)
    }

    /// The most that `client` should get at once: what it may use in the whole windows that a rate is measured over, so
    /// that it is not held back for longer than those; none if nothing limits it.
    pub fn most_at_once(&self, client: Client<'_>) -> Option<f64> {
        let share = self.quotas.share(self.key, client)?;
        Some(share.limit.get() * self.windows.whole().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{EntityName, QuotaEntity};

    const SECOND: Duration = Duration::from_secs(1);

    fn every_client(limit: f64) -> Arc<QuotaTable> {
        let mut table = QuotaTable::default();
        let entity = QuotaEntity { client_id: Some(EntityName::Default), ..QuotaEntity::default() };
        table.set(&entity, QuotaKey::Produced, Some(limit.try_into().unwrap()));
        Arc::new(table)
    }

    fn ledger(key: QuotaKey) -> Ledger {
        let mut ledger = Ledger::new(key, Windows::default());
        ledger.heed(&every_client(1000.0));
        ledger
    }

    fn client(id: &str) -> Client<'_> {
        Client { user: "u", id }
    }

    #[test]
    fn each_client_of_a_default_has_its_own_share() {
        let mut ledger = ledger(QuotaKey::Produced);
        assert_eq!(ledger.add(client("a"), 11_000.0, SECOND), SECOND);
        assert_eq!(ledger.add(client("b"), 10_000.0, SECOND), Duration::ZERO);
        assert_eq!(ledger.add(client("a"), 1_000.0, SECOND), 2 * SECOND);
        assert_eq!(ledger.most_at_once(client("a")), Some(10_000.0));
    }

    #[test]
    fn who_has_no_quota_is_not_held_back() {
        let mut consumed = ledger(QuotaKey::Consumed);
        assert_eq!(consumed.add(client("a"), 1e12, SECOND), Duration::ZERO);
        assert_eq!(consumed.most_at_once(client("a")), None);
        let mut produced = ledger(QuotaKey::Produced);
        produced.heed(&Arc::default());
        assert_eq!(produced.add(client("a"), 1e12, SECOND), Duration::ZERO);
    }

    #[test]
    fn a_limit_that_is_changed_counts_for_what_was_used_before() {
        let mut ledger = ledger(QuotaKey::Produced);
        assert_eq!(ledger.add(client("a"), 20_000.0, SECOND), 10 * SECOND);
        ledger.heed(&every_client(2000.0));
        assert_eq!(ledger.add(client("a"), 0.0, SECOND), Duration::ZERO);
    }
}

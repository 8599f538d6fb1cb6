//! How many connections an address may make a second (KIP-612).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::accounts::Accounts;
use super::rate::{Rate, Windows};
use super::table::QuotaTable;

/// The connections that addresses have made of late.
#[derive(Debug)]
pub struct ConnectionLedger {
    windows: Windows,
    quotas: Arc<QuotaTable>,
    rates: Accounts<IpAddr, Rate>,
}

impl ConnectionLedger {
    /// None made yet, and no quota set.
    pub fn new(windows: Windows) -> Self {
        Self { windows, quotas: Arc::default(), rates: Accounts::default() }
    }

    /// Goes by `quotas` from now on.
    pub fn heed(&mut self, quotas: &Arc<QuotaTable>) {
        self.quotas = Arc::clone(quotas);
    }

    /// Whether a connection from `address` may be made now; it is noted then. Gives otherwise how long it takes until one
    /// may, a window at most.
    pub fn admit(&mut self, address: IpAddr, now: Duration) -> Result<(), Duration> {
        let (windows, address) = (self.windows, address.to_canonical());
        let Some(limit) = self.quotas.of_address(address) else { return Ok(()) };
        let rate = self.rates.of(address, Rate::default, |rate| rate.is_over(windows, now));
        rate.add(1.0, windows, now);
        let excess = rate.excess(limit, windows, now);
        if excess.is_zero() {
            return Ok(());
        }
        rate.add(-1.0, windows, now);
        Err(excess.min(windows.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{EntityName, Limit, QuotaEntity, QuotaKey};

    const SECOND: Duration = Duration::from_secs(1);

    fn ledger(quotas: &[(EntityName, f64)]) -> ConnectionLedger {
        let mut table = QuotaTable::default();
        for (ip, limit) in quotas {
            let entity = QuotaEntity { ip: Some(ip.clone()), ..QuotaEntity::default() };
            table.set(&entity, QuotaKey::Connections, Some(Limit::try_from(*limit).unwrap()));
        }
        let mut ledger = ConnectionLedger::new(Windows { count: 3, length: SECOND });
        ledger.heed(&Arc::new(table));
        ledger
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_makes_what_its_windows_allow_and_what_is_turned_away_does_not_count() {
        let mut ledger = ledger(&[(EntityName::Default, 2.0)]);
        let mut admitted = |text, millis| ledger.admit(address(text), SECOND + Duration::from_millis(millis));
        for _ in 0..4 {
            assert_eq!(admitted("10.0.0.1", 0), Ok(()));
        }
        for _ in 0..10 {
            assert_eq!(admitted("10.0.0.1", 0), Err(SECOND / 2));
        }
        assert_eq!(admitted("10.0.0.2", 0), Ok(()), "each has its own share of a default");
        assert_eq!(admitted("::ffff:10.0.0.1", 250), Err(SECOND / 4), "the same, on a socket of both families");
        assert_eq!(admitted("10.0.0.1", 500), Ok(()));
    }

    #[test]
    fn an_address_with_a_quota_of_its_own_goes_by_that() {
        let mut ledger = ledger(&[(EntityName::Named("::1".into()), 0.1), (EntityName::Default, 100.0)]);
        assert_eq!(ledger.admit(address("::1"), SECOND), Err(SECOND));
        assert_eq!(ledger.admit(address("::2"), SECOND), Ok(()));
    }

    #[test]
    fn an_address_without_a_quota_is_admitted() {
        let mut ledger = ledger(&[(EntityName::Named("10.0.0.1".into()), 0.1)]);
        assert_eq!(ledger.admit(address("10.0.0.2"), SECOND), Ok(()));
    }
}

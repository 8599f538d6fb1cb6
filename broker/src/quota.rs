//! Holds clients back that use more than their quota (KIP-13, KIP-124, KIP-219, KIP-612): the rule is
//! [`ottla_core::quota`], here are its clock and its locks.
//!
//! While no quota of a kind is set, a request looks at one number and goes on.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use ottla_core::metadata::Image;
use ottla_core::quota::{Client, ConnectionLedger, Ledger, Mutator, QuotaKey, QuotaTable, Windows};
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::config::Config;
use crate::net::Peer;

/// The user that whoever has not authenticated is, as in Kafka; nobody can yet.
const ANONYMOUS: &str = "ANONYMOUS";

/// What the clients of this broker have used, and what they may.
#[derive(Debug)]
pub struct Quotas {
    clock: Clock,
    /// A bit for each key that a quota is set of.
    keys: AtomicU8,
    quotas: Mutex<Arc<QuotaTable>>,
    produced: Mutex<Ledger>,
    consumed: Mutex<Ledger>,
    worked: Mutex<Ledger>,
    connected: Mutex<ConnectionLedger>,
    /// The longest that a client is held back because of the time its requests took.
    longest_for_work: Duration,
}

impl Default for Quotas {
    /// Nothing used, and measured as Kafka does.
    fn default() -> Self {
        Self::new(Windows::default(), Clock::new())
    }
}

impl Quotas {
    /// Nothing used yet, and no quota set.
    pub fn new(windows: Windows, clock: Clock) -> Self {
        let ledger = |key| Mutex::new(Ledger::new(key, windows));
        Self {
            clock,
            keys: AtomicU8::new(0),
            quotas: Mutex::default(),
            produced: ledger(QuotaKey::Produced),
            consumed: ledger(QuotaKey::Consumed),
            worked: ledger(QuotaKey::RequestTime),
            connected: Mutex::new(ConnectionLedger::new(windows)),
            longest_for_work: windows.length,
        }
    }

    /// Goes by the quotas of `image` from now on.
    pub fn follow(&self, image: &Image) {
        let mut known = self.quotas.lock();
        if !Arc::ptr_eq(&known, image.quotas()) {
            *known = Arc::clone(image.quotas());
            self.produced.lock().heed(&known);
            self.consumed.lock().heed(&known);
            self.worked.lock().heed(&known);
            self.connected.lock().heed(&known);
            let keys = known.iter().flat_map(|(_, quotas)| quotas.keys());
            self.keys.store(keys.fold(0, |keys, key| keys | bit(*key)), Ordering::Release);
        }
    }

    /// A produce request of `bytes` has come; gives for how many milliseconds its connection is held back.
    pub fn produced(&self, peer: &Peer, client_id: &str, bytes: usize) -> i32 {
        hold_back(peer, self.used(QuotaKey::Produced, &self.produced, client_id, bytes as f64))
    }

    /// Records of `bytes` are on their way to a consumer; gives for how many milliseconds its connection is held back.
    pub fn consumed(&self, peer: &Peer, client_id: &str, bytes: usize) -> i32 {
        hold_back(peer, self.used(QuotaKey::Consumed, &self.consumed, client_id, bytes as f64))
    }

    /// Whether the time that requests take counts.
    pub fn count_time(&self) -> bool {
        self.has(QuotaKey::RequestTime)
    }

    /// A request has taken `time` of a thread; gives for how many milliseconds its connection is held back.
    pub fn worked(&self, peer: &Peer, client_id: &str, time: Duration) -> i32 {
        let percent = time.as_secs_f64() * 100.0;
        let excess = self.used(QuotaKey::RequestTime, &self.worked, client_id, percent);
        hold_back(peer, excess.min(self.longest_for_work))
    }

    /// The most bytes that one answer to a consumer should have.
    pub fn most_consumed_at_once(&self, client_id: &str) -> usize {
        if !self.has(QuotaKey::Consumed) {
            return usize::MAX;
        }
        // A float becomes the nearest number of bytes there is.
        self.consumed.lock().most_at_once(client(client_id)).map_or(usize::MAX, |bytes| bytes as usize)
    }

    /// Whether a connection from `address` is taken; how long it is kept waiting before it is closed otherwise (KIP-612).
    pub fn admit(&self, address: IpAddr) -> Result<(), Duration> {
        match self.has(QuotaKey::Connections) {
            true => self.connected.lock().admit(address, self.clock.now().monotonic),
            false => Ok(()),
        }
    }

    fn used(&self, key: QuotaKey, ledger: &Mutex<Ledger>, client_id: &str, amount: f64) -> Duration {
        match self.has(key) {
            true => ledger.lock().add(client(client_id), amount, self.clock.now().monotonic),
            false => Duration::ZERO,
        }
    }

    fn has(&self, key: QuotaKey) -> bool {
        self.keys.load(Ordering::Acquire) & bit(key) != 0
    }
}

fn bit(key: QuotaKey) -> u8 {
    1 << key as u8
}

fn client(id: &str) -> Client<'_> {
    Client { user: ANONYMOUS, id }
}

/// A client that changes the cluster, by whose quota the controller decides.
pub fn mutator(client_id: &str, is_strict: bool) -> Mutator {
    let Client { user, id } = client(client_id);
    Mutator { user: user.to_owned(), client_id: id.to_owned(), is_strict }
}

/// Holds the connection back for `time` in whole milliseconds, which are given: so much the client is told.
pub fn hold_back(peer: &Peer, time: Duration) -> i32 {
    if time.is_zero() {
        return 0;
    }
    let milliseconds = (time.as_secs_f64() * 1000.0).round() as i32;
    peer.hold_back(Duration::from_millis(milliseconds.unsigned_abs().into()));
    milliseconds
}

/// How `config` has the use by clients measured.
pub fn windows(config: &Config) -> Windows {
    let Windows { count, length } = Windows::default();
    Windows {
        count: setting(config, "quota.window.num").unwrap_or(count),
        length: setting(config, "quota.window.size.seconds").map_or(length, Duration::from_secs),
    }
}

fn setting<T: FromStr>(config: &Config, key: &str) -> Option<T> {
    config.fixed.get(key)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use ottla_core::metadata::Record;
    use ottla_core::quota::{EntityName, QuotaEntity};

    use super::*;

    fn limited(key: QuotaKey) -> Quotas {
        let quotas = Quotas::new(Windows::default(), Clock::new());
        let entity = QuotaEntity { user: Some(EntityName::Named(ANONYMOUS.into())), ..QuotaEntity::default() };
        let mut image = Image::default();
        image.apply(&Record::QuotaChanged { entity, key, limit: Some(1000.0.try_into().unwrap()) }).unwrap();
        quotas.follow(&image);
        quotas
    }

    fn peer() -> Peer {
        Peer::new(([127, 0, 0, 1], 9).into(), "PLAINTEXT".into())
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_key_that_is_limited_holds_a_client_back() {
        let (quotas, peer) = (limited(QuotaKey::Produced), peer());
        assert_eq!(quotas.consumed(&peer, "c", 20_000), 0);
        assert_eq!(quotas.most_consumed_at_once("c"), usize::MAX);
        assert_eq!(peer.held_until(), None);
        let told = quotas.produced(&peer, "c", 20_000);
        assert_eq!(told, 10_000);
        let until = tokio::time::Instant::now() + Duration::from_secs(10);
        assert_eq!(peer.held_until(), Some(until));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(peer.held_until(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_too_much_time_is_held_back_for_a_window_at_most() {
        // A thousand percent are ten threads.
        for (seconds, told) in [(100, 0), (105, 500), (500, 1000)] {
            let quotas = limited(QuotaKey::RequestTime);
            assert!(quotas.count_time());
            assert_eq!(quotas.worked(&peer(), "c", Duration::from_secs(seconds)), told);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn quotas_that_are_taken_away_count_no_more() {
        let (quotas, peer) = (limited(QuotaKey::Consumed), peer());
        assert_eq!(quotas.most_consumed_at_once("c"), 10_000);
        quotas.follow(&Image::default());
        assert_eq!(quotas.consumed(&peer, "c", 20_000), 0);
        assert_eq!(quotas.most_consumed_at_once("c"), usize::MAX);
    }
}

//! How many connections there may be, in all and from one address (`max.connections`, `max.connections.per.ip`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Counts open connections.
#[derive(Debug)]
pub struct ConnectionLimits {
    total: usize,
    per_address: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `max.connections` are open.
    #[error("max.connections is reached")]
    Total,
    /// `max.connections.per.ip` are open from that address.
    #[error("max.connections.per.ip is reached")]
    PerAddress,
}

impl ConnectionLimits {
    /// Limits as configured; `usize::MAX` for none.
    pub fn new(total: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { total, per_address, open: Mutex::default() })
    }

    /// Counts a connection from `address` until the permit is dropped.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Refused> {
        let mut open = self.open.lock();
        if open.total >= self.total {
            return Err(Refused::Total);
        }
        let from_address = open.by_address.get(&address).copied().unwrap_or(0);
        if from_address >= self.per_address {
            return Err(Refused::PerAddress);
        }
        open.total += 1;
        open.by_address.insert(address, from_address + 1);
        Ok(Permit { limits: Arc::clone(self), address })
    }

    /// Connections open at this moment.
    pub fn open(&self) -> usize {
        self.open.lock().total
    }
}

/// One counted connection.
#[derive(Debug)]
pub struct Permit {
    limits: Arc<ConnectionLimits>,
    address: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.limits.open.lock();
        open.total -= 1;
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_limited_in_all_and_per_address() {
        let limits = ConnectionLimits::new(3, 2);
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse::<IpAddr>().unwrap());
        let first = limits.admit(a).unwrap();
        let _second = limits.admit(a).unwrap();
        assert_eq!(limits.admit(a).unwrap_err(), Refused::PerAddress);
        let _third = limits.admit(b).unwrap();
        assert_eq!(limits.admit(b).unwrap_err(), Refused::Total);
        drop(first);
        assert_eq!(limits.open(), 2);
        assert!(limits.admit(a).is_ok());
    }
}

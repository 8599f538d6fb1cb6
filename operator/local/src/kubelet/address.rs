//! An address for each pod out of 127.0.0.0/8, so that many pods can listen on the same port.
//!
//! Chosen at random, so that two local clusters side by side do not meet; Linux answers on all of that network without set-up.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use parking_lot::Mutex;

/// How many addresses to look at before a taken port is held against the port itself.
const TRIES: usize = 16;

/// The addresses in use by the pods of one kubelet.
#[derive(Debug, Default)]
pub struct Addresses {
    taken: Mutex<HashSet<Ipv4Addr>>,
}

/// Why no address could be given.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another program listens on the port on every address, or the system refuses it.
    #[error(
        "port {port} cannot be opened on any loopback address: {source}. Stop the program that listens on 0.0.0.0:{port}"
    )]
    PortTaken {
        /// The container port.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Addresses {
    /// A loopback address that no other pod has and on which each of `ports` is free now.
    pub fn allocate(&self, ports: &[u16]) -> Result<Ipv4Addr, Error> {
        let mut tries = 0;
        loop {
            let candidate = random();
            if !self.taken.lock().insert(candidate) {
                continue;
            }
            let Err(error) = all_free(candidate, ports) else { return Ok(candidate) };
            self.release(candidate);
            tries += 1;
            if tries == TRIES {
                return Err(error);
            }
        }
    }

    /// Gives an address back.
    pub fn release(&self, address: Ipv4Addr) {
        self.taken.lock().remove(&address);
    }
}

/// 127.0.x.y is left alone: localhost, and the local resolvers of Linux distributions, live there.
fn random() -> Ipv4Addr {
    Ipv4Addr::new(127, rand::random_range(1..=254), rand::random_range(0..=255), rand::random_range(1..=254))
}

fn all_free(address: Ipv4Addr, ports: &[u16]) -> Result<(), Error> {
    for &port in ports {
        TcpListener::bind(SocketAddr::new(IpAddr::V4(address), port))
            .map_err(|source| Error::PortTaken { port, source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_get_different_loopback_addresses() {
        let addresses = Addresses::default();
        let given: HashSet<_> = (0..200).map(|_| addresses.allocate(&[]).unwrap()).collect();
        assert_eq!(given.len(), 200);
        assert!(given.iter().all(|ip| ip.is_loopback() && ip.octets()[1] != 0));
    }

    #[test]
    fn a_port_taken_on_all_addresses_is_named_in_the_error() {
        let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = everywhere.local_addr().unwrap().port();
        let error = Addresses::default().allocate(&[port]).unwrap_err();
        assert!(error.to_string().contains(&format!("0.0.0.0:{port}")), "{error}");
    }
}

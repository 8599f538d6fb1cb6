//! The congestion control of connections: the system's, but for those that never leave the machine.
//!
//! BBR has each segment wait for a timer that finds another just sent. Within a machine there is nothing on the way that this
//! could relieve, and the timer costs as much as sending 64 KiB: a fetch of 1 MiB takes four times the processor time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use rustix::net::sockopt::{set_tcp_congestion, tcp_congestion};
use tokio::net::TcpStream;

/// A congestion control that every Linux has and every process may choose, and that paces nothing.
const UNPACED: &str = "reno";

/// What the system has for connections that leave the machine.
#[derive(Debug)]
pub(super) struct Pacing {
    of_system: String,
}

impl Pacing {
    /// Takes pacing from the connections that `listener` will accept: what has been paced once keeps its timers.
    pub(super) fn take_from(listener: impl AsFd) -> io::Result<Self> {
        let of_system = tcp_congestion(&listener)?;
        set_tcp_congestion(&listener, UNPACED)?;
        Ok(Self { of_system })
    }

    /// Gives an accepted connection with `peer` back what the system has for it, if it leaves the machine.
    pub(super) fn give_back(&self, stream: &TcpStream, peer: SocketAddr) -> io::Result<()> {
        // One that has another by now has got it from the route that it takes.
        if !is_within_machine(stream.local_addr()?, peer) && tcp_congestion(stream)? == UNPACED {
            set_tcp_congestion(stream, &self.of_system)?;
        }
        Ok(())
    }
}

/// Whether both ends have the same address, or one that only this machine can have.
fn is_within_machine(local: SocketAddr, peer: SocketAddr) -> bool {
    let [local, peer] = [local, peer].map(|end| end.ip().to_canonical());
    local == peer || IpAddr::is_loopback(&peer)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_connection_leaves_the_machine_unless_its_ends_share_an_address() {
        let is_within = |local: &str, peer: &str| is_within_machine(local.parse().unwrap(), peer.parse().unwrap());
        assert!(is_within("127.0.0.1:9092", "127.0.0.1:40000"));
        assert!(is_within("127.0.0.2:9092", "127.0.0.1:40000"));
        assert!(is_within("[::1]:9092", "[::1]:40000"));
        assert!(is_within("[::ffff:127.0.0.1]:9092", "[::ffff:127.0.0.1]:40000"));
        assert!(is_within("10.0.0.1:9092", "10.0.0.1:40000"));
        assert!(!is_within("10.0.0.1:9092", "10.0.0.2:40000"));
        assert!(!is_within("[fd00::1]:9092", "[fd00::2]:40000"));
    }

    #[tokio::test]
    async fn what_is_accepted_over_loopback_is_not_paced() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let of_system = tcp_congestion(&listener).unwrap();
        let pacing = Pacing::take_from(&listener).unwrap();
        assert_eq!(pacing.of_system, of_system);
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        pacing.give_back(&stream, peer).unwrap();
        assert_eq!(tcp_congestion(&stream).unwrap(), UNPACED);
    }
}

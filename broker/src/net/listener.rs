//! Accepts connections of one listener, within the limits, until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use super::connection::{Connection, Ending};
use super::limits::{ConnectionLimits, Permit};
use super::loops::Loops;
use super::memory::RequestMemory;
use super::pacing::Pacing;
use super::{CloseReason, Peer, Service, Settings};

/// A frame that takes longer than this may be given up when memory is short.
const EVICTION_GRACE: Duration = Duration::from_secs(1);

/// What all listeners of a broker share.
pub struct Shared<S> {
    pub(super) service: Arc<S>,
    pub(super) settings: Arc<Settings>,
    pub(super) memory: Arc<RequestMemory>,
    pub(super) limits: Arc<ConnectionLimits>,
    connections: TaskTracker,
    shutdown: CancellationToken,
}

impl<S: Service> Shared<S> {
    /// Everything connections need besides their socket. Cancelling `shutdown` ends listeners and connections.
    pub fn new(service: Arc<S>, settings: Settings, shutdown: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            service,
            memory: RequestMemory::new(settings.request_memory, EVICTION_GRACE),
            limits: ConnectionLimits::new(settings.max_connections, settings.max_connections_per_address),
            settings: Arc::new(settings),
            connections: TaskTracker::new(),
            shutdown,
        })
    }

    /// Connections open at this moment.
    pub fn open_connections(&self) -> usize {
        self.limits.open()
    }

    /// Waits until every connection has ended; to be called after the shutdown was asked for.
    pub(super) async fn drained(&self) {
        self.connections.close();
        self.connections.wait().await;
    }
}

/// One listening socket.
pub struct Listener {
    name: Arc<str>,
    socket: TcpListener,
    /// Not where the system does not let congestion control be chosen.
    pacing: Option<Pacing>,
}

impl Listener {
    /// Binds `address` for the listener called `name`; as many as `backlog` connections may wait to be accepted.
    pub fn bind(name: &str, address: SocketAddr, backlog: u32) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // The port of a broker that has just stopped is taken again at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let pacing = Pacing::take_from(&socket)
            .inspect_err(|error| debug!(listener = name, %error, "the system paces what stays in the machine"))
            .ok();
        Ok(Self { name: name.into(), socket: socket.listen(backlog)?, pacing })
    }

    /// The address it is bound to; tells the port where 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until shutdown, onto `loops`. They end with the last listener that holds them: when all connections have
    /// ended, or with the listener's runtime.
    pub async fn run<S: Service>(self, shared: Arc<Shared<S>>, loops: Arc<Loops>) {
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = shared.shutdown.cancelled() => return shared.drained().await,
            };
            match accepted {
                Ok((stream, address)) => self.admit(&shared, &loops, stream, address),
                Err(error) => {
                    // Out of descriptors, most likely: others must end before another can begin.
                    warn!(listener = %self.name, %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn admit<S: Service>(&self, shared: &Arc<Shared<S>>, loops: &Loops, stream: TcpStream, address: SocketAddr) {
        let permit = match shared.limits.admit(address.ip()) {
            Ok(permit) => permit,
            Err(reason) => {
                info!(listener = %self.name, client = %address, %reason, "connection refused");
                return;
            }
        };
        if let Err(time) = shared.service.admit(address.ip()) {
            info!(listener = %self.name, client = %address, "connections come too fast: closing one");
            shared.connections.spawn(turn_away(stream, time, shared.shutdown.clone(), permit));
            return;
        }
        if let Some(Err(error)) = self.pacing.as_ref().map(|pacing| pacing.give_back(&stream, address)) {
            debug!(listener = %self.name, client = %address, %error, "cannot set the congestion control");
        }
        if let Err(error) = stream.set_nodelay(true) {
            debug!(client = %address, %error, "cannot set TCP_NODELAY");
        }
        let peer = Arc::new(Peer::new(address, Arc::clone(&self.name)));
        match Connection::new(stream, peer, shared, permit, loops.place()) {
            Ok(connection) => spawn(connection, Arc::clone(shared)),
            Err(error) => warn!(client = %address, %error, "cannot wait for what a connection brings"),
        }
    }
}

/// Closes a connection after `time`. It counts among those that are open until then.
async fn turn_away(_stream: TcpStream, time: Duration, shutdown: CancellationToken, _permit: Permit) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = shutdown.cancelled() => {}
    }
}

/// Runs a connection on the loop that it has its place on.
fn spawn<S: Service>(connection: Connection<S>, shared: Arc<Shared<S>>) {
    let place = connection.place();
    let (handle, meter) = (place.handle().clone(), place.meter());
    let tracker = shared.connections.clone();
    tracker.spawn_on(meter.run(serve(connection, shared)), &handle);
}

async fn serve<S: Service>(mut connection: Connection<S>, shared: Arc<Shared<S>>) {
    let ending = tokio::select! {
        ending = connection.run() => ending,
        () = shared.shutdown.cancelled() => Ending::Closed(CloseReason::Shutdown),
    };
    let peer = Arc::clone(connection.peer());
    let reason = match ending {
        Ending::Closed(reason) => reason,
        Ending::Elsewhere => match connection.follow() {
            Ok(connection) => return spawn(connection, shared),
            Err(error) => CloseReason::Io(error),
        },
    };
    match reason {
        CloseReason::Io(error) => debug!(client = %peer.address, %error, "connection ended"),
        CloseReason::Shutdown | CloseReason::Idle => debug!(client = %peer.address, %reason, "connection closed"),
        _ => info!(client = %peer.address, listener = %peer.listener, %reason, "connection closed"),
    }
}

//! The threads that serve connections: one per core, each with an event loop of its own.
//!
//! A connection stays on the thread that it was given to. In a pool that shares one event loop every wake-up goes
//! through the thread that happens to poll it, which then wakes another one: that costs more than the request. Nothing
//! here knows what a connection does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

/// The threads; they end when this is dropped.
pub(super) struct Workers {
    workers: Vec<Worker>,
    _stop: DropGuard,
}

struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

/// A connection's place on a worker, given back when dropped.
pub(super) struct Seat {
    connections: Arc<AtomicUsize>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts as many threads as there are cores. Where none can be started, the caller's runtime serves.
    pub(super) fn start() -> Self {
        let stop = CancellationToken::new();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut workers: Vec<Worker> = Vec::with_capacity(cores);
        for index in 0..cores {
            match start_thread(index, stop.clone()) {
                Ok(runtime) => workers.push(Worker { runtime, connections: Arc::default() }),
                Err(error) => {
                    warn!(%error, "cannot start a thread for connections");
                    break;
                }
            }
        }
        if workers.is_empty() {
            workers.push(Worker { runtime: Handle::current(), connections: Arc::default() });
        }
        Self { workers, _stop: stop.drop_guard() }
    }

    /// The thread with the fewest connections, and a seat on it.
    pub(super) fn assign(&self) -> (&Handle, Seat) {
        let least = self.workers.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
        let worker = least.expect("there is at least one worker");
        worker.connections.fetch_add(1, Ordering::Relaxed);
        (&worker.runtime, Seat { connections: Arc::clone(&worker.connections) })
    }
}

fn start_thread(index: usize, stop: CancellationToken) -> std::io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let thread = std::thread::Builder::new().name(format!("connections-{index}"));
    thread.spawn(move || {
        runtime.block_on(stop.cancelled());
        // Work on its blocking threads is not waited for: whoever asked for it has gone.
        runtime.shutdown_background();
    })?;
    Ok(handle)
}

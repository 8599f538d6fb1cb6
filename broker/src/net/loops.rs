//! The event loops that connections live on: one for each processor, each with a thread of its own.
//!
//! A connection stays on its loop, so that what wakes it, what it runs and, where the kernel can see to it, the client at
//! its other end share a processor. With one loop for all of them, one thread waits for events and runs what they bring,
//! and another takes part only once it has been woken across processors. Everything else that a broker does runs on the
//! runtime that it was started on, and the loops end with that.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// How long a connection may take to give its thread up once its loop ends.
const END: Duration = Duration::from_secs(5);

/// The event loops of a broker's connections, until it is dropped; without any, each connection runs where its listener does.
#[derive(Debug, Default)]
pub struct Loops {
    all: Vec<Loop>,
    /// Nothing is ever sent: whoever keeps the loops hears when it is gone.
    _held: Option<mpsc::Sender<()>>,
}

#[derive(Debug)]
struct Loop {
    handle: Handle,
    connections: Arc<AtomicUsize>,
}

/// A connection's place on a loop; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    /// Where to run the connection.
    pub(super) handle: Handle,
    connections: Option<Arc<AtomicUsize>>,
}

impl Loops {
    /// One for each processor.
    pub fn start() -> io::Result<Self> {
        Self::with(available_parallelism().map_or(1, std::num::NonZero::get))
    }

    fn with(count: usize) -> io::Result<Self> {
        // Each can go on with another thread while one unpacks a batch.
        let runtime = |_| Builder::new_multi_thread().worker_threads(1).thread_name("connections").enable_all().build();
        let runtimes: Vec<Runtime> = (0..count).map(runtime).collect::<io::Result<_>>()?;
        let of = |runtime: &Runtime| Loop { handle: runtime.handle().clone(), connections: Arc::default() };
        let all = runtimes.iter().map(of).collect();
        let (held, gone) = mpsc::channel::<()>();
        // They end on a thread that the runtime around them waits for when it ends itself.
        tokio::task::spawn_blocking(move || {
            let _ = gone.recv();
            runtimes.into_iter().for_each(|runtime| runtime.shutdown_timeout(END));
        });
        Ok(Self { all, _held: Some(held) })
    }

    /// A place on the loop with the fewest connections.
    pub(super) fn place(&self) -> Place {
        let load = |one: &&Loop| one.connections.load(Ordering::Relaxed);
        let Some(emptiest) = self.all.iter().min_by_key(load) else {
            return Place { handle: Handle::current(), connections: None };
        };
        emptiest.connections.fetch_add(1, Ordering::Relaxed);
        Place { handle: emptiest.handle.clone(), connections: Some(Arc::clone(&emptiest.connections)) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(connections) = &self.connections {
            connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_spread_over_the_loops_and_leave_their_places_when_they_end() {
        let loops = Loops::with(2).unwrap();
        let taken = || -> Vec<usize> { loops.all.iter().map(|one| one.connections.load(Ordering::Relaxed)).collect() };
        let mut places: Vec<Place> = (0..5).map(|_| loops.place()).collect();
        assert_eq!(taken(), [3, 2]);
        places.retain(|place| place.handle.id() == loops.all[1].handle.id());
        assert_eq!(taken(), [0, 2]);
        let _next = [loops.place(), loops.place()];
        assert_eq!(taken(), [2, 2]);
    }

    #[tokio::test]
    async fn a_loop_that_is_held_up_by_work_goes_on_with_its_other_connections() {
        let loops = Loops::with(1).unwrap();
        let (place, other) = (loops.place(), loops.place());
        let (free, wait) = mpsc::channel();
        let held = place.handle.spawn(async move { tokio::task::block_in_place(|| wait.recv().unwrap()) });
        other.handle.spawn(async move { free.send(()).unwrap() }).await.unwrap();
        held.await.unwrap();
    }

    #[test]
    fn no_connection_is_left_once_the_runtime_around_the_loops_has_ended() {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let alive = Arc::new(());
        let connection = Arc::clone(&alive);
        let (begun, has_begun) = mpsc::channel();
        runtime.spawn(async move {
            let loops = Loops::with(2).unwrap();
            loops.place().handle.spawn(async move {
                let _connection = connection;
                begun.send(()).unwrap();
                std::future::pending::<()>().await;
            });
            let _loops = loops;
            std::future::pending::<()>().await;
        });
        has_begun.recv().unwrap();
        runtime.shutdown_timeout(END);
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}

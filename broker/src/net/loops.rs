//! The event loops that connections live on: one for each processor, each with a thread of its own.
//!
//! What wakes a connection, what it runs and, where the kernel can see to it, the client at its other end share a
//! processor. With one loop for all of them, one thread waits for events and runs what they bring, and another takes part
//! only once it has been woken across processors. How much each connection has to do is measured where it runs, and the
//! rule of [`ottla_core::loops`] says from time to time who goes to another loop. Everything else that a broker does runs on
//! the runtime that it was started on, and the loops end with that.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use ottla_core::loops::{Balance, Move, chosen, of_newcomer};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

/// How long a connection may take to give its thread up once its loop ends.
const END: Duration = Duration::from_secs(5);
/// How long what loops do is added up before the rule is asked.
const PERIOD: Duration = Duration::from_millis(100);

/// The event loops of a broker's connections, until it is dropped.
#[derive(Debug)]
pub struct Loops {
    all: Arc<All>,
    /// Nothing is ever sent: whoever keeps the loops hears when it is gone.
    _held: Option<mpsc::Sender<()>>,
}

#[derive(Debug)]
struct All {
    loops: Vec<Loop>,
    began: Instant,
    /// When the period ends, in nanoseconds since they began. Whoever runs a connection then looks: idle loops need no timer.
    due: AtomicU64,
    /// Counts the periods.
    period: AtomicU64,
    seating: Mutex<Seating>,
}

#[derive(Debug)]
struct Loop {
    handle: Handle,
    /// Nanoseconds of work in this period.
    work: AtomicU64,
}

/// Who sits where.
#[derive(Debug, Default)]
struct Seating {
    seats: HashMap<u64, Arc<Seat>>,
    next: u64,
    /// Of each loop, its connections, and which share of the last period it was at work.
    connections: Vec<usize>,
    loads: Vec<f64>,
    rule: Balance,
    /// When the period began, in nanoseconds.
    since: u64,
}

/// Where a connection belongs, and what it does there.
#[derive(Debug)]
struct Seat {
    id: u64,
    on: AtomicUsize,
    /// Nanoseconds of work in `period`. Only the connection itself writes them.
    work: AtomicU64,
    period: AtomicU64,
}

/// A connection's place on a loop; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    meter: Meter,
}

/// Measures what a connection does on the loop `here`, where it runs.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    all: Arc<All>,
    seat: Arc<Seat>,
    here: usize,
}

impl Loops {
    /// One for each processor.
    pub fn start() -> io::Result<Self> {
        Self::with(available_parallelism().map_or(1, std::num::NonZero::get))
    }

    /// The runtime that this is called on is the only one.
    #[cfg(test)]
    pub(super) fn here() -> Self {
        Self { all: Arc::new(All::over([Handle::current()].into())), _held: None }
    }

    pub(super) fn with(count: usize) -> io::Result<Self> {
        // Each can go on with another thread while one unpacks a batch.
        let runtime = |_| Builder::new_multi_thread().worker_threads(1).thread_name("connections").enable_all().build();
        let runtimes: Vec<Runtime> = (0..count).map(runtime).collect::<io::Result<_>>()?;
        let all = All::over(runtimes.iter().map(|runtime| runtime.handle().clone()).collect());
        let (held, gone) = mpsc::channel::<()>();
        // They end on a thread that the runtime around them waits for when it ends itself.
        tokio::task::spawn_blocking(move || {
            let _ = gone.recv();
            runtimes.into_iter().for_each(|runtime| runtime.shutdown_timeout(END));
        });
        Ok(Self { all: Arc::new(all), _held: Some(held) })
    }

    /// Has all connections of loop `from` go to loop `to`.
    #[cfg(test)]
    pub(super) fn empty(&self, from: usize, to: usize) {
        self.all.carry_out(Move { from, to, most: f64::INFINITY }, &mut self.all.seating.lock(), 1.0);
    }

    /// A place for a new connection.
    pub(super) fn place(&self) -> Place {
        let all = Arc::clone(&self.all);
        let mut seating = all.seating.lock();
        let (id, here) = (seating.next, of_newcomer(&seating.loads));
        let (work, period) = (AtomicU64::new(0), AtomicU64::new(0));
        let seat = Arc::new(Seat { id, on: AtomicUsize::new(here), work, period });
        seating.next += 1;
        seating.connections[here] += 1;
        seating.seats.insert(id, Arc::clone(&seat));
        drop(seating);
        Place { meter: Meter { all, seat, here } }
    }
}

impl All {
    fn over(handles: Vec<Handle>) -> Self {
        let none =
            Seating { connections: vec![0; handles.len()], loads: vec![0.0; handles.len()], ..Seating::default() };
        Self {
            loops: handles.into_iter().map(|handle| Loop { handle, work: AtomicU64::new(0) }).collect(),
            began: Instant::now(),
            due: AtomicU64::new(nanos(PERIOD)),
            period: AtomicU64::new(0),
            seating: Mutex::new(none),
        }
    }

    /// At the end of a period: asks the rule, and gives those that are to move another place.
    fn look(&self, now: u64) {
        let Some(mut seating) = self.seating.try_lock() else { return };
        if now < self.due.load(Ordering::Relaxed) {
            return;
        }
        let length = (now - seating.since) as f64;
        let load = |one: &Loop| one.work.swap(0, Ordering::Relaxed) as f64 / length;
        seating.loads = self.loops.iter().map(load).collect();
        let Seating { rule, loads, connections, .. } = &mut *seating;
        for planned in rule.next(loads, connections) {
            self.carry_out(planned, &mut seating, length);
        }
        seating.since = now;
        self.period.fetch_add(1, Ordering::Relaxed);
        self.due.store(now + nanos(PERIOD), Ordering::Relaxed);
    }

    fn carry_out(&self, Move { from, to, most }: Move, seating: &mut Seating, length: f64) {
        let period = self.period.load(Ordering::Relaxed);
        let there = seating.seats.values().filter(|seat| seat.on.load(Ordering::Relaxed) == from);
        let shares = there.map(|seat| (seat, seat.work_in(period) as f64 / length)).collect();
        let moving = chosen(shares, most);
        moving.iter().for_each(|seat| seat.on.store(to, Ordering::Relaxed));
        let moved = moving.len();
        seating.connections[from] -= moved;
        seating.connections[to] += moved;
    }
}

impl Seat {
    fn work_in(&self, period: u64) -> u64 {
        if self.period.load(Ordering::Relaxed) == period { self.work.load(Ordering::Relaxed) } else { 0 }
    }

    fn note(&self, period: u64, work: u64) {
        self.work.store(self.work_in(period) + work, Ordering::Relaxed);
        self.period.store(period, Ordering::Relaxed);
    }
}

impl Place {
    /// The loop to run on.
    pub(super) fn handle(&self) -> &Handle {
        &self.meter.all.loops[self.meter.here].handle
    }

    /// Whether the connection belongs on another loop by now.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.meter.seat.on.load(Ordering::Relaxed) != self.meter.here
    }

    /// Takes the place where the connection belongs.
    pub(super) fn follow(&mut self) {
        self.meter.here = self.meter.seat.on.load(Ordering::Relaxed);
    }

    /// What measures the connection as it runs here.
    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }
}

impl Meter {
    /// Runs `connection`, and adds up for how long it keeps its loop at work.
    pub(super) async fn run<C: Future>(self, connection: C) -> C::Output {
        let mut connection = pin!(connection);
        poll_fn(|context| {
            let began = Instant::now();
            let polled = connection.as_mut().poll(context);
            self.note(began, Instant::now());
            polled
        })
        .await
    }

    fn note(&self, began: Instant, ended: Instant) {
        self.add(nanos(ended - began));
        let now = nanos(ended - self.all.began);
        if now >= self.all.due.load(Ordering::Relaxed) {
            self.all.look(now);
        }
    }

    fn add(&self, work: u64) {
        self.seat.note(self.all.period.load(Ordering::Relaxed), work);
        self.all.loops[self.here].work.fetch_add(work, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Meter { all, seat, .. } = &self.meter;
        let mut seating = all.seating.lock();
        seating.seats.remove(&seat.id);
        seating.connections[seat.on.load(Ordering::Relaxed)] -= 1;
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(loops: &Loops) -> Vec<usize> {
        loops.all.seating.lock().connections.clone()
    }

    /// Notes that each place was at work for a share of the period, and ends it.
    fn pass(loops: &Loops, shares: &[(&Place, f64)]) {
        let all = &loops.all;
        for (place, share) in shares {
            let work = (*share * nanos(PERIOD) as f64) as u64;
            place.meter.add(work);
        }
        all.look(all.due.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn connections_share_a_loop_until_it_is_crowded_and_again_when_there_is_little_to_do() {
        let loops = Loops::with(2).unwrap();
        let mut places: Vec<Place> = (0..3).map(|_| loops.place()).collect();
        assert_eq!(connections(&loops), [3, 0]);
        pass(&loops, &[(&places[0], 0.5), (&places[1], 0.4)]);
        assert_eq!(places.iter().map(Place::is_elsewhere).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(connections(&loops), [1, 2]);
        places.iter_mut().for_each(Place::follow);
        assert_eq!(places[1].handle().id(), loops.all.loops[1].handle.id());
        for _ in 0..20 {
            pass(&loops, &[(&places[0], 0.1), (&places[1], 0.05)]);
            places.iter_mut().for_each(Place::follow);
        }
        assert_eq!(connections(&loops), [3, 0]);
        places.pop();
        assert_eq!(connections(&loops), [2, 0]);
    }

    #[tokio::test]
    async fn new_connections_come_where_there_is_little_to_do() {
        let loops = Loops::with(2).unwrap();
        let heavy = loops.place();
        pass(&loops, &[(&heavy, 0.9)]);
        let _light = loops.place();
        assert_eq!(connections(&loops), [1, 1]);
    }

    #[tokio::test]
    async fn what_a_connection_does_is_measured_where_it_runs() {
        let loops = Loops::with(1).unwrap();
        let place = loops.place();
        let work = async {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(2) {}
        };
        place.handle().spawn(place.meter().run(work)).await.unwrap();
        assert!(place.meter.seat.work_in(0) >= 2_000_000);
        assert!(loops.all.loops[0].work.load(Ordering::Relaxed) >= 2_000_000);
    }

    #[tokio::test]
    async fn a_loop_that_is_held_up_by_work_goes_on_with_its_other_connections() {
        let loops = Loops::with(1).unwrap();
        let (place, other) = (loops.place(), loops.place());
        let (free, wait) = mpsc::channel();
        let held = place.handle().spawn(async move { tokio::task::block_in_place(|| wait.recv().unwrap()) });
        other.handle().spawn(async move { free.send(()).unwrap() }).await.unwrap();
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
            loops.place().handle().spawn(async move {
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

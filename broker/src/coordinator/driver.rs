//! The task that runs one coordinator.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_core::LeaderEpoch;
use ottla_core::coordinator::{AppendError, AppendId, Effect, Event, Machine, RequestId};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info, warn};

use super::coordinators::Unavailable;
use super::log::{Appended, CoordinatorLog, LoadError};
use crate::clock::Clock;

/// How long a failed load rests before the next attempt.
const LOAD_AGAIN: Duration = Duration::from_secs(1);
/// Requests wait this long for a load before they are told to come again: a client's next attempt would come later.
const LOAD_PATIENCE: Duration = Duration::from_millis(500);
/// A deadline missed by this much was missed because the process stood still.
const STALL: Duration = Duration::from_secs(1);

/// What a driver is told.
pub(super) enum Command<M: Machine> {
    /// Handle a request and answer it.
    Request(M::Request, Answer<M>),
    /// Something to know.
    Note(M::Note),
    /// The partition is led elsewhere, or the broker stops.
    Stop,
}

type Answer<M> = oneshot::Sender<Result<<M as Machine>::Response, Unavailable>>;

/// Tells a driver what its machine has to know.
pub struct Notes<M: Machine>(pub(super) mpsc::WeakUnboundedSender<Command<M>>);

impl<M: Machine> Clone for Notes<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Machine> Notes<M> {
    /// Tells it, unless the driver has ended.
    pub fn tell(&self, note: M::Note) {
        if let Some(commands) = self.0.upgrade() {
            let _ = commands.send(Command::Note(note));
        }
    }

    /// Whether there is still somebody to tell.
    pub fn is_heard(&self) -> bool {
        self.0.upgrade().is_some()
    }
}

/// Does what a machine needs done besides answers and appends.
pub trait Actor<M: Machine>: Clone + Send + Sync + 'static {
    /// Begins `act` for the coordinator of a partition led in `epoch`; what comes of it is told to `notes`. Must not wait.
    fn act(&self, act: M::Act, epoch: LeaderEpoch, notes: &Notes<M>);
}

/// The actor of a machine that needs nothing done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Idle;

impl<M: Machine<Act = Infallible>> Actor<M> for Idle {
    fn act(&self, act: Infallible, _: LeaderEpoch, _: &Notes<M>) {
        match act {}
    }
}

/// One coordinator with its partition.
pub(super) struct Driver<M: Machine, L, A> {
    pub(super) partition: i32,
    pub(super) epoch: LeaderEpoch,
    pub(super) log: Arc<L>,
    pub(super) actor: A,
    pub(super) clock: Clock,
    pub(super) config: M::Config,
    pub(super) commands: mpsc::UnboundedReceiver<Command<M>>,
    pub(super) notes: Notes<M>,
    /// Set once requests are served.
    pub(super) loaded: Arc<AtomicBool>,
}

impl<M: Machine, L: CoordinatorLog, A: Actor<M>> Driver<M, L, A> {
    /// Loads the coordinator and serves until told to stop.
    pub(super) async fn run(self) {
        let Self { partition, epoch, log, actor, clock, config, mut commands, notes, loaded } = self;
        let mut refusing = Refusing { noted: Vec::new() };
        let loading = load::<M, L>(partition, Arc::clone(&log), config, clock);
        let machine = tokio::select! {
            biased;
            machine = loading => machine,
            () = refusing.until_stop(&mut commands) => return,
        };
        loaded.store(true, Ordering::Release);
        let serving = Serving {
            machine,
            epoch,
            log,
            actor,
            clock,
            notes,
            waiting: HashMap::new(),
            next_request: 0,
            appends: VecDeque::new(),
        };
        serving.run(refusing.noted, commands).await;
    }
}

/// The coordinator as the partition has it.
async fn load<M: Machine, L: CoordinatorLog>(partition: i32, log: Arc<L>, config: M::Config, clock: Clock) -> M {
    let begin = clock.now().monotonic;
    loop {
        let (replayed_log, config) = (Arc::clone(&log), config.clone());
        let replaying = tokio::task::spawn_blocking(move || replay::<M>(&*replayed_log, config, partition));
        let failure = match replaying.await {
            Ok(Ok((machine, records))) => {
                // If it cannot settle the partition is lost, and the order to stop is on its way.
                if log.settled().await.is_err() {
                    std::future::pending::<()>().await;
                }
                let took = clock.now().monotonic.saturating_sub(begin);
                match records {
                    0 => debug!(topic = M::TOPIC, partition, ?took, "coordinator has nothing to load"),
                    _ => info!(topic = M::TOPIC, partition, records, ?took, "coordinator loaded"),
                }
                return machine;
            }
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic.to_string(),
        };
        warn!(topic = M::TOPIC, partition, error = failure, "cannot load the coordinator, trying again");
        tokio::time::sleep(LOAD_AGAIN).await;
    }
}

/// Rebuilds a coordinator; also tells how many records there were.
fn replay<M: Machine>(log: &impl CoordinatorLog, config: M::Config, partition: i32) -> Result<(M, u64), LoadError> {
    let mut machine = M::new(config);
    let mut records = 0;
    log.replay(&mut |offset, replayed| {
        records += 1;
        machine.replaying(offset);
        if let Err(error) = machine.replay(replayed) {
            warn!(topic = M::TOPIC, partition, %error, "skipped a record that cannot be read");
        }
    })?;
    Ok((machine, records))
}

/// What becomes of commands while the coordinator is being loaded.
struct Refusing<M: Machine> {
    /// To be known after the load.
    noted: Vec<M::Note>,
}

impl<M: Machine> Refusing<M> {
    /// Leaves requests waiting for a while, then answers them with "still loading". Ends with the order to stop.
    async fn until_stop(&mut self, commands: &mut mpsc::UnboundedReceiver<Command<M>>) {
        tokio::time::sleep(LOAD_PATIENCE).await;
        while let Some(command) = commands.recv().await {
            match command {
                Command::Request(_, answer) => drop(answer.send(Err(Unavailable::Loading))),
                Command::Note(note) => self.noted.push(note),
                Command::Stop => return,
            }
        }
    }
}

/// A loaded coordinator at work.
struct Serving<M: Machine, L, A> {
    machine: M,
    epoch: LeaderEpoch,
    log: Arc<L>,
    actor: A,
    clock: Clock,
    notes: Notes<M>,
    waiting: HashMap<RequestId, Answer<M>>,
    next_request: u64,
    /// Appends that are not durable yet, oldest first.
    appends: VecDeque<(AppendId, Appended)>,
}

impl<M: Machine, L: CoordinatorLog, A: Actor<M>> Serving<M, L, A> {
    async fn run(mut self, noted: Vec<M::Note>, mut commands: mpsc::UnboundedReceiver<Command<M>>) {
        let effects = self.machine.start(self.clock.now());
        self.perform(effects);
        noted.into_iter().for_each(|note| self.handle(Event::Note(note)));
        loop {
            let deadline = self.machine.next_deadline();
            let until = deadline.map(|at| at.saturating_sub(self.clock.now().monotonic));
            let told = async {
                tokio::select! {
                    command = commands.recv() => Some(command),
                    () = sleep(until) => None,
                }
            };
            let event = tokio::select! {
                // What is told may follow from what has become durable: the marker of a transaction comes after its offsets.
                biased;
                (id, result) = oldest(&mut self.appends) => {
                    self.appends.pop_front();
                    if result == Err(AppendError::NotLeader) {
                        break;
                    }
                    Event::Appended(id, result)
                }
                told = told => match told {
                    Some(Some(Command::Request(request, answer))) => self.admit(request, answer),
                    Some(Some(Command::Note(note))) => Event::Note(note),
                    Some(Some(Command::Stop) | None) => break,
                    None => {
                        let has_stalled = deadline.is_some_and(|at| self.clock.now().monotonic.saturating_sub(at) > STALL);
                        if let Some(note) = M::stalled().filter(|_| has_stalled) {
                            self.handle(Event::Note(note));
                        }
                        Event::Tick
                    }
                },
            };
            self.handle(event);
        }
        self.unload();
        refuse_rest(commands).await;
    }

    fn admit(&mut self, request: M::Request, answer: Answer<M>) -> Event<M::Request, M::Note> {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.waiting.insert(id, answer);
        Event::Request(id, request)
    }

    fn handle(&mut self, event: Event<M::Request, M::Note>) {
        let effects = self.machine.handle(self.clock.now(), event);
        self.perform(effects);
    }

    /// Performs effects in their order; an append that fails at once is an event of its own.
    fn perform(&mut self, effects: Vec<Effect<M::Response, M::Act>>) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Reply(id, response) => self.answer(id, Ok(response)),
                Effect::Act(act) => self.actor.act(act, self.epoch, &self.notes),
                Effect::Prune(offset) => self.log.prune(offset),
                Effect::Append(id, batch) => match self.log.append(&batch, self.clock.now()) {
                    Ok((offset, appended)) => {
                        self.machine.placed(id, offset);
                        self.appends.push_back((id, appended));
                    }
                    Err(error) => {
                        effects.extend(self.machine.handle(self.clock.now(), Event::Appended(id, Err(error))));
                    }
                },
            }
        }
    }

    fn answer(&mut self, id: RequestId, response: Result<M::Response, Unavailable>) {
        if let Some(answer) = self.waiting.remove(&id) {
            // The client may have gone.
            let _ = answer.send(response);
        }
    }

    fn unload(&mut self) {
        let machine = std::mem::replace(&mut self.machine, M::new(M::Config::default()));
        let replies = machine.unload().into_iter().filter(|effect| matches!(effect, Effect::Reply(..)));
        self.perform(replies.collect());
        for (_, answer) in self.waiting.drain() {
            let _ = answer.send(Err(Unavailable::NotCoordinator));
        }
    }
}

/// What became of the oldest append.
async fn oldest(appends: &mut VecDeque<(AppendId, Appended)>) -> (AppendId, Result<(), AppendError>) {
    match appends.front_mut() {
        Some((id, appended)) => (*id, appended.await),
        None => std::future::pending().await,
    }
}

async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Requests that were sent before the stop was known.
async fn refuse_rest<M: Machine>(mut commands: mpsc::UnboundedReceiver<Command<M>>) {
    commands.close();
    while let Some(command) = commands.recv().await {
        if let Command::Request(_, answer) = command {
            let _ = answer.send(Err(Unavailable::NotCoordinator));
        }
    }
}

#[cfg(test)]
mod tests;

//! The task that runs one coordinator.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_core::TopicName;
use ottla_core::coordinator::{AppendError, AppendId, RequestId};
use ottla_core::group::{Config, Coordinator, Effect, Event, Request, Response};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info, warn};

use super::coordinators::Unavailable;
use super::log::{Appended, OffsetsLog};
use crate::clock::Clock;

/// How long a failed load rests before the next attempt.
const LOAD_AGAIN: Duration = Duration::from_secs(1);
/// Requests wait this long for a load before they are told to come again: a client's next attempt would come later.
const LOAD_PATIENCE: Duration = Duration::from_millis(500);
/// A deadline missed by this much was missed because the process stood still.
const STALL: Duration = Duration::from_secs(1);

/// What a driver is told.
#[expect(clippy::large_enum_variant, reason = "nearly every command is a request")]
pub(super) enum Command {
    /// Handle a request and answer it.
    Request(Request, oneshot::Sender<Result<Response, Unavailable>>),
    /// Forget the offsets of these topics.
    TopicsDeleted(Vec<TopicName>),
    /// The partition is led elsewhere, or the broker stops.
    Stop,
}

/// One coordinator with its partition.
pub(super) struct Driver<L> {
    pub(super) partition: i32,
    pub(super) log: Arc<L>,
    pub(super) clock: Clock,
    pub(super) config: Config,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    /// Set once requests are served.
    pub(super) loaded: Arc<AtomicBool>,
}

impl<L: OffsetsLog> Driver<L> {
    /// Loads the coordinator and serves until told to stop.
    pub(super) async fn run(self) {
        let Self { partition, log, clock, config, mut commands, loaded } = self;
        let mut refusing = Refusing::default();
        let loading = load(partition, Arc::clone(&log), config, clock);
        let coordinator = tokio::select! {
            biased;
            coordinator = loading => coordinator,
            () = refusing.until_stop(&mut commands) => return,
        };
        loaded.store(true, Ordering::Release);
        let serving =
            Serving { coordinator, log, clock, waiting: HashMap::new(), next_request: 0, appends: VecDeque::new() };
        serving.run(refusing.deleted, commands).await;
    }
}

/// The coordinator as the partition has it.
async fn load<L: OffsetsLog>(partition: i32, log: Arc<L>, config: Config, clock: Clock) -> Coordinator {
    let begin = clock.now().monotonic;
    loop {
        let (replayed_log, config) = (Arc::clone(&log), config.clone());
        let replaying = tokio::task::spawn_blocking(move || replay(&*replayed_log, config, partition));
        let failure = match replaying.await {
            Ok(Ok((coordinator, records))) => {
                // If it cannot settle the partition is lost, and the order to stop is on its way.
                if log.settled().await.is_err() {
                    std::future::pending::<()>().await;
                }
                let took = clock.now().monotonic.saturating_sub(begin);
                match records {
                    0 => debug!(partition, ?took, "group coordinator has nothing to load"),
                    _ => info!(partition, records, ?took, "group coordinator loaded"),
                }
                return coordinator;
            }
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic.to_string(),
        };
        warn!(partition, error = failure, "cannot load the group coordinator, trying again");
        tokio::time::sleep(LOAD_AGAIN).await;
    }
}

/// Rebuilds a coordinator; also tells how many records there were.
fn replay(log: &impl OffsetsLog, config: Config, partition: i32) -> Result<(Coordinator, u64), super::LoadError> {
    let mut coordinator = Coordinator::new(config);
    let mut records = 0;
    log.replay(&mut |key, value| {
        records += 1;
        if let Err(error) = coordinator.replay(key, value) {
            warn!(partition, %error, "skipped a record of __consumer_offsets that cannot be read");
        }
    })?;
    Ok((coordinator, records))
}

/// What becomes of commands while the coordinator is being loaded.
#[derive(Default)]
struct Refusing {
    /// Topics whose offsets are to be forgotten after the load.
    deleted: Vec<TopicName>,
}

impl Refusing {
    /// Leaves requests waiting for a while, then answers them with "still loading". Ends with the order to stop.
    async fn until_stop(&mut self, commands: &mut mpsc::UnboundedReceiver<Command>) {
        tokio::time::sleep(LOAD_PATIENCE).await;
        while let Some(command) = commands.recv().await {
            match command {
                Command::Request(_, answer) => drop(answer.send(Err(Unavailable::Loading))),
                Command::TopicsDeleted(topics) => self.deleted.extend(topics),
                Command::Stop => return,
            }
        }
    }
}

/// A loaded coordinator at work.
struct Serving<L> {
    coordinator: Coordinator,
    log: Arc<L>,
    clock: Clock,
    waiting: HashMap<RequestId, oneshot::Sender<Result<Response, Unavailable>>>,
    next_request: u64,
    /// Appends that are not durable yet, oldest first.
    appends: VecDeque<(AppendId, Appended)>,
}

impl<L: OffsetsLog> Serving<L> {
    async fn run(mut self, deleted: Vec<TopicName>, mut commands: mpsc::UnboundedReceiver<Command>) {
        let effects = self.coordinator.start(self.clock.now());
        self.perform(effects);
        self.handle(Event::TopicsDeleted(deleted));
        loop {
            let deadline = self.coordinator.next_deadline();
            let until = deadline.map(|at| at.saturating_sub(self.clock.now().monotonic));
            let event = tokio::select! {
                (id, result) = oldest(&mut self.appends) => {
                    self.appends.pop_front();
                    if result == Err(AppendError::NotLeader) {
                        break;
                    }
                    Event::Appended(id, result)
                }
                command = commands.recv() => match command {
                    Some(Command::Request(request, answer)) => self.admit(request, answer),
                    Some(Command::TopicsDeleted(topics)) => Event::TopicsDeleted(topics),
                    Some(Command::Stop) | None => break,
                },
                () = sleep(until) => {
                    if deadline.is_some_and(|at| self.clock.now().monotonic.saturating_sub(at) > STALL) {
                        self.handle(Event::Stalled);
                    }
                    Event::Tick
                }
            };
            self.handle(event);
        }
        self.unload();
        refuse_rest(commands).await;
    }

    fn admit(&mut self, request: Request, answer: oneshot::Sender<Result<Response, Unavailable>>) -> Event {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.waiting.insert(id, answer);
        Event::Request(id, request)
    }

    fn handle(&mut self, event: Event) {
        let effects = self.coordinator.handle(self.clock.now(), event);
        self.perform(effects);
    }

    /// Performs effects in their order; an append that fails at once is an event of its own.
    fn perform(&mut self, effects: Vec<Effect>) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Reply(id, response) => self.answer(id, Ok(response)),
                Effect::Append(id, records) => match self.log.append(&records, self.clock.now()) {
                    Ok(appended) => self.appends.push_back((id, appended)),
                    Err(error) => {
                        effects.extend(self.coordinator.handle(self.clock.now(), Event::Appended(id, Err(error))));
                    }
                },
            }
        }
    }

    fn answer(&mut self, id: RequestId, response: Result<Response, Unavailable>) {
        if let Some(answer) = self.waiting.remove(&id) {
            // The client may have gone.
            let _ = answer.send(response);
        }
    }

    fn unload(&mut self) {
        let coordinator = std::mem::replace(&mut self.coordinator, Coordinator::new(Config::default()));
        let effects = coordinator.unload();
        self.perform(effects);
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
async fn refuse_rest(mut commands: mpsc::UnboundedReceiver<Command>) {
    commands.close();
    while let Some(command) = commands.recv().await {
        if let Command::Request(_, answer) = command {
            let _ = answer.send(Err(Unavailable::NotCoordinator));
        }
    }
}

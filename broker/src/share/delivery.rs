//! One share partition that this broker leads: its machine, who waits for it, and its way to the coordinator.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ottla_core::coordinator::RequestId;
use ottla_core::share::Key;
use ottla_core::share::partition::{Acknowledgement, Effect, Error, SharePartition};
use ottla_core::{LeaderEpoch, Now};
use ottla_protocol::ErrorCode;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::persister;
use crate::broker::Broker;
use crate::replica::{FetchWait, Partition};

struct Inner {
    machine: SharePartition,
    answers: HashMap<RequestId, oneshot::Sender<Result<(), Error>>>,
    last_request: u64,
    /// Fetches that wait for records.
    waiting: Vec<(Arc<FetchWait>, usize)>,
    /// A fetch is at its turn.
    is_taken: bool,
    /// Another has been sent away meanwhile.
    is_wanted: bool,
}

/// A share partition under one term of its leader.
pub struct Delivery {
    key: Key,
    epoch: LeaderEpoch,
    /// The log.
    pub partition: Arc<Partition>,
    inner: Mutex<Inner>,
    is_over: AtomicBool,
}

/// The right to read and give out records: one fetch at a time.
pub struct Turn(Arc<Delivery>);

impl Turn {
    /// Whose turn it is.
    pub fn delivery(&self) -> &Arc<Delivery> {
        &self.0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut inner = self.0.inner.lock();
        inner.is_taken = false;
        if std::mem::take(&mut inner.is_wanted) {
            wake(&mut inner);
        }
    }
}

impl Delivery {
    pub(super) fn new(key: Key, epoch: LeaderEpoch, partition: Arc<Partition>, machine: SharePartition) -> Self {
        let (answers, waiting) = (HashMap::new(), Vec::new());
        let inner = Inner { machine, answers, last_request: 0, waiting, is_taken: false, is_wanted: false };
        Self { key, epoch, partition, inner: Mutex::new(inner), is_over: AtomicBool::new(false) }
    }

    /// What it is about.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Whether it counts: its term goes on, and nobody has begun anew with it.
    pub fn is_current(&self) -> bool {
        !self.is_over.load(Ordering::Acquire) && self.partition.leader_epoch() == Some(self.epoch)
    }

    /// Whether nobody waits for it or has anything of it, and nothing is on its way to the coordinator.
    pub(super) fn is_idle(&self) -> bool {
        let inner = self.inner.lock();
        !inner.is_taken && inner.waiting.is_empty() && inner.machine.is_idle()
    }

    /// The right to fetch, unless another has it.
    pub fn turn(self: &Arc<Self>) -> Option<Turn> {
        let mut inner = self.inner.lock();
        if inner.is_taken {
            inner.is_wanted = true;
            return None;
        }
        inner.is_taken = true;
        Some(Turn(Arc::clone(self)))
    }

    /// Does something with the machine, and then what follows from it.
    pub fn with<T>(self: &Arc<Self>, broker: &Arc<Broker>, work: impl FnOnce(&mut SharePartition) -> T) -> T {
        let mut inner = self.inner.lock();
        let result = work(&mut inner.machine);
        self.perform(broker, &mut inner);
        result
    }

    /// Takes in what `member` says, and answers once it is durable.
    pub async fn acknowledge(
        self: &Arc<Self>,
        broker: &Arc<Broker>,
        now: Now,
        member: &str,
        said: &[Acknowledgement],
    ) -> Result<(), Error> {
        self.ask(broker, |machine, id| machine.acknowledge(now, id, member, said)).await
    }

    /// Gives back what `member` has.
    pub async fn release(self: &Arc<Self>, broker: &Arc<Broker>, member: &str) -> Result<(), Error> {
        self.ask(broker, |machine, id| machine.release(id, member)).await
    }

    async fn ask(
        self: &Arc<Self>,
        broker: &Arc<Broker>,
        ask: impl FnOnce(&mut SharePartition, RequestId),
    ) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        {
            let mut inner = self.inner.lock();
            if !self.is_current() {
                return Err(Error::Fenced);
            }
            inner.last_request += 1;
            let id = RequestId(inner.last_request);
            inner.answers.insert(id, answer);
            ask(&mut inner.machine, id);
            self.perform(broker, &mut inner);
        }
        // Whoever ends the delivery drops the answers.
        answered.await.unwrap_or(Err(Error::Fenced))
    }

    fn perform(self: &Arc<Self>, broker: &Arc<Broker>, inner: &mut Inner) {
        for effect in inner.machine.take_effects() {
            match effect {
                Effect::Reply(id, result) => {
                    if let Some(answer) = inner.answers.remove(&id) {
                        // The client may have gone.
                        let _ = answer.send(result);
                    }
                }
                Effect::Wake => wake(inner),
                Effect::Write(write) => {
                    let (delivery, broker) = (Arc::clone(self), Arc::clone(broker));
                    tokio::spawn(async move {
                        let result = persister::write_state(&broker, &delivery.key, &write).await.map_err(of_code);
                        if result == Err(Error::Fenced) {
                            delivery.end();
                        }
                        delivery.with(&broker, |machine| machine.written(result));
                    });
                }
            }
        }
    }

    /// It counts no more; whoever waits comes again and finds another.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        let mut inner = self.inner.lock();
        wake(&mut inner);
        inner.answers.clear();
    }

    /// Has `wait` told when there may be records: of `place`.
    pub fn park(&self, wait: &Arc<FetchWait>, place: usize) {
        self.inner.lock().waiting.push((Arc::clone(wait), place));
    }

    /// Takes back [`Delivery::park`].
    pub fn unpark(&self, wait: &Arc<FetchWait>) {
        self.inner.lock().waiting.retain(|(waiting, _)| !Arc::ptr_eq(waiting, wait));
    }
}

fn wake(inner: &mut Inner) {
    for (wait, place) in inner.waiting.drain(..) {
        wait.notify(place);
    }
}

fn of_code(code: ErrorCode) -> Error {
    match code {
        ErrorCode::FENCED_LEADER_EPOCH | ErrorCode::FENCED_STATE_EPOCH => Error::Fenced,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => Error::UnknownTopicOrPartition,
        code if persister::is_passing(code) => Error::CoordinatorNotAvailable,
        _ => Error::Unexpected,
    }
}

//! All coordinators of one kind on this broker: which partition coordinates a name, and the way to its driver.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use ottla_core::coordinator::Machine;
use ottla_core::metadata::Image;
use ottla_core::{BrokerId, LeaderEpoch, LogIndex};
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::ReplicaLog;
use super::driver::{Actor, Command, Driver, Notes};
use super::log::CoordinatorLog;
use crate::clock::Clock;
use crate::replica::Manager;

/// How long a request waits for the coordinators to follow the image it was sent by.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(1);

/// Why a request was not handled by a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// It is coordinated by another broker, or by none.
    #[error("this broker is not the coordinator")]
    NotCoordinator,
    /// The coordinator is being loaded: ask again.
    #[error("the coordinator is still being loaded")]
    Loading,
}

/// A running driver.
struct Running<M: Machine> {
    epoch: LeaderEpoch,
    commands: mpsc::UnboundedSender<Command<M>>,
    loaded: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// The coordinators of one kind on this broker, by partition of their topic.
pub struct Coordinators<M: Machine, A> {
    config: M::Config,
    actor: A,
    clock: Clock,
    /// What they have to know of the cluster.
    note: fn(&Arc<Image>) -> Option<M::Note>,
    running: RwLock<BTreeMap<i32, Running<M>>>,
    /// The image that the coordinators correspond to.
    followed: watch::Sender<LogIndex>,
}

impl<M: Machine, A: Actor<M>> Coordinators<M, A>
where
    M::Note: Clone,
{
    /// None yet. `note` says what they have to know of each image; one that begins is told of the image before first.
    pub fn new(config: M::Config, actor: A, clock: Clock, note: fn(&Arc<Image>) -> Option<M::Note>) -> Self {
        Self { config, actor, clock, note, running: RwLock::default(), followed: watch::Sender::default() }
    }

    /// Coordinates what the images say broker `me` leads, until there are no more images or the broker stops.
    pub async fn follow(
        self: Arc<Self>,
        mut images: watch::Receiver<Arc<Image>>,
        replicas: Arc<Manager>,
        me: BrokerId,
        shutdown: CancellationToken,
    ) {
        let mut before = Arc::new(Image::default());
        images.mark_changed();
        while let Some(Ok(())) = shutdown.run_until_cancelled(images.changed()).await {
            let image = Arc::clone(&images.borrow_and_update());
            self.follow_one(&before, &image, &replicas, me);
            self.followed.send_replace(image.index());
            before = image;
        }
    }

    fn follow_one(&self, before: &Arc<Image>, image: &Arc<Image>, replicas: &Manager, me: BrokerId) {
        let mut led = BTreeMap::new();
        if let Some(topic) = image.topic(M::TOPIC) {
            let mine = topic.indexed().filter(|(_, state)| state.leader == me);
            // A partition that could not be opened is not led, whatever the image says.
            led.extend(mine.filter_map(|(index, state)| {
                let partition = replicas.topics().partition(M::TOPIC, index).ok()?;
                (partition.leader_epoch() == Some(state.leader_epoch)).then_some((index, partition))
            }));
        }
        let lost: Vec<i32> = self.running.read().keys().copied().filter(|index| !led.contains_key(index)).collect();
        lost.into_iter().for_each(|index| self.resign(index));
        for (index, partition) in led {
            if let Some(epoch) = partition.leader_epoch() {
                let is_new = self.lead(index, epoch, Arc::new(ReplicaLog::new(partition)));
                if let Some(note) = (self.note)(before).filter(|_| is_new) {
                    self.tell(index, note);
                }
            }
        }
        if let Some(note) = (self.note)(image) {
            for driver in self.running.read().values() {
                let _ = driver.commands.send(Command::Note(note.clone()));
            }
        }
    }

    /// Waits, not for long, until the coordinators correspond to the image of `index`.
    pub async fn followed(&self, index: LogIndex) {
        if *self.followed.borrow() < index {
            let mut followed = self.followed.subscribe();
            // What is not followed in time reads as "not coordinator", and the client comes again.
            let _ = tokio::time::timeout(FOLLOW_PATIENCE, followed.wait_for(|reached| *reached >= index)).await;
        }
    }

    /// This broker leads `partition` in the term `epoch`: coordinates it, from a fresh load if the term is new.
    /// True if it is. Must be called on a tokio runtime.
    pub fn lead<L: CoordinatorLog>(&self, partition: i32, epoch: LeaderEpoch, log: Arc<L>) -> bool {
        let mut running = self.running.write();
        if running.get(&partition).is_some_and(|driver| driver.epoch == epoch) {
            return false;
        }
        if let Some(former) = running.remove(&partition) {
            former.stop();
        }
        let (sender, commands) = mpsc::unbounded_channel();
        let loaded = Arc::new(AtomicBool::new(false));
        let driver = Driver {
            partition,
            epoch,
            log,
            actor: self.actor.clone(),
            clock: self.clock,
            config: self.config.clone(),
            commands,
            notes: Notes(sender.downgrade()),
            loaded: Arc::clone(&loaded),
        };
        let task = tokio::spawn(driver.run());
        running.insert(partition, Running { epoch, commands: sender, loaded, task });
        true
    }

    /// This broker leads `partition` no more.
    pub fn resign(&self, partition: i32) {
        if let Some(former) = self.running.write().remove(&partition) {
            former.stop();
        }
    }

    /// Has the coordinator of `partition` know something, if it is here.
    pub fn tell(&self, partition: i32, note: M::Note) {
        if let Some(driver) = self.running.read().get(&partition) {
            let _ = driver.commands.send(Command::Note(note));
        }
    }

    /// Has the coordinator of `partition` handle a request.
    pub async fn call(&self, partition: i32, request: M::Request) -> Result<M::Response, Unavailable> {
        let answer = {
            let running = self.running.read();
            let driver = running.get(&partition).ok_or(Unavailable::NotCoordinator)?;
            driver.send(request)
        };
        answer.await.unwrap_or(Err(Unavailable::NotCoordinator))
    }

    /// Asks every coordinator; "loading" while one of them is.
    pub async fn call_all(&self, request: impl Fn() -> M::Request) -> Result<Vec<M::Response>, Unavailable> {
        if self.are_loaded() { Ok(self.call_loaded(request).await) } else { Err(Unavailable::Loading) }
    }

    /// Asks every coordinator that is loaded.
    pub async fn call_loaded(&self, request: impl Fn() -> M::Request) -> Vec<M::Response> {
        let answers: Vec<_> = {
            let running = self.running.read();
            let loaded = running.values().filter(|driver| driver.loaded.load(Ordering::Acquire));
            loaded.map(|driver| driver.send(request())).collect()
        };
        // One that has just moved does not answer: its new coordinator does.
        join_all(answers).await.into_iter().filter_map(|answer| answer.ok()?.ok()).collect()
    }

    /// Whether every coordinator is loaded.
    pub fn are_loaded(&self) -> bool {
        self.running.read().values().all(|driver| driver.loaded.load(Ordering::Acquire))
    }

    /// Stops all drivers and waits for them; every parked request is answered.
    pub async fn stop(&self) {
        let stopped: Vec<Running<M>> = std::mem::take(&mut *self.running.write()).into_values().collect();
        for driver in &stopped {
            let _ = driver.commands.send(Command::Stop);
        }
        for driver in stopped {
            let _ = driver.task.await;
        }
    }
}

impl<M: Machine> Running<M> {
    fn stop(&self) {
        // A driver that has ended by itself needs no order.
        let _ = self.commands.send(Command::Stop);
    }

    fn send(&self, request: M::Request) -> oneshot::Receiver<Result<M::Response, Unavailable>> {
        let (answer, receiver) = oneshot::channel();
        // A driver that has ended drops the answer's sender, which reads as "not coordinator".
        let _ = self.commands.send(Command::Request(request, answer));
        receiver
    }
}

/// The partition of a coordinators' topic, one of `partitions`, that coordinates `name`: Java's hash of it.
pub fn partition_of(name: &str, partitions: i32) -> i32 {
    let hash = name.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Kafka takes 0 for the one number whose absolute value does not fit.
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::partition_of;

    #[test]
    fn a_name_has_the_partition_that_kafka_gives_it() {
        // Values of Java's String.hashCode: "" 0, "a" 97, "test-group" 1,149,894,690 and a negative one.
        assert_eq!(partition_of("", 50), 0);
        assert_eq!(partition_of("a", 50), 47);
        // "polygenelubricants" hashes to the least integer.
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        // Beyond the basic plane Java hashes the two surrogates.
        assert_eq!(partition_of("\u{1f600}", 50), (0xd83d_i32 * 31 + 0xde00) % 50);
    }
}

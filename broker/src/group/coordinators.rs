//! All coordinators of this broker: which partition coordinates a group, and the way to its driver.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_core::controller::internal_topics::CONSUMER_OFFSETS;
use ottla_core::group::{Config, ListFilter, Listed, Request, Response};
use ottla_core::metadata::{Image, Topics};
use ottla_core::{BrokerId, LeaderEpoch, LogIndex, TopicName};
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::ReplicaLog;
use super::driver::{Command, Driver};
use super::log::OffsetsLog;
use crate::clock::Clock;
use crate::replica::Manager;

/// How long a request waits for the coordinators to follow the image it was sent by.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(1);

/// Why a request was not handled by a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The group is coordinated by another broker, or by none.
    #[error("this broker does not coordinate the group")]
    NotCoordinator,
    /// The coordinator is being loaded: ask again.
    #[error("the group coordinator is still being loaded")]
    Loading,
}

/// A running driver.
struct Running {
    epoch: LeaderEpoch,
    commands: mpsc::UnboundedSender<Command>,
    loaded: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// The coordinators of this broker, by partition of `__consumer_offsets`.
pub struct Coordinators {
    config: Config,
    clock: Clock,
    running: RwLock<BTreeMap<i32, Running>>,
    /// The image that the coordinators correspond to.
    followed: watch::Sender<LogIndex>,
}

impl Coordinators {
    /// None yet.
    pub fn new(config: Config, clock: Clock) -> Self {
        Self { config, clock, running: RwLock::default(), followed: watch::Sender::default() }
    }

    /// Coordinates what the images say broker `me` leads, until there are no more images or the broker stops.
    pub async fn follow(
        self: Arc<Self>,
        mut images: watch::Receiver<Arc<Image>>,
        replicas: Arc<Manager>,
        me: BrokerId,
        shutdown: CancellationToken,
    ) {
        let mut before = Image::default();
        images.mark_changed();
        while let Some(Ok(())) = shutdown.run_until_cancelled(images.changed()).await {
            let image = Arc::clone(&images.borrow_and_update());
            self.follow_one(&before, &image, &replicas, me);
            self.followed.send_replace(image.index());
            before = Image::clone(&image);
        }
    }

    fn follow_one(&self, before: &Image, image: &Image, replicas: &Manager, me: BrokerId) {
        let mut led = BTreeMap::new();
        if let Some(topic) = image.topic(CONSUMER_OFFSETS) {
            let mine = topic.indexed().filter(|(_, state)| state.leader == me);
            // A partition that could not be opened is not led, whatever the image says.
            led.extend(mine.filter_map(|(index, state)| {
                let partition = replicas.topics().partition(CONSUMER_OFFSETS, index).ok()?;
                (partition.leader_epoch() == Some(state.leader_epoch)).then_some((index, partition))
            }));
        }
        let lost: Vec<i32> = self.running.read().keys().copied().filter(|index| !led.contains_key(index)).collect();
        lost.into_iter().for_each(|index| self.resign(index));
        for (index, partition) in led {
            if let Some(epoch) = partition.leader_epoch() {
                self.lead(index, epoch, Arc::new(ReplicaLog::new(partition)));
            }
        }
        let changes = Topics::differences(before.topics(), image.topics());
        let deleted: Vec<_> =
            changes.filter(|(_, after)| after.is_none()).filter_map(|(topic, _)| Some(topic?.name.clone())).collect();
        if !deleted.is_empty() {
            self.topics_deleted(&deleted);
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

    /// This broker leads `partition` in the term `epoch`: coordinates its groups, from a fresh load if the term is new.
    /// Must be called on a tokio runtime.
    pub fn lead<L: OffsetsLog>(&self, partition: i32, epoch: LeaderEpoch, log: Arc<L>) {
        let mut running = self.running.write();
        if running.get(&partition).is_some_and(|driver| driver.epoch == epoch) {
            return;
        }
        if let Some(former) = running.remove(&partition) {
            former.stop();
        }
        let (sender, commands) = mpsc::unbounded_channel();
        let loaded = Arc::new(AtomicBool::new(false));
        let driver = Driver {
            partition,
            log,
            clock: self.clock,
            config: self.config.clone(),
            commands,
            loaded: Arc::clone(&loaded),
        };
        let task = tokio::spawn(driver.run());
        running.insert(partition, Running { epoch, commands: sender, loaded, task });
    }

    /// This broker leads `partition` no more.
    pub fn resign(&self, partition: i32) {
        if let Some(former) = self.running.write().remove(&partition) {
            former.stop();
        }
    }

    /// Topics are gone; committed offsets for them go too.
    pub fn topics_deleted(&self, topics: &[TopicName]) {
        for driver in self.running.read().values() {
            let _ = driver.commands.send(Command::TopicsDeleted(topics.to_vec()));
        }
    }

    /// Has the coordinator of `partition` handle a request.
    pub async fn call(&self, partition: i32, request: Request) -> Result<Response, Unavailable> {
        let answer = {
            let running = self.running.read();
            let driver = running.get(&partition).ok_or(Unavailable::NotCoordinator)?;
            driver.send(request)
        };
        answer.await.unwrap_or(Err(Unavailable::NotCoordinator))
    }

    /// The groups of all coordinators that pass `filter`; "loading" while one of them is.
    pub async fn list(&self, filter: &ListFilter) -> Result<Vec<Listed>, Unavailable> {
        let answers: Vec<_> = {
            let running = self.running.read();
            if running.values().any(|driver| !driver.loaded.load(Ordering::Acquire)) {
                return Err(Unavailable::Loading);
            }
            running.values().map(|driver| driver.send(Request::List(filter.clone()))).collect()
        };
        let mut groups = Vec::new();
        for answer in answers {
            match answer.await.unwrap_or(Err(Unavailable::NotCoordinator)) {
                Ok(Response::List(listed)) => groups.extend(listed),
                Err(Unavailable::Loading) => return Err(Unavailable::Loading),
                // It has just moved: its new coordinator lists them.
                Ok(_) | Err(Unavailable::NotCoordinator) => {}
            }
        }
        Ok(groups)
    }

    /// Whether every coordinator is loaded.
    pub fn are_loaded(&self) -> bool {
        self.running.read().values().all(|driver| driver.loaded.load(Ordering::Acquire))
    }

    /// Stops all drivers and waits for them; every parked request is answered.
    pub async fn stop(&self) {
        let stopped: Vec<Running> = std::mem::take(&mut *self.running.write()).into_values().collect();
        for driver in &stopped {
            let _ = driver.commands.send(Command::Stop);
        }
        for driver in stopped {
            let _ = driver.task.await;
        }
    }
}

impl Running {
    fn stop(&self) {
        // A driver that has ended by itself needs no order.
        let _ = self.commands.send(Command::Stop);
    }

    fn send(&self, request: Request) -> oneshot::Receiver<Result<Response, Unavailable>> {
        let (answer, receiver) = oneshot::channel();
        // A driver that has ended drops the answer's sender, which reads as "not coordinator".
        let _ = self.commands.send(Command::Request(request, answer));
        receiver
    }
}

/// The partition of `__consumer_offsets`, one of `partitions`, that coordinates `group`: Java's hash of the name.
pub fn partition_of(group: &str, partitions: i32) -> i32 {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Kafka takes 0 for the one number whose absolute value does not fit.
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::partition_of;

    #[test]
    fn a_group_has_the_partition_that_kafka_gives_it() {
        // Values of Java's String.hashCode: "" 0, "a" 97, "test-group" 1,149,894,690 and a negative one.
        assert_eq!(partition_of("", 50), 0);
        assert_eq!(partition_of("a", 50), 47);
        // "polygenelubricants" hashes to the least integer.
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        // Beyond the basic plane Java hashes the two surrogates.
        assert_eq!(partition_of("\u{1f600}", 50), (0xd83d_i32 * 31 + 0xde00) % 50);
    }
}

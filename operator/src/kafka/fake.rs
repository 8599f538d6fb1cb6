//! A cluster in memory: what the rules of both controllers are tested against.
//!
//! Brokers are there from the beginning ([`FakeCluster::of`]), or come and go with their processes ([`life`]).

mod call;
mod life;
mod log_dirs;
mod moves;
mod restart;
mod views;

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures::FutureExt;

use super::*;
pub use call::Call;
use moves::min_in_sync;
use views::topic_view;
pub use views::{broker, harmless, health};

/// What the fake holds.
#[derive(Debug)]
pub struct State {
    /// The registered brokers; the first one has the controller.
    pub brokers: Vec<BrokerView>,
    /// The metadata quorum.
    pub quorum: QuorumView,
    /// What is said of restarts, where it is not what the partitions and voters say.
    pub restart: BTreeMap<BrokerId, RestartVerdict>,
    /// The topics and their settings.
    pub topics: BTreeMap<String, (TopicView, OwnConfig)>,
    /// The reassignments under way.
    pub moves: moves::Moves,
    /// What every partition weighs.
    pub partition_bytes: u64,
    /// The disks on which replicas lie, by position, where it is not the first of their broker.
    pub places: log_dirs::Places,
    /// After how many looks at the placements a move has ended.
    pub looks_of_a_move: u64,
    /// The disks that brokers have been started on, by the name of the claim.
    pub disks: BTreeMap<String, life::Disk>,
    /// Brokers that have started again and lack something, and for how many looks at the placements they still will.
    pub lagging: BTreeMap<BrokerId, u64>,
    /// How often brokers have started.
    pub starts: BTreeMap<BrokerId, usize>,
    /// The uids of pods whose node has fallen silent: nobody starts or ends them.
    pub silent: BTreeSet<String>,
    /// What must never have happened and did.
    pub violations: Vec<String>,
    /// The cluster-wide settings.
    pub cluster_config: OwnConfig,
    /// Every change so far.
    pub calls: Vec<Call>,
    /// Answer everything with this.
    pub failure: Option<Error>,
}

/// A cluster in memory, at every address.
#[derive(Clone, Debug)]
pub struct FakeCluster(Arc<Mutex<State>>);

impl Default for FakeCluster {
    fn default() -> Self {
        Self::of(1)
    }
}

impl FakeCluster {
    /// A cluster of so many brokers without topics; the first three vote.
    pub fn of(brokers: i32) -> Self {
        let brokers: Vec<BrokerView> = (0..brokers).map(broker).collect();
        let member = |broker: &BrokerView| VoterView { broker: broker.id, directory: broker.directories[0].id.clone() };
        let (voters, observers) = brokers.iter().map(member).partition(|member| member.broker.0 < 3);
        Self(Arc::new(Mutex::new(State {
            brokers,
            quorum: QuorumView { voters, observers },
            restart: BTreeMap::new(),
            topics: BTreeMap::new(),
            moves: moves::Moves::new(),
            partition_bytes: moves::BYTES,
            places: log_dirs::Places::new(),
            looks_of_a_move: moves::LOOKS,
            disks: BTreeMap::new(),
            lagging: BTreeMap::new(),
            starts: BTreeMap::new(),
            silent: BTreeSet::new(),
            violations: Vec::new(),
            cluster_config: OwnConfig::new(),
            calls: Vec::new(),
            failure: None,
        })))
    }

    /// Gives a cluster without topics so many brokers.
    pub fn set_brokers(&self, brokers: i32) {
        let mut other = Self::of(brokers);
        std::mem::swap(&mut *self.state(), Arc::get_mut(&mut other.0).unwrap().get_mut().unwrap());
    }

    /// The state, to look at or to change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a topic as somebody else would.
    pub fn given_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) -> TopicView {
        let view = topic_view(name, partitions, 1, &[BrokerId(0)]);
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.state().topics.insert(name.to_owned(), (view.clone(), config));
        view
    }

    /// Makes a topic of so many copies, all but one of which acks=all needs, as somebody else would.
    pub fn make_safe_topic(&self, name: &str, partitions: i32, copies: i32) {
        self.make_topic(name, partitions, copies);
        let needed = (copies - 1).max(1).to_string();
        let mut state = self.state();
        state.topics.get_mut(name).unwrap().1.insert("min.insync.replicas".to_owned(), needed);
    }

    /// Makes a topic of so many copies as somebody else would.
    pub fn make_topic(&self, name: &str, partitions: i32, copies: i32) {
        let mut state = self.state();
        let brokers = state.open_brokers(copies).unwrap();
        let view = topic_view(name, partitions, usize::try_from(copies).unwrap(), &brokers);
        state.topics.insert(name.to_owned(), (view, OwnConfig::new()));
    }

    /// By how many copies, and by how many partitions led, brokers differ.
    pub fn spread(&self) -> (u32, u32) {
        let state = self.state();
        let loaded: Vec<BrokerView> = state.brokers.iter().map(|broker| state.loaded(broker)).collect();
        let spread = |of: fn(&BrokerView) -> u32| {
            let all = || loaded.iter().map(of);
            all().max().unwrap_or(0) - all().min().unwrap_or(0)
        };
        (spread(|broker| broker.replicas), spread(|broker| broker.leaders))
    }

    /// The changes since the last call of this.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().calls)
    }

    fn answer<T>(&self, act: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.state();
        match state.failure.clone() {
            Some(failure) => Err(failure),
            None => act(&mut state),
        }
    }
}

fn refused<T>(code: &str, message: &str) -> Result<T> {
    Err(Error::Refused { code: code.to_owned(), message: Some(message.to_owned()) })
}

impl State {
    /// The brokers that may get `count` copies of a partition, if there are so many.
    fn open_brokers(&self, count: i32) -> Result<Vec<BrokerId>> {
        let open = self.brokers.iter().filter(|broker| !broker.cordoned && !broker.fenced).map(|broker| broker.id);
        let open: Vec<_> = open.collect();
        if open.len() < usize::try_from(count).unwrap() {
            let message = format!("Unable to replicate the partition {count} time(s)");
            return refused("INVALID_REPLICATION_FACTOR", &message);
        }
        Ok(open)
    }
}

impl Connector for FakeCluster {
    fn connect(&self, _bootstrap: &Bootstrap) -> Arc<dyn ClusterAdmin> {
        Arc::new(self.clone())
    }
}

impl ClusterAdmin for FakeCluster {
    fn leaderless(&self) -> BoxFuture<'_, Result<u32>> {
        let answer = self.answer(|state| Ok(health(state.topics.values().map(|(view, _)| view)).offline));
        async { answer }.boxed()
    }

    fn topic<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<TopicView>>> {
        let answer = self.answer(|state| Ok(state.topic_with_moves(name)));
        async { answer }.boxed()
    }

    fn own_config<'a>(&'a self, of: &'a ConfigOf) -> BoxFuture<'a, Result<OwnConfig>> {
        let answer = self.answer(|state| match of {
            ConfigOf::Cluster => Ok(state.cluster_config.clone()),
            ConfigOf::Topic(name) => match state.topics.get(name) {
                Some((_, config)) => Ok(config.clone()),
                None => refused("UNKNOWN_TOPIC_OR_PARTITION", "no such topic"),
            },
        });
        async { answer }.boxed()
    }

    fn create_topic<'a>(&'a self, topic: &'a NewTopic) -> BoxFuture<'a, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::Create(topic.clone()));
            let copies = topic.replicas.unwrap_or(1);
            let brokers = state.open_brokers(copies)?;
            if state.topics.contains_key(&topic.name) {
                return refused("TOPIC_ALREADY_EXISTS", "exists");
            }
            let copies = usize::try_from(copies).unwrap();
            let view = topic_view(&topic.name, topic.partitions.unwrap_or(1), copies, &brokers);
            state.topics.insert(topic.name.clone(), (view, topic.config.clone()));
            Ok(())
        });
        async { answer }.boxed()
    }

    fn grow_topic<'a>(&'a self, name: &'a str, total: i32) -> BoxFuture<'a, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::Grow(name.to_owned(), total));
            let Some((view, _)) = state.topics.get_mut(name) else {
                return refused("UNKNOWN_TOPIC_OR_PARTITION", "no such topic");
            };
            let replicas = view.partitions[0].replicas.clone();
            let new = topic_view(name, total, replicas.len(), &replicas).partitions;
            view.partitions.extend(new.into_iter().skip(view.partitions.len()));
            Ok(())
        });
        async { answer }.boxed()
    }

    fn change_config<'a>(&'a self, of: &'a ConfigOf, changes: &'a [ConfigChange]) -> BoxFuture<'a, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::Config(of.clone(), changes.to_vec()));
            let config = match of {
                ConfigOf::Cluster => &mut state.cluster_config,
                ConfigOf::Topic(name) => match state.topics.get_mut(name) {
                    Some((_, config)) => config,
                    None => return refused("UNKNOWN_TOPIC_OR_PARTITION", "no such topic"),
                },
            };
            for change in changes {
                match change {
                    ConfigChange::Set(key, value) => config.insert(key.clone(), value.clone()),
                    ConfigChange::Reset(key) => config.remove(key),
                };
            }
            Ok(())
        });
        async { answer }.boxed()
    }

    fn delete_topic<'a>(&'a self, _id: TopicId, name: &'a str) -> BoxFuture<'a, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::Delete(name.to_owned()));
            state.topics.remove(name);
            state.moves.retain(|(topic, _), _| topic != name);
            Ok(())
        });
        async { answer }.boxed()
    }

    fn brokers(&self) -> BoxFuture<'_, Result<Vec<BrokerView>>> {
        let answer =
            self.answer(|state| Ok(state.brokers.iter().map(|broker| state.loaded(broker)).collect::<Vec<_>>()));
        async { answer }.boxed()
    }

    fn partition_health(&self) -> BoxFuture<'_, Result<PartitionHealth>> {
        let answer = self.answer(|state| {
            let health = health(state.topics.values().map(|(view, _)| view));
            let moving = u32::try_from(state.moves.len()).unwrap();
            let bytes_left = state.moves.values().map(|one| one.bytes_left(state.partition_bytes)).sum();
            Ok(PartitionHealth { moving, bytes_left, ..health })
        });
        async { answer }.boxed()
    }

    fn check_restart(&self, broker: BrokerId) -> BoxFuture<'_, Result<RestartVerdict>> {
        let answer =
            self.answer(|state| Ok(state.restart.get(&broker).cloned().unwrap_or_else(|| state.restart_of(broker))));
        async { answer }.boxed()
    }

    fn cordon(&self, broker: BrokerId, cordoned: bool) -> BoxFuture<'_, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::Cordon(broker, cordoned));
            let Some(found) = state.brokers.iter_mut().find(|found| found.id == broker) else {
                return Err(Error::Unreachable("no such broker".to_owned()));
            };
            found.cordoned = cordoned;
            Ok(())
        });
        async { answer }.boxed()
    }

    fn advertise<'a>(&'a self, broker: BrokerId, listeners: &'a str) -> BoxFuture<'a, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::Advertise(broker, listeners.to_owned()));
            let Some(found) = state.brokers.iter_mut().find(|found| found.id == broker) else {
                return Err(Error::Unreachable("no such broker".to_owned()));
            };
            found.advertised = listeners.to_owned();
            Ok(())
        });
        async { answer }.boxed()
    }

    fn placements(&self) -> BoxFuture<'_, Result<Vec<TopicPlacement>>> {
        let answer = self.answer(|state| Ok(state.placements()));
        async { answer }.boxed()
    }

    fn reassign<'a>(&'a self, wanted: &'a [Reassignment]) -> BoxFuture<'a, Result<Vec<NotReassigned>>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::Reassign(wanted.to_vec()));
            Ok(wanted.iter().filter_map(|one| state.reassign(one)).collect())
        });
        async { answer }.boxed()
    }

    fn elect_preferred<'a>(&'a self, partitions: &'a [(String, i32)]) -> BoxFuture<'a, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::Elect(partitions.to_vec()));
            partitions.iter().for_each(|(topic, partition)| state.elect(topic, *partition));
            Ok(())
        });
        async { answer }.boxed()
    }

    fn log_dirs<'a>(&'a self, broker: &'a BrokerAt) -> BoxFuture<'a, Result<Vec<LogDir>>> {
        let answer = self.answer(|state| state.log_dirs(broker.id));
        async { answer }.boxed()
    }

    fn alter_log_dirs<'a>(&'a self, broker: &'a BrokerAt, moves: &'a [LogDirMove]) -> BoxFuture<'a, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::Shift(broker.id, moves.to_vec()));
            moves.iter().for_each(|one| state.shift(broker.id, one));
            Ok(())
        });
        async { answer }.boxed()
    }

    fn unregister(&self, broker: BrokerId) -> BoxFuture<'_, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::Unregister(broker));
            state.unregister(broker);
            Ok(())
        });
        async { answer }.boxed()
    }

    fn quorum(&self) -> BoxFuture<'_, Result<QuorumView>> {
        let answer = self.answer(|state| Ok(state.quorum.clone()));
        async { answer }.boxed()
    }

    fn add_voter(&self, broker: BrokerId) -> BoxFuture<'_, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::AddVoter(broker));
            state.add_voter(broker)
        });
        async { answer }.boxed()
    }

    fn remove_voter<'a>(&'a self, broker: BrokerId, directory: &'a str) -> BoxFuture<'a, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::RemoveVoter(broker));
            state.remove_voter(broker, directory)
        });
        async { answer }.boxed()
    }

    fn retire_disk<'a>(&'a self, broker: BrokerId, directory: &'a str) -> BoxFuture<'a, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::RetireDisk(broker, directory.to_owned()));
            state.retire_disk(broker, directory)
        });
        async { answer }.boxed()
    }
}

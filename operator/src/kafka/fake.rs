//! A cluster in memory: what the topic rules are tested against.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use uuid::Uuid;

use super::*;
use ottla_core::ids::BrokerEpoch;

/// One change that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A topic was made.
    Create(NewTopic),
    /// A topic was grown to so many partitions.
    Grow(String, i32),
    /// Settings were changed.
    Config(ConfigOf, Vec<ConfigChange>),
    /// A topic was deleted.
    Delete(String),
    /// A broker was cordoned, or is so no longer.
    Cordon(BrokerId, bool),
    /// A broker got a vote.
    AddVoter(BrokerId),
    /// A broker lost its vote.
    RemoveVoter(BrokerId),
}

/// What the fake holds.
#[derive(Debug)]
pub struct State {
    /// The registered brokers; the first one has the controller.
    pub brokers: Vec<BrokerView>,
    /// The brokers that vote.
    pub voters: Vec<BrokerId>,
    /// What is said of restarts, where it is not that they do no harm.
    pub restart: BTreeMap<BrokerId, RestartVerdict>,
    /// The topics and their settings.
    pub topics: BTreeMap<String, (TopicView, OwnConfig)>,
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
    /// A cluster of so many brokers without topics.
    pub fn of(brokers: i32) -> Self {
        Self(Arc::new(Mutex::new(State {
            brokers: (0..brokers).map(broker).collect(),
            voters: (0..brokers.min(3)).map(BrokerId).collect(),
            restart: BTreeMap::new(),
            topics: BTreeMap::new(),
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
        let view = topic_view(name, partitions, &[BrokerId(0)]);
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.state().topics.insert(name.to_owned(), (view.clone(), config));
        view
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

/// What is said of a restart that harms nobody.
pub fn harmless() -> RestartVerdict {
    RestartVerdict {
        allowed: true,
        harmed: Vec::new(),
        loses_quorum: false,
        holds_quorum: false,
        unavoidable: 0,
        catching_up: 0,
    }
}

/// A broker as it is when all is well.
pub fn broker(id: i32) -> BrokerView {
    BrokerView {
        id: BrokerId(id),
        epoch: BrokerEpoch(100 + i64::from(id)),
        rack: None,
        fenced: false,
        cordoned: false,
        draining: false,
        is_controller: id == 0,
        leaders: 0,
        replicas: 0,
        directories: vec![DirectoryView { id: format!("disk-{id}"), failure: None, space: Some((1000, 750)) }],
    }
}

/// What a broker would count over `topics`, where min ISR is 1.
pub fn health<'a>(topics: impl Iterator<Item = &'a TopicView>) -> PartitionHealth {
    let mut health = PartitionHealth::default();
    for partition in topics.flat_map(|topic| &topic.partitions) {
        health.total += 1;
        health.under_replicated += u32::from(partition.in_sync.len() < partition.replicas.len());
        health.under_min_isr += u32::from(partition.in_sync.is_empty());
        health.offline += u32::from(partition.leader.is_none());
    }
    health
}

fn topic_view(name: &str, partitions: i32, replicas: &[BrokerId]) -> TopicView {
    let partition =
        PartitionView { leader: replicas.first().copied(), replicas: replicas.to_vec(), in_sync: replicas.to_vec() };
    TopicView {
        name: name.to_owned(),
        id: TopicId(Uuid::new_v4()),
        partitions: vec![partition; usize::try_from(partitions).unwrap()],
    }
}

impl State {
    /// The first `count` brokers, if there are so many.
    fn some_brokers(&self, count: i32) -> Result<Vec<BrokerId>> {
        let count = usize::try_from(count).unwrap();
        if self.brokers.len() < count {
            let message = format!("Unable to replicate the partition {count} time(s)");
            return refused("INVALID_REPLICATION_FACTOR", &message);
        }
        Ok(self.brokers[..count].iter().map(|broker| broker.id).collect())
    }

    /// A broker with what it leads and holds now.
    fn loaded(&self, broker: &BrokerView) -> BrokerView {
        let count = |is_it: &dyn Fn(&PartitionView) -> bool| {
            let partitions = self.topics.values().flat_map(|(view, _)| &view.partitions);
            u32::try_from(partitions.filter(|partition| is_it(partition)).count()).unwrap()
        };
        let (leaders, replicas) = (
            count(&|partition| partition.leader == Some(broker.id)),
            count(&|partition| partition.replicas.contains(&broker.id)),
        );
        BrokerView { leaders, replicas, ..broker.clone() }
    }
}

impl Connector for FakeCluster {
    fn connect(&self, _bootstrap: &Bootstrap) -> Arc<dyn ClusterAdmin> {
        Arc::new(self.clone())
    }
}

impl ClusterAdmin for FakeCluster {
    fn cluster(&self) -> BoxFuture<'_, Result<ClusterView>> {
        let answer = self.answer(|state| {
            Ok(ClusterView {
                cluster_id: "fake".to_owned(),
                brokers: state.brokers.iter().filter(|broker| !broker.fenced).map(|broker| broker.id).collect(),
                topics: state.topics.values().map(|(view, _)| view.clone()).collect(),
            })
        });
        async { answer }.boxed()
    }

    fn topic<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<TopicView>>> {
        let answer = self.answer(|state| Ok(state.topics.get(name).map(|(view, _)| view.clone())));
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
            let replicas = state.some_brokers(topic.replicas.unwrap_or(1))?;
            if state.topics.contains_key(&topic.name) {
                return refused("TOPIC_ALREADY_EXISTS", "exists");
            }
            let view = topic_view(&topic.name, topic.partitions.unwrap_or(1), &replicas);
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
            view.partitions = topic_view(name, total, &replicas).partitions;
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
        let answer = self.answer(|state| Ok(health(state.topics.values().map(|(view, _)| view))));
        async { answer }.boxed()
    }

    fn check_restart(&self, broker: BrokerId) -> BoxFuture<'_, Result<RestartVerdict>> {
        let answer = self.answer(|state| Ok(state.restart.get(&broker).cloned().unwrap_or_else(harmless)));
        async { answer }.boxed()
    }

    fn cordon(&self, broker: BrokerId, cordoned: bool) -> BoxFuture<'_, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::Cordon(broker, cordoned));
            let Some(found) = state.brokers.iter_mut().find(|found| found.id == broker) else {
                return refused("NotFound", "no such broker");
            };
            found.cordoned = cordoned;
            Ok(())
        });
        async { answer }.boxed()
    }

    fn quorum(&self) -> BoxFuture<'_, Result<QuorumView>> {
        let answer = self.answer(|state| {
            let view =
                |broker: &BrokerView| VoterView { broker: broker.id, directory: broker.directories[0].id.clone() };
            let (voters, observers) = state.brokers.iter().map(view).partition(|it| state.voters.contains(&it.broker));
            Ok(QuorumView { voters, observers })
        });
        async { answer }.boxed()
    }

    fn add_voter(&self, broker: BrokerId) -> BoxFuture<'_, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::AddVoter(broker));
            state.voters.retain(|voter| *voter != broker);
            state.voters.push(broker);
            Ok(())
        });
        async { answer }.boxed()
    }

    fn remove_voter<'a>(&'a self, broker: BrokerId, _directory: &'a str) -> BoxFuture<'a, Result<()>> {
        let answer = self.answer(|state| {
            state.calls.push(Call::RemoveVoter(broker));
            state.voters.retain(|voter| *voter != broker);
            Ok(())
        });
        async { answer }.boxed()
    }
}

//! A cluster in memory: what the topic rules are tested against.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use uuid::Uuid;

use super::*;

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
}

/// What the fake holds.
#[derive(Debug, Default)]
pub struct State {
    /// The topics and their settings.
    pub topics: BTreeMap<String, (TopicView, OwnConfig)>,
    /// The cluster-wide settings.
    pub cluster_config: OwnConfig,
    /// Every change so far.
    pub calls: Vec<Call>,
    /// Answer everything with this.
    pub failure: Option<Error>,
}

/// A cluster of one broker in memory, at every address.
#[derive(Clone, Debug, Default)]
pub struct FakeCluster(Arc<Mutex<State>>);

impl FakeCluster {
    /// The state, to look at or to change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a topic as somebody else would.
    pub fn given_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) -> TopicView {
        let view = topic_view(name, partitions);
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

fn topic_view(name: &str, partitions: i32) -> TopicView {
    let partition =
        PartitionView { leader: Some(BrokerId(0)), replicas: vec![BrokerId(0)], in_sync: vec![BrokerId(0)] };
    TopicView {
        name: name.to_owned(),
        id: TopicId(Uuid::new_v4()),
        partitions: vec![partition; usize::try_from(partitions).unwrap()],
    }
}

impl Connector for FakeCluster {
    fn connect(&self, _addresses: &[String]) -> Arc<dyn ClusterAdmin> {
        Arc::new(self.clone())
    }
}

impl ClusterAdmin for FakeCluster {
    fn cluster(&self) -> BoxFuture<'_, Result<ClusterView>> {
        let answer = self.answer(|state| {
            Ok(ClusterView {
                cluster_id: "fake".to_owned(),
                brokers: vec![BrokerId(0)],
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
            if topic.replicas.is_some_and(|replicas| replicas > 1) {
                return refused("INVALID_REPLICATION_FACTOR", "Unable to replicate the partition 2 time(s)");
            }
            if state.topics.contains_key(&topic.name) {
                return refused("TOPIC_ALREADY_EXISTS", "exists");
            }
            let view = topic_view(&topic.name, topic.partitions.unwrap_or(1));
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
            view.partitions = topic_view(name, total).partitions;
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
}

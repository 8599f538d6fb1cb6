//! What passes over topics read live and have in common, read once for all that ask at the same time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, api::ListParams};
use ottla_crds::{KafkaCluster, KafkaTopic};

use super::{CachedTopic, index::Index, observe::Ground};
use crate::{
    cluster,
    error::{Error, Result},
    gather::Gather,
    names::{FOUNDED, Names},
};

/// How many passes share a read at most.
const AT_ONCE: usize = 256;
/// How many KafkaTopics an answer has at most.
const PAGE: u32 = 500;

/// A cluster, without its topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// There is none of that name.
    Missing,
    /// It is being deleted.
    Leaving,
    /// None of its brokers is ready to be asked, or not all of them have been yet.
    NotReady,
    /// Where partitions may lie, and the addresses of the brokers that are ready.
    At(Ground, Vec<String>),
}

/// The namespace and the name of a KafkaCluster.
type ClusterKey = (String, String);
type Shared<T> = Result<T, Arc<Error>>;

/// The reads that passes share.
pub struct Live {
    clusters: Gather<ClusterKey, Shared<Reached>>,
    topics: Gather<String, Shared<Arc<Index>>>,
}

impl Live {
    /// Reads by `client`.
    pub fn new(client: Client) -> Self {
        let other = client.clone();
        let clusters = Gather::new(AT_ONCE, move |keys| {
            let client = client.clone();
            each(keys, move |key| reach(client.clone(), key))
        });
        let topics = Gather::new(AT_ONCE, move |namespaces| {
            let client = other.clone();
            each(namespaces, move |namespace| list(client.clone(), namespace))
        });
        Self { clusters, topics }
    }

    /// The cluster `name` as it is now.
    pub async fn cluster(&self, namespace: &str, name: &str) -> Result<Reached> {
        let key = (namespace.to_owned(), name.to_owned());
        self.clusters.call(key).await.map_err(Error::Shared)
    }

    /// Every other KafkaTopic that stands now for the same topic as `topic`, which is in `namespace`.
    pub async fn rivals(&self, namespace: &str, topic: &KafkaTopic) -> Result<Vec<CachedTopic>> {
        let all = self.topics.call(namespace.to_owned()).await.map_err(Error::Shared)?;
        Ok(all.rivals(topic).unwrap_or_default())
    }
}

/// One answer for each of `keys`, each of them read once.
async fn each<K, T, Read>(keys: Vec<K>, read: impl Fn(K) -> Read) -> Vec<Shared<T>>
where
    K: Ord + Clone,
    T: Clone,
    Read: Future<Output = Result<T>>,
{
    let distinct: BTreeSet<K> = keys.iter().cloned().collect();
    let found = join_all(distinct.iter().cloned().map(read)).await.into_iter().map(|found| found.map_err(Arc::new));
    let found: BTreeMap<K, Shared<T>> = distinct.into_iter().zip(found).collect();
    keys.iter().map(|key| found[key].clone()).collect()
}

async fn reach(client: Client, (namespace, name): ClusterKey) -> Result<Reached> {
    let api: Api<KafkaCluster> = Api::namespaced(client.clone(), &namespace);
    let Some(cluster) = api.get_opt(&name).await.map_err(Error::kubernetes("read the KafkaCluster"))? else {
        return Ok(Reached::Missing);
    };
    if cluster.metadata.deletion_timestamp.is_some() {
        return Ok(Reached::Leaving);
    }
    // Before all of its brokers have served once, a topic that needs several of them would be refused.
    if !cluster.annotations().contains_key(FOUNDED) {
        return Ok(Reached::NotReady);
    }
    let api: Api<Pod> = Api::namespaced(client, &namespace);
    let selector = ListParams::default().labels(&Names::new(name, namespace).selector_text());
    let pods = api.list(&selector).await.map_err(Error::kubernetes("list the brokers' pods"))?;
    let addresses = cluster::addresses(&cluster, &pods.items);
    let ground = Ground { brokers: cluster.spec.brokers, moves: cluster.spec.rebalance.mode };
    Ok(if addresses.is_empty() { Reached::NotReady } else { Reached::At(ground, addresses) })
}

async fn list(client: Client, namespace: String) -> Result<Arc<Index>> {
    let api: Api<CachedTopic> = Api::namespaced(client, &namespace);
    let (mut topics, mut page) = (Vec::new(), ListParams::default().limit(PAGE));
    loop {
        let found = api.list(&page).await.map_err(Error::kubernetes("list the KafkaTopics"))?;
        topics.extend(found.items);
        match found.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(Arc::new(Index::of(topics))),
        }
    }
}

//! All KafkaTopics by the topic they stand for: who else claims it, and which of them to look at when one changes.
//!
//! Pure: events of a watch in, topics to look at out. What a change means is up to the pass, which reads its topic live.

use std::collections::{HashMap, HashSet};

use kube::runtime::watcher::Event;
use ottla_crds::KafkaTopic;

use super::{CachedTopic, observe::own_name};

/// Everything that a watch has told.
#[derive(Debug, Default)]
pub struct Index {
    topics: Claims,
    /// A list that has begun and is not over.
    listed: Option<Claims>,
    is_complete: bool,
}

/// A topic of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Claim {
    namespace: String,
    cluster: String,
    topic: String,
}

impl Claim {
    fn of(topic: &KafkaTopic) -> Self {
        Self {
            namespace: topic.metadata.namespace.clone().unwrap_or_default(),
            cluster: topic.spec.cluster_ref.name.clone(),
            topic: own_name(topic).unwrap_or_default().to_owned(),
        }
    }
}

/// Who claims what. An object never changes its claim: its cluster and its topic's name cannot change.
#[derive(Debug, Default)]
struct Claims(HashMap<Claim, Vec<CachedTopic>>);

impl Claims {
    /// Puts `topic` in the place of what was known of it.
    fn put(&mut self, topic: CachedTopic) -> Option<CachedTopic> {
        let owners = self.0.entry(Claim::of(&topic)).or_default();
        match owners.iter_mut().find(|other| other.metadata.name == topic.metadata.name) {
            Some(known) => Some(std::mem::replace(known, topic)),
            None => {
                owners.reserve_exact(1);
                owners.push(topic);
                None
            }
        }
    }

    fn remove(&mut self, topic: &CachedTopic) {
        let claim = Claim::of(topic);
        if let Some(owners) = self.0.get_mut(&claim) {
            owners.retain(|other| other.metadata.name != topic.metadata.name);
            if owners.is_empty() {
                self.0.remove(&claim);
            }
        }
    }

    fn get(&self, topic: &CachedTopic) -> Option<&CachedTopic> {
        self.0.get(&Claim::of(topic))?.iter().find(|other| other.metadata.name == topic.metadata.name)
    }

    fn rivals(&self, topic: &KafkaTopic) -> impl Iterator<Item = &CachedTopic> {
        let owners = self.0.get(&Claim::of(topic)).into_iter().flatten();
        owners.filter(|other| other.metadata.uid != topic.metadata.uid)
    }

    fn all(&self) -> impl Iterator<Item = &CachedTopic> {
        self.0.values().flatten()
    }
}

impl Index {
    /// The index of a list.
    pub fn of(topics: impl IntoIterator<Item = CachedTopic>) -> Self {
        let mut claims = Claims::default();
        for topic in topics {
            claims.put(topic);
        }
        Self { topics: claims, listed: None, is_complete: true }
    }

    /// Takes in what a watch tells, and gives the topics to look at because of it, each once: those that changed, and all that
    /// claim the same topic. A status says nothing new to whoever wrote it.
    pub fn take(&mut self, event: Event<CachedTopic>) -> Vec<CachedTopic> {
        match event {
            Event::Apply(topic) => match self.topics.put(topic.clone()) {
                Some(known) if !is_news(&known, &topic) => Vec::new(),
                _ => self.with_rivals([topic]),
            },
            Event::Delete(topic) => {
                self.topics.remove(&topic);
                self.with_rivals([topic])
            }
            Event::Init => {
                self.listed = Some(Claims::default());
                Vec::new()
            }
            Event::InitApply(topic) => {
                self.listed.get_or_insert_default().put(topic);
                Vec::new()
            }
            Event::InitDone => {
                let before = std::mem::replace(&mut self.topics, self.listed.take().unwrap_or_default());
                self.is_complete = true;
                let is_new = |topic: &&CachedTopic| before.get(topic).is_none_or(|known| is_news(known, topic));
                let new = self.topics.all().filter(is_new).cloned();
                let gone = before.all().filter(|topic| self.topics.get(topic).is_none()).cloned();
                let changed: Vec<_> = new.chain(gone).collect();
                self.with_rivals(changed)
            }
        }
    }

    /// Every other KafkaTopic that stands for the same topic of the same cluster; `None` before the first list is over.
    pub fn rivals(&self, topic: &KafkaTopic) -> Option<Vec<CachedTopic>> {
        self.is_complete.then(|| self.topics.rivals(topic).cloned().collect())
    }

    fn with_rivals(&self, topics: impl IntoIterator<Item = CachedTopic>) -> Vec<CachedTopic> {
        let mut seen = HashSet::new();
        let all = topics.into_iter().flat_map(|topic| {
            let rivals: Vec<_> = self.topics.rivals(&topic).cloned().collect();
            std::iter::once(topic).chain(rivals)
        });
        all.filter(|topic| seen.insert((topic.metadata.namespace.clone(), topic.metadata.name.clone()))).collect()
    }
}

/// Whether an object differs in what a pass or a rival goes by.
fn is_news(known: &KafkaTopic, topic: &KafkaTopic) -> bool {
    let (known, topic) = (&known.metadata, &topic.metadata);
    known.uid != topic.uid
        || known.generation != topic.generation
        || known.deletion_timestamp != topic.deletion_timestamp
        || known.finalizers != topic.finalizers
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

    use super::*;

    /// `name` or `name=topic`
    fn topic(text: &str) -> CachedTopic {
        let (name, topic_name) = text.split_once('=').map_or((text, None), |(name, topic)| (name, Some(topic)));
        let topic: KafkaTopic = serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": 1},
            "spec": {"clusterRef": {"name": "demo"}, "topicName": topic_name},
        }))
        .unwrap();
        topic.into()
    }

    fn changed(text: &str, change: impl FnOnce(&mut KafkaTopic)) -> CachedTopic {
        let mut topic = (*topic(text)).clone();
        change(&mut topic);
        topic.into()
    }

    fn names(topics: Vec<CachedTopic>) -> Vec<String> {
        let mut names: Vec<_> = topics.iter().map(|topic| topic.metadata.name.clone().unwrap()).collect();
        names.sort_unstable();
        names
    }

    fn listed(index: &mut Index, topics: &[&str]) -> Vec<String> {
        assert_eq!(names(index.take(Event::Init)), Vec::<String>::new());
        for one in topics {
            assert_eq!(names(index.take(Event::InitApply(topic(one)))), Vec::<String>::new());
        }
        names(index.take(Event::InitDone))
    }

    #[test]
    fn only_who_claims_the_same_topic_is_a_rival_and_nobody_knows_before_the_list_is_over() {
        let mut index = Index::default();
        index.take(Event::Init);
        index.take(Event::InitApply(topic("orders")));
        assert!(index.rivals(&topic("orders")).is_none());
        assert_eq!(listed(&mut index, &["orders", "second=orders", "logs"]), ["logs", "orders", "second"]);
        assert_eq!(names(index.rivals(&topic("orders")).unwrap()), ["second"]);
        assert_eq!(names(index.rivals(&topic("third=orders")).unwrap()), ["orders", "second"]);
        assert_eq!(names(index.rivals(&topic("logs")).unwrap()), Vec::<String>::new());
        let elsewhere = changed("orders", |topic| {
            topic.spec.cluster_ref.name = "other".to_owned();
            topic.metadata.uid = None;
        });
        assert_eq!(names(index.rivals(&elsewhere).unwrap()), Vec::<String>::new());
    }

    #[test]
    fn a_change_has_the_topic_and_its_rivals_looked_at_and_a_status_nobody() {
        let mut index = Index::default();
        listed(&mut index, &["orders", "second=orders", "logs"]);
        assert_eq!(names(index.take(Event::Apply(topic("orders")))), Vec::<String>::new());
        let edited = changed("orders", |topic| topic.metadata.generation = Some(2));
        assert_eq!(names(index.take(Event::Apply(edited.clone()))), ["orders", "second"]);
        assert_eq!(names(index.take(Event::Apply(edited))), Vec::<String>::new());
        let going = changed("logs", |topic| topic.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH)));
        assert_eq!(names(index.take(Event::Apply(going))), ["logs"]);
        let held = changed("second=orders", |topic| topic.metadata.finalizers = Some(vec!["x".to_owned()]));
        assert_eq!(names(index.take(Event::Apply(held))), ["orders", "second"]);
    }

    #[test]
    fn one_that_goes_wakes_those_that_wait_for_its_topic_and_is_claimed_by_it_no_more() {
        let mut index = Index::default();
        listed(&mut index, &["orders", "second=orders"]);
        assert_eq!(names(index.take(Event::Delete(topic("orders")))), ["orders", "second"]);
        assert_eq!(names(index.rivals(&topic("second=orders")).unwrap()), Vec::<String>::new());
        assert_eq!(names(index.take(Event::Delete(topic("second=orders")))), ["second"]);
        assert!(index.topics.0.is_empty());
    }

    #[test]
    fn a_later_list_tells_of_what_was_missed_and_of_nothing_else() {
        let mut index = Index::default();
        listed(&mut index, &["orders", "second=orders", "logs"]);
        assert_eq!(listed(&mut index, &["orders", "second=orders", "logs"]), Vec::<String>::new());
        assert_eq!(listed(&mut index, &["second=orders", "logs", "new"]), ["new", "orders", "second"]);
        assert_eq!(names(index.rivals(&topic("second=orders")).unwrap()), Vec::<String>::new());
    }
}

//! All KafkaTopics by the topic they stand for: who else claims it, which belong to a cluster, which of them to look at when
//! one changes, and whose turn it is when none does.
//!
//! Pure: events of a watch in, topics to look at out. What a change means is up to the pass, which reads its topic live.

use std::collections::HashSet;

use kube::{Resource, ResourceExt, runtime::watcher::Event};
use ottla_crds::KafkaTopic;

use super::{CachedTopic, claim::Claim};

/// Everything that a watch has told.
#[derive(Debug, Default)]
pub struct Index {
    topics: Claims,
    /// A list that has begun and is not over.
    listed: Vec<CachedTopic>,
    is_complete: bool,
}

/// Who claims what, in order of the claims and then of the objects' names.
#[derive(Debug, Default)]
struct Claims(Vec<CachedTopic>);

impl Claims {
    fn of(mut topics: Vec<CachedTopic>) -> Self {
        topics.sort_unstable_by(|one, other| place(one).cmp(&place(other)));
        Self(topics)
    }

    fn find(&self, topic: &CachedTopic) -> Result<usize, usize> {
        self.0.binary_search_by(|other| place(other).cmp(&place(topic)))
    }

    /// Puts `topic` in the place of what was known of it.
    fn put(&mut self, topic: CachedTopic) -> Option<CachedTopic> {
        match self.find(&topic) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at], topic)),
            Err(at) => {
                self.0.insert(at, topic);
                None
            }
        }
    }

    fn remove(&mut self, topic: &CachedTopic) {
        if let Ok(at) = self.find(topic) {
            self.0.remove(at);
        }
    }

    fn get(&self, topic: &CachedTopic) -> Option<&CachedTopic> {
        self.find(topic).ok().map(|at| &self.0[at])
    }

    fn rivals(&self, claim: Claim<'_>, uid: Option<&str>) -> impl Iterator<Item = &CachedTopic> {
        let owners = self.from(claim).iter().take_while(move |other| other.claim() == claim);
        owners.filter(move |other| other.meta().uid.as_deref() != uid)
    }

    /// Those whose claim is `first` or comes after it.
    fn from(&self, first: Claim<'_>) -> &[CachedTopic] {
        &self.0[self.0.partition_point(|other| other.claim() < first)..]
    }
}

fn place(topic: &CachedTopic) -> (Claim<'_>, Option<&str>) {
    (topic.claim(), topic.meta().name.as_deref())
}

impl Index {
    /// The index of a list.
    pub fn of(topics: Vec<CachedTopic>) -> Self {
        Self { topics: Claims::of(topics), listed: Vec::new(), is_complete: true }
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
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(topic) => {
                self.listed.push(topic);
                Vec::new()
            }
            Event::InitDone => {
                let listed = Claims::of(std::mem::take(&mut self.listed));
                let before = std::mem::replace(&mut self.topics, listed);
                self.is_complete = true;
                let is_new = |topic: &&CachedTopic| before.get(topic).is_none_or(|known| is_news(known, topic));
                let new = self.topics.0.iter().filter(is_new);
                let gone = before.0.iter().filter(|topic| self.topics.get(topic).is_none());
                let changed: Vec<_> = new.chain(gone).cloned().collect();
                self.with_rivals(changed)
            }
        }
    }

    /// Every other KafkaTopic that stands for the same topic of the same cluster; `None` before the first list is over.
    pub fn rivals(&self, topic: &KafkaTopic) -> Option<Vec<CachedTopic>> {
        let rivals = self.topics.rivals(Claim::of(topic), topic.metadata.uid.as_deref());
        self.is_complete.then(|| rivals.cloned().collect())
    }

    /// The KafkaTopics of a cluster.
    pub fn of_cluster(&self, namespace: &str, cluster: &str) -> impl Iterator<Item = &CachedTopic> {
        let from_the_first = self.topics.from(Claim { namespace, cluster, topic: "" }).iter();
        from_the_first.take_while(move |topic| {
            let claim = topic.claim();
            claim.namespace == namespace && claim.cluster == cluster
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.topics.0.len()
    }

    /// Whose turn it is when `turns` have been: each has one of as many as there are.
    pub fn in_turn(&self, turns: usize) -> Option<&CachedTopic> {
        self.topics.0.get(turns.checked_rem(self.len())?)
    }

    fn with_rivals(&self, topics: impl IntoIterator<Item = CachedTopic>) -> Vec<CachedTopic> {
        let mut seen = HashSet::new();
        let all = topics.into_iter().flat_map(|topic| {
            let rivals: Vec<_> = self.topics.rivals(topic.claim(), topic.meta().uid.as_deref()).cloned().collect();
            std::iter::once(topic).chain(rivals)
        });
        all.filter(|topic| seen.insert((topic.namespace(), topic.name_any()))).collect()
    }
}

/// Whether an object differs in what a pass or a rival goes by.
fn is_news(known: &CachedTopic, topic: &CachedTopic) -> bool {
    let (known, topic) = (known.meta(), topic.meta());
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
    fn resource(text: &str) -> KafkaTopic {
        let (name, topic_name) = text.split_once('=').map_or((text, None), |(name, topic)| (name, Some(topic)));
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": 1},
            "spec": {"clusterRef": {"name": "demo"}, "topicName": topic_name},
        }))
        .unwrap()
    }

    fn topic(text: &str) -> CachedTopic {
        resource(text).into()
    }

    fn changed(text: &str, change: impl FnOnce(&mut KafkaTopic)) -> CachedTopic {
        let mut topic = resource(text);
        change(&mut topic);
        topic.into()
    }

    fn names(topics: Vec<CachedTopic>) -> Vec<String> {
        let mut names: Vec<_> = topics.iter().map(CachedTopic::name_any).collect();
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
        assert!(index.rivals(&resource("orders")).is_none());
        assert_eq!(listed(&mut index, &["orders", "second=orders", "logs"]), ["logs", "orders", "second"]);
        assert_eq!(names(index.rivals(&resource("orders")).unwrap()), ["second"]);
        assert_eq!(names(index.rivals(&resource("third=orders")).unwrap()), ["orders", "second"]);
        assert_eq!(names(index.rivals(&resource("logs")).unwrap()), Vec::<String>::new());
        let mut elsewhere = resource("orders");
        elsewhere.spec.cluster_ref.name = "other".to_owned();
        elsewhere.metadata.uid = None;
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
        assert_eq!(names(index.rivals(&resource("second=orders")).unwrap()), Vec::<String>::new());
        assert_eq!(names(index.take(Event::Delete(topic("second=orders")))), ["second"]);
        assert_eq!(index.len(), 0);
    }

    #[test]
    fn a_later_list_tells_of_what_was_missed_and_of_nothing_else() {
        let mut index = Index::default();
        listed(&mut index, &["orders", "second=orders", "logs"]);
        assert_eq!(listed(&mut index, &["orders", "second=orders", "logs"]), Vec::<String>::new());
        assert_eq!(listed(&mut index, &["second=orders", "logs", "new"]), ["new", "orders", "second"]);
        assert_eq!(names(index.rivals(&resource("second=orders")).unwrap()), Vec::<String>::new());
    }

    #[test]
    fn a_cluster_has_those_that_name_it() {
        let other = |name: &str| changed(name, |topic| topic.spec.cluster_ref.name = "demo-2".to_owned());
        let index = Index::of(vec![topic("z"), other("b"), topic("a"), other("y"), topic("m=q")]);
        let of = |cluster: &str| names(index.of_cluster("shop", cluster).cloned().collect());
        assert_eq!(of("demo"), ["a", "m", "z"]);
        assert_eq!(of("demo-2"), ["b", "y"]);
        assert_eq!(of("dem"), Vec::<String>::new());
        assert_eq!(names(index.of_cluster("else", "demo").cloned().collect()), Vec::<String>::new());
    }

    #[test]
    fn each_has_its_turn() {
        let turns = |index: &Index| names((5..8).filter_map(|turn| index.in_turn(turn).cloned()).collect());
        assert_eq!(turns(&Index::of(vec![topic("b"), topic("a"), topic("c")])), ["a", "b", "c"]);
        assert_eq!(turns(&Index::default()), Vec::<String>::new());
    }
}

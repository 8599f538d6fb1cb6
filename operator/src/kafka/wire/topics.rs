//! Calls about single topics, sent as requests about many: what is asked while a request is under way goes with the next.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use ottla_protocol::{
    ErrorCode,
    codec::Str,
    messages::{
        create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic},
        create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest},
        delete_topics::{DeleteTopicState, DeleteTopicsRequest},
        describe_configs::{DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResult},
        incremental_alter_configs::{AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest},
        metadata::MetadataResponseTopic,
    },
};

use super::{super::*, CHANGE_TIMEOUT_MS, Link, check, moves::note_moves, topic_view};
use crate::gather::Gather;

/// How many topics a request is about at most: what bounds how long one waits for the others.
const AT_ONCE: usize = 100;

const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;
const FROM_TOPIC: i8 = 1;
const FROM_ALL_BROKERS: i8 = 3;
const SET: i8 = 0;
const DELETE: i8 = 1;

/// Changes of settings of one thing.
type Changes = (ConfigOf, Vec<ConfigChange>);

/// The calls of each kind that wait for a request.
pub(super) struct Topics {
    pub(super) views: Gather<String, Result<Option<TopicView>>>,
    pub(super) configs: Gather<ConfigOf, Result<OwnConfig>>,
    pub(super) creations: Gather<NewTopic, Result<()>>,
    pub(super) growths: Gather<(String, i32), Result<()>>,
    pub(super) changes: Gather<Changes, Result<()>>,
    pub(super) deletions: Gather<TopicId, Result<()>>,
}

impl Topics {
    pub(super) fn new(link: &Arc<Link>) -> Self {
        Self {
            views: over(link, views),
            configs: over(link, configs),
            creations: over(link, create),
            growths: over(link, grow),
            changes: over(link, change),
            deletions: over(link, delete),
        }
    }
}

fn over<Q, A, Asked>(link: &Arc<Link>, ask: impl Fn(Arc<Link>, Vec<Q>) -> Asked + Send + Sync + 'static) -> Gather<Q, A>
where
    Q: Send + 'static,
    A: Clone + Send + Sync + 'static,
    Asked: Future<Output = Vec<A>> + Send + 'static,
{
    let link = link.clone();
    Gather::new(AT_ONCE, move |questions| ask(link.clone(), questions))
}

async fn views(link: Arc<Link>, names: Vec<String>) -> Vec<Result<Option<TopicView>>> {
    each(&names, String::clone, seen(&link, &names).await, |view| view)
}

/// Of each topic its name, and its view if it exists.
async fn seen(link: &Link, names: &[String]) -> Result<Vec<(String, Result<Option<TopicView>>)>> {
    let distinct: Vec<String> = distinct(names, String::clone).cloned().collect();
    let view = |topic: MetadataResponseTopic| {
        let name = topic.name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default();
        let found = match topic.error_code {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => Ok(None),
            // A topic whose leaders are being elected exists all the same.
            ErrorCode::LEADER_NOT_AVAILABLE => Ok(Some(topic_view(topic))),
            code => check(code, None).map(|()| Some(topic_view(topic))),
        };
        (name, found)
    };
    let mut views: Vec<_> = link.metadata(Some(&distinct)).await?.topics.into_iter().map(view).collect();
    // Of a partition that moves, a replica is not in sync yet: else the move has ended.
    let found = views.iter_mut().filter_map(|(_, view)| view.as_mut().ok()?.as_mut());
    let lacking: Vec<&mut TopicView> = found.filter(|view| view.under_replicated() > 0).collect();
    if !lacking.is_empty() {
        note_moves(link, lacking).await?;
    }
    Ok(views)
}

async fn configs(link: Arc<Link>, of: Vec<ConfigOf>) -> Vec<Result<OwnConfig>> {
    let resources = distinct(&of, ConfigOf::clone).map(|of| {
        let (resource_type, resource_name) = resource(of);
        DescribeConfigsResource { resource_type, resource_name, configuration_keys: None }
    });
    let request = DescribeConfigsRequest { resources: resources.collect(), ..DescribeConfigsRequest::default() };
    let answers = link.ask(&request).await.map(|response| response.results);
    let own = |result: DescribeConfigsResult| {
        let of = config_of(result.resource_type, &result.resource_name);
        let source = if of == ConfigOf::Cluster { FROM_ALL_BROKERS } else { FROM_TOPIC };
        let entries = result.configs.into_iter().filter(|entry| entry.config_source == source);
        let text = |text: Option<Str>| text.map(|text| text.as_str().to_owned()).unwrap_or_default();
        let config = entries.map(|entry| (entry.name.as_str().to_owned(), text(entry.value))).collect();
        (of, check(result.error_code, result.error_message.as_ref()).map(|()| config))
    };
    each(&of, ConfigOf::clone, answers, own)
}

async fn create(link: Arc<Link>, topics: Vec<NewTopic>) -> Vec<Result<()>> {
    let name = |topic: &NewTopic| topic.name.clone();
    let request = CreateTopicsRequest {
        topics: distinct(&topics, name).map(creatable).collect(),
        timeout_ms: CHANGE_TIMEOUT_MS,
        ..CreateTopicsRequest::default()
    };
    let answers = link.ask(&request).await.map(|response| response.topics);
    each(&topics, name, answers, |result| {
        (result.name.as_str().to_owned(), check(result.error_code, result.error_message.as_ref()))
    })
}

async fn grow(link: Arc<Link>, wanted: Vec<(String, i32)>) -> Vec<Result<()>> {
    let name = |(name, _): &(String, i32)| name.clone();
    let topics = distinct(&wanted, name).map(|(name, total)| CreatePartitionsTopic {
        name: Str::from(name),
        count: *total,
        assignments: None,
    });
    let request = CreatePartitionsRequest {
        topics: topics.collect(),
        timeout_ms: CHANGE_TIMEOUT_MS,
        ..CreatePartitionsRequest::default()
    };
    let answers = link.ask(&request).await.map(|response| response.results);
    each(&wanted, name, answers, |result| {
        (result.name.as_str().to_owned(), check(result.error_code, result.error_message.as_ref()))
    })
}

async fn change(link: Arc<Link>, wanted: Vec<Changes>) -> Vec<Result<()>> {
    let of = |(of, _): &Changes| of.clone();
    let resources = distinct(&wanted, of).map(|(of, changes)| {
        let (resource_type, resource_name) = resource(of);
        AlterConfigsResource { resource_type, resource_name, configs: changes.iter().map(alterable).collect() }
    });
    let request =
        IncrementalAlterConfigsRequest { resources: resources.collect(), ..IncrementalAlterConfigsRequest::default() };
    let answers = link.ask(&request).await.map(|response| response.responses);
    each(&wanted, of, answers, |result| {
        let of = config_of(result.resource_type, &result.resource_name);
        (of, check(result.error_code, result.error_message.as_ref()))
    })
}

async fn delete(link: Arc<Link>, ids: Vec<TopicId>) -> Vec<Result<()>> {
    // By id, so that a topic made anew under the name is never hit.
    let topics = distinct(&ids, TopicId::clone).map(|id| DeleteTopicState { name: None, topic_id: id.0 });
    let request = DeleteTopicsRequest {
        topics: topics.collect(),
        timeout_ms: CHANGE_TIMEOUT_MS,
        ..DeleteTopicsRequest::default()
    };
    let answers = link.ask(&request).await.map(|response| response.responses);
    each(&ids, TopicId::clone, answers, |result| {
        let deleted = match result.error_code {
            ErrorCode::UNKNOWN_TOPIC_ID | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => Ok(()),
            code => check(code, result.error_message.as_ref()),
        };
        (TopicId(result.topic_id), deleted)
    })
}

/// The first question about each thing: a request may name a thing once only.
fn distinct<Q, K: Eq + Hash>(questions: &[Q], about: impl Fn(&Q) -> K) -> impl Iterator<Item = &Q> {
    let mut seen = HashSet::new();
    questions.iter().filter(move |question| seen.insert(about(question)))
}

/// One answer for each of `questions`: the one about the same thing. Whoever asks for a change looks afterwards at what came of
/// it, so of two changes of one thing the second is told what came of the first.
fn each<Q, K: Eq + Hash, T, A: Clone>(
    questions: &[Q],
    about: impl Fn(&Q) -> K,
    answers: Result<Vec<T>>,
    read: impl Fn(T) -> (K, Result<A>),
) -> Vec<Result<A>> {
    let answers: Result<HashMap<K, Result<A>>> = answers.map(|answers| answers.into_iter().map(read).collect());
    let left_out = || Err(Error::Unreachable("the broker left out its answer".to_owned()));
    let answer = |question| match &answers {
        Ok(answers) => answers.get(&about(question)).cloned().unwrap_or_else(left_out),
        Err(error) => Err(error.clone()),
    };
    questions.iter().map(answer).collect()
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let config =
        |(key, value): (&String, &String)| CreatableTopicConfig { name: Str::from(key), value: Some(Str::from(value)) };
    CreatableTopic {
        name: Str::from(&topic.name),
        num_partitions: topic.partitions.unwrap_or(-1),
        replication_factor: topic.replicas.and_then(|replicas| i16::try_from(replicas).ok()).unwrap_or(-1),
        configs: topic.config.iter().map(config).collect(),
        ..CreatableTopic::default()
    }
}

fn resource(of: &ConfigOf) -> (i8, Str) {
    match of {
        ConfigOf::Topic(name) => (TOPIC_RESOURCE, Str::from(name)),
        ConfigOf::Cluster => (BROKER_RESOURCE, Str::default()),
    }
}

fn config_of(resource_type: i8, name: &Str) -> ConfigOf {
    if resource_type == TOPIC_RESOURCE { ConfigOf::Topic(name.as_str().to_owned()) } else { ConfigOf::Cluster }
}

fn alterable(change: &ConfigChange) -> AlterableConfig {
    match change {
        ConfigChange::Set(key, value) => {
            AlterableConfig { name: Str::from(key), config_operation: SET, value: Some(Str::from(value)) }
        }
        ConfigChange::Reset(key) => AlterableConfig { name: Str::from(key), config_operation: DELETE, value: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Question = (&'static str, u32);

    fn answered(answers: Result<Vec<(&'static str, Result<u32>)>>) -> Vec<Result<u32>> {
        let questions: [Question; 3] = [("a", 1), ("b", 2), ("a", 3)];
        let about = |(name, _): &Question| *name;
        assert_eq!(distinct(&questions, about).collect::<Vec<_>>(), [&("a", 1), &("b", 2)]);
        each(&questions, about, answers, |answer| answer)
    }

    #[test]
    fn each_question_gets_the_answer_about_its_thing_in_whatever_order_they_come() {
        let refused = Error::Refused { code: "INVALID_CONFIG".to_owned(), message: None };
        let answers = Ok(vec![("b", Err(refused.clone())), ("a", Ok(7))]);
        assert_eq!(answered(answers), [Ok(7), Err(refused), Ok(7)]);
    }

    #[test]
    fn what_has_no_answer_is_tried_again_and_a_failure_is_everybodys() {
        let left_out = Err(Error::Unreachable("the broker left out its answer".to_owned()));
        assert_eq!(answered(Ok(vec![("a", Ok(7))])), [Ok(7), left_out, Ok(7)]);
        let failure = Error::Unreachable("gone".to_owned());
        assert_eq!(answered(Err(failure.clone())), vec![Err(failure); 3]);
    }
}

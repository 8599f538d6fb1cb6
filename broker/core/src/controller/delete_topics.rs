//! DeleteTopics, by name or by id.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::operation;
use super::{Context, Decision, Error};
use crate::metadata::{Image, Record, Topic};
use crate::{TopicId, TopicName};

/// How a request names a topic: by name, by id, wrongly by both or by neither.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopicRef {
    /// Its name.
    pub name: Option<String>,
    /// Its identity; [`TopicId::ZERO`] for none.
    pub id: TopicId,
}

/// Deletes topics, each on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteTopics {
    /// The topics.
    pub topics: Vec<TopicRef>,
}

/// The topic that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedTopic {
    /// Its name.
    pub name: TopicName,
    /// Its identity.
    pub id: TopicId,
}

type Results = Vec<(TopicRef, Result<DeletedTopic, Error>)>;

operation!(DeleteTopics => Vec<(TopicRef, Result<DeletedTopic, Error>)>, delete_topics);

/// Answers once for every distinct reference, in the order of the request.
fn delete_topics(operation: DeleteTopics, context: &Context<'_>) -> Result<Decision<Results>, Error> {
    let found: Vec<_> = operation.topics.iter().map(|wanted| find(wanted, context.image)).collect();
    let (mut ids, mut twice) = (BTreeSet::new(), BTreeSet::new());
    twice.extend(found.iter().flatten().map(|topic| topic.id).filter(|id| !ids.insert(*id)));
    let (mut wanted_twice, mut wanted_once) = (BTreeSet::new(), BTreeSet::new());
    wanted_twice.extend(operation.topics.iter().filter(|wanted| !wanted_once.insert((*wanted).clone())).cloned());

    let mut answered = BTreeSet::new();
    let (mut records, mut response, mut budget) = (Vec::new(), Vec::new(), context.budget);
    for (wanted, found) in operation.topics.into_iter().zip(found) {
        if !answered.insert(wanted.clone()) {
            continue;
        }
        let duplicate = wanted_twice.contains(&wanted) && is_well_formed(&wanted);
        let what = if wanted.name.is_some() { "name" } else { "id" };
        let result = match found {
            Ok(topic) if twice.contains(&topic.id) => Err(duplicate_of(what)),
            Err(_) if duplicate => Err(duplicate_of(what)),
            Ok(topic) => budget.spend(topic.partitions.len()).map_err(Error::from).map(|()| {
                records.push(Record::TopicDeleted { id: topic.id });
                DeletedTopic { name: topic.name.clone(), id: topic.id }
            }),
            Err(error) => Err(error),
        };
        response.push((wanted, result));
    }
    Ok(Decision { records, response })
}

fn duplicate_of(what: &str) -> Error {
    Error::InvalidRequest(format!("Duplicate topic {what}.").into())
}

fn is_well_formed(wanted: &TopicRef) -> bool {
    wanted.name.is_some() != (wanted.id != TopicId::ZERO)
}

fn find<'a>(wanted: &TopicRef, image: &'a Image) -> Result<&'a Arc<Topic>, Error> {
    match (&wanted.name, wanted.id) {
        (None, TopicId::ZERO) => Err(Error::InvalidRequest("Neither topic name nor id were specified.".into())),
        (Some(name), TopicId::ZERO) => image.topic(name).ok_or_else(Error::unknown_topic),
        (None, id) => image.topics().by_id(id).ok_or(Error::UnknownTopicId),
        (Some(_), _) => Err(Error::InvalidRequest("You may not specify both topic name and topic id.".into())),
    }
}

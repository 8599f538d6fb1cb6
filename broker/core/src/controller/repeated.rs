//! A command whose answer was lost is sent again; what the first sending may have done must not look like a refusal.
//!
//! Most commands say the same twice: they set what is set already, or carry the epoch or id that the first sending used
//! up. Here are those that do not. A client that asks twice by itself is told what Kafka tells it.

use super::{Command, CreatePartitions, DeleteTopics, DeletedTopic, Error, Response};
use crate::TopicId;
use crate::metadata::Image;

/// The response to a command that was sent more than once.
///
/// `before` is the cluster as it was known before the first sending, `after` as it is when the answer has come: a
/// refusal that the first sending explains becomes the success that it was.
pub fn settle(command: &Command, before: &Image, after: &Image, result: &mut Result<Response, Error>) {
    match (command, &mut *result) {
        (Command::DeleteTopics(DeleteTopics { .. }), Ok(Response::DeleteTopics(answers))) => {
            for (wanted, answer) in answers {
                let named = wanted.name.as_deref().and_then(|name| before.topic(name));
                let by_id = || before.topics().by_id(wanted.id).filter(|_| wanted.id != TopicId::ZERO);
                let Some(topic) = named.or_else(by_id) else { continue };
                let gone = matches!(answer, Err(Error::UnknownTopicOrPartition(_) | Error::UnknownTopicId));
                if gone && after.topics().by_id(topic.id).is_none() {
                    *answer = Ok(DeletedTopic { name: topic.name.clone(), id: topic.id });
                }
            }
        }
        (Command::CreatePartitions(CreatePartitions { topics, .. }), Ok(Response::CreatePartitions(answers))) => {
            for (name, answer) in answers {
                let count = |image: &Image| image.topic(name).map(|topic| topic.partitions.len());
                let wanted = topics.iter().find(|more| more.topic == *name);
                let wanted = wanted.and_then(|more| usize::try_from(more.count).ok());
                let has_grown = count(before) < count(after) && count(after) == wanted;
                if has_grown && matches!(answer, Err(Error::InvalidPartitions(_))) {
                    *answer = Ok(());
                }
            }
        }
        (Command::UnregisterBroker(wanted), Err(Error::BrokerIdNotRegistered(_)))
            if before.broker(wanted.broker).is_some() =>
        {
            *result = Ok(Response::UnregisterBroker(()));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Cluster;
    use super::super::{
        CreateTopics, CreatedTopic, MorePartitions, NewTopic, Operation, TopicRef, UnregisterBroker, decide,
    };
    use super::*;
    use crate::BrokerId;

    /// What the second sending of `operation` is answered when the first was carried out.
    fn twice<O: Operation + Clone>(cluster: &mut Cluster, operation: O) -> Result<Response, Error> {
        let before = cluster.image.clone();
        cluster.run(operation.clone()).unwrap();
        let command = operation.into_command();
        let now = super::super::testing::NOW;
        let decided = decide(&cluster.image, &cluster.settings, now, command.clone());
        let mut result = decided.map(|decision| decision.response);
        settle(&command, &before, &cluster.image, &mut result);
        result
    }

    #[test]
    fn a_repeated_command_is_answered_as_the_first_time() {
        let mut cluster = Cluster::with_brokers(2);
        let id = cluster.next_topic_id();
        let topic = NewTopic { partitions: 2, replication_factor: 1, ..NewTopic::with_defaults("t", id) };
        let created = CreatedTopic { id, partitions: 2, replication_factor: 1 };
        let expected = Response::CreateTopics(vec![("t".into(), Ok(created))]);
        let create = CreateTopics { topics: vec![topic], validate_only: false };
        assert_eq!(twice(&mut cluster, create), Ok(expected));

        let more = MorePartitions { topic: "t".into(), count: 5, assignments: None };
        let grow = CreatePartitions { topics: vec![more], validate_only: false };
        let expected = Response::CreatePartitions(vec![("t".into(), Ok(()))]);
        assert_eq!(twice(&mut cluster, grow), Ok(expected));

        let wanted = TopicRef { name: Some("t".into()), id: TopicId::ZERO };
        let deleted = DeletedTopic { name: cluster.get("t").name.clone(), id };
        let expected = Response::DeleteTopics(vec![(wanted.clone(), Ok(deleted))]);
        assert_eq!(twice(&mut cluster, DeleteTopics { topics: vec![wanted] }), Ok(expected));

        let expected = Response::UnregisterBroker(());
        assert_eq!(twice(&mut cluster, UnregisterBroker { broker: BrokerId(1) }), Ok(expected));
    }

    #[test]
    fn a_refusal_that_was_true_before_stays_one() {
        let mut cluster = Cluster::with_brokers(1);
        cluster.topic("t", &[&[0]], &[]);
        let image = cluster.image.clone();
        let more = MorePartitions { topic: "t".into(), count: 1, assignments: None };
        let commands = [
            CreatePartitions { topics: vec![more], validate_only: false }.into_command(),
            DeleteTopics { topics: vec![TopicRef { name: Some("u".into()), id: TopicId::ZERO }] }.into_command(),
            UnregisterBroker { broker: BrokerId(9) }.into_command(),
        ];
        for command in commands {
            let decided = decide(&image, &cluster.settings, super::super::testing::NOW, command.clone());
            let refused = decided.map(|decision| decision.response);
            let mut settled = refused.clone();
            settle(&command, &image, &image, &mut settled);
            assert_eq!(settled, refused);
        }
    }
}

//! The way of the group coordinators to the share coordinators of partitions (KIP-932): over the wire, as often as it
//! takes for a while.
//!
//! Must decide nothing about groups: that is ottla-core's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use ottla_core::controller::internal_topics::SHARE_GROUP_STATE;
use ottla_core::group::{AskStates, Partitions};
use ottla_core::share::Key;
use ottla_core::{BrokerId, Offset, TopicId};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Request;
use ottla_protocol::messages::delete_share_group_state::{
    self as delete, DeleteShareGroupStateRequest, DeleteShareGroupStateResponse,
};
use ottla_protocol::messages::initialize_share_group_state::{
    self as initialize, InitializeShareGroupStateRequest, InitializeShareGroupStateResponse,
};
use ottla_protocol::messages::read_share_group_state_summary::{
    self as summary, ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse,
};
use tokio::time::Instant;
use tracing::debug;
use uuid::Uuid;

use crate::broker::Broker;
use crate::coordinator::with_topic;
use crate::share::{coordinator_of, is_passing};
use crate::txn::Unanswered;

/// How long share coordinators are asked again that cannot answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an attempt that failed rests.
const REST: Duration = Duration::from_millis(50);

/// What came of each partition that was asked for.
pub type StateAnswers<T> = BTreeMap<(TopicId, i32), Result<T, ErrorCode>>;

/// Where a group stands in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The first offset that is not consumed; none if the group has not begun.
    pub start: Option<Offset>,
    /// The leader epoch of the partition that was told last.
    pub leader_epoch: i32,
    /// How many offsets from the start on are done with; none if that is not known.
    pub complete: Option<i32>,
}

/// Partitions of topics, by index, in a request.
type Asked = Vec<(Uuid, BTreeSet<i32>)>;

/// The answers of one broker, in no particular order.
type Told<T> = Vec<(Uuid, i32, Result<T, ErrorCode>)>;

/// A question about partitions: the request that asks some of them of one broker, and what its answer tells.
struct Question<F, R: Request, T> {
    request: F,
    read: fn(R::Response) -> Told<T>,
}

/// Has the share coordinators make states, or delete them.
pub async fn change(broker: &Broker, group: &str, ask: &AskStates) -> StateAnswers<()> {
    match ask {
        AskStates::Initialize { epoch, partitions } => {
            let all = partitions.iter().map(|(topic, index, _)| (*topic, *index)).collect();
            let offsets = partitions.iter().map(|(topic, index, offset)| ((topic.0, *index), offset.0)).collect();
            let request = |asked| initialization(group, asked, *epoch, &offsets);
            pursue(broker, group, &all, &Question { request, read: initialized }).await
        }
        AskStates::Delete(partitions) => {
            let request = |asked| deletion(group, asked);
            pursue(broker, group, partitions, &Question { request, read: deleted }).await
        }
    }
}

/// Asks the share coordinators where the group stands.
pub async fn summaries(broker: &Broker, group: &str, partitions: &Partitions) -> StateAnswers<Summary> {
    let request = |asked| summary_request(group, asked);
    pursue(broker, group, partitions, &Question { request, read: summarized }).await
}

/// Asks until each partition has an answer that counts.
async fn pursue<F: Fn(Asked) -> R, R: Request, T>(
    broker: &Broker,
    group: &str,
    partitions: &Partitions,
    question: &Question<F, R, T>,
) -> StateAnswers<T> {
    let deadline = Instant::now() + PATIENCE;
    let mut answers = StateAnswers::new();
    let mut open = partitions.clone();
    while !open.is_empty() {
        answers.extend(ask_each(broker, group, &open, question).await);
        open = open.filter(|topic, index| matches!(answers.get(&(topic, index)), Some(Err(code)) if is_passing(*code)));
        if open.is_empty() || Instant::now() >= deadline {
            break;
        }
        debug!(group, partitions = open.len(), "share coordinators cannot be asked yet");
        tokio::time::sleep(REST).await;
    }
    answers
}

/// Asks once for all partitions, each broker at the same time.
async fn ask_each<F: Fn(Asked) -> R, R: Request, T>(
    broker: &Broker,
    group: &str,
    partitions: &Partitions,
    question: &Question<F, R, T>,
) -> StateAnswers<T> {
    let image = with_topic(broker, SHARE_GROUP_STATE).await;
    let mut answers = StateAnswers::new();
    let mut by_leader: BTreeMap<BrokerId, Partitions> = BTreeMap::new();
    for (topic, index) in partitions.iter() {
        match coordinator_of(&image, &Key::new(group, topic, index)) {
            Some(leader) => drop(by_leader.entry(leader).or_default().insert(topic, index)),
            None => drop(answers.insert((topic, index), Err(ErrorCode::COORDINATOR_NOT_AVAILABLE))),
        }
    }
    let requests: Vec<(BrokerId, Partitions, R)> = by_leader
        .into_iter()
        .map(|(leader, partitions)| {
            let asked = partitions.topics().map(|(topic, indexes)| (topic.0, indexes.clone())).collect();
            (leader, partitions, (question.request)(asked))
        })
        .collect();
    let calls = requests.iter().map(|(leader, _, request)| broker.peers.call(broker, *leader, request));
    let responses = join_all(calls).await;
    for ((leader, partitions, _), response) in requests.iter().zip(responses) {
        answers.extend(told_of(*leader, partitions, response.map(question.read)));
    }
    answers
}

/// What is known of each partition that `leader` was asked for; one that it does not mention was refused.
fn told_of<T>(leader: BrokerId, partitions: &Partitions, told: Result<Told<T>, Unanswered>) -> StateAnswers<T> {
    let (default, told) = match told {
        Ok(told) => (ErrorCode::UNKNOWN_SERVER_ERROR, told),
        Err(error) => {
            debug!(%leader, %error, "a share coordinator gives no answer");
            (ErrorCode::COORDINATOR_NOT_AVAILABLE, Vec::new())
        }
    };
    let mut answers: StateAnswers<T> = partitions.iter().map(|partition| (partition, Err(default))).collect();
    for (topic, index, result) in told {
        if let Some(answer) = answers.get_mut(&(TopicId(topic), index)) {
            *answer = result;
        }
    }
    answers
}

fn initialization(
    group: &str,
    asked: Asked,
    state_epoch: i32,
    offsets: &BTreeMap<(Uuid, i32), i64>,
) -> InitializeShareGroupStateRequest {
    let partition = |topic: Uuid, partition: i32| initialize::PartitionData {
        partition,
        state_epoch,
        start_offset: offsets.get(&(topic, partition)).copied().unwrap_or(-1),
    };
    let topics = asked.into_iter().map(|(topic_id, indexes)| initialize::InitializeStateData {
        topic_id,
        partitions: indexes.into_iter().map(|index| partition(topic_id, index)).collect(),
    });
    InitializeShareGroupStateRequest { group_id: group.into(), topics: topics.collect() }
}

fn initialized(response: InitializeShareGroupStateResponse) -> Told<()> {
    let topics = response.results.into_iter();
    let told = topics.flat_map(|topic| topic.partitions.into_iter().map(move |found| (topic.topic_id, found)));
    told.map(|(topic, found)| (topic, found.partition, found.error_code.ok())).collect()
}

fn deletion(group: &str, asked: Asked) -> DeleteShareGroupStateRequest {
    let topics = asked.into_iter().map(|(topic_id, indexes)| delete::DeleteStateData {
        topic_id,
        partitions: indexes.into_iter().map(|partition| delete::PartitionData { partition }).collect(),
    });
    DeleteShareGroupStateRequest { group_id: group.into(), topics: topics.collect() }
}

fn deleted(response: DeleteShareGroupStateResponse) -> Told<()> {
    let topics = response.results.into_iter();
    let told = topics.flat_map(|topic| topic.partitions.into_iter().map(move |found| (topic.topic_id, found)));
    told.map(|(topic, found)| (topic, found.partition, found.error_code.ok())).collect()
}

fn summary_request(group: &str, asked: Asked) -> ReadShareGroupStateSummaryRequest {
    // Whoever only looks fences nobody.
    let partition = |partition| summary::PartitionData { partition, leader_epoch: -1 };
    let topics = asked.into_iter().map(|(topic_id, indexes)| summary::ReadStateSummaryData {
        topic_id,
        partitions: indexes.into_iter().map(partition).collect(),
    });
    ReadShareGroupStateSummaryRequest { group_id: group.into(), topics: topics.collect() }
}

fn summarized(response: ReadShareGroupStateSummaryResponse) -> Told<Summary> {
    let summary = |found: &summary::PartitionResult| Summary {
        start: (found.start_offset >= 0).then_some(Offset(found.start_offset)),
        leader_epoch: found.leader_epoch,
        complete: (found.delivery_complete_count >= 0).then_some(found.delivery_complete_count),
    };
    let topics = response.results.into_iter();
    let told = topics.flat_map(|topic| topic.partitions.into_iter().map(move |found| (topic.topic_id, found)));
    told.map(|(topic, found)| (topic, found.partition, found.error_code.ok().map(|()| summary(&found)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TopicId = TopicId(Uuid::from_u128(7));

    #[test]
    fn a_broker_that_is_silent_is_asked_again_and_one_that_leaves_a_partition_out_is_not() {
        let partitions: Partitions = [(T, 0), (T, 1)].into_iter().collect();
        let told = told_of(BrokerId(1), &partitions, Ok(vec![(T.0, 1, Ok(5)), (T.0, 9, Ok(6))]));
        assert_eq!(told, [((T, 0), Err(ErrorCode::UNKNOWN_SERVER_ERROR)), ((T, 1), Ok(5))].into());
        let silent: StateAnswers<()> = told_of(BrokerId(1), &partitions, Err(Unanswered::NoAddress(BrokerId(1))));
        assert!(silent.values().all(|answer| answer.is_err_and(is_passing)), "{silent:?}");
    }
}

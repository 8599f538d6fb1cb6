//! Writing the markers of a transaction's end: here where this broker leads, else by the leaders (WriteTxnMarkers), as
//! often as it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ottla_core::controller::internal_topics::CONSUMER_OFFSETS;
use ottla_core::group;
use ottla_core::txn::{Coordinator, Markers, Note, TransactionVersion};
use ottla_core::{BrokerId, LeaderEpoch, TopicName, TopicPartition};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use ottla_records::Marker;
use ottla_storage::MarkerOf;
use tracing::{debug, warn};

use crate::api::error;
use crate::broker::Broker;
use crate::coordinator::Notes;
use crate::replica::ProduceWait;

/// How long a partition rests whose leader did not take the marker. Nothing tells here when that broker, or the next
/// leader, is able to: it is asked again.
const REST: Duration = Duration::from_millis(50);

/// A marker and the partitions that get it.
pub struct Marking {
    /// The marker.
    pub of: MarkerOf,
    /// The partitions.
    pub partitions: Vec<(TopicName, i32)>,
}

/// Writes one marker to partitions that this broker leads; answers in their order when it is committed in all.
pub async fn write_here(broker: &Broker, marking: &Marking) -> Vec<ErrorCode> {
    let now = broker.replicas.clock().now();
    let wait = Arc::new(ProduceWait::new(marking.partitions.len()));
    let mut codes: Vec<ErrorCode> = marking
        .partitions
        .iter()
        .enumerate()
        .map(|(place, (topic, index))| {
            let appended = broker
                .replica_by_name(topic.as_str(), *index)
                .and_then(|partition| partition.append_marker(marking.of, (&wait, place), now));
            appended.map_or_else(|failure| error::of_replica(&failure), |()| ErrorCode::NONE)
        })
        .collect();
    wait.sealed();
    poll_fn(|context| {
        wait.register(context.waker());
        if wait.is_over() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    for (place, code) in codes.iter_mut().enumerate().filter(|(_, code)| code.is_none()) {
        *code = error::of_outcome(wait.outcome(place));
    }
    let offsets = marking.partitions.iter().zip(&codes).filter(|((topic, _), _)| topic.as_str() == CONSUMER_OFFSETS);
    for ((_, index), _) in offsets.filter(|(_, code)| code.is_none()) {
        let (producer, commit) = (marking.of.producer.id, marking.of.marker.commit);
        broker.groups.tell(*index, group::Note::TransactionEnded { producer, commit });
    }
    codes
}

/// Writes all of `markers` for a coordinator that leads its partition in `epoch`, until it leads no more.
pub(super) async fn write(broker: &Arc<Broker>, markers: Markers, epoch: LeaderEpoch, notes: &Notes<Coordinator>) {
    let mut open = markers.partitions.clone();
    let mut rests = false;
    while !open.is_empty() && notes.is_heard() {
        if std::mem::replace(&mut rests, true) {
            tokio::time::sleep(REST).await;
        }
        let done = write_once(broker, &markers, epoch, &open).await;
        if done.is_empty() {
            continue;
        }
        open.retain(|partition| !done.contains(partition));
        let transactional_id = Arc::clone(&markers.transactional_id);
        notes.tell(Note::MarkersWritten { transactional_id, producer: markers.producer, partitions: done });
    }
}

/// Tries each open partition once; gives those that are done with.
async fn write_once(
    broker: &Arc<Broker>,
    markers: &Markers,
    epoch: LeaderEpoch,
    open: &BTreeSet<TopicPartition>,
) -> Vec<TopicPartition> {
    let image = broker.image();
    let mut done = Vec::new();
    let mut by_leader: BTreeMap<BrokerId, Vec<(TopicName, i32)>> = BTreeMap::new();
    for partition in open {
        match image.topic(partition.topic.as_str()).and_then(|topic| topic.partition(partition.partition)) {
            Some(state) if state.leader != BrokerId::NONE => {
                by_leader.entry(state.leader).or_default().push((partition.topic.clone(), partition.partition));
            }
            Some(_) => {}
            // Its topic was deleted: there is nothing left to end.
            None => done.push(partition.clone()),
        }
    }
    let writes = by_leader.into_iter().map(|(leader, partitions)| async move {
        let of = MarkerOf {
            producer: markers.producer,
            in_next_epoch: markers.version == TransactionVersion::V2,
            marker: Marker { commit: markers.commit, coordinator_epoch: epoch.0 },
        };
        let marking = Marking { of, partitions };
        let codes = if leader == broker.id() {
            write_here(broker, &marking).await
        } else {
            write_there(broker, leader, markers, &marking).await
        };
        marking.partitions.into_iter().zip(codes).collect::<Vec<_>>()
    });
    for ((topic, index), code) in futures::future::join_all(writes).await.into_iter().flatten() {
        let partition = TopicPartition::new(topic, index);
        match code {
            ErrorCode::NONE => done.push(partition),
            // The producer has gone on, which only the end of this transaction allows.
            ErrorCode::INVALID_PRODUCER_EPOCH => {
                warn!(%partition, producer = %markers.producer.id, "a marker comes when its producer has gone on");
                done.push(partition);
            }
            code => debug!(%partition, %code, "a marker is not written yet"),
        }
    }
    done
}

/// Has another leader write; answers in the order of the partitions.
async fn write_there(broker: &Broker, leader: BrokerId, markers: &Markers, marking: &Marking) -> Vec<ErrorCode> {
    let mut topics: Vec<WritableTxnMarkerTopic> = Vec::new();
    for (topic, index) in &marking.partitions {
        match topics.last_mut().filter(|last| *last.name == *topic.as_str()) {
            Some(last) => last.partition_indexes.push(*index),
            None => {
                topics.push(WritableTxnMarkerTopic { name: topic.as_str().into(), partition_indexes: vec![*index] })
            }
        }
    }
    let marker = WritableTxnMarker {
        producer_id: marking.of.producer.id.0,
        producer_epoch: marking.of.producer.epoch.0,
        transaction_result: marking.of.marker.commit,
        topics,
        coordinator_epoch: marking.of.marker.coordinator_epoch,
        transaction_version: i8::try_from(markers.version.level()).unwrap_or_default(),
    };
    match broker.peers.call(broker, leader, &WriteTxnMarkersRequest { markers: vec![marker] }).await {
        Ok(response) => codes_of(response, marking),
        Err(failure) => {
            debug!(%leader, error = %failure, "cannot have markers written");
            vec![ErrorCode::NOT_LEADER_OR_FOLLOWER; marking.partitions.len()]
        }
    }
}

fn codes_of(response: WriteTxnMarkersResponse, marking: &Marking) -> Vec<ErrorCode> {
    let results = response.markers.into_iter().flat_map(|marker| marker.topics);
    let codes: BTreeMap<(String, i32), ErrorCode> = results
        .flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.into_iter().map(move |p| ((name.clone(), p.partition_index), p.error_code))
        })
        .collect();
    let code = |(topic, index): &(TopicName, i32)| codes.get(&(topic.to_string(), *index)).copied();
    marking.partitions.iter().map(|at| code(at).unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR)).collect()
}

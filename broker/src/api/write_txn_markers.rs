//! WriteTxnMarkers (KIP-98): from transaction coordinators, and from tools that end a hanging transaction (KIP-664).

use ottla_core::TopicName;
use ottla_core::txn::TransactionVersion;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use ottla_records::Marker;
use ottla_storage::MarkerOf;

use super::Context;
use super::transactions::producer;
use crate::txn::{Marking, write_here};

/// Writes markers; answered when they are committed.
pub(super) async fn handle(context: Context, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let all = request.markers.iter().map(|marker| one(&context, marker));
    WriteTxnMarkersResponse { markers: futures::future::join_all(all).await }
}

async fn one(context: &Context, asked: &WritableTxnMarker) -> WritableTxnMarkerResult {
    let marker = Marker { commit: asked.transaction_result, coordinator_epoch: asked.coordinator_epoch };
    let version = TransactionVersion::of_level(asked.transaction_version.into());
    let of = MarkerOf {
        producer: producer(asked.producer_id, asked.producer_epoch),
        in_next_epoch: version == TransactionVersion::V2,
        marker,
    };
    let valid = asked.topics.iter().filter_map(|topic| Some((TopicName::new(&topic.name).ok()?, topic)));
    let partitions = valid.flat_map(|(name, topic)| topic.partition_indexes.iter().map(move |i| (name.clone(), *i)));
    let marking = Marking { of, partitions: partitions.collect() };
    let mut codes = write_here(&context.broker, &marking).await.into_iter();
    let topics = asked.topics.iter().map(|topic| {
        let is_valid = TopicName::new(&topic.name).is_ok();
        let partitions = topic.partition_indexes.iter().map(|index| WritableTxnMarkerPartitionResult {
            partition_index: *index,
            error_code: if is_valid { codes.next() } else { None }.unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        });
        WritableTxnMarkerTopicResult { name: topic.name.clone(), partitions: partitions.collect() }
    });
    WritableTxnMarkerResult { producer_id: asked.producer_id, topics: topics.collect() }
}

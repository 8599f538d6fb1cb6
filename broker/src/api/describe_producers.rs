//! DescribeProducers (KIP-664): what the leaders' logs remember of producers, open transactions included.

use ottla_core::LeaderEpoch;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};
use ottla_storage::ProducerSummary;

use super::{Context, error};
use crate::replica::Error;

/// Describes the producers of each partition asked for.
pub(super) async fn handle(context: Context, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| TopicResponse {
        partitions: topic.partition_indexes.iter().map(|index| partition(&context, &topic.name, *index)).collect(),
        name: topic.name,
    });
    DescribeProducersResponse { topics: topics.collect(), ..DescribeProducersResponse::default() }
}

fn partition(context: &Context, topic: &str, partition_index: i32) -> PartitionResponse {
    match producers(context, topic, partition_index) {
        Ok(active_producers) => PartitionResponse { partition_index, active_producers, ..PartitionResponse::default() },
        Err(failure) => PartitionResponse {
            partition_index,
            error_code: error::of_replica(&failure),
            error_message: Some(Str::from(failure.to_string())),
            ..PartitionResponse::default()
        },
    }
}

fn producers(context: &Context, topic: &str, index: i32) -> Result<Vec<ProducerState>, Error> {
    let partition = context.broker.replica_by_name(topic, index)?;
    partition.check_leader(LeaderEpoch::NONE)?;
    Ok(partition.producers()?.into_iter().map(state).collect())
}

fn state(producer: ProducerSummary) -> ProducerState {
    ProducerState {
        producer_id: producer.id.0,
        producer_epoch: i32::from(producer.epoch.0),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp.0,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.transaction_start.map_or(-1, |offset| offset.0),
    }
}

//! One file per API, each with the declarations of its request and response at every version of Kafka 4.3.
//!
//! Structures and fields have the names of Kafka's schema; nested structures are found in the module of their API. A
//! field's documentation says which versions carry it, where it may be null, and its tag.

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod alter_share_group_offsets;
pub mod api_versions;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_share_group_offsets;
pub mod delete_share_group_state;
pub mod delete_topics;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_share_group_offsets;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod elect_leaders;
pub mod end_txn;
pub mod fetch;
pub mod find_coordinator;
pub mod get_telemetry_subscriptions;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod initialize_share_group_state;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod push_telemetry;
pub mod read_share_group_state;
pub mod read_share_group_state_summary;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod share_acknowledge;
pub mod share_fetch;
pub mod share_group_describe;
pub mod share_group_heartbeat;
pub mod streams_group_describe;
pub mod streams_group_heartbeat;
pub mod sync_group;
pub mod txn_offset_commit;
pub mod unregister_broker;
pub mod update_features;
pub mod write_share_group_state;
pub mod write_txn_markers;

use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::ApiKey;
use crate::codec::{DecodeError, EncodeError, Message, Reader, Request, Writer};

pub use add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
pub use add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
pub use alter_client_quotas::{AlterClientQuotasRequest, AlterClientQuotasResponse};
pub use alter_configs::{AlterConfigsRequest, AlterConfigsResponse};
pub use alter_partition_reassignments::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};
pub use alter_replica_log_dirs::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};
pub use alter_share_group_offsets::{AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse};
pub use api_versions::{ApiVersionsRequest, ApiVersionsResponse};
pub use consumer_group_describe::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};
pub use consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
pub use create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse};
pub use create_topics::{CreateTopicsRequest, CreateTopicsResponse};
pub use delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
pub use delete_records::{DeleteRecordsRequest, DeleteRecordsResponse};
pub use delete_share_group_offsets::{DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse};
pub use delete_share_group_state::{DeleteShareGroupStateRequest, DeleteShareGroupStateResponse};
pub use delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
pub use describe_client_quotas::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};
pub use describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
pub use describe_configs::{DescribeConfigsRequest, DescribeConfigsResponse};
pub use describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
pub use describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse};
pub use describe_producers::{DescribeProducersRequest, DescribeProducersResponse};
pub use describe_quorum::{DescribeQuorumRequest, DescribeQuorumResponse};
pub use describe_share_group_offsets::{DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse};
pub use describe_topic_partitions::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
pub use describe_transactions::{DescribeTransactionsRequest, DescribeTransactionsResponse};
pub use elect_leaders::{ElectLeadersRequest, ElectLeadersResponse};
pub use end_txn::{EndTxnRequest, EndTxnResponse};
pub use fetch::{FetchRequest, FetchResponse};
pub use find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
pub use get_telemetry_subscriptions::{GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse};
pub use heartbeat::{HeartbeatRequest, HeartbeatResponse};
pub use incremental_alter_configs::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
pub use init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
pub use initialize_share_group_state::{InitializeShareGroupStateRequest, InitializeShareGroupStateResponse};
pub use join_group::{JoinGroupRequest, JoinGroupResponse};
pub use leave_group::{LeaveGroupRequest, LeaveGroupResponse};
pub use list_config_resources::{ListConfigResourcesRequest, ListConfigResourcesResponse};
pub use list_groups::{ListGroupsRequest, ListGroupsResponse};
pub use list_offsets::{ListOffsetsRequest, ListOffsetsResponse};
pub use list_partition_reassignments::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};
pub use list_transactions::{ListTransactionsRequest, ListTransactionsResponse};
pub use metadata::{MetadataRequest, MetadataResponse};
pub use offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
pub use offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
pub use offset_fetch::{OffsetFetchRequest, OffsetFetchResponse};
pub use offset_for_leader_epoch::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
pub use produce::{ProduceRequest, ProduceResponse};
pub use push_telemetry::{PushTelemetryRequest, PushTelemetryResponse};
pub use read_share_group_state::{ReadShareGroupStateRequest, ReadShareGroupStateResponse};
pub use read_share_group_state_summary::{ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse};
pub use sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
pub use sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
pub use share_acknowledge::{ShareAcknowledgeRequest, ShareAcknowledgeResponse};
pub use share_fetch::{ShareFetchRequest, ShareFetchResponse};
pub use share_group_describe::{ShareGroupDescribeRequest, ShareGroupDescribeResponse};
pub use share_group_heartbeat::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};
pub use streams_group_describe::{StreamsGroupDescribeRequest, StreamsGroupDescribeResponse};
pub use streams_group_heartbeat::{StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse};
pub use sync_group::{SyncGroupRequest, SyncGroupResponse};
pub use txn_offset_commit::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
pub use unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};
pub use update_features::{UpdateFeaturesRequest, UpdateFeaturesResponse};
pub use write_share_group_state::{WriteShareGroupStateRequest, WriteShareGroupStateResponse};
pub use write_txn_markers::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};

fn check<M: Message>(version: i16, reader: &mut Reader) -> Result<Option<String>, DecodeError> {
    let message = M::decode(reader, version)?;
    let bytes = match written(&message, version) {
        Ok(bytes) => bytes,
        Err(error) => return Ok(Some(format!("{message:?} cannot be written: {error}"))),
    };
    let again = M::decode(&mut Reader::new(bytes.clone()), version);
    // A FLOAT64 that is no number differs from itself, but not in what is written.
    let is_same = |again: &M| *again == message || written(again, version).is_ok_and(|again| again == bytes);
    Ok((!again.as_ref().is_ok_and(is_same)).then(|| format!("{message:?} became {again:?}")))
}

fn written<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    message.encode(&mut writer, version)?;
    Ok(writer.finish().bytes)
}

macro_rules! known_apis {
    ($($name:ident: $request:ident,)+) => {
        /// Whether `key` at `version` has compact lengths and tagged fields; false for an API that has no messages here.
        pub fn is_flexible(key: ApiKey, version: i16) -> bool {
            match key {
                $(ApiKey::$name => $request::is_flexible(version),)+
                _ => false,
            }
        }

        /// The versions that can be decoded; a broker may serve fewer.
        pub fn versions(key: ApiKey) -> Option<RangeInclusive<i16>> {
            match key {
                $(ApiKey::$name => Some($request::VERSIONS),)+
                _ => None,
            }
        }

        /// Decodes any request, then says what is wrong with writing it and reading it back; for tests of the codec.
        pub fn check_request(key: ApiKey, version: i16, reader: &mut Reader) -> Result<Option<String>, DecodeError> {
            match key {
                $(ApiKey::$name => check::<$request>(version, reader),)+
                _ => Err(DecodeError::UnsupportedVersion { message: key.name(), version }),
            }
        }

        /// The same for any response.
        pub fn check_response(key: ApiKey, version: i16, reader: &mut Reader) -> Result<Option<String>, DecodeError> {
            match key {
                $(ApiKey::$name => check::<<$request as Request>::Response>(version, reader),)+
                _ => Err(DecodeError::UnsupportedVersion { message: key.name(), version }),
            }
        }

        /// Calls the macro given with the name and the request of every API here.
        #[cfg(test)]
        macro_rules! for_each_api {
            ($then:ident) => {
                $then! { $($name: $request,)+ }
            };
        }
        #[cfg(test)]
        pub(crate) use for_each_api;
    };
}

known_apis! {
    Produce: ProduceRequest,
    Fetch: FetchRequest,
    ListOffsets: ListOffsetsRequest,
    Metadata: MetadataRequest,
    OffsetCommit: OffsetCommitRequest,
    OffsetFetch: OffsetFetchRequest,
    FindCoordinator: FindCoordinatorRequest,
    JoinGroup: JoinGroupRequest,
    Heartbeat: HeartbeatRequest,
    LeaveGroup: LeaveGroupRequest,
    SyncGroup: SyncGroupRequest,
    DescribeGroups: DescribeGroupsRequest,
    ListGroups: ListGroupsRequest,
    SaslHandshake: SaslHandshakeRequest,
    ApiVersions: ApiVersionsRequest,
    CreateTopics: CreateTopicsRequest,
    DeleteTopics: DeleteTopicsRequest,
    DeleteRecords: DeleteRecordsRequest,
    InitProducerId: InitProducerIdRequest,
    OffsetForLeaderEpoch: OffsetForLeaderEpochRequest,
    AddPartitionsToTxn: AddPartitionsToTxnRequest,
    AddOffsetsToTxn: AddOffsetsToTxnRequest,
    EndTxn: EndTxnRequest,
    WriteTxnMarkers: WriteTxnMarkersRequest,
    TxnOffsetCommit: TxnOffsetCommitRequest,
    DescribeConfigs: DescribeConfigsRequest,
    AlterConfigs: AlterConfigsRequest,
    AlterReplicaLogDirs: AlterReplicaLogDirsRequest,
    DescribeLogDirs: DescribeLogDirsRequest,
    SaslAuthenticate: SaslAuthenticateRequest,
    CreatePartitions: CreatePartitionsRequest,
    DeleteGroups: DeleteGroupsRequest,
    ElectLeaders: ElectLeadersRequest,
    IncrementalAlterConfigs: IncrementalAlterConfigsRequest,
    AlterPartitionReassignments: AlterPartitionReassignmentsRequest,
    ListPartitionReassignments: ListPartitionReassignmentsRequest,
    OffsetDelete: OffsetDeleteRequest,
    DescribeClientQuotas: DescribeClientQuotasRequest,
    AlterClientQuotas: AlterClientQuotasRequest,
    DescribeQuorum: DescribeQuorumRequest,
    UpdateFeatures: UpdateFeaturesRequest,
    DescribeCluster: DescribeClusterRequest,
    DescribeProducers: DescribeProducersRequest,
    UnregisterBroker: UnregisterBrokerRequest,
    DescribeTransactions: DescribeTransactionsRequest,
    ListTransactions: ListTransactionsRequest,
    ConsumerGroupHeartbeat: ConsumerGroupHeartbeatRequest,
    ConsumerGroupDescribe: ConsumerGroupDescribeRequest,
    GetTelemetrySubscriptions: GetTelemetrySubscriptionsRequest,
    PushTelemetry: PushTelemetryRequest,
    ListConfigResources: ListConfigResourcesRequest,
    DescribeTopicPartitions: DescribeTopicPartitionsRequest,
    ShareFetch: ShareFetchRequest,
    ShareAcknowledge: ShareAcknowledgeRequest,
    InitializeShareGroupState: InitializeShareGroupStateRequest,
    ReadShareGroupState: ReadShareGroupStateRequest,
    WriteShareGroupState: WriteShareGroupStateRequest,
    DeleteShareGroupState: DeleteShareGroupStateRequest,
    ReadShareGroupStateSummary: ReadShareGroupStateSummaryRequest,
    ShareGroupHeartbeat: ShareGroupHeartbeatRequest,
    ShareGroupDescribe: ShareGroupDescribeRequest,
    StreamsGroupHeartbeat: StreamsGroupHeartbeatRequest,
    StreamsGroupDescribe: StreamsGroupDescribeRequest,
    DescribeShareGroupOffsets: DescribeShareGroupOffsetsRequest,
    AlterShareGroupOffsets: AlterShareGroupOffsetsRequest,
    DeleteShareGroupOffsets: DeleteShareGroupOffsetsRequest,
}

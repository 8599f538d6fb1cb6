//! The one table of the APIs this broker serves. Dispatch and ApiVersions both read it.
//!
//! One file per API. A handler decodes nothing and encodes nothing: it gets the request as a message and returns the
//! response as one. Only produce and fetch, whose payloads never become messages, are direct.

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_client_quotas;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod alter_share_group_offsets;
mod api_versions;
mod client_quotas;
mod config_changes;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_share_group_offsets;
mod delete_share_group_state;
mod delete_topics;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_share_group_offsets;
mod describe_topic_partitions;
mod describe_transactions;
mod dispatch;
mod elect_leaders;
mod end_txn;
pub mod error;
mod fetch;
mod files;
mod find_coordinator;
mod get_telemetry_subscriptions;
mod groups;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod initialize_share_group_state;
mod join_group;
mod leaders;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod metadata;
mod mutations;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod push_telemetry;
mod read_share_group_state;
mod read_share_group_state_summary;
mod share_acknowledge;
mod share_fetch;
mod share_group_describe;
mod share_group_heartbeat;
mod share_groups;
mod share_states;
mod stopwatch;
mod streams_group_describe;
mod streams_group_heartbeat;
mod streams_groups;
mod sync_group;
mod table;
mod transactions;
mod txn_offset_commit;
mod unregister_broker;
mod update_features;
mod write_share_group_state;
mod write_txn_markers;

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ApiKey;
use ottla_protocol::codec::Str;

use crate::broker::Broker;
use crate::net::Peer;

pub use dispatch::Dispatcher;
pub use fetch::FetchSessions;
pub use init_producer_id::ProducerIds;
pub use table::{Api, Table};

/// What a handler may need besides the request; cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Who asks.
    pub peer: Arc<Peer>,
    /// The version of the request, and of the response expected.
    pub version: i16,
    /// What the client calls itself.
    pub client_id: Option<Str>,
}

impl Context {
    /// What the client calls itself; empty if it does not say.
    fn client_name(&self) -> &str {
        self.client_id.as_deref().unwrap_or_default()
    }

    /// Whether the boolean setting `key` of the broker, true by default, is on.
    fn allows(&self, key: &str) -> bool {
        let value = self.broker.with_layers(&self.broker.image(), |layers| layers.broker_value(key));
        value.is_none_or(|value| !value.eq_ignore_ascii_case("false"))
    }
}

/// How long a command to the controller is pursued for a client that gives it `timeout_ms`: a second at least, since
/// that is no time to give up what costs nothing.
fn patience(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0).max(1000))
}

/// The table.
///
/// A line is an API, the versions served, and `async fn(Context, Request) -> Response`. Where fewer versions are
/// advertised or served than the other way round, the entry says so.
#[rustfmt::skip]
pub fn table() -> Table {
    Table::new([
        // 0 to 2 are advertised and refused: older librdkafka stops compressing otherwise (KAFKA-18659).
        Api::direct(ApiKey::Produce, 3..=13, produce::handle).advertised_from(0),
        Api::direct(ApiKey::Fetch, 4..=18, fetch::handle),
        Api::answering(1..=11, list_offsets::handle),
        Api::answering(0..=13, metadata::handle),
        Api::answering(2..=10, offset_commit::handle),
        Api::answering(1..=10, offset_fetch::handle),
        Api::answering(0..=6, find_coordinator::handle),
        Api::answering(0..=9, join_group::handle),
        Api::answering(0..=4, heartbeat::handle),
        Api::answering(0..=5, leave_group::handle),
        Api::answering(0..=5, sync_group::handle),
        Api::answering(0..=6, describe_groups::handle),
        Api::answering(0..=5, list_groups::handle),
        Api::answering(0..=2, delete_groups::handle),
        Api::answering(0..=0, offset_delete::handle),
        Api::answering(0..=4, api_versions::handle),
        Api::answering(0..=2, delete_records::handle),
        Api::answering(0..=5, init_producer_id::handle),
        Api::answering(0..=5, add_partitions_to_txn::handle),
        Api::answering(0..=4, add_offsets_to_txn::handle),
        Api::answering(0..=5, end_txn::handle),
        Api::between_brokers(1..=2, write_txn_markers::handle),
        Api::answering(0..=5, txn_offset_commit::handle),
        Api::answering(0..=0, describe_producers::handle),
        Api::answering(0..=0, describe_transactions::handle),
        Api::answering(0..=2, list_transactions::handle),
        Api::answering(2..=4, offset_for_leader_epoch::handle),
        Api::answering(2..=7, create_topics::handle),
        Api::answering(1..=6, delete_topics::handle),
        Api::answering(0..=3, create_partitions::handle),
        Api::answering(1..=4, describe_configs::handle),
        Api::answering(0..=2, alter_configs::handle),
        Api::answering(0..=2, describe_quorum::handle),
        Api::answering(0..=1, incremental_alter_configs::handle),
        Api::answering(0..=1, alter_partition_reassignments::handle),
        Api::answering(0..=0, list_partition_reassignments::handle),
        Api::answering(0..=2, elect_leaders::handle),
        Api::answering(0..=2, update_features::handle),
        Api::answering(0..=1, describe_client_quotas::handle),
        Api::answering(0..=1, alter_client_quotas::handle),
        Api::answering(0..=2, describe_cluster::handle),
        Api::answering(0..=0, unregister_broker::handle),
        Api::answering(1..=2, alter_replica_log_dirs::handle),
        Api::answering(1..=5, describe_log_dirs::handle),
        Api::answering(0..=1, consumer_group_heartbeat::handle),
        Api::answering(0..=1, consumer_group_describe::handle),
        // As Kafka, which tells of them only where they lead anywhere, and answers whoever asks.
        Api::answering(0..=0, get_telemetry_subscriptions::handle).advertised_if(|it| it.client_metrics.has_collector()),
        Api::answering(0..=0, push_telemetry::handle).advertised_if(|it| it.client_metrics.has_collector()),
        Api::answering(0..=1, list_config_resources::handle),
        Api::answering(0..=0, describe_topic_partitions::handle),
        Api::direct(ApiKey::ShareFetch, 1..=2, share_fetch::handle),
        Api::answering(1..=2, share_acknowledge::handle),
        Api::between_brokers(0..=0, initialize_share_group_state::handle),
        Api::between_brokers(0..=0, read_share_group_state::handle),
        Api::between_brokers(0..=1, write_share_group_state::handle),
        Api::between_brokers(0..=0, delete_share_group_state::handle),
        Api::between_brokers(0..=1, read_share_group_state_summary::handle),
        Api::answering(1..=1, share_group_heartbeat::handle),
        Api::answering(1..=1, share_group_describe::handle),
        Api::answering(0..=0, streams_group_heartbeat::handle),
        Api::answering(0..=0, streams_group_describe::handle),
        Api::answering(0..=1, describe_share_group_offsets::handle),
        Api::answering(0..=0, alter_share_group_offsets::handle),
        Api::answering(0..=0, delete_share_group_offsets::handle),
    ])
}

//! The one table of the APIs this broker serves. Dispatch and ApiVersions both read it.
//!
//! One file per API. A handler decodes nothing and encodes nothing: it gets the request as a message and returns the
//! response as one. Only produce and fetch, whose payloads never become messages, are direct.

mod alter_configs;
mod api_versions;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_topic_partitions;
mod dispatch;
pub mod error;
mod incremental_alter_configs;
mod list_config_resources;
mod table;

use std::sync::Arc;

use ottla_protocol::codec::Str;

use crate::broker::Broker;
use crate::net::Peer;

pub use dispatch::Dispatcher;
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

/// The table.
///
/// A line is an API, the versions served, and `async fn(Context, Request) -> Response`. Where fewer versions are
/// advertised or served than the other way round, the entry says so.
#[rustfmt::skip]
pub fn table() -> Table {
    Table::new([
        Api::answering(0..=4, api_versions::handle),
        Api::answering(2..=7, create_topics::handle),
        Api::answering(1..=6, delete_topics::handle),
        Api::answering(0..=3, create_partitions::handle),
        Api::answering(1..=4, describe_configs::handle),
        Api::answering(0..=2, alter_configs::handle),
        Api::answering(0..=1, incremental_alter_configs::handle),
        Api::answering(0..=2, describe_cluster::handle),
        Api::answering(0..=1, list_config_resources::handle),
        Api::answering(0..=0, describe_topic_partitions::handle),
    ])
}

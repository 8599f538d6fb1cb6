//! The custom resources of Ottla: `KafkaCluster` and `KafkaTopic` of `ottla.io/v1alpha1`.
//!
//! The types here are the schema people write against: every field carries its documentation, its bounds and, where
//! a bound needs more than one field, a CEL rule with a sentence to read. `just generate` renders them to
//! `crds/generated/`. No logic lives here beyond schema and defaults; what a spec *means* is the operator's business.

pub mod cluster;
pub mod conditions;
mod config;
pub mod manifest;
mod topic;

pub use cluster::{KafkaCluster, KafkaClusterSpec, KafkaClusterStatus};
pub use config::{ConfigMapSpec, ConfigValue};
pub use topic::{ClusterRef, DeletionPolicy, KafkaTopic, KafkaTopicSpec, KafkaTopicStatus};

/// The API group of every kind here.
pub const GROUP: &str = "ottla.io";
/// The only version served so far.
pub const VERSION: &str = "v1alpha1";

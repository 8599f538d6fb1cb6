//! What a broker tells about itself: metrics under the names of Kafka's JMX exporter, health, and the HTTP listener.
//!
//! Metrics are structs next to what they measure, made here and passed in; there are no statics.

mod cleaner;
mod exposition;
mod groups;
mod health;
mod http;
mod metrics;
mod share;

pub use cleaner::CleanerMetrics;
pub use exposition::Exposition;
pub use health::{Health, State};
pub use http::{bind, serve};
pub use metrics::{Gauges, Metrics, RequestLabels, RequestMeters, Snapshot, TopicCounters, TopicLabels};
pub use share::ShareMetrics;

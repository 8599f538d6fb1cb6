//! The whole operator against the embedded Kubernetes API, its StatefulSet controller, and a Kafka cluster in memory.

mod definitions;
mod faults;
mod lifecycle;
mod quiet;
mod rolling;
mod stopping;
mod support;
mod topics;

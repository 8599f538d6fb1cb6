//! The whole operator against the embedded Kubernetes API, its StatefulSet controller, and a Kafka cluster in memory.

mod definitions;
mod faults;
mod lifecycle;
mod permissions;
mod quiet;
mod repair;
mod rolling;
mod stopping;
mod storage;
mod support;
mod topics;

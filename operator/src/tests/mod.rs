//! The whole operator against the embedded Kubernetes API, its StatefulSet controller, and a Kafka cluster in memory.

mod campaign;
mod definitions;
mod faults;
mod kubelet;
mod lifecycle;
mod mortal;
mod permissions;
mod quiet;
mod reach;
mod repair;
mod rolling;
mod scaling;
mod stopping;
mod storage;
pub mod support;
mod there_and_back;
mod topics;
mod watching;

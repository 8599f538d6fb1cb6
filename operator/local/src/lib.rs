//! An embedded Kubernetes API with a StatefulSet controller and a process kubelet.
//!
//! [`ApiServer`] is the API that kubectl and kube-rs need, and no more: generic, in memory, with an optional
//! journal. It knows nothing of Kafka, and the controllers of this crate are plain clients of it.

// The schemas of the built-in kinds expand to deeply nested macros.
#![recursion_limit = "256"]

mod core;
mod deletion;
pub mod deployment;
mod discovery;
pub mod disruption;
pub mod endpoints;
mod errors;
mod fields;
mod handlers;
pub mod hosts;
mod kubeconfig;
pub mod kubelet;
mod lifecycle;
mod logs;
mod object;
mod openapi;
mod patch;
mod pod_state;
pub mod proxy;
pub mod recorder;
mod resources;
mod schema;
mod selector;
mod server;
pub mod statefulset;
mod store;
mod table;
mod template_hash;
mod watch;
mod writes;

pub use kubeconfig::kubeconfig;
pub use logs::{LogError, LogRequest, LogSource, LogStream};
pub use server::{ApiServer, ApiServerConfig, Error};
pub use store::JournalError;

//! An embedded Kubernetes API with a StatefulSet controller and a process kubelet.
//!
//! [`ApiServer`] is the API that kubectl and kube-rs need, and no more: generic, in memory, with an optional
//! journal. It knows nothing of Kafka, and the controllers of this crate are plain clients of it.

pub mod endpoints;
mod errors;
pub mod hosts;
mod kubeconfig;
pub mod kubelet;
mod logs;
mod object;
pub mod recorder;
mod server;
pub mod statefulset;

pub use kubeconfig::kubeconfig;
pub use logs::{LogError, LogRequest, LogSource, LogStream};
pub use server::{ApiServer, ApiServerConfig, Error};

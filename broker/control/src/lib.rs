//! `ottla.cluster.v1`: what the operator asks of brokers beside Kafka's APIs, as gRPC.
//!
//! The schema, `proto/cluster.proto`, is the contract and its documentation; here are the messages, the client and the
//! server that are made from it. No rules: the broker answers in `broker/src/admin`, the operator asks in its `kafka`.

#[allow(missing_docs, clippy::all, unused_qualifications)]
mod generated {
    tonic::include_proto!("ottla.cluster.v1");
}

pub use generated::*;

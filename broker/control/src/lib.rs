//! `ottla.cluster.v1`: what the operator asks of brokers beside Kafka's APIs, as gRPC.
//!
//! The schema, `proto/cluster.proto`, is the contract and its documentation; here are the messages, the client and the
//! server that are made from it. No rules: the broker answers in `broker/src/admin`, the operator asks in its `kafka`.

#[allow(missing_docs, clippy::all, unused_qualifications)]
mod generated {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/generated/ottla.cluster.v1.rs"));
}

pub use generated::*;

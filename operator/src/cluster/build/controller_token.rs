//! The Secret that keeps strangers off the CONTROLLER listener. Made once: a new token would part brokers that run.

use k8s_openapi::{ByteString, api::core::v1::Secret};
use uuid::Uuid;

use super::{metadata, properties::TOKEN_FILE};
use crate::{child::Child, cluster::validate::ValidCluster};

/// The Secret with a token made of `chance`, 244 random bits.
///
/// # Errors
/// Fails if the object cannot be written as JSON.
pub fn controller_token(cluster: &ValidCluster, chance: [Uuid; 2]) -> Result<Child, serde_json::Error> {
    let token: String = chance.iter().map(|part| part.simple().to_string()).collect();
    Child::new(&Secret {
        metadata: metadata(cluster, cluster.names.controller_token()),
        data: Some([(TOKEN_FILE.to_owned(), ByteString(token.into_bytes()))].into()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    })
}

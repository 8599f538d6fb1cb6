//! The first decision of a cluster.

use serde::{Deserialize, Serialize};

use super::command::operation;
use super::{Context, Decision, Error, supported_features};
use crate::metadata::{Record, Resource};

/// Begins the cluster. Does nothing when it has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundCluster {
    /// The cluster's id for ever: 22 characters of base64 as Kafka's are, or what the configuration says.
    pub cluster_id: String,
}

operation!(FoundCluster => String, found);

/// Answers with the id of the cluster, whoever founded it.
fn found(operation: FoundCluster, context: &Context<'_>) -> Result<Decision<String>, Error> {
    let image = context.image;
    if !image.cluster_id().is_empty() {
        return Ok(Decision::unchanged(image.cluster_id().to_owned()));
    }
    let mut records = vec![Record::ClusterFounded { cluster_id: operation.cluster_id.clone() }];
    records
        .extend(supported_features().map(|(name, range)| Record::Feature { name: name.to_owned(), level: range.max }));
    records.push(
        // Eligible leader replicas depend on it, so it is the same for all brokers from the beginning (KIP-966).
        Record::ConfigChanged {
            resource: Resource::every_broker(),
            key: "min.insync.replicas".to_owned(),
            value: Some(context.settings.min_insync_replicas().to_string()),
        },
    );
    Ok(Decision { records, response: operation.cluster_id })
}

//! The ConfigMap with one properties file for each broker.

use k8s_openapi::api::core::v1::ConfigMap;

use super::{metadata, properties};
use crate::cluster::validate::ValidCluster;

pub(super) fn build(cluster: &ValidCluster, cluster_id: &str) -> ConfigMap {
    let file = |id: i32| {
        let mut all = properties::at_start(cluster, cluster_id, id);
        all.extend([properties::founding(cluster, id)]);
        all.extend(properties::retired(cluster, id));
        (cluster.names.properties_file(id), properties::render(&all))
    };
    ConfigMap {
        metadata: metadata(cluster, cluster.names.config()),
        data: Some((0..cluster.brokers).map(file).collect()),
        ..ConfigMap::default()
    }
}

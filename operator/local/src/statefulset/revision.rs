//! The revision of a StatefulSet's pod template: a name that changes when, and only when, the template does.
//!
//! Only the name is kept, as a label on the pods; there are no ControllerRevision objects, so nothing can be rolled back.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;

use crate::template_hash::template_hash;

/// `<set>-<hash of the template>`, for the label `controller-revision-hash`.
pub fn revision(set: &StatefulSet) -> String {
    format!("{}-{}", set.name_any(), template_hash(&set.spec.template))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn the_revision_changes_with_the_template_alone() {
        let set = |replicas: i32, image: &str| -> StatefulSet {
            from_value(json!({"metadata": {"name": "web"}, "spec": {
                "replicas": replicas, "selector": {}, "serviceName": "web",
                "template": {"spec": {"containers": [{"name": "c", "image": image}]}},
            }}))
            .unwrap()
        };
        assert_eq!(revision(&set(1, "a")), revision(&set(3, "a")));
        assert_ne!(revision(&set(1, "a")), revision(&set(1, "b")));
        assert!(revision(&set(1, "a")).starts_with("web-"));
        assert_eq!(revision(&set(1, "a")).len(), 14);
    }
}

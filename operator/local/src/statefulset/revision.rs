//! The revision of a StatefulSet's pod template: a name that changes when, and only when, the template does.
//!
//! Only the name is kept, as a label on the pods; there are no ControllerRevision objects, so nothing can be rolled back.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;

/// The letters of Kubernetes' own hashes: none that spell words, none that look alike.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// `<set>-<hash of the template>`, for the label `controller-revision-hash`.
pub fn revision(set: &StatefulSet) -> String {
    let template = serde_json::to_vec(&set.spec.template).expect("a template is plain data");
    format!("{}-{}", set.name_any(), letters(fnv1a(&template)))
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn letters(mut hash: u64) -> String {
    let base = LETTERS.len() as u64;
    let mut text = String::new();
    for _ in 0..10 {
        let index = usize::try_from(hash % base).expect("a remainder below 27 is a usize");
        text.push(char::from(LETTERS[index]));
        hash /= base;
    }
    text
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

//! The defaults of built-in kinds that clients rely on: kubectl prints several of these without looking.

use serde_json::{Map, Value, json};

use super::{Resource, crd};
use crate::object;

/// Fills in defaults of a built-in object. Wrongly shaped parts are left as they are.
pub(crate) fn fill(resource: &Resource, object: &mut Value) {
    match &*resource.storage {
        "pods" => pod_spec(object.get_mut("spec")),
        "services" => service(object),
        "secrets" => secret(object),
        "namespaces" => namespace(object),
        "persistentvolumeclaims" => set(object.get_mut("spec"), &[("volumeMode", json!("Filesystem"))]),
        "persistentvolumes" => {
            let defaults = [("volumeMode", json!("Filesystem")), ("persistentVolumeReclaimPolicy", json!("Retain"))];
            set(object.get_mut("spec"), &defaults);
        }
        "storageclasses.storage.k8s.io" => {
            let defaults = [("reclaimPolicy", json!("Delete")), ("volumeBindingMode", json!("Immediate"))];
            set(Some(object), &defaults);
        }
        "networkpolicies.networking.k8s.io" => network_policy(object),
        "deployments.apps" => deployment(object),
        "replicasets.apps" => replica_set(object),
        "statefulsets.apps" => stateful_set(object),
        "customresourcedefinitions.apiextensions.k8s.io" => crd::default(object),
        _ => {}
    }
}

/// The status a new object of a kind has before any controller has seen it.
pub(crate) fn initial_status(resource: &Resource) -> Option<Value> {
    match &*resource.storage {
        "pods" => Some(json!({"phase": "Pending", "qosClass": "BestEffort"})),
        "namespaces" => Some(json!({"phase": "Active"})),
        "persistentvolumeclaims" | "persistentvolumes" => Some(json!({"phase": "Pending"})),
        "services" => Some(json!({"loadBalancer": {}})),
        "statefulsets.apps" => Some(json!({"replicas": 0, "availableReplicas": 0})),
        "replicasets.apps" => Some(json!({"replicas": 0})),
        "poddisruptionbudgets.policy" => {
            Some(json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}))
        }
        _ => None,
    }
}

fn set(target: Option<&mut Value>, defaults: &[(&str, Value)]) {
    let Some(Value::Object(fields)) = target else { return };
    for (name, value) in defaults {
        fields.entry(*name).or_insert_with(|| value.clone());
    }
}

fn each<'a>(parent: Option<&'a mut Value>, list: &str) -> impl Iterator<Item = &'a mut Value> {
    parent.and_then(|p| p.get_mut(list)).and_then(Value::as_array_mut).into_iter().flatten()
}

fn pod_spec(spec: Option<&mut Value>) {
    let Some(spec) = spec else { return };
    let defaults = [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
    ];
    set(Some(spec), &defaults);
    for list in ["containers", "initContainers"] {
        each(Some(spec), list).for_each(container);
    }
    for volume in each(Some(spec), "volumes") {
        set(volume.get_mut("configMap"), &[("defaultMode", json!(420))]);
        set(volume.get_mut("secret"), &[("defaultMode", json!(420))]);
        set(volume.get_mut("projected"), &[("defaultMode", json!(420))]);
    }
}

fn container(container: &mut Value) {
    let latest = container["image"].as_str().is_some_and(|image| image.ends_with(":latest") || !image.contains(':'));
    let defaults = [
        ("resources", json!({})),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
        ("imagePullPolicy", json!(if latest { "Always" } else { "IfNotPresent" })),
    ];
    set(Some(container), &defaults);
    each(Some(container), "ports").for_each(|port| set(Some(port), &[("protocol", json!("TCP"))]));
    for env in each(Some(container), "env") {
        set(env.pointer_mut("/valueFrom/fieldRef"), &[("apiVersion", json!("v1"))]);
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let defaults = [
            ("timeoutSeconds", json!(1)),
            ("periodSeconds", json!(10)),
            ("successThreshold", json!(1)),
            ("failureThreshold", json!(3)),
        ];
        set(container.get_mut(probe), &defaults);
        let http = container.get_mut(probe).and_then(|p| p.get_mut("httpGet"));
        set(http, &[("scheme", json!("HTTP")), ("path", json!("/"))]);
    }
}

fn service(object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else { return };
    let defaults = [("type", json!("ClusterIP")), ("sessionAffinity", json!("None"))];
    set(Some(spec), &defaults);
    for port in each(Some(spec), "ports") {
        set(Some(port), &[("protocol", json!("TCP"))]);
        let same = port["port"].clone();
        set(Some(port), &[("targetPort", same)]);
    }
}

/// `stringData` is for writing only: it ends up, encoded, in `data`.
fn secret(object: &mut Value) {
    set(Some(object), &[("type", json!("Opaque"))]);
    let Some(Value::Object(plain)) = object.as_object_mut().and_then(|o| o.remove("stringData")) else { return };
    let data = object::as_map(object).entry("data").or_insert_with(|| Value::Object(Map::new()));
    for (key, value) in plain {
        if let Some(text) = value.as_str() {
            object::as_map(data).insert(key, base64(text.as_bytes()).into());
        }
    }
}

/// RFC 4648 base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, b| word << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let sextet = (word >> (18 - 6 * i)) & 63;
            out.push(if i <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    out
}

/// Every namespace carries its own name as a label, so that selectors can name it.
fn namespace(object: &mut Value) {
    let name = object::name(object).to_owned();
    let labels = object::meta_mut(object).entry("labels").or_insert_with(|| Value::Object(Map::new()));
    object::as_map(labels).insert("kubernetes.io/metadata.name".to_owned(), name.into());
    let spec = object::as_map(object).entry("spec").or_insert_with(|| json!({}));
    set(Some(spec), &[("finalizers", json!(["kubernetes"]))]);
}

fn network_policy(object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else { return };
    let types = if spec.get("egress").is_some() { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    set(Some(spec), &[("policyTypes", types)]);
    for rule in ["ingress", "egress"] {
        for rule in each(Some(spec), rule) {
            each(Some(rule), "ports").for_each(|port| set(Some(port), &[("protocol", json!("TCP"))]));
        }
    }
}

fn deployment(object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else { return };
    let defaults = [
        ("replicas", json!(1)),
        ("strategy", json!({"type": "RollingUpdate"})),
        ("revisionHistoryLimit", json!(10)),
        ("progressDeadlineSeconds", json!(600)),
    ];
    set(Some(spec), &defaults);
    if spec["strategy"]["type"] == "RollingUpdate" {
        set(spec.get_mut("strategy"), &[("rollingUpdate", json!({}))]);
        let quarter = [("maxSurge", json!("25%")), ("maxUnavailable", json!("25%"))];
        set(spec.pointer_mut("/strategy/rollingUpdate"), &quarter);
    }
    pod_spec(spec.pointer_mut("/template/spec"));
}

fn replica_set(object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else { return };
    set(Some(spec), &[("replicas", json!(1))]);
    pod_spec(spec.pointer_mut("/template/spec"));
}

fn stateful_set(object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else { return };
    let defaults = [
        ("replicas", json!(1)),
        ("podManagementPolicy", json!("OrderedReady")),
        ("updateStrategy", json!({"type": "RollingUpdate"})),
        ("revisionHistoryLimit", json!(10)),
        ("persistentVolumeClaimRetentionPolicy", json!({"whenDeleted": "Retain", "whenScaled": "Retain"})),
    ];
    set(Some(spec), &defaults);
    if spec["updateStrategy"]["type"] == "RollingUpdate" {
        set(spec.get_mut("updateStrategy"), &[("rollingUpdate", json!({"partition": 0}))]);
    }
    pod_spec(spec.pointer_mut("/template/spec"));
    for claim in each(Some(spec), "volumeClaimTemplates") {
        set(Some(claim), &[("apiVersion", json!("v1")), ("kind", json!("PersistentVolumeClaim"))]);
        set(claim.get_mut("spec"), &[("volumeMode", json!("Filesystem"))]);
        set(Some(claim), &[("status", json!({"phase": "Pending"}))]);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_pads() {
        assert_eq!(super::base64(b""), "");
        assert_eq!(super::base64(b"a"), "YQ==");
        assert_eq!(super::base64(b"ab"), "YWI=");
        assert_eq!(super::base64(b"abc"), "YWJj");
        assert_eq!(super::base64(&[0xff, 0xfe, 0xfd]), "//79");
    }
}

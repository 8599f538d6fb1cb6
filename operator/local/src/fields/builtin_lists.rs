//! How the lists of built-in kinds merge: which have items with an identity, and by which fields.

/// What a list is to a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// Replaced whole.
    Atomic,
    /// A set of scalars.
    Set,
    /// Items are told apart by these fields, the first one being the key of strategic merge.
    ByKeys(&'static [&'static str]),
}

/// The merge of the list `field` within an object that is itself found under `parent`.
pub(crate) fn of(parent: &str, field: &str) -> Merge {
    match (parent, field) {
        ("metadata", "finalizers") => Merge::Set,
        ("metadata", "ownerReferences") => Merge::ByKeys(&["uid"]),
        ("containers" | "initContainers" | "ephemeralContainers", "ports") => {
            Merge::ByKeys(&["containerPort", "protocol"])
        }
        ("spec", "ports") => Merge::ByKeys(&["port", "protocol"]),
        ("spec", "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "imagePullSecrets") => {
            Merge::ByKeys(&["name"])
        }
        (_, "env") => Merge::ByKeys(&["name"]),
        (_, "volumeMounts") => Merge::ByKeys(&["mountPath"]),
        (_, "volumeDevices") => Merge::ByKeys(&["devicePath"]),
        ("resources", "claims") => Merge::ByKeys(&["name"]),
        ("spec", "hostAliases") => Merge::ByKeys(&["ip"]),
        ("spec", "topologySpreadConstraints") => Merge::ByKeys(&["topologyKey", "whenUnsatisfiable"]),
        ("status", "conditions") => Merge::ByKeys(&["type"]),
        ("status", "podIPs") => Merge::ByKeys(&["ip"]),
        ("", "secrets" | "imagePullSecrets") => Merge::ByKeys(&["name"]),
        _ => Merge::Atomic,
    }
}

/// Is the object `field` replaced whole by server-side apply?
pub(crate) fn is_atomic_map(field: &str) -> bool {
    matches!(
        field,
        "selector"
            | "nodeSelector"
            | "podSelector"
            | "namespaceSelector"
            | "labelSelector"
            | "involvedObject"
            | "regarding"
            | "secretRef"
            | "configMapKeyRef"
            | "secretKeyRef"
            | "fieldRef"
            | "resourceFieldRef"
            | "claimRef"
            | "roleRef"
    )
}

/// What a key field of a list item is when the item does not say.
pub(crate) fn key_default(key: &str) -> Option<&'static str> {
    (key == "protocol").then_some("TCP")
}

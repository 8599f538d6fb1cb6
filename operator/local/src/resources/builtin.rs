//! The built-in kinds, one row each, with their OpenAPI schemas from `k8s-openapi`.

use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1 as apps, coordination::v1 as coordination, core::v1 as core, discovery::v1 as discovery,
    events::v1 as events, networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac, storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_openapi::schemars::{Schema, SchemaGenerator};
use serde::Deserialize;

use super::{Decode, Resource, ScalePaths};

pub(crate) const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// One row: a kind and its schema.
struct Row {
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
    status: bool,
    schema: fn(&mut SchemaGenerator) -> Schema,
    decode: Decode,
}

macro_rules! row {
    ($group:literal, $type:ty, $kind:literal, $plural:literal, $short:expr, $namespaced:literal, $status:literal) => {
        Row {
            group: $group,
            kind: $kind,
            plural: $plural,
            short: &$short,
            namespaced: $namespaced,
            status: $status,
            schema: |generator| generator.subschema_for::<$type>(),
            decode: |object| <$type>::deserialize(object).map(drop).map_err(|error| error.to_string()),
        }
    };
}

const ROWS: &[Row] = &[
    row!("", core::Namespace, "Namespace", "namespaces", ["ns"], false, true),
    row!("", core::Node, "Node", "nodes", ["no"], false, true),
    row!("", core::PersistentVolume, "PersistentVolume", "persistentvolumes", ["pv"], false, true),
    row!("", core::Pod, "Pod", "pods", ["po"], true, true),
    row!("", core::Service, "Service", "services", ["svc"], true, true),
    row!("", core::ConfigMap, "ConfigMap", "configmaps", ["cm"], true, false),
    row!("", core::Secret, "Secret", "secrets", [], true, false),
    row!("", core::ServiceAccount, "ServiceAccount", "serviceaccounts", ["sa"], true, false),
    row!("", core::PersistentVolumeClaim, "PersistentVolumeClaim", "persistentvolumeclaims", ["pvc"], true, true),
    row!("", core::Event, "Event", "events", ["ev"], true, false),
    row!("events.k8s.io", events::Event, "Event", "events", ["ev"], true, false),
    row!("apps", apps::Deployment, "Deployment", "deployments", ["deploy"], true, true),
    row!("apps", apps::ReplicaSet, "ReplicaSet", "replicasets", ["rs"], true, true),
    row!("apps", apps::StatefulSet, "StatefulSet", "statefulsets", ["sts"], true, true),
    row!("policy", policy::PodDisruptionBudget, "PodDisruptionBudget", "poddisruptionbudgets", ["pdb"], true, true),
    row!("networking.k8s.io", networking::NetworkPolicy, "NetworkPolicy", "networkpolicies", ["netpol"], true, false),
    row!("discovery.k8s.io", discovery::EndpointSlice, "EndpointSlice", "endpointslices", [], true, false),
    row!("coordination.k8s.io", coordination::Lease, "Lease", "leases", [], true, false),
    row!("storage.k8s.io", storage::StorageClass, "StorageClass", "storageclasses", ["sc"], false, false),
    row!("rbac.authorization.k8s.io", rbac::Role, "Role", "roles", [], true, false),
    row!("rbac.authorization.k8s.io", rbac::RoleBinding, "RoleBinding", "rolebindings", [], true, false),
    row!("rbac.authorization.k8s.io", rbac::ClusterRole, "ClusterRole", "clusterroles", [], false, false),
    row!(
        "rbac.authorization.k8s.io",
        rbac::ClusterRoleBinding,
        "ClusterRoleBinding",
        "clusterrolebindings",
        [],
        false,
        false
    ),
    row!(
        "apiextensions.k8s.io",
        apiextensions::CustomResourceDefinition,
        "CustomResourceDefinition",
        "customresourcedefinitions",
        ["crd", "crds"],
        false,
        true
    ),
];

/// Every built-in resource.
pub(super) fn all() -> Vec<Resource> {
    ROWS.iter().map(resource).collect()
}

/// Puts the schemas of all built-in kinds of a group into `generator`; returns a reference to each kind's own.
pub(crate) fn add_schemas(group: &str, generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
    ROWS.iter().filter(|row| row.group == group).map(|row| (row.kind, (row.schema)(generator))).collect()
}

fn resource(row: &Row) -> Resource {
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    let in_all = matches!(row.plural, "pods" | "services" | "deployments" | "replicasets" | "statefulsets");
    // Events are one collection under two groups.
    let storage = match (row.group, row.plural) {
        ("", plural) | (_, plural @ "events") => plural.to_owned(),
        (group, plural) => format!("{plural}.{group}"),
    };
    let extensions = row.group == "apiextensions.k8s.io";
    Resource {
        group: row.group.to_owned(),
        version: "v1".to_owned(),
        kind: row.kind.to_owned(),
        plural: row.plural.to_owned(),
        singular: row.kind.to_lowercase(),
        short_names: strings(row.short),
        categories: if in_all {
            strings(&["all"])
        } else if extensions {
            strings(&["api-extensions"])
        } else {
            Vec::new()
        },
        namespaced: row.namespaced,
        status: row.status,
        scale: (row.group == "apps").then(replicas),
        storage: Arc::from(storage),
        decode: Some(row.decode),
        custom: None,
    }
}

fn replicas() -> ScalePaths {
    let path = |fields: [&str; 2]| fields.map(str::to_owned).to_vec();
    ScalePaths {
        spec_replicas: path(["spec", "replicas"]),
        status_replicas: path(["status", "replicas"]),
        // A LabelSelector, printed in its string form.
        selector: Some(path(["spec", "selector"])),
    }
}

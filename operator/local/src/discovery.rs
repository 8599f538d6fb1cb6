//! Discovery: which groups, versions and kinds there are, in the legacy and in the aggregated form.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::core::Core;
use crate::errors::ApiError;
use crate::handlers::{Target, json as answer};
use crate::resources::{Registry, Resource};

/// The Kubernetes version whose API this is.
pub(crate) const KUBERNETES_VERSION: &str = "v1.37.0";

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const SUBRESOURCE_VERBS: [&str; 3] = ["get", "patch", "update"];

/// Answers a `GET` that is not for a resource.
pub(crate) fn answer_to(core: &Core, target: &Target, parts: &Parts) -> Result<Response, ApiError> {
    let aggregated = wants_aggregated(parts);
    let value = match target {
        Target::CoreVersions | Target::Groups if aggregated => {
            let document = aggregated_document(&core.registry, *target == Target::CoreVersions);
            return Ok((StatusCode::OK, [(header::CONTENT_TYPE, AGGREGATED)], document.to_string()).into_response());
        }
        Target::CoreVersions => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host(parts)}],
        }),
        Target::Groups => {
            let groups: Vec<_> = groups(&core.registry).iter().map(|(name, versions)| group(name, versions)).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        Target::Group(name) => {
            let groups = groups(&core.registry);
            let mut found = group(name, groups.get(name).ok_or_else(ApiError::no_such_path)?);
            found["kind"] = "APIGroup".into();
            found["apiVersion"] = "v1".into();
            found
        }
        Target::Resources { group, version } => resource_list(&core.registry, group, version)?,
        Target::Version => version(),
        Target::OpenApiIndex => core.openapi.index(&core.registry),
        Target::OpenApiDocument(path) => {
            let document = core.openapi.document(&core.registry, path);
            return Ok(answer(StatusCode::OK, &*document.ok_or_else(ApiError::no_such_path)?));
        }
        Target::Health => return Ok((StatusCode::OK, "ok").into_response()),
        Target::Resource(_) | Target::Unknown => return Err(ApiError::no_such_path()),
    };
    Ok(answer(StatusCode::OK, &value))
}

/// The aggregated form is asked for in one of its versions; only the current one is spoken.
fn wants_aggregated(parts: &Parts) -> bool {
    let accept = parts.headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    accept.split(',').any(|choice| {
        let has = |wanted: &str| choice.split(';').any(|part| part.trim() == wanted);
        has("application/json") && has("as=APIGroupDiscoveryList") && has("v=v2") && has("g=apidiscovery.k8s.io")
    })
}

fn host(parts: &Parts) -> &str {
    parts.headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or("127.0.0.1")
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "37", "gitVersion": KUBERNETES_VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": std::env::consts::OS,
    })
}

/// Named groups with their versions, the preferred one first.
fn groups(registry: &Registry) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for resource in registry.all().iter().filter(|resource| !resource.group.is_empty()) {
        found.entry(resource.group.clone()).or_default().insert(resource.version.clone());
    }
    let sorted = |versions: BTreeSet<String>| {
        let mut versions: Vec<_> = versions.into_iter().collect();
        versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
        versions
    };
    found.into_iter().map(|(group, versions)| (group, sorted(versions))).collect()
}

/// `v2` before `v1` before `v1beta2` before `v1alpha1` before anything else.
fn rank(version: &str) -> (u8, u64, u64) {
    let number = |text: &str| text.parse().ok();
    let parse = || -> Option<(u8, u64, u64)> {
        let rest = version.strip_prefix('v')?;
        for (word, stability) in [("beta", 2), ("alpha", 1)] {
            if let Some((major, minor)) = rest.split_once(word) {
                return Some((stability, number(major)?, number(minor)?));
            }
        }
        Some((3, number(rest)?, 0))
    };
    parse().unwrap_or((0, 0, 0))
}

fn group(name: &str, versions: &[String]) -> Value {
    let version = |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let list: Vec<_> = versions.iter().map(version).collect();
    json!({"name": name, "versions": list, "preferredVersion": list.first()})
}

fn of_version(registry: &Registry, group: &str, version: &str) -> Vec<Arc<Resource>> {
    registry.all().into_iter().filter(|r| r.group == group && r.version == version).collect()
}

/// The subresources of a kind: (name, group, version and kind of its object).
fn subresources(resource: &Resource) -> Vec<(&'static str, Value)> {
    let own = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    let mut list = Vec::new();
    if resource.status {
        list.push(("status", own.clone()));
    }
    if resource.scale.is_some() {
        list.push(("scale", json!({"group": "autoscaling", "version": "v1", "kind": "Scale"})));
    }
    if resource.is("pods") {
        list.push(("log", own.clone()));
        list.push(("eviction", json!({"group": "policy", "version": "v1", "kind": "Eviction"})));
    }
    if resource.is("namespaces") {
        list.push(("finalize", own));
    }
    list
}

fn verbs_of(subresource: &str) -> &'static [&'static str] {
    match subresource {
        "log" => &["get"],
        "finalize" => &["update"],
        "eviction" => &["create"],
        _ => &SUBRESOURCE_VERBS,
    }
}

fn resource_list(registry: &Registry, group: &str, version: &str) -> Result<Value, ApiError> {
    let resources = of_version(registry, group, version);
    let group_version = resources.first().ok_or_else(ApiError::no_such_path)?.group_version();
    let mut list = Vec::new();
    for resource in resources {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": VERBS,
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = resource.short_names.clone().into();
        }
        if !resource.categories.is_empty() {
            entry["categories"] = resource.categories.clone().into();
        }
        list.push(entry);
        for (name, kind) in subresources(&resource) {
            list.push(json!({
                "name": format!("{}/{name}", resource.plural), "singularName": "", "namespaced": resource.namespaced,
                "group": kind["group"], "version": kind["version"], "kind": kind["kind"], "verbs": verbs_of(name),
            }));
        }
    }
    Ok(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list}))
}

fn aggregated_document(registry: &Registry, core: bool) -> Value {
    let groups = if core { BTreeMap::from([(String::new(), vec!["v1".to_owned()])]) } else { groups(registry) };
    let items: Vec<_> = groups
        .iter()
        .map(|(group, versions)| {
            let versions: Vec<_> = versions
                .iter()
                .map(|version| {
                    let resources = of_version(registry, group, version);
                    let resources: Vec<_> = resources.iter().map(|r| aggregated_resource(r)).collect();
                    json!({"version": version, "freshness": "Current", "resources": resources})
                })
                .collect();
            json!({"metadata": {"name": group, "creationTimestamp": null}, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_resource(resource: &Resource) -> Value {
    let below: Vec<_> = subresources(resource)
        .into_iter()
        .map(|(name, kind)| json!({"subresource": name, "responseKind": kind, "verbs": verbs_of(name)}))
        .collect();
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": VERBS,
    });
    for (field, list) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
        if !list.is_empty() {
            entry[field] = list.clone().into();
        }
    }
    if !below.is_empty() {
        entry["subresources"] = below.into();
    }
    entry
}

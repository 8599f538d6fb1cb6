//! The operator of every test has the permissions of its Role and no others: what the chart grants is enough, and says
//! nothing for everything.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use axum::{
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::Deserialize;
use serde_json::json;

/// The rules of the chart's Role and of the ClusterRole that some add to it.
pub struct Rules(Vec<PolicyRule>);

/// A request that no rule allows.
pub struct Lacking {
    verb: &'static str,
    what: String,
}

/// What a request asks for, in the words of rules.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    group: String,
    resource: String,
    verb: &'static str,
}

impl Default for Rules {
    fn default() -> Self {
        Self(["rules.yaml", "cluster-rules.yaml"].into_iter().flat_map(read).collect())
    }
}

fn read(file: &str) -> Vec<PolicyRule> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/ottla/files").join(file);
    serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

impl Rules {
    /// Whether a request is allowed; what is no resource is.
    pub fn check(&self, method: &Method, uri: &Uri) -> Result<(), Lacking> {
        let Some(asked) = Asked::of(method, uri) else { return Ok(()) };
        let has = |list: &Option<Vec<String>>, wanted: &str| list.iter().flatten().any(|one| one == wanted);
        let allows = |rule: &PolicyRule| {
            has(&rule.api_groups, &asked.group)
                && has(&rule.resources, &asked.resource)
                && rule.verbs.iter().any(|verb| verb == asked.verb)
        };
        if self.0.iter().any(allows) {
            return Ok(());
        }
        Err(Lacking { verb: asked.verb, what: format!("{}/{}", asked.group, asked.resource) })
    }
}

impl IntoResponse for Lacking {
    fn into_response(self) -> Response {
        let message = format!("charts/ottla/files/rules.yaml does not allow to {} {}", self.verb, self.what);
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 403,
            "reason": "Forbidden", "message": message,
        });
        (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "application/json")], status.to_string()).into_response()
    }
}

impl Asked {
    fn of(method: &Method, uri: &Uri) -> Option<Self> {
        let segments: Vec<&str> = uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
        let (group, rest) = match segments.as_slice() {
            ["api", _, rest @ ..] => ("", rest),
            ["apis", group, _, rest @ ..] => (*group, rest),
            _ => return None,
        };
        let rest = match rest {
            ["namespaces", _, below @ ..] if !below.is_empty() => below,
            rest => rest,
        };
        let (plural, named, part) = match rest {
            [plural] => (*plural, false, None),
            [plural, _] => (*plural, true, None),
            [plural, _, part] => (*plural, true, Some(*part)),
            _ => return None,
        };
        let query: HashMap<&str, &str> =
            uri.query().unwrap_or("").split('&').filter_map(|pair| pair.split_once('=')).collect();
        let verb = match *method {
            Method::GET if query.contains_key("watch") => "watch",
            Method::GET if named => "get",
            Method::GET => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if named => "delete",
            Method::DELETE => "deletecollection",
            _ => return None,
        };
        let resource = part.map_or_else(|| plural.to_owned(), |part| format!("{plural}/{part}"));
        Some(Self { group: group.to_owned(), resource, verb })
    }
}

#[test]
fn no_rule_grants_everything_or_anything_beyond_a_namespace() {
    let rules = read("rules.yaml");
    let all =
        |lists: Vec<&Option<Vec<String>>>| -> Vec<String> { lists.into_iter().flatten().flatten().cloned().collect() };
    for rule in &rules {
        let words = [all(vec![&rule.api_groups, &rule.resources]), rule.verbs.clone()].concat();
        assert!(!words.iter().any(|word| word.contains('*')), "{rule:?}");
        assert_eq!(rule.non_resource_urls, None);
    }
    let resources = all(rules.iter().map(|rule| &rule.resources).collect());
    for wide in ["nodes", "persistentvolumes", "namespaces", "storageclasses", "customresourcedefinitions"] {
        assert!(!resources.iter().any(|resource| resource == wide), "{wide} are no part of a namespace");
    }
    assert!(read("cluster-rules.yaml").iter().all(|rule| rule.verbs == ["get"]));
    let secrets = rules.iter().find(|rule| rule.resources.iter().flatten().any(|one| one == "secrets")).unwrap();
    assert_eq!(secrets.verbs, ["get", "create"], "secrets are neither listed nor changed");
}

#[test]
fn the_installation_without_helm_grants_those_rules_a_lease_and_nothing_else() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/install.yaml");
    let text = fs::read_to_string(path).unwrap();
    let objects =
        serde_yaml::Deserializer::from_str(&text).map(|object| serde_yaml::Value::deserialize(object).unwrap());
    let granted: BTreeMap<String, Vec<PolicyRule>> = objects
        .filter(|object| object["kind"].as_str().is_some_and(|kind| kind.ends_with("Role")))
        .map(|role| {
            let name = format!("{} {}", role["kind"].as_str().unwrap(), role["metadata"]["name"].as_str().unwrap());
            (name, serde_yaml::from_value(role["rules"].clone()).unwrap())
        })
        .collect();
    let lease = "[{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}, \
                 {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [ottla], verbs: [get, update]}]";
    let expected = [
        ("Role ottla".to_owned(), read("rules.yaml")),
        ("Role ottla-election".to_owned(), serde_yaml::from_str(lease).unwrap()),
    ];
    assert_eq!(granted, BTreeMap::from(expected), "manifests/install.yaml is stale: run charts/render");
}

#[test]
fn requests_are_read_as_an_api_server_reads_them() {
    let asked = |method: Method, uri: &str| {
        let asked = Asked::of(&method, &uri.parse().unwrap()).unwrap();
        format!("{} {}/{}", asked.verb, asked.group, asked.resource)
    };
    assert_eq!(asked(Method::GET, "/api/v1/namespaces/a/pods?watch=true"), "watch /pods");
    assert_eq!(asked(Method::GET, "/api/v1/pods"), "list /pods");
    assert_eq!(asked(Method::GET, "/api/v1/namespaces/a/pods/b"), "get /pods");
    assert_eq!(asked(Method::DELETE, "/api/v1/namespaces/a/pods"), "deletecollection /pods");
    let status = "/apis/ottla.io/v1alpha1/namespaces/a/kafkatopics/t/status?force=true";
    assert_eq!(asked(Method::PATCH, status), "patch ottla.io/kafkatopics/status");
    assert_eq!(Asked::of(&Method::GET, &"/version".parse().unwrap()), None);
}

#[test]
fn what_no_rule_names_is_refused() {
    let rules = Rules::default();
    let check = |method: Method, uri: &str| rules.check(&method, &uri.parse().unwrap()).is_ok();
    assert!(check(Method::GET, "/api/v1/namespaces/a/secrets/b"));
    assert!(!check(Method::GET, "/api/v1/namespaces/a/secrets"));
    assert!(!check(Method::POST, "/api/v1/namespaces"));
    assert!(!check(Method::POST, "/api/v1/namespaces/a/pods/b/exec"));
}

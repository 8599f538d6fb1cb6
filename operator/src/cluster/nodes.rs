//! What Kubernetes says of the nodes that brokers which do not serve run on, or whose disks they need; and where nodes are
//! reached from outside.
//!
//! Only reads, and only what it may: nodes and volumes belong to no namespace, and an operator without a ClusterRole
//! knows nothing of them. Then the pods' own status has to do.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, NodeSelectorTerm, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::pods;
use crate::error::{Error, Result};

/// What is known of nodes and of the volumes that cannot leave them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nodes {
    nodes: BTreeMap<String, NodeState>,
    /// By claim: the only nodes on which its volume is at hand.
    volumes: BTreeMap<String, BTreeSet<String>>,
    /// By node: the address at which everybody reaches it.
    addresses: BTreeMap<String, String>,
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Its kubelet reports.
    Ready,
    /// It is known, and its kubelet does not report, or says that it is not well.
    NotReady,
    /// There is no such node any more.
    Gone,
}

impl Nodes {
    /// The state of the node, if it could be asked for.
    pub fn state(&self, node: &str) -> Option<NodeState> {
        self.nodes.get(node).copied()
    }

    /// The address at which everybody reaches the node, if it has one and could be asked for.
    pub fn external_address(&self, node: &str) -> Option<&str> {
        self.addresses.get(node).map(String::as_str)
    }

    /// Notes the address of a node.
    #[cfg(test)]
    pub fn with_address(mut self, node: &str, address: &str) -> Self {
        self.addresses.insert(node.to_owned(), address.to_owned());
        self
    }

    /// Whether the volume of `claim` lies on nodes none of which is there; `None` if that is not known, or if it is
    /// bound to none.
    pub fn volume_is_out_of_reach(&self, claim: &str) -> Option<bool> {
        let nodes = self.volumes.get(claim).filter(|nodes| !nodes.is_empty())?;
        let states: Option<Vec<_>> = nodes.iter().map(|node| self.state(node)).collect();
        Some(states?.iter().all(|state| *state != NodeState::Ready))
    }

    /// Notes the state of a node.
    #[cfg(test)]
    pub fn with_node(mut self, node: &str, state: NodeState) -> Self {
        self.nodes.insert(node.to_owned(), state);
        self
    }

    /// Notes where the volume of a claim lies.
    #[cfg(test)]
    pub fn with_volume(mut self, claim: &str, nodes: &[&str]) -> Self {
        self.volumes.insert(claim.to_owned(), nodes.iter().map(|node| (*node).to_owned()).collect());
        self
    }
}

/// Looks at the nodes of `pods` that do not serve and at the volumes of their `claims`.
pub async fn look(client: &Client, pods: &[Pod], claims: &[PersistentVolumeClaim]) -> Result<Nodes> {
    let down: Vec<&Pod> = pods.iter().filter(|pod| !pods::is_ready(pod)).collect();
    let mut found = Nodes::default();
    let mut names: BTreeSet<String> = down.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
    for claim in down.iter().flat_map(|pod| pods::claims(pod)) {
        let bound = claims.iter().find(|stored| stored.name_any() == claim);
        let Some(volume) = bound.and_then(|claim| claim.spec.as_ref()?.volume_name.clone()) else { continue };
        if let Some(Some(volume)) = read::<PersistentVolume>(client, &volume).await? {
            let nodes = nodes_of(&volume);
            names.extend(nodes.iter().cloned());
            found.volumes.insert(claim.to_owned(), nodes);
        }
    }
    for name in names {
        if let Some(node) = read::<Node>(client, &name).await? {
            found.nodes.insert(name, node.as_ref().map_or(NodeState::Gone, state_of));
        }
    }
    Ok(found)
}

/// Looks for the addresses of the nodes that `pods` run on.
pub async fn look_for_addresses(client: &Client, pods: &[Pod], found: &mut Nodes) -> Result<()> {
    let names: BTreeSet<&str> = pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref()).collect();
    for name in names {
        let Some(node) = read::<Node>(client, name).await? else { return Ok(()) };
        let address = node.as_ref().and_then(external_address);
        found.addresses.extend(address.map(|address| (name.to_owned(), address)));
    }
    Ok(())
}

fn external_address(node: &Node) -> Option<String> {
    let mut addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let external = addresses.find(|address| address.type_ == "ExternalIP" && !address.address.is_empty());
    external.map(|address| address.address.clone())
}

/// The object, if there is one; `None` if the operator may not look.
async fn read<K>(client: &Client, name: &str) -> Result<Option<Option<K>>>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    match Api::<K>::all(client.clone()).get_opt(name).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => Ok(None),
        other => other.map(Some).map_err(Error::kubernetes(format!("read {} {name}", K::kind(&())))),
    }
}

fn state_of(node: &Node) -> NodeState {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let is_ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    if is_ready { NodeState::Ready } else { NodeState::NotReady }
}

/// The nodes that the volume's affinity names; none if it can be reached from a whole zone or from anywhere.
fn nodes_of(volume: &PersistentVolume) -> BTreeSet<String> {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
    let terms = affinity.map(|selector| selector.node_selector_terms.as_slice()).unwrap_or_default();
    let named: Option<Vec<Vec<String>>> = terms.iter().map(nodes_of_term).collect();
    named.unwrap_or_default().into_iter().flatten().collect()
}

fn nodes_of_term(term: &NodeSelectorTerm) -> Option<Vec<String>> {
    let labels = term.match_expressions.iter().flatten().filter(|one| one.key == "kubernetes.io/hostname");
    let fields = term.match_fields.iter().flatten().filter(|one| one.key == "metadata.name");
    labels.chain(fields).find(|one| one.operator == "In").and_then(|one| one.values.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn volume(terms: serde_json::Value) -> PersistentVolume {
        let spec = json!({"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}});
        serde_json::from_value(json!({"metadata": {"name": "pv"}, "spec": spec})).unwrap()
    }

    #[test]
    fn only_a_volume_that_is_bound_to_nodes_names_them() {
        let of = |key: &str, values: &[&str]| json!({"key": key, "operator": "In", "values": values});
        let expressions = |one: serde_json::Value| json!({"matchExpressions": [one]});
        for (terms, expected) in [
            (json!([expressions(of("kubernetes.io/hostname", &["n1"]))]), vec!["n1"]),
            (json!([{"matchFields": [of("metadata.name", &["n2", "n3"])]}]), vec!["n2", "n3"]),
            (json!([expressions(of("topology.kubernetes.io/zone", &["z1"]))]), vec![]),
            (
                json!([
                    expressions(of("kubernetes.io/hostname", &["n1"])),
                    expressions(of("topology.kubernetes.io/zone", &["z1"])),
                ]),
                vec![],
            ),
        ] {
            assert_eq!(nodes_of(&volume(terms.clone())).into_iter().collect::<Vec<_>>(), expected, "{terms}");
        }
        assert!(nodes_of(&PersistentVolume::default()).is_empty());
    }

    #[test]
    fn only_an_address_for_everybody_is_taken_from_a_node() {
        let node = |addresses: serde_json::Value| serde_json::from_value(json!({"status": {"addresses": addresses}}));
        let inside = json!({"type": "InternalIP", "address": "10.0.0.1"});
        let outside = json!({"type": "ExternalIP", "address": "203.0.113.7"});
        assert_eq!(external_address(&node(json!([inside])).unwrap()), None);
        assert_eq!(external_address(&node(json!([inside, outside])).unwrap()).as_deref(), Some("203.0.113.7"));
        assert_eq!(external_address(&Node::default()), None);
    }

    #[test]
    fn a_volume_is_out_of_reach_when_none_of_its_nodes_reports() {
        let nodes = Nodes::default()
            .with_node("up", NodeState::Ready)
            .with_node("silent", NodeState::NotReady)
            .with_node("gone", NodeState::Gone)
            .with_volume("a", &["silent", "gone"])
            .with_volume("b", &["silent", "up"])
            .with_volume("c", &["never asked for"])
            .with_volume("d", &[]);
        let expected = [Some(true), Some(false), None, None, None];
        assert_eq!(["a", "b", "c", "d", "e"].map(|claim| nodes.volume_is_out_of_reach(claim)), expected);
    }
}

//! A set of field paths, in the tree form of `FieldsV1`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Path elements are the keys of `FieldsV1`: `f:<field>`, `k:<key fields as JSON>`, `v:<value as JSON>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// Is the path that leads here itself in the set?
    pub member: bool,
    pub children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    pub fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    pub fn union(&mut self, other: &FieldSet) {
        self.member |= other.member;
        for (element, below) in &other.children {
            self.children.entry(element.clone()).or_default().union(below);
        }
    }

    pub fn subtract(&mut self, other: &FieldSet) {
        self.member &= !other.member;
        self.children.retain(|element, below| {
            if let Some(gone) = other.children.get(element) {
                below.subtract(gone);
            }
            !below.is_empty()
        });
    }

    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        let common = self.children.iter().filter_map(|(element, below)| {
            let both = below.intersection(other.children.get(element)?);
            (!both.is_empty()).then(|| (element.clone(), both))
        });
        FieldSet { member: self.member && other.member, children: common.collect() }
    }

    pub fn parse(json: &Value) -> Self {
        let fields = json.as_object();
        let mut set = Self { member: fields.is_none_or(Map::is_empty), children: BTreeMap::new() };
        for (element, below) in fields.into_iter().flatten() {
            if element == "." {
                set.member = true;
            } else {
                set.children.insert(element.clone(), Self::parse(below));
            }
        }
        set
    }

    pub fn to_json(&self) -> Value {
        let mut fields = Map::new();
        if self.member && !self.children.is_empty() {
            fields.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (element, below) in &self.children {
            fields.insert(element.clone(), below.to_json());
        }
        Value::Object(fields)
    }

    /// The member paths in Kubernetes' notation: `.spec.containers[name="a"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths(String::new(), &mut paths);
        paths
    }

    fn collect_paths(&self, at: String, paths: &mut Vec<String>) {
        for (element, below) in &self.children {
            let path = match element.split_once(':') {
                Some(("f", field)) => format!("{at}.{field}"),
                Some(("k", keys)) => format!("{at}[{}]", shown_keys(keys)),
                Some((_, value)) => format!("{at}[={value}]"),
                None => at.clone(),
            };
            if below.member {
                paths.push(path.clone());
            }
            below.collect_paths(path, paths);
        }
    }
}

fn shown_keys(keys: &str) -> String {
    let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
    keys.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

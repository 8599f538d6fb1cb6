//! The registry of kinds: what discovery lists, what paths resolve to, and how each kind behaves.
//!
//! Built-in kinds are rows of a table; custom ones come and go with their definitions.

pub(crate) mod builtin;
pub(crate) mod column;
pub(crate) mod crd;
pub(crate) mod custom;
pub(crate) mod defaults;
pub(crate) mod events;
pub(crate) mod names;
pub(crate) mod node_ports;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::Value;

use crate::errors::Subject;
use crate::store::{Key, Storage};
use custom::CustomVersion;

/// One kind at one version, as served.
#[derive(Debug)]
pub(crate) struct Resource {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    /// Serves `/status`, and `status` can only be written there.
    pub status: bool,
    /// Where `/scale` finds its numbers.
    pub scale: Option<ScalePaths>,
    /// The collection it is kept in.
    pub storage: Storage,
    /// Does an object of a built-in kind have the types that every typed client expects?
    pub decode: Option<Decode>,
    /// Schema, columns and the like of a custom kind; `None` for a built-in.
    pub custom: Option<Arc<CustomVersion>>,
}

/// Reads an object as its Rust type, and says what does not fit.
pub(crate) type Decode = fn(&Value) -> Result<(), String>;

/// Paths of field names from the object's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScalePaths {
    pub spec_replicas: Vec<String>,
    pub status_replicas: Vec<String>,
    pub selector: Option<Vec<String>>,
}

impl Resource {
    pub fn group_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub fn list_kind(&self) -> String {
        self.custom.as_ref().map_or_else(|| format!("{}List", self.kind), |custom| custom.list_kind.clone())
    }

    /// Is it a built-in of this storage name?
    pub fn is(&self, storage: &str) -> bool {
        self.custom.is_none() && &*self.storage == storage
    }

    pub fn key(&self, namespace: &str, name: &str) -> Key {
        let namespace = if self.namespaced { namespace } else { "" };
        Key { storage: self.storage.clone(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// For errors about the request: names the plural.
    pub fn subject(&self, name: &str) -> Subject {
        Subject { group: self.group.clone(), kind: self.plural.clone(), name: name.to_owned() }
    }

    /// For errors about the object's content: names the kind.
    pub fn kind_subject(&self, name: &str) -> Subject {
        Subject { group: self.group.clone(), kind: self.kind.clone(), name: name.to_owned() }
    }

    /// A stored object in the shape of this version.
    pub fn present(&self, stored: &Value) -> Value {
        self.view(stored).into_owned()
    }

    /// The same, copied only if it is stored in another shape.
    pub fn view<'a>(&self, stored: &'a Value) -> Cow<'a, Value> {
        if self.storage_is_events() && !self.group.is_empty() {
            return Cow::Owned(events::to_events_group(stored));
        }
        if stored["apiVersion"] == self.group_version() && stored["kind"] == self.kind {
            return Cow::Borrowed(stored);
        }
        let mut object = stored.clone();
        self.stamp(&mut object);
        Cow::Owned(object)
    }

    /// An object of this version in the shape that is stored.
    pub fn absorb(&self, object: Value) -> Value {
        if self.storage_is_events() && !self.group.is_empty() { events::to_core(&object) } else { object }
    }

    /// Writes this version's `apiVersion` and `kind` into an object.
    pub fn stamp(&self, object: &mut Value) {
        object["apiVersion"] = self.group_version().into();
        object["kind"] = self.kind.as_str().into();
    }

    fn storage_is_events(&self) -> bool {
        self.is("events")
    }
}

type Place = (String, String, String);

/// All kinds served, by group, version and plural.
pub(crate) struct Registry {
    resources: RwLock<BTreeMap<Place, Arc<Resource>>>,
}

impl Registry {
    pub fn new() -> Self {
        let builtins = builtin::all().into_iter().map(|r| (place(&r), Arc::new(r)));
        Self { resources: RwLock::new(builtins.collect()) }
    }

    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.resources.read().get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Resource>> {
        self.resources.read().values().cloned().collect()
    }

    /// Some version of the kind kept in a collection.
    pub fn by_storage(&self, storage: &str) -> Option<Arc<Resource>> {
        self.resources.read().values().find(|r| &*r.storage == storage).cloned()
    }

    /// Serves what a definition defines, in place of what it defined before.
    pub fn install(&self, definition: &Value) {
        let fresh = custom::resources(definition);
        let storage = custom::storage_of(definition);
        let mut resources = self.resources.write();
        resources.retain(|_, r| r.custom.is_none() || *r.storage != *storage);
        for resource in fresh {
            // A definition never takes the place of a built-in.
            resources.entry(place(&resource)).or_insert_with(|| Arc::new(resource));
        }
    }

    /// Stops serving what a definition defined.
    pub fn uninstall(&self, definition: &Value) {
        let storage = custom::storage_of(definition);
        self.resources.write().retain(|_, r| r.custom.is_none() || *r.storage != *storage);
    }
}

fn place(resource: &Resource) -> Place {
    (resource.group.clone(), resource.version.clone(), resource.plural.clone())
}

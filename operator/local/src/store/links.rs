//! Who owns whom, and how much of a namespace is going: what garbage collection looks at, kept by every write.
//!
//! So a look costs what there is to do, not what there is. Pure; what follows from it is decided elsewhere.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::Key;
use crate::deletion;
use crate::object;

/// How many objects a namespace has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub all: usize,
    /// Those of them that are being deleted.
    pub going: usize,
}

/// The links between the objects of all collections.
#[derive(Default)]
pub(super) struct Links {
    /// The uids of all objects.
    alive: HashSet<String>,
    owned: HashMap<Key, Owned>,
    /// Objects by the uid of an owner.
    dependents: HashMap<String, HashSet<Key>>,
    abandoned: HashSet<Key>,
    waiting: HashSet<Key>,
    namespaces: HashMap<String, Tally>,
}

/// An object with owners.
struct Owned {
    owners: Vec<String>,
    is_going: bool,
}

impl Links {
    /// Takes a write into account: what the object was, if it existed, and what it is, if it does.
    pub fn replace(&mut self, key: &Key, before: Option<&Value>, after: Option<&Value>) {
        if let Some(before) = before {
            self.take(key, before);
        }
        if let Some(after) = after {
            self.put(key, after);
        }
        let (old, new) = (before.map(object::uid), after.map(object::uid));
        if old != new {
            if let Some(old) = old {
                self.alive.remove(old);
                self.judge_dependents(old);
            }
            if let Some(new) = new {
                self.alive.insert(new.to_owned());
                self.judge_dependents(new);
            }
        }
        self.judge(key);
    }

    /// Objects that have owners, none of which exists, and that are not being deleted yet.
    pub fn abandoned(&self) -> impl Iterator<Item = &Key> {
        self.abandoned.iter()
    }

    /// Objects that are being deleted and wait for what becomes of their dependents.
    pub fn waiting(&self) -> impl Iterator<Item = &Key> {
        self.waiting.iter()
    }

    /// The objects that name `owner` as one of their owners.
    pub fn dependents(&self, owner: &str) -> impl Iterator<Item = &Key> {
        self.dependents.get(owner).into_iter().flatten()
    }

    /// Whether the object at `key` has an owner that exists, `owner` aside.
    pub fn has_owner_besides(&self, key: &Key, owner: &str) -> bool {
        let owners = self.owned.get(key).map_or(&[][..], |owned| &owned.owners);
        owners.iter().any(|other| other != owner && self.alive.contains(other))
    }

    /// How many objects there are in `namespace`.
    pub fn tally(&self, namespace: &str) -> Tally {
        self.namespaces.get(namespace).copied().unwrap_or_default()
    }

    fn take(&mut self, key: &Key, object: &Value) {
        for owner in self.owned.remove(key).map(|owned| owned.owners).unwrap_or_default() {
            if let Some(keys) = self.dependents.get_mut(&owner) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(&owner);
                }
            }
        }
        self.waiting.remove(key);
        if let Some(tally) = self.namespaces.get_mut(&key.namespace) {
            tally.all -= 1;
            tally.going -= usize::from(object::is_terminating(object));
            if tally.all == 0 {
                self.namespaces.remove(&key.namespace);
            }
        }
    }

    fn put(&mut self, key: &Key, object: &Value) {
        let is_going = object::is_terminating(object);
        let owners: Vec<String> =
            object::owners(object).iter().map(|owner| owner["uid"].as_str().unwrap_or("").to_owned()).collect();
        if !owners.is_empty() {
            for owner in &owners {
                self.dependents.entry(owner.clone()).or_default().insert(key.clone());
            }
            self.owned.insert(key.clone(), Owned { owners, is_going });
        }
        if is_going && object::finalizers(object).any(|one| one == deletion::ORPHAN || one == deletion::FOREGROUND) {
            self.waiting.insert(key.clone());
        }
        let tally = self.namespaces.entry(key.namespace.clone()).or_default();
        tally.all += 1;
        tally.going += usize::from(is_going);
    }

    fn judge_dependents(&mut self, owner: &str) {
        for key in self.dependents.get(owner).cloned().unwrap_or_default() {
            self.judge(&key);
        }
    }

    fn judge(&mut self, key: &Key) {
        let is_abandoned = self
            .owned
            .get(key)
            .is_some_and(|owned| !owned.is_going && !owned.owners.iter().any(|owner| self.alive.contains(owner)));
        if is_abandoned {
            self.abandoned.insert(key.clone());
        } else {
            self.abandoned.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn key(name: &str) -> Key {
        Key { storage: Arc::from("configmaps"), namespace: "shop".to_owned(), name: name.to_owned() }
    }

    fn object(name: &str, owners: &[&str]) -> Value {
        let owners: Vec<Value> = owners.iter().map(|uid| json!({ "uid": uid })).collect();
        json!({"metadata": {"name": name, "uid": name, "ownerReferences": owners}})
    }

    fn going(mut object: Value, finalizer: &str) -> Value {
        object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        object["metadata"]["finalizers"] = json!([finalizer]);
        object
    }

    fn names<'a>(keys: impl Iterator<Item = &'a Key>) -> Vec<&'a str> {
        let mut names: Vec<_> = keys.map(|key| key.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    fn links(objects: &[Value]) -> Links {
        let mut links = Links::default();
        for object in objects {
            links.replace(&key(object::name(object)), None, Some(object));
        }
        links
    }

    #[test]
    fn an_object_is_abandoned_from_the_write_that_takes_its_last_owner() {
        let (one, other) = (object("one", &[]), object("other", &[]));
        let mut links = links(&[one.clone(), other.clone(), object("child", &["one", "other"])]);
        links.replace(&key("one"), Some(&one), None);
        assert_eq!(names(links.abandoned()), Vec::<&str>::new());
        assert!(links.has_owner_besides(&key("child"), "one") && !links.has_owner_besides(&key("child"), "other"));
        links.replace(&key("other"), Some(&other), None);
        assert_eq!(names(links.abandoned()), ["child"]);
        let child = object("child", &["one", "other"]);
        links.replace(&key("child"), Some(&child), Some(&going(child.clone(), "x")));
        assert_eq!(names(links.abandoned()), Vec::<&str>::new(), "it is on its way");
    }

    #[test]
    fn an_object_made_anew_under_its_name_is_another_owner() {
        let (old, child) = (object("one", &[]), object("child", &["one"]));
        let mut new = old.clone();
        new["metadata"]["uid"] = "second".into();
        let mut links = links(&[old.clone(), child.clone()]);
        links.replace(&key("one"), Some(&old), Some(&new));
        assert_eq!(names(links.abandoned()), ["child"]);
        links.replace(&key("child"), Some(&child), Some(&object("child", &["second"])));
        assert_eq!(names(links.abandoned()), Vec::<&str>::new());
        assert_eq!((names(links.dependents("one")), names(links.dependents("second"))), (vec![], vec!["child"]));
    }

    #[test]
    fn only_owners_that_have_their_dependents_to_see_to_wait() {
        let objects = ["a", "b", "c"].map(|name| object(name, &[]));
        let mut links = links(&objects);
        for (object, finalizer) in objects.iter().zip([deletion::ORPHAN, deletion::FOREGROUND, "ottla.io/topic"]) {
            links.replace(&key(object::name(object)), Some(object), Some(&going(object.clone(), finalizer)));
        }
        assert_eq!(names(links.waiting()), ["a", "b"]);
        assert_eq!(links.tally("shop"), Tally { all: 3, going: 3 });
        links.replace(&key("a"), Some(&going(objects[0].clone(), deletion::ORPHAN)), None);
        assert_eq!(names(links.waiting()), ["b"]);
        assert_eq!((links.tally("shop"), links.tally("empty")), (Tally { all: 2, going: 2 }, Tally::default()));
    }
}

//! The objects of one resource and the bounded history its watchers read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::{Compacted, Key};
use crate::object;

/// How many changes a collection remembers for watchers that lag or reconnect.
pub(super) const HISTORY: usize = 2048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One write, as watchers see it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub version: u64,
    pub kind: ChangeKind,
    /// The object after the change; for a deletion its last state.
    pub object: Arc<Value>,
    /// The object before the change: tells a filtered watch that an object has left its selection.
    pub previous: Option<Arc<Value>>,
}

pub(super) struct Collection {
    objects: BTreeMap<(String, String), Arc<Value>>,
    history: VecDeque<Change>,
    /// Changes at or below this version are forgotten.
    compacted: u64,
    changed: watch::Sender<u64>,
}

impl Collection {
    pub fn new(version: u64) -> Self {
        let changed = watch::Sender::new(version);
        Self { objects: BTreeMap::new(), history: VecDeque::new(), compacted: version, changed }
    }

    pub fn load(&mut self, namespace: String, name: String, value: Arc<Value>) {
        self.objects.insert((namespace, name), value);
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.objects.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    pub fn list(&self, namespace: Option<&str>) -> Vec<Arc<Value>> {
        match namespace {
            None => self.objects.values().cloned().collect(),
            Some(namespace) => self
                .objects
                .range((namespace.to_owned(), String::new())..)
                .take_while(|((ns, _), _)| ns == namespace)
                .map(|(_, value)| value.clone())
                .collect(),
        }
    }

    /// The objects as they were at `version`: the present ones, with every later change undone.
    pub fn list_at(&self, namespace: Option<&str>, version: u64) -> Result<Vec<Arc<Value>>, Compacted> {
        let later = self.changes(version)?;
        if later.is_empty() {
            return Ok(self.list(namespace));
        }
        let mut objects: BTreeMap<(&str, &str), &Arc<Value>> =
            self.entries().map(|(namespace, name, value)| ((namespace, name), value)).collect();
        for change in later.iter().rev() {
            let place = (object::namespace(&change.object), object::name(&change.object));
            match &change.previous {
                Some(previous) => objects.insert(place, previous),
                None => objects.remove(&place),
            };
        }
        let wanted = |place: &(&str, &str)| namespace.is_none_or(|namespace| place.0 == namespace);
        Ok(objects.into_iter().filter(|(place, _)| wanted(place)).map(|(_, value)| value.clone()).collect())
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    pub fn entries(&self) -> impl Iterator<Item = (&str, &str, &Arc<Value>)> {
        self.objects.iter().map(|((namespace, name), value)| (namespace.as_str(), name.as_str(), value))
    }

    pub fn apply(&mut self, key: &Key, change: Change) {
        let place = (key.namespace.clone(), key.name.clone());
        match change.kind {
            ChangeKind::Deleted => self.objects.remove(&place),
            ChangeKind::Added | ChangeKind::Modified => self.objects.insert(place, change.object.clone()),
        };
        let version = change.version;
        self.history.push_back(change);
        while self.history.len() > HISTORY {
            if let Some(forgotten) = self.history.pop_front() {
                self.compacted = forgotten.version;
            }
        }
        self.changed.send_replace(version);
    }

    pub fn changes(&self, since: u64) -> Result<Vec<Change>, Compacted> {
        if since < self.compacted {
            return Err(Compacted { oldest: self.compacted });
        }
        let start = self.history.partition_point(|change| change.version <= since);
        Ok(self.history.range(start..).cloned().collect())
    }

    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

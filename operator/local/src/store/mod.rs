//! All objects, in memory, under one resourceVersion counter, with an optional journal on disk.
//!
//! Knows keys, versions and history; nothing of schemas, deletion rules or HTTP. Every write is a
//! compare-and-set, so callers prepare the new object without holding a lock.

mod collection;
mod journal;
mod links;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::watch;

use crate::object;
use collection::Collection;
pub(crate) use collection::{Change, ChangeKind};
use journal::Journal;
pub use journal::JournalError;
use links::Links;
pub(crate) use links::Tally;

/// Which collection an object lives in: `pods`, `kafkatopics.ottla.io`. Versions of one kind share it.
pub(crate) type Storage = Arc<str>;

/// Where an object lives. Cluster-scoped objects have an empty namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub storage: Storage,
    pub namespace: String,
    pub name: String,
}

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the object exists")]
    Exists,
    #[error("the object does not exist")]
    Absent,
    #[error("the object is at another version")]
    Changed,
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The history a watcher asks for is no longer kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Compacted {
    pub oldest: u64,
}

pub(crate) struct Store {
    state: RwLock<State>,
    /// Bumped by every write: what background work waits on.
    changed: watch::Sender<u64>,
}

struct State {
    version: u64,
    /// The version the store was opened at: no history reaches further back.
    base: u64,
    collections: HashMap<Storage, Collection>,
    links: Links,
    journal: Option<Journal>,
}

/// An object as it was found, and the collection it is in.
pub(crate) struct Found {
    pub storage: Storage,
    pub object: Arc<Value>,
}

/// An object that is being deleted and has its dependents to see to.
pub(crate) struct Waiting {
    pub owner: Found,
    /// Its dependents, and of each whether another of its owners exists.
    pub dependents: Vec<(Found, bool)>,
}

/// What there is to do for garbage collection.
pub(crate) struct LooseEnds {
    /// Objects that have owners, none of which exists, and that are not being deleted yet.
    pub abandoned: Vec<Found>,
    pub waiting: Vec<Waiting>,
}

impl Store {
    /// Opens the store; with a directory, loads what its journal holds.
    pub fn open(data_dir: Option<&Path>) -> Result<Self, Error> {
        let mut state =
            State { version: 1, base: 1, collections: HashMap::new(), links: Links::default(), journal: None };
        if let Some(dir) = data_dir {
            let (journal, loaded) = Journal::open(dir)?;
            state.version = loaded.version.max(1);
            state.base = state.version;
            for (key, value) in loaded.objects {
                state.links.replace(&key, None, Some(&value));
                state.collection(&key.storage).load(key.namespace, key.name, Arc::new(value));
            }
            state.journal = Some(journal);
        }
        Ok(Self { changed: watch::Sender::new(state.version), state: RwLock::new(state) })
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.state.read().collections.get(&key.storage)?.get(&key.namespace, &key.name)
    }

    /// The objects of a collection in key order, and the version of which this is the state.
    pub fn list(&self, storage: &Storage, namespace: Option<&str>) -> (Vec<Arc<Value>>, u64) {
        let state = self.state.read();
        let objects = state.collections.get(storage).map(|c| c.list(namespace)).unwrap_or_default();
        (objects, state.version)
    }

    /// The objects of a collection as they were at an earlier version, as long as its history reaches back to it.
    pub fn list_at(
        &self,
        storage: &Storage,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<Vec<Arc<Value>>, Compacted> {
        let state = self.state.read();
        match state.collections.get(storage) {
            Some(collection) => collection.list_at(namespace, version),
            None if version < state.base => Err(Compacted { oldest: state.base }),
            None => Ok(Vec::new()),
        }
    }

    /// The non-empty collections.
    pub fn storages(&self) -> Vec<Storage> {
        let state = self.state.read();
        state.collections.iter().filter(|(_, c)| !c.is_empty()).map(|(s, _)| s.clone()).collect()
    }

    /// What garbage collection has to see to, all of one moment: an owner made between two looks would seem to be missing.
    pub fn loose_ends(&self) -> LooseEnds {
        let state = self.state.read();
        let dependents = |owner: &str| -> Vec<(Found, bool)> {
            let found = |key| Some((state.found(key)?, state.links.has_owner_besides(key, owner)));
            state.links.dependents(owner).filter_map(found).collect()
        };
        let waiting = state.links.waiting().filter_map(|key| {
            let owner = state.found(key)?;
            let dependents = dependents(object::uid(&owner.object));
            Some(Waiting { owner, dependents })
        });
        LooseEnds {
            abandoned: state.links.abandoned().filter_map(|key| state.found(key)).collect(),
            waiting: waiting.collect(),
        }
    }

    /// How many objects there are in a namespace.
    pub fn tally(&self, namespace: &str) -> Tally {
        self.state.read().links.tally(namespace)
    }

    /// Adds an object that does not exist yet.
    pub fn create(&self, key: &Key, value: Value) -> Result<Arc<Value>, Error> {
        self.write(key, |current| if current.is_some() { Err(Error::Exists) } else { Ok(()) }, Some(value))
    }

    /// Replaces the object that is at version `expected`.
    pub fn replace(&self, key: &Key, expected: u64, value: Value) -> Result<Arc<Value>, Error> {
        self.write(key, |current| check_version(current, expected), Some(value))
    }

    /// Removes the object that is at version `expected`; returns it with the version of its deletion.
    pub fn remove(&self, key: &Key, expected: u64) -> Result<Arc<Value>, Error> {
        self.write(key, |current| check_version(current, expected), None)
    }

    fn write(
        &self,
        key: &Key,
        check: impl FnOnce(Option<&Arc<Value>>) -> Result<(), Error>,
        value: Option<Value>,
    ) -> Result<Arc<Value>, Error> {
        let mut state = self.state.write();
        let version = state.version + 1;
        let current = state.collections.get(&key.storage).and_then(|c| c.get(&key.namespace, &key.name));
        check(current.as_ref())?;
        let removes = value.is_none();
        let mut value = match (value, &current) {
            (Some(value), _) => value,
            (None, Some(current)) => (**current).clone(),
            (None, None) => return Err(Error::Absent),
        };
        object::set_meta(&mut value, "resourceVersion", &version.to_string());
        let value = Arc::new(value);
        if let Some(journal) = &mut state.journal {
            journal.append(version, key, (!removes).then_some(&*value))?;
        }
        state.version = version;
        let kind = match (&current, removes) {
            (_, true) => ChangeKind::Deleted,
            (None, _) => ChangeKind::Added,
            (Some(_), _) => ChangeKind::Modified,
        };
        state.links.replace(key, current.as_deref(), (!removes).then_some(&*value));
        let change = Change { version, kind, object: value.clone(), previous: current };
        state.collection(&key.storage).apply(key, change);
        state.compact_journal();
        self.changed.send_replace(version);
        Ok(value)
    }

    /// The changes of a collection after `since`, in order, and the version up to which that is all of them.
    pub fn changes(&self, storage: &Storage, since: u64) -> Result<(Vec<Change>, u64), Compacted> {
        let state = self.state.read();
        // A version from another life of the server: whatever the watcher knows is not this history.
        if since > state.version {
            return Err(Compacted { oldest: state.version });
        }
        let changes = match state.collections.get(storage) {
            Some(collection) => collection.changes(since)?,
            None if since < state.base => return Err(Compacted { oldest: state.base }),
            None => Vec::new(),
        };
        Ok((changes, state.version))
    }

    /// Signals every change of one collection.
    pub fn subscribe(&self, storage: &Storage) -> watch::Receiver<u64> {
        self.state.write().collection(storage).subscribe()
    }

    /// Signals every write to the store.
    pub fn subscribe_all(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

impl State {
    fn found(&self, key: &Key) -> Option<Found> {
        let object = self.collections.get(&key.storage)?.get(&key.namespace, &key.name)?;
        Some(Found { storage: key.storage.clone(), object })
    }

    fn collection(&mut self, storage: &Storage) -> &mut Collection {
        self.collections.entry(storage.clone()).or_insert_with(|| Collection::new(self.base))
    }

    /// Rewrites the journal when most of it is superseded. A failure leaves the old journal in use.
    fn compact_journal(&mut self) {
        let live = self.collections.values().map(Collection::len).sum();
        if !self.journal.as_ref().is_some_and(|journal| journal.wants_compaction(live)) {
            return;
        }
        let objects: Vec<_> = self
            .collections
            .iter()
            .flat_map(|(storage, c)| c.entries().map(move |(ns, name, value)| (storage.clone(), ns, name, value)))
            .collect();
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.rewrite(self.version, objects.iter().map(|(s, ns, n, v)| (s, *ns, *n, &***v)))
        {
            tracing::warn!(%error, "journal not compacted");
        }
    }
}

fn check_version(current: Option<&Arc<Value>>, expected: u64) -> Result<(), Error> {
    match current {
        None => Err(Error::Absent),
        Some(current) if object::version(current) != expected => Err(Error::Changed),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;

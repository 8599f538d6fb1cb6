//! Events about objects, as `kubectl describe` shows them (core/v1), with repeats counted instead of repeated.
//!
//! Recording never waits and never fails its caller: events are a courtesy, written by one task in the background.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;
use tracing::debug;

/// Events waiting to be written; more are dropped.
const QUEUE: usize = 1024;
/// Events whose repeats are recognised.
const REMEMBERED: usize = 4096;

/// Whether an event is good or bad news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Something went as it should.
    Normal,
    /// Something that a person may have to look at.
    Warning,
}

/// A cheap handle that records events in the name of one component.
#[derive(Clone, Debug)]
pub struct Recorder {
    queue: mpsc::Sender<Occurrence>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    uid: String,
    kind: Kind,
    reason: String,
    message: String,
}

#[derive(Debug)]
struct Occurrence {
    about: ObjectReference,
    key: Key,
    at: Timestamp,
}

struct Written {
    name: String,
    count: i32,
}

impl Recorder {
    /// A recorder for `component` (for example `kubelet`), whose writer stops when the last handle is dropped.
    pub fn start(client: Client, component: &'static str) -> Self {
        let (queue, occurrences) = mpsc::channel(QUEUE);
        tokio::spawn(write_all(client, component, occurrences));
        Self { queue }
    }

    /// Records that `reason` (CamelCase) happened to `about`; `message` is for a person.
    pub fn record(&self, about: ObjectReference, kind: Kind, reason: &str, message: impl Into<String>) {
        let uid = about.uid.clone().unwrap_or_default();
        let key = Key { uid, kind, reason: reason.to_owned(), message: message.into() };
        debug!(object = about.name, reason, message = key.message, "event");
        // A full queue means that the API server lags far behind; the log line above remains.
        let _ = self.queue.try_send(Occurrence { about, key, at: Timestamp::now() });
    }
}

async fn write_all(client: Client, component: &'static str, mut occurrences: mpsc::Receiver<Occurrence>) {
    let mut written: HashMap<Key, Written> = HashMap::new();
    while let Some(occurrence) = occurrences.recv().await {
        if written.len() >= REMEMBERED {
            written.clear();
        }
        let namespace = occurrence.about.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
        if let Some(before) = written.get_mut(&occurrence.key) {
            before.count += 1;
            let patch = json!({"count": before.count, "lastTimestamp": Time(occurrence.at)});
            if events.patch(&before.name, &PatchParams::default(), &Patch::Merge(patch)).await.is_ok() {
                continue;
            }
        }
        let event = event_of(&occurrence, &namespace, component);
        match events.create(&PostParams::default(), &event).await {
            Ok(event) => {
                let name = event.metadata.name.unwrap_or_default();
                written.insert(occurrence.key, Written { name, count: 1 });
            }
            Err(error) => debug!(%error, "event not written"),
        }
    }
}

fn event_of(occurrence: &Occurrence, namespace: &str, component: &str) -> Event {
    let object = occurrence.about.name.as_deref().unwrap_or_default();
    let kind = match occurrence.key.kind {
        Kind::Normal => "Normal",
        Kind::Warning => "Warning",
    };
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{object}.{:x}", occurrence.at.as_nanosecond())),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: occurrence.about.clone(),
        reason: Some(occurrence.key.reason.clone()),
        message: Some(occurrence.key.message.clone()),
        type_: Some(kind.to_owned()),
        count: Some(1),
        first_timestamp: Some(Time(occurrence.at)),
        last_timestamp: Some(Time(occurrence.at)),
        source: Some(EventSource { component: Some(component.to_owned()), host: None }),
        reporting_component: Some(component.to_owned()),
        ..Event::default()
    }
}

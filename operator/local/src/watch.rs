//! Watches: the changes of a collection after a version, filtered, as lines of JSON.
//!
//! A watcher pulls from the store's bounded history, so a slow one costs nothing; one that falls out of the history
//! is told so with 410 and has to list again.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::errors::ApiError;
use crate::handlers::Output;
use crate::resources::Resource;
use crate::selector::Selector;
use crate::store::{Change, ChangeKind};

/// How often an idle watch that wants bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(30);

/// Put into a request by the listener that carries it: cancelled when that listener stops.
#[derive(Clone, Debug)]
pub(crate) struct Closing(pub CancellationToken);

pub(crate) struct Request {
    pub resource: Arc<Resource>,
    pub namespace: Option<String>,
    pub selector: Selector,
    pub output: Output,
    /// `None`: begin with the present objects.
    pub since: Option<u64>,
    /// Mark the end of the present objects with an annotated bookmark.
    pub initial_events_end: bool,
    pub bookmarks: bool,
    pub timeout: Option<Duration>,
    pub closing: Option<Closing>,
}

struct Watch {
    request: Request,
    changed: tokio::sync::watch::Receiver<u64>,
    cursor: u64,
    ready: VecDeque<Bytes>,
    next_bookmark: Instant,
    ends: Option<Instant>,
    over: bool,
}

/// The events as they happen. Ends at the timeout, when the server closes, and after an error event.
pub(crate) fn stream(core: Arc<Core>, request: Request) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    let changed = core.store.subscribe(&request.resource.storage);
    let now = Instant::now();
    let mut watch = Watch {
        cursor: request.since.unwrap_or(0),
        ends: request.timeout.map(|timeout| now + timeout),
        next_bookmark: now + BOOKMARK_EVERY,
        ready: VecDeque::new(),
        over: false,
        changed,
        request,
    };
    if watch.request.since.is_none() {
        watch.present_objects(&core);
    }
    futures::stream::unfold((core, watch), |(core, mut watch)| async move {
        let bytes = watch.next(&core).await?;
        Some((Ok(bytes), (core, watch)))
    })
}

impl Watch {
    fn present_objects(&mut self, core: &Core) {
        let request = &self.request;
        let (objects, version) = core.store.list(&request.resource.storage, request.namespace.as_deref());
        for object in objects {
            let object = request.resource.view(&object);
            if request.selector.matches(&object) {
                self.ready.push_back(line("ADDED", &request.output.view(&request.resource, object)));
            }
        }
        self.cursor = version;
        if self.request.initial_events_end {
            self.ready.push_back(self.bookmark(true));
        }
    }

    async fn next(&mut self, core: &Core) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if self.over {
                return None;
            }
            self.changed.borrow_and_update();
            self.pull(core);
            if self.ready.is_empty() && !self.over {
                self.wait(core).await;
            }
        }
    }

    /// Takes over what has happened since the cursor.
    fn pull(&mut self, core: &Core) {
        match core.store.changes(&self.request.resource.storage, self.cursor) {
            Ok((changes, version)) => {
                let events = changes.iter().filter_map(|change| self.event(change));
                self.ready = events.collect();
                self.cursor = self.cursor.max(version);
            }
            Err(compacted) => {
                let error = ApiError::expired(self.cursor, compacted.oldest);
                self.ready.push_back(line("ERROR", &error.to_status()));
                self.over = true;
            }
        }
    }

    async fn wait(&mut self, core: &Core) {
        let far = Instant::now() + Duration::from_secs(3600);
        let listener = self.request.closing.as_ref().map_or(&core.closing, |closing| &closing.0).clone();
        tokio::select! {
            changed = self.changed.changed() => self.over = changed.is_err(),
            () = core.closing.cancelled() => self.over = true,
            () = listener.cancelled() => self.over = true,
            () = sleep_until(self.ends.unwrap_or(far)), if self.ends.is_some() => self.over = true,
            () = sleep_until(self.next_bookmark), if self.request.bookmarks => {
                self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                self.ready.push_back(self.bookmark(false));
            }
        }
    }

    /// The event that a change is to this watcher: an object that enters or leaves the selection was, to it, added
    /// or deleted.
    fn event(&self, change: &Change) -> Option<Bytes> {
        let request = &self.request;
        let elsewhere = |ns: &String| crate::object::namespace(&change.object) != ns;
        if request.namespace.as_ref().is_some_and(elsewhere) {
            return None;
        }
        let object = request.resource.view(&change.object);
        let selected = change.kind != ChangeKind::Deleted && request.selector.matches(&object);
        let before = change.previous.as_ref().map(|previous| request.resource.view(previous));
        let was_selected = before.is_some_and(|before| request.selector.matches(&before));
        let kind = match (was_selected, selected) {
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
            (false, false) => return None,
        };
        Some(line(kind, &request.output.view(&request.resource, object)))
    }

    fn bookmark(&self, initial_events_end: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": self.cursor.to_string(), "creationTimestamp": null});
        if initial_events_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let mut object = json!({"metadata": metadata});
        self.request.resource.stamp(&mut object);
        line("BOOKMARK", &self.request.output.view(&self.request.resource, Cow::Owned(object)))
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"))
}

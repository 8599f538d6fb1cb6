//! Events: what a person finds under `kubectl describe`. Best effort: one that is lost loses nothing else.

use std::{
    fmt::Debug,
    sync::{Mutex, PoisonError},
};

use kube::{
    Client, Resource, ResourceExt,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tracing::warn;

use crate::names::FIELD_MANAGER;

/// After so many events they are reported by a new recorder: one keeps all it reported for minutes, to count what is repeated,
/// and looks through it each time.
const REMEMBERED: usize = 256;

/// Reports events in the operator's name.
pub struct Events {
    client: Client,
    reporter: Reporter,
    /// What reports, and how many it has reported.
    recorder: Mutex<(Recorder, usize)>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether somebody should look at it.
    pub is_warning: bool,
    /// CamelCase: what happened.
    pub reason: &'static str,
    /// CamelCase: what was being done.
    pub action: &'static str,
    /// A sentence.
    pub text: String,
}

impl Note {
    /// Something that went as it should.
    pub fn normal(reason: &'static str, action: &'static str, text: impl Into<String>) -> Self {
        Self { is_warning: false, reason, action, text: text.into() }
    }

    /// Something a person should look at.
    pub fn warning(reason: &'static str, action: &'static str, text: impl Into<String>) -> Self {
        Self { is_warning: true, reason, action, text: text.into() }
    }
}

impl Events {
    /// Events reported by the operator that runs as `instance`.
    pub fn new(client: Client, instance: Option<String>) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance };
        let recorder = Mutex::new((Recorder::new(client.clone(), reporter.clone()), 0));
        Self { client, reporter, recorder }
    }

    fn recorder(&self) -> Recorder {
        let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        if recorder.1 == REMEMBERED {
            *recorder = (Recorder::new(self.client.clone(), self.reporter.clone()), 0);
        }
        recorder.1 += 1;
        recorder.0.clone()
    }

    /// Reports `note` about `object`.
    pub async fn publish<K>(&self, object: &K, note: Note)
    where
        K: Resource<DynamicType = ()> + Debug,
    {
        let mut text = note.text;
        // The API takes at most 1024 bytes.
        if text.len() > 1000 {
            let cut = (0..=1000).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(cut);
            text.push('…');
        }
        let event = Event {
            type_: if note.is_warning { EventType::Warning } else { EventType::Normal },
            reason: note.reason.to_owned(),
            note: Some(text),
            action: note.action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder().publish(&event, &object.object_ref(&())).await {
            warn!(object = %object.name_any(), reason = note.reason, %error, "event not published");
        }
    }
}

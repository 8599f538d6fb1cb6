//! Events: what a person finds under `kubectl describe`. Best effort: one that is lost loses nothing else.

use std::fmt::Debug;

use kube::{
    Client, Resource, ResourceExt,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tracing::warn;

use crate::names::FIELD_MANAGER;

/// Reports events in the operator's name.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
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
        Self { recorder: Recorder::new(client, reporter) }
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
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            warn!(object = %object.name_any(), reason = note.reason, %error, "event not published");
        }
    }
}

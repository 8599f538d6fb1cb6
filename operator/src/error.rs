//! What can stop a pass, and what follows: trying again by itself, or waiting for a person.

use std::sync::Arc;

use crate::kafka;

/// The result of a pass and of its steps.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a pass did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Kubernetes API refused or did not answer.
    #[error("cannot {doing}: {source}")]
    Kubernetes {
        /// What was being done, as the rest of a sentence that starts with "cannot".
        doing: String,
        /// What the client says.
        source: kube::Error,
    },
    /// The cluster's brokers refused or did not answer.
    #[error("cannot {doing}: {source}")]
    Kafka {
        /// What was being done, as the rest of a sentence that starts with "cannot".
        doing: String,
        /// What the client says.
        source: kafka::Error,
    },
    /// A read that several passes shared did not come to its end.
    #[error(transparent)]
    Shared(Arc<Self>),
    /// An object came without what every stored object has.
    #[error("the API server sent a {kind} without {field}")]
    Incomplete {
        /// The object's kind.
        kind: &'static str,
        /// What it lacks.
        field: &'static str,
    },
    /// Kubernetes refused for a reason of which the step that asked knows more.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// An object of ours could not be written as JSON.
    #[error("cannot write an object as JSON")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Wraps an error of the Kubernetes client with what was being done.
    pub fn kubernetes(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Kubernetes { doing, source }
    }

    /// Wraps an error of the Kafka client with what was being done.
    pub fn kafka(doing: impl Into<String>) -> impl FnOnce(kafka::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Kafka { doing, source }
    }

    /// The sentence for a person if trying the same again cannot help: the request itself was refused.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal.clone()),
            Self::Shared(error) => error.refusal(),
            Self::Kubernetes { source: kube::Error::Api(status), .. } => match status.code {
                400 | 422 => Some(Refusal::new("ApplyRefused", format!("Kubernetes refuses the spec: {self}"))),
                403 => {
                    let message = format!(
                        "Kubernetes forbids it, because the operator lacks a permission or by a quota or policy of the \
                         namespace: {self}"
                    );
                    Some(Refusal::new("Forbidden", message))
                }
                _ => None,
            },
            Self::Kafka { source: kafka::Error::Refused { code, message }, .. } => {
                let said = message.clone().unwrap_or_else(|| code.clone());
                Some(Refusal::new("RefusedByBroker", format!("the broker refuses it: {said}")))
            }
            _ => None,
        }
    }
}

/// Why a spec is not served: what stands in the condition `Stalled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// CamelCase: the cause.
    pub reason: &'static str,
    /// What is wrong and what to change.
    pub message: String,
}

impl Refusal {
    /// A refusal with both its parts.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// The spec itself is wrong.
    pub fn invalid_spec(message: impl Into<String>) -> Self {
        Self::new("InvalidSpec", message)
    }

    /// The spec is right, but this release does not do it.
    pub fn not_served(message: impl Into<String>) -> Self {
        Self::new("NotServedYet", message)
    }
}

//! Kubernetes `Status` errors: the code, reason, message and causes a real API server would answer.
//!
//! Everything that can go wrong in a request becomes an [`ApiError`]; only this module knows its JSON.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};

/// Which object an error is about: fills `details` and the first words of the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    pub group: String,
    /// The plural resource name; for validation errors the kind.
    pub kind: String,
    pub name: String,
}

impl Subject {
    fn qualified(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }
}

/// One reason why an object is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, …
    pub reason: &'static str,
    pub field: String,
    pub message: String,
}

impl Cause {
    /// `Invalid value: <shown>: <why>`.
    pub fn invalid(field: impl Into<String>, shown: &str, why: &str) -> Self {
        let message = format!("Invalid value: {shown}: {why}");
        Self { reason: "FieldValueInvalid", field: field.into(), message }
    }

    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        Self { reason: "FieldValueRequired", field: field.into(), message }
    }

    pub fn new(reason: &'static str, field: impl Into<String>, message: String) -> Self {
        Self { reason, field: field.into(), message }
    }
}

/// A failed request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    /// Boxed to keep the error, which every handler returns, small.
    pub subject: Option<Box<Subject>>,
    pub causes: Vec<Cause>,
    /// From where a list that cannot be continued as it was may be continued all the same.
    pub continue_at: Option<Box<str>>,
}

impl ApiError {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), subject: None, causes: Vec::new(), continue_at: None }
    }

    fn about(mut self, subject: Subject) -> Self {
        self.subject = Some(Box::new(subject));
        self
    }

    pub fn not_found(subject: Subject) -> Self {
        let message = format!("{} \"{}\" not found", subject.qualified(), subject.name);
        Self::new(404, "NotFound", message).about(subject)
    }

    /// The path names no resource this server knows.
    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub fn already_exists(subject: Subject) -> Self {
        let message = format!("{} \"{}\" already exists", subject.qualified(), subject.name);
        Self::new(409, "AlreadyExists", message).about(subject)
    }

    pub fn conflict(subject: Subject, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{}\": {why}", subject.qualified(), subject.name);
        Self::new(409, "Conflict", message).about(subject)
    }

    /// The object was changed by another writer since it was read.
    pub fn modified(subject: Subject) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(subject, why)
    }

    /// Server-side apply met fields that other managers own.
    pub fn apply_conflict(causes: Vec<Cause>) -> Self {
        let message = match causes.as_slice() {
            [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
            many => {
                let mut by_owner: BTreeMap<&str, Vec<String>> = BTreeMap::new();
                for cause in many {
                    by_owner.entry(&cause.message).or_default().push(format!("- {}", cause.field));
                }
                let one = |(owner, fields): (&str, Vec<String>)| {
                    format!("{}:\n{}", owner.replacen("conflict", "conflicts", 1), fields.join("\n"))
                };
                let lines: Vec<_> = by_owner.into_iter().map(one).collect();
                format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
            }
        };
        Self { causes, ..Self::new(409, "Conflict", message) }
    }

    pub fn invalid(subject: Subject, causes: Vec<Cause>) -> Self {
        let lines: Vec<_> = causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let list = if lines.len() == 1 { lines[0].clone() } else { format!("[{}]", lines.join(", ")) };
        let message = format!("{} \"{}\" is invalid: {list}", subject.qualified(), subject.name);
        Self { causes, ..Self::new(422, "Invalid", message).about(subject) }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub fn forbidden(subject: Subject, why: &str) -> Self {
        let message = format!("{} \"{}\" is forbidden: {why}", subject.qualified(), subject.name);
        Self::new(403, "Forbidden", message).about(subject)
    }

    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    pub fn unsupported_media_type(given: &str, supported: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format ({given}) - accepted media types include: {supported}"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub fn too_large(limit: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("limit is {limit} bytes"))
    }

    /// A watch or list asked for a version whose history is gone.
    pub fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// The rest of a list is asked for whose beginning is too long ago.
    pub fn continue_expired(continue_at: String) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a \
                       new list without the continue parameter, or use the continue token in this response to retrieve \
                       the remainder of the results. Continuing with the provided token results in an inconsistent list \
                       - objects that were created, modified, or deleted between the time the first chunk was returned \
                       and now may show up in the list.";
        Self { continue_at: Some(continue_at.into()), ..Self::new(410, "Expired", message) }
    }

    /// Now is not the time: later the same may go through.
    pub fn too_many_requests(message: impl Into<String>, causes: Vec<Cause>) -> Self {
        Self { causes, ..Self::new(429, "TooManyRequests", message) }
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {}", message.into()))
    }

    /// The `Status` object.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if let Some(token) = &self.continue_at {
            status["metadata"]["continue"] = (**token).into();
        }
        let mut details = serde_json::Map::new();
        if let Some(subject) = &self.subject {
            for (field, value) in [("name", &subject.name), ("group", &subject.group), ("kind", &subject.kind)] {
                if !value.is_empty() {
                    details.insert(field.to_owned(), value.as_str().into());
                }
            }
        }
        if !self.causes.is_empty() {
            let causes: Vec<_> = self
                .causes
                .iter()
                .map(|c| match c.field.as_str() {
                    "" => json!({"reason": c.reason, "message": c.message}),
                    field => json!({"reason": c.reason, "message": c.message, "field": field}),
                })
                .collect();
            details.insert("causes".to_owned(), causes.into());
        }
        if !details.is_empty() {
            status["details"] = details.into();
        }
        status
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (code, [(header::CONTENT_TYPE, "application/json")], self.to_status().to_string()).into_response()
    }
}

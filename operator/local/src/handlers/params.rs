//! The query parameters of the API, decoded once.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::Query;
use http::Uri;

use crate::errors::ApiError;

/// What to do about fields that a schema does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    #[default]
    Ignore,
    Strict,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Params {
    pub watch: bool,
    /// As given: empty, `0`, or a version.
    pub resource_version: String,
    pub resource_version_match: String,
    pub send_initial_events: bool,
    pub bookmarks: bool,
    pub timeout: Option<Duration>,
    pub label_selector: String,
    pub field_selector: String,
    pub field_manager: String,
    pub field_validation: FieldValidation,
    pub force: bool,
    pub dry_run: bool,
    /// Everything, for what only one verb reads.
    pub all: HashMap<String, String>,
}

impl Params {
    pub fn parse(uri: &Uri) -> Result<Self, ApiError> {
        let Query(all) = Query::<HashMap<String, String>>::try_from_uri(uri)
            .map_err(|error| ApiError::bad_request(format!("the query could not be read: {error}")))?;
        let text = |name: &str| all.get(name).cloned().unwrap_or_default();
        let flag = |name: &str| all.get(name).is_some_and(|v| v.is_empty() || v == "true" || v == "1");
        let timeout = match all.get("timeoutSeconds") {
            Some(seconds) => Some(Duration::from_secs(number("timeoutSeconds", seconds)?)),
            None => None,
        };
        let field_validation = match text("fieldValidation").as_str() {
            "Strict" => FieldValidation::Strict,
            "" | "Ignore" | "Warn" => FieldValidation::Ignore,
            other => return Err(ApiError::bad_request(format!("fieldValidation: Unsupported value: {other:?}"))),
        };
        Ok(Self {
            watch: flag("watch"),
            resource_version: text("resourceVersion"),
            resource_version_match: text("resourceVersionMatch"),
            send_initial_events: flag("sendInitialEvents"),
            bookmarks: flag("allowWatchBookmarks"),
            timeout,
            label_selector: text("labelSelector"),
            field_selector: text("fieldSelector"),
            field_manager: text("fieldManager"),
            field_validation,
            force: flag("force"),
            dry_run: text("dryRun") == "All",
            all,
        })
    }

    /// The asked-for version; `None` where any will do.
    pub fn version(&self) -> Result<Option<u64>, ApiError> {
        match self.resource_version.as_str() {
            "" | "0" => Ok(None),
            version => number("resourceVersion", version).map(Some),
        }
    }

    pub fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        self.all.get(name).map(|value| number(name, value)).transpose()
    }

    pub fn flag(&self, name: &str) -> bool {
        self.all.get(name).is_some_and(|value| value == "true" || value == "1")
    }
}

fn number(name: &str, value: &str) -> Result<u64, ApiError> {
    value.parse().map_err(|_| ApiError::bad_request(format!("{name}: Invalid value: {value:?}: not a number")))
}

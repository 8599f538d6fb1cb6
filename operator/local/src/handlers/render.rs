//! The three forms of an answer: objects as they are, tables, and metadata only.

use std::borrow::Cow;

use http::{HeaderMap, header};
use serde_json::{Value, json};

use super::params::Params;
use crate::resources::Resource;
use crate::table;

/// The form that the client's `Accept` header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Object,
    /// Rows with the objects' metadata, or with the whole objects.
    Table {
        whole: bool,
    },
    /// `PartialObjectMetadata`
    Metadata,
}

impl Output {
    pub fn negotiate(headers: &HeaderMap, params: &Params) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
        for choice in accept.split(',') {
            let parts: Vec<_> = choice.split(';').map(str::trim).collect();
            if !matches!(parts[0], "application/json" | "*/*" | "application/*") {
                continue;
            }
            match parts.iter().find_map(|part| part.strip_prefix("as=")) {
                None => return Self::Object,
                Some("Table") => {
                    let whole = params.all.get("includeObject").is_some_and(|v| v == "Object");
                    return Self::Table { whole };
                }
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") => return Self::Metadata,
                Some(_) => {}
            }
        }
        Self::Object
    }

    pub fn object(self, resource: &Resource, object: Value) -> Value {
        match self {
            Self::Object => object,
            Self::Table { whole } => {
                let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                table::table(resource, std::slice::from_ref(&object), metadata, whole)
            }
            Self::Metadata => partial(&object),
        }
    }

    /// The same, copied only if it takes another form.
    pub fn view<'a>(self, resource: &Resource, object: Cow<'a, Value>) -> Cow<'a, Value> {
        match self {
            Self::Object => object,
            Self::Table { .. } | Self::Metadata => Cow::Owned(self.object(resource, object.into_owned())),
        }
    }

    /// A list with that `metadata`.
    pub fn list(self, resource: &Resource, objects: Vec<Cow<'_, Value>>, metadata: Value) -> Value {
        let whole = |objects: Vec<Cow<'_, Value>>| objects.into_iter().map(Cow::into_owned).collect::<Vec<_>>();
        match self {
            Self::Object => {
                let mut list = json!({
                    "apiVersion": resource.group_version(), "kind": resource.list_kind(), "metadata": metadata,
                });
                list["items"] = Value::Array(whole(objects));
                list
            }
            Self::Table { whole: is_whole } => table::table(resource, &whole(objects), metadata, is_whole),
            Self::Metadata => {
                let items: Vec<_> = objects.iter().map(|object| partial(object)).collect();
                json!({
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
                    "metadata": metadata, "items": items,
                })
            }
        }
    }
}

/// An object reduced to its metadata.
pub(crate) fn partial(object: &Value) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
}

//! Puts labels on metrics in OTLP's protobuf, without looking at what they measure.
//!
//! Only the outermost messages are taken apart; what is in them stays the bytes that it was.

use bytes::Bytes;
use prost::Message;

/// Not the protobuf of OTLP's `MetricsData`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(#[from] prost::DecodeError);

/// `MetricsData`, which is also what an OTLP collector is sent (`ExportMetricsServiceRequest`).
#[derive(Clone, PartialEq, Message)]
struct MetricsData {
    #[prost(message, repeated, tag = "1")]
    resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    scope_metrics: Vec<Bytes>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "2")]
    dropped_attributes_count: u32,
    #[prost(bytes = "bytes", repeated, tag = "3")]
    entity_refs: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    /// An `AnyValue`.
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// An `AnyValue` that is text.
#[derive(Clone, PartialEq, Message)]
struct Text {
    #[prost(string, optional, tag = "1")]
    string_value: Option<String>,
}

/// The metrics with `labels` as attributes of every resource, in place of what the client says under these names.
pub(super) fn label<'a>(metrics: Bytes, labels: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Bytes, Malformed> {
    let label = |(key, value): (&str, &str)| KeyValue {
        key: key.to_owned(),
        value: Text { string_value: Some(value.to_owned()) }.encode_to_vec().into(),
    };
    let labels: Vec<KeyValue> = labels.map(label).collect();
    let mut data = MetricsData::decode(metrics)?;
    for resource_metrics in &mut data.resource_metrics {
        let attributes = &mut resource_metrics.resource.get_or_insert_default().attributes;
        attributes.retain(|own| labels.iter().all(|label| label.key != own.key));
        attributes.extend(labels.iter().cloned());
    }
    Ok(data.encode_to_vec().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &str, value: &str) -> KeyValue {
        let value = Text { string_value: Some(value.to_owned()) };
        KeyValue { key: key.to_owned(), value: value.encode_to_vec().into() }
    }

    #[test]
    fn every_resource_gets_the_labels_and_keeps_everything_else() {
        let scope = Bytes::from_static(b"\x12\x03any");
        let resource = |attributes: Vec<KeyValue>| Resource {
            attributes,
            dropped_attributes_count: 3,
            entity_refs: vec![Bytes::from_static(b"e")],
        };
        let one = |resource| ResourceMetrics {
            resource,
            scope_metrics: vec![scope.clone(), scope.clone()],
            schema_url: "u".into(),
        };
        let claims = vec![text("group_id", "g"), text("client_id", "somebody else")];
        let sent = MetricsData { resource_metrics: vec![one(Some(resource(claims))), one(None)] };
        let labels = [("client_id", "c"), ("broker_id", "4")];
        let labelled = label(sent.encode_to_vec().into(), labels.into_iter()).unwrap();
        let mine = [text("client_id", "c"), text("broker_id", "4")];
        let expected = MetricsData {
            resource_metrics: vec![
                one(Some(resource([vec![text("group_id", "g")], mine.to_vec()].concat()))),
                one(Some(Resource { attributes: mine.to_vec(), ..Resource::default() })),
            ],
        };
        assert_eq!(MetricsData::decode(labelled).unwrap(), expected);
    }

    #[test]
    fn the_bytes_are_those_of_the_standard() {
        // ResourceMetrics of a Resource of one KeyValue of an AnyValue of text.
        let expected = b"\x0a\x0b\x0a\x09\x0a\x07\x0a\x01k\x12\x02\x0a\x00";
        let labelled = label(Bytes::from_static(b"\x0a\x00"), [("k", "")].into_iter()).unwrap();
        assert_eq!(labelled[..], expected[..]);
    }

    #[test]
    fn what_is_no_protobuf_is_refused() {
        assert!(label(Bytes::from_static(b"\x0a\x05abc"), std::iter::empty()).is_err());
    }
}

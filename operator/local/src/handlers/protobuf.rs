//! Kubernetes' protobuf encoding, as far as `kubectl create` sends it: kubectl's typed clients offer nothing else.
//!
//! Decoding is driven by tables of field numbers. Kinds without a table get 415, as from a server without protobuf.

use serde_json::{Map, Value, json};

/// Starts every body.
const MAGIC: &[u8] = b"k8s\0";
/// Messages nested deeper than any table below.
const DEEPEST: usize = 8;

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Int,
    Bool,
    Message(&'static [Field]),
    List(&'static Kind),
    TextMap,
    /// Values become base64.
    BytesMap,
}

struct Field(u64, &'static str, Kind);

const OBJECT_META: &[Field] = &[
    Field(1, "name", Kind::Text),
    Field(2, "generateName", Kind::Text),
    Field(3, "namespace", Kind::Text),
    Field(5, "uid", Kind::Text),
    Field(6, "resourceVersion", Kind::Text),
    Field(11, "labels", Kind::TextMap),
    Field(12, "annotations", Kind::TextMap),
    Field(14, "finalizers", Kind::List(&Kind::Text)),
];
const METADATA: Field = Field(1, "metadata", Kind::Message(OBJECT_META));
const NAMED: &[Field] = &[Field(1, "name", Kind::Text)];
const NAMESPACE: &[Field] =
    &[METADATA, Field(2, "spec", Kind::Message(&[Field(1, "finalizers", Kind::List(&Kind::Text))]))];
const CONFIG_MAP: &[Field] = &[
    METADATA,
    Field(2, "data", Kind::TextMap),
    Field(3, "binaryData", Kind::BytesMap),
    Field(4, "immutable", Kind::Bool),
];
const SECRET: &[Field] = &[
    METADATA,
    Field(2, "data", Kind::BytesMap),
    Field(3, "type", Kind::Text),
    Field(4, "stringData", Kind::TextMap),
    Field(5, "immutable", Kind::Bool),
];
const SERVICE_ACCOUNT: &[Field] = &[
    METADATA,
    Field(2, "secrets", Kind::List(&Kind::Message(&[Field(3, "name", Kind::Text)]))),
    Field(3, "imagePullSecrets", Kind::List(&Kind::Message(NAMED))),
    Field(4, "automountServiceAccountToken", Kind::Bool),
];
const DELETE_OPTIONS: &[Field] = &[
    Field(1, "gracePeriodSeconds", Kind::Int),
    Field(2, "preconditions", Kind::Message(&[Field(1, "uid", Kind::Text), Field(2, "resourceVersion", Kind::Text)])),
    Field(3, "orphanDependents", Kind::Bool),
    Field(4, "propagationPolicy", Kind::Text),
    Field(5, "dryRun", Kind::List(&Kind::Text)),
];
const EVICTION: &[Field] = &[METADATA, Field(2, "deleteOptions", Kind::Message(DELETE_OPTIONS))];

const UNKNOWN: &[Field] =
    &[Field(1, "type", Kind::Message(&[Field(1, "apiVersion", Kind::Text), Field(2, "kind", Kind::Text)]))];

/// The object in an enveloped body; `None` if it is damaged or of a kind without a table.
pub(super) fn decode(body: &[u8]) -> Option<Value> {
    let envelope = body.strip_prefix(MAGIC)?;
    let head = message(envelope, UNKNOWN, 0)?;
    let raw = fields(envelope)?.into_iter().find_map(|(number, value)| match value {
        Wire::Bytes(bytes) if number == 2 => Some(bytes),
        _ => None,
    })?;
    let kind = head["type"]["kind"].as_str()?;
    let table = match kind {
        "Namespace" => NAMESPACE,
        "ConfigMap" => CONFIG_MAP,
        "Secret" => SECRET,
        "ServiceAccount" => SERVICE_ACCOUNT,
        "DeleteOptions" => DELETE_OPTIONS,
        "Eviction" => EVICTION,
        _ => return None,
    };
    let mut object = message(raw, table, 0)?;
    object["apiVersion"] = head["type"]["apiVersion"].clone();
    object["kind"] = kind.into();
    Some(object)
}

enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message in order; `None` if it is damaged.
fn fields(mut rest: &[u8]) -> Option<Vec<(u64, Wire<'_>)>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let value = match tag & 7 {
            0 => Wire::Number(varint(&mut rest)?),
            1 => Wire::Bytes(take(&mut rest, 8)?),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                Wire::Bytes(take(&mut rest, length)?)
            }
            5 => Wire::Bytes(take(&mut rest, 4)?),
            _ => return None,
        };
        found.push((tag >> 3, value));
    }
    Some(found)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn message(bytes: &[u8], table: &'static [Field], depth: usize) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    let mut object = Map::new();
    for (number, wire) in fields(bytes)? {
        let Some(Field(_, name, kind)) = table.iter().find(|field| field.0 == number) else { continue };
        add(&mut object, name, *kind, &wire, depth)?;
    }
    Some(Value::Object(object))
}

fn add(object: &mut Map<String, Value>, name: &str, kind: Kind, wire: &Wire<'_>, depth: usize) -> Option<()> {
    let value = match (kind, wire) {
        (Kind::Text, Wire::Bytes(bytes)) => {
            let text = std::str::from_utf8(bytes).ok()?;
            // Go writes empty strings where JSON would leave the field out.
            if text.is_empty() {
                return Some(());
            }
            text.into()
        }
        (Kind::Int, Wire::Number(number)) => json!(i64::from_ne_bytes(number.to_ne_bytes())),
        (Kind::Bool, Wire::Number(number)) => json!(*number != 0),
        (Kind::Message(table), Wire::Bytes(bytes)) => message(bytes, table, depth + 1)?,
        (Kind::List(item), wire) => {
            let mut one = Map::new();
            add(&mut one, name, *item, wire, depth)?;
            let list = object.entry(name).or_insert_with(|| json!([]));
            list.as_array_mut()?.extend(one.into_iter().map(|(_, value)| value));
            return Some(());
        }
        (Kind::TextMap | Kind::BytesMap, Wire::Bytes(bytes)) => {
            let (key, value) = entry(bytes, matches!(kind, Kind::BytesMap))?;
            let map = object.entry(name).or_insert_with(|| json!({}));
            map.as_object_mut()?.insert(key, value);
            return Some(());
        }
        _ => return None,
    };
    object.insert(name.to_owned(), value);
    Some(())
}

/// A map entry: field 1 is the key, field 2 the value.
fn entry(bytes: &[u8], binary: bool) -> Option<(String, Value)> {
    let (mut key, mut value) = (String::new(), Value::from(""));
    for (number, wire) in fields(bytes)? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => key = std::str::from_utf8(bytes).ok()?.to_owned(),
            (2, Wire::Bytes(bytes)) if binary => value = crate::resources::defaults::base64(bytes).into(),
            (2, Wire::Bytes(bytes)) => value = std::str::from_utf8(bytes).ok()?.into(),
            _ => {}
        }
    }
    Some((key, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::decode;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    fn enveloped(kind: &str, raw: &[u8]) -> Vec<u8> {
        let head = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), field(1, &head), field(2, raw)].concat()
    }

    #[test]
    fn the_kinds_of_kubectl_create_are_decoded() {
        let meta = [field(1, b"s"), field(3, b""), field(11, &[field(1, b"k"), field(2, b"v")].concat())].concat();
        let data = [field(1, b"a"), field(2, &[0xff, 0xfe, 0xfd])].concat();
        let body = enveloped("Secret", &[field(1, &meta), field(2, &data), field(3, b"Opaque")].concat());
        let expected = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"k": "v"}},
            "data": {"a": "//79"}, "type": "Opaque",
        });
        assert_eq!(decode(&body), Some(expected));
        let options = enveloped("DeleteOptions", &[&[1 << 3, 5][..], &field(4, b"Foreground")].concat());
        let options = decode(&options).unwrap();
        assert_eq!((&options["gracePeriodSeconds"], &options["propagationPolicy"]), (&json!(5), &json!("Foreground")));
    }

    #[test]
    fn damaged_and_unknown_bodies_are_refused() {
        let whole = enveloped("ConfigMap", &field(1, &field(1, b"c")));
        assert!(decode(&whole).is_some());
        for end in 0..whole.len() {
            let _ = decode(&whole[..end]);
        }
        assert_eq!(decode(&enveloped("Pod", b"")), None);
        assert_eq!(decode(&enveloped("ConfigMap", &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff])), None);
        assert_eq!(decode(b"k8s\0\xff\xff"), None);
    }
}

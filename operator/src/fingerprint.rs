//! A short name for the content of an object, to see whether it changed. Not for secrets: it can be forged.

use serde::Serialize;
use serde_json::Value;

/// 16 hexadecimal digits that are equal for equal content: FNV-1a over its JSON with sorted keys, stable over releases.
///
/// # Errors
/// Fails if `content` cannot be written as JSON.
pub fn fingerprint(content: &impl Serialize) -> Result<String, serde_json::Error> {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let text = serde_json::to_string(&sorted(serde_json::to_value(content)?))?;
    let hash = text.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    Ok(format!("{hash:016x}"))
}

/// The same value with the keys of its maps in order, whatever order the map type keeps.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().map(|(key, field)| (key, sorted(field))).collect();
            fields.sort_by(|(left, _), (right, _)| left.cmp(right));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_of_keys_does_not_count_and_content_does() {
        let one = fingerprint(&json!({"a": 1, "b": [1, 2]})).unwrap();
        assert_eq!(one, fingerprint(&json!({"b": [1, 2], "a": 1})).unwrap());
        assert_ne!(one, fingerprint(&json!({"a": 1, "b": [2, 1]})).unwrap());
        assert_eq!(one.len(), 16);
    }
}

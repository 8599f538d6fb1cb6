//! Identifiers as Kafka writes them: URL-safe base64 without padding, 22 characters.

use uuid::Uuid;

/// The text of `id`.
pub fn text(id: Uuid) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |bits: u8| char::from(ALPHABET[usize::from(bits & 63)]);
    let mut text = String::with_capacity(24);
    for chunk in id.as_bytes().chunks(3) {
        let byte = |index: usize| chunk.get(index).copied().unwrap_or(0);
        let (first, second, third) = (byte(0), byte(1), byte(2));
        text.push(digit(first >> 2));
        text.push(digit(first << 4 | second >> 4));
        if chunk.len() > 1 {
            text.push(digit(second << 2 | third >> 6));
        }
        if chunk.len() > 2 {
            text.push(digit(third));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_kafka_writes_them() {
        assert_eq!(text(Uuid::nil()), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(text(Uuid::from_u128(u128::MAX)), "_____________________w");
        let id = Uuid::parse_str("3db5c2e6-7b4c-4a4e-9f0a-6f8f1e2d3c4b").unwrap();
        assert_eq!(text(id), "PbXC5ntMSk6fCm-PHi08Sw");
    }
}

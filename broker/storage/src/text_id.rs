//! Kafka's text form of a UUID: URL-safe base64 of its 16 bytes without padding, 22 characters.

use uuid::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// `id` as Kafka writes it: 22 characters of URL-safe base64.
pub fn encode(id: Uuid) -> String {
    let mut out = String::with_capacity(22);
    // 128 bits and four zero bits more make 22 sextets.
    let bits = id.as_u128();
    for i in 0..22 {
        let sextet = if i < 21 { bits >> (122 - 6 * i) } else { bits << 4 } & 0x3f;
        out.push(char::from(ALPHABET[sextet as usize]));
    }
    out
}

/// The id that `text` stands for; none if it is not 22 characters of the alphabet.
pub fn decode(text: &str) -> Option<Uuid> {
    // Kafka's own parser takes padding too.
    let text = text.trim_end_matches('=');
    if text.len() != 22 {
        return None;
    }
    let mut bits = 0u128;
    for (i, byte) in text.bytes().enumerate() {
        let sextet = ALPHABET.iter().position(|&c| c == byte)? as u128;
        bits |= if i < 21 { sextet << (122 - 6 * i) } else { sextet >> 4 };
    }
    Some(Uuid::from_u128(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_kafka() {
        // Kafka's reserved metadata topic id, the UUID 0…01.
        assert_eq!(encode(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(decode("AAAAAAAAAAAAAAAAAAAAAQ"), Some(Uuid::from_u128(1)));
        assert_eq!(decode("MkU3OEVBNTcwNTJENDM2Qg").map(encode).as_deref(), Some("MkU3OEVBNTcwNTJENDM2Qg"));
    }

    #[test]
    fn every_id_comes_back_and_nonsense_is_refused() {
        for n in 0..1000u128 {
            let id = Uuid::from_u128(n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
            assert_eq!(decode(&encode(id)), Some(id));
        }
        assert_eq!(decode("short"), None);
        assert_eq!(decode("AAAAAAAAAAAAAAAAAAAA*Q"), None);
    }
}

//! The value of a record: who wrote it, its number, and bytes that follow from both, under a checksum.
//!
//! So two values with the same writer and number are the same bytes, or one of them is damaged.

use ottla_records::crc32c;

/// Bytes before the filling.
const HEAD: usize = 4 + 4 + 8;
/// The longest filling; the length follows from the number.
const FILLING: u64 = 120;

/// What a value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The writer.
    pub writer: u32,
    /// The partition it was sent to.
    pub partition: i32,
    /// The number of the record.
    pub number: u64,
}

impl Payload {
    /// The bytes.
    pub fn encode(self) -> Vec<u8> {
        let mut value = Vec::with_capacity(HEAD + FILLING as usize + 4);
        value.extend_from_slice(&self.writer.to_be_bytes());
        value.extend_from_slice(&self.partition.to_be_bytes());
        value.extend_from_slice(&self.number.to_be_bytes());
        let mut state = self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(self.writer);
        for _ in 0..self.number % FILLING {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            value.push((state >> 56) as u8);
        }
        value.extend_from_slice(&crc32c(&value).to_be_bytes());
        value
    }

    /// What `value` says, if it is exactly what its writer wrote.
    pub fn decode(value: &[u8]) -> Option<Self> {
        let writer = u32::from_be_bytes(*value.first_chunk()?);
        let partition = i32::from_be_bytes(*value.get(4..)?.first_chunk()?);
        let number = u64::from_be_bytes(*value.get(8..)?.first_chunk()?);
        let payload = Self { writer, partition, number };
        (payload.encode() == value).then_some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_was_written_and_no_damage_passes() {
        for number in [0, 1, 119, 120, 1_000_003] {
            let payload = Payload { writer: 5, partition: 2, number };
            let value = payload.encode();
            assert_eq!(Payload::decode(&value), Some(payload));
            for at in 0..value.len() {
                let mut damaged = value.clone();
                damaged[at] ^= 0x10;
                assert_eq!(Payload::decode(&damaged), None);
            }
            assert_eq!(Payload::decode(&value[..value.len() - 1]), None);
        }
    }
}

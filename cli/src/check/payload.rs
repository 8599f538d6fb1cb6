//! The value of a record: which run wrote it, to which partition, and its number there.

use std::fmt;

use uuid::Uuid;

/// One run of the check: its records are told from all others in the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    id: String,
    size: usize,
}

impl Run {
    /// A run whose values have `size` bytes, or as many as it takes to say what they say.
    pub fn new(size: usize) -> Self {
        Self { id: Uuid::new_v4().simple().to_string(), size }
    }

    /// The value of record `number` of `partition`.
    pub fn value(&self, partition: i32, number: u64) -> Vec<u8> {
        let mut value = format!("{} {partition} {number} ", self.id).into_bytes();
        value.resize(value.len().max(self.size), b'.');
        value
    }

    /// The number in `value`, if this run wrote exactly that to `partition`.
    pub fn number(&self, partition: i32, value: &[u8]) -> Option<u64> {
        let text = std::str::from_utf8(value).ok()?;
        let number = text.split(' ').nth(2)?.parse().ok()?;
        (self.value(partition, number) == value).then_some(number)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

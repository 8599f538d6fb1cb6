//! The topics in a consumer's subscription, so that the offsets of a consumed topic are neither deleted nor expired.
//! Version 0 of the subscription is a prefix of every later one, so it is all that is read.

use std::collections::BTreeSet;

use crate::coordinator::{Reader, RecordError};

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

/// Adds the topics that the metadata of one member names.
pub(super) fn collect_topics(metadata: &[u8], into: &mut BTreeSet<String>) -> Result<(), RecordError> {
    let mut reader = Reader::new(metadata);
    let version = reader.i16()?;
    if version < 0 {
        return Err(RecordError::UnknownValueVersion(version));
    }
    for _ in 0..reader.count(2)? {
        into.insert(reader.string()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topics_are_read_and_the_rest_ignored() {
        let mut topics = BTreeSet::new();
        collect_topics(b"\0\x03\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xffmore", &mut topics).unwrap();
        assert_eq!(topics, BTreeSet::from(["a".to_owned(), "bc".to_owned()]));
    }

    #[test]
    fn a_count_larger_than_the_bytes_is_refused() {
        assert_eq!(collect_topics(b"\0\0\x7f\xff\xff\xff\0\x01a", &mut BTreeSet::new()), Err(RecordError::Truncated));
    }
}

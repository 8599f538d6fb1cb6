//! What consumers of the classic protocol embed in it: their subscription, and what they are assigned. Versions 0 to 3,
//! each a prefix of the next.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};

use super::Partitions;
use crate::TopicName;
use crate::coordinator::{Reader, RecordError, put_count, put_string};
use crate::metadata::Topics;

/// What a consumer subscribes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// The version it came in, which its assignment is to have too.
    pub(crate) version: i16,
    pub(crate) topics: BTreeSet<String>,
    /// What it owns, by name; empty for one that gives everything up before it joins.
    pub(crate) owned: Vec<(String, Vec<i32>)>,
    pub(crate) rack_id: Option<String>,
}

impl Subscription {
    /// Reads a subscription.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes);
        let version = version(&mut reader)?;
        let mut subscription = Self { version, ..Self::default() };
        for _ in 0..reader.count(2)? {
            subscription.topics.insert(reader.string()?);
        }
        let _user_data = reader.nullable_bytes()?;
        if version >= 1 {
            subscription.owned = topics(&mut reader)?;
        }
        if version >= 2 {
            let _generation = reader.i32()?;
        }
        if version >= 3 {
            subscription.rack_id = reader.nullable_string()?;
        }
        Ok(subscription)
    }

    /// What it owns of topics that exist.
    pub(crate) fn owned(&self, known: &Topics) -> Partitions {
        by_id(&self.owned, known)
    }
}

/// Reads an assignment; an empty one is of nothing.
pub(crate) fn read_assignment(bytes: &[u8], known: &Topics) -> Result<Partitions, RecordError> {
    if bytes.is_empty() {
        return Ok(Partitions::default());
    }
    let mut reader = Reader::new(bytes);
    version(&mut reader)?;
    Ok(by_id(&topics(&mut reader)?, known))
}

/// Writes an assignment.
pub(crate) fn write_assignment(version: i16, partitions: &Partitions, known: &Topics) -> Bytes {
    let named: Vec<(&TopicName, &BTreeSet<i32>)> =
        partitions.topics().filter_map(|(id, set)| Some((&known.by_id(id)?.name, set))).collect();
    let mut out = BytesMut::new();
    out.put_i16(version);
    put_count(&mut out, named.len());
    for (name, partitions) in named {
        put_string(&mut out, name.as_str());
        put_count(&mut out, partitions.len());
        partitions.iter().for_each(|partition| out.put_i32(*partition));
    }
    out.put_i32(-1);
    out.freeze()
}

/// Later versions only add to the end.
fn version(reader: &mut Reader<'_>) -> Result<i16, RecordError> {
    let version = reader.i16()?;
    if version < 0 { Err(RecordError::UnknownValueVersion(version)) } else { Ok(version.min(3)) }
}

fn topics(reader: &mut Reader<'_>) -> Result<Vec<(String, Vec<i32>)>, RecordError> {
    let count = reader.count(6)?;
    let topic = |_| {
        let name = reader.string()?;
        let partitions = (0..reader.count(4)?).map(|_| reader.i32()).collect::<Result<_, _>>()?;
        Ok((name, partitions))
    };
    (0..count).map(topic).collect()
}

fn by_id(named: &[(String, Vec<i32>)], known: &Topics) -> Partitions {
    let found = named.iter().filter_map(|(name, partitions)| Some((known.by_name(name)?.id, partitions)));
    found.flat_map(|(id, partitions)| partitions.iter().map(move |partition| (id, *partition))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::testing::Cluster;
    use crate::metadata::Image;

    /// A cluster with these topics of three partitions.
    fn known(topics: &[&str]) -> Image {
        let mut cluster = Cluster::with_brokers(1);
        topics.iter().for_each(|topic| cluster.topic(topic, &[&[0], &[0], &[0]], &[]));
        cluster.image
    }

    #[test]
    fn subscriptions_of_every_version_are_read() {
        let v0 = b"\0\0\0\0\0\x01\0\x01t\0\0\0\x02xy";
        let read = Subscription::read(v0).unwrap();
        assert_eq!((read.version, read.topics, read.owned), (0, ["t".to_owned()].into(), vec![]));
        let v3 = b"\0\x03\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x02\0\0\0\x09\0\x01r";
        let read = Subscription::read(v3).unwrap();
        assert_eq!(
            (read.version, read.owned.clone(), read.rack_id.as_deref()),
            (3, vec![("t".into(), vec![2])], Some("r"))
        );
        let topics = known(&["t"]);
        let id = topics.topics().by_name("t").unwrap().id;
        assert_eq!(read.owned(topics.topics()), [(id, 2)].into_iter().collect());
        for end in 0..v3.len() {
            assert!(Subscription::read(&v3[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn an_assignment_is_read_as_it_was_written_without_topics_that_are_gone() {
        let (image, other) = (known(&["t", "u"]), known(&["t"]));
        let id = |name| image.topics().by_name(name).unwrap().id;
        let partitions: Partitions = [(id("t"), 0), (id("t"), 2), (id("u"), 0)].into_iter().collect();
        let bytes = write_assignment(1, &partitions, image.topics());
        assert_eq!(read_assignment(&bytes, image.topics()), Ok(partitions));
        assert_eq!(read_assignment(&bytes, other.topics()), Ok([(id("t"), 0), (id("t"), 2)].into_iter().collect()));
        assert_eq!(read_assignment(b"", image.topics()), Ok(Partitions::default()));
    }
}

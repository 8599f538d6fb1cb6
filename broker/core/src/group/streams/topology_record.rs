//! The value of the record that has the topology of a streams group: StreamsGroupTopology, version 0.

use bytes::{BufMut, BytesMut};

use super::topology::{CopartitionGroup, StreamsTopology, Subtopology, TopicInfo};
use crate::coordinator::{Reader, RecordError, put_compact_count, put_compact_string, put_tagged};

/// Reads the topology.
pub(super) fn read_topology(value: &mut Reader<'_>) -> Result<StreamsTopology, RecordError> {
    let epoch = value.i32()?;
    let topology = StreamsTopology { epoch, subtopologies: read_list(value, read_subtopology)? };
    value.end_of_struct()?;
    Ok(topology.sorted())
}

/// Writes the topology.
pub(super) fn put_topology(out: &mut BytesMut, topology: &StreamsTopology) {
    out.put_i32(topology.epoch);
    put_list(out, &topology.subtopologies, put_subtopology);
    put_tagged(out, &[]);
}

/// Reads keys and values.
pub(super) fn read_pairs(value: &mut Reader<'_>) -> Result<Vec<(String, String)>, RecordError> {
    let Some(count) = value.nullable_count(1)? else { return Ok(Vec::new()) };
    let pair = |value: &mut Reader<'_>| {
        let pair = (value.string()?, value.string()?);
        value.end_of_struct()?;
        Ok(pair)
    };
    (0..count).map(|_| pair(value)).collect()
}

/// Writes keys and values.
pub(super) fn put_pairs<'a>(out: &mut BytesMut, pairs: impl ExactSizeIterator<Item = (&'a String, &'a String)>) {
    put_compact_count(out, pairs.len());
    for (key, value) in pairs {
        put_compact_string(out, key);
        put_compact_string(out, value);
        put_tagged(out, &[]);
    }
}

fn read_list<T>(
    value: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, RecordError>,
) -> Result<Vec<T>, RecordError> {
    (0..value.count(1)?).map(|_| read(value)).collect()
}

fn put_list<T>(out: &mut BytesMut, list: &[T], put: impl Fn(&mut BytesMut, &T)) {
    put_compact_count(out, list.len());
    list.iter().for_each(|one| put(out, one));
}

fn read_subtopology(value: &mut Reader<'_>) -> Result<Subtopology, RecordError> {
    let subtopology = Subtopology {
        id: value.string()?.into(),
        source_topics: read_list(value, |name| name.string())?,
        source_topic_regexes: read_list(value, |name| name.string())?,
        changelog_topics: read_list(value, read_topic)?,
        repartition_sink_topics: read_list(value, |name| name.string())?,
        repartition_source_topics: read_list(value, read_topic)?,
        copartition_groups: read_list(value, read_copartition_group)?,
    };
    value.end_of_struct()?;
    Ok(subtopology)
}

fn put_subtopology(out: &mut BytesMut, subtopology: &Subtopology) {
    let put_name = |out: &mut BytesMut, name: &String| put_compact_string(out, name);
    put_compact_string(out, &subtopology.id);
    put_list(out, &subtopology.source_topics, put_name);
    put_list(out, &subtopology.source_topic_regexes, put_name);
    put_list(out, &subtopology.changelog_topics, put_topic);
    put_list(out, &subtopology.repartition_sink_topics, put_name);
    put_list(out, &subtopology.repartition_source_topics, put_topic);
    put_list(out, &subtopology.copartition_groups, put_copartition_group);
    put_tagged(out, &[]);
}

fn read_topic(value: &mut Reader<'_>) -> Result<TopicInfo, RecordError> {
    let topic = TopicInfo {
        name: value.string()?,
        partitions: value.i32()?,
        replication_factor: value.i16()?,
        configs: read_pairs(value)?,
    };
    value.end_of_struct()?;
    Ok(topic)
}

fn put_topic(out: &mut BytesMut, topic: &TopicInfo) {
    put_compact_string(out, &topic.name);
    out.put_i32(topic.partitions);
    out.put_i16(topic.replication_factor);
    put_pairs(out, topic.configs.iter().map(|(key, value)| (key, value)));
    put_tagged(out, &[]);
}

fn read_copartition_group(value: &mut Reader<'_>) -> Result<CopartitionGroup, RecordError> {
    let group = CopartitionGroup {
        source_topics: read_list(value, |place| place.i16())?,
        source_topic_regexes: read_list(value, |place| place.i16())?,
        repartition_source_topics: read_list(value, |place| place.i16())?,
    };
    value.end_of_struct()?;
    Ok(group)
}

fn put_copartition_group(out: &mut BytesMut, group: &CopartitionGroup) {
    let put_place = |out: &mut BytesMut, place: &i16| out.put_i16(*place);
    put_list(out, &group.source_topics, put_place);
    put_list(out, &group.source_topic_regexes, put_place);
    put_list(out, &group.repartition_source_topics, put_place);
    put_tagged(out, &[]);
}

//! The records of streams groups in Kafka's own format: keys 17 and 19 to 23 of `__consumer_offsets`. The values are all
//! of version 0, which is flexible. Those of topologies are in [`topology_record`](super::topology_record).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::group::{Change, GroupEpoch, NOT_VALIDATED};
use super::member::{Current, Profile, Progress};
use super::request::Endpoint;
use super::tasks::{Role, Task, TaskSets, Tasks};
use super::topology_record::{put_pairs, put_topology, read_pairs, read_topology};
use crate::coordinator::{
    EncodedRecord, Reader, RecordError, put_compact_count, put_compact_string, put_nullable_compact_string, put_string,
    put_tagged,
};
use crate::group::assigned::Assigned;
use crate::group::consumer::record::value_of;
use crate::group::record::{as_milliseconds, milliseconds};

const GROUP: i16 = 17;
const MEMBER: i16 = 19;
const ASSIGNMENT_EPOCH: i16 = 20;
const TARGET: i16 = 21;
const CURRENT: i16 = 22;
const TOPOLOGY: i16 = 23;

/// Tags of the value of a group.
const VALIDATED_TOPOLOGY: u32 = 0;
const CONFIGS: u32 = 1;
/// Tag of the epochs of tasks.
const SINCE: u32 = 0;

/// A change of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) group: Arc<str>,
    pub(crate) change: Change,
}

/// Whether a record whose key is of kind `kind` belongs here.
pub(crate) fn is_known(kind: i16) -> bool {
    matches!(kind, GROUP | MEMBER..=TOPOLOGY)
}

/// Reads a record whose key is of kind `kind`, which was read from `key` already; none if it is of no kind known here.
pub(crate) fn decode(kind: i16, mut key: Reader<'_>, value: Option<&[u8]>) -> Result<Option<Record>, RecordError> {
    if !is_known(kind) {
        return Ok(None);
    }
    let group = key.string()?.into();
    let mut value = value.map(Reader::new);
    if let Some(value) = &mut value {
        value.value_version(0..=0, 0)?;
    }
    let value = value.as_mut();
    let change = match kind {
        GROUP => Change::Epoch(value.map(read_epoch).transpose()?),
        MEMBER => Change::Member(key.string()?.into(), value.map(read_profile).transpose()?),
        ASSIGNMENT_EPOCH => Change::AssignmentEpoch(value.map(Assigned::read).transpose()?),
        TARGET => Change::Target(key.string()?.into(), value.map(read_target).transpose()?),
        CURRENT => Change::Current(key.string()?.into(), value.map(read_current).transpose()?),
        _ => Change::Topology(value.map(read_topology).transpose()?),
    };
    Ok(Some(Record { group, change }))
}

impl Record {
    /// Writes the record. Texts of keys are at most [`MAX_STRING`](crate::coordinator::MAX_STRING) bytes; longer ones
    /// are refused at the door.
    pub(crate) fn encode(&self) -> EncodedRecord {
        let (kind, member) = match &self.change {
            Change::Epoch(_) => (GROUP, None),
            Change::Member(id, _) => (MEMBER, Some(id)),
            Change::AssignmentEpoch(_) => (ASSIGNMENT_EPOCH, None),
            Change::Target(id, _) => (TARGET, Some(id)),
            Change::Current(id, _) => (CURRENT, Some(id)),
            Change::Topology(_) => (TOPOLOGY, None),
        };
        let mut key = BytesMut::new();
        key.put_i16(kind);
        put_string(&mut key, &self.group);
        if let Some(member) = member {
            put_string(&mut key, member);
        }
        let value = (!self.change.is_deletion()).then(|| value_of(|out| put_change(out, &self.change)));
        EncodedRecord { key: key.freeze(), value }
    }
}

fn put_change(out: &mut BytesMut, change: &Change) {
    match change {
        Change::Epoch(Some(epoch)) => put_epoch(out, epoch),
        Change::Member(_, Some(profile)) => put_profile(out, profile),
        Change::AssignmentEpoch(Some(assigned)) => assigned.put(out),
        Change::Target(_, Some(target)) => {
            put_sets(out, target, None);
            put_tagged(out, &[]);
        }
        Change::Current(_, Some(current)) => put_current(out, current),
        Change::Topology(Some(topology)) => put_topology(out, topology),
        // A deletion has no value.
        _ => {}
    }
}

fn read_epoch(value: &mut Reader<'_>) -> Result<GroupEpoch, RecordError> {
    let (epoch, metadata_hash) = (value.i32()?, value.i64()?);
    let (mut validated_topology, mut configs) = (NOT_VALIDATED, BTreeMap::new());
    value.tagged(|tag, field| {
        match tag {
            VALIDATED_TOPOLOGY => validated_topology = field.i32()?,
            CONFIGS => configs = read_pairs(field)?.into_iter().collect(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(GroupEpoch { epoch, metadata_hash, validated_topology, configs })
}

fn put_epoch(out: &mut BytesMut, group: &GroupEpoch) {
    out.put_i32(group.epoch);
    out.put_i64(group.metadata_hash);
    let mut fields = Vec::new();
    if group.validated_topology != NOT_VALIDATED {
        fields.push((VALIDATED_TOPOLOGY, group.validated_topology.to_be_bytes().to_vec()));
    }
    if !group.configs.is_empty() {
        let mut configs = BytesMut::new();
        put_pairs(&mut configs, group.configs.iter());
        fields.push((CONFIGS, configs.to_vec()));
    }
    put_tagged(out, &fields);
}

fn read_profile(value: &mut Reader<'_>) -> Result<Profile, RecordError> {
    let profile = Profile {
        instance_id: value.nullable_string()?,
        rack_id: value.nullable_string()?,
        client_id: value.string()?,
        client_host: value.string()?,
        rebalance_timeout: milliseconds(value.i32()?),
        topology_epoch: value.i32()?,
        process_id: value.string()?,
        user_endpoint: read_endpoint(value)?,
        client_tags: read_pairs(value)?.into_iter().collect(),
    };
    value.end_of_struct()?;
    Ok(profile)
}

/// A nullable struct begins with whether it is there.
fn read_endpoint(value: &mut Reader<'_>) -> Result<Option<Endpoint>, RecordError> {
    if value.i8()? < 0 {
        return Ok(None);
    }
    let endpoint = Endpoint { host: value.string()?, port: u16::from_be_bytes(value.array()?) };
    value.end_of_struct()?;
    Ok(Some(endpoint))
}

fn put_profile(out: &mut BytesMut, profile: &Profile) {
    put_nullable_compact_string(out, profile.instance_id.as_deref());
    put_nullable_compact_string(out, profile.rack_id.as_deref());
    put_compact_string(out, &profile.client_id);
    put_compact_string(out, &profile.client_host);
    out.put_i32(as_milliseconds(profile.rebalance_timeout));
    out.put_i32(profile.topology_epoch);
    put_compact_string(out, &profile.process_id);
    match &profile.user_endpoint {
        None => out.put_i8(-1),
        Some(endpoint) => {
            out.put_i8(1);
            put_compact_string(out, &endpoint.host);
            out.put_u16(endpoint.port);
            put_tagged(out, &[]);
        }
    }
    put_pairs(out, profile.client_tags.iter());
    put_tagged(out, &[]);
}

fn read_target(value: &mut Reader<'_>) -> Result<TaskSets, RecordError> {
    let target = read_sets(value, &mut |_, _| {})?;
    value.end_of_struct()?;
    Ok(target)
}

fn read_current(value: &mut Reader<'_>) -> Result<Current, RecordError> {
    let mut current = Current {
        epoch: value.i32()?,
        previous_epoch: value.i32()?,
        progress: Progress::from_number(value.i8()?),
        ..Current::default()
    };
    let mut since = BTreeMap::new();
    let mut note = |task, epoch| {
        since.insert(task, epoch);
    };
    current.assigned = read_sets(value, &mut note)?;
    current.revoking = read_sets(value, &mut note)?;
    value.end_of_struct()?;
    Ok(Current { since, ..current }.date())
}

fn put_current(out: &mut BytesMut, current: &Current) {
    out.put_i32(current.epoch);
    out.put_i32(current.previous_epoch);
    out.put_i8(current.progress as i8);
    put_sets(out, &current.assigned, Some(&current.since));
    put_sets(out, &current.revoking, Some(&current.since));
    put_tagged(out, &[]);
}

/// Gives the epoch of each active task that has one to `since`.
fn read_sets(value: &mut Reader<'_>, since: &mut impl FnMut(Task, i32)) -> Result<TaskSets, RecordError> {
    let mut sets = TaskSets::default();
    for role in Role::ALL {
        *sets.of_mut(role) = read_tasks(value, since)?;
    }
    Ok(sets)
}

fn read_tasks(value: &mut Reader<'_>, since: &mut impl FnMut(Task, i32)) -> Result<Tasks, RecordError> {
    let mut tasks = Tasks::default();
    for _ in 0..value.count(1)? {
        let subtopology: Arc<str> = value.string()?.into();
        let partitions = read_numbers(value)?;
        value.tagged(|tag, field| {
            if tag == SINCE {
                let epochs =
                    field.nullable_count(4)?.map_or(Ok(Vec::new()), |count| read_some_numbers(field, count))?;
                for (partition, epoch) in partitions.iter().zip(epochs) {
                    since((Arc::clone(&subtopology), *partition), epoch);
                }
            }
            Ok(())
        })?;
        partitions.into_iter().for_each(|partition| tasks.insert((Arc::clone(&subtopology), partition)));
    }
    Ok(tasks)
}

fn read_numbers(value: &mut Reader<'_>) -> Result<Vec<i32>, RecordError> {
    let count = value.count(4)?;
    read_some_numbers(value, count)
}

fn read_some_numbers(value: &mut Reader<'_>, count: usize) -> Result<Vec<i32>, RecordError> {
    (0..count).map(|_| value.i32()).collect()
}

/// Writes the tasks of every role, active ones with their epochs if these are given.
fn put_sets(out: &mut BytesMut, sets: &TaskSets, since: Option<&BTreeMap<Task, i32>>) {
    for role in Role::ALL {
        let tasks = sets.of(role);
        put_compact_count(out, tasks.subtopologies().len());
        for (subtopology, partitions) in tasks.subtopologies() {
            put_compact_string(out, subtopology);
            put_compact_count(out, partitions.len());
            partitions.iter().for_each(|partition| out.put_i32(*partition));
            match since.filter(|_| role == Role::Active) {
                None => put_tagged(out, &[]),
                Some(since) => {
                    let mut epochs = BytesMut::new();
                    put_compact_count(&mut epochs, partitions.len());
                    for partition in partitions {
                        let task = (Arc::clone(subtopology), *partition);
                        epochs.put_i32(since.get(&task).copied().unwrap_or_default());
                    }
                    put_tagged(out, &[(SINCE, epochs.to_vec())]);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;

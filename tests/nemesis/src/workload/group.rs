//! A member of a consumer group by the classic protocol: joins, reads its partitions, commits after every poll.
//!
//! After a call whose outcome is open it joins anew, so that a late commit of its old generation is refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::client::{Client, ClientConfig};
use ottla_protocol::codec::Str;
use ottla_protocol::messages::join_group::JoinGroupRequestProtocol;
use ottla_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use ottla_protocol::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ottla_protocol::messages::sync_group::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
};

use super::ask::Asker;
use super::consumer::{next_offset, poll};
use super::{GROUP, Place, Shared, TOPIC};
use crate::history::{Commit, Committed, Event, Recorder};
use crate::process::quick_client;

/// A member's place in a generation.
struct Seat {
    member: Str,
    generation: i32,
    /// Partitions and the offsets to read next.
    offsets: BTreeMap<i32, i64>,
}

/// Is a member until told to stop. `places` are the partitions of the topic, by index.
pub(super) async fn member(shared: Shared, number: usize, places: Arc<[Place]>) -> anyhow::Result<()> {
    let config = ClientConfig { request_timeout: Duration::from_secs(12), ..quick_client(Duration::from_secs(12)) };
    let client = shared.client(config).await?;
    let reading = shared.asker().await?;
    let mut id = Str::default();
    let mut lives = 0;
    while !shared.stopped() {
        match join(&client, &mut id, places.len() as i32).await {
            Ok(mut seat) => {
                lives += 1;
                let name = format!("member-{number}-{lives}");
                if begin(&shared, &client, &mut seat).await.is_ok() {
                    // However it ends, the next thing is to join again.
                    let _ = take_part(&shared, &client, (&reading, &places), &mut seat, &name).await;
                }
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    Ok(())
}

async fn join(client: &Client, id: &mut Str, partitions: i32) -> anyhow::Result<Seat> {
    let answer = loop {
        let protocol = JoinGroupRequestProtocol { name: "nemesis".into(), metadata: Bytes::from_static(b"-") };
        let request = JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: 6_000,
            rebalance_timeout_ms: 6_000,
            member_id: id.clone(),
            protocol_type: "nemesis".into(),
            protocols: vec![protocol],
            ..Default::default()
        };
        let answer = client.send_to_coordinator(GROUP, &request).await?;
        match answer.error_code {
            ErrorCode::NONE => break answer,
            ErrorCode::MEMBER_ID_REQUIRED => *id = answer.member_id,
            ErrorCode::UNKNOWN_MEMBER_ID => *id = Str::default(),
            code => anyhow::bail!("join: {code:?}"),
        }
    };
    *id = answer.member_id.clone();
    let request = SyncGroupRequest {
        group_id: GROUP.into(),
        generation_id: answer.generation_id,
        member_id: answer.member_id.clone(),
        protocol_type: Some("nemesis".into()),
        protocol_name: Some("nemesis".into()),
        assignments: if answer.leader == answer.member_id { assign(&answer, partitions) } else { Vec::new() },
        ..Default::default()
    };
    let synced = client.send_to_coordinator(GROUP, &request).await?;
    ensure!(synced.error_code == ErrorCode::NONE, "sync: {:?}", synced.error_code);
    let offsets = synced.assignment.iter().map(|partition| (i32::from(*partition), -1)).collect();
    Ok(Seat { member: answer.member_id, generation: answer.generation_id, offsets })
}

/// Partitions in turn; an assignment is a byte for each.
fn assign(answer: &JoinGroupResponse, partitions: i32) -> Vec<SyncGroupRequestAssignment> {
    let members = answer.members.len();
    let of =
        |index: usize| (0..partitions as u8).filter(|partition| usize::from(*partition) % members == index).collect();
    let one = |(index, member): (usize, &ottla_protocol::messages::join_group::JoinGroupResponseMember)| {
        let assignment: Vec<u8> = of(index);
        SyncGroupRequestAssignment { member_id: member.member_id.clone(), assignment: assignment.into() }
    };
    answer.members.iter().enumerate().map(one).collect()
}

/// Learns where the group is.
async fn begin(shared: &Shared, client: &Client, seat: &mut Seat) -> anyhow::Result<()> {
    let partitions = seat.offsets.keys().copied().collect();
    for (partition, offset) in recorded_offsets(client, &shared.recorder, partitions).await? {
        seat.offsets.insert(partition, offset.max(0));
    }
    Ok(())
}

/// Asks where the group is in every partition, and records the answer.
pub async fn read_committed_offsets(
    client: &Client,
    recorder: &Recorder,
    partitions: i32,
    within: Duration,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    loop {
        match recorded_offsets(client, recorder, (0..partitions).collect()).await {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(100)).await,
            outcome => return outcome.map(drop),
        }
    }
}

async fn recorded_offsets(
    client: &Client,
    recorder: &Recorder,
    partitions: Vec<i32>,
) -> anyhow::Result<Vec<(i32, i64)>> {
    let invoked = recorder.now();
    let offsets = fetch_committed(client, partitions).await?;
    let completed = recorder.now();
    for (partition, offset) in offsets.iter().copied() {
        let committed = Committed { group: GROUP.into(), partition, offset, invoked, completed };
        recorder.record(Event::Committed(committed));
    }
    Ok(offsets)
}

/// The committed offsets of the group; −1 where there is none.
async fn fetch_committed(client: &Client, partitions: Vec<i32>) -> anyhow::Result<Vec<(i32, i64)>> {
    let asked = partitions.len();
    let topic = OffsetFetchRequestTopics { name: TOPIC.into(), partition_indexes: partitions, ..Default::default() };
    let group = OffsetFetchRequestGroup { group_id: GROUP.into(), topics: Some(vec![topic]), ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
    let answer = client.send_to_coordinator(GROUP, &request).await?;
    let group = answer.groups.into_iter().next().context("the answer lacks the group")?;
    ensure!(group.error_code == ErrorCode::NONE, "offsets: {:?}", group.error_code);
    let partitions: Vec<_> = group.topics.into_iter().flat_map(|topic| topic.partitions).collect();
    ensure!(partitions.len() == asked, "{} of {asked} offsets were answered", partitions.len());
    let bad = partitions.iter().find(|partition| partition.error_code.is_error());
    ensure!(bad.is_none(), "offsets: {bad:?}");
    Ok(partitions.into_iter().map(|partition| (partition.partition_index, partition.committed_offset)).collect())
}

/// Polls, commits and says that it lives, until an error or a rebalance.
async fn take_part(
    shared: &Shared,
    client: &Client,
    (reading, places): (&Asker, &[Place]),
    seat: &mut Seat,
    name: &str,
) -> anyhow::Result<()> {
    let mut heartbeat = Instant::now();
    while !shared.stopped() {
        for (partition, offset) in seat.offsets.clone() {
            let place = places.get(partition as usize).context("no such partition was given out")?;
            if let Ok(read) = poll(reading, &shared.recorder, name, place, offset).await {
                let next = next_offset(&read);
                shared.recorder.record(Event::Read(read));
                if next > offset {
                    commit(shared, client, seat, partition, next).await?;
                    seat.offsets.insert(partition, next);
                }
            }
            if heartbeat.elapsed() > Duration::from_millis(500) {
                heartbeat = Instant::now();
                let request = HeartbeatRequest {
                    group_id: GROUP.into(),
                    generation_id: seat.generation,
                    member_id: seat.member.clone(),
                    ..Default::default()
                };
                let code = client.send_to_coordinator(GROUP, &request).await?.error_code;
                ensure!(code == ErrorCode::NONE, "heartbeat: {code:?}");
            }
        }
        if seat.offsets.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

async fn commit(shared: &Shared, client: &Client, seat: &Seat, partition: i32, offset: i64) -> anyhow::Result<()> {
    let committed =
        OffsetCommitRequestPartition { partition_index: partition, committed_offset: offset, ..Default::default() };
    let topic = OffsetCommitRequestTopic { name: TOPIC.into(), partitions: vec![committed], ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: GROUP.into(),
        generation_id_or_member_epoch: seat.generation,
        member_id: seat.member.clone(),
        topics: vec![topic],
        ..Default::default()
    };
    let invoked = shared.recorder.now();
    let answer = client.send_to_coordinator(GROUP, &request).await;
    let code =
        answer.map(|answer| answer.topics.iter().flat_map(|topic| &topic.partitions).next().map(|p| p.error_code));
    let acked = matches!(code, Ok(Some(ErrorCode::NONE)));
    let completed = shared.recorder.now();
    let commit = Commit { group: GROUP.into(), partition, offset, invoked, completed, acked };
    shared.recorder.record(Event::Commit(commit));
    ensure!(acked, "commit: {code:?}");
    Ok(())
}

//! The way of a partition's leader to the share coordinator: to the broker that leads its partition, which may be this one.

use std::sync::Arc;
use std::time::Duration;

use ottla_core::share::Key;
use ottla_core::share::state::{Request, Response, State, Write};
use ottla_core::{BrokerId, LeaderEpoch, Offset, StateEpoch};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::read_share_group_state::{self as read, ReadShareGroupStateRequest, ReadStateData};
use ottla_protocol::messages::write_share_group_state::{self as write, WriteShareGroupStateRequest, WriteStateData};
use tokio::time::Instant;
use tracing::debug;

use super::{place, wire};
use crate::api::error::{of_share_state, of_unavailable};
use crate::broker::Broker;

/// How long a coordinator is looked for: a change of its leader takes less.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an attempt that failed rests.
const REST: Duration = Duration::from_millis(50);

/// Reads what is kept of `key` for its leader of `epoch`, which fences the leaders before.
pub async fn read_state(broker: &Arc<Broker>, key: &Key, epoch: LeaderEpoch) -> Result<State, ErrorCode> {
    match pursue(broker, &Request::Read(key.clone(), epoch)).await? {
        Response::State(result) => result.map_err(of_share_state),
        other => Err(unexpected(&other)),
    }
}

/// Has `write` kept of `key`.
pub async fn write_state(broker: &Arc<Broker>, key: &Key, write: &Write) -> Result<(), ErrorCode> {
    match pursue(broker, &Request::Write(key.clone(), write.clone())).await? {
        Response::Done(result) => result.map_err(of_share_state),
        other => Err(unexpected(&other)),
    }
}

/// Makes attempts until one has an answer that counts.
async fn pursue(broker: &Arc<Broker>, request: &Request) -> Result<Response, ErrorCode> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt(broker, request).await {
            Err(code) if is_passing(code) && Instant::now() < deadline => {
                debug!(key = ?request.key(), %code, "the share coordinator cannot be asked yet");
                tokio::time::sleep(REST).await;
            }
            result => return result,
        }
    }
}

async fn attempt(broker: &Arc<Broker>, request: &Request) -> Result<Response, ErrorCode> {
    let response = match place::coordinator_of(&broker.image(), request.key()) {
        None => return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE),
        Some(leader) if leader == broker.id() => ask_here(broker, request).await?,
        Some(leader) => match request {
            Request::Read(key, epoch) => Response::State(Ok(read_there(broker, leader, key, *epoch).await?)),
            Request::Write(key, write) => Response::Done(Ok(write_there(broker, leader, key, write).await?)),
            // Those are for group coordinators to ask.
            _ => return Err(ErrorCode::INVALID_REQUEST),
        },
    };
    match response {
        Response::State(Err(error)) | Response::Done(Err(error)) => Err(of_share_state(error)),
        response => Ok(response),
    }
}

/// Whether another attempt at asking a share coordinator may have another answer than this.
pub fn is_passing(code: ErrorCode) -> bool {
    [ErrorCode::NOT_COORDINATOR, ErrorCode::COORDINATOR_NOT_AVAILABLE, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS]
        .contains(&code)
}

async fn ask_here(broker: &Broker, request: &Request) -> Result<Response, ErrorCode> {
    let image = broker.image();
    let partition = place::state_partition(&image, request.key()).ok_or(ErrorCode::NOT_COORDINATOR)?;
    broker.share_states.followed(image.index()).await;
    broker.share_states.call(partition, request.clone()).await.map_err(of_unavailable)
}

async fn read_there(broker: &Broker, leader: BrokerId, key: &Key, epoch: LeaderEpoch) -> Result<State, ErrorCode> {
    let partition = read::PartitionData { partition: key.partition, leader_epoch: epoch.0 };
    let topics = vec![ReadStateData { topic_id: key.topic.0, partitions: vec![partition] }];
    let request = ReadShareGroupStateRequest { group_id: key.group.as_str().into(), topics };
    let response = broker.peers.call(broker, leader, &request).await.map_err(|error| unanswered(leader, &error))?;
    let found = response.results.into_iter().flat_map(|topic| topic.partitions).next();
    let found = found.ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?;
    found.error_code.ok()?;
    Ok(State {
        state_epoch: StateEpoch(found.state_epoch),
        start: (found.start_offset >= 0).then_some(Offset(found.start_offset)),
        batches: wire::of_read(&found.state_batches).ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?,
    })
}

async fn write_there(broker: &Broker, leader: BrokerId, key: &Key, new: &Write) -> Result<(), ErrorCode> {
    let partition = write::PartitionData {
        partition: key.partition,
        state_epoch: new.state_epoch.0,
        leader_epoch: new.leader_epoch.0,
        start_offset: new.start.map_or(-1, |start| start.0),
        delivery_complete_count: new.complete.map_or(-1, |count| i32::try_from(count).unwrap_or(i32::MAX)),
        state_batches: wire::to_write(&new.batches),
    };
    let topics = vec![WriteStateData { topic_id: key.topic.0, partitions: vec![partition] }];
    let request = WriteShareGroupStateRequest { group_id: key.group.as_str().into(), topics };
    let response = broker.peers.call(broker, leader, &request).await.map_err(|error| unanswered(leader, &error))?;
    let done = response.results.into_iter().flat_map(|topic| topic.partitions).next();
    done.ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?.error_code.ok()
}

fn unanswered(leader: BrokerId, error: &crate::txn::Unanswered) -> ErrorCode {
    debug!(%leader, %error, "the share coordinator gives no answer");
    ErrorCode::COORDINATOR_NOT_AVAILABLE
}

/// The coordinator answered another question than was asked: a fault of ours.
fn unexpected(response: &Response) -> ErrorCode {
    tracing::error!(?response, "the share coordinator gave an answer of the wrong kind");
    ErrorCode::UNKNOWN_SERVER_ERROR
}

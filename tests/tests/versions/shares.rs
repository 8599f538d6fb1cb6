//! Members of share groups: what they fetch and what they say of it (KIP-932, KIP-1206, KIP-1222).

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::{
    ShareAcknowledgeRequest, ShareFetchRequest, ShareFetchResponse, share_acknowledge as acknowledge,
    share_fetch as fetch,
};

use super::share_states::{begin, new_group, summary_of};
use super::world::{Scenario, Topic, World, scenario, values};

pub const SCENARIOS: &[(ottla_protocol::ApiKey, Scenario)] =
    &[scenario!(ShareFetch, share_fetch), scenario!(ShareAcknowledge, share_acknowledge)];

const NONE: ErrorCode = ErrorCode::NONE;
const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;
const RENEW: i8 = 4;

/// A group that has begun with an empty topic.
async fn begun(world: &mut World) -> (Str, Topic) {
    let of = new_group(world).await;
    assert_eq!(begin(world, 0, &of, 1, 0).await, NONE);
    of
}

fn asking(of: &(Str, Topic), member: &str, epoch: i32) -> ShareFetchRequest {
    let partitions = vec![fetch::FetchPartition::default()];
    ShareFetchRequest {
        group_id: Some(of.0.clone()),
        member_id: Some(member.into()),
        share_session_epoch: epoch,
        max_wait_ms: 0,
        min_bytes: 1,
        max_records: 100,
        batch_size: 100,
        topics: vec![fetch::FetchTopic { topic_id: of.1.id, partitions }],
        ..Default::default()
    }
}

/// The values of an answer, and what of them is the member's: first offset, last offset, deliveries.
fn got(answer: &ShareFetchResponse) -> (Vec<String>, Vec<(i64, i64, i16)>) {
    assert_eq!(answer.error_code, NONE, "{answer:?}");
    let partition = &answer.responses[0].partitions[0];
    assert_eq!((partition.error_code, partition.acknowledge_error_code), (NONE, NONE), "{answer:?}");
    let acquired = partition.acquired_records.iter();
    let acquired = acquired.map(|one| (one.first_offset, one.last_offset, one.delivery_count)).collect();
    (values(Some(&partition.records)).into_iter().map(|(_, value)| value).collect(), acquired)
}

async fn share_fetch(world: &mut World, version: i16) {
    let of = begun(world).await;
    assert_eq!(world.call(&asking(&of, "m", 1), version).await.error_code, ErrorCode::SHARE_SESSION_NOT_FOUND);
    assert_eq!(got(&world.call(&asking(&of, "m", 0), version).await), (vec![], vec![]));
    world.write(&of.1, &["a", "b", "c"]).await;
    let answer = world.call(&asking(&of, "m", 1), version).await;
    assert_eq!(got(&answer), (["a", "b", "c"].map(String::from).to_vec(), vec![(0, 2, 1)]));
    assert_eq!(answer.acquisition_lock_timeout_ms, 30_000);
    assert_eq!(world.call(&asking(&of, "m", 1), version).await.error_code, ErrorCode::INVALID_SHARE_SESSION_EPOCH);
    assert_eq!(got(&world.call(&asking(&of, "other", 0), version).await).1, vec![], "another has them");

    let mut next = asking(&of, "m", 2);
    let said = fetch::AcknowledgementBatch {
        first_offset: 0,
        last_offset: 2,
        acknowledge_types: vec![ACCEPT, ACCEPT, RELEASE],
    };
    next.topics[0].partitions[0].acknowledgement_batches = vec![said];
    let (values, acquired) = got(&world.call(&next, version).await);
    assert_eq!((values.len(), acquired), (3, vec![(2, 2, 2)]), "whole batches of the log, and what is theirs of them");
    if version >= 2 {
        world.write(&of.1, &["d", "e", "f"]).await;
        let strict = ShareFetchRequest { share_acquire_mode: 1, max_records: 2, ..asking(&of, "m", 3) };
        assert_eq!(got(&world.call(&strict, version).await).1, [(3, 4, 1)]);
    }
    let last = ShareFetchRequest { topics: vec![], ..asking(&of, "m", -1) };
    assert_eq!(world.call(&last, version).await.error_code, NONE);
    let (_, acquired) = got(&world.call(&asking(&of, "other", 1), version).await);
    assert_eq!(acquired[0], (2, 2, 3), "what a member had goes to another when it leaves");
    assert_eq!(summary_of(world, 1, &of).await.start_offset, 2);
}

async fn say(
    world: &mut World,
    version: i16,
    of: &(Str, Topic),
    epoch: i32,
    (first_offset, last_offset, kind): (i64, i64, i8),
) -> (ErrorCode, ErrorCode) {
    let said = acknowledge::AcknowledgementBatch { first_offset, last_offset, acknowledge_types: vec![kind] };
    let partition = acknowledge::AcknowledgePartition { partition_index: 0, acknowledgement_batches: vec![said] };
    let request = ShareAcknowledgeRequest {
        group_id: Some(of.0.clone()),
        member_id: Some("m".into()),
        share_session_epoch: epoch,
        is_renew_ack: kind == RENEW && version >= 2,
        topics: vec![acknowledge::AcknowledgeTopic { topic_id: of.1.id, partitions: vec![partition] }],
    };
    let answer = world.call(&request, version).await;
    let of_partition = answer.responses.first().map_or(NONE, |topic| topic.partitions[0].error_code);
    (answer.error_code, of_partition)
}

async fn share_acknowledge(world: &mut World, version: i16) {
    let of = begun(world).await;
    world.write(&of.1, &["a", "b", "c"]).await;
    assert_eq!(say(world, version, &of, 1, (0, 0, ACCEPT)).await.0, ErrorCode::SHARE_SESSION_NOT_FOUND);
    assert_eq!(got(&world.call(&asking(&of, "m", 0), 1).await).1, [(0, 2, 1)]);
    assert_eq!(say(world, version, &of, 0, (0, 0, ACCEPT)).await.0, ErrorCode::INVALID_SHARE_SESSION_EPOCH);
    let renewed = if version >= 2 { NONE } else { ErrorCode::INVALID_REQUEST };
    assert_eq!(say(world, version, &of, 1, (0, 2, RENEW)).await, (NONE, renewed));
    assert_eq!(say(world, version, &of, 2, (0, 1, ACCEPT)).await, (NONE, NONE));
    assert_eq!(say(world, version, &of, 3, (2, 9, ACCEPT)).await, (NONE, ErrorCode::INVALID_REQUEST));
    assert_eq!(say(world, version, &of, 4, (2, 2, RELEASE)).await, (NONE, NONE));
    assert_eq!(say(world, version, &of, 5, (2, 2, ACCEPT)).await, (NONE, ErrorCode::INVALID_RECORD_STATE));
    assert_eq!(summary_of(world, 1, &of).await.start_offset, 2);
    assert_eq!(say(world, version, &of, -1, (2, 2, 9)).await, (NONE, ErrorCode::INVALID_REQUEST));
    assert_eq!(say(world, version, &of, 6, (2, 2, ACCEPT)).await.0, ErrorCode::SHARE_SESSION_NOT_FOUND);
}

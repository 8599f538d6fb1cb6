//! Valid requests of every API, damaged at random: each is answered, or its connection closed, in time.

use bytes::Bytes;
use ottla_protocol::codec::{Records, Request};
use ottla_protocol::frame::encode_request;
use ottla_protocol::messages;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::io::AsyncWriteExt as _;

use super::process::Process;
use super::watch::Watch;
use super::wire::Wire;
use super::{ANSWERED, bombs};

const SEED: u64 = 20_261_124;
const FRAMES: usize = 4000;
/// Connections at work at a time.
const SIDE_BY_SIDE: usize = 16;

/// Appends frames of `request` in all its versions that can say what it says.
fn encode<R: Request>(frames: &mut Vec<Bytes>, request: &R) {
    frames.extend(R::VERSIONS.filter_map(|version| Some(encode_request(request, version, 7, None).ok()?.bytes)));
}

/// The frames that are damaged: requests that say something, for what carries data, and every other one as it is made.
fn valid() -> Vec<Bytes> {
    use messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
    use messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
    use messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
    let mut frames = Vec::new();
    let data = PartitionProduceData { index: 0, records: Some(Records::Bytes(bombs::plain())) };
    let topic_data =
        vec![TopicProduceData { name: "mutants".into(), partition_data: vec![data], ..Default::default() }];
    encode(&mut frames, &ProduceRequest { acks: -1, timeout_ms: 500, topic_data, ..Default::default() });
    let partitions = vec![FetchPartition { partition_max_bytes: 1 << 20, ..Default::default() }];
    let topics = vec![FetchTopic { topic: "mutants".into(), partitions, ..Default::default() }];
    encode(&mut frames, &FetchRequest { max_bytes: 1 << 20, topics, ..Default::default() });
    let partitions = vec![ListOffsetsPartition { timestamp: 1, ..Default::default() }];
    let topics = vec![ListOffsetsTopic { name: "mutants".into(), partitions }];
    encode(&mut frames, &ListOffsetsRequest { replica_id: -1, topics, ..Default::default() });
    macro_rules! defaults {
        ($($module:ident::$request:ident),+ $(,)?) => {
            $(encode(&mut frames, &messages::$module::$request::default());)+
        };
    }
    defaults!(
        metadata::MetadataRequest,
        offset_commit::OffsetCommitRequest,
        offset_fetch::OffsetFetchRequest,
        find_coordinator::FindCoordinatorRequest,
        join_group::JoinGroupRequest,
        heartbeat::HeartbeatRequest,
        leave_group::LeaveGroupRequest,
        sync_group::SyncGroupRequest,
        describe_groups::DescribeGroupsRequest,
        list_groups::ListGroupsRequest,
        api_versions::ApiVersionsRequest,
        create_topics::CreateTopicsRequest,
        delete_topics::DeleteTopicsRequest,
        delete_records::DeleteRecordsRequest,
        init_producer_id::InitProducerIdRequest,
        offset_for_leader_epoch::OffsetForLeaderEpochRequest,
        describe_configs::DescribeConfigsRequest,
        alter_configs::AlterConfigsRequest,
        describe_log_dirs::DescribeLogDirsRequest,
        create_partitions::CreatePartitionsRequest,
        delete_groups::DeleteGroupsRequest,
        incremental_alter_configs::IncrementalAlterConfigsRequest,
        offset_delete::OffsetDeleteRequest,
        describe_cluster::DescribeClusterRequest,
        list_config_resources::ListConfigResourcesRequest,
        describe_topic_partitions::DescribeTopicPartitionsRequest,
    );
    frames
}

/// A damaged copy: bytes changed or cut behind the header, its size made right in most cases.
fn damaged(frame: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(8..bytes.len().max(9)).min(bytes.len() - 1);
        match random.random_range(0..5) {
            0 => bytes[at] = random.random(),
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes[at..].fill(0x7f),
            3 => bytes.insert(at, random.random()),
            _ => bytes.truncate(at.max(12)),
        }
    }
    if random.random_range(0..8) > 0 {
        let size = bytes.len() as u32 - 4;
        bytes[..4].copy_from_slice(&size.to_be_bytes());
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_requests_of_every_api_are_answered_or_end_their_connection() {
    eprintln!("seed {SEED}");
    let mut random = StdRng::seed_from_u64(SEED);
    let mut broker = Process::start(&["offsets.topic.num.partitions=1"]);
    broker.client().await.create_topic("mutants", 1, 1, &[]).await.unwrap();
    let valid = valid();
    let watch = Watch::begin(&broker).await;
    let mut mutants: Vec<Vec<u8>> =
        (0..FRAMES).map(|index| damaged(&valid[index % valid.len()], &mut random)).collect();
    let mut answered = 0;
    let mut tasks = Vec::new();
    for share in mutants.chunks_mut(FRAMES / SIDE_BY_SIDE) {
        let (share, address) = (share.to_vec(), broker.address.clone());
        tasks.push(tokio::spawn(async move {
            let mut answered = 0;
            for bytes in share {
                let mut wire = Wire::connect(&address).await;
                // It may be closed at the first bytes already. Ended after the request, the connection has to end in
                // time even where the damage has made it one that waits.
                let _ = wire.0.write_all(&bytes).await;
                let _ = wire.0.shutdown().await;
                let (count, closed) = wire.drain(ANSWERED).await;
                assert!(closed, "seed {SEED}: neither answered nor closed: {bytes:02x?}");
                answered += usize::from(count > 0);
            }
            answered
        }));
    }
    for task in tasks {
        answered += task.await.unwrap();
    }
    watch.end(&format!("{FRAMES} damaged requests of {} frames, {answered} answered", valid.len())).await;
    assert!(answered > FRAMES / 20, "only {answered} were understood");
    assert_eq!(broker.complaints(), [""; 0]);
    assert!(broker.is_running());
}

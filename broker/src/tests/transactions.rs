//! Transactions over the wire, by the rules of both versions: what is stored, what is seen, and who is fenced.

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use ottla_protocol::messages::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::describe_producers::{DescribeProducersRequest, TopicRequest};
use ottla_protocol::messages::describe_transactions::DescribeTransactionsRequest;
use ottla_protocol::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use ottla_protocol::messages::fetch::{FetchRequest, PartitionData};
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use ottla_protocol::messages::list_transactions::ListTransactionsRequest;
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponsePartitions,
};
use ottla_protocol::messages::produce::{PartitionProduceResponse, ProduceRequest};
use ottla_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::write_txn_markers::{WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest};
use ottla_records::{Attributes, BatchBuilder, Compression, ProducerStamp, batches};

use super::produce_fetch::{fetch, produce};
use super::raw::Raw;
use crate::testing::{TestBroker, TestCluster, eventually_some};

const ID: &str = "copy-0";
/// Produce and TxnOffsetCommit of clients of version 1 and version 2 of transactions.
const V1: (i16, i16) = (11, 4);
const V2: (i16, i16) = (12, 5);

/// One producer and the broker it talks to.
struct Bench {
    raw: Raw,
    producer: InitProducerIdResponse,
    sequence: i32,
    versions: (i16, i16),
}

impl Bench {
    async fn start(versions: (i16, i16)) -> (TestBroker, Self) {
        let broker = TestBroker::start_with(&SINGLE).await;
        broker.create_topic("t", 1, &[]).await;
        let raw = Raw::connect(broker.address()).await;
        (broker, Self::begin(raw, versions).await)
    }

    async fn begin(mut raw: Raw, versions: (i16, i16)) -> Self {
        let keys = vec![ID.into()];
        let find = FindCoordinatorRequest { key_type: 1, coordinator_keys: keys, ..FindCoordinatorRequest::default() };
        assert_eq!(raw.call(&find, 6).await.coordinators[0].error_code, ErrorCode::NONE);
        let producer = init(&mut raw).await;
        Self { raw, producer, sequence: 0, versions }
    }

    fn batch(&mut self, value: &str) -> Bytes {
        let InitProducerIdResponse { producer_id: id, producer_epoch: epoch, .. } = self.producer;
        let stamp = ProducerStamp { id, epoch, base_sequence: self.sequence };
        let attributes = Attributes::default().transactional();
        let mut batch = BatchBuilder::new(Compression::None).with_producer(stamp).with_attributes(attributes);
        batch.append(1_700_000_000_000, None, Some(value.as_bytes()), &[]);
        batch.build(0)
    }

    /// Sends a record as part of the transaction; the code and the offset.
    async fn send(&mut self, value: &str) -> (ErrorCode, i64) {
        let request = ProduceRequest { transactional_id: Some(ID.into()), ..produce("t", -1, self.batch(value)) };
        let answer = self.raw.call(&request, self.versions.0).await;
        let PartitionProduceResponse { error_code, base_offset, .. } = answer.responses[0].partition_responses[0];
        if error_code.is_none() {
            self.sequence += 1;
        }
        (error_code, base_offset)
    }

    async fn add_partition(&mut self) -> ErrorCode {
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: ID.into(),
            v3_and_below_producer_id: self.producer.producer_id,
            v3_and_below_producer_epoch: self.producer.producer_epoch,
            v3_and_below_topics: vec![AddPartitionsToTxnTopic { name: "t".into(), partitions: vec![0] }],
            ..AddPartitionsToTxnRequest::default()
        };
        let answer = self.raw.call(&request, 3).await;
        answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
    }

    /// Ends the transaction, and takes the next epoch where there is one.
    async fn end(&mut self, committed: bool) -> EndTxnResponse {
        let request = EndTxnRequest {
            transactional_id: ID.into(),
            producer_id: self.producer.producer_id,
            producer_epoch: self.producer.producer_epoch,
            committed,
        };
        let answer = self.raw.call(&request, self.versions.1).await;
        if answer.error_code.is_none() && self.versions == V2 {
            (self.producer.producer_id, self.producer.producer_epoch) = (answer.producer_id, answer.producer_epoch);
            self.sequence = 0;
        }
        answer
    }

    async fn commit_offset(&mut self, offset: i64) -> ErrorCode {
        let partition =
            TxnOffsetCommitRequestPartition { committed_offset: offset, ..TxnOffsetCommitRequestPartition::default() };
        let request = TxnOffsetCommitRequest {
            transactional_id: ID.into(),
            group_id: "g".into(),
            producer_id: self.producer.producer_id,
            producer_epoch: self.producer.producer_epoch,
            topics: vec![TxnOffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition] }],
            ..TxnOffsetCommitRequest::default()
        };
        self.raw.call(&request, self.versions.1).await.topics[0].partitions[0].error_code
    }

    async fn state(&mut self) -> String {
        let request = DescribeTransactionsRequest { transactional_ids: vec![ID.into()] };
        self.raw.call(&request, 0).await.transaction_states[0].transaction_state.to_string()
    }

    /// Waits until the markers of the last transaction are written.
    async fn settled(&mut self) {
        eventually_some("the markers are written", async || (!self.state().await.starts_with("Prepare")).then_some(()))
            .await;
    }
}

const SINGLE: [(&str, &str); 3] = [
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
];

async fn init(raw: &mut Raw) -> InitProducerIdResponse {
    let request = InitProducerIdRequest {
        transactional_id: Some(ID.into()),
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    eventually_some("a producer id", async || {
        let answer = raw.call(&request, 5).await;
        match answer.error_code {
            ErrorCode::NONE => Some(answer),
            // The transaction that another instance has left is being aborted.
            ErrorCode::CONCURRENT_TRANSACTIONS | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => None,
            code => panic!("{code}"),
        }
    })
    .await
}

/// What a consumer of this isolation gets: the first answer, and the values that it would show.
async fn consume(raw: &mut Raw, isolation_level: i8) -> (PartitionData, Vec<String>) {
    let mut answers = Vec::new();
    let (mut next, mut values) = (0, Vec::new());
    loop {
        let request = FetchRequest { isolation_level, ..fetch("t", next, 0, 0) };
        let data = raw.call(&request, 12).await.responses[0].partitions.remove(0);
        // A marker is stamped by the broker's clock, so that a new segment may begin with it.
        let end = show(&data, &mut values);
        answers.push(data);
        match end {
            Some(end) => next = end,
            None => return (answers.remove(0), values),
        }
    }
}

/// Adds the values that a consumer shows of an answer; gives the offset behind it.
fn show(data: &PartitionData, values: &mut Vec<String>) -> Option<i64> {
    let bytes = data.records.as_ref().and_then(|records| records.as_bytes().cloned()).unwrap_or_default();
    let aborted = data.aborted_transactions.as_deref().unwrap_or_default();
    let mut open: Vec<(i64, i64)> = aborted.iter().map(|txn| (txn.producer_id, txn.first_offset)).collect();
    let mut end = None;
    for batch in batches(&bytes).map(Result::unwrap) {
        let header = batch.header;
        end = Some(header.next_offset());
        let hidden = open.iter().position(|(id, first)| *id == header.producer_id && *first <= header.base_offset);
        if header.attributes.is_control() {
            hidden.map(|place| open.remove(place));
        } else if hidden.is_none() {
            let mut records = ottla_records::RecordReader::new(batch.bytes, ottla_records::Limits::default()).unwrap();
            while let Some(record) = records.next_record().unwrap() {
                values.push(String::from_utf8(record.value.unwrap()).unwrap());
            }
        }
    }
    end
}

async fn latest(raw: &mut Raw, isolation_level: i8) -> i64 {
    let partition = ListOffsetsPartition { timestamp: -1, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: "t".into(), partitions: vec![partition] };
    let request = ListOffsetsRequest { isolation_level, topics: vec![topic], ..ListOffsetsRequest::default() };
    raw.call(&request, 7).await.topics[0].partitions[0].offset
}

async fn committed(raw: &mut Raw) -> OffsetFetchResponsePartitions {
    let topic = OffsetFetchRequestTopics { name: "t".into(), partition_indexes: vec![0], ..Default::default() };
    let group = OffsetFetchRequestGroup { group_id: "g".into(), topics: Some(vec![topic]), ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], require_stable: true, ..OffsetFetchRequest::default() };
    raw.call(&request, 9).await.groups[0].topics[0].partitions[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_committed_records_see_what_is_committed_and_only_then() {
    for versions in [V1, V2] {
        let (broker, mut bench) = Bench::start(versions).await;
        let mut reader = Raw::connect(broker.address()).await;
        for (round, commit) in [true, false, true].into_iter().enumerate() {
            if versions == V1 {
                assert_eq!(bench.add_partition().await, ErrorCode::NONE);
            }
            let before = latest(&mut reader, 1).await;
            assert_eq!(bench.send(&format!("{round}a")).await, (ErrorCode::NONE, before));
            assert_eq!(bench.send(&format!("{round}b")).await.0, ErrorCode::NONE);
            let (data, _) = consume(&mut reader, 1).await;
            assert_eq!((data.last_stable_offset, data.high_watermark), (before, before + 2));
            assert_eq!((latest(&mut reader, 1).await, latest(&mut reader, 0).await), (before, before + 2));
            assert_eq!(bench.end(commit).await.error_code, ErrorCode::NONE);
            bench.settled().await;
        }
        let (data, values) = consume(&mut reader, 1).await;
        assert_eq!(values, ["0a", "0b", "2a", "2b"]);
        assert_eq!(data.aborted_transactions.unwrap().len(), 1);
        assert_eq!(consume(&mut reader, 0).await.1, ["0a", "0b", "1a", "1b", "2a", "2b"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_transaction_waits_for_the_markers_of_the_last_one_and_shares_nothing_with_it() {
    let patient = [SINGLE.as_slice(), &[("add.partitions.to.txn.retry.backoff.max.ms", "30000")]].concat();
    let broker = TestBroker::start_with(&patient).await;
    broker.create_topic("t", 1, &[]).await;
    let mut bench = Bench::begin(Raw::connect(broker.address()).await, V2).await;
    for round in 0..40 {
        let commit = round % 2 == 0;
        assert_eq!(bench.send(if commit { "committed" } else { "aborted" }).await.0, ErrorCode::NONE, "{round}");
        assert_eq!(bench.end(commit).await.error_code, ErrorCode::NONE, "{round}");
    }
    bench.settled().await;
    let mut reader = Raw::connect(broker.address()).await;
    assert_eq!(consume(&mut reader, 1).await.1, ["committed"; 20]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_waits_is_answered_when_the_transaction_is_committed() {
    let (broker, mut bench) = Bench::start(V2).await;
    bench.send("late").await;
    let mut reader = Raw::connect(broker.address()).await;
    let waiting = tokio::spawn(async move {
        let request = FetchRequest { isolation_level: 1, ..fetch("t", 0, 20_000, 1) };
        reader.call(&request, 12).await.responses[0].partitions[0].last_stable_offset
    });
    tokio::task::yield_now().await;
    bench.end(true).await;
    let told = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it was woken").unwrap();
    assert_eq!(told, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_count_with_the_transaction_that_they_are_part_of() {
    for versions in [V1, V2] {
        let (broker, mut bench) = Bench::start(versions).await;
        let find = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..FindCoordinatorRequest::default() };
        assert_eq!(bench.raw.call(&find, 6).await.coordinators[0].error_code, ErrorCode::NONE);
        let mut reader = Raw::connect(broker.address()).await;
        for (offset, commit) in [(5, true), (9, false)] {
            if versions == V1 {
                let add = AddOffsetsToTxnRequest {
                    transactional_id: ID.into(),
                    producer_id: bench.producer.producer_id,
                    producer_epoch: bench.producer.producer_epoch,
                    group_id: "g".into(),
                };
                assert_eq!(bench.raw.call(&add, 3).await.error_code, ErrorCode::NONE);
            }
            assert_eq!(bench.commit_offset(offset).await, ErrorCode::NONE);
            assert_eq!(committed(&mut reader).await.error_code, ErrorCode::UNSTABLE_OFFSET_COMMIT);
            assert_eq!(bench.end(commit).await.error_code, ErrorCode::NONE);
            bench.settled().await;
            assert_eq!(committed(&mut reader).await.committed_offset, 5);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_no_open_transaction_is_refused() {
    let (_broker, mut bench) = Bench::start(V1).await;
    // Version 11 knows TRANSACTION_ABORTABLE.
    assert_eq!(bench.send("never added").await.0, ErrorCode::TRANSACTION_ABORTABLE);
    assert_eq!(bench.add_partition().await, ErrorCode::NONE);
    assert_eq!(bench.send("a").await.0, ErrorCode::NONE);
    assert_eq!(bench.end(true).await.error_code, ErrorCode::NONE);
    bench.settled().await;
    assert_eq!(bench.send("late").await.0, ErrorCode::TRANSACTION_ABORTABLE);
    let nameless = produce("t", -1, bench.batch("x"));
    let answer = bench.raw.call(&nameless, 11).await;
    let code = answer.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zombie_is_fenced_and_what_it_left_open_aborted() {
    for versions in [V1, V2] {
        let (broker, mut zombie) = Bench::start(versions).await;
        if versions == V1 {
            zombie.add_partition().await;
        }
        zombie.send("left open").await;
        let mut heir = Bench::begin(Raw::connect(broker.address()).await, versions).await;
        assert_eq!(zombie.send("late").await.0, ErrorCode::INVALID_PRODUCER_EPOCH);
        assert_eq!(zombie.end(true).await.error_code, ErrorCode::PRODUCER_FENCED);
        if versions == V1 {
            heir.add_partition().await;
        }
        assert_eq!(heir.send("mine").await.0, ErrorCode::NONE);
        assert_eq!(heir.end(true).await.error_code, ErrorCode::NONE);
        heir.settled().await;
        assert_eq!(consume(&mut heir.raw, 1).await.1, ["mine"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_transaction_is_found_and_ended_by_a_tool() {
    let (_broker, mut bench) = Bench::start(V2).await;
    bench.send("hangs").await;
    let listed = bench.raw.call(&ListTransactionsRequest::default(), 2).await;
    assert_eq!(&*listed.transaction_states[0].transactional_id, ID);
    let pattern = Some("other-.*".into());
    let none = ListTransactionsRequest { transactional_id_pattern: pattern, ..ListTransactionsRequest::default() };
    assert_eq!(bench.raw.call(&none, 2).await.transaction_states, []);
    let topics = vec![TopicRequest { name: "t".into(), partition_indexes: vec![0] }];
    let described = bench.raw.call(&DescribeProducersRequest { topics }, 0).await;
    let producer = &described.topics[0].partitions[0].active_producers[0];
    assert_eq!(producer.current_txn_start_offset, 0);
    let marker = WritableTxnMarker {
        producer_id: producer.producer_id,
        producer_epoch: i16::try_from(producer.producer_epoch).unwrap(),
        topics: vec![WritableTxnMarkerTopic { name: "t".into(), partition_indexes: vec![0] }],
        coordinator_epoch: producer.coordinator_epoch,
        ..WritableTxnMarker::default()
    };
    let ended = bench.raw.call(&WriteTxnMarkersRequest { markers: vec![marker] }, 1).await;
    assert_eq!(ended.markers[0].topics[0].partitions[0].error_code, ErrorCode::NONE);
    assert_eq!(consume(&mut bench.raw, 1).await.1, Vec::<String>::new());
    assert_eq!(latest(&mut bench.raw, 1).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_marker_that_comes_late_does_not_end_the_next_transaction() {
    let (_broker, mut bench) = Bench::start(V2).await;
    bench.send("first").await;
    assert_eq!(bench.end(true).await.error_code, ErrorCode::NONE);
    bench.settled().await;
    assert_eq!(bench.send("second").await.0, ErrorCode::NONE);
    // That of the first one has the epoch in which the second one is.
    let marker = WritableTxnMarker {
        producer_id: bench.producer.producer_id,
        producer_epoch: bench.producer.producer_epoch,
        transaction_result: true,
        topics: vec![WritableTxnMarkerTopic { name: "t".into(), partition_indexes: vec![0] }],
        transaction_version: 2,
        ..WritableTxnMarker::default()
    };
    let late = bench.raw.call(&WriteTxnMarkersRequest { markers: vec![marker] }, 2).await;
    assert_eq!(late.markers[0].topics[0].partitions[0].error_code, ErrorCode::INVALID_PRODUCER_EPOCH);
    assert_eq!(bench.end(false).await.error_code, ErrorCode::NONE);
    bench.settled().await;
    assert_eq!(consume(&mut bench.raw, 1).await.1, ["first"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_of_version_2() {
    let broker = TestBroker::start().await;
    let mut raw = Raw::connect(broker.address()).await;
    let request = ApiVersionsRequest { client_software_name: "test".into(), client_software_version: "1".into() };
    let answer = raw.call(&request, 4).await;
    let finalized = answer.finalized_features.iter().find(|feature| &*feature.name == "transaction.version").unwrap();
    assert_eq!(finalized.max_version_level, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_over_brokers_ends_on_all_of_them() {
    let properties = [
        ("offsets.topic.replication.factor", "1"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("transaction.state.log.num.partitions", "1"),
    ];
    let cluster = TestCluster::start(3, &properties).await;
    cluster.create_topic("t", &[2], &[]).await;
    let mut raw = Raw::connect(cluster.broker(1).address()).await;
    let keys = vec![ID.into()];
    let find = FindCoordinatorRequest { key_type: 1, coordinator_keys: keys, ..FindCoordinatorRequest::default() };
    let coordinator = raw.call(&find, 6).await.coordinators[0].node_id;
    let at_coordinator = Raw::connect(cluster.broker(coordinator).address()).await;
    let mut bench = Bench::begin(at_coordinator, V2).await;
    // The leader of the partition asks the coordinator, wherever it is.
    let coordinator_connection = std::mem::replace(&mut bench.raw, Raw::connect(cluster.broker(2).address()).await);
    assert_eq!(bench.send("far").await.0, ErrorCode::NONE);
    let at_leader = std::mem::replace(&mut bench.raw, coordinator_connection);
    assert_eq!(bench.end(true).await.error_code, ErrorCode::NONE);
    bench.settled().await;
    let mut reader = at_leader;
    assert_eq!(consume(&mut reader, 1).await.1, ["far"]);
}

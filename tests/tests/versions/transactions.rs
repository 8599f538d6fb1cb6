//! Transactions: how producers get their epochs, what becomes part of a transaction, and what is seen of it.

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnResponse, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use ottla_protocol::messages::describe_transactions::TransactionState;
use ottla_protocol::messages::txn_offset_commit::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};
use ottla_protocol::messages::write_txn_markers::{WritableTxnMarker, WritableTxnMarkerTopic};
use ottla_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest,
    FindCoordinatorRequest, InitProducerIdRequest, InitProducerIdResponse, ListTransactionsRequest, ProduceRequest,
    TxnOffsetCommitRequest, WriteTxnMarkersRequest,
};
use ottla_records::{Attributes, BatchBuilder, Compression, ProducerStamp};

use super::data::produce_request;
use super::groups::{member, new_group};
use super::offsets::told;
use super::world::{Scenario, Topic, World, batch_of, eventually, scenario};

pub const SCENARIOS: &[(ottla_protocol::ApiKey, Scenario)] = &[
    scenario!(InitProducerId, init_producer_id),
    scenario!(AddPartitionsToTxn, add_partitions),
    scenario!(AddOffsetsToTxn, add_offsets),
    scenario!(TxnOffsetCommit, txn_offset_commit),
    scenario!(EndTxn, end_txn),
    scenario!(WriteTxnMarkers, write_txn_markers),
    scenario!(DescribeTransactions, describe_transactions),
    scenario!(ListTransactions, list_transactions),
];

/// The first versions of Produce, TxnOffsetCommit and EndTxn whose clients leave it to the broker to make partitions part of
/// the transaction, and get another epoch for each (KIP-890).
const PRODUCE_V2: i16 = 12;
const COMMIT_V2: i16 = 5;
const END_V2: i16 = 5;

/// A producer with a transactional id.
struct Producer {
    transactional_id: Str,
    id: i64,
    epoch: i16,
}

impl Producer {
    async fn new(world: &mut World) -> Self {
        let transactional_id = new_transactional_id(world).await;
        let InitProducerIdResponse { producer_id: id, producer_epoch: epoch, .. } =
            init(world, 4, &transactional_id).await;
        // So that there is an epoch before its own.
        let again = init(world, 4, &transactional_id).await;
        assert_eq!((again.producer_id, again.producer_epoch), (id, epoch + 1));
        Self { transactional_id, id, epoch: again.producer_epoch }
    }

    /// The one that it has fenced.
    fn former(&self) -> Self {
        Self { transactional_id: self.transactional_id.clone(), epoch: self.epoch - 1, ..*self }
    }
}

async fn new_transactional_id(world: &mut World) -> Str {
    let id = world.name("transaction");
    let find = FindCoordinatorRequest { key_type: 1, coordinator_keys: vec![id.clone()], ..Default::default() };
    let is_found = async || (world.call(&find, 6).await.coordinators[0].error_code == ErrorCode::NONE).then_some(());
    eventually("the transactional id has a coordinator", is_found).await;
    id
}

fn init_of(transactional_id: Option<&Str>) -> InitProducerIdRequest {
    let transactional_id = transactional_id.cloned();
    InitProducerIdRequest { transactional_id, transaction_timeout_ms: 60_000, ..Default::default() }
}

async fn init(world: &mut World, version: i16, transactional_id: &Str) -> InitProducerIdResponse {
    eventually("a producer id", async || {
        let answer = world.call(&init_of(Some(transactional_id)), version).await;
        let is_early = [ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, ErrorCode::NOT_COORDINATOR];
        (!is_early.contains(&answer.error_code)).then_some(answer)
    })
    .await
}

/// The code for who is fenced, as versions before `since` know it.
fn fenced(version: i16, since: i16) -> ErrorCode {
    if version >= since { ErrorCode::PRODUCER_FENCED } else { ErrorCode::INVALID_PRODUCER_EPOCH }
}

async fn init_producer_id(world: &mut World, version: i16) {
    let plain = world.call(&init_of(None), version).await;
    let other = world.call(&init_of(None), version).await;
    assert_eq!((plain.error_code, plain.producer_epoch, other.producer_epoch), (ErrorCode::NONE, 0, 0));
    assert!(plain.producer_id >= 0 && plain.producer_id != other.producer_id);

    let id = new_transactional_id(world).await;
    let first = init(world, version, &id).await;
    let second = init(world, version, &id).await;
    assert_eq!((first.error_code, first.producer_epoch, second.producer_epoch), (ErrorCode::NONE, 0, 1));
    assert_eq!(first.producer_id, second.producer_id, "the second one fences the first");
    let mut patient = init_of(Some(&id));
    patient.transaction_timeout_ms = i32::MAX;
    assert_eq!(world.call(&patient, version).await.error_code, ErrorCode::INVALID_TRANSACTION_TIMEOUT);
    if version >= 3 {
        // Who says what it was goes on, unless another came in between (KIP-360).
        let mut go_on = init_of(Some(&id));
        (go_on.producer_id, go_on.producer_epoch) = (second.producer_id, second.producer_epoch);
        let third = world.call(&go_on, version).await;
        assert_eq!((third.error_code, third.producer_epoch), (ErrorCode::NONE, 2));
        go_on.producer_epoch = first.producer_epoch;
        assert_eq!(world.call(&go_on, version).await.error_code, fenced(version, 4));
    }
}

fn add_of(version: i16, producer: &Producer, topics: &[&Topic], verify_only: bool) -> AddPartitionsToTxnRequest {
    let topics = topics.iter().map(|topic| AddPartitionsToTxnTopic { name: topic.name.clone(), partitions: vec![0] });
    let (topics, transactional_id) = (topics.collect(), producer.transactional_id.clone());
    let (producer_id, producer_epoch) = (producer.id, producer.epoch);
    if version >= 4 {
        let one = AddPartitionsToTxnTransaction { transactional_id, producer_id, producer_epoch, verify_only, topics };
        return AddPartitionsToTxnRequest { transactions: vec![one], ..Default::default() };
    }
    AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: transactional_id,
        v3_and_below_producer_id: producer_id,
        v3_and_below_producer_epoch: producer_epoch,
        v3_and_below_topics: topics,
        ..Default::default()
    }
}

/// The code of each topic's partition, in the order asked.
fn added(answer: AddPartitionsToTxnResponse) -> Vec<ErrorCode> {
    assert_eq!(answer.error_code, ErrorCode::NONE);
    let of_transactions = answer.results_by_transaction.into_iter().flat_map(|one| one.topic_results);
    let topics = answer.results_by_topic_v3_and_below.into_iter().chain(of_transactions);
    topics.flat_map(|topic| topic.results_by_partition).map(|one| one.partition_error_code).collect()
}

async fn add(world: &mut World, version: i16, producer: &Producer, topics: &[&Topic]) -> Vec<ErrorCode> {
    added(world.call(&add_of(version, producer, topics, false), version).await)
}

async fn add_partitions(world: &mut World, version: i16) {
    let (producer, topic) = (Producer::new(world).await, world.topic(1).await);
    // All or nothing.
    let codes = add(world, version, &producer, &[&topic, &Topic::unknown()]).await;
    assert_eq!(codes, [ErrorCode::OPERATION_NOT_ATTEMPTED, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]);
    assert_eq!(add(world, version, &producer.former(), &[&topic]).await, [fenced(version, 2)]);
    assert_eq!(state(world, &producer).await.transaction_state.as_str(), "Empty");
    if version >= 4 {
        // A broker asks before it appends (KIP-890).
        let verify = world.call(&add_of(version, &producer, &[&topic], true), version).await;
        let code = if version >= 5 { ErrorCode::TRANSACTION_ABORTABLE } else { ErrorCode::INVALID_TXN_STATE };
        assert_eq!(added(verify), [code]);
    }
    assert_eq!(add(world, version, &producer, &[&topic]).await, [ErrorCode::NONE]);
    let TransactionState { transaction_state, topics, .. } = state(world, &producer).await;
    assert_eq!((transaction_state.as_str(), topics.len(), &topics[0].topic), ("Ongoing", 1, &topic.name));
    if version >= 4 {
        let verify = world.call(&add_of(version, &producer, &[&topic], true), version).await;
        assert_eq!(added(verify), [ErrorCode::NONE]);
    }
    assert_eq!(end(world, 4, &producer, false).await.0, ErrorCode::NONE);
}

async fn state(world: &mut World, producer: &Producer) -> TransactionState {
    let request = DescribeTransactionsRequest { transactional_ids: vec![producer.transactional_id.clone()] };
    world.call(&request, 0).await.transaction_states.remove(0)
}

/// Ends the transaction and waits until its markers are written; the code, and the id and epoch of the next one.
async fn end(world: &mut World, version: i16, producer: &Producer, committed: bool) -> (ErrorCode, i64, i16) {
    let request = EndTxnRequest {
        transactional_id: producer.transactional_id.clone(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        committed,
    };
    let answer = world.call(&request, version).await;
    let is_done = async || (!state(world, producer).await.transaction_state.starts_with("Prepare")).then_some(());
    eventually("the markers are written", is_done).await;
    (answer.error_code, answer.producer_id, answer.producer_epoch)
}

/// Appends the value as part of the transaction, as the first record of the producer in its epoch or a later one.
async fn send(world: &mut World, version: i16, producer: &Producer, topic: &Topic, (sequence, value): (i32, &str)) {
    let stamp = ProducerStamp { id: producer.id, epoch: producer.epoch, base_sequence: sequence };
    let attributes = Attributes::default().transactional();
    let batch = BatchBuilder::new(Compression::None).with_producer(stamp).with_attributes(attributes);
    let request = ProduceRequest {
        transactional_id: Some(producer.transactional_id.clone()),
        ..produce_request(topic, batch_of(batch, &[value]))
    };
    let answer = world.call(&request, version).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
}

async fn end_txn(world: &mut World, version: i16) {
    let (mut producer, topic) = (Producer::new(world).await, world.topic(1).await);
    assert_eq!(end(world, version, &producer.former(), true).await.0, fenced(version, 2));
    let mut sequence = 0;
    for (committed, value) in [(true, "first"), (false, "never"), (true, "second")] {
        if version >= END_V2 {
            send(world, PRODUCE_V2, &producer, &topic, (0, value)).await;
        } else {
            assert_eq!(add(world, 3, &producer, &[&topic]).await, [ErrorCode::NONE]);
            send(world, PRODUCE_V2 - 1, &producer, &topic, (sequence, value)).await;
            sequence += 1;
        }
        let (code, id, epoch) = end(world, version, &producer, committed).await;
        assert_eq!(code, ErrorCode::NONE);
        if version >= END_V2 {
            assert_eq!((id, epoch), (producer.id, producer.epoch + 1));
            producer.epoch = epoch;
        } else {
            assert_eq!((id, epoch), (-1, -1));
        }
    }
    let consumed = eventually("the markers can be read", async || {
        let consumed = world.read(&topic).await;
        (consumed.len() >= 2).then_some(consumed)
    });
    assert_eq!(consumed.await, ["first", "second"]);
    let nothing_to_end = end(world, version, &producer, true).await.0;
    // With version 2 a client may end a transaction that never came to anything only by aborting it.
    let code = if version >= END_V2 { ErrorCode::INVALID_TXN_STATE } else { ErrorCode::NONE };
    assert_eq!(nothing_to_end, code);
}

fn add_offsets_of(producer: &Producer, group: &Str) -> AddOffsetsToTxnRequest {
    let (transactional_id, group_id) = (producer.transactional_id.clone(), group.clone());
    let (producer_id, producer_epoch) = (producer.id, producer.epoch);
    AddOffsetsToTxnRequest { transactional_id, producer_id, producer_epoch, group_id }
}

async fn add_offsets(world: &mut World, version: i16) {
    let (group, producer) = (new_group(world).await, Producer::new(world).await);
    let refused = world.call(&add_offsets_of(&producer.former(), &group), version).await;
    assert_eq!(refused.error_code, fenced(version, 2));
    let added = world.call(&add_offsets_of(&producer, &group), version).await;
    assert_eq!(added.error_code, ErrorCode::NONE);
    let TransactionState { transaction_state, topics, .. } = state(world, &producer).await;
    assert_eq!((transaction_state.as_str(), &*topics[0].topic), ("Ongoing", "__consumer_offsets"));
    assert_eq!(end(world, 4, &producer, false).await.0, ErrorCode::NONE);
}

fn commit_of(producer: &Producer, group: &Str, topic: &Topic, offset: i64) -> TxnOffsetCommitRequest {
    let partition = TxnOffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    TxnOffsetCommitRequest {
        transactional_id: producer.transactional_id.clone(),
        group_id: group.clone(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        topics: vec![TxnOffsetCommitRequestTopic { name: topic.name.clone(), partitions: vec![partition] }],
        ..Default::default()
    }
}

async fn txn_offset_commit(world: &mut World, version: i16) {
    let (group, topic) = (new_group(world).await, world.topic(2).await);
    let mut producer = Producer::new(world).await;
    for (offset, committed, left) in [(5, true, 5), (9, false, 5)] {
        if version < COMMIT_V2 {
            let added = world.call(&add_offsets_of(&producer, &group), 3).await;
            assert_eq!(added.error_code, ErrorCode::NONE);
        }
        let request = commit_of(&producer, &group, &topic, offset);
        let answer = world.call(&request, version).await;
        assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::NONE);
        assert_eq!(told(world, 9, &group, &topic, true).await[0].0, ErrorCode::UNSTABLE_OFFSET_COMMIT);
        let (code, _, epoch) =
            end(world, if version >= COMMIT_V2 { END_V2 } else { END_V2 - 1 }, &producer, committed).await;
        assert_eq!(code, ErrorCode::NONE);
        producer.epoch = producer.epoch.max(epoch);
        let settled = eventually("the offset is stable", async || {
            let told = told(world, 9, &group, &topic, true).await.remove(0);
            (told.0 == ErrorCode::NONE).then_some(told)
        });
        assert_eq!(settled.await.1, left);
    }
    if version >= 3 {
        commit_as_members(world, version, &topic).await;
    }
}

/// Who names a generation has to be of it (KIP-447).
async fn commit_as_members(world: &mut World, version: i16, topic: &Topic) {
    let (group, producer) = (new_group(world).await, Producer::new(world).await);
    let joined = member(world, &group, None).await;
    if version < COMMIT_V2 {
        assert_eq!(world.call(&add_offsets_of(&producer, &group), 3).await.error_code, ErrorCode::NONE);
    }
    let cases = [
        ("stranger".into(), joined.generation_id, ErrorCode::UNKNOWN_MEMBER_ID),
        (joined.member_id.clone(), joined.generation_id + 1, ErrorCode::ILLEGAL_GENERATION),
        (joined.member_id, joined.generation_id, ErrorCode::NONE),
    ];
    for (member_id, generation_id, code) in cases {
        let request = TxnOffsetCommitRequest { member_id, generation_id, ..commit_of(&producer, &group, topic, 7) };
        let answer = world.call(&request, version).await;
        assert_eq!(answer.topics[0].partitions[0].error_code, code);
    }
    let version = if version >= COMMIT_V2 { END_V2 } else { END_V2 - 1 };
    assert_eq!(end(world, version, &producer, true).await.0, ErrorCode::NONE);
}

async fn write_txn_markers(world: &mut World, version: i16) {
    let (producer, topic) = (Producer::new(world).await, world.topic(1).await);
    let mark = async |world: &mut World, epoch, committed| {
        let topics = [&topic.name, &Topic::unknown().name]
            .map(|name| WritableTxnMarkerTopic { name: name.clone(), partition_indexes: vec![0] });
        let marker = WritableTxnMarker {
            producer_id: producer.id,
            producer_epoch: epoch,
            transaction_result: committed,
            topics: topics.to_vec(),
            transaction_version: if version >= 2 { 1 } else { 0 },
            ..Default::default()
        };
        let answer = world.call(&WriteTxnMarkersRequest { markers: vec![marker] }, version).await;
        assert_eq!(answer.markers[0].producer_id, producer.id);
        answer.markers[0].topics.iter().map(|topic| topic.partitions[0].error_code).collect::<Vec<_>>()
    };
    for (sequence, value, committed) in [(0, "kept", true), (1, "gone", false)] {
        assert_eq!(add(world, 3, &producer, &[&topic]).await, [ErrorCode::NONE]);
        send(world, PRODUCE_V2 - 1, &producer, &topic, (sequence, value)).await;
        let codes = mark(world, producer.epoch, committed).await;
        assert_eq!(codes, [ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]);
        assert_eq!(end(world, 4, &producer, committed).await.0, ErrorCode::NONE);
    }
    assert_eq!(world.read(&topic).await, ["kept"]);
    assert_eq!(mark(world, producer.epoch - 1, true).await[0], ErrorCode::INVALID_PRODUCER_EPOCH);
}

async fn describe_transactions(world: &mut World, version: i16) {
    let (producer, topic) = (Producer::new(world).await, world.topic(1).await);
    assert_eq!(add(world, 3, &producer, &[&topic]).await, [ErrorCode::NONE]);
    let ids = vec![producer.transactional_id.clone(), "nobody".into()];
    let answer = world.call(&DescribeTransactionsRequest { transactional_ids: ids }, version).await;
    let [known, unknown] = &answer.transaction_states[..] else { panic!("{answer:?}") };
    assert_eq!((known.error_code, &*known.transaction_state), (ErrorCode::NONE, "Ongoing"));
    assert_eq!((known.producer_id, known.producer_epoch), (producer.id, producer.epoch));
    assert_eq!((known.transaction_timeout_ms, &known.topics[0].topic), (60_000, &topic.name));
    assert!(known.transaction_start_time_ms > 0 && known.topics[0].partitions == [0], "{known:?}");
    assert_eq!(unknown.error_code, ErrorCode::TRANSACTIONAL_ID_NOT_FOUND);
    assert_eq!(end(world, 4, &producer, false).await.0, ErrorCode::NONE);
}

async fn list_transactions(world: &mut World, version: i16) {
    let (idle, busy, topic) = (Producer::new(world).await, Producer::new(world).await, world.topic(1).await);
    assert_eq!(add(world, 3, &busy, &[&topic]).await, [ErrorCode::NONE]);
    let mut list = async |request: ListTransactionsRequest| {
        let answer = world.call(&request, version).await;
        assert_eq!(answer.error_code, ErrorCode::NONE);
        let listed = |producer: &Producer| {
            let found = answer.transaction_states.iter().find(|one| one.transactional_id == producer.transactional_id);
            found.map(|one| (one.producer_id, one.transaction_state.to_string()))
        };
        (listed(&idle), listed(&busy), answer.unknown_state_filters.clone())
    };
    let (is_idle, is_busy) = (Some((idle.id, "Empty".to_owned())), Some((busy.id, "Ongoing".to_owned())));
    let all = list(ListTransactionsRequest::default()).await;
    assert_eq!(all, (is_idle.clone(), is_busy.clone(), Vec::new()));
    let states = ListTransactionsRequest { state_filters: vec!["Ongoing".into(), "Odd".into()], ..Default::default() };
    assert_eq!(list(states).await, (None, is_busy.clone(), vec!["Odd".into()]));
    let producers = ListTransactionsRequest { producer_id_filters: vec![idle.id], ..Default::default() };
    assert_eq!(list(producers).await, (is_idle, None, Vec::new()));
    if version >= 1 {
        // Nothing has been open for an hour.
        let long = ListTransactionsRequest { duration_filter: 3_600_000, ..Default::default() };
        assert_eq!(list(long).await, (None, None, Vec::new()));
    }
    if version >= 2 {
        let pattern = Some(busy.transactional_id.replace("trans", "t.*s").into());
        let matching = ListTransactionsRequest { transactional_id_pattern: pattern, ..Default::default() };
        assert_eq!(list(matching).await, (None, is_busy, Vec::new()));
    }
    assert_eq!(end(world, 4, &busy, false).await.0, ErrorCode::NONE);
}

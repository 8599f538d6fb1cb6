//! The recorded answers of a real Kafka 4.3.1 (`tests/oracle/edge-errors.json`), asked again of this broker in the same
//! order: error codes, offsets and places must be the same, or the difference is listed here with its reason.

use ottla_protocol::codec::{Records, Request};
use ottla_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use ottla_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ottla_protocol::messages::init_producer_id::InitProducerIdRequest;
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use serde_json::Value;
use uuid::Uuid;

use super::raw::Raw;
use crate::testing::TestBroker;

/// Cases that are not asked, and why.
const SKIPPED: [(&str, &str); 17] = [
    ("Produce-13", "acks=0 has no answer; a test of its own"),
    ("Produce-14", "acks=0 has no answer; a test of its own"),
    ("Produce-15", "its records are not in the file; the size check has a test of its own"),
    ("Produce-16", "its records are not in the file"),
    ("Produce-17", "its records are not in the file; the size check has a test of its own"),
    ("Produce-22", "compressed records are stored as they come; only compacted topics read them"),
    ("Produce-24", "compressed records are stored as they come; only compacted topics read them"),
    ("Produce-31", "Kafka never answers null records; Ottla answers INVALID_RECORD"),
    ("Produce-44", "its timestamp is in the past by now; the limit has a test of its own"),
    ("Produce-74", "batches sent before it are not in the file"),
    ("Produce-75", "batches sent before it are not in the file"),
    ("ListOffsets-01", "a record written before it is not in the file"),
    ("Metadata-09", "Ottla answers once the topic is there, Kafka at once that it is not"),
    ("InitProducerId-07", "its coordinator's topic is made by hand here; transactions have a test of their own"),
    ("InitProducerId-08", "its coordinator's topic is made by hand here; transactions have a test of their own"),
    ("InitProducerId-09", "its coordinator's topic is made by hand here; transactions have a test of their own"),
    ("InitProducerId-10", "its coordinator's topic is made by hand here; transactions have a test of their own"),
];

/// Answers that differ, and why.
const DIFFERENT: [(&str, &str, &str); 3] = [
    ("Produce-19", "t1/0:76 -1 -1", "a codec that Kafka lacks is named, where Kafka has an unknown error"),
    ("Produce-20", "t1/0:76 -1 -1", "a codec that Kafka lacks is named, where Kafka has an unknown error"),
    ("Produce-21", "t1/0:76 -1 -1", "a codec that Kafka lacks is named, where Kafka has an unknown error"),
];

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn number(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix("hex:").unwrap_or(text);
    (0..digits.len() / 2).map(|n| u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).unwrap()).collect()
}

/// What is compared of a case, in one line a partition.
fn expected(case: &Value) -> String {
    let response = &case["response"];
    let mut lines = Vec::new();
    let api = text(case, "api");
    if matches!(api, "Fetch") && number(response, "error_code") != 0 {
        lines.push(format!("top:{}", number(response, "error_code")));
    }
    if api == "InitProducerId" {
        return format!("top:{} {}", number(response, "error_code"), number(response, "producer_epoch"));
    }
    for topic in list(response, "topics") {
        let name = text(topic, "topic");
        if api == "Metadata" {
            lines.push(format!("{name}:{}", number(topic, "error_code")));
            continue;
        }
        for p in list(topic, "partitions") {
            let fields: &[&str] = match api {
                "Produce" => &["base_offset", "log_start_offset"],
                "Fetch" => &["high_watermark", "last_stable_offset", "log_start_offset"],
                "ListOffsets" => &["offset", "leader_epoch"],
                "OffsetForLeaderEpoch" => &["leader_epoch", "end_offset"],
                _ => &["low_watermark"],
            };
            let values: String = fields.iter().map(|field| format!(" {}", number(p, field))).collect();
            lines.push(format!("{name}/{}:{}{values}", number(p, "partition"), number(p, "error_code")));
        }
    }
    lines.join("; ")
}

struct Asker {
    raw: Raw,
    t1: Uuid,
    session: i32,
}

impl Asker {
    async fn call<R: Request>(&mut self, request: R, version: i16) -> R::Response {
        self.raw.call(&request, version).await
    }

    fn topic_id(&self, case: &Value, topic: &Value) -> Uuid {
        match text(topic, "topic_id") {
            "<uuid>" if text(case, "what").contains("known topic id") && !text(case, "what").contains("unknown") => {
                self.t1
            }
            "<uuid>" => Uuid::new_v4(),
            _ => Uuid::nil(),
        }
    }

    async fn ask(&mut self, case: &Value) -> String {
        let version = number(case, "version") as i16;
        match text(case, "api") {
            "Produce" => self.produce(case, version).await,
            "Fetch" => self.fetch(case, version).await,
            "ListOffsets" => self.list_offsets(case, version).await,
            "OffsetForLeaderEpoch" => self.offset_for_leader_epoch(case, version).await,
            "DeleteRecords" => self.delete_records(case, version).await,
            "InitProducerId" => self.init_producer_id(case, version).await,
            _ => self.metadata(case, version).await,
        }
    }

    async fn produce(&mut self, case: &Value, version: i16) -> String {
        let asked = &case["request"];
        let partition = |p: &Value| PartitionProduceData {
            index: number(p, "partition") as i32,
            records: Some(Records::Bytes(hex(text(p, "records")).into())),
        };
        let topic = |t: &Value| TopicProduceData {
            name: text(t, "topic").into(),
            topic_id: self.topic_id(case, t),
            partition_data: list(t, "partitions").iter().map(partition).collect(),
        };
        let request = ProduceRequest {
            transactional_id: asked["transactional_id"].as_str().map(Into::into),
            acks: number(asked, "acks") as i16,
            timeout_ms: 5000,
            topic_data: list(asked, "topics").iter().map(topic).collect(),
        };
        let response = self.call(request, version).await;
        let mut lines = Vec::new();
        for topic in response.responses {
            for p in topic.partition_responses {
                let (code, base, start) = (p.error_code.0, p.base_offset, p.log_start_offset);
                lines.push(format!("{}/{}:{code} {base} {start}", topic.name, p.index));
            }
        }
        lines.join("; ")
    }

    async fn fetch(&mut self, case: &Value, version: i16) -> String {
        let asked = &case["request"];
        let partition = |p: &Value| FetchPartition {
            partition: number(p, "partition") as i32,
            current_leader_epoch: number(p, "current_leader_epoch") as i32,
            fetch_offset: number(p, "fetch_offset"),
            last_fetched_epoch: number(p, "last_fetched_epoch") as i32,
            partition_max_bytes: number(p, "partition_max_bytes") as i32,
            ..FetchPartition::default()
        };
        let topic = |t: &Value| FetchTopic {
            topic: text(t, "topic").into(),
            topic_id: if version >= 13 { self.topic_id(case, t) } else { Uuid::nil() },
            partitions: list(t, "partitions").iter().map(partition).collect(),
        };
        let session_id = number(asked, "session_id") as i32;
        let request = FetchRequest {
            replica_id: if version < 15 { number(asked, "replica_id") as i32 } else { -1 },
            max_wait_ms: number(asked, "max_wait_millis") as i32,
            min_bytes: number(asked, "min_bytes") as i32,
            max_bytes: number(asked, "max_bytes") as i32,
            isolation_level: number(asked, "isolation_level") as i8,
            session_id: if session_id > 100_000 { self.session } else { session_id },
            session_epoch: number(asked, "session_epoch") as i32,
            topics: list(asked, "topics").iter().map(topic).collect(),
            ..FetchRequest::default()
        };
        let response = self.call(request, version).await;
        if response.session_id != 0 {
            self.session = response.session_id;
        }
        let mut lines = Vec::new();
        if response.error_code.is_error() {
            lines.push(format!("top:{}", response.error_code.0));
        }
        for topic in response.responses {
            for p in topic.partitions {
                let ends = format!("{} {} {}", p.high_watermark, p.last_stable_offset, p.log_start_offset);
                lines.push(format!("{}/{}:{} {ends}", topic.topic, p.partition_index, p.error_code.0));
            }
        }
        lines.join("; ")
    }

    async fn list_offsets(&mut self, case: &Value, version: i16) -> String {
        let asked = &case["request"];
        let partition = |p: &Value| ListOffsetsPartition {
            partition_index: number(p, "partition") as i32,
            current_leader_epoch: number(p, "current_leader_epoch") as i32,
            timestamp: number(p, "timestamp"),
        };
        let topic = |t: &Value| ListOffsetsTopic {
            name: text(t, "topic").into(),
            partitions: list(t, "partitions").iter().map(partition).collect(),
        };
        let topics = list(asked, "topics").iter().map(topic).collect();
        let request = ListOffsetsRequest {
            replica_id: number(asked, "replica_id") as i32,
            isolation_level: number(asked, "isolation_level") as i8,
            topics,
            ..ListOffsetsRequest::default()
        };
        let response = self.call(request, version).await;
        let mut lines = Vec::new();
        for topic in response.topics {
            for p in topic.partitions {
                let found = format!("{} {}", p.offset, p.leader_epoch);
                lines.push(format!("{}/{}:{} {found}", topic.name, p.partition_index, p.error_code.0));
            }
        }
        lines.join("; ")
    }

    async fn offset_for_leader_epoch(&mut self, case: &Value, version: i16) -> String {
        let partition = |p: &Value| OffsetForLeaderPartition {
            partition: number(p, "partition") as i32,
            current_leader_epoch: number(p, "current_leader_epoch") as i32,
            leader_epoch: number(p, "leader_epoch") as i32,
        };
        let topic = |t: &Value| OffsetForLeaderTopic {
            topic: text(t, "topic").into(),
            partitions: list(t, "partitions").iter().map(partition).collect(),
        };
        let topics = list(&case["request"], "topics").iter().map(topic).collect();
        let response = self.call(OffsetForLeaderEpochRequest { replica_id: -1, topics }, version).await;
        let mut lines = Vec::new();
        for topic in response.topics {
            for p in topic.partitions {
                let found = format!("{} {}", p.leader_epoch, p.end_offset);
                lines.push(format!("{}/{}:{} {found}", topic.topic, p.partition, p.error_code.0));
            }
        }
        lines.join("; ")
    }

    async fn delete_records(&mut self, case: &Value, version: i16) -> String {
        let partition = |p: &Value| DeleteRecordsPartition {
            partition_index: number(p, "partition") as i32,
            offset: number(p, "offset"),
        };
        let topic = |t: &Value| DeleteRecordsTopic {
            name: text(t, "topic").into(),
            partitions: list(t, "partitions").iter().map(partition).collect(),
        };
        let topics = list(&case["request"], "topics").iter().map(topic).collect();
        let response = self.call(DeleteRecordsRequest { topics, timeout_ms: 5000 }, version).await;
        let mut lines = Vec::new();
        for topic in response.topics {
            for p in topic.partitions {
                let place = format!("{}/{}", topic.name, p.partition_index);
                lines.push(format!("{place}:{} {}", p.error_code.0, p.low_watermark));
            }
        }
        lines.join("; ")
    }

    async fn init_producer_id(&mut self, case: &Value, version: i16) -> String {
        let asked = &case["request"];
        let request = InitProducerIdRequest {
            transactional_id: asked["transactional_id"].as_str().map(Into::into),
            transaction_timeout_ms: number(asked, "transaction_timeout_millis") as i32,
            producer_id: asked["producer_id"].as_i64().unwrap_or(-1),
            producer_epoch: asked["producer_epoch"].as_i64().unwrap_or(-1) as i16,
            ..InitProducerIdRequest::default()
        };
        let response = self.call(request, version).await;
        format!("top:{} {}", response.error_code.0, response.producer_epoch)
    }

    async fn metadata(&mut self, case: &Value, version: i16) -> String {
        let asked = &case["request"];
        let topic = |t: &Value| MetadataRequestTopic {
            topic_id: if version >= 10 { self.topic_id(case, t) } else { Uuid::nil() },
            name: t["topic"].as_str().map(Into::into),
        };
        let request = MetadataRequest {
            topics: Some(list(asked, "topics").iter().map(topic).collect()),
            allow_auto_topic_creation: version < 4 || asked["allow_auto_topic_creation"] == true,
            ..MetadataRequest::default()
        };
        let response = self.call(request, version).await;
        let name = |topic: &Option<ottla_protocol::codec::Str>| topic.as_deref().unwrap_or_default().to_owned();
        let lines = response.topics.iter().map(|topic| format!("{}:{}", name(&topic.name), topic.error_code.0));
        lines.collect::<Vec<_>>().join("; ")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edge_cases_are_answered_as_a_real_broker_does() {
    let broker = TestBroker::start_with(&[("node.id", "1")]).await;
    broker.create_topic("t1", 2, &[]).await;
    for (name, configs) in [
        ("empty", &[][..]),
        ("compacted", &[("cleanup.policy", "compact")]),
        ("small", &[("max.message.bytes", "1000")]),
        ("logappend", &[("message.timestamp.type", "LogAppendTime")]),
        ("zstdt", &[("compression.type", "zstd")]),
        ("del1", &[]),
        ("dots.a", &[]),
        // The broker that was asked had used both.
        ("__consumer_offsets", &[("cleanup.policy", "compact")]),
        ("__transaction_state", &[("cleanup.policy", "compact")]),
    ] {
        broker.create_topic(name, 1, configs).await;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/oracle/edge-errors.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let apis =
        ["Produce", "Fetch", "ListOffsets", "OffsetForLeaderEpoch", "DeleteRecords", "InitProducerId", "Metadata"];
    let t1 = broker.controller.image().topic("t1").unwrap().id.0;
    let mut asker = Asker { raw: Raw::connect(broker.address()).await, t1, session: 0 };
    let (mut asked, mut wrong) = (0, Vec::new());
    for case in cases.iter().filter(|case| apis.contains(&text(case, "api"))) {
        let id = text(case, "id");
        if id == "Produce-13" || id == "Produce-16" {
            // Their records moved the offsets on, and so must something here.
            asker.call(super::produce_fetch::produce("t1", 1, super::produce_fetch::batch("v")), 9).await;
        }
        if id == "Fetch-14" {
            // It opens the session that the next cases use; its answer is not in the file.
            asker.ask(case).await;
        }
        let has_answer = text(case, "outcome") == "answered" && !case["response"].is_null();
        let is_later_transaction = id.starts_with("Produce-") && id[8..].parse::<u32>().unwrap() >= 78;
        if !has_answer || is_later_transaction || SKIPPED.iter().any(|(skipped, _)| *skipped == id) {
            continue;
        }
        let different = DIFFERENT.iter().find(|(one, ..)| *one == id).map(|(_, answer, _)| (*answer).to_owned());
        let expected = different.unwrap_or_else(|| expected(case));
        let answer = asker.ask(case).await;
        asked += 1;
        if answer != expected {
            wrong.push(format!("{id} ({}): expected {expected}, got {answer}", text(case, "what")));
        }
    }
    assert!(wrong.is_empty(), "{} of {asked} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 140, "only {asked} cases were asked");
}

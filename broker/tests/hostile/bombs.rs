//! Batches of less than a mebibyte that expand to as much as their codec can reach.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut as _, Bytes};
use ottla_protocol::ErrorCode;
use ottla_protocol::client::Client;
use ottla_protocol::codec::Records;
use ottla_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ottla_records::{BatchBuilder, Compression, HEADER_LEN, crc_start, crc32c};

use super::process::Process;
use super::watch::Watch;
use super::wire::Wire;

/// Kafka's `max.message.bytes`.
const MESSAGE_MAX: usize = 1_048_588;
/// What the bombs are made of: a piece of this many bytes is packed once and repeated.
const PIECE: usize = 4 << 20;
/// How far a bomb expands where its codec gets that far.
const EXPANDED: usize = 2 << 30;
const TIMEOUT: Duration = Duration::from_secs(20);
const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Milliseconds since the epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// A batch of one small record, as of now.
pub(crate) fn plain() -> Bytes {
    small(now())
}

fn small(timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(timestamp, Some(b"k"), Some(b"v"), &[]);
    builder.build(0)
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// Bytes that a codec's stream has before and behind its blocks, where its pieces make one stream only without them.
fn framing(codec: Compression) -> (usize, usize) {
    match codec {
        Compression::Snappy => (16, 0),
        Compression::Lz4 => (7, 4),
        // Members and frames may follow one another.
        _ => (0, 0),
    }
}

/// Packs `first`, `repeated` as often as there is room for, and `last`, all of [`PIECE`] bytes; how often it was.
fn pack(codec: Compression, first: &dyn Fn(usize) -> Vec<u8>, repeated: &[u8], last: &[u8]) -> (Vec<u8>, usize) {
    let (before, behind) = framing(codec);
    let [repeated, last] = [repeated, last].map(|piece| codec.compress(piece).unwrap());
    let blocks = |packed: &[u8]| packed[before..packed.len() - behind].to_vec();
    let room = MESSAGE_MAX - HEADER_LEN - last.len() - repeated.len() * 2;
    let count = (room / blocks(&repeated).len()).min(EXPANDED / PIECE - 2);
    let first = codec.compress(&first(count)).unwrap();
    assert_eq!(first[..before], last[..before], "one stream");
    let mut packed = first[..first.len() - behind].to_vec();
    (0..count).for_each(|_| packed.extend(blocks(&repeated)));
    packed.extend(&last[before..]);
    (packed, count)
}

/// A batch with the header of `builder`, but `count` records in `packed`.
fn sealed(builder: &BatchBuilder, count: i32, packed: &[u8]) -> Bytes {
    let mut batch = builder.build(0)[..HEADER_LEN].to_vec();
    batch.extend(packed);
    let length = batch.len() as i32 - 12;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c(&batch[crc_start()..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    assert!(batch.len() <= MESSAGE_MAX);
    batch.into()
}

fn record(offset: i64, key: Option<&[u8]>, value_len: usize) -> Vec<u8> {
    let mut fields = vec![0];
    varint(&mut fields, offset); // its timestamp delta, too
    varint(&mut fields, offset);
    match key {
        None => varint(&mut fields, -1),
        Some(key) => {
            varint(&mut fields, key.len() as i64);
            fields.extend(key);
        }
    }
    varint(&mut fields, value_len as i64);
    let mut out = Vec::new();
    varint(&mut out, (fields.len() + value_len + 1) as i64);
    out.extend(fields);
    out
}

/// Three records at `timestamp` and the milliseconds after it, the middle one as large as the codec gets it.
fn bomb(codec: Compression, timestamp: i64, key: Option<&[u8]>) -> (Bytes, usize) {
    let mut third = record(2, key, 1);
    third.extend([0, 0]);
    let last = [vec![0; PIECE - third.len()], third].concat();
    let tail = last.len() - (record(2, key, 1).len() + 2);
    let first = |count: usize| {
        let mut head = record(0, key, 1);
        head.put_slice(&[0, 0]);
        // The zeros are the value, and the last of them the count of headers; how many go into the first piece depends on
        // how many bytes it takes to say so, which is the same for every guess that is close.
        let guess = record(1, key, PIECE * (count + 1)).len();
        let zeros = PIECE - head.len() - guess + PIECE * count + tail;
        head.extend(record(1, key, zeros - 1));
        head.resize(PIECE, 0);
        head
    };
    let (packed, count) = pack(codec, &first, &vec![0; PIECE], &last);
    let mut builder = BatchBuilder::new(codec);
    (0..3).for_each(|delta| builder.append(timestamp + delta, key, None, &[]));
    (sealed(&builder, 3, &packed), (count + 2) * PIECE)
}

/// As many of the smallest records, without keys, as a compacted topic reads.
fn swarm(timestamp: i64) -> Bytes {
    const RECORDS: usize = 8_000_000;
    let packed = Compression::Zstd.compress(&[0x0c, 0, 0, 0, 1, 1, 0].repeat(RECORDS)).unwrap();
    let mut builder = BatchBuilder::new(Compression::Zstd);
    builder.append(timestamp, None, None, &[]);
    sealed(&builder, RECORDS as i32, &packed)
}

/// What a topic answers to one batch, and how long it took.
async fn produce(address: &str, topic: &str, batch: Bytes) -> ErrorCode {
    let data = PartitionProduceData { index: 0, records: Some(Records::Bytes(batch)) };
    let topic_data = vec![TopicProduceData { name: topic.into(), partition_data: vec![data], ..Default::default() }];
    let timeout_ms = TIMEOUT.as_millis() as i32;
    let request = ProduceRequest { acks: -1, timeout_ms, topic_data, ..Default::default() };
    let answer = Wire::connect(address).await.call(&request, 9).await;
    answer.responses[0].partition_responses[0].error_code
}

/// The topics that bombs are thrown at, with their settings.
const TOPICS: [(&str, &[(&str, &str)]); 5] = [
    ("plain", &[]),
    ("compacted", &[("cleanup.policy", "compact")]),
    ("repacked", &[("compression.type", "PLACEHOLDER")]),
    ("unpacked", &[("compression.type", "uncompressed")]),
    ("both", &[("cleanup.policy", "compact"), ("compression.type", "uncompressed")]),
];

/// The codec that a topic has which is not that of the bomb.
fn another(codec: Compression) -> Compression {
    if codec == Compression::Zstd { Compression::Gzip } else { Compression::Zstd }
}

fn topic_of(topic: &str, codec: Compression) -> String {
    format!("{topic}-{}", codec.name())
}

async fn create_topics(client: &Client) {
    for codec in CODECS {
        for (topic, settings) in TOPICS {
            let fill = |(key, value): &(&'static str, &'static str)| {
                (*key, if *value == "PLACEHOLDER" { another(codec).name() } else { *value })
            };
            let settings: Vec<_> = settings.iter().map(fill).collect();
            client.create_topic(&topic_of(topic, codec), 1, 1, &settings).await.unwrap();
        }
    }
}

/// What a bomb on `topic` comes to: only those of snappy are small enough to be looked through.
fn expected(topic: &str, codec: Compression, has_key: bool) -> ErrorCode {
    match topic {
        "plain" => ErrorCode::NONE,
        _ if codec != Compression::Snappy => ErrorCode::INVALID_RECORD,
        "compacted" | "both" if !has_key => ErrorCode::INVALID_RECORD,
        "unpacked" | "both" => ErrorCode::MESSAGE_TOO_LARGE,
        _ => ErrorCode::NONE,
    }
}

/// Looks up the times in and around the bomb that is the first batch of a topic, and of a small one behind it.
async fn look_up(client: &Client, topic: &str, codec: Compression, timestamp: i64) {
    let found = async |at: i64| client.list_offset(topic, 0, at).await.unwrap();
    assert_eq!(found(timestamp - 1).await, 0, "{topic}: before it");
    assert_eq!(found(timestamp).await, 0, "{topic}: its first record");
    for (delta, exact) in [(1, 1), (2, 2)] {
        // Where the record is too far inside, a consumer begins at the start of its batch.
        let offset = found(timestamp + delta).await;
        let is_near = offset == 0 && codec != Compression::Snappy;
        assert!(offset == exact || is_near, "{topic}: record {exact} is looked for at {offset}");
    }
    assert_eq!(found(timestamp + 3).await, 3, "{topic}: behind it");
    assert_eq!(found(-3).await, 3, "{topic}: the newest");
    assert_eq!(found(timestamp + 1000).await, -1, "{topic}: after all");
}

/// Old records are deleted by the retention task, new topics and acks=all work.
async fn is_alive(client: &Client) {
    client.create_topic("short", 1, 1, &[("retention.ms", "1000")]).await.unwrap();
    let old = client.produce("short", 0, small(now() - 60_000), -1, TIMEOUT).await.unwrap();
    assert!(old.error_code.is_none());
    let deleted = tokio::time::timeout(Duration::from_secs(10), async {
        while client.list_offset("short", 0, -2).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    deleted.await.expect("retention is at work");
    for codec in CODECS {
        let produced = client.produce(&topic_of("plain", codec), 0, plain(), -1, TIMEOUT).await.unwrap();
        assert!(produced.error_code.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compression_bombs_are_refused_or_kept_packed_and_nobody_notices() {
    let mut broker = Process::start(&["log.retention.check.interval.ms=300"]);
    let client = broker.client().await;
    create_topics(&client).await;
    client.create_topic("swarmed", 1, 1, &[("cleanup.policy", "compact")]).await.unwrap();
    let timestamp = now();
    let bombs: Vec<_> = CODECS
        .iter()
        .flat_map(|codec| [(*codec, None), (*codec, Some(&b"k"[..]))])
        .map(|(codec, key)| (codec, key.is_some(), bomb(codec, timestamp, key)))
        .collect();
    for (codec, _, (batch, expanded)) in &bombs {
        eprintln!("{}: {} KiB for {} MiB", codec.name(), batch.len() >> 10, expanded >> 20);
    }

    let watch = Watch::begin(&broker).await;
    let mut thrown = Vec::new();
    for (codec, has_key, (batch, _)) in &bombs {
        for (topic, _) in TOPICS.iter().filter(|(topic, _)| *topic != "plain" || !has_key) {
            let (codec, has_key, batch, address) = (*codec, *has_key, batch.clone(), broker.address.clone());
            thrown.push(tokio::spawn(async move {
                let code = produce(&address, &topic_of(topic, codec), batch).await;
                assert_eq!(code, expected(topic, codec, has_key), "{topic}, {}, key: {has_key}", codec.name());
            }));
        }
    }
    let (address, swarm) = (broker.address.clone(), swarm(timestamp));
    thrown.push(tokio::spawn(async move {
        assert_eq!(produce(&address, "swarmed", swarm).await, ErrorCode::INVALID_RECORD);
    }));
    for task in thrown {
        task.await.unwrap();
    }
    let mut searches = Vec::new();
    for codec in CODECS {
        let topic = topic_of("plain", codec);
        let behind = client.produce(&topic, 0, small(timestamp + 10), -1, TIMEOUT).await.unwrap();
        assert_eq!((behind.error_code, behind.base_offset), (ErrorCode::NONE, 3));
        let client = client.clone();
        searches.push(tokio::spawn(async move { look_up(&client, &topic, codec, timestamp).await }));
    }
    for task in searches {
        task.await.unwrap();
    }
    is_alive(&client).await;
    watch.end("bombs").await;
    assert_eq!(broker.complaints(), [""; 0]);
    assert!(broker.is_running());
}

//! Replicated partitions on whole brokers: nothing acked is lost when brokers are killed, and replicas come to be the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_core::{BrokerId, Offset};
use ottla_protocol::client::{Client, FetchLimits};
use ottla_records::{BatchBuilder, Compression, Limits, RecordReader, batches};
use ottla_tests::cluster::Cluster;

const PARTITIONS: i32 = 3;
const TIMEOUT: Duration = Duration::from_secs(2);

fn batch(value: &str) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(1_700_000_000_000, Some(b"k"), Some(value.as_bytes()), &[]);
    builder.build(0)
}

/// What producers have been acked: value and offset, per partition; and the longest wait for an ack.
#[derive(Default)]
struct Acked {
    records: BTreeMap<(i32, i64), String>,
    longest: Duration,
}

/// Producers at work, one a partition.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    /// How many records of each partition have been acked.
    acked: [AtomicUsize; PARTITIONS as usize],
}

impl Load {
    /// Waits until every producer has been acked `more` records from now on.
    async fn progresses(&self, cluster: &Cluster, more: usize) {
        let counts = || self.acked.each_ref().map(|acked| acked.load(Ordering::Relaxed));
        let before = counts();
        let all_have = || counts().iter().zip(before).all(|(now, before)| *now >= before + more);
        cluster.until("every producer is acked", all_have).await;
    }
}

/// Produces to `partition`, one record after the other, until it is told to stop.
async fn produce(client: Client, partition: i32, load: Arc<Load>) -> Acked {
    let mut acked = Acked::default();
    let mut last = Instant::now();
    for n in 0.. {
        if load.stop.load(Ordering::Relaxed) {
            break;
        }
        let value = format!("{partition}-{n}");
        let answer = client.produce("t", partition, batch(&value), -1, TIMEOUT).await;
        if let Ok(answer) = answer
            && answer.error_code.is_none()
        {
            acked.longest = acked.longest.max(last.elapsed());
            last = Instant::now();
            acked.records.insert((partition, answer.base_offset), value);
            load.acked[partition as usize].fetch_add(1, Ordering::Relaxed);
        }
    }
    acked
}

/// Runs producers while `harm` does its work.
async fn under_load(cluster: &mut Cluster, harm: impl AsyncFnOnce(&mut Cluster, &Load)) -> Acked {
    let load = Arc::new(Load::default());
    let mut producers = Vec::new();
    for partition in 0..PARTITIONS {
        producers.push(tokio::spawn(produce(cluster.client().await, partition, Arc::clone(&load))));
    }
    tokio::time::timeout(Duration::from_secs(60), harm(cluster, &load)).await.expect("the harm is done in time");
    load.stop.store(true, Ordering::Relaxed);
    let mut all = Acked::default();
    for producer in producers {
        let acked = producer.await.expect("producers do not fail");
        all.longest = all.longest.max(acked.longest);
        all.records.extend(acked.records);
    }
    all
}

/// Everything in a partition below its watermark, by offset.
async fn read(client: &Client, partition: i32) -> BTreeMap<i64, String> {
    let end = client.list_offset("t", partition, -1).await.expect("a leader answers");
    let (mut next, mut found) = (0, BTreeMap::new());
    while next < end {
        let data = client.fetch("t", partition, next, FetchLimits::default()).await.expect("a leader answers");
        let bytes = data.records.and_then(|records| records.as_bytes().cloned()).unwrap_or_default();
        for batch in batches(&bytes) {
            let batch = batch.expect("batches are whole");
            let mut records = RecordReader::new(batch.bytes, Limits::default()).expect("it can be read");
            while let Some(record) = records.next_record().expect("it can be read") {
                let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
                found.insert(record.offset, value);
            }
            next = batch.header.last_offset() + 1;
        }
    }
    found
}

/// Asserts that nothing acked is missing or changed.
async fn check(cluster: &Cluster, acked: &Acked) {
    let client = cluster.client().await;
    let mut found = BTreeMap::new();
    for partition in 0..PARTITIONS {
        found.insert(partition, read(&client, partition).await);
    }
    assert!(!acked.records.is_empty());
    for ((partition, offset), value) in &acked.records {
        assert_eq!(found[partition].get(offset), Some(value), "partition {partition} offset {offset}");
    }
}

/// Waits until every partition has `size` replicas in sync, and asserts that they are the same.
async fn whole(cluster: &Cluster, size: usize) {
    let some = cluster.running().map(|(id, _)| id).next().expect("one runs");
    let isr = |partition: i32| {
        let image = cluster.image(some);
        image.topic("t").and_then(|topic| topic.partition(partition)).map_or(0, |state| state.isr.len())
    };
    cluster.until("every replica is in sync", || (0..PARTITIONS).all(|partition| isr(partition) == size)).await;
    for partition in 0..PARTITIONS {
        let bytes = |id: usize| {
            let replica = cluster.node(id)?.broker().replicas.topics().partition("t", partition).ok()?;
            let reader = replica.reader();
            let slice = reader.read(Offset(0), usize::MAX, reader.log_end(), true).ok()??;
            slice.read().ok()
        };
        let all: Vec<usize> = cluster.running().map(|(id, _)| id).collect();
        cluster.until("replicas are the same", || all.windows(2).all(|two| bytes(two[0]) == bytes(two[1]))).await;
    }
}

async fn start(durability: &str) -> Cluster {
    let properties = [("default.replication.factor", "3"), ("min.insync.replicas", "2")];
    let cluster = Cluster::start_with(3, &properties).await;
    let client = cluster.client().await;
    client.create_topic("t", PARTITIONS, 3, &[("ottla.durability", durability)]).await.expect("it is created");
    cluster.settled().await;
    whole(&cluster, 3).await;
    cluster
}

fn leader(cluster: &Cluster) -> usize {
    let some = cluster.running().map(|(id, _)| id).next().expect("one runs");
    let state = cluster.image(some).topic("t").and_then(|topic| topic.partition(0).cloned()).expect("it is there");
    assert_ne!(state.leader, BrokerId::NONE);
    usize::try_from(state.leader.0).expect("somebody leads")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_takes_nothing_with_it_that_was_acked() {
    for durability in ["fsync", "replicated"] {
        let mut cluster = start(durability).await;
        let acked = under_load(&mut cluster, async |cluster, load| {
            load.progresses(cluster, 50).await;
            let victim = leader(cluster);
            cluster.kill(victim);
            load.progresses(cluster, 50).await;
            cluster.start_broker(victim).await.expect("it starts again");
            whole_isr(cluster, 3).await;
        })
        .await;
        println!("{durability}: {} acked, longest wait {:?}", acked.records.len(), acked.longest);
        assert!(acked.longest < Duration::from_secs(4), "{:?}", acked.longest);
        whole(&cluster, 3).await;
        check(&cluster, &acked).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn producers_hardly_notice_a_leader_that_stops_in_order() {
    let mut cluster = start("fsync").await;
    let mut longest = Vec::new();
    for _ in 0..5 {
        let acked = under_load(&mut cluster, async |cluster, load| {
            load.progresses(cluster, 20).await;
            let victim = leader(cluster);
            cluster.stop(victim).await;
            load.progresses(cluster, 20).await;
            cluster.start_broker(victim).await.expect("it starts again");
            whole_isr(cluster, 3).await;
        })
        .await;
        check(&cluster, &acked).await;
        longest.push(acked.longest);
    }
    longest.sort();
    println!("stopped in order: longest waits {longest:?}");
    assert!(longest[2] < Duration::from_millis(500), "{longest:?}");
}

async fn whole_isr(cluster: &Cluster, size: usize) {
    let image = || cluster.image(0);
    let is_whole =
        || image().topic("t").is_some_and(|topic| topic.partitions.iter().all(|state| state.isr.len() == size));
    cluster.until("every replica is in sync", is_whole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_brokers_killed_at_once_come_back_with_everything_that_was_acked() {
    let mut cluster = start("fsync").await;
    let acked = under_load(&mut cluster, async |cluster, load| {
        load.progresses(cluster, 50).await;
        cluster.kill_all();
        cluster.start_all().await;
        whole_isr(cluster, 3).await;
        load.progresses(cluster, 50).await;
    })
    .await;
    println!("{} acked, longest wait {:?}", acked.records.len(), acked.longest);
    whole(&cluster, 3).await;
    check(&cluster, &acked).await;
}

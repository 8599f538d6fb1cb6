//! Log directories that fail while the broker runs, or are not there when it starts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::{ConfigChange, ConfigOp, IncrementalAlterConfigs, ResourceChanges};
use ottla_core::metadata::Resource;
use ottla_core::{BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Offset, TopicName};
use ottla_protocol::ErrorCode;
use ottla_storage::{FileCache, FlushListener, Flushed, Identity, LoadOptions, LogConfig, LogDir, LogDirOptions};

use super::produce_fetch::{batch, produce};
use super::raw::Raw;
use crate::api::error::of_replica;
use crate::clock::Clock;
use crate::config::Config;
use crate::replica::Manager;
use crate::telemetry::Metrics;
use crate::testing::{TestBroker, TestCluster, eventually};

fn two(data: &Path) -> String {
    format!("{},{}", data.join("a").display(), data.join("b").display())
}

fn directory_of(broker: &TestBroker, index: i32) -> DirectoryId {
    let image = broker.controller.image();
    image.topic("t").unwrap().partition(index).unwrap().replica_on(BrokerId(0)).unwrap().directory
}

#[tokio::test]
async fn a_directory_that_fails_takes_its_own_partitions_offline_and_no_others() {
    let data = tempfile::tempdir().unwrap();
    let broker = TestBroker::start_with(&[("log.dirs", &two(data.path()))]).await;
    broker.create_topic("t", 4, &[]).await;
    let replicas = Arc::clone(&broker.running.broker.replicas);
    let (first, second) = (replicas.directories()[0].id, replicas.directories()[1].id);
    let mut in_each: Vec<_> = (0..4).map(|index| directory_of(&broker, index)).collect();
    in_each.sort();
    let mut expected = vec![first, first, second, second];
    expected.sort();
    assert_eq!(in_each, expected);

    replicas.fail_directory(second, "the test says so");
    let leader = |index| broker.controller.image().topic("t").unwrap().partition(index).unwrap().leader;
    let failed = |index: &i32| directory_of(&broker, *index) == second;
    eventually("the controller takes the lead away", || (0..4).filter(failed).all(|index| leader(index).0 == -1)).await;
    for index in 0..4 {
        let partition = broker.running.broker.replica_by_name("t", index).unwrap();
        let checked = partition.check_leader(LeaderEpoch::NONE);
        if failed(&index) {
            assert_eq!(of_replica(&checked.unwrap_err()), ErrorCode::KAFKA_STORAGE_ERROR);
        } else {
            assert_eq!((leader(index), checked.is_ok()), (BrokerId(0), true));
        }
    }
    let registered = broker.controller.image().broker(BrokerId(0)).unwrap().directories.clone();
    assert_eq!(registered, [first]);
    broker.running.leave().await.unwrap();
}

#[tokio::test]
async fn a_broker_goes_on_until_its_last_directory_has_failed() {
    let data = tempfile::tempdir().unwrap();
    let broker = TestBroker::start_with(&[("log.dirs", &two(data.path()))]).await;
    let replicas = Arc::clone(&broker.running.broker.replicas);
    let all_failed = tokio::spawn({
        let replicas = Arc::clone(&replicas);
        async move { replicas.all_directories_failed().await }
    });
    let ids: Vec<_> = replicas.directories().iter().map(|directory| directory.id).collect();
    replicas.fail_directory(ids[0], "the test says so");
    tokio::task::yield_now().await;
    assert!(!all_failed.is_finished());
    replicas.fail_directory(ids[1], "the test says so");
    tokio::time::timeout(Duration::from_secs(10), all_failed).await.unwrap().unwrap();
    broker.running.leave().await.unwrap_err();
}

fn open(data: &Path) -> Result<Manager, ottla_storage::Error> {
    let config = Config::from_values(BTreeMap::from([("log.dirs".to_owned(), two(data))])).unwrap();
    let identity = Identity { cluster_id: "test".to_owned(), node_id: config.node_id };
    Manager::open(Arc::new(config), &identity, Metrics::new())
}

#[test]
fn a_directory_that_is_missing_at_the_start_is_offline_and_not_made_anew() {
    let data = tempfile::tempdir().unwrap();
    let manager = open(data.path()).unwrap();
    let ids: Vec<_> = manager.directories().iter().map(|directory| directory.id).collect();
    manager.close(BrokerEpoch(1)).unwrap();
    let (there, away) = (data.path().join("b"), data.path().join("away"));
    std::fs::rename(&there, &away).unwrap();

    let manager = open(data.path()).unwrap();
    let directories = manager.directories();
    assert_eq!((directories[0].id, directories[0].failure.is_none()), (ids[0], true));
    assert!(directories[1].failure.is_some() && !there.exists());
    manager.close(BrokerEpoch(2)).unwrap();

    std::fs::rename(&away, &there).unwrap();
    let manager = open(data.path()).unwrap();
    assert_eq!(manager.directories().iter().map(|directory| directory.id).collect::<Vec<_>>(), ids);
    manager.close(BrokerEpoch(3)).unwrap();

    std::fs::rename(data.path().join("a"), &away).unwrap();
    assert!(open(data.path()).is_err(), "the first directory holds the metadata");
}

#[tokio::test]
async fn a_directory_whose_identity_cannot_be_read_is_offline_and_the_others_are_served() {
    let data = tempfile::tempdir().unwrap();
    let broker = TestBroker::start_with(&[("log.dirs", &two(data.path()))]).await;
    broker.running.leave().await.unwrap();
    let identity = data.path().join("b/meta.properties");
    std::fs::remove_file(&identity).unwrap();
    // Reading it is an error of the file system, for root as for anybody.
    std::fs::create_dir(&identity).unwrap();

    let broker = TestBroker::start_with(&[("log.dirs", &two(data.path()))]).await;
    let directories = broker.running.broker.replicas.directories();
    assert_eq!(directories.iter().map(|one| one.failure.is_some()).collect::<Vec<_>>(), [false, true]);
    broker.create_topic("t", 2, &[]).await;
    assert_eq!([0, 1].map(|index| directory_of(&broker, index)), [directories[0].id; 2]);
    broker.running.leave().await.unwrap();
}

struct Nobody;

impl FlushListener for Nobody {
    fn on_flushed(&self, _: &[Flushed]) {}

    fn on_directory_failed(&self, _: &Path, _: &str) {}
}

/// Cuts the only log in a directory of a broker that does not run, and appends to it in another term.
fn rewrite(path: &Path, to: Offset, epoch: LeaderEpoch) {
    let identity = Identity { cluster_id: "test".to_owned(), node_id: BrokerId(1) };
    let options = LogDirOptions {
        path: path.to_owned(),
        free_space_reserve: 0,
        cache: FileCache::new(16),
        listener: Arc::new(Nobody),
    };
    let dir = LogDir::open(options, &identity, DirectoryId::ZERO).unwrap();
    let now = Clock::new().now();
    let config = |_: &TopicName| Arc::new(LogConfig::default());
    let mut loaded = dir.load(&LoadOptions { threads: 1, config: &config, verify_all: false, now }).unwrap();
    let mut log = loaded.remove(0).log.unwrap().0;
    log.truncate_to(to).unwrap();
    log.append_as_leader(&batch("new"), epoch, now).unwrap();
    dir.close(vec![log], std::iter::empty(), BrokerEpoch(1), now).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_logs_of_a_replica_the_one_of_the_later_term_counts_though_it_is_shorter() {
    let data = tempfile::tempdir().unwrap();
    let dirs = two(data.path());
    let mut cluster = TestCluster::start(1, &[("log.dirs", &dirs)]).await;
    cluster.create_topic("t", &[1], &[]).await;
    let client = cluster.client(1).await;
    for _ in 0..5 {
        client.produce("t", 0, batch("old"), -1, Duration::from_secs(5)).await.unwrap();
    }
    cluster.stop_broker(1).await;
    let (a, b) = (data.path().join("a"), data.path().join("b"));
    let (newer, older) = if a.join("t-0").exists() { (a, b) } else { (b, a) };
    std::fs::create_dir(older.join("t-0")).unwrap();
    for file in std::fs::read_dir(newer.join("t-0")).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), older.join("t-0").join(file.file_name())).unwrap();
    }
    rewrite(&newer, Offset(2), LeaderEpoch(1));

    cluster.start_broker(1, &[]).await;
    assert_eq!(cluster.replica(1, "t").reader().log_end(), Offset(3));
    eventually("the older one is gone", || !older.join("t-0").exists()).await;
}

#[tokio::test]
async fn a_topic_whose_logs_cannot_be_made_or_filled_is_a_storage_error_to_its_producers() {
    let broker = TestBroker::start().await;
    let directories = broker.running.broker.replicas.directories();
    // A file where the folder belongs.
    std::fs::write(directories[0].path.join("blocked-0"), b"").unwrap();
    let key = "ottla.free.space.reserve.bytes".to_owned();
    let change = ConfigChange { key, op: ConfigOp::Set, value: Some(i64::MAX.to_string()) };
    let resources = vec![ResourceChanges { resource: Resource::every_broker(), changes: vec![change] }];
    broker.controller.submit(IncrementalAlterConfigs { resources, validate_only: false }).await.unwrap();
    let mut client = Raw::connect(broker.address()).await;
    for topic in ["blocked", "full"] {
        broker.create_topic(topic, 1, &[]).await;
        for acks in [1, -1] {
            let answer = client.call(&produce(topic, acks, batch("v")), 9).await;
            let code = answer.responses[0].partition_responses[0].error_code;
            assert_eq!(code, ErrorCode::KAFKA_STORAGE_ERROR, "{topic}, acks {acks}");
        }
    }
}

//! Log directories that fail while the broker runs, or are not there when it starts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ottla_core::{BrokerEpoch, BrokerId, DirectoryId};
use ottla_protocol::ErrorCode;
use ottla_storage::Identity;

use crate::api::error::of_replica;
use crate::config::Config;
use crate::replica::Manager;
use crate::telemetry::Metrics;
use crate::testing::{TestBroker, eventually};

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
        let checked = partition.check_leader(ottla_core::LeaderEpoch::NONE);
        if failed(&index) {
            assert_eq!(of_replica(&checked.unwrap_err()), ErrorCode::KAFKA_STORAGE_ERROR);
        } else {
            assert_eq!((leader(index), checked.is_ok()), (BrokerId(0), true));
        }
    }
    let registered = broker.controller.image().broker(BrokerId(0)).unwrap().directories.clone();
    assert_eq!(registered, [first]);
    broker.running.stop().await.unwrap();
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
    tokio::time::timeout(std::time::Duration::from_secs(10), all_failed).await.unwrap().unwrap();
    broker.running.stop().await.unwrap_err();
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
    broker.running.stop().await.unwrap();
    let identity = data.path().join("b/meta.properties");
    std::fs::remove_file(&identity).unwrap();
    // Reading it is an error of the file system, for root as for anybody.
    std::fs::create_dir(&identity).unwrap();

    let broker = TestBroker::start_with(&[("log.dirs", &two(data.path()))]).await;
    let directories = broker.running.broker.replicas.directories();
    assert_eq!(directories.iter().map(|one| one.failure.is_some()).collect::<Vec<_>>(), [false, true]);
    broker.create_topic("t", 2, &[]).await;
    assert_eq!([0, 1].map(|index| directory_of(&broker, index)), [directories[0].id; 2]);
    broker.running.stop().await.unwrap();
}

//! The whole path: log, controller, publisher and registration of one broker, over restarts.

mod cluster;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::{
    ConfigChange, ConfigOp, CreateTopics, CreatedTopic, Error, IncrementalAlterConfigs, NewTopic, PreviousStop,
    ResourceChanges, Settings,
};
use ottla_core::metadata::{Image, LocalChanges, Resource};
use ottla_core::{BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Now, Timestamp, TopicId};
use parking_lot::Mutex;
use uuid::Uuid;

use super::*;

const ME: BrokerId = BrokerId(0);
const DIRECTORY: DirectoryId = DirectoryId(Uuid::from_u128(7));

/// Replicas that only note what they are told.
#[derive(Default)]
struct Notes(Mutex<Vec<LocalChanges>>);

impl Replicas for Notes {
    fn apply(&self, changes: &LocalChanges, _: &Arc<Image>) {
        self.0.lock().push(changes.clone());
    }
}

impl Notes {
    /// Every partition led so far, in order, with its leader epoch.
    fn led(&self) -> Vec<(String, LeaderEpoch)> {
        let changes = self.0.lock();
        let led = changes.iter().flat_map(|changes| &changes.lead);
        led.map(|local| (local.partition.to_string(), local.state.leader_epoch)).collect()
    }
}

/// One uptime of the broker.
struct Running {
    service: Service,
    notes: Arc<Notes>,
    epoch: BrokerEpoch,
    _life: Life,
}

fn log_options(folder: &Path) -> quorum::Options {
    quorum::Options::new(folder.join("metadata"), quorum::VoterId::new(ME, DIRECTORY), "127.0.0.1:9093".into())
}

fn options(log: quorum::Options, incarnation: Uuid, cluster_id: &str) -> Options {
    Options {
        log,
        incarnation,
        settings: Settings::default(),
        entrance: quorum::Entrance::alone(cluster_id.to_owned()),
        peers: Peers::new(None),
        door: quorum::Door::new(ME, &[]),
        services: Services::default(),
        quotas: Arc::default(),
    }
}

async fn start_with(log: quorum::Options, previous: PreviousStop) -> Running {
    let (incarnation, notes) = (Uuid::new_v4(), Arc::new(Notes::default()));
    let options = options(log, incarnation, "cluster");
    let now = || Now { monotonic: Duration::ZERO, wall: Timestamp(0) };
    let service = Service::start(options, Arc::clone(&notes) as Arc<dyn Replicas>, now).await.unwrap();
    let uptime = Uptime {
        broker: ME,
        incarnation,
        cluster_id: service.handle().image().cluster_id().to_owned(),
        endpoints: Vec::new(),
        rack: None,
        directories: vec![DIRECTORY],
        previous,
        heartbeat_interval: Duration::from_millis(500),
    };
    let life = register(&service.handle(), uptime).await.unwrap();
    Running { service, notes, epoch: life.epoch(), _life: life }
}

async fn start(folder: &Path) -> Running {
    let previous = PreviousStop::Unclean { page_cache_kept: true, damaged: Vec::new() };
    start_with(log_options(folder), previous).await
}

fn topic(name: &str, id: u128, partitions: i32) -> CreateTopics {
    let topic = NewTopic { partitions, ..NewTopic::with_defaults(name, TopicId(Uuid::from_u128(id))) };
    CreateTopics { topics: vec![topic], validate_only: false }
}

async fn create(running: &Running, name: &str, id: u128) -> Result<CreatedTopic, Error> {
    running.service.handle().submit(topic(name, id, 2)).await.unwrap().remove(0).1
}

/// Everything about an image that a restart by itself does not change.
fn topics(image: &Image) -> Vec<(String, TopicId, usize)> {
    let mut topics: Vec<_> =
        image.topics().iter().map(|topic| (topic.name.to_string(), topic.id, topic.partitions.len())).collect();
    topics.sort();
    topics
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_created_topic_is_led_when_it_is_answered_and_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    create(&running, "orders", 1).await.unwrap();
    let led = |epoch| vec![("orders-0".to_owned(), LeaderEpoch(epoch)), ("orders-1".to_owned(), LeaderEpoch(epoch))];
    assert_eq!(running.notes.led(), led(0), "led before the answer");
    assert_eq!(create(&running, "orders", 2).await, Err(Error::TopicAlreadyExists("orders".to_owned())));
    let before = running.service.handle().image();
    running.service.shutdown().await;

    let again = start(folder.path()).await;
    let after = again.service.handle().image();
    assert_eq!((after.cluster_id(), topics(&after)), (before.cluster_id(), topics(&before)));
    assert!(again.epoch > running.epoch, "each uptime has an epoch of its own");
    assert_eq!(again.notes.led(), led(2), "led once, in a new epoch, never as the uptime before");
    again.service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_registration_the_image_after_a_restart_is_the_image_before() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    create(&running, "orders", 1).await.unwrap();
    let before = running.service.handle().image();
    running.service.shutdown().await;

    let log = quorum::RaftLog::start_alone(log_options(folder.path())).await.unwrap();
    let after = log.committed().borrow().clone();
    assert_eq!(after, before);
    log.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_and_compaction_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let options = || quorum::Options { entries_per_snapshot: 20, entries_kept: 3, ..log_options(folder.path()) };
    let previous = || PreviousStop::Unclean { page_cache_kept: true, damaged: Vec::new() };
    let running = start_with(options(), previous()).await;
    for id in 1..=100 {
        create(&running, &format!("topic.{id}"), id).await.unwrap();
    }
    let change = ConfigChange { key: "retention.ms".into(), op: ConfigOp::Set, value: Some("5".into()) };
    let resources = vec![ResourceChanges { resource: Resource::topic("topic.7"), changes: vec![change] }];
    running.service.handle().submit(IncrementalAlterConfigs { resources, validate_only: false }).await.unwrap();
    let before = running.service.handle().image();
    running.service.log().snapshot().await.unwrap();
    assert!(folder.path().join("metadata/snapshot").exists());
    running.service.shutdown().await;

    let again = start_with(options(), previous()).await;
    let after = again.service.handle().image();
    assert_eq!(topics(&after), topics(&before));
    assert_eq!(after.config_value(&Resource::topic("topic.7"), "retention.ms"), Some("5"));
    create(&again, "one.more", 1000).await.unwrap();
    again.service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_submitted_together_are_all_answered_and_decided_one_upon_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    let handle = running.service.handle();
    let asked: Vec<_> = (0..200)
        .map(|number| {
            let handle = handle.clone();
            // Every name is asked for twice.
            tokio::spawn(async move { handle.submit(topic(&format!("t{}", number / 2), number, 1)).await })
        })
        .collect();
    let (mut created, mut existed) = (0, 0);
    for answer in asked {
        match answer.await.unwrap().unwrap().remove(0).1 {
            Ok(_) => created += 1,
            Err(Error::TopicAlreadyExists(_)) => existed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((created, existed), (100, 100));
    assert_eq!(running.notes.led().len(), 100);
    running.service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metadata_of_another_cluster_or_voter_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    start(folder.path()).await.service.shutdown().await;
    let start = |log, cluster_id: &str| {
        let options = options(log, Uuid::new_v4(), cluster_id);
        Service::start(options, Arc::new(Notes::default()), || Now { monotonic: Duration::ZERO, wall: Timestamp(0) })
    };
    let other = start(log_options(folder.path()), "other").await;
    assert!(matches!(other, Err(StartError::OtherCluster { .. })));
    let emptied = quorum::VoterId::new(ME, DirectoryId(Uuid::from_u128(8)));
    let log = quorum::Options { me: emptied, ..log_options(folder.path()) };
    let other = start(log, "cluster").await;
    assert!(matches!(other, Err(StartError::Log(quorum::StartError::OtherVoter { .. }))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_tail_costs_only_what_was_torn() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    create(&running, "kept", 1).await.unwrap();
    running.service.shutdown().await;
    let segment = folder.path().join("metadata/00000000000000000000.log");
    let whole = std::fs::read(&segment).unwrap();
    for torn in [&[0x55; 9][..], &[0; 4096], &whole[..30]] {
        let mut bytes = whole.clone();
        bytes.extend_from_slice(torn);
        std::fs::write(&segment, &bytes).unwrap();
        let log = quorum::RaftLog::start_alone(log_options(folder.path())).await.unwrap();
        assert!(log.committed().borrow().topic("kept").is_some());
        log.shutdown().await;
    }
    let mut flipped = whole.clone();
    flipped[40] ^= 1;
    std::fs::write(&segment, &flipped).unwrap();
    let refused = quorum::RaftLog::start_alone(log_options(folder.path())).await.err().unwrap();
    assert!(refused.to_string().contains("damaged at byte"), "{refused}");
}

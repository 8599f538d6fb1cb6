//! Random histories: whatever is decided in whatever order, the image keeps its invariants, and every way to rebuild
//! it comes to the same.

use proptest::prelude::*;

use super::super::testing::{Cluster, registration};
use super::super::*;
use crate::metadata::{Entry, Image, Resource, local_changes};
use crate::{BrokerId, ControllerEpoch, DirectoryId, LogIndex};

/// Something that happens; ids are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Create { topic: usize, partitions: i32, factor: i16, min_isr: u8, durable: bool },
    Delete { topic: usize },
    Grow { topic: usize },
    Register { broker: i32, clean: bool, cache: bool, emptied: bool },
    Unfence { broker: i32 },
    Fence { broker: i32 },
    Stop { broker: i32 },
    Cordon { broker: i32, cordoned: bool },
    Isr { topic: usize, members: u8 },
    MinIsr { topic: usize, value: u8 },
    Unclean { topic: usize, allowed: bool },
    Unregister { broker: i32 },
    Reassign { topic: usize, target: Option<Vec<i32>> },
    FailDirectory { broker: i32 },
    AssignDirectory { topic: usize, broker: i32, lost: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let (topic, broker) = (0..4_usize, 0..5_i32);
    prop_oneof![
        3 => (topic.clone(), 1..4_i32, 1..4_i16, 1..4_u8, any::<bool>()).prop_map(
            |(topic, partitions, factor, min_isr, durable)| Step::Create { topic, partitions, factor, min_isr, durable }
        ),
        1 => topic.clone().prop_map(|topic| Step::Delete { topic }),
        1 => topic.clone().prop_map(|topic| Step::Grow { topic }),
        6 => (broker.clone(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.1)).prop_map(
            |(broker, clean, cache, emptied)| Step::Register { broker, clean, cache, emptied }
        ),
        8 => broker.clone().prop_map(|broker| Step::Unfence { broker }),
        4 => broker.clone().prop_map(|broker| Step::Fence { broker }),
        2 => broker.clone().prop_map(|broker| Step::Stop { broker }),
        1 => (broker.clone(), any::<bool>()).prop_map(|(broker, cordoned)| Step::Cordon { broker, cordoned }),
        8 => (topic.clone(), any::<u8>()).prop_map(|(topic, members)| Step::Isr { topic, members }),
        2 => (topic.clone(), 1..4_u8).prop_map(|(topic, value)| Step::MinIsr { topic, value }),
        1 => (topic.clone(), any::<bool>()).prop_map(|(topic, allowed)| Step::Unclean { topic, allowed }),
        6 => (topic.clone(), prop::option::weighted(0.8, prop::collection::vec(0..5_i32, 1..5)))
            .prop_map(|(topic, target)| Step::Reassign { topic, target }),
        1 => broker.clone().prop_map(|broker| Step::FailDirectory { broker }),
        2 => (topic, broker.clone(), prop::bool::weighted(0.2))
            .prop_map(|(topic, broker, lost)| Step::AssignDirectory { topic, broker, lost }),
        1 => broker.prop_map(|broker| Step::Unregister { broker }),
    ]
}

fn name(topic: usize) -> String {
    format!("topic.{topic}")
}

fn set(cluster: &mut Cluster, topic: usize, key: &str, value: String) {
    let change = ConfigChange { key: key.into(), op: ConfigOp::Set, value: Some(value) };
    let resources = vec![ResourceChanges { resource: Resource::topic(name(topic)), changes: vec![change] }];
    cluster.run(IncrementalAlterConfigs { resources, validate_only: false }).unwrap();
}

fn heartbeat(cluster: &mut Cluster, broker: i32, wish: Wish) {
    if let Some(epoch) = cluster.image.broker(BrokerId(broker)).map(|broker| broker.epoch) {
        let applied = cluster.image.index();
        cluster.run(BrokerHeartbeat { broker: BrokerId(broker), epoch, applied, wish }).unwrap();
    }
}

/// Does a step, if it makes sense now. `Cluster::run` asserts the invariants after it.
fn play(cluster: &mut Cluster, incarnation: u128, step: &Step) {
    match *step {
        Step::Create { topic, partitions, factor, min_isr, durable } => {
            let durability = if durable { "fsync" } else { "replicated" };
            let configs = [("min.insync.replicas", min_isr.to_string()), ("ottla.durability", durability.to_owned())];
            let new = NewTopic {
                partitions,
                replication_factor: factor,
                configs: configs.map(|(key, value)| (key.to_owned(), Some(value))).into(),
                ..NewTopic::with_defaults(name(topic), cluster.next_topic_id())
            };
            cluster.run(CreateTopics { topics: vec![new], validate_only: false }).unwrap();
        }
        Step::Delete { topic } => {
            let topics = vec![TopicRef { name: Some(name(topic)), id: crate::TopicId::ZERO }];
            cluster.run(DeleteTopics { topics }).unwrap();
        }
        Step::Grow { topic } => {
            let count = cluster.image.topic(&name(topic)).map_or(1, |topic| topic.partitions.len() as i32 + 1);
            let topics = vec![MorePartitions { topic: name(topic), count, assignments: None }];
            cluster.run(CreatePartitions { topics, validate_only: false }).unwrap();
        }
        Step::Register { broker, clean, cache, emptied } => {
            let epoch = cluster.image.broker(BrokerId(broker)).map(|broker| broker.epoch);
            let previous = match epoch.filter(|_| clean) {
                Some(epoch) => PreviousStop::Clean(epoch),
                None => PreviousStop::Unclean { page_cache_kept: cache, damaged: Vec::new() },
            };
            let mut registration = RegisterBroker { previous, ..registration(broker, incarnation) };
            if emptied {
                registration.directories = vec![DirectoryId(uuid::Uuid::from_u128(incarnation))];
            }
            drop(cluster.run(registration)); // refused while another process is alive
        }
        Step::Unfence { broker } => heartbeat(cluster, broker, Wish::Serve),
        Step::Stop { broker } => heartbeat(cluster, broker, Wish::Stop),
        Step::Fence { broker } => {
            if let Some(epoch) = cluster.image.broker(BrokerId(broker)).map(|broker| broker.epoch) {
                cluster.run(FenceBroker { broker: BrokerId(broker), epoch }).unwrap();
            }
        }
        Step::Cordon { broker, cordoned } => {
            drop(cluster.run(CordonBroker { broker: BrokerId(broker), cordoned })); // unknown brokers are refused
        }
        Step::Isr { topic, members } => propose(cluster, topic, members),
        Step::MinIsr { topic, value } => set(cluster, topic, "min.insync.replicas", value.to_string()),
        Step::Unclean { topic, allowed } => {
            set(cluster, topic, "unclean.leader.election.enable", allowed.to_string());
        }
        Step::Reassign { topic, ref target } => {
            let target = target.as_ref().map(|ids| ids.iter().copied().map(BrokerId).collect());
            let reassignments = vec![Reassignment { topic: name(topic), partition: 0, target }];
            // Each is answered for itself: unknown brokers and duplicates are refused.
            cluster.run(AlterPartitionReassignments { reassignments, allow_replication_factor_change: true }).unwrap();
        }
        Step::FailDirectory { broker } => {
            if let Some(broker) = cluster.image.broker(BrokerId(broker)).cloned() {
                let failed = broker.directories.clone();
                cluster.run(FailDirectories { broker: broker.id, epoch: broker.epoch, failed }).unwrap();
            }
        }
        Step::AssignDirectory { topic, broker, lost } => assign(cluster, topic, broker, lost),
        Step::Unregister { broker } => {
            let holds = |topic: &std::sync::Arc<crate::metadata::Topic>| {
                topic.partitions.iter().any(|state| state.replica_on(BrokerId(broker)).is_some())
            };
            if !cluster.image.topics().iter().any(holds) {
                drop(cluster.run(UnregisterBroker { broker: BrokerId(broker) })); // unknown brokers are refused
            }
        }
    }
}

/// A broker says that its copy of a topic's first partition is in a directory it has, or has not.
fn assign(cluster: &mut Cluster, topic: usize, broker: i32, lost: bool) {
    let Some(broker) = cluster.image.broker(BrokerId(broker)).cloned() else { return };
    let Some(id) = cluster.image.topic(&name(topic)).map(|topic| topic.id) else { return };
    let known = broker.directories.first().copied().filter(|_| !lost);
    let directory = known.unwrap_or(DirectoryId(uuid::Uuid::from_u128(7)));
    let replicas = vec![(id, 0, directory)];
    cluster.run(AssignReplicas { broker: broker.id, epoch: broker.epoch, replicas }).unwrap();
}

/// The leader of a topic's first partition proposes some of its replicas.
fn propose(cluster: &mut Cluster, topic: usize, members: u8) {
    let Some(state) = cluster.image.topic(&name(topic)).and_then(|topic| topic.partition(0).cloned()) else { return };
    if state.leader == BrokerId::NONE {
        return;
    }
    let isr: Vec<i32> =
        state.brokers().filter(|id| *id == state.leader || members & (1 << id.0) != 0).map(|id| id.0).collect();
    if isr.iter().all(|id| cluster.image.broker(BrokerId(*id)).is_some()) {
        drop(cluster.propose(&name(topic), 0, &isr)); // refused with members that are fenced
    }
}

/// What the changes from `old` to `new` make of the set of local copies that `old` had.
fn follow_changes(old: &Image, new: &Image, me: BrokerId) -> bool {
    let copies = |image: &Image| {
        let mut copies: Vec<_> = image
            .topics()
            .iter()
            .flat_map(|topic| topic.indexed().map(move |(index, state)| (topic.id, index, state)))
            .filter(|(.., state)| state.replica_on(me).is_some())
            .map(|(id, index, state)| (id, index, state.leader == me))
            .collect();
        copies.sort();
        copies
    };
    let changes = local_changes(old, new, me);
    let mut followed = copies(old);
    for removed in &changes.delete {
        followed.retain(|(id, index, _)| (*id, *index) != (removed.topic_id, removed.partition.partition));
    }
    for (locals, leads) in [(&changes.lead, true), (&changes.follow, false)] {
        for local in locals {
            followed.retain(|(id, index, _)| (*id, *index) != (local.topic_id, local.partition.partition));
            followed.push((local.topic_id, local.partition.partition, leads));
        }
    }
    followed.sort();
    followed == copies(new)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_history_breaks_an_invariant(steps in prop::collection::vec(step(), 1..120)) {
        let mut cluster = Cluster::with_brokers(3);
        for (incarnation, step) in (100..).zip(&steps) {
            let before = cluster.image.clone();
            play(&mut cluster, incarnation, step);
            for me in (0..5).map(BrokerId) {
                prop_assert!(follow_changes(&before, &cluster.image, me), "broker {me}, {step:?}");
            }
            for topic in cluster.image.topics().iter() {
                let Some(old) = before.topics().by_id(topic.id) else { continue };
                for (state, old) in topic.partitions.iter().zip(&old.partitions) {
                    prop_assert!(state.leader_epoch >= old.leader_epoch, "leader epochs never go back");
                    let advanced = state.partition_epoch > old.partition_epoch;
                    prop_assert_eq!(state != old, advanced, "a change and only a change has a new partition epoch");
                    prop_assert!(state.leader == old.leader || state.leader_epoch > old.leader_epoch);
                }
            }
        }
        let rebuilt = Image::decode_snapshot(&cluster.image.encode_snapshot());
        prop_assert_eq!(rebuilt.as_ref(), Ok(&cluster.image));
    }
}

#[test]
fn an_entry_decided_on_another_image_or_by_another_controller_is_skipped() {
    let mut cluster = Cluster::founded(&[]);
    let image = &mut cluster.image;
    let records = vec![Record::Feature { name: "x".into(), level: 1 }];
    let entry =
        |epoch, decided_on| Entry { controller_epoch: ControllerEpoch(epoch), decided_on, records: records.clone() };
    let (reign, index) = (image.controller().unwrap().epoch.0, image.index());
    assert_eq!(image.apply_entry(LogIndex(index.0 + 1), &entry(reign + 1, index)), Ok(false));
    assert_eq!(image.apply_entry(LogIndex(index.0 + 2), &entry(reign, index)), Ok(false));
    assert_eq!(image.feature("x"), 0);
    assert_eq!(image.apply_entry(LogIndex(index.0 + 3), &entry(reign, LogIndex(index.0 + 2))), Ok(true));
    assert_eq!((image.feature("x"), image.index()), (1, LogIndex(index.0 + 3)));
}

#[test]
fn a_record_of_an_unknown_kind_is_refused() {
    // Entry { records: [Record { <field 99>: "" }] }
    let bytes = [0x1a, 0x03, 0x9a, 0x06, 0x00];
    assert_eq!(Entry::decode(&bytes), Err(crate::metadata::DecodeError::UnknownKind));
    assert!(matches!(Entry::decode(&[0xff; 9]), Err(crate::metadata::DecodeError::Malformed(_))));
}

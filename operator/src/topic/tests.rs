//! What a topic's pass decides, from states of the world.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use ottla_core::ids::BrokerId;
use ottla_crds::{KafkaTopic, KafkaTopicStatus, cluster::Mode, conditions};

use super::{
    next_look,
    observe::{Cluster, Ground, Observed},
    plan::{Farewell, Plan, Step, farewell, plan, wish},
    status::{Outcome, assess, id_text},
    validate::{NotNow, validate},
};
use crate::{
    error::Refusal,
    kafka::{ConfigChange, NewTopic, OwnConfig, PartitionView, TopicView},
    names::TOPIC_FINALIZER,
    wishes::Wish,
};

const GROUND: Ground = Ground { brokers: 3, moves: Mode::Automatic };
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn topic(name: &str, second: i64, spec: &str) -> KafkaTopic {
    let mut topic: KafkaTopic = serde_yaml::from_str(&format!(
        "apiVersion: ottla.io/v1alpha1\nkind: KafkaTopic\nmetadata: {{name: {name}, namespace: prod, uid: uid-{name}, \
         generation: 1}}\nspec: {{clusterRef: {{name: demo}}, {spec}}}"
    ))
    .unwrap();
    topic.metadata.creation_timestamp = Some(Time(Timestamp::from_second(second).unwrap()));
    topic
}

/// A KafkaTopic `orders` on a cluster that answers and has no such topic, already held by the finalizer.
fn observed(spec: &str) -> Observed {
    let mut topic = topic("orders", 100, spec);
    topic.metadata.finalizers = Some(vec![TOPIC_FINALIZER.to_owned()]);
    Observed {
        uid: "uid-orders".to_owned(),
        topic,
        namespace: "prod".to_owned(),
        rivals: Vec::new(),
        cluster: Cluster::Seen { ground: GROUND, addresses: vec!["10.0.0.1:9092".to_owned()], found: None },
    }
}

fn partition(replicas: &[i32]) -> PartitionView {
    let replicas: Vec<_> = replicas.iter().copied().map(BrokerId).collect();
    let (leader, in_sync) = (replicas.first().copied(), replicas.clone());
    PartitionView { leader, replicas, in_sync, ..PartitionView::default() }
}

fn view(partitions: usize) -> TopicView {
    TopicView { name: "orders".to_owned(), id: Default::default(), partitions: vec![partition(&[0]); partitions] }
}

/// The same with the topic there.
fn existing(spec: &str, partitions: usize, config: &[(&str, &str)]) -> Observed {
    let config: OwnConfig = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let cluster = Cluster::Seen { ground: GROUND, addresses: Vec::new(), found: Some((view(partitions), config)) };
    Observed { cluster, ..observed(spec) }
}

fn claimed(mut observed: Observed) -> Observed {
    observed.topic.status = Some(assess(&observed, &Outcome::Settled, NOW));
    observed
}

fn leaving(mut observed: Observed) -> Observed {
    observed.topic.metadata.deletion_timestamp = Some(Time(NOW));
    observed
}

fn steps(observed: &Observed) -> Plan {
    plan(&validate(observed).unwrap(), observed)
}

fn refusal(observed: &Observed) -> Refusal {
    match validate(observed) {
        Err(NotNow::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_topic_is_held_before_it_is_made() {
    let mut new = observed("partitions: 3, replicas: 1, config: {retention.ms: 1000}");
    new.topic.metadata.finalizers = None;
    let wanted = NewTopic {
        name: "orders".to_owned(),
        partitions: Some(3),
        replicas: Some(1),
        config: [("retention.ms".to_owned(), "1000".to_owned())].into(),
    };
    assert_eq!(steps(&new), vec![Step::Hold, Step::Create(wanted)]);
}

#[test]
fn a_topic_of_the_same_shape_is_taken_over_as_it_is() {
    assert_eq!(steps(&existing("", 5, &[("segment.bytes", "1")])), vec![]);
    assert_eq!(steps(&existing("partitions: 5, replicas: 1", 5, &[])), vec![]);
}

#[test]
fn a_topic_grows_and_gets_only_the_settings_that_differ() {
    let observed = existing(
        "partitions: 6, config: {retention.ms: 7, cleanup.policy: compact}",
        5,
        &[("cleanup.policy", "compact"), ("segment.bytes", "1")],
    );
    let change = ConfigChange::Set("retention.ms".to_owned(), "7".to_owned());
    assert_eq!(steps(&observed), vec![Step::Grow(6), Step::ChangeConfig(vec![change])]);
}

#[test]
fn a_setting_taken_out_of_the_spec_is_reset_and_a_foreign_one_is_not() {
    let mut observed = existing("", 5, &[("retention.ms", "7"), ("segment.bytes", "1")]);
    observed.topic.status =
        Some(KafkaTopicStatus { managed_config: vec!["retention.ms".to_owned()], ..KafkaTopicStatus::default() });
    assert_eq!(steps(&observed), vec![Step::ChangeConfig(vec![ConfigChange::Reset("retention.ms".to_owned())])]);
}

#[test]
fn a_shrink_is_refused_with_what_to_set() {
    let shrink = refusal(&existing("partitions: 3", 5, &[]));
    assert_eq!(shrink.reason, "PartitionsCannotShrink");
    assert!(shrink.message.contains("set spec.partitions to 5 or more"), "{}", shrink.message);
}

/// The number of replicas that is asked of the cluster after a pass that found nothing else to do.
fn asked(observed: &Observed) -> Option<usize> {
    assert_eq!(steps(observed), vec![], "the cluster's passes alone move partitions");
    let Wish { cluster, topic, replicas } = wish(observed, &Outcome::Settled)?;
    assert_eq!((cluster.as_str(), topic.as_str()), ("demo", "orders"));
    Some(replicas)
}

/// The same topic with other partitions.
fn with_partitions(mut observed: Observed, partitions: Vec<PartitionView>) -> Observed {
    let Cluster::Seen { found: Some((view, _)), .. } = &mut observed.cluster else { panic!() };
    view.partitions = partitions;
    observed
}

fn lack(observed: &Observed) -> (String, String) {
    let status = assess(observed, &Outcome::Settled, NOW);
    let find = |condition| conditions::find(&status.conditions, condition).cloned().unwrap();
    let (ready, reconciling) = (find(conditions::ConditionType::Ready), find(conditions::ConditionType::Reconciling));
    assert_eq!((ready.status.as_str(), reconciling.status.as_str()), ("False", "True"));
    assert_eq!(ready.reason, reconciling.reason);
    (reconciling.reason, reconciling.message)
}

#[test]
fn another_number_of_replicas_is_asked_of_the_cluster_until_all_partitions_have_it() {
    assert_eq!(asked(&existing("replicas: 1", 2, &[])), None);
    assert_eq!(asked(&existing("", 2, &[])), None, "what the spec does not mention is left alone");
    let some = |text: &str| ("ChangingReplicas".to_owned(), text.to_owned());
    let before = existing("replicas: 3", 2, &[]);
    assert_eq!(asked(&before), Some(3));
    assert_eq!(lack(&before), some("0 of 2 partitions have 3 replicas"));

    let adding =
        PartitionView { in_sync: vec![BrokerId(0)], adding: vec![BrokerId(1), BrokerId(2)], ..partition(&[0, 1, 2]) };
    let midway = with_partitions(before.clone(), vec![partition(&[1, 2, 0]), adding.clone()]);
    assert_eq!(asked(&midway), Some(3));
    assert_eq!(lack(&midway), some("1 of 2 partitions have 3 replicas, 1 are being moved"));
    let status = assess(&midway, &Outcome::Settled, NOW);
    assert_eq!((status.replicas, status.moving, status.under_replicated), (Some(1), Some(1), Some(0)));

    let lagging = PartitionView { in_sync: vec![BrokerId(0)], ..partition(&[0, 1, 2]) };
    let all = with_partitions(before, vec![partition(&[1, 2, 0]), lagging]);
    assert_eq!(asked(&all), None);
    assert_eq!(lack(&all).0, "UnderReplicated", "it is not ready before all are in sync");

    let back = with_partitions(existing("replicas: 1", 2, &[]), vec![partition(&[0]), adding]);
    assert_eq!(asked(&back), Some(1), "what is on its way to another number is called off");
}

#[test]
fn a_partition_that_moves_has_as_many_replicas_as_before_and_after() {
    let moving = PartitionView {
        in_sync: [0, 1].map(BrokerId).to_vec(),
        adding: vec![BrokerId(2)],
        removing: vec![BrokerId(1)],
        ..partition(&[0, 2, 1])
    };
    let observed = with_partitions(existing("replicas: 2", 1, &[]), vec![moving]);
    assert_eq!(asked(&observed), None);
    let status = assess(&observed, &Outcome::Settled, NOW);
    assert_eq!((status.replicas, status.moving, status.under_replicated), (Some(2), Some(1), Some(0)));
    assert!(conditions::is_true(&status.conditions, conditions::ConditionType::Ready));
}

#[test]
fn replicas_that_cannot_be_are_refused_and_not_asked_for() {
    let many = existing("replicas: 4", 2, &[]);
    let refused = refusal(&many);
    assert_eq!(refused.reason, "TooFewBrokers");
    assert_eq!(
        refused.message,
        "topic orders cannot have 4 replicas on 3 brokers: set spec.replicas to 3 or less, or raise spec.brokers of \
         KafkaCluster demo"
    );
    assert_eq!(wish(&many, &Outcome::Refused(refused)), None);
    assert_eq!(wish(&existing("replicas: 3", 2, &[]), &Outcome::Paused), None);

    let contradiction = "replicas: 2, config: {min.insync.replicas: 3}";
    for few in [refusal(&observed(contradiction)), refusal(&existing(contradiction, 2, &[]))] {
        assert_eq!(few.reason, "InvalidSpec");
        assert!(few.message.contains("set spec.config[\"min.insync.replicas\"] to 2 or less"), "{}", few.message);
    }
    let as_before = existing("replicas: 1, config: {min.insync.replicas: 3}", 2, &[]);
    assert!(validate(&as_before).is_ok(), "a topic that is so already takes writes");
}

#[test]
fn a_topic_that_needs_fewer_in_sync_says_so_before_it_loses_replicas() {
    let three = vec![partition(&[0, 1, 2])];
    let settings = [("min.insync.replicas", "2")];
    let observed = with_partitions(existing("replicas: 1, config: {min.insync.replicas: 1}", 1, &settings), three);
    let change = ConfigChange::Set("min.insync.replicas".to_owned(), "1".to_owned());
    assert_eq!(steps(&observed), vec![Step::ChangeConfig(vec![change])]);
    assert_eq!(wish(&observed, &Outcome::Changing).unwrap().replicas, 1);
}

#[test]
fn a_topic_whose_cluster_moves_nothing_says_what_to_set() {
    let mut observed = existing("replicas: 3", 2, &[]);
    let Cluster::Seen { ground, .. } = &mut observed.cluster else { panic!() };
    ground.moves = Mode::Paused;
    let message = "0 of 2 partitions have 3 replicas: set spec.rebalance.mode of KafkaCluster demo to Automatic to have the \
                   others changed";
    assert_eq!(lack(&observed), ("ChangingReplicas".to_owned(), message.to_owned()));
}

#[test]
fn a_topic_of_the_brokers_own_is_refused() {
    let refusal = refusal(&observed("topicName: __consumer_offsets"));
    assert!(refusal.message.contains("belongs to the brokers"), "{}", refusal.message);
}

#[test]
fn of_two_kafka_topics_for_one_topic_the_younger_stalls() {
    let mut younger = observed("");
    let mut first = topic("first", 99, "topicName: orders");
    younger.rivals = vec![first.clone().into()];
    let conflict = refusal(&younger);
    assert_eq!(conflict.reason, "TopicConflict");
    assert!(conflict.message.contains("KafkaTopic first already owns topic orders"), "{}", conflict.message);

    let mut older = observed("");
    older.rivals = vec![topic("second", 101, "topicName: orders").into()];
    assert!(validate(&older).is_ok());

    first.metadata.deletion_timestamp = Some(Time(NOW));
    younger.rivals = vec![first.into()];
    assert_eq!(validate(&younger).unwrap_err(), NotNow::Waiting, "the topic is handed over once the older one is gone");
}

#[test]
fn without_a_cluster_that_answers_nothing_is_decided() {
    for cluster in [Cluster::Missing, Cluster::Leaving, Cluster::NotReady] {
        let observed = Observed { cluster, ..observed("") };
        assert_eq!(validate(&observed).unwrap_err(), NotNow::Waiting);
    }
}

#[test]
fn what_a_topic_lacks_is_looked_for_again_after_as_long_as_it_has_lacked_it() {
    let look = |observed: &Observed, second| {
        let next = next_look(observed, &Outcome::Settled, Timestamp::from_second(second).unwrap());
        next.map(|wait| wait.as_millis())
    };
    let mut topic = existing("partitions: 1", 1, &[]);
    assert_eq!(look(&claimed(topic.clone()), 0), None, "it has its turn");
    let mut leaderless = view(1);
    leaderless.partitions[0].leader = None;
    topic.cluster =
        Cluster::Seen { ground: GROUND, addresses: Vec::new(), found: Some((leaderless, OwnConfig::new())) };
    let topic = claimed(topic);
    assert_eq!([0, 7, 1000].map(|second| look(&topic, second)), [Some(500), Some(7_000), None]);
}

#[test]
fn deletion_takes_the_topic_along_only_if_it_is_this_objects() {
    let delete = Farewell::Plan(vec![Step::Delete(view(1).id), Step::Release]);
    let release = Farewell::Plan(vec![Step::Release]);
    let owner = || leaving(claimed(existing("", 1, &[])));
    assert_eq!(farewell(&owner()), delete);

    assert_eq!(farewell(&leaving(existing("", 1, &[]))), release, "it was refused, and never owned the topic");
    assert_eq!(farewell(&leaving(claimed(existing("deletionPolicy: Retain", 1, &[])))), release);
    assert_eq!(farewell(&leaving(claimed(existing("paused: true", 1, &[])))), release);

    let mut remade = owner();
    remade.topic.status.as_mut().unwrap().topic_id = Some("another".to_owned());
    assert_eq!(farewell(&remade), release, "somebody made it anew");

    let mut wanted = owner();
    let mut rival = topic("second", 101, "topicName: orders");
    wanted.rivals = vec![rival.clone().into()];
    assert_eq!(farewell(&wanted), release, "another KafkaTopic takes it over");
    rival.metadata.deletion_timestamp = Some(Time(NOW));
    wanted.rivals = vec![rival.into()];
    assert_eq!(farewell(&wanted), delete, "both are being deleted");
}

#[test]
fn deletion_waits_for_brokers_that_do_not_answer_but_not_for_a_cluster_that_is_gone() {
    let with = |cluster| Observed { cluster, ..leaving(claimed(existing("", 1, &[]))) };
    assert_eq!(farewell(&with(Cluster::NotReady)), Farewell::Wait);
    assert_eq!(farewell(&with(Cluster::Missing)), Farewell::Plan(vec![Step::Release]));
    assert_eq!(farewell(&with(Cluster::Leaving)), Farewell::Plan(vec![Step::Release]));
    let mut free = with(Cluster::NotReady);
    free.topic.metadata.finalizers = None;
    assert_eq!(farewell(&free), Farewell::Done);
}

#[test]
fn status_shows_the_topic_and_claims_it_before_it_is_made() {
    let status = assess(&observed(""), &Outcome::Changing, NOW);
    assert_eq!((status.topic_name.as_deref(), status.topic_id), (Some("orders"), None));
    assert!(!conditions::is_true(&status.conditions, conditions::ConditionType::Ready));

    let status = assess(&existing("", 4, &[]), &Outcome::Settled, NOW);
    assert_eq!(status.topic_id, Some(id_text(Default::default())));
    assert_eq!((status.partitions, status.replicas, status.under_replicated), (Some(4), Some(1), Some(0)));
    assert!(conditions::is_true(&status.conditions, conditions::ConditionType::Ready));
}

#[test]
fn what_a_topic_lacks_is_not_told_while_nobody_can_be_asked() {
    let owner = claimed(existing("", 4, &[]));
    let silent = Observed { cluster: Cluster::NotReady, ..owner };
    let status = assess(&silent, &Outcome::Waiting, NOW);
    assert_eq!((status.under_replicated, status.moving), (None, None));
    assert_eq!((status.partitions, status.replicas), (Some(4), Some(1)), "these change only by what is asked for");
}

#[test]
fn a_refused_object_claims_nothing_and_one_that_owned_the_topic_keeps_it() {
    let refused = Outcome::Refused(Refusal::new("TopicConflict", "a message"));
    let mut before = observed("");
    before.topic.status = Some(assess(&before, &Outcome::Changing, NOW));
    assert_eq!(assess(&before, &refused, NOW).topic_name, None);
    let owner = claimed(existing("", 1, &[]));
    assert_eq!(assess(&owner, &refused, NOW).topic_name.as_deref(), Some("orders"));
}

#[test]
fn the_same_findings_make_the_same_status() {
    let once = claimed(existing("config: {retention.ms: 7}", 4, &[("retention.ms", "7")]));
    let later = Timestamp::from_second(1000).unwrap();
    assert_eq!(Some(assess(&once, &Outcome::Settled, later)), once.topic.status);
}

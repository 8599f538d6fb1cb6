//! What a topic's pass decides, from states of the world.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use ottla_core::ids::BrokerId;
use ottla_crds::{KafkaTopic, KafkaTopicStatus, conditions};

use super::{
    next_look,
    observe::{Cluster, Observed},
    plan::{Farewell, Plan, Step, farewell, plan},
    status::{Outcome, assess, id_text},
    validate::{NotNow, validate},
};
use crate::{
    error::Refusal,
    kafka::{ConfigChange, NewTopic, OwnConfig, PartitionView, TopicView},
    names::TOPIC_FINALIZER,
};

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
        cluster: Cluster::Seen { addresses: vec!["10.0.0.1:9092".to_owned()], found: None },
    }
}

fn view(partitions: usize) -> TopicView {
    let broker = BrokerId(0);
    let partition = PartitionView { leader: Some(broker), replicas: vec![broker], in_sync: vec![broker] };
    TopicView { name: "orders".to_owned(), id: Default::default(), partitions: vec![partition; partitions] }
}

/// The same with the topic there.
fn existing(spec: &str, partitions: usize, config: &[(&str, &str)]) -> Observed {
    let config: OwnConfig = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let cluster = Cluster::Seen { addresses: Vec::new(), found: Some((view(partitions), config)) };
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
fn a_shrink_and_other_replicas_are_refused_with_what_to_set() {
    let shrink = refusal(&existing("partitions: 3", 5, &[]));
    assert_eq!(shrink.reason, "PartitionsCannotShrink");
    assert!(shrink.message.contains("set spec.partitions to 5 or more"), "{}", shrink.message);
    let replicas = refusal(&existing("replicas: 3", 5, &[]));
    assert!(replicas.message.contains("set spec.replicas to 1"), "{}", replicas.message);
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
        next_look(observed, &Outcome::Settled, Timestamp::from_second(second).unwrap()).as_millis()
    };
    let mut topic = existing("partitions: 1", 1, &[]);
    assert_eq!(look(&claimed(topic.clone()), 0), 60_000);
    let mut leaderless = view(1);
    leaderless.partitions[0].leader = None;
    topic.cluster = Cluster::Seen { addresses: Vec::new(), found: Some((leaderless, OwnConfig::new())) };
    let topic = claimed(topic);
    assert_eq!([0, 7, 1000].map(|second| look(&topic, second)), [500, 7_000, 60_000]);
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

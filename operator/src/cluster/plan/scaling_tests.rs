//! The exact steps of scaling, from states of the world.

use k8s_openapi::{
    api::core::v1::PersistentVolumeClaim, apimachinery::pkg::apis::meta::v1::Time, jiff::SignedDuration,
};
use ottla_core::ids::BrokerId;
use ottla_crds::cluster::Mode;
use serde_json::json;
use uuid::Uuid;

use super::{Error, Request, Restart, Step, Why, plan};
use crate::{
    cluster::{
        build,
        nodes::{NodeState, Nodes},
        observe::{Controller, Kafka, Observed},
        scaling::Scaling,
        testing::{ID, no_controller, of_brokers, pod, settled, store, valid},
    },
    kafka::{PartitionPlacement, TopicPlacement, VoterView},
    names::{FOUNDED, REPAIR, RETIRED, SCALING},
};

mod spreading;

fn names(observed: &Observed) -> Vec<String> {
    let name = |step: &Step| match step {
        Step::Apply(child) => format!("apply {}", child.resource.kind),
        Step::Shrink(_, size) => format!("shrink to {size}"),
        Step::Scaling(scaling) => format!("scaling {}", serde_json::to_string(scaling).unwrap()),
        Step::MarkClaim { claim, disks, .. } => format!("mark {claim} {disks}"),
        Step::Ask(Request::Reassign(moves)) => {
            let ids = |ids: &Vec<BrokerId>| ids.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(",");
            let moves = moves.iter().map(|one| {
                format!("{}-{} to {}", one.topic, one.partition, one.replicas.as_ref().map_or("before".to_owned(), ids))
            });
            format!("move {}", moves.collect::<Vec<_>>().join(" "))
        }
        Step::Ask(request) => format!("{request:?}"),
        other => format!("{other:?}"),
    };
    let steps = plan(&valid(observed).unwrap(), observed, [Uuid::nil(); 2]).unwrap();
    // What the budget says has a test of its own.
    steps.iter().filter(|step| !step.is_of_budget()).map(name).collect()
}

const NOTHING: [String; 0] = [];

/// A cluster that was settled with `from` brokers, and is to have `to`.
fn scaled(from: i32, to: i32) -> Observed {
    let mut observed = settled(&of_brokers(from));
    observed.cluster.spec.brokers = to;
    observed
}

fn controller(observed: &mut Observed) -> &mut Controller {
    let Kafka::Seen { controller: Ok(controller), .. } = &mut observed.kafka else { panic!() };
    controller
}

fn annotate(observed: &mut Observed, scaling: &Scaling) {
    let annotations = observed.cluster.metadata.annotations.get_or_insert_default();
    annotations.insert(SCALING.to_owned(), serde_json::to_string(scaling).unwrap());
}

/// The scale-in from 5 to 3 is written down, and brokers 3 and 4 are cordoned.
fn leaving() -> Observed {
    let mut observed = scaled(5, 3);
    annotate(&mut observed, &Scaling { from: 5, to: 3, cordoned: [3, 4].into() });
    controller(&mut observed).brokers[3..].iter_mut().for_each(|broker| broker.cordoned = true);
    observed
}

/// Partitions of a topic on these brokers, and the counts that follow.
fn place(observed: &mut Observed, topic: &str, replicas: &[&[i32]]) {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
    let partition = |(index, replicas): (i32, &&[i32])| PartitionPlacement {
        index,
        target: ids(replicas),
        adding: Vec::new(),
        removing: Vec::new(),
        in_sync: ids(replicas),
        leader: replicas.first().copied().map(BrokerId),
        bytes: Some(1000),
    };
    let partitions: Vec<_> = (0..).zip(replicas).map(partition).collect();
    let controller = controller(observed);
    for broker in &mut controller.brokers {
        broker.replicas += partitions.iter().filter(|one| one.target.contains(&broker.id)).count() as u32;
        broker.leaders += partitions.iter().filter(|one| one.leader == Some(broker.id)).count() as u32;
    }
    controller.placements.push(TopicPlacement { topic: topic.to_owned(), min_in_sync: 1, partitions });
}

fn surely_empty(observed: &mut Observed, ids: &[i32]) {
    observed.surely_empty = ids.iter().copied().map(BrokerId).collect();
}

#[test]
fn more_brokers_are_written_down_and_then_made() {
    let mut observed = scaled(3, 5);
    assert_eq!(names(&observed), [r#"scaling {"from":3,"to":5}"#]);
    annotate(&mut observed, &Scaling { from: 3, to: 5, cordoned: [].into() });
    assert_eq!(names(&observed), ["apply ConfigMap", "apply StatefulSet"]);
    annotate(&mut observed, &Scaling { from: 3, to: 4, cordoned: [].into() });
    assert_eq!(names(&observed), [r#"scaling {"from":3,"to":5}"#], "changed midway");
}

#[test]
fn brokers_that_leave_are_named_before_they_are_cordoned_and_cordoned_before_they_are_emptied() {
    let mut observed = scaled(5, 3);
    place(&mut observed, "orders", &[&[4, 0], &[1, 2]]);
    assert_eq!(names(&observed), [r#"scaling {"from":5,"to":3,"cordoned":[3,4]}"#]);
    annotate(&mut observed, &Scaling { from: 5, to: 3, cordoned: [3, 4].into() });
    assert_eq!(
        names(&observed),
        [
            "Cordon { broker: BrokerId(3), cordoned: true }".to_owned(),
            "Cordon { broker: BrokerId(4), cordoned: true }".to_owned()
        ]
    );
    let mut observed = leaving();
    place(&mut observed, "orders", &[&[4, 0], &[1, 2]]);
    assert_eq!(names(&observed), ["move orders-0 to 2,0"]);
    observed.cluster.spec.rebalance.mode = Mode::Paused;
    assert_eq!(names(&observed), NOTHING);
}

#[test]
fn only_the_highest_brokers_that_were_empty_for_a_while_go_and_only_on_the_controllers_word() {
    let mut observed = leaving();
    assert_eq!(names(&observed), NOTHING, "seen empty once");
    surely_empty(&mut observed, &[4]);
    assert_eq!(names(&observed), ["apply ConfigMap", "shrink to 4"]);
    surely_empty(&mut observed, &[3]);
    assert_eq!(names(&observed), NOTHING, "broker 4 is not sure yet, and has the higher ordinal");
    surely_empty(&mut observed, &[3, 4]);
    assert_eq!(names(&observed), ["apply ConfigMap", "shrink to 3"]);
    if let Kafka::Seen { controller, .. } = &mut observed.kafka {
        *controller = Err(no_controller());
    }
    assert_eq!(names(&observed), NOTHING);
}

#[test]
fn nobody_is_restarted_while_a_broker_that_leaves_needs_only_a_few_more_looks() {
    let mut observed = leaving();
    observed.pods = (0..5).map(|id| pod(id, "old", true)).collect();
    assert_eq!(names(&observed), NOTHING, "it would be another operator that has looked once");
    surely_empty(&mut observed, &[3, 4]);
    assert_eq!(names(&observed), ["apply ConfigMap", "shrink to 3"]);
    // What it holds cannot go anywhere now, and a restart may well be what helps.
    let mut observed = leaving();
    observed.pods = (0..5).map(|id| pod(id, "old", true)).collect();
    place(&mut observed, "orders", &[&[4, 0]]);
    surely_empty(&mut observed, &[3]);
    observed.cluster.spec.rebalance.mode = Mode::Paused;
    let [restart] = names(&observed).try_into().unwrap();
    assert!(restart.starts_with("Restart("), "{restart}");
}

#[test]
fn a_broker_loses_its_vote_before_its_pod() {
    let mut observed = leaving();
    let voter = VoterView { broker: BrokerId(4), directory: "disk-4".to_owned() };
    let controller = controller(&mut observed);
    controller.quorum.observers.pop();
    controller.quorum.voters.push(voter);
    assert_eq!(names(&observed), NOTHING, "it keeps it until it is surely empty");
    surely_empty(&mut observed, &[3, 4]);
    assert_eq!(names(&observed), [r#"RemoveVoter { broker: BrokerId(4), directory: "disk-4" }"#]);
    for broker in &mut self::controller(&mut observed).brokers[1..3] {
        broker.fenced = true;
    }
    assert_eq!(names(&observed), NOTHING, "the others would have no majority");
}

#[test]
fn a_broker_that_is_gone_is_forgotten_in_order() {
    let mut observed = leaving();
    surely_empty(&mut observed, &[3, 4]);
    // As after the shrink.
    let mut smaller = settled(&of_brokers(3));
    observed.children = smaller.children.clone();
    observed.pods.truncate(4);
    observed.claims = (3..5).map(|id| claim(id, None)).collect();
    controller(&mut observed).brokers[4].fenced = true;
    controller(&mut observed).brokers[3].fenced = true;
    let farewell = [
        "mark data-demo-broker-4 disk-4",
        r#"RetireDisk { broker: BrokerId(4), directory: "disk-4" }"#,
        "Unregister(BrokerId(4))",
    ];
    assert_eq!(names(&observed), farewell, "the pod of broker 3 is still there");
    observed.claims[1] = claim(4, Some("disk-older,disk-4"));
    assert_eq!(names(&observed), farewell[1..]);
    observed.claims[1] = claim(4, Some("disk-older"));
    assert_eq!(names(&observed)[0], "mark data-demo-broker-4 disk-4,disk-older");
    observed.claims.clear();
    controller(&mut observed).quorum.observers.pop();
    assert_eq!(names(&observed), farewell[2..]);
    controller(&mut observed).brokers[4].fenced = false;
    assert_eq!(names(&observed), NOTHING, "it serves, whatever the pods say");

    let mut stateful_set = serde_json::to_value(smaller.stateful_set().unwrap()).unwrap();
    stateful_set["metadata"]["generation"] = json!(2);
    stateful_set["status"] = json!({"observedGeneration": 1, "replicas": 5});
    smaller.children.insert("StatefulSet", "demo-broker", stateful_set);
    observed.children = smaller.children;
    controller(&mut observed).brokers[4].fenced = true;
    assert_eq!(names(&observed), NOTHING, "its pod may come back until the controller of the set has seen its size");
}

#[test]
fn a_cluster_is_founded_without_brokers_that_are_wanted_no_more() {
    let mut observed = settled(&of_brokers(3));
    observed.cluster.metadata.annotations.as_mut().unwrap().remove(FOUNDED);
    for child in build::children(&valid(&observed).unwrap(), ID).unwrap() {
        store(&mut observed, &child);
    }
    let template = crate::cluster::pods::template(&observed.pods[2]).unwrap().to_owned();
    observed.pods[2] = pod(2, &template, false);
    let broker = controller(&mut observed).brokers.pop().unwrap();
    assert_eq!(names(&observed), NOTHING, "the third one is waited for");
    observed.cluster.spec.brokers = 2;
    assert_eq!(names(&observed), [r#"scaling {"from":3,"to":2}"#]);
    annotate(&mut observed, &Scaling { from: 3, to: 2, cordoned: [].into() });
    assert_eq!(names(&observed), [r#"Annotate { key: "ottla.io/founded", value: "true" }"#]);
    controller(&mut observed).brokers.push(broker);
    annotate(&mut observed, &Scaling { from: 3, to: 2, cordoned: [2].into() });
    (observed.pods[1], observed.pods[2]) = (pod(1, &template, false), pod(2, &template, true));
    assert_eq!(names(&observed), NOTHING, "one that leaves does not make up for one that is wanted");
}

#[test]
fn a_pod_that_leaves_and_that_no_node_ends_is_taken_out_of_the_books() {
    let mut observed = leaving();
    surely_empty(&mut observed, &[3, 4]);
    observed.children = settled(&of_brokers(3)).children;
    observed.pods[4].metadata.deletion_timestamp = Some(Time(observed.now));
    observed.pods[4].spec.as_mut().unwrap().node_name = Some("n4".to_owned());
    controller(&mut observed).brokers[4].fenced = true;
    observed.nodes = Nodes::default().with_node("n4", NodeState::Ready);
    assert_eq!(names(&observed), NOTHING, "its kubelet ends it");
    observed.nodes = Nodes::default().with_node("n4", NodeState::NotReady);
    let (pod, uid) = ("demo-broker-4".to_owned(), "pod-4".to_owned());
    let away = Restart { pod, uid, serving: None, unavoidable: 0, why: Why::Farewell };
    let steps = |observed: &Observed| -> Vec<Step> {
        let steps = plan(&valid(observed).unwrap(), observed, [Uuid::nil(); 2]).unwrap();
        steps.into_iter().filter(|step| !step.is_of_budget()).collect()
    };
    assert_eq!(steps(&observed), [Step::Restart(vec![away.clone()])]);
    observed.nodes = Nodes::default();
    assert_eq!(names(&observed), NOTHING, "it may be slow");
    observed.now += SignedDuration::from_secs(31);
    assert_eq!(steps(&observed), [Step::Restart(vec![away])], "nobody may look at nodes, and it is overdue");
    controller(&mut observed).brokers[4].fenced = false;
    assert_eq!(names(&observed), NOTHING, "the controller takes it for alive");
    controller(&mut observed).brokers[4].fenced = true;
    observed.pods[4].metadata.deletion_timestamp = None;
    assert_eq!(names(&observed), NOTHING, "nobody has said that it is to end");
}

fn claim(id: i32, retired: Option<&str>) -> PersistentVolumeClaim {
    let mut metadata = json!({"name": format!("data-demo-broker-{id}"), "uid": format!("claim-{id}")});
    if let Some(disks) = retired {
        metadata["annotations"] = json!({ RETIRED: disks });
    }
    serde_json::from_value(json!({ "metadata": metadata })).unwrap()
}

#[test]
fn a_marked_claim_has_its_broker_told_and_restarts_nobody() {
    let mut observed = settled(&of_brokers(3));
    let template = build::template(&valid(&observed).unwrap(), "id").unwrap();
    observed.claims = vec![claim(2, Some("disk-a,disk-b"))];
    let cluster = valid(&observed).unwrap();
    assert_eq!(build::template(&cluster, "id").unwrap(), template);
    assert_eq!(names(&observed), ["apply ConfigMap"]);
    assert_eq!(cluster.retired, [(2, "disk-a,disk-b".to_owned())].into());
}

#[test]
fn raised_again_only_what_the_operator_cordoned_gets_partitions_again() {
    let mut observed = leaving();
    observed.cluster.spec.brokers = 5;
    controller(&mut observed).brokers[1].cordoned = true;
    assert_eq!(names(&observed), [r#"scaling {"from":5,"to":5,"cordoned":[3,4]}"#]);
    annotate(&mut observed, &Scaling { from: 5, to: 5, cordoned: [3, 4].into() });
    assert_eq!(
        names(&observed),
        [
            "Cordon { broker: BrokerId(3), cordoned: false }".to_owned(),
            "Cordon { broker: BrokerId(4), cordoned: false }".to_owned()
        ]
    );
    controller(&mut observed).brokers[3..].iter_mut().for_each(|broker| broker.cordoned = false);
    assert_eq!(names(&observed), [r#"scaling {"from":5,"to":5}"#]);
    annotate(&mut observed, &Scaling { from: 5, to: 5, cordoned: [].into() });
    assert_eq!(names(&observed), ["scaling null"]);
}

#[test]
fn raised_again_while_no_controller_answers_the_cordons_stay_on_record() {
    let mut observed = leaving();
    observed.cluster.spec.brokers = 5;
    let Kafka::Seen { controller, .. } = &mut observed.kafka else { panic!() };
    *controller = Err(no_controller());
    assert_eq!(names(&observed), [r#"scaling {"from":5,"to":5,"cordoned":[3,4]}"#]);
    annotate(&mut observed, &Scaling { from: 5, to: 5, cordoned: [3, 4].into() });
    assert_eq!(names(&observed), NOTHING);
}

#[test]
fn a_repair_of_a_broker_that_leaves_is_forgotten() {
    let mut observed = leaving();
    let begun = r#"{"broker":4,"pod":"pod-4","claims":{"data-demo-broker-4":"claim-4"}}"#;
    observed.cluster.metadata.annotations.as_mut().unwrap().insert(REPAIR.to_owned(), begun.to_owned());
    controller(&mut observed).brokers[4].fenced = true;
    place(&mut observed, "orders", &[&[0, 4], &[1, 2]]);
    assert_eq!(names(&observed), [r#"Forget { key: "ottla.io/repair" }"#]);
}

#[test]
fn a_stateful_set_that_is_too_small_or_gone_is_made_as_large_as_its_brokers_need() {
    let mut observed = scaled(5, 5);
    place(&mut observed, "orders", &[&[4, 0]]);
    let smaller = settled(&of_brokers(3));
    observed.children = smaller.children.clone();
    observed.cluster.spec.brokers = 3;
    annotate(&mut observed, &Scaling { from: 5, to: 3, cordoned: [3, 4].into() });
    assert_eq!(names(&observed), ["apply ConfigMap", "apply StatefulSet"], "it grows to five again");
    observed.children.remove("StatefulSet", "demo-broker");
    controller(&mut observed).placements.clear();
    controller(&mut observed).brokers.iter_mut().for_each(|broker| (broker.replicas, broker.leaders) = (0, 0));
    observed.children = settled(&of_brokers(5)).children;
    observed.children.remove("StatefulSet", "demo-broker");
    assert_eq!(names(&observed), ["apply StatefulSet"], "the files say that it was of five");
}

#[test]
fn too_few_brokers_are_refused_by_the_names_of_the_topics() {
    let mut observed = scaled(5, 2);
    place(&mut observed, "orders", &[&[0, 1, 2], &[1, 2, 3]]);
    place(&mut observed, "pairs", &[&[0, 1]]);
    place(&mut observed, "__consumer_offsets", &[&[0, 1, 2]]);
    let Err(Error::Refused(refusal)) = plan(&valid(&observed).unwrap(), &observed, [Uuid::nil(); 2]) else { panic!() };
    assert_eq!(refusal.reason, "TooFewBrokers");
    assert_eq!(
        refusal.message,
        "2 brokers are too few for orders (3 replicas): set spec.brokers to 3 or more, or give these topics fewer \
         replicas, by spec.replicas of their KafkaTopics or by kafka-reassign-partitions"
    );
    observed.asked_replicas = [("orders".to_owned(), 2), ("pairs".to_owned(), 3)].into();
    let Err(Error::Refused(refusal)) = plan(&valid(&observed).unwrap(), &observed, [Uuid::nil(); 2]) else { panic!() };
    assert!(refusal.message.starts_with("2 brokers are too few for pairs (3 replicas)"), "{}", refusal.message);
    observed.asked_replicas.remove("pairs");
    assert_eq!(names(&observed), [r#"scaling {"from":5,"to":2,"cordoned":[2,3,4]}"#], "what is asked for fits");
    observed.asked_replicas.clear();
    observed.cluster.spec.brokers = 3;
    assert_eq!(names(&observed), [r#"scaling {"from":5,"to":3,"cordoned":[3,4]}"#]);
}

#[test]
fn disks_that_could_not_take_what_leaving_brokers_hold_are_refused() {
    let mut observed = scaled(5, 3);
    place(&mut observed, "orders", &[&[4, 0], &[3, 4]]);
    // 750 bytes are free on each disk, and three copies of 1000 have to go there.
    for broker in &mut controller(&mut observed).brokers {
        broker.directories[0].space = Some((1000, 750));
    }
    let Err(Error::Refused(refusal)) = plan(&valid(&observed).unwrap(), &observed, [Uuid::nil(); 2]) else { panic!() };
    assert_eq!(refusal.reason, "TooLittleSpace");
    assert!(refusal.message.contains("2.9 KiB") && refusal.message.contains("2.2 KiB"), "{}", refusal.message);
    controller(&mut observed).brokers[0].directories[0].space = None;
    assert_eq!(names(&observed), [r#"scaling {"from":5,"to":3,"cordoned":[3,4]}"#], "one does not tell");
}

#[test]
fn votes_are_given_one_at_a_time_before_any_is_taken_away() {
    let mut observed = settled(&of_brokers(5));
    observed.cluster.spec.controllers = Some(5);
    observed.children = settled(&of_brokers(5).replace("brokers: 5", "brokers: 5\ncontrollers: 5")).children;
    assert_eq!(names(&observed), ["AddVoter(BrokerId(3))"]);
    controller(&mut observed).brokers[3].fenced = true;
    assert_eq!(names(&observed), ["AddVoter(BrokerId(4))"], "one that is down cannot vote yet");

    let mut observed = settled(&of_brokers(5).replace("brokers: 5", "brokers: 5\ncontrollers: 5"));
    observed.cluster.spec.controllers = Some(3);
    observed.children = settled(&of_brokers(5)).children;
    assert_eq!(names(&observed), [r#"RemoveVoter { broker: BrokerId(4), directory: "disk-4" }"#]);
    let quorum = &mut controller(&mut observed).quorum;
    let first = quorum.voters.remove(0);
    quorum.observers.push(first);
    assert_eq!(names(&observed), ["AddVoter(BrokerId(0))"]);
}

//! The scenarios of the campaign.

use super::{
    run,
    scenario::{Scenario, Step::*},
};

macro_rules! cluster {
    ($brokers:literal, $more:literal) => {
        concat!(
            "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {name: demo}\nspec: {brokers: ",
            $brokers,
            ", storage: {volumes: [{name: data, size: 1Gi}]}",
            $more,
            "}\n"
        )
    };
}

macro_rules! topic {
    ($name:literal, $spec:literal) => {
        concat!(
            "---\napiVersion: ottla.io/v1alpha1\nkind: KafkaTopic\nmetadata: {name: ",
            $name,
            "}\nspec: {clusterRef: {name: demo}, ",
            $spec,
            "}\n"
        )
    };
}

/// Copies of all counts.
const TOPICS: &[(&str, i32, i32)] = &[("orders", 6, 3), ("flights", 4, 2), ("logs", 2, 1)];
/// None that has its only copy on one broker.
const SAFE_TOPICS: &[(&str, i32, i32)] = &[("orders", 6, 3), ("flights", 4, 2)];

#[tokio::test(start_paused = true)]
async fn a_cluster_is_founded() {
    let objects =
        concat!(cluster!(3, ", config: {log.retention.ms: 1000}"), topic!("orders", "partitions: 6, replicas: 3"));
    run("01-founding", &Scenario { name: "A cluster and its topic are made", objects, topics: &[], steps: &[] }).await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_deleted_and_made_anew_on_its_claims() {
    let steps = &[DeleteCluster, Create(cluster!(3, ""))];
    let name = "A cluster is deleted and made anew on its claims";
    run("02-anew", &Scenario { name, objects: cluster!(3, ""), topics: &[], steps }).await;
}

#[tokio::test(start_paused = true)]
async fn brokers_are_added() {
    let steps = &[Edit("{brokers: 5}")];
    run("03-out", &Scenario { name: "Scale-out 3→5", objects: cluster!(3, ""), topics: TOPICS, steps }).await;
}

#[tokio::test(start_paused = true)]
async fn brokers_are_taken_away_and_come_back_on_kept_claims() {
    let steps = &[Edit("{brokers: 3}"), Edit("{brokers: 5}")];
    let name = "Scale-in 5→3, and out again on the kept claims";
    run("04-in", &Scenario { name, objects: cluster!(5, ""), topics: TOPICS, steps }).await;
}

#[tokio::test(start_paused = true)]
async fn brokers_are_taken_away_and_their_claims_with_them() {
    let steps = &[Edit("{brokers: 3, storage: {retain: Never}}")];
    let name = "Scale-in 4→3, claims not kept";
    run("05-in-without-claims", &Scenario { name, objects: cluster!(4, ""), topics: TOPICS, steps }).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_turned_back_midway() {
    let steps = &[Begin("{brokers: 3}", 12), Edit("{brokers: 5}")];
    let objects = cluster!(5, ", rebalance: {maxConcurrentMoves: 2}");
    run("06-turned-back", &Scenario { name: "Scale-in 5→3, turned back midway", objects, topics: TOPICS, steps }).await;
}

#[tokio::test(start_paused = true)]
async fn copies_and_votes_follow_the_number_of_brokers() {
    let steps = &[Edit("{brokers: 3}"), Edit("{brokers: 1}")];
    let topics = &[("__consumer_offsets", 4, 1), ("__transaction_state", 4, 1), ("logs", 3, 1)];
    let name = "Replication factor of internal topics and voters 1→3→1";
    run("07-replication-factor", &Scenario { name, objects: cluster!(1, ""), topics, steps }).await;
}

#[tokio::test(start_paused = true)]
async fn voters_are_added_and_taken_away() {
    let steps = &[Edit("{controllers: 5}"), Edit("{controllers: 3}")];
    run("08-voters", &Scenario { name: "Voters 3→5→3", objects: cluster!(5, ""), topics: TOPICS, steps }).await;
}

#[tokio::test(start_paused = true)]
async fn brokers_are_restarted_for_a_new_spec() {
    let steps = &[Edit("{image: other, config: {log.retention.hours: 5}}"), Edit("{image: null}")];
    let name = "Rolling restart for an image and a setting, and back";
    run("09-roll", &Scenario { name, objects: cluster!(3, ""), topics: TOPICS, steps }).await;
}

#[tokio::test(start_paused = true)]
async fn settings_change_while_brokers_run() {
    let steps = &[Edit("{config: {log.retention.ms: 1000}}"), Edit("{config: {log.retention.ms: null}}")];
    run(
        "10-settings",
        &Scenario { name: "Settings without a restart", objects: cluster!(3, ""), topics: TOPICS, steps },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_deleted() {
    let steps = &[DeletePod(1)];
    run("11-pod", &Scenario { name: "A pod is deleted", objects: cluster!(3, ""), topics: TOPICS, steps }).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_volume_is_replaced() {
    let objects = cluster!(3, ", repair: {after: 0s}");
    let steps = &[LoseVolume(2)];
    let name = "Repair: a volume is lost";
    run("12-volume-lost", &Scenario { name, objects, topics: SAFE_TOPICS, steps }).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_leaves_a_silent_node() {
    let objects = cluster!(3, ", repair: {after: 0s}");
    let steps = &[LoseNode(1)];
    run("13-node-lost", &Scenario { name: "Repair: a node falls silent", objects, topics: SAFE_TOPICS, steps }).await;
}

#[tokio::test(start_paused = true)]
async fn volumes_grow() {
    let steps = &[Edit("{storage: {volumes: [{name: data, size: 3Gi}]}}")];
    run("14-grow", &Scenario { name: "Storage: volumes grow", objects: cluster!(3, ""), topics: TOPICS, steps }).await;
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_added() {
    let steps = &[Fill(1 << 30), Edit("{storage: {volumes: [{name: data, size: 1Gi}, {name: more, size: 1Gi}]}}")];
    run(
        "15-volume-added",
        &Scenario {
            name: "Storage: a volume is added, and replicas go there",
            objects: cluster!(3, ""),
            topics: TOPICS,
            steps,
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn partitions_that_crowd_on_one_broker_are_spread() {
    let steps = &[Crowd("crowd", 9)];
    run(
        "16-moves",
        &Scenario { name: "Moves: a topic lies on one broker", objects: cluster!(3, ""), topics: TOPICS, steps },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn topics_are_made_changed_and_deleted() {
    let steps: &[_] = &[
        Create(concat!(topic!("clicks", "partitions: 2, replicas: 3"), topic!("views", "config: {retention.ms: 5}"))),
        EditTopic("clicks", "{partitions: 5, config: {retention.ms: 1000}}"),
        EditTopic("clicks", "{config: {retention.ms: null}}"),
        DeleteTopic("clicks"),
        DeleteTopic("views"),
    ];
    let name = "KafkaTopics are made, grown, configured and deleted";
    run("17-topics", &Scenario { name, objects: cluster!(3, ""), topics: &[], steps }).await;
}

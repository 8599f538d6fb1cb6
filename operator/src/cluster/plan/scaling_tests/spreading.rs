//! The exact steps of spreading partitions, their copies and their leaders.

use super::*;

#[test]
fn internal_topics_have_three_copies_where_there_are_three_brokers() {
    let mut observed = settled(&of_brokers(3));
    place(&mut observed, "__consumer_offsets", &[&[0], &[1]]);
    place(&mut observed, "single", &[&[2]]);
    assert_eq!(names(&observed), ["move __consumer_offsets-0 to 0,1,2 __consumer_offsets-1 to 1,0,2"]);
    let mut observed = settled(&of_brokers(3).replace("brokers: 3", "brokers: 3\ncontrollers: 1"));
    observed.cluster.spec.brokers = 2;
    annotate(&mut observed, &Scaling { from: 3, to: 2, cordoned: [2].into() });
    controller(&mut observed).brokers[2].cordoned = true;
    place(&mut observed, "__consumer_offsets", &[&[0, 1, 2]]);
    assert_eq!(names(&observed), ["move __consumer_offsets-0 to 0,1"], "no more copies than brokers");
}

#[test]
fn topics_get_the_replicas_that_are_asked_for_as_many_at_once_as_may_move() {
    let spec = "\nrebalance: {maxConcurrentMoves: 2}";
    let mut observed = settled(&format!("{}{spec}", of_brokers(3)));
    place(&mut observed, "orders", &[&[0], &[1], &[2]]);
    place(&mut observed, "logs", &[&[1]]);
    observed.asked_replicas = [("orders".to_owned(), 2), ("gone".to_owned(), 3)].into();
    assert_eq!(names(&observed), ["move orders-0 to 0,2 orders-1 to 1,0"]);
    observed.cluster.spec.rebalance.mode = Mode::Paused;
    assert_eq!(names(&observed), NOTHING);
    observed.cluster.spec.rebalance.mode = Mode::Automatic;
    let partition = &mut controller(&mut observed).placements[0].partitions[0];
    (partition.target, partition.adding) = ([0, 2].map(BrokerId).to_vec(), [2].map(BrokerId).to_vec());
    observed.asked_replicas.insert("orders".to_owned(), 1);
    assert_eq!(names(&observed), ["move orders-0 to before"]);
    observed.asked_replicas.clear();
    assert_eq!(names(&observed), NOTHING, "what is under way is nobody's mistake");
}

#[test]
fn topics_with_a_minimum_of_their_own_need_two_in_sync_once_they_have_three_copies() {
    for (topic, key) in [
        ("__transaction_state", "transaction.state.log.min.isr"),
        ("__share_group_state", "share.coordinator.state.topic.min.isr"),
    ] {
        let mut observed = settled(&of_brokers(3));
        place(&mut observed, topic, &[&[0]]);
        assert_eq!(names(&observed), [format!("move {topic}-0 to 0,1,2")], "copies first");
        let partition = &mut controller(&mut observed).placements[0].partitions[0];
        (partition.target, partition.adding) = ([0, 1, 2].map(BrokerId).to_vec(), [1, 2].map(BrokerId).to_vec());
        assert_eq!(names(&observed), NOTHING, "they are on their way");
        let partition = &mut controller(&mut observed).placements[0].partitions[0];
        (partition.in_sync, partition.adding) = (partition.target.clone(), Vec::new());
        let configure = format!(r#"Configure {{ topic: "{topic}", changes: [Set("min.insync.replicas", "2")] }}"#);
        assert_eq!(names(&observed), [configure]);
        controller(&mut observed).placements[0].min_in_sync = 2;
        assert_eq!(names(&observed), NOTHING);
        observed.cluster.spec.config = serde_json::from_value(json!({ key: 3 })).unwrap();
        assert!(names(&observed).iter().any(|step| step.contains(r#"Set("min.insync.replicas", "3")"#)));
    }
}

#[test]
fn what_cannot_leave_is_told_with_what_to_do() {
    let mut observed = leaving();
    place(&mut observed, "orders", &[&[4, 0], &[1, 2]]);
    for broker in &mut controller(&mut observed).brokers[1..3] {
        broker.cordoned = true;
    }
    let wait = |observed: &Observed| match &plan(&valid(observed).unwrap(), observed, [Uuid::nil(); 2]).unwrap()[..] {
        [Step::Wait(why)] => (why.reason, why.message.clone()),
        other => panic!("{other:?}"),
    };
    let (reason, message) = wait(&observed);
    assert_eq!(reason, "DrainBlocked");
    assert!(message.starts_with("orders-0 cannot leave a broker that is to go: no other broker may take"), "{message}");
    controller(&mut observed).placements[0].partitions[0].leader = None;
    let (_, message) = wait(&observed);
    assert!(message.contains("there is no leader to copy from"), "{message}");
}

#[test]
fn what_is_a_little_uneven_is_evened_out_only_while_the_cluster_is_scaled() {
    let mut observed = settled(&of_brokers(3));
    place(&mut observed, "orders", &[&[0], &[0], &[1], &[1]]);
    assert_eq!(names(&observed), NOTHING);
    annotate(&mut observed, &Scaling { from: 2, to: 3, cordoned: [].into() });
    assert_eq!(names(&observed), ["move orders-2 to 2"]);
    let mut uneven = settled(&of_brokers(3));
    place(&mut uneven, "orders", &[&[0], &[0], &[0], &[1], &[1]]);
    assert_eq!(names(&uneven), ["move orders-0 to 2"], "this much is evened out at any time");
}

#[test]
fn preferred_leaders_are_elected_unless_the_spec_forbids_it() {
    let mut observed = settled(&of_brokers(2));
    place(&mut observed, "orders", &[&[0, 1], &[1, 0]]);
    controller(&mut observed).placements[0].partitions[1].leader = Some(BrokerId(0));
    assert_eq!(names(&observed), [r#"Elect([("orders", 1)])"#]);
    let kafka = observed.kafka;
    let config = "\nconfig: {auto.leader.rebalance.enable: false}";
    observed = settled(&format!("{}{config}", of_brokers(2)));
    observed.kafka = kafka;
    assert_eq!(names(&observed), NOTHING);
}

#[test]
fn a_change_of_size_is_not_done_while_moves_are_paused() {
    let mut observed = settled(&of_brokers(3));
    place(&mut observed, "orders", &[&[0], &[1], &[0], &[1]]);
    annotate(&mut observed, &Scaling { from: 2, to: 3, cordoned: [].into() });
    observed.cluster.spec.rebalance.mode = Mode::Paused;
    assert_eq!(names(&observed), NOTHING, "nothing was spread over the third broker");
    observed.cluster.spec.rebalance.mode = Mode::Automatic;
    assert_eq!(names(&observed), ["move orders-1 to 2"]);
    controller(&mut observed).placements.clear();
    place(&mut observed, "orders", &[&[0], &[1], &[2], &[1]]);
    assert_eq!(names(&observed), ["scaling null"]);
}

//! The exact changes from small clusters.

use super::*;

const MB: u64 = 1 << 20;
const LIMITS: Limits = Limits { moves: 10, slack: 1, byte_slack: 100 * MB };

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn broker(id: i32, role: Role) -> Broker {
    Broker { id: BrokerId(id), rack: None, alive: true, role }
}

fn members(count: i32) -> Vec<Broker> {
    (0..count).map(|id| broker(id, Role::Member)).collect()
}

/// Partition `index` of the topic `t`, of 10 MB, healthy.
fn partition(index: i32, replicas: &[i32]) -> Partition {
    Partition {
        topic: "t".into(),
        index,
        target: ids(replicas),
        adding: Vec::new(),
        removing: Vec::new(),
        leader: Some(BrokerId(replicas[0])),
        in_sync: ids(replicas),
        min_isr: 1,
        bytes: 10 * MB,
        copies: replicas.len(),
    }
}

fn view(brokers: Vec<Broker>, replicas: &[&[i32]]) -> View {
    let partitions = (0..).zip(replicas).map(|(index, replicas)| partition(index, replicas));
    View { brokers, partitions: partitions.collect() }
}

/// Each change in a word or two.
fn told(changes: &Changes) -> Vec<String> {
    let place = |place: &Place| format!("{}-{}", place.topic, place.index);
    let replicas = |ids: &[BrokerId]| ids.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(",");
    let cancel = changes.cancel.iter().map(|one| format!("cancel {}", place(one)));
    let assign = changes.assign.iter().map(|one| format!("{} to {}", place(&one.place), replicas(&one.replicas)));
    let elect = changes.elect.iter().map(|one| format!("elect {}", place(one)));
    let blocked = changes.blocked.iter().map(|one| format!("{} blocked: {:?}", place(&one.place), one.why));
    cancel.chain(assign).chain(elect).chain(blocked).collect()
}

fn plan(view: &View) -> Vec<String> {
    told(&next(view, &LIMITS))
}

const NOTHING: [String; 0] = [];

#[test]
fn a_balanced_cluster_needs_nothing() {
    assert_eq!(plan(&view(members(3), &[&[0, 1], &[1, 2], &[2, 0]])), NOTHING);
    assert_eq!(plan(&View::default()), NOTHING);
}

#[test]
fn an_empty_broker_gets_its_share() {
    assert_eq!(plan(&view(members(3), &[&[0, 1], &[1, 0], &[0, 1]])), ["t-1 to 2,0", "t-0 to 2,1"]);
}

#[test]
fn no_more_partitions_move_at_once_than_may() {
    let mut view = view(members(2), &[&[0], &[0], &[0], &[0], &[0], &[0], &[0], &[0]]);
    let limits = Limits { moves: 2, ..LIMITS };
    assert_eq!(told(&next(&view, &limits)), ["t-0 to 1", "t-1 to 1"]);
    for partition in &mut view.partitions[..2] {
        (partition.target, partition.adding, partition.removing) = (ids(&[1]), ids(&[1]), ids(&[0]));
    }
    assert_eq!(told(&next(&view, &limits)), NOTHING);
    assert_eq!(told(&next(&view, &LIMITS)), ["t-2 to 1", "t-3 to 1"], "those under way count as done");
}

#[test]
fn a_leaving_broker_is_emptied_before_anything_is_evened_out_and_small_followers_first() {
    let brokers =
        vec![broker(0, Role::Member), broker(1, Role::Member), broker(2, Role::Member), broker(3, Role::Leaving)];
    let mut view = view(brokers, &[&[3, 0], &[0, 3], &[1, 3], &[0, 1]]);
    view.partitions[1].bytes = 30 * MB;
    assert_eq!(plan(&view), ["t-2 to 1,2", "t-1 to 0,2", "t-0 to 2,0"]);
    let limits = Limits { moves: 1, ..LIMITS };
    assert_eq!(told(&next(&view, &limits)), ["t-2 to 1,2"]);
}

#[test]
fn a_partition_that_cannot_leave_is_told() {
    let brokers = vec![broker(0, Role::Member), broker(1, Role::Leaving)];
    let mut view = view(brokers, &[&[0, 1], &[1]]);
    view.partitions[1].leader = None;
    assert_eq!(plan(&view), ["t-0 blocked: NoPlace", "t-1 blocked: Offline"]);
}

#[test]
fn a_move_towards_a_leaving_broker_is_called_off_or_led_elsewhere() {
    let mut brokers = members(3);
    brokers[2].role = Role::Leaving;
    let mut view = view(brokers, &[&[2], &[0]]);
    let moving = &mut view.partitions[0];
    (moving.adding, moving.removing, moving.leader, moving.in_sync) =
        (ids(&[2]), ids(&[0]), Some(BrokerId(0)), ids(&[0]));
    view.partitions[1].target = ids(&[1]);
    assert_eq!(plan(&view), ["cancel t-0"]);
    view.brokers[0].role = Role::Leaving;
    assert_eq!(plan(&view), ["t-0 to 1"]);
}

#[test]
fn copies_are_added_and_taken_away_and_the_leader_stays() {
    let mut view = view(members(3), &[&[0], &[1, 2, 0]]);
    view.partitions[0].copies = 3;
    view.partitions[1].copies = 1;
    assert_eq!(plan(&view), ["t-0 to 0,1,2", "t-1 to 1"]);
    view.brokers[2].alive = false;
    view.partitions[1].copies = 3;
    assert_eq!(plan(&view), ["t-0 to 0,1"], "as many as there are brokers that serve");
}

/// Partition `t-0` on its way from broker 0 to all three.
fn growing(copies: usize) -> View {
    let mut view = view(members(3), &[&[0, 1, 2]]);
    let partition = &mut view.partitions[0];
    (partition.adding, partition.in_sync, partition.copies) = (ids(&[1, 2]), ids(&[0]), copies);
    view
}

#[test]
fn a_number_of_copies_that_changes_midway_is_planned_from_what_is() {
    assert_eq!(plan(&growing(3)), NOTHING);
    assert_eq!(plan(&growing(1)), ["cancel t-0"], "as it was before");
    let view = growing(2);
    assert_eq!(plan(&view), ["t-0 to 0,1"]);
    assert_eq!(
        told(&next(&view, &Limits { moves: 1, ..LIMITS })),
        ["t-0 to 0,1"],
        "one that moves may always go elsewhere"
    );
    let mut shrinking = growing(3);
    let partition = &mut shrinking.partitions[0];
    (partition.target, partition.adding, partition.removing) = (ids(&[0]), Vec::new(), ids(&[1, 2]));
    assert_eq!(plan(&shrinking), ["cancel t-0"]);
}

#[test]
fn copies_that_are_added_go_to_racks_that_have_none() {
    let mut brokers = members(5);
    for (broker, rack) in brokers.iter_mut().zip(["a", "a", "b", "b", "c"]) {
        broker.rack = Some(rack.into());
    }
    let mut view = view(brokers, &[&[0], &[2]]);
    view.partitions.iter_mut().for_each(|partition| partition.copies = 3);
    assert_eq!(plan(&view), ["t-0 to 0,3,4", "t-1 to 2,1,4"]);
}

#[test]
fn a_copy_that_lags_is_taken_away_before_one_that_is_in_sync() {
    let mut view = view(members(3), &[&[0, 1, 2]]);
    view.partitions[0].copies = 2;
    assert_eq!(plan(&view), ["t-0 to 0,1"]);
    view.partitions[0].in_sync = ids(&[0, 2]);
    assert_eq!(plan(&view), ["t-0 to 0,2"]);
}

#[test]
fn copies_of_a_partition_go_to_different_racks_while_there_are_enough() {
    let mut brokers = members(4);
    for (broker, rack) in brokers.iter_mut().zip(["a", "a", "b", "b"]) {
        broker.rack = Some(rack.into());
    }
    assert_eq!(plan(&view(brokers.clone(), &[&[0, 1], &[2, 0]])), ["t-0 to 0,3"]);
    brokers.iter_mut().for_each(|broker| broker.rack = Some("a".into()));
    assert_eq!(plan(&view(brokers, &[&[0, 1], &[2, 3]])), NOTHING);
}

#[test]
fn evenness_keeps_to_racks_and_goes_by_way_of_others_where_it_must() {
    let mut brokers = members(3);
    for (broker, rack) in brokers.iter_mut().zip(["a", "b", "b"]) {
        broker.rack = Some(rack.into());
    }
    // Broker 0 holds too many, 2 too few; what lies on 0 has its other copy beside 2, and may only change places there.
    let view = view(brokers, &[&[0, 1], &[0, 1], &[0, 1], &[0, 1]]);
    assert_eq!(plan(&view), ["t-0 to 0,2", "t-1 to 0,2", "t-2 to 1,0"].map(str::to_owned)[..2].to_vec());
}

#[test]
fn bytes_are_evened_out_by_copies_that_change_places() {
    let mut view = view(members(2), &[&[0], &[0], &[1], &[1]]);
    for (partition, bytes) in view.partitions.iter_mut().zip([500, 490, 20, 10]) {
        partition.bytes = bytes * MB;
    }
    assert_eq!(plan(&view), ["t-1 to 1", "t-3 to 0"]);
    assert_eq!(told(&next(&view, &Limits { byte_slack: 2000 * MB, ..LIMITS })), NOTHING);
    assert_eq!(told(&next(&view, &Limits { moves: 1, ..LIMITS })), NOTHING, "half of it would unbalance the counts");
}

#[test]
fn leaders_are_evened_out_by_the_order_of_copies() {
    assert_eq!(plan(&view(members(2), &[&[0, 1], &[0, 1], &[0, 1]])), ["t-0 to 1,0"]);
    // What 0 and 2 share is led by 2 already: 1 hands on what it gets.
    let mut brokers = members(4);
    brokers[3].role = Role::Closed;
    let (first, second, third, closed): (&[i32], &[i32], &[i32], &[i32]) = (&[0, 1], &[1, 2], &[2, 0], &[3, 2]);
    let replicas = [first, first, first, first, second, second, second, third, third, closed, closed];
    assert_eq!(plan(&view(brokers, &replicas)), ["t-4 to 2,1", "t-0 to 1,0"]);
}

#[test]
fn nothing_is_evened_out_while_a_member_is_down_and_leaders_go_back() {
    let mut view = view(members(3), &[&[0, 1], &[0, 1], &[0, 1], &[1, 0]]);
    view.brokers[2].alive = false;
    view.partitions[3].leader = Some(BrokerId(0));
    assert_eq!(plan(&view), ["elect t-3"]);
    view.partitions[3].in_sync = ids(&[0]);
    assert_eq!(plan(&view), NOTHING);
}

#[test]
fn what_is_not_whole_is_left_alone_for_the_sake_of_evenness() {
    let mut view = view(members(3), &[&[0, 1], &[1, 0], &[0, 1]]);
    view.partitions[0].in_sync.pop();
    view.partitions[1].min_isr = 2;
    assert_eq!(plan(&view), ["t-1 to 2,0", "t-2 to 2,1"]);
}

#[test]
fn a_closed_broker_keeps_what_it_has_and_gets_nothing() {
    let mut brokers = members(3);
    brokers[1].role = Role::Closed;
    assert_eq!(plan(&view(brokers, &[&[0, 1], &[0, 1], &[0], &[0]])), ["t-0 to 2,1", "t-1 to 2,1"]);
}

#[test]
fn a_broker_that_nobody_knows_any_more_counts_as_leaving() {
    assert_eq!(plan(&view(members(2), &[&[0, 7]])), ["t-0 to 0,1"]);
}

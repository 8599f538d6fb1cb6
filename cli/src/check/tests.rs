//! What the check counts as lost, found twice and foreign.

use std::time::Duration;

use super::payload::Run;
use super::tally::Tally;

fn acked(records: u64) -> Tally {
    let mut tally = Tally::default();
    for _ in 0..records {
        tally.acked(0, 1, Duration::from_millis(2));
    }
    tally
}

#[test]
fn a_record_that_was_acked_and_is_not_found_is_lost() {
    let mut tally = acked(3);
    for number in [0, 2, 2, 3] {
        tally.found(0, number);
    }
    assert_eq!(tally.lost(), 1);
    let line = tally.to_string();
    assert!(line.starts_with("acked=3 lost=1 duplicated=1 refused=0 not_enough_replicas=0 p50_ms=2.0"), "{line}");
}

#[test]
fn a_record_that_is_found_without_an_ack_makes_up_for_none() {
    let mut tally = acked(1);
    tally.found(0, 1);
    tally.found(1, 0);
    assert_eq!(tally.lost(), 1);
}

#[test]
fn the_counts_of_writers_add_up_and_refusals_are_told_apart() {
    let mut tally = acked(2);
    tally.refused("NOT_ENOUGH_REPLICAS");
    let mut other = Tally::default();
    other.acked(1, 1, Duration::from_secs(1));
    other.refused("NOT_ENOUGH_REPLICAS_AFTER_APPEND");
    other.refused("NOT_LEADER_OR_FOLLOWER");
    tally.merge(other);
    let text = tally.to_string();
    assert!(text.contains("refused 1 times: NOT_LEADER_OR_FOLLOWER\n"), "{text}");
    assert!(text.contains("acked=3 lost=3 duplicated=0 refused=3 not_enough_replicas=2 "), "{text}");
    assert!(text.contains("max_ms=1000"), "{text}");
}

#[test]
fn only_its_own_whole_values_are_counted() {
    let run = Run::new(100);
    let value = run.value(3, 17);
    assert_eq!(value.len(), 100);
    assert_eq!(run.number(3, &value), Some(17));
    assert_eq!(run.number(2, &value), None, "from another partition");
    assert_eq!(run.number(3, &value[..99]), None, "cut");
    assert_eq!(run.number(3, b"hello"), None);
    assert_eq!(Run::new(100).number(3, &value), None, "of another run");
    assert_eq!(run.number(1, &run.value(1, u64::MAX)), Some(u64::MAX));
}

//! The interval between the targets of a group of the consumer protocol (KIP-1263).

use std::time::Duration;

use ottla_core::group::{ConsumerGroupState, LEAVE};

use super::bench::{Bench, assigning_every};
use super::consumers::{SECOND, answer, describe};
use super::requests::{beat, first_beat};

/// A group of `a` with all of `t`, and of `b`, which came at once and has nothing yet, since targets are made each second.
fn group_of_two_that_waits() -> Bench {
    let mut bench = Bench::new(assigning_every(SECOND));
    bench.tell(&[("t", 4)]);
    assert_eq!(answer(&mut bench, first_beat("g", "a", &["t"])), Ok((2, Some(vec![0, 1, 2, 3]))), "the first at once");
    assert_eq!(answer(&mut bench, first_beat("g", "b", &["t"])), Ok((2, Some(vec![]))));
    let found = describe(&mut bench);
    assert_eq!((found.state, found.epoch, found.assignment_epoch), (ConsumerGroupState::Assigning, 3, 2));
    bench
}

#[test]
fn targets_are_made_when_the_interval_since_those_before_is_over() {
    let mut bench = group_of_two_that_waits();
    bench.advance(SECOND - Duration::from_millis(1));
    assert_eq!(answer(&mut bench, first_beat("g", "c", &["t"])), Ok((2, Some(vec![]))));
    assert_eq!(answer(&mut bench, beat("g", "a", 2)), Ok((2, None)));
    bench.advance(Duration::from_millis(1));
    let found = describe(&mut bench);
    assert_eq!((found.state, found.epoch, found.assignment_epoch), (ConsumerGroupState::Reconciling, 4, 4));
    // They were made for all that came meanwhile, without a heartbeat.
    assert_eq!(
        answer(&mut bench, beat("g", "a", 2)).map(|(epoch, found)| (epoch, found.map(|f| f.len()))),
        Ok((2, Some(2)))
    );
    assert_eq!(answer(&mut bench, beat("g", "b", 2)).map(|(epoch, _)| epoch), Ok(4));
    bench.advance(SECOND);
    answer(&mut bench, beat("g", "c", LEAVE)).unwrap();
    assert_eq!(describe(&mut bench).state, ConsumerGroupState::Assigning);
    answer(&mut bench, beat("g", "b", 4)).unwrap();
    assert_eq!(describe(&mut bench).assignment_epoch, 5, "those before are older than that");
}

#[test]
fn another_coordinator_waits_for_no_more_than_the_rest_of_the_interval() {
    let mut bench = group_of_two_that_waits();
    bench.advance(SECOND / 2);
    bench.compact();
    bench.reload();
    assert_eq!(answer(&mut bench, beat("g", "b", 2)), Ok((2, None)));
    bench.advance(SECOND / 2);
    assert_eq!(answer(&mut bench, beat("g", "a", 2)), Ok((2, Some(vec![0, 1]))));
    let mut bench = group_of_two_that_waits();
    bench.reload();
    bench.advance(SECOND);
    assert_eq!(answer(&mut bench, beat("g", "a", 2)), Ok((2, Some(vec![0, 1]))), "nobody had asked it before");
}

#[test]
fn nobody_is_assigned_to_who_has_left_before_the_interval_is_over() {
    let mut bench = group_of_two_that_waits();
    for member in ["a", "b"] {
        answer(&mut bench, beat("g", member, LEAVE)).unwrap();
    }
    bench.advance(2 * SECOND);
    let found = describe(&mut bench);
    assert_eq!((found.state, found.epoch, found.assignment_epoch), (ConsumerGroupState::Empty, 5, 2));
    assert_eq!(answer(&mut bench, first_beat("g", "c", &["t"])), Ok((6, Some(vec![0, 1, 2, 3]))));
}

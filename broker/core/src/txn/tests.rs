//! The coordinator by exact effects: what each request is answered, in the order that Kafka's tables say.

mod bench;

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::coordinator::{AppendError, Machine as _, RequestId};
use crate::{Now, ProducerId, Timestamp};
use bench::{Bench, ID, START, partition, producer};

#[test]
fn a_transaction_goes_from_its_first_partition_to_markers_and_the_next_epoch() {
    let mut bench = Bench::new(Config::default());
    let first = bench.init().unwrap();
    assert_eq!(first, producer(100, 0));
    assert_eq!(bench.add(first, &["a-0", "b-1"]), Ok(()));
    assert_eq!(bench.state().state, TransactionState::Ongoing);
    let second = bench.end(first, true).unwrap();
    assert_eq!(second, producer(100, 1));
    let markers = bench.markers_written();
    assert_eq!((markers.producer, markers.commit), (second, true));
    assert_eq!(markers.partitions, ["a-0", "b-1"].map(partition).into());
    let after = bench.state();
    assert_eq!((after.state, after.partitions), (TransactionState::CompleteCommit, BTreeSet::new()));
    assert_eq!(bench.add(second, &["a-0"]), Ok(()));
    assert_eq!(bench.add(first, &["a-0"]), Err(Error::ProducerFenced));
}

#[test]
fn a_new_instance_aborts_what_the_old_one_left_open_and_fences_it() {
    let mut bench = Bench::new(Config::default());
    let old = bench.init().unwrap();
    bench.add(old, &["a-0"]).unwrap();
    assert_eq!(bench.init(), Err(Error::ConcurrentTransactions));
    assert_eq!(bench.init(), Err(Error::ConcurrentTransactions));
    let markers = bench.markers_written();
    assert!(!markers.commit && markers.producer.epoch > old.epoch);
    let new = bench.init().unwrap();
    assert!(new.epoch > markers.producer.epoch);
    for commit in [true, false] {
        assert_eq!(bench.end(old, commit), Err(Error::ProducerFenced));
    }
    assert_eq!(bench.add(old, &["a-0"]), Err(Error::ProducerFenced));
    assert_eq!(bench.add(new, &["a-0"]), Ok(()));
}

#[test]
fn an_open_transaction_is_aborted_when_its_time_is_over_and_its_producer_fenced() {
    for version in [TransactionVersion::V1, TransactionVersion::V2] {
        let mut bench = Bench::new(Config { version, ..Config::default() });
        let zombie = bench.init().unwrap();
        bench.add(zombie, &["a-0"]).unwrap();
        bench.pass(Duration::from_millis(59_999));
        assert!(bench.markers.is_empty());
        bench.pass(Duration::from_millis(1));
        assert!(!bench.markers_written().commit);
        assert_eq!(bench.state().state, TransactionState::CompleteAbort);
        assert_eq!(bench.add(zombie, &["a-0"]), Err(Error::ProducerFenced));
        // By version 2 it may learn that its transaction was aborted, and go on in the next epoch.
        let ends = [true, false].map(|commit| bench.end_by(zombie, commit, version));
        let told = match version {
            TransactionVersion::V1 => [Err(Error::ProducerFenced), Err(Error::ProducerFenced)],
            TransactionVersion::V2 => [Err(Error::InvalidTxnState), Ok(producer(100, 1))],
        };
        assert_eq!(ends, told);
    }
}

#[test]
fn the_time_of_a_transaction_goes_on_on_the_next_coordinator() {
    let mut bench = Bench::new(Config::default());
    let open = bench.init().unwrap();
    bench.add(open, &["a-0"]).unwrap();
    bench.elapsed += Duration::from_secs(50);
    let mut bench = bench.failed_over();
    bench.pass(Duration::from_secs(9));
    assert!(bench.markers.is_empty());
    bench.pass(Duration::from_secs(1));
    assert!(!bench.markers_written().commit);
}

#[test]
fn markers_that_were_on_their_way_are_written_by_the_next_coordinator() {
    let mut bench = Bench::new(Config::default());
    let first = bench.init().unwrap();
    bench.add(first, &["a-0", "a-1"]).unwrap();
    let second = bench.end(first, true).unwrap();
    let mut bench = bench.failed_over();
    assert_eq!(bench.add(second, &["a-0"]), Err(Error::ConcurrentTransactions));
    let markers = bench.markers_written();
    assert_eq!((markers.producer, markers.commit, markers.partitions.len()), (second, true, 2));
    assert_eq!(bench.end(first, true), Ok(second));
}

/// The table of KIP-890: per state, result asked for, and epoch of the request.
#[test]
fn an_end_is_answered_as_the_table_of_version_2_says() {
    use Error::{InvalidTxnState, ProducerFenced};
    let retry_and_current = |state: &str, commit| {
        [true, false].map(|retry| {
            let mut bench = Bench::new(Config::default());
            let mut now = bench.init().unwrap();
            if state != "Empty" {
                bench.add(now, &["a-0"]).unwrap();
                now = bench.end(now, state == "CompleteCommit").unwrap();
                bench.markers_written();
            }
            let asked = if retry { producer(now.id.0, now.epoch.0 - 1) } else { now };
            bench.end(asked, commit).map(|next| next.epoch.0 - now.epoch.0)
        })
    };
    let (abort, commit) = (false, true);
    assert_eq!(retry_and_current("Empty", abort), [Err(ProducerFenced), Ok(1)]);
    assert_eq!(retry_and_current("Empty", commit), [Err(ProducerFenced), Err(InvalidTxnState)]);
    assert_eq!(retry_and_current("CompleteAbort", abort), [Ok(0), Ok(1)]);
    assert_eq!(retry_and_current("CompleteAbort", commit), [Err(InvalidTxnState), Err(InvalidTxnState)]);
    assert_eq!(retry_and_current("CompleteCommit", abort), [Err(InvalidTxnState), Ok(1)]);
    assert_eq!(retry_and_current("CompleteCommit", commit), [Ok(0), Err(InvalidTxnState)]);
}

#[test]
fn by_version_1_the_epoch_stays_and_the_same_end_is_answered_again() {
    let version = TransactionVersion::V1;
    let mut bench = Bench::new(Config { version, ..Config::default() });
    let only = bench.init().unwrap();
    for commit in [true, false] {
        assert_eq!(bench.end_by(only, commit, version), Err(Error::InvalidTxnState));
    }
    bench.add(only, &["a-0"]).unwrap();
    assert_eq!(bench.end_by(only, true, version), Ok(only));
    assert_eq!(bench.end_by(only, true, version), Err(Error::ConcurrentTransactions));
    assert_eq!(bench.end_by(only, false, version), Err(Error::InvalidTxnState));
    assert_eq!(bench.markers_written().producer, only);
    assert_eq!(bench.end_by(only, true, version), Ok(only));
    assert_eq!(bench.end_by(only, false, version), Err(Error::InvalidTxnState));
}

#[test]
fn an_abort_of_nothing_needs_no_marker_and_bumps_the_epoch() {
    let mut bench = Bench::new(Config::default());
    let first = bench.init().unwrap();
    assert_eq!(bench.end(first, false), Ok(producer(100, 1)));
    assert!(bench.markers.is_empty());
    assert_eq!(bench.state().state, TransactionState::CompleteAbort);
}

#[test]
fn a_producer_id_whose_epochs_are_used_up_is_replaced_with_the_end() {
    let mut bench = Bench::new(Config::default());
    let mut now = bench.init().unwrap();
    while now.epoch.0 < i16::MAX - 1 {
        now = bench.end(now, false).unwrap();
    }
    bench.add(now, &["a-0"]).unwrap();
    let next = bench.end(now, true).unwrap();
    assert_eq!(next, producer(101, 0));
    assert_eq!(bench.markers_written().producer, producer(100, i16::MAX));
    assert_eq!(bench.end(now, true), Ok(next), "the answer was lost");
    assert_eq!(bench.add(next, &["a-0"]), Ok(()));
    assert_eq!(bench.add(now, &["a-0"]), Err(Error::InvalidProducerIdMapping));
}

#[test]
fn a_producer_id_whose_epochs_are_used_up_is_replaced_at_the_beginning_too() {
    let mut bench = Bench::new(Config::default());
    let mut now = bench.init().unwrap();
    while now.epoch.0 < i16::MAX - 1 {
        now = bench.init().unwrap();
    }
    assert_eq!(bench.init_as(Some(producer(100, 3))), Err(Error::ProducerFenced));
    assert_eq!(bench.init_as(Some(now)), Ok(producer(101, 0)));
    // The answer was lost: the producer still knows its former id only.
    assert_eq!(bench.init_as(Some(now)), Ok(producer(101, 0)));
}

#[test]
fn a_producer_that_goes_on_after_an_error_says_what_it_was() {
    let mut bench = Bench::new(Config::default());
    let first = bench.init().unwrap();
    let second = bench.init_as(Some(first)).unwrap();
    assert_eq!(second, producer(100, 1));
    assert_eq!(bench.init_as(Some(first)), Ok(second), "the answer was lost");
    assert_eq!(bench.init_as(Some(producer(99, 0))), Err(Error::ProducerFenced));
    let other = bench.init().unwrap();
    assert_eq!(bench.init_as(Some(second)), Err(Error::ProducerFenced));
    assert_eq!(bench.init_as(Some(other)), Ok(producer(100, 3)));
}

#[test]
fn a_partition_is_verified_only_while_its_transaction_is_open() {
    let mut bench = Bench::new(Config::default());
    let first = bench.init().unwrap();
    bench.add(first, &["a-0"]).unwrap();
    let verified = bench.verify(first, &["a-0", "a-1"]).unwrap();
    assert_eq!(verified, [(partition("a-0"), Ok(())), (partition("a-1"), Err(Error::TransactionAbortable))]);
    assert_eq!(bench.verify(producer(100, 7), &["a-0"]), Err(Error::ProducerFenced));
    assert_eq!(bench.verify(producer(5, 0), &["a-0"]), Err(Error::InvalidProducerIdMapping));
    let second = bench.end(first, true).unwrap();
    assert_eq!(bench.verify(second, &["a-0"]), Err(Error::ConcurrentTransactions));
}

#[test]
fn while_a_step_is_on_its_way_every_other_one_has_to_come_again() {
    let mut bench = Bench::new(Config::default());
    let first = bench.init().unwrap();
    bench.append = None;
    let adding = Bench::adding(first, &["a-0"], TransactionVersion::V2);
    assert_eq!(bench.ask(Request::Add(adding)), None);
    assert_eq!(bench.add(first, &["a-1"]), Err(Error::ConcurrentTransactions));
    assert_eq!(bench.end(first, false), Err(Error::ConcurrentTransactions));
    assert_eq!(bench.init(), Err(Error::ConcurrentTransactions));
    bench.release();
    assert_eq!(bench.replies.pop().map(|(_, response)| response), Some(Response::Add(Ok(()))));
    assert_eq!(bench.add(first, &["a-0"]), Ok(()));
}

#[test]
fn an_answer_does_not_wait_for_ever_and_what_becomes_durable_later_counts() {
    let mut bench = Bench::new(Config::default());
    let first = bench.init().unwrap();
    bench.append = None;
    assert_eq!(bench.ask(Request::Add(Bench::adding(first, &["a-0"], TransactionVersion::V2))), None);
    bench.pass(Duration::from_secs(30));
    assert_eq!(
        bench.replies.pop().map(|(_, response)| response),
        Some(Response::Add(Err(Error::CoordinatorNotAvailable)))
    );
    bench.release();
    assert_eq!(bench.state().state, TransactionState::Ongoing);
}

#[test]
fn an_end_that_cannot_be_stored_changes_nothing() {
    let mut bench = Bench::new(Config::default());
    let first = bench.init().unwrap();
    bench.add(first, &["a-0"]).unwrap();
    bench.append = Some(Err(AppendError::NotEnoughReplicas));
    assert_eq!(bench.end(first, true), Err(Error::CoordinatorNotAvailable));
    assert!(bench.markers.is_empty());
    bench.append = Some(Ok(()));
    assert_eq!(bench.end(first, true), Ok(producer(100, 1)));
}

#[test]
fn what_nobody_asks_for_again_is_stored_as_soon_as_it_can_be() {
    let mut bench = Bench::new(Config::default());
    let first = bench.init().unwrap();
    bench.add(first, &["a-0"]).unwrap();
    bench.append = Some(Err(AppendError::NotEnoughReplicas));
    bench.pass(Duration::from_secs(60));
    assert!(bench.markers.is_empty());
    bench.append = Some(Ok(()));
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.markers.len(), 1);
    bench.append = Some(Err(AppendError::NotEnoughReplicas));
    bench.markers_written();
    assert_eq!(bench.state().state, TransactionState::PrepareAbort);
    bench.append = Some(Ok(()));
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.state().state, TransactionState::CompleteAbort);
}

#[test]
fn without_a_producer_id_a_new_producer_has_to_come_again() {
    let mut coordinator = Coordinator::new(Config::default());
    let now = Now { monotonic: Duration::ZERO, wall: Timestamp(START) };
    let init = InitProducerId { transactional_id: ID.into(), timeout: Duration::from_secs(1), expected: None };
    let effects = coordinator.handle(now, Event::Request(RequestId(1), Request::Init(init)));
    assert_eq!(effects, [Effect::Act(Act::AllocateProducerId)]);
    let refused = Response::Init(Err(Error::CoordinatorLoadInProgress));
    assert_eq!(coordinator.handle(now, Event::Note(Note::ProducerId(None))), [Effect::Reply(RequestId(1), refused)]);
}

#[test]
fn bad_requests_are_refused() {
    let mut bench = Bench::new(Config::default());
    let init = |id: &str, timeout| InitProducerId { transactional_id: id.into(), timeout, expected: None };
    let second = Duration::from_secs(1);
    let cases = [
        (init("", second), Error::InvalidRequest),
        (init(&"x".repeat(40_000), second), Error::InvalidRequest),
        (init("t", Duration::ZERO), Error::InvalidTransactionTimeout),
        (init("t", Duration::from_secs(901)), Error::InvalidTransactionTimeout),
    ];
    for (request, error) in cases {
        assert_eq!(bench.ask(Request::Init(request)), Some(Response::Init(Err(error))));
    }
    assert_eq!(bench.add(producer(1, 0), &["a-0"]), Err(Error::InvalidProducerIdMapping));
    assert_eq!(bench.end(producer(1, 0), true), Err(Error::InvalidProducerIdMapping));
    let described = bench.ask(Request::Describe(ID.into()));
    assert_eq!(described, Some(Response::Describe(Err(Error::TransactionalIdNotFound))));
}

#[test]
fn an_id_that_nobody_uses_is_forgotten_and_an_open_transaction_never() {
    let mut bench = Bench::new(Config::default());
    bench.init().unwrap();
    bench.pass(Duration::from_secs(7 * 24 * 3600));
    let described = bench.ask(Request::Describe(ID.into()));
    assert_eq!(described, Some(Response::Describe(Err(Error::TransactionalIdNotFound))));
    assert_eq!(bench.log.last().unwrap().value, None);
    let mut bench = bench.failed_over();
    assert_eq!(bench.init(), Ok(producer(101, 0)));
}

#[test]
fn whoever_waits_when_the_partition_goes_elsewhere_is_told_so() {
    let mut bench = Bench::new(Config::default());
    let first = bench.init().unwrap();
    bench.append = None;
    assert_eq!(bench.ask(Request::Add(Bench::adding(first, &["a-0"], TransactionVersion::V2))), None);
    let told = Effect::Reply(RequestId(bench.next_request), Response::Add(Err(Error::NotCoordinator)));
    assert_eq!(bench.coordinator.unload(), [told]);
}

#[test]
fn ids_are_listed_by_state_producer_and_how_long_their_transaction_is_open() {
    let mut bench = Bench::new(Config::default());
    let first = bench.init().unwrap();
    bench.add(first, &["a-0"]).unwrap();
    bench.elapsed += Duration::from_secs(5);
    let mut listed = |filter| match bench.ask(Request::List(filter)) {
        Some(Response::List(listed)) => listed.len(),
        other => panic!("{other:?}"),
    };
    let open_for = |seconds| ListFilter { open_for: Some(Duration::from_secs(seconds)), ..ListFilter::default() };
    let in_state = |state| ListFilter { states: [state].into(), ..ListFilter::default() };
    assert_eq!(listed(ListFilter::default()), 1);
    assert_eq!((listed(open_for(4)), listed(open_for(6))), (1, 0));
    assert_eq!((listed(in_state(TransactionState::Ongoing)), listed(in_state(TransactionState::Empty))), (1, 0));
    assert_eq!(listed(ListFilter { producers: [ProducerId(5)].into(), ..ListFilter::default() }), 0);
}

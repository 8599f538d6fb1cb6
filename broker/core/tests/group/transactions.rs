//! Offsets that are part of a transaction: counted when it is committed, and only then (KIP-98, KIP-447).

use ottla_core::coordinator::{AppendError, InTransaction};
use ottla_core::group::{Commit, Config, Error, Request, Response};
use ottla_core::{Producer, ProducerEpoch, ProducerId};

use crate::bench::Bench;
use crate::requests::{commit, fetch_all, offsets};

pub(super) const PRODUCER: ProducerId = ProducerId(7);

pub(super) fn transactional(group: &str, generation: i32, member_id: &str, offset: i64) -> Request {
    by(PRODUCER, commit(group, member_id, generation, "t", 0, offset))
}

/// A commit as part of a producer's transaction.
fn by(id: ProducerId, request: Request) -> Request {
    let Request::Commit(commit) = request else { panic!("no commit but {request:?}") };
    let producer = Producer { id, epoch: ProducerEpoch(0) };
    Request::Commit(Commit { transaction: Some(InTransaction { producer, verified: None }), ..commit })
}

fn is_ok(response: &Response) -> bool {
    matches!(response, Response::Commit(Ok(results)) if results.iter().flat_map(|(_, p)| p).all(|(_, r)| r.is_ok()))
}

fn begun() -> Bench {
    let mut bench = Bench::new(Config::default());
    assert!(is_ok(&bench.call(commit("g", "", -1, "t", 0, 5))));
    assert!(is_ok(&bench.call(transactional("g", -1, "", 9))));
    bench
}

fn unstable(response: Response) -> Vec<Error> {
    let Response::FetchOffsets(Ok(topics)) = response else { panic!("no offsets but {response:?}") };
    topics.into_iter().flat_map(|topic| topic.partitions).filter_map(|(_, committed)| committed.err()).collect()
}

#[test]
fn an_offset_counts_when_its_transaction_is_committed() {
    for (commit, then) in [(true, 9), (false, 5)] {
        for reloads in [0, 1, 2] {
            let mut bench = begun();
            if reloads > 0 {
                bench.reload();
            }
            assert_eq!(offsets(bench.call(fetch_all("g", false))), [("t".to_owned(), 0, 5)]);
            assert_eq!(unstable(bench.call(fetch_all("g", true))), [Error::UnstableOffsetCommit]);
            bench.end_transaction(PRODUCER, commit);
            if reloads > 1 {
                bench.reload();
            }
            assert_eq!(offsets(bench.call(fetch_all("g", true))), [("t".to_owned(), 0, then)]);
        }
    }
}

#[test]
fn an_offset_that_is_the_groups_first_is_unstable_too() {
    let mut bench = Bench::new(Config::default());
    assert!(is_ok(&bench.call(transactional("new", -1, "", 3))));
    assert_eq!(unstable(bench.call(fetch_all("new", true))), [Error::UnstableOffsetCommit]);
    bench.end_transaction(PRODUCER, true);
    assert_eq!(offsets(bench.call(fetch_all("new", true))), [("t".to_owned(), 0, 3)]);
}

#[test]
fn the_end_of_another_transaction_changes_nothing() {
    let mut bench = begun();
    bench.end_transaction(ProducerId(8), true);
    assert_eq!(unstable(bench.call(fetch_all("g", true))), [Error::UnstableOffsetCommit]);
}

#[test]
fn a_member_that_is_not_of_the_group_commits_nothing() {
    let mut bench = begun();
    let refused = |response| matches!(response, Response::Commit(Err(Error::UnknownMemberId)));
    assert!(refused(bench.call(transactional("g", 1, "stranger", 1))));
    let unknown_group = bench.call(transactional("none", 1, "m", 1));
    assert!(matches!(unknown_group, Response::Commit(Err(Error::IllegalGeneration))));
}

#[test]
fn a_producer_that_was_fenced_or_not_verified_is_told_so() {
    for (error, told) in [
        (AppendError::InvalidProducerEpoch, Error::InvalidProducerEpoch),
        (AppendError::NotVerified, Error::InvalidTxnState),
    ] {
        let mut bench = Bench::new(Config::default());
        bench.is_prompt = false;
        let request = bench.send(transactional("g", -1, "", 3));
        bench.fail_newest(error);
        assert_eq!(bench.replies.remove(&request), Some(Response::Commit(Err(told))));
    }
}

#[test]
fn the_offsets_of_a_deleted_group_do_not_come_back_with_the_end_of_a_transaction() {
    let mut bench = begun();
    assert_eq!(bench.call(Request::Delete("g".into())), Response::Delete(Ok(())));
    bench.end_transaction(PRODUCER, true);
    assert_eq!(offsets(bench.call(fetch_all("g", true))), []);
}

#[test]
fn of_an_offset_in_several_transactions_and_in_none_the_last_in_the_log_counts_however_they_end() {
    const OTHER: ProducerId = ProducerId(8);
    let plain = |offset| commit("g", "", -1, "t", 0, offset);
    type Step = (Option<ProducerId>, i64);
    let logs: [([Step; 3], i64); 4] = [
        ([(Some(PRODUCER), 9), (None, 12), (Some(OTHER), 15)], 15),
        ([(Some(PRODUCER), 9), (Some(OTHER), 12), (None, 15)], 15),
        ([(Some(OTHER), 9), (None, 12), (Some(PRODUCER), 15)], 15),
        ([(None, 9), (Some(OTHER), 12), (Some(PRODUCER), 15)], 15),
    ];
    for (log, last) in logs {
        for order in [[PRODUCER, OTHER], [OTHER, PRODUCER]] {
            let mut bench = Bench::new(Config::default());
            for (producer, offset) in log {
                let request = plain(offset);
                assert!(is_ok(&bench.call(producer.map_or(request.clone(), |producer| by(producer, request)))));
            }
            order.into_iter().for_each(|producer| bench.end_transaction(producer, true));
            let expected = [("t".to_owned(), 0, last)];
            assert_eq!(offsets(bench.call(fetch_all("g", true))), expected, "{log:?} {order:?}");
            bench.compact();
            bench.reload();
            assert_eq!(offsets(bench.call(fetch_all("g", true))), expected, "{log:?} {order:?}, compacted");
        }
    }
}

#[test]
fn an_aborted_offset_takes_none_of_another_transaction_with_it() {
    const OTHER: ProducerId = ProducerId(8);
    let mut bench = begun();
    assert!(is_ok(&bench.call(by(OTHER, commit("g", "", -1, "t", 0, 12)))));
    bench.end_transaction(OTHER, false);
    bench.end_transaction(PRODUCER, true);
    assert_eq!(offsets(bench.call(fetch_all("g", true))), [("t".to_owned(), 0, 9)]);
}

#[test]
fn deleted_offsets_do_not_come_back_with_the_end_of_a_transaction_after_a_reload_either() {
    let mut bench = begun();
    bench.tell(&[("t", 1)]);
    bench.tell(&[]);
    assert_eq!(offsets(bench.call(fetch_all("g", true))), [], "the topic is gone");
    bench.end_transaction(PRODUCER, true);
    bench.reload();
    assert_eq!(offsets(bench.call(fetch_all("g", true))), []);
}

//! Cleaning a log with transactions, by the exact batches that stay.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

mod common;

use std::fs;

use common::cleaning::*;
use common::*;
use ottla_core::{Offset, ProducerId};
use ottla_storage::{AbortedTransaction, Log};

/// Base offset, number of records, and whether it is a control batch.
fn shape(log: &Log) -> Vec<(i64, i32, bool)> {
    headers(log).iter().map(|h| (h.base_offset, h.record_count, h.attributes.is_control())).collect()
}

#[test]
fn aborted_records_go_first_and_their_marker_when_nobody_needs_it_any_more() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    transactional(&mut log, 1, 0, "a", Some("kept"));
    end(&mut log, 1, true);
    transactional(&mut log, 1, 1, "a", Some("aborted"));
    end(&mut log, 1, false);
    log.roll(now(0)).unwrap();
    write(&mut log, &[("z", Some("z"))]);
    transactional(&mut log, 1, 2, "b", Some("the last one of its producer"));
    end(&mut log, 1, true);
    log.roll(now(0)).unwrap();
    let aborted = |log: &mut Log| log.aborted_transactions(Offset(0), Offset(100)).unwrap();
    let expected = [AbortedTransaction { producer: ProducerId(1), first_offset: Offset(2) }];
    assert_eq!(aborted(&mut log), expected);

    clean(&mut log, 1000).unwrap();
    let first = [(0, 1, false), (1, 1, true), (3, 1, true), (4, 1, false), (5, 1, false), (6, 1, true)];
    assert_eq!(shape(&log), first, "an aborted record makes none obsolete");
    assert_eq!(aborted(&mut log), expected, "a reader may still hold the records that are gone");
    let again = |log: &mut Log, at: i64, key: &str| {
        write(log, &[(key, Some("1"))]);
        log.roll(now(0)).unwrap();
        clean(log, at).unwrap();
    };
    again(&mut log, 2000, "a");
    assert_eq!(aborted(&mut log), [], "nothing is left of it");
    assert_eq!(headers(&log)[1].delete_horizon(), Some(3000), "the marker of the abort begins to go");
    assert_eq!(shape(&log)[0], (1, 1, true), "its records went with this clean, so it stays");
    again(&mut log, 3000, "b");
    let expected = [(1, 1, true), (4, 1, false), (5, 0, false), (6, 1, true), (7, 1, false), (8, 1, false)];
    assert_eq!(shape(&log), expected, "the last batch of an active producer stays without its records");
    again(&mut log, 4000, "c");
    again(&mut log, 9000, "c");
    assert_eq!(shape(&log)[..3], [(4, 1, false), (5, 0, false), (6, 1, true)]);
    assert_eq!(log.last_stable(log.log_end()).unwrap(), log.log_end());
    drop((log, bench));

    // What is known of the producer can be read from the log alone.
    let bench = Bench::open(folder.path());
    for name in fs::read_dir(folder.path().join("t-0")).unwrap().flatten().map(|e| e.path()) {
        if name.extension().is_some_and(|e| e == "snapshot") {
            fs::remove_file(name).unwrap();
        }
    }
    let mut log = bench.load_one(&compacted());
    let producers = log.producers().unwrap();
    assert_eq!((producers.len(), producers[0].last_sequence), (1, 2));
    assert_eq!(log.last_stable(log.log_end()).unwrap(), log.log_end(), "no transaction is open");
    // Once it has expired nothing of it stays.
    log.expire_producers(now(i64::MAX));
    again(&mut log, 20_000, "c");
    again(&mut log, 20_001, "c");
    again(&mut log, 90_000, "c");
    assert!(shape(&log).iter().all(|(_, records, is_control)| *records > 0 && !is_control), "{:?}", shape(&log));
}

#[test]
fn nothing_of_an_open_transaction_is_cleaned() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    write(&mut log, &[("a", Some("1"))]);
    log.roll(now(0)).unwrap();
    transactional(&mut log, 1, 0, "a", Some("2"));
    log.roll(now(0)).unwrap();
    clean(&mut log, 1000).unwrap();
    assert_eq!(log.cleaned(), Offset(1));
    assert_eq!(entries(&log), [entry(0, "a", Some("1")), entry(1, "a", Some("2"))]);
}

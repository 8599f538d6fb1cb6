//! Copies of logs that move between directories.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::fs;
use std::sync::Arc;

use common::*;
use ottla_core::{LeaderEpoch, Offset, TopicId};
use ottla_storage::Log;
use uuid::Uuid;

fn id() -> TopicId {
    TopicId(Uuid::from_u128(99))
}

fn copy(from: &Log, to: &mut Log) {
    while let Some(slice) = from.reader().read(to.log_end(), 1000, from.log_end(), true).unwrap() {
        to.append_as_follower(&slice.read().unwrap(), now(0)).unwrap();
    }
}

#[test]
fn a_copy_takes_the_place_of_its_log_with_every_byte_epoch_and_producer() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, to) = (Bench::open(a.path()), Bench::open(b.path()));
    let mut log = from.create("t", small_segments(1000));
    for n in 0..9 {
        append(&mut log, &batch(1, 300, n, 0));
    }
    log.append_as_leader(&producer_batch(7, 0, 0, 2), LeaderEpoch(4), now(0)).unwrap();
    log.advance_log_start(Offset(3)).unwrap();
    let (reader, before) = (log.reader(), read_all(&log.reader()));
    let config = Arc::new(small_segments(2000));
    let mut future = to.dir().create_future(partition("t", 0), id(), config, 6, now(0)).unwrap();
    future.truncate_fully_and_start_at(log.log_start()).unwrap();
    copy(&log, &mut future);

    let mut moved = to.dir().promote(future, now(0)).unwrap();
    reader.go_on_with(&moved);
    from.dir().delete(log).unwrap();
    assert_eq!(read_all(&reader), before);
    assert_eq!((moved.log_start(), moved.log_end(), moved.flushed()), (Offset(3), Offset(11), Offset(11)));
    assert_eq!(moved.latest_epoch(), Some(LeaderEpoch(4)));
    assert!(append_producer(&mut moved, 0), "its producers are known");
    append(&mut moved, &batch(1, 300, 9, 0));
    let (bytes, start) = (read_all(&moved.reader()), moved.log_start());
    to.close(vec![moved]);
    let to = Bench::open(b.path());
    let again = to.load_one(&small_segments(2000));
    assert_eq!((read_all(&again.reader()), start), (bytes, Offset(3)));
    assert!(from.load(&small_segments(1000), false).is_empty());
}

fn append_producer(log: &mut Log, sequence: i32) -> bool {
    log.append_as_leader(&producer_batch(7, 0, sequence, 2), LeaderEpoch(4), now(0)).unwrap().duplicate
}

#[test]
fn a_copy_that_was_not_finished_is_thrown_away_and_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let config = Arc::new(small_segments(1000));
    let unfinished = bench.dir().create_future(partition("t", 0), id(), Arc::clone(&config), 6, now(0)).unwrap();
    let cancelled = bench.dir().create_future(partition("u", 0), id(), config, 7, now(0)).unwrap();
    bench.dir().discard_future(cancelled);
    drop((unfinished, bench));

    let bench = Bench::open(folder.path());
    assert!(bench.load(&small_segments(1000), false).is_empty());
    assert_eq!(bench.dir().interrupted_moves().unwrap(), [partition("t", 0)]);
    drop(bench);
    let left = fs::read_dir(folder.path()).unwrap().flatten().filter(|entry| entry.path().is_dir()).count();
    assert_eq!(left, 0);
}

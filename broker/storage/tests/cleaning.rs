//! Cleaning a log, by the exact records that stay.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

mod common;

use std::fs;
use std::time::Duration;

use common::cleaning::*;
use common::*;
use ottla_core::Offset;
use ottla_records::Compression;
use ottla_storage::{CleanLimits, Error, Log, LogConfig};

#[test]
fn the_newest_record_of_each_key_stays_where_it_was() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    write(&mut log, &[("a", Some("1")), ("b", Some("2")), ("a", Some("3"))]);
    log.roll(now(0)).unwrap();
    write(&mut log, &[("c", Some("4")), ("b", Some("5"))]);
    log.roll(now(0)).unwrap();
    write(&mut log, &[("c", Some("6")), ("c", Some("7"))]);
    let stats = clean(&mut log, 1000).unwrap();
    let expected = [
        entry(2, "a", Some("3")),
        entry(3, "c", Some("4")),
        entry(4, "b", Some("5")),
        entry(5, "c", Some("6")),
        entry(6, "c", Some("7")),
    ];
    assert_eq!(entries(&log), expected, "the active segment makes nothing obsolete");
    assert_eq!((stats.records_before, stats.records_after), (5, 3));
    assert_eq!((log.log_start(), log.log_end(), log.cleaned()), (Offset(0), Offset(7), Offset(5)));
    assert_eq!(log.reader().segments(), 2, "small neighbours have become one");
    assert_reads_from_everywhere(&log);
    assert_eq!(clean(&mut log, 1000), None, "nothing is dirty any more");
    log.roll(now(0)).unwrap();
    clean(&mut log, 1000).unwrap();
    assert_eq!(entries(&log), [entry(2, "a", Some("3")), entry(4, "b", Some("5")), entry(6, "c", Some("7"))]);
    assert_eq!(log.reader().segments(), 2);
}

#[test]
fn a_tombstone_stays_for_its_retention_after_the_first_clean_that_meets_it() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    write(&mut log, &[("a", Some("1")), ("b", Some("2"))]);
    write(&mut log, &[("a", None), ("c", Some("3"))]);
    log.roll(now(0)).unwrap();
    let dirty = |log: &mut Log, at: i64| {
        write(log, &[("x", Some("x"))]);
        log.roll(now(0)).unwrap();
        clean(log, at).unwrap();
    };
    dirty(&mut log, 5000);
    let kept = [entry(1, "b", Some("2")), entry(2, "a", None), entry(3, "c", Some("3")), entry(4, "x", Some("x"))];
    assert_eq!(entries(&log), kept);
    assert_eq!(headers(&log)[1].delete_horizon(), Some(6000));
    assert_eq!(records(&log.reader())[1].timestamp, 500, "its timestamp stays too");
    dirty(&mut log, 5999);
    assert_eq!(entries(&log)[1], entry(2, "a", None));
    assert_eq!(headers(&log)[1].delete_horizon(), Some(6000), "the horizon is given once");
    dirty(&mut log, 6000);
    assert_eq!(entries(&log), [entry(1, "b", Some("2")), entry(3, "c", Some("3")), entry(6, "x", Some("x"))]);
    assert_reads_from_everywhere(&log);
}

#[test]
fn a_table_too_small_for_all_keys_cleans_a_part_at_a_time() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    let keys: Vec<String> = (0..400).map(|n| format!("key-{n}")).collect();
    for round in 0..4 {
        let value = round.to_string();
        for some in keys.chunks(50) {
            let batch: Vec<_> = some.iter().map(|key| (key.as_str(), Some(value.as_str()))).collect();
            write(&mut log, &batch);
        }
        if round % 2 == 1 {
            log.roll(now(0)).unwrap();
        }
    }
    let small = CleanLimits { dedupe_buffer: 24 * 300, ..LIMITS };
    let mut first = begin(&mut log, small, 1000).unwrap();
    assert!(first.until() < Offset(1600) && first.until().0 % 50 == 0, "whole batches: {}", first.until());
    while let Some(cleaned) = first.next_segment(&mut unhurried).unwrap() {
        assert!(log.replace_segments(&mut first, cleaned).unwrap());
    }
    log.end_clean(&first);
    assert_eq!(newest(&records(&log.reader())).len(), 400);
    clean_within(&mut log, small, 1000).unwrap();
    let left = records(&log.reader());
    assert_eq!(newest(&left).len(), 400);
    assert!(newest(&left).values().all(|record| record.value.as_deref() == Some(b"3")));
    // A table that holds all of them leaves nothing else.
    assert_eq!(log.cleaned(), Offset(1600));
    let too_small = CleanLimits { dedupe_buffer: 24, ..LIMITS };
    write(&mut log, &[("p", Some("p")), ("q", Some("q")), ("r", Some("r"))]);
    log.roll(now(0)).unwrap();
    let mut none = log.begin_clean(log.log_end(), too_small, now(1000)).unwrap().unwrap();
    assert!(matches!(none.read_keys(&mut unhurried), Err(Error::DedupeBufferTooSmall { .. })));
}

#[test]
fn what_is_not_stable_or_too_young_is_not_cleaned() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    for n in 0..4 {
        append(&mut log, &keyed(Compression::None, 1000 * n, &[("a", Some("v"))]));
        log.roll(now(0)).unwrap();
    }
    let upto = |log: &mut Log, watermark| log.cleanable(Offset(watermark), now(4000)).unwrap().first_uncleanable;
    assert_eq!(upto(&mut log, 4), Offset(4));
    assert_eq!(upto(&mut log, 2), Offset(2));
    let lag = LogConfig { min_compaction_lag: Duration::from_millis(2500), ..compacted() };
    log.set_config(lag.into());
    assert_eq!(upto(&mut log, 4), Offset(2), "those of 2000 and 3000 are too young");
    let rare = LogConfig { min_dirty_ratio: 1.0, ..compacted() };
    log.set_config(rare.clone().into());
    assert!(log.begin_clean(Offset(4), LIMITS, now(4000)).unwrap().is_none());
    let overdue = LogConfig { max_compaction_lag: Some(Duration::from_millis(3999)), ..rare };
    log.set_config(overdue.into());
    assert!(log.begin_clean(Offset(4), LIMITS, now(4000)).unwrap().is_some());
}

#[test]
fn a_record_that_waits_too_long_in_the_active_segment_has_it_rolled() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let config = LogConfig { max_compaction_lag: Some(Duration::from_millis(1000)), ..compacted() };
    let mut log = bench.create("t", config.clone());
    assert!(!log.roll_if_overdue(now(9000)).unwrap(), "there is none");
    append(&mut log, &keyed(Compression::None, 4000, &[("a", Some("1"))]));
    assert!(!log.roll_if_overdue(now(5000)).unwrap());
    assert!(log.roll_if_overdue(now(5001)).unwrap());
    append(&mut log, &keyed(Compression::None, 5000, &[("a", Some("2"))]));
    append(&mut log, &keyed(Compression::None, 6001, &[("a", Some("3"))]));
    assert_eq!(log.reader().segments(), 3, "no segment spans more than the largest lag");
    log.set_config(LogConfig { compact: false, ..config }.into());
    assert!(!log.roll_if_overdue(now(9000)).unwrap(), "it is not compacted");
}

#[test]
fn batches_stay_compressed_as_they_were_and_are_copied_if_all_of_them_stays() {
    for codec in Compression::ALL {
        let folder = scratch();
        let bench = Bench::open(folder.path());
        let mut log = bench.create("t", compacted());
        append(&mut log, &keyed(codec, 500, &[("a", Some("1")), ("b", Some("2"))]));
        append(&mut log, &keyed(codec, 500, &[("c", Some("3")), ("a", Some("4"))]));
        let before = read_all(&log.reader());
        log.roll(now(0)).unwrap();
        clean(&mut log, 1000).unwrap();
        let after = read_all(&log.reader());
        assert_eq!(after[1], before[1], "{codec:?}");
        let header = headers(&log)[0];
        assert_eq!(
            (header.attributes.compression().unwrap(), header.record_count, header.last_offset()),
            (codec, 1, 1)
        );
        assert_eq!(entries(&log)[0], entry(1, "b", Some("2")), "{codec:?}");
    }
}

#[test]
fn a_clean_is_void_once_the_log_was_cut_and_leaves_nothing_behind() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    for value in ["1", "2", "3"] {
        write(&mut log, &[("a", Some(value))]);
        log.roll(now(0)).unwrap();
    }
    let mut void = begin(&mut log, LIMITS, 1000).unwrap();
    let cleaned = void.next_segment(&mut unhurried).unwrap().unwrap();
    log.truncate_to(Offset(2)).unwrap();
    assert!(!log.replace_segments(&mut void, cleaned).unwrap());
    log.end_clean(&void);
    assert_eq!((log.cleaned(), entries(&log).len()), (Offset(0), 2));

    write(&mut log, &[("a", Some("3"))]);
    log.roll(now(0)).unwrap();
    let mut void = begin(&mut log, LIMITS, 1000).unwrap();
    let cleaned = void.next_segment(&mut unhurried).unwrap().unwrap();
    log.advance_log_start(Offset(1)).unwrap();
    assert!(!log.replace_segments(&mut void, cleaned).unwrap(), "its first segment is gone");
    let called_off = &mut |_| std::ops::ControlFlow::Break(());
    let mut clean = log.begin_clean(log.log_end(), LIMITS, now(1000)).unwrap().unwrap();
    assert!(matches!(clean.read_keys(called_off), Err(Error::CalledOff)));
    let names =
        fs::read_dir(folder.path().join("t-0")).unwrap().flatten().map(|e| e.file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.ends_with(".cleaned") || name.ends_with(".swap")).count(), 0);
}

#[test]
fn a_broken_batch_ends_the_clean_and_is_named() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    write(&mut log, &[("a", Some("1"))]);
    write(&mut log, &[("a", Some("2"))]);
    log.roll(now(0)).unwrap();
    let path = folder.path().join("t-0/00000000000000000000.log");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle + 60] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut clean = log.begin_clean(log.log_end(), LIMITS, now(1000)).unwrap().unwrap();
    match clean.read_keys(&mut unhurried) {
        Err(Error::Damaged { position, .. }) => assert_eq!(position, middle as u64),
        other => panic!("{other:?}"),
    }
}

#[test]
fn readers_under_way_go_on_with_what_they_began_with() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    write(&mut log, &[("a", Some("1")), ("b", Some("2"))]);
    write(&mut log, &[("a", Some("3"))]);
    log.roll(now(0)).unwrap();
    let reader = log.reader();
    let held = reader.read(Offset(0), 1 << 20, reader.log_end(), true).unwrap().unwrap();
    let before = held.read().unwrap();
    clean(&mut log, 1000).unwrap();
    assert_eq!(held.read().unwrap(), before);
    let after = reader.read(Offset(0), 1 << 20, reader.log_end(), true).unwrap().unwrap().read().unwrap();
    assert!(after.len() < before.len());
}

#[test]
fn a_segment_of_which_nothing_is_left_is_deleted_by_retention_like_any_other() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let config =
        LogConfig { delete: true, retention_ms: Some(Duration::from_millis(1000)), segment_bytes: 90, ..compacted() };
    let mut log = bench.create("t", config);
    for value in ["1", "2", "3"] {
        write(&mut log, &[("a", Some(value))]);
    }
    log.roll(now(0)).unwrap();
    clean(&mut log, 1000).unwrap();
    assert_eq!(entries(&log), [entry(2, "a", Some("3"))]);
    assert_reads_from_everywhere(&log);
    let far = now(i64::MAX / 2);
    let deleted = log.apply_retention(far, log.log_end()).unwrap();
    assert_eq!((deleted.segments, deleted.log_start), (3, Offset(3)));
}

#[test]
fn truncating_into_a_gap_ends_the_log_where_it_was_told_to() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    for value in ["1", "2", "3"] {
        write(&mut log, &[("a", Some(value))]);
    }
    log.roll(now(0)).unwrap();
    clean(&mut log, 1000).unwrap();
    assert_eq!(log.truncate_to(Offset(1)).unwrap(), Offset(1));
    assert_eq!((log.log_end(), log.cleaned()), (Offset(1), Offset(1)));
    write(&mut log, &[("b", Some("4"))]);
    assert_eq!(entries(&log), [entry(1, "b", Some("4"))]);
}

#[test]
fn a_follower_copies_a_cleaned_log_with_its_gaps() {
    let (folder, other) = (scratch(), scratch());
    let (bench, bench2) = (Bench::open(folder.path()), Bench::open(other.path()));
    let mut log = bench.create("t", compacted());
    for value in ["1", "2", "3"] {
        write(&mut log, &[("a", Some(value))]);
    }
    log.roll(now(0)).unwrap();
    clean(&mut log, 1000).unwrap();
    write(&mut log, &[("b", Some("4"))]);
    let mut follower = bench2.create("t", LogConfig::default());
    for batch in read_all(&log.reader()) {
        follower.append_as_follower(&batch, now(0)).unwrap();
    }
    bench2.flush(&mut follower);
    drop((follower, bench2));
    let bench2 = Bench::open(other.path());
    let follower = bench2.load_one(&LogConfig::default());
    assert_eq!(entries(&follower), entries(&log), "a gap is no damage, whatever the policy is now");
}

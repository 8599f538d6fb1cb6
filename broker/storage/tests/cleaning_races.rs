//! What else happens to a log, its folder or its machine while it is cleaned, or between two cleans.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use common::cleaning::*;
use common::*;
use ottla_core::{DirectoryId, Offset};
use ottla_storage::{CleanLimits, FileCache, Log, LogConfig, LogDir, LogDirOptions, PreviousStop};
use uuid::Uuid;

/// The names in a folder that end with `suffix`.
fn names(folder: &Path, suffix: &str) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(suffix)).collect()
}

#[test]
fn a_log_that_is_deleted_while_it_is_cleaned_takes_nothing_else_along() {
    let mut deletions = 0_u32;
    loop {
        let folder = scratch();
        let bench = Bench::open(folder.path());
        let mut log = bench.create("t", compacted());
        transactional(&mut log, 1, 0, "a", Some("aborted"));
        end(&mut log, 1, false);
        log.roll(now(0)).unwrap();
        let mut clean = log.begin_clean(log.log_end(), LIMITS, now(1000)).unwrap().unwrap();
        // After one more move of bytes than the last time.
        let (mut log, mut left) = (Some(log), deletions);
        let mut pace = |_| {
            if left == 0
                && let Some(log) = log.take()
            {
                bench.dir().delete(log).unwrap();
            }
            left = left.saturating_sub(1);
            ControlFlow::Continue(())
        };
        let outcome = clean.read_keys(&mut pace).and_then(|()| clean.next_segment(&mut pace));
        if log.is_some() {
            break;
        }
        assert_eq!(bench.dir().failure(), None, "after {deletions} moves");
        assert!(outcome.is_err(), "after {deletions} moves");
        deletions += 1;
    }
    assert!(deletions > 2, "while reading keys, while reading what stays, and while writing it");
}

#[test]
fn the_end_of_a_log_can_be_told_from_its_batches_even_if_no_record_is_left_there() {
    let (folder, other) = (scratch(), scratch());
    let (bench, bench2) = (Bench::open(folder.path()), Bench::open(other.path()));
    let mut log = bench.create("t", compacted());
    write(&mut log, &[("a", Some("1"))]);
    append(&mut log, &batch(1, 10, 0, 500));
    // As where a record has waited for max.compaction.lag.ms: no batch follows.
    log.roll(now(0)).unwrap();
    clean(&mut log, 1000).unwrap();
    assert_eq!(entries(&log).len(), 1, "a record without a key does not stay");
    let mut copy = bench2.create("t", LogConfig::default());
    for batch in read_all(&log.reader()) {
        copy.append_as_follower(&batch, now(0)).unwrap();
    }
    assert_eq!((log.log_end(), copy.log_end()), (Offset(2), Offset(2)));
    write(&mut log, &[("b", Some("2"))]);
    log.roll(now(0)).unwrap();
    clean(&mut log, 1000).unwrap();
    let offsets: Vec<i64> = headers(&log).iter().map(|header| header.base_offset).collect();
    assert_eq!(offsets, [0, 2], "it goes once another batch tells where the log ends");
}

#[test]
fn an_aborted_transaction_below_the_dirty_part_hides_nothing_in_it() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    write(&mut log, &[("a", Some("1"))]);
    transactional(&mut log, 1, 0, "x", Some("aborted"));
    end(&mut log, 1, false);
    for round in 0..2 {
        let keys: Vec<String> = (0..40).map(|n| format!("{round}-{n}")).collect();
        let records: Vec<_> = keys.iter().map(|key| (key.as_str(), Some("filler"))).collect();
        write(&mut log, &records);
    }
    transactional(&mut log, 1, 1, "a", None);
    end(&mut log, 1, true);
    log.roll(now(0)).unwrap();
    // Room for the keys of one round: the second clean begins in the middle of the segment.
    let small = CleanLimits { dedupe_buffer: 24 * 60, ..LIMITS };
    assert_eq!(begin(&mut log, small, 1000).unwrap().until(), Offset(43));
    clean_within(&mut log, small, 1000).unwrap();
    assert_eq!(log.cleaned(), Offset(85));
    let of_a: Vec<_> = entries(&log).into_iter().filter(|(_, key, _)| key == "a").collect();
    assert_eq!(of_a, [(83, "a".to_owned(), None)], "what the tombstone deletes is gone");
}

#[test]
fn a_clean_that_finds_its_segments_gone_tells_nothing_of_the_log() {
    let cut: [fn(&mut Log); 2] = [
        |log| assert_eq!(log.advance_log_start(Offset(2)).unwrap().segments, 2),
        |log| assert_eq!(log.truncate_to(Offset(1)).unwrap(), Offset(1)),
    ];
    for cut in cut {
        let folder = scratch();
        let bench = Bench::open(folder.path());
        let mut log = bench.create("t", compacted());
        for value in ["1", "2", "3"] {
            write(&mut log, &[("a", Some(value))]);
            log.roll(now(0)).unwrap();
        }
        bench.close(vec![log]);
        // None of its files is open.
        let bench = Bench::open(folder.path());
        let mut log = bench.load_one(&compacted());
        let mut clean = log.begin_clean(log.log_end(), LIMITS, now(1000)).unwrap().unwrap();
        cut(&mut log);
        let error = clean.read_keys(&mut unhurried).unwrap_err();
        assert!(error.is_passing(), "{error}");
    }
}

#[test]
fn after_a_power_loss_nothing_counts_as_cleaned_that_had_not_been_flushed() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    write(&mut log, &[("a", Some("1"))]);
    bench.flush(&mut log);
    bench.dir().pause_flusher(true);
    write(&mut log, &[("a", Some("2"))]);
    log.roll(now(0)).unwrap();
    clean(&mut log, 1000).unwrap();
    bench.dir().checkpoint_cleaned().unwrap();
    let file = folder.path().join("cleaner-offset-checkpoint");
    assert_eq!(fs::read_to_string(&file).unwrap(), "0\n1\nt 0 2\n");
    drop((log, bench));
    fs::write(folder.path().join(".ottla-boot"), "another boot").unwrap();

    let bench = Bench::open(folder.path());
    assert_eq!(bench.dir().previous_stop(), PreviousStop::PowerLoss);
    let log = bench.load_one(&compacted());
    assert_eq!((log.log_end(), log.cleaned()), (Offset(2), Offset(1)));
    assert_eq!(fs::read_to_string(&file).unwrap(), "0\n1\nt 0 1\n");
    bench.dir().checkpoint_cleaned().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "0\n1\nt 0 1\n", "the next checkpoint says the same");
}

#[test]
fn that_a_kafka_has_cleaned_a_log_is_remembered_when_its_checkpoint_is_gone() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    for value in ["1", "2"] {
        write(&mut log, &[("a", Some(value))]);
    }
    log.roll(now(0)).unwrap();
    clean(&mut log, 1000).unwrap();
    bench.flush(&mut log);
    bench.dir().checkpoint_cleaned().unwrap();
    drop((log, bench));
    // A Kafka has no such file.
    fs::remove_file(folder.path().join("t-0/.ottla-gaps")).unwrap();
    for checkpoint in ["there", "gone"] {
        let bench = Bench::open(folder.path());
        let loaded = bench.load(&LogConfig::default(), true).remove(0);
        let (log, _) = loaded.log.unwrap_or_else(|damage| panic!("{damage}, with the checkpoint {checkpoint}"));
        assert_eq!(entries(&log), [(1, "a".to_owned(), Some("2".to_owned()))]);
        drop((log, bench));
        let _ = fs::remove_file(folder.path().join("cleaner-offset-checkpoint"));
    }
}

/// Opens a directory whose logs may have only few files open.
fn open_with_few_files(path: &Path) -> Bench {
    let recorder = Arc::new(Recorder::default());
    let options = LogDirOptions { cache: FileCache::new(4), ..options(path, &recorder) };
    let dir = LogDir::open(options, &identity(), DirectoryId(Uuid::from_u128(7))).unwrap();
    Bench { dir: Some(dir), recorder }
}

#[test]
fn segments_that_could_not_be_replaced_go_on_as_before() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    for value in ["1", "2"] {
        write(&mut log, &[("a", Some(value))]);
    }
    log.roll(now(0)).unwrap();
    write(&mut log, &[("a", Some("3"))]);
    log.roll(now(0)).unwrap();
    bench.close(vec![log]);
    let data = folder.path().join("t-0");
    // A small segment needs no index.
    for index in ["index", "timeindex"] {
        fs::remove_file(data.join(format!("{:020}.{index}", 0))).unwrap();
    }
    let bench = open_with_few_files(folder.path());
    let mut log = bench.load_one(&compacted());
    let mut clean_of = begin(&mut log, LIMITS, 1000).unwrap();
    let cleaned = clean_of.next_segment(&mut unhurried).unwrap().unwrap();
    let mut other = bench.create("u", compacted());
    for _ in 0..8 {
        write(&mut other, &[("a", Some("1"))]);
        other.roll(now(0)).unwrap();
    }
    // It cannot be opened as a file, as if there were too many open.
    let (index, aside) = (data.join(format!("{:020}.index", 2)), data.join("aside"));
    fs::rename(&index, &aside).unwrap();
    fs::create_dir(&index).unwrap();
    assert!(log.replace_segments(&mut clean_of, cleaned).is_err());
    fs::remove_dir(&index).unwrap();
    fs::rename(&aside, &index).unwrap();
    assert_eq!((entries(&log).len(), log.reader().segments(), bench.dir().failure()), (3, 3, None));
    // The first of them gets more batches, and an index with them.
    log.truncate_to(Offset(1)).unwrap();
    for value in ["4", "5", "6", "7"] {
        write(&mut log, &[("a", Some(value))]);
    }
    log.roll(now(0)).unwrap();
    clean(&mut log, 1000).unwrap();
    assert_eq!(entries(&log), [(4, "a".to_owned(), Some("7".to_owned()))]);
}

#[test]
fn a_cleaned_segment_that_does_not_get_its_place_leaves_no_file_behind() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", compacted());
    for value in ["1", "2"] {
        write(&mut log, &[("a", Some(value))]);
        log.roll(now(0)).unwrap();
    }
    let mut clean_of = begin(&mut log, LIMITS, 1000).unwrap();
    let cleaned = clean_of.next_segment(&mut unhurried).unwrap().unwrap();
    let data = folder.path().join("t-0");
    let before = names(&data, ".log");
    // No file can be renamed to a folder that is in use.
    fs::create_dir_all(data.join("00000000000000000000.log.swap/in use")).unwrap();
    assert!(log.replace_segments(&mut clean_of, cleaned).is_err());
    assert_eq!(names(&data, ".swap"), ["00000000000000000000.log.swap"]);
    assert_eq!((names(&data, ".cleaned").len(), names(&data, ".log")), (0, before));
}

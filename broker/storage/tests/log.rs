//! Appending to a log and reading it back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

mod common;

use std::fs;
use std::time::Duration;

use common::*;
use ottla_core::{LeaderEpoch, Offset, Timestamp};
use ottla_records::{BatchHeader, TimestampType, batches, verify_crc};
use ottla_storage::{Error, LogConfig, ProducerError};

#[test]
fn a_leader_gives_offsets_and_epoch_and_readers_get_the_same_records() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    let sent = [batch(3, 10, 1, 100), batch(1, 50, 2, 200)];
    let first = append(&mut log, &sent[0]);
    let second = append(&mut log, &sent[1]);
    assert_eq!((first.base_offset, first.last_offset, first.max_timestamp), (Offset(0), Offset(2), Timestamp(102)));
    assert_eq!((second.base_offset, second.log_end, second.log_append_time), (Offset(3), Offset(4), Timestamp::NONE));
    let stored = read_all(&log.reader());
    for (stored, sent) in stored.iter().zip(&sent) {
        let header = BatchHeader::parse(stored).unwrap();
        assert_eq!(header.leader_epoch, 1);
        assert_eq!(stored[16..], sent[16..]);
    }
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(1)));
}

#[test]
fn a_read_starts_at_the_batch_with_the_offset_and_gives_whole_batches_only() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", small_segments(4000));
    let one = batch(2, 40, 1, 0).len();
    for n in 0..200 {
        append(&mut log, &batch(2, 40, n, n as i64));
    }
    let reader = log.reader();
    assert!(reader.segments() > 5);
    for offset in 0..400 {
        for max in [1, one - 1, one, one + 1, 5 * one + 3, 1 << 20] {
            for upper in [offset + 2 - offset % 2, 300, 400] {
                let slice = reader.read(Offset(offset), max, Offset(upper), true).unwrap();
                let Some(slice) = slice else {
                    assert!(upper <= offset, "offset {offset} max {max} upper {upper}");
                    continue;
                };
                let bytes = slice.read().unwrap();
                let found: Vec<_> = batches(&bytes).map(|b| b.unwrap().header).collect();
                assert!(found[0].base_offset <= offset && offset <= found[0].last_offset());
                assert!(found[found.len() - 1].last_offset() < upper);
                assert!(bytes.len() <= max.max(one));
            }
        }
    }
    let none = reader.read(Offset(0), one - 1, Offset(400), false).unwrap();
    assert!(none.is_none(), "no batch fits and none is forced");
    assert!(reader.read(Offset(400), 1, Offset(400), true).unwrap().is_none());
    assert!(matches!(reader.read(Offset(401), 1, Offset(400), true), Err(Error::OffsetOutOfRange { .. })));
}

#[test]
fn a_follower_takes_batches_as_they_are_and_refuses_what_does_not_continue_or_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut leader = bench.create("leader", LogConfig::default());
    for n in 0..10 {
        append(&mut leader, &batch(5, 100, n, 0));
    }
    let bytes = leader.reader().read(Offset(0), 1 << 20, Offset(50), true).unwrap().unwrap().read().unwrap();
    let mut follower = bench.create("follower", LogConfig::default());
    let info = follower.append_as_follower(&bytes[..bytes.len() - 1], now(0)).unwrap().unwrap();
    assert_eq!((info.base_offset, info.log_end), (Offset(0), Offset(45)));
    assert!(matches!(follower.append_as_follower(&bytes, now(0)), Err(Error::UnexpectedOffset { .. })));
    let last = &bytes[bytes.len() / 10 * 9..];
    let mut broken = last.to_vec();
    broken[80] ^= 1;
    assert!(matches!(
        follower.append_as_follower(&broken, now(0)),
        Err(Error::Batch(ottla_records::Error::Crc { .. }))
    ));
    follower.append_as_follower(last, now(0)).unwrap();
    assert_eq!(read_all(&follower.reader()), read_all(&leader.reader()));
}

#[test]
fn log_append_time_is_stamped_under_a_valid_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let config = LogConfig { timestamp_type: TimestampType::LogAppendTime, ..LogConfig::default() };
    let mut log = bench.create("t", config);
    let info = append(&mut log, &batch(3, 10, 1, 5));
    assert_eq!((info.log_append_time, info.max_timestamp), (Timestamp(1000), Timestamp(1000)));
    append(&mut log, &batch(3, 1000, 1, 5));
    let stored = read_all(&log.reader());
    assert_eq!(stored.len(), 2);
    for stored in stored {
        let header = BatchHeader::parse(&stored).unwrap();
        assert_eq!(header.attributes.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(header.max_timestamp, 1000);
    }
}

#[test]
fn idempotent_batches_are_stored_once_and_gaps_refused_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    for n in 0..7 {
        append(&mut log, &producer_batch(42, 0, 3 * n, 3));
    }
    let again = append(&mut log, &producer_batch(42, 0, 15, 3));
    assert!(again.duplicate);
    assert_eq!((again.base_offset, again.log_end), (Offset(15), Offset(21)));
    let gap = log.append_as_leader(&producer_batch(42, 0, 24, 1), LeaderEpoch(1), now(0));
    assert!(matches!(gap, Err(Error::Producer(ProducerError::OutOfOrderSequence { last: 20, .. }))));
    bench.close(vec![log]);

    let bench = Bench::open(folder.path());
    let mut log = bench.load_one(&LogConfig::default());
    let again = append(&mut log, &producer_batch(42, 0, 18, 3));
    assert!(again.duplicate, "the last batch is in the snapshot");
    append(&mut log, &producer_batch(42, 0, 21, 1));
    drop((log, bench));

    let bench = Bench::open(folder.path());
    let mut log = bench.load_one(&LogConfig::default());
    assert!(append(&mut log, &producer_batch(42, 0, 21, 1)).duplicate, "the tail is replayed after a crash");
    assert_eq!(log.producers().unwrap()[0].last_sequence, 21);
}

#[test]
fn an_epoch_is_written_down_with_its_first_batch() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    let written = || fs::read_to_string(folder.path().join("t-0/leader-epoch-checkpoint")).unwrap_or_default();
    log.begin_epoch(LeaderEpoch(5));
    assert_eq!((log.latest_epoch(), written().as_str()), (Some(LeaderEpoch(5)), ""));
    log.append_as_leader(&batch(2, 10, 0, 0), LeaderEpoch(5), now(0)).unwrap();
    assert_eq!(written(), "0\n1\n5 0\n");
    log.begin_epoch(LeaderEpoch(7));
    assert_eq!((log.latest_epoch(), written().as_str()), (Some(LeaderEpoch(7)), "0\n1\n5 0\n"));
    bench.close(vec![log]);

    let bench = Bench::open(folder.path());
    let mut log = bench.load_one(&LogConfig::default());
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(5)), "no batch was written under the other");
    log.begin_epoch(LeaderEpoch(8));
    log.append_as_leader(&batch(1, 10, 0, 0), LeaderEpoch(8), now(0)).unwrap();
    assert_eq!(written(), "0\n2\n5 0\n8 2\n");
}

#[test]
fn segments_roll_by_size_and_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut by_size = bench.create("size", small_segments(1000));
    for n in 0..10 {
        append(&mut by_size, &batch(1, 300, n, 0));
    }
    assert_eq!(by_size.reader().segments(), 5);
    assert!(matches!(
        by_size.append_as_leader(&batch(1, 2000, 0, 0), LeaderEpoch(1), now(0)),
        Err(Error::BatchTooLarge { limit: 1000, .. })
    ));
    let config = LogConfig { segment_ms: Duration::from_millis(100), ..LogConfig::default() };
    let mut by_time = bench.create("time", config);
    for timestamp in [0, 100, 101, 150, 300] {
        append(&mut by_time, &batch(1, 10, 0, timestamp));
    }
    assert_eq!(by_time.reader().segments(), 3, "0 and 100 | 101 and 150 | 300");
    let names: Vec<_> = fs::read_dir(folder.path().join("time-0")).unwrap().map(|e| e.unwrap().file_name()).collect();
    for name in ["00000000000000000002.log", "00000000000000000000.timeindex", "00000000000000000004.snapshot"] {
        assert!(names.iter().any(|n| n == name), "{name} of {names:?}");
    }
}

#[test]
fn a_timestamp_leads_to_the_first_batch_that_reaches_it() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", small_segments(3000));
    // Timestamps go up and down: what counts is the first batch at or above the one asked for.
    let timestamps: Vec<i64> = (0..300).map(|n| 1000 + n * 10 - (n % 7) * 25).collect();
    for (n, timestamp) in timestamps.iter().enumerate() {
        append(&mut log, &batch(1, 60, n as u64, *timestamp));
    }
    let check = |reader: &ottla_storage::LogReader, start: usize| {
        for asked in (800..4200).step_by(3) {
            let expected = timestamps.iter().skip(start).position(|t| *t >= asked).map(|n| Offset((start + n) as i64));
            let hit = reader.offset_for_timestamp(Timestamp(asked)).unwrap();
            assert_eq!(hit.map(|h| h.base_offset), expected, "timestamp {asked}");
        }
        let newest = timestamps.iter().max().unwrap();
        assert_eq!(reader.batch_of_max_timestamp().unwrap().unwrap().max_timestamp, Timestamp(*newest));
    };
    check(&log.reader(), 0);
    bench.close(vec![log]);
    let bench = Bench::open(folder.path());
    let mut log = bench.load_one(&small_segments(3000));
    check(&log.reader(), 0);
    log.advance_log_start(Offset(133)).unwrap();
    check(&log.reader(), 133);
}

#[test]
fn retention_removes_old_segments_below_the_high_watermark() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let config = LogConfig { retention_ms: Some(Duration::from_millis(500)), ..small_segments(1000) };
    let mut log = bench.create("t", config.clone());
    for n in 0..10 {
        append(&mut log, &batch(1, 300, n, n as i64 * 100));
    }
    let none = log.apply_retention(now(1000), Offset(1)).unwrap();
    assert_eq!(none.segments, 0, "nothing is removed above the high watermark");
    let deleted = log.apply_retention(now(1000), Offset(10)).unwrap();
    assert_eq!((deleted.segments, deleted.log_start), (2, Offset(4)));
    let mut sized = config;
    sized.retention_ms = None;
    sized.retention_bytes = Some(800);
    log.set_config(sized.into());
    let deleted = log.apply_retention(now(1000), Offset(10)).unwrap();
    assert_eq!((deleted.segments, deleted.log_start), (1, Offset(6)));
    log.set_config(LogConfig { retention_ms: Some(Duration::from_millis(1)), ..small_segments(1000) }.into());
    let all = log.apply_retention(now(10_000), Offset(10)).unwrap();
    assert_eq!((all.segments, all.log_start, log.log_end()), (2, Offset(10), Offset(10)));
    append(&mut log, &batch(1, 10, 0, 0));
    assert_eq!(read_all(&log.reader()).len(), 1);
    assert_eq!(log.leader_epochs()[0].start, Offset(10));
}

#[test]
fn deleted_records_are_out_of_range_and_a_slice_in_hand_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", small_segments(1000));
    for n in 0..10 {
        append(&mut log, &batch(1, 300, n, 0));
    }
    let reader = log.reader();
    let held = reader.read(Offset(0), 10_000, Offset(10), true).unwrap().unwrap();
    let deleted = log.advance_log_start(Offset(5)).unwrap();
    assert_eq!((deleted.segments, reader.log_start()), (2, Offset(5)));
    assert!(matches!(
        reader.read(Offset(4), 1, Offset(10), true),
        Err(Error::OffsetOutOfRange { start: Offset(5), .. })
    ));
    assert_eq!(batches(&held.read().unwrap()).filter(|b| verify_crc(b.as_ref().unwrap().bytes).is_ok()).count(), 2);
    assert!(matches!(log.advance_log_start(Offset(11)), Err(Error::OffsetOutOfRange { .. })));
    assert_eq!(log.advance_log_start(Offset(3)).unwrap().log_start, Offset(5));
}

#[test]
fn truncation_cuts_batches_epochs_and_producers() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", small_segments(1000));
    for n in 0..20 {
        let batch = producer_batch(9, 0, 2 * n, 2);
        log.append_as_leader(&batch, LeaderEpoch(n / 5), now(0)).unwrap();
    }
    bench.flush(&mut log);
    assert_eq!(log.end_offset_for_epoch(LeaderEpoch(1)).unwrap().end, Offset(20));
    assert_eq!(log.truncate_to(Offset(25)).unwrap(), Offset(24), "a batch is cut as a whole");
    assert_eq!((log.log_end(), log.flushed()), (Offset(24), Offset(24)));
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(2)));
    assert!(append_at(&mut log, 22).duplicate);
    assert!(!append_at(&mut log, 24).duplicate);
    assert_eq!(log.truncate_to(Offset(99)).unwrap(), Offset(26));
    let before = read_all(&log.reader());
    drop((log, bench));

    let bench = Bench::open(folder.path());
    let mut log = bench.load_one(&small_segments(1000));
    assert_eq!(read_all(&log.reader()), before);
    log.truncate_fully_and_start_at(Offset(1000)).unwrap();
    assert_eq!((log.log_start(), log.log_end()), (Offset(1000), Offset(1000)));
    append(&mut log, &batch(1, 10, 0, 0));
    assert_eq!(read_all(&log.reader()).len(), 1);
}

fn append_at(log: &mut ottla_storage::Log, sequence: i32) -> ottla_storage::AppendInfo {
    log.append_as_leader(&producer_batch(9, 0, sequence, 2), LeaderEpoch(2), now(0)).unwrap()
}

#[test]
fn readers_see_whole_batches_while_the_writer_appends() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", small_segments(20_000));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let reader = log.reader();
            std::thread::spawn(move || {
                let mut next = Offset(0);
                while next < Offset(6000) {
                    let Some(slice) = reader.read(next, 3000, Offset(i64::MAX), true).unwrap() else { continue };
                    for found in batches(&slice.read().unwrap()) {
                        let found = found.unwrap();
                        verify_crc(found.bytes).unwrap();
                        assert_eq!(found.header.base_offset, next.0);
                        next = Offset(found.header.next_offset());
                    }
                }
            })
        })
        .collect();
    for n in 0..2000 {
        append(&mut log, &batch(3, 30, n, n as i64));
    }
    readers.into_iter().for_each(|r| r.join().unwrap());
}

#[test]
fn no_flipped_bit_of_an_index_hides_a_record() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", small_segments(3000));
    for n in 0..14 {
        append(&mut log, &batch(2, 100, n, n as i64 * 10));
    }
    bench.flush(&mut log);
    assert_eq!(log.reader().segments(), 2);
    let everything = read_all(&log.reader());
    drop((log, bench));
    let path = folder.path().join("t-0/00000000000000000000");
    let [index, times] = ["index", "timeindex"].map(|kind| fs::read(path.with_extension(kind)).unwrap());
    for (kind, sound) in [("index", &index), ("timeindex", &times)] {
        assert!(sound.len() >= 40, "{} bytes of {kind}", sound.len());
        for bit in 0..sound.len() * 8 {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(path.with_extension(kind), &bytes).unwrap();
            let bench = Bench::open(folder.path());
            let reader = bench.load_one(&small_segments(3000)).reader();
            for batch in &everything {
                let header = BatchHeader::parse(batch).unwrap();
                let read = reader.read(Offset(header.last_offset()), 1, reader.log_end(), true).unwrap().unwrap();
                assert_eq!(read.read().unwrap(), *batch, "bit {bit} of {kind}");
                let hit = reader.offset_for_timestamp(Timestamp(header.max_timestamp)).unwrap().unwrap();
                assert_eq!(hit.base_offset, Offset(header.base_offset), "bit {bit} of {kind}");
            }
            drop((reader, bench));
            // What was found to lie is mended on disk.
            if fs::read(path.with_extension(kind)).unwrap() != bytes {
                assert_eq!(fs::read(path.with_extension("index")).unwrap(), index);
                assert_eq!(fs::read(path.with_extension("timeindex")).unwrap(), times);
            }
        }
        fs::write(path.with_extension(kind), sound).unwrap();
    }
}

//! Transactions in a log, against a model: what is stable, and what was aborted, over restarts, rolls and truncations.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;

use common::*;
use ottla_core::{LeaderEpoch, Offset, Producer, ProducerEpoch, ProducerId};
use ottla_records::{Attributes, BatchBuilder, BatchHeader, Compression, Marker, ProducerStamp};
use ottla_storage::{AbortedTransaction, AppendInfo, Error, Log, LogConfig, MarkerOf, ProducerError};

/// What each offset is, as far as transactions go.
#[derive(Clone, Copy)]
enum Entry {
    Data(i64),
    Marker(i64, bool),
}

/// A transaction: its producer, its first offset, and its marker with whether it commits, if there is one.
type Transaction = (i64, i64, Option<(i64, bool)>);

/// The log as a list: slow and plain.
#[derive(Clone, Default)]
struct Model {
    entries: BTreeMap<i64, Entry>,
}

impl Model {
    /// In the order of their first record.
    fn transactions(&self) -> Vec<Transaction> {
        let mut all: Vec<Transaction> = Vec::new();
        for (offset, entry) in &self.entries {
            match entry {
                Entry::Data(producer) => {
                    if !all.iter().any(|(p, _, end)| p == producer && end.is_none()) {
                        all.push((*producer, *offset, None));
                    }
                }
                Entry::Marker(producer, commit) => {
                    if let Some(open) = all.iter_mut().find(|(p, _, end)| p == producer && end.is_none()) {
                        open.2 = Some((*offset, *commit));
                    }
                }
            }
        }
        all
    }

    fn last_stable(&self, watermark: i64) -> i64 {
        let unstable =
            |(_, first, end): &Transaction| end.is_none_or(|(marker, _)| marker >= watermark).then_some(*first);
        self.transactions().iter().filter_map(unstable).fold(watermark, i64::min)
    }

    fn aborted(&self, from: i64, upper: i64) -> Vec<(i64, i64)> {
        let mut found: Vec<_> = self
            .transactions()
            .into_iter()
            .filter_map(|(producer, first, end)| Some((producer, first, end?)))
            .filter(|(_, first, (marker, commit))| !commit && *marker >= from && *first < upper)
            .map(|(producer, first, _)| (producer, first))
            .collect();
        found.sort_unstable();
        found
    }
}

fn transactional(id: i64, epoch: i16, base_sequence: i32, records: usize) -> Vec<u8> {
    let stamp = ProducerStamp { id, epoch, base_sequence };
    let attributes = Attributes::default().transactional();
    let mut builder = BatchBuilder::new(Compression::None).with_producer(stamp).with_attributes(attributes);
    (0..records).for_each(|_| builder.append(1000, None, Some(b"0123456789"), &[]));
    builder.build(0).to_vec()
}

/// Ends a transaction by the rules of version 1.
fn end(log: &mut Log, id: i64, epoch: i16, commit: bool) -> ottla_storage::Result<AppendInfo> {
    end_by(log, (id, epoch), commit, false)
}

/// Ends a transaction with a marker whose epoch is the next one, or that of the records.
fn end_by(log: &mut Log, of: (i64, i16), commit: bool, in_next_epoch: bool) -> ottla_storage::Result<AppendInfo> {
    let marker = Marker { commit, coordinator_epoch: 1 };
    let producer = Producer { id: ProducerId(of.0), epoch: ProducerEpoch(of.1) };
    log.append_marker(MarkerOf { producer, in_next_epoch, marker }, LeaderEpoch(1), now(1000))
}

fn check(log: &mut Log, model: &Model, watermark: i64, from: i64, context: &str) {
    let stable = log.last_stable(Offset(watermark)).unwrap().0;
    assert_eq!(stable, model.last_stable(watermark), "{context}: stable below {watermark}");
    let from = from.min(stable);
    let found = log.aborted_transactions(Offset(from), Offset(stable)).unwrap();
    let mut found: Vec<_> =
        found.iter().map(|AbortedTransaction { producer, first_offset }| (producer.0, first_offset.0)).collect();
    found.sort_unstable();
    assert_eq!(found, model.aborted(from, stable), "{context}: aborted in {from}..{stable}");
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A producer writes, a transaction ends, the broker stops in some way, or the log is cut.
fn play(seed: u64) {
    let folder = scratch();
    let mut dice = Dice(seed);
    let config = small_segments(1500);
    let mut bench = Bench::open(folder.path());
    let mut log = bench.create("t", config.clone());
    let mut model = Model::default();
    let mut sequences: BTreeMap<i64, i32> = BTreeMap::new();
    let mut watermark = 0;
    for step in 0..120 {
        let context = format!("seed {seed} step {step}");
        let producer = 1 + dice.roll(4) as i64;
        match dice.roll(20) {
            0..=9 => {
                let sequence = sequences.entry(producer).or_default();
                let records = 1 + dice.roll(3) as usize;
                let info = append(&mut log, &transactional(producer, 0, *sequence, records));
                *sequence += records as i32;
                for offset in info.base_offset.0..=info.last_offset.0 {
                    model.entries.insert(offset, Entry::Data(producer));
                }
            }
            10..=14 => {
                let commit = dice.roll(2) == 0;
                let info = end(&mut log, producer, 0, commit).unwrap();
                model.entries.insert(info.base_offset.0, Entry::Marker(producer, commit));
            }
            15 => bench.flush(&mut log),
            16 => {
                bench.close(vec![log]);
                bench = Bench::open(folder.path());
                log = bench.load_one(&config);
                // A snapshot does not say which markers were not committed yet: their transactions have ended for good.
                watermark = log.log_end().0;
            }
            17 => {
                // The process is killed: nothing is written that a clean stop would write.
                drop(log);
                drop(bench);
                bench = Bench::open(folder.path());
                log = bench.load_one(&config);
                watermark = log.log_end().0;
            }
            18 => {
                // Sequences go on behind the cut, as those of another leader would.
                let to = watermark + dice.roll((log.log_end().0 - watermark + 1) as u64) as i64;
                let cut = log.truncate_to(Offset(to)).unwrap().0;
                model.entries.split_off(&cut);
                watermark = cut;
                sequences.clear();
                for producer in log.producers().unwrap() {
                    sequences.insert(producer.id.0, producer.last_sequence + 1);
                }
            }
            _ => watermark = watermark.max(dice.roll(log.log_end().0 as u64 + 1) as i64),
        }
        watermark = watermark.min(log.log_end().0);
        if dice.roll(3) == 0 {
            let from = dice.roll(log.log_end().0 as u64 + 1) as i64;
            check(&mut log, &model, watermark, from, &context);
        }
    }
    let end = log.log_end().0;
    check(&mut log, &model, end, 0, &format!("seed {seed} at its end"));
}

#[test]
fn what_is_stable_and_aborted_is_as_the_model_has_it() {
    match std::env::var("OTTLA_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => play(seed),
        None => (0..300).for_each(play),
    }
}

#[test]
fn a_first_batch_has_to_be_verified_and_a_marker_between_ends_the_verification() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    let batch = transactional(1, 0, 0, 1);
    let header = BatchHeader::parse(&batch).unwrap();
    let first = Producer { id: ProducerId(1), epoch: ProducerEpoch(0) };
    let refused = |result: ottla_storage::Result<()>| {
        matches!(result, Err(Error::Producer(ProducerError::NotVerified { id: ProducerId(1) })))
    };
    assert!(refused(log.check_verified(&header, None)));
    let late = log.begin_verification(first, now(0)).unwrap();
    end(&mut log, 1, 0, false).unwrap();
    assert!(refused(log.check_verified(&header, late)), "the transaction was aborted while it was being verified");
    let verified = log.begin_verification(first, now(0)).unwrap();
    log.check_verified(&header, verified).unwrap();
    append(&mut log, &batch);
    assert_eq!(log.begin_verification(first, now(0)).unwrap(), None);
    log.check_verified(&BatchHeader::parse(&transactional(1, 0, 1, 1)).unwrap(), None).unwrap();
    end(&mut log, 1, 0, true).unwrap();
    log.check_verified(&header, None).expect("it is here already");
}

#[test]
fn markers_of_older_epochs_and_coordinators_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    append(&mut log, &transactional(1, 3, 0, 1));
    end(&mut log, 1, 4, true).unwrap();
    assert!(matches!(end(&mut log, 1, 3, true), Err(Error::Producer(ProducerError::InvalidEpoch { .. }))));
    let marker = Marker { commit: true, coordinator_epoch: 0 };
    let producer = Producer { id: ProducerId(1), epoch: ProducerEpoch(4) };
    let of = MarkerOf { producer, in_next_epoch: false, marker };
    let refused = log.append_marker(of, LeaderEpoch(1), now(0));
    assert!(matches!(refused, Err(Error::Producer(ProducerError::CoordinatorFenced { .. }))));
}

#[test]
fn a_marker_of_version_2_that_comes_late_does_not_end_the_next_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    append(&mut log, &transactional(1, 3, 0, 1));
    end_by(&mut log, (1, 4), true, true).unwrap();
    // Its ack may have been lost: as long as nothing has followed it may come again.
    end_by(&mut log, (1, 4), true, true).unwrap();
    append(&mut log, &transactional(1, 4, 0, 1));
    let late = end_by(&mut log, (1, 4), true, true);
    assert!(matches!(late, Err(Error::Producer(ProducerError::InvalidEpoch { .. }))));
    assert_eq!(log.last_stable(log.log_end()).unwrap(), Offset(3), "the transaction is open");
    end_by(&mut log, (1, 5), false, true).unwrap();
    assert_eq!(log.last_stable(log.log_end()).unwrap(), log.log_end());
}

#[test]
fn with_version_1_and_for_tools_a_marker_has_the_epoch_of_the_transaction_that_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    append(&mut log, &transactional(1, 3, 0, 1));
    end(&mut log, 1, 3, true).unwrap();
    assert_eq!(log.last_stable(log.log_end()).unwrap(), log.log_end());
}

#[test]
fn nothing_below_the_log_start_is_the_last_stable_offset_though_a_transaction_began_there() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    append(&mut log, &transactional(1, 0, 0, 2));
    append(&mut log, &transactional(2, 0, 0, 2));
    log.advance_log_start(Offset(1)).unwrap();
    assert_eq!(log.last_stable(log.log_end()).unwrap(), Offset(1));
    end(&mut log, 1, 0, true).unwrap();
    assert_eq!(log.last_stable(log.log_end()).unwrap(), Offset(2), "the other one is open");
}

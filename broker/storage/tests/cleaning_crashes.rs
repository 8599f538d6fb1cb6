//! A clean that is interrupted after any step, and logs that are cleaned again and again: the last value of every key
//! stays, at its offset and in its place.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::cleaning::*;
use common::*;
use ottla_core::{Offset, Timestamp};
use ottla_records::{Compression, Record};
use ottla_storage::{CleanLimits, Log, LogConfig};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn config(random: &mut StdRng) -> LogConfig {
    LogConfig {
        compact: true,
        delete: false,
        min_dirty_ratio: 0.0,
        segment_bytes: random.random_range(400..3000),
        index_interval_bytes: 200,
        delete_retention: Duration::from_millis(random.random_range(0..3000)),
        ..LogConfig::default()
    }
}

/// Appends a batch of random keys, some of them deleted.
fn write(log: &mut Log, random: &mut StdRng, at: i64) {
    let codec = Compression::ALL[random.random_range(0..5)];
    let records: Vec<(String, Option<String>)> = (0..random.random_range(1..6))
        .map(|_| {
            let key = format!("key-{}", random.random_range(0..12));
            let value = (!random.random_bool(0.25)).then(|| format!("value-{}", random.random::<u64>()));
            (key, value)
        })
        .collect();
    let records: Vec<_> = records.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
    append(log, &keyed(codec, at, &records));
}

/// What was written, and the rules that hold whatever was cleaned of it.
#[derive(Default)]
struct Model {
    written: Vec<Record>,
}

impl Model {
    fn note(&mut self, log: &Log) {
        let from = self.written.last().map_or(0, |record| record.offset + 1);
        self.written.extend(records(&log.reader()).into_iter().filter(|record| record.offset >= from));
    }

    fn check(&self, log: &Log) {
        let left = records(&log.reader());
        assert!(left.is_sorted_by_key(|record| record.offset), "the order is kept");
        let mut written = self.written.iter();
        for record in &left {
            assert!(written.any(|one| one == record), "{record:?} is not as it was written");
        }
        let (all, found) = (newest(&self.written), newest(&left));
        for (key, record) in &all {
            match found.get(key) {
                Some(found) => assert_eq!(found, record, "the last record of a key"),
                None => assert!(record.value.is_none(), "the last value of a key is lost: {record:?}"),
            }
        }
        // Of what was cleaned as a whole nothing but the newest is left.
        let cleaned: Vec<&Record> = left.iter().filter(|record| record.offset < log.cleaned().0).collect();
        let keys: BTreeSet<_> = cleaned.iter().map(|record| &record.key).collect();
        assert_eq!(keys.len(), cleaned.len(), "a key has two records below {}", log.cleaned());
        assert_reads_from_everywhere(log);
    }
}

#[test]
fn whatever_is_written_and_however_often_it_is_cleaned_the_last_values_stay() {
    let replay = std::env::var("OTTLA_SEED").ok().map(|s| s.parse::<u64>().unwrap());
    let seeds = replay.map_or(0..60, |seed| seed..seed + 1);
    for seed in seeds {
        println!("OTTLA_SEED={seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let folder = scratch();
        let mut bench = Bench::open(folder.path());
        let config = config(&mut random);
        let mut log = bench.create("t", config.clone());
        let mut model = Model::default();
        let mut at = 1000;
        for _ in 0..random.random_range(5..25) {
            at += random.random_range(0..800);
            for _ in 0..random.random_range(1..12) {
                write(&mut log, &mut random, at);
            }
            model.note(&log);
            match random.random_range(0..10) {
                0 => {
                    bench.dir().checkpoint_cleaned().unwrap();
                    bench.flush(&mut log);
                    drop((log, bench));
                    bench = Bench::open(folder.path());
                    log = bench.load_one(&config);
                }
                1 => log.roll(now(at)).unwrap(),
                2..=7 => {
                    let dedupe_buffer = 24 * random.random_range(8..40);
                    clean_within(&mut log, CleanLimits { dedupe_buffer, ..LIMITS }, at);
                }
                _ => {}
            }
            model.check(&log);
        }
    }
}

/// The files of a folder with their content, for going back to.
fn save(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn restore(folder: &Path, files: &[(PathBuf, Vec<u8>)]) {
    fs::remove_dir_all(folder).unwrap();
    fs::create_dir(folder).unwrap();
    files.iter().for_each(|(path, content)| fs::write(path, content).unwrap());
}

/// The changes between two states of the folder that a clean makes, one file at a time and in its order, found by letting
/// it happen and looking: what was written as `.cleaned`, what went, what came.
struct Swap {
    before: Vec<(PathBuf, Vec<u8>)>,
    steps: Vec<(PathBuf, PathBuf)>,
}

const SUFFIXES: [&str; 4] = ["index", "timeindex", "txnindex", "log"];
const GOING: [&str; 4] = ["log", "index", "timeindex", "txnindex"];

fn steps(folder: &Path, base: i64, old: &[i64]) -> Vec<(PathBuf, PathBuf)> {
    let path = |base: i64, kind: &str, suffix: &str| folder.join(format!("{base:020}.{kind}{suffix}"));
    let mut steps = Vec::new();
    for kind in SUFFIXES {
        steps.push((path(base, kind, ".cleaned"), path(base, kind, ".swap")));
    }
    for old in old {
        for kind in GOING {
            steps.push((path(*old, kind, ""), path(*old, kind, ".deleted")));
        }
    }
    for kind in SUFFIXES {
        steps.push((path(base, kind, ".swap"), path(base, kind, "")));
    }
    steps
}

#[test]
fn a_clean_that_is_interrupted_anywhere_leaves_the_old_segments_or_the_new() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..12 {
        let mut random = StdRng::seed_from_u64(seed);
        let folder = scratch();
        let data = folder.path().join("t-0");
        let config = LogConfig { segment_bytes: 1 << 20, ..config(&mut random) };
        let mut model = Model::default();
        let swap = {
            let bench = Bench::open(folder.path());
            let mut log = bench.create("t", config.clone());
            for _ in 0..random.random_range(2..4) {
                for _ in 0..random.random_range(1..8) {
                    write(&mut log, &mut random, 1000);
                }
                log.roll(now(0)).unwrap();
            }
            write(&mut log, &mut random, 1000);
            model.note(&log);
            bench.flush(&mut log);
            let mut clean = begin(&mut log, LIMITS, 90_000).unwrap();
            let cleaned = clean.next_segment(&mut unhurried).unwrap().unwrap();
            let before = save(&data);
            let logs: Vec<i64> =
                before.iter().filter_map(|(path, _)| base_of(path)).collect::<BTreeSet<_>>().into_iter().collect();
            // All but the active one, which is the last.
            let steps = steps(&data, logs[0], &logs[..logs.len() - 1]);
            assert!(log.replace_segments(&mut clean, cleaned).unwrap());
            model.check(&log);
            let after: BTreeSet<PathBuf> = save(&data).into_iter().map(|(path, _)| path).collect();
            let expected = |path: &PathBuf| before.iter().any(|(old, _)| old == path);
            let extra: Vec<_> = after.iter().filter(|path| !expected(path) && !path.ends_with(".ottla-gaps")).collect();
            assert!(
                extra.iter().all(|path| path.to_string_lossy().ends_with(".deleted") || base_of(path).is_some()),
                "{extra:?}"
            );
            Swap { before, steps }
        };
        for done in 0..=swap.steps.len() {
            restore(&data, &swap.before);
            fs::write(data.join(".ottla-gaps"), b"").unwrap();
            for (from, to) in &swap.steps[..done] {
                if from.exists() {
                    fs::rename(from, to).unwrap();
                }
            }
            for verify_all in [false, true] {
                let bench = Bench::open(folder.path());
                let mut loaded = bench.load(&config, verify_all);
                let (mut log, _) = loaded.remove(0).log.unwrap();
                let left = records(&log.reader());
                outcomes.insert(left.len() == model.written.len());
                assert_eq!(
                    log.log_end().0,
                    model.written.last().unwrap().offset + 1,
                    "after {done} steps of seed {seed}"
                );
                model.check(&log);
                assert!(log.offset_for(Timestamp(1000)));
                if verify_all {
                    clean(&mut log, 90_000);
                    model.check(&log);
                }
            }
            let names = fs::read_dir(&data).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
            assert_eq!(names.filter(|name| name.ends_with(".swap") || name.ends_with(".cleaned")).count(), 0);
        }
    }
    assert_eq!(outcomes.len(), 2, "both outcomes were met");
}

trait OffsetFor {
    fn offset_for(&self, timestamp: Timestamp) -> bool;
}

impl OffsetFor for Log {
    /// Whether a look-up by time finds the first batch that has the time.
    fn offset_for(&self, timestamp: Timestamp) -> bool {
        let first = headers(self).into_iter().find(|header| header.max_timestamp >= timestamp.0);
        let hit = self.reader().offset_for_timestamp(timestamp).unwrap();
        hit.map(|hit| hit.base_offset) == first.map(|header| Offset(header.base_offset))
    }
}

fn base_of(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".log").and_then(|digits| digits.parse().ok())
}

#[test]
fn how_far_a_log_was_cleaned_is_remembered_in_kafkas_checkpoint_and_forgotten_with_it() {
    let folder = scratch();
    let bench = Bench::open(folder.path());
    let config = LogConfig { compact: true, min_dirty_ratio: 0.0, ..LogConfig::default() };
    let mut log = bench.create("t", config.clone());
    for value in ["1", "2"] {
        append(&mut log, &keyed(Compression::None, 1, &[("a", Some(value))]));
        log.roll(now(0)).unwrap();
    }
    clean(&mut log, 10).unwrap();
    bench.dir().checkpoint_cleaned().unwrap();
    let file = folder.path().join("cleaner-offset-checkpoint");
    assert_eq!(fs::read_to_string(&file).unwrap(), "0\n1\nt 0 2\n");
    bench.flush(&mut log);
    drop((log, bench));

    let bench = Bench::open(folder.path());
    let mut log = bench.load_one(&config);
    assert_eq!(log.cleaned(), Offset(2));
    log.truncate_to(Offset(1)).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "0\n1\nt 0 1\n", "what comes instead was not cleaned");
    bench.dir().delete(log).unwrap();
    let log = bench.create("t", config.clone());
    assert_eq!(log.cleaned(), Offset(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), "0\n1\nt 0 0\n");
    bench.dir().delete(log).unwrap();
    drop(bench);
    let bench = Bench::open(folder.path());
    assert_eq!(bench.load(&config, false).len(), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "0\n0\n", "there is no log of that name any more");
}

//! Log directories: identity, locking, clean and unclean stops, deletion, full and failing disks.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use common::*;
use ottla_core::{BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Offset, TopicId};
use ottla_storage::{Error, Identity, IdentityError, LogConfig, LogDir, PreviousStop, is_in_use};
use uuid::Uuid;

#[test]
fn a_directory_is_formatted_once_and_refuses_other_clusters_nodes_and_processes() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!is_in_use(folder.path()));
    let bench = Bench::open(folder.path());
    assert_eq!((bench.dir().id(), bench.dir().previous_stop()), (DirectoryId(Uuid::from_u128(7)), PreviousStop::None));
    let open = |identity: &Identity| LogDir::open(options(folder.path(), &Arc::default()), identity, DirectoryId::ZERO);
    assert!(matches!(open(&identity()), Err(Error::Locked { .. })));
    assert!(is_in_use(folder.path()));
    drop(bench);
    assert!(!is_in_use(folder.path()));
    let again = open(&identity()).unwrap();
    assert_eq!(again.id(), DirectoryId(Uuid::from_u128(7)), "the id it was formatted with stays");
    drop(again);
    let other = Identity { cluster_id: "other".into(), ..identity() };
    assert!(matches!(open(&other), Err(Error::Identity(IdentityError::Cluster { .. }))));
    let other = Identity { node_id: BrokerId(2), ..identity() };
    assert!(matches!(open(&other), Err(Error::Identity(IdentityError::Node { .. }))));
    fs::create_dir(folder.path().join("topic-0")).unwrap();
    fs::remove_file(folder.path().join("meta.properties")).unwrap();
    assert!(matches!(open(&identity()), Err(Error::Identity(IdentityError::Missing { .. }))));
}

#[test]
fn after_a_clean_stop_logs_are_opened_without_a_scan_and_continue() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", small_segments(1000));
    let empty = bench.create("empty", small_segments(1000));
    for n in 0..9 {
        append(&mut log, &batch(1, 300, n, 0));
    }
    log.advance_log_start(Offset(3)).unwrap();
    let before = read_all(&log.reader());
    let watermarks = [(log.partition().clone(), Offset(8))];
    bench.dir().checkpoint_high_watermarks(watermarks.into_iter()).unwrap();
    let Bench { dir, .. } = bench;
    let watermarks = [(log.partition().clone(), Offset(8))];
    dir.unwrap().close(vec![log, empty], watermarks.into_iter(), BrokerEpoch(3), now(0)).unwrap();
    let marker = fs::read_to_string(folder.path().join(".kafka_cleanshutdown")).unwrap();
    assert_eq!(marker, "{\"version\":0,\"brokerEpoch\":3}");

    let bench = Bench::open(folder.path());
    assert_eq!(bench.dir().previous_stop(), PreviousStop::Clean(BrokerEpoch(3)));
    let mut loaded = bench.load(&small_segments(1000), false);
    loaded.sort_by_key(|l| l.partition.to_string());
    let [empty, full] = loaded.try_into().ok().unwrap();
    assert_eq!(empty.log.unwrap().0.log_end(), Offset(0));
    assert_eq!((full.topic_id, full.high_watermark), (Some(TopicId(Uuid::from_u128(99))), Offset(8)));
    let (mut log, recovered) = full.log.unwrap();
    assert!(!recovered.scanned);
    assert_eq!((log.log_start(), log.log_end(), log.flushed()), (Offset(3), Offset(9), Offset(9)));
    assert_eq!(read_all(&log.reader()), before[..].to_vec());
    assert_eq!(append(&mut log, &batch(1, 10, 0, 0)).base_offset, Offset(9));
    drop((log, bench));
    let bench = Bench::open(folder.path());
    assert_eq!(bench.dir().previous_stop(), PreviousStop::ProcessCrash);
    let boot = || fs::metadata(folder.path().join(".ottla-boot")).unwrap().ino();
    let noted = boot();
    bench.dir().stop_reported().unwrap();
    assert_eq!(boot(), noted, "only after a power loss it is written again");
}

#[test]
fn a_cut_tail_that_a_power_loss_brings_back_is_not_taken_for_committed() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    for n in 0..5 {
        append(&mut log, &batch(1, 100, n, 0));
    }
    bench.flush(&mut log);
    let segment = folder.path().join("t-0/00000000000000000000.log");
    let before_the_cut = fs::read(&segment).unwrap();
    log.truncate_to(Offset(3)).unwrap();
    for n in 5..7 {
        append(&mut log, &batch(1, 100, n, 0));
    }
    let watermarks = [(log.partition().clone(), Offset(5))];
    bench.dir().checkpoint_high_watermarks(watermarks.into_iter()).unwrap();
    drop((log, bench));
    fs::write(&segment, before_the_cut).unwrap();
    fs::write(folder.path().join(".ottla-boot"), "another boot").unwrap();
    for start in ["the first", "one after a start that was cut short"] {
        let bench = Bench::open(folder.path());
        assert_eq!(bench.dir().previous_stop(), PreviousStop::PowerLoss);
        let loaded = bench.load(&LogConfig::default(), false).remove(0);
        assert_eq!((loaded.high_watermark, loaded.log.unwrap().0.log_end()), (Offset(3), Offset(5)), "{start}");
    }
}

#[test]
fn a_deleted_log_is_gone_at_once_and_its_name_can_be_used_again_even_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    append(&mut log, &batch(1, 300, 0, 0));
    bench.flush(&mut log);
    bench.dir().checkpoint(std::iter::empty()).unwrap();
    let reader = log.reader();
    bench.dir().delete(log).unwrap();
    assert!(!folder.path().join("t-0").exists());
    assert!(matches!(reader.read(Offset(0), 1, Offset(1), true), Err(Error::Deleted(_))));
    let log = bench.create("t", LogConfig::default());
    assert!(matches!(
        bench.dir().create(log.partition().clone(), TopicId::ZERO, Arc::default(), 0, now(0)),
        Err(Error::Exists(_))
    ));
    drop((log, bench));
    let bench = Bench::open(folder.path());
    let log = bench.load_one(&LogConfig::default());
    assert_eq!(log.log_end(), Offset(0), "the recovery point of the deleted log is not taken for this one's");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|n| n.to_string_lossy().ends_with("-delete")), "{left:?}");
}

#[test]
fn appends_are_refused_before_the_disk_is_full_and_reads_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    append(&mut log, &batch(1, 300, 0, 0));
    bench.dir().space().set_reserve(u64::MAX);
    let refused = log.append_as_leader(&batch(1, 300, 1, 0), LeaderEpoch(1), now(0));
    assert!(matches!(refused, Err(Error::DiskFull { .. })));
    assert_eq!(read_all(&log.reader()).len(), 1);
    assert_eq!(bench.dir().failure(), None);
    bench.dir().space().set_reserve(0);
    append(&mut log, &batch(1, 300, 1, 0));
}

#[test]
fn a_failed_directory_takes_no_append_and_acknowledges_nothing_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    append(&mut log, &batch(1, 300, 0, 0));
    bench.flush(&mut log);
    append(&mut log, &batch(1, 300, 1, 0));
    bench.dir().fail("input/output error");
    log.request_flush();
    assert!(matches!(log.append_as_leader(&batch(1, 1, 1, 0), LeaderEpoch(1), now(0)), Err(Error::Offline { .. })));
    assert!(matches!(log.reader().read(Offset(0), 1, Offset(1), true), Err(Error::Offline { .. })));
    assert!(matches!(bench.dir().checkpoint(std::iter::empty()), Err(Error::Offline { .. })));
    let recorder = Arc::clone(&bench.recorder);
    let reader = log.reader();
    drop((log, bench));
    assert_eq!(reader.flushed(), Offset(1), "the flusher has run its last pass without it");
    assert_eq!(recorder.failure().as_deref(), Some("input/output error"));
}

#[test]
fn damage_below_the_recovery_point_is_reported_and_nothing_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    for n in 0..10 {
        append(&mut log, &batch(1, 300, n, 0));
    }
    bench.flush(&mut log);
    drop((log, bench));
    let path = folder.path().join("t-0/00000000000000000000.log");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    for _ in 0..2 {
        let bench = Bench::open(folder.path());
        let loaded = bench.load(&LogConfig::default(), false);
        let damage = loaded[0].log.as_ref().err().unwrap();
        assert_eq!((damage.offset, damage.recovery_point), (Offset(5), Offset(10)));
        assert_eq!(fs::read(&path).unwrap(), bytes);
        bench.dir().checkpoint(std::iter::empty()).unwrap();
    }
    let bench = Bench::open(folder.path());
    let mut loaded = bench.load(&LogConfig::default(), false);
    bench.dir().delete_damaged(&loaded.remove(0).log.err().unwrap()).unwrap();
    let log = bench.create("t", LogConfig::default());
    drop((log, bench));
    assert_eq!(Bench::open(folder.path()).load_one(&LogConfig::default()).log_end(), Offset(0));
}

#[test]
fn ten_files_or_a_thousand_are_flushed_in_one_pass_each() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    for count in [1, 3, 50] {
        let mut logs: Vec<_> =
            (0..count).map(|n| bench.create(&format!("t{count}-{n}"), LogConfig::default())).collect();
        for log in &mut logs {
            append(log, &batch(1, 300, 0, 0));
            log.request_flush();
        }
        for log in &logs {
            bench.recorder.wait_flushed(log.partition(), Offset(1));
            assert_eq!(log.flushed(), Offset(1));
        }
    }
}

#[test]
fn a_lost_or_lying_index_is_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    let config = small_segments(100_000);
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", config.clone());
    for n in 0..100 {
        append(&mut log, &batch(1, 300, n, n as i64));
    }
    let before = read_all(&log.reader());
    bench.close(vec![log]);
    let index = folder.path().join("t-0/00000000000000000000.index");
    let sound = fs::read(&index).unwrap();
    assert!(sound.len() > 90 * 8);
    let mut lying = sound.clone();
    lying[8 * 50 + 6] ^= 1;
    for content in [None, Some(vec![]), Some(vec![0; sound.len()]), Some(lying), Some(sound[..21].to_vec())] {
        match &content {
            Some(bytes) => fs::write(&index, bytes).unwrap(),
            None => fs::remove_file(&index).unwrap(),
        }
        let bench = Bench::open(folder.path());
        let log = bench.load_one(&config);
        for offset in 0..100 {
            let slice = log.reader().read(Offset(offset), 1, Offset(100), true).unwrap().unwrap();
            assert_eq!(slice.read().unwrap(), before[offset as usize]);
        }
        bench.close(vec![log]);
    }
}

#[test]
fn a_cut_lowers_the_remembered_high_watermark_lest_a_killed_process_find_the_log_grown_past_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    let mut other = bench.create("u", LogConfig::default());
    for n in 0..9 {
        append(&mut log, &batch(1, 300, n, 0));
        append(&mut other, &batch(1, 300, n, 0));
    }
    let watermarks = [(log.partition().clone(), Offset(8)), (other.partition().clone(), Offset(7))];
    bench.dir().checkpoint_high_watermarks(watermarks.into_iter()).unwrap();
    assert_eq!(log.truncate_to(Offset(4)).unwrap(), Offset(4));
    for n in 20..30 {
        append(&mut log, &batch(1, 300, n, 0));
    }
    bench.dir().delete(other).unwrap();
    let mut other = bench.create("u", LogConfig::default());
    for n in 20..30 {
        append(&mut other, &batch(1, 300, n, 0));
    }
    drop((log, other, bench));

    let bench = Bench::open(folder.path());
    let loaded = bench.load(&LogConfig::default(), false);
    let known = |topic: &str| loaded.iter().find(|one| one.partition == partition(topic, 0)).unwrap().high_watermark;
    assert_eq!((known("t"), known("u")), (Offset(4), Offset(0)));
}

#[test]
fn a_log_that_a_power_loss_has_shortened_lowers_the_remembered_high_watermark_before_it_grows_again() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(folder.path());
    let mut log = bench.create("t", LogConfig::default());
    let one = batch(1, 300, 0, 0).len() as u64;
    for n in 0..9 {
        append(&mut log, &batch(1, 300, n, 0));
    }
    bench.dir().checkpoint_high_watermarks([(log.partition().clone(), Offset(8))].into_iter()).unwrap();
    drop((log, bench));
    let segment = folder.path().join("t-0").join("00000000000000000000.log");
    fs::OpenOptions::new().write(true).open(segment).unwrap().set_len(4 * one).unwrap();

    let bench = Bench::open(folder.path());
    let mut log = bench.load_one(&LogConfig::default());
    assert_eq!(log.log_end(), Offset(4));
    for n in 20..30 {
        append(&mut log, &batch(1, 300, n, 0));
    }
    drop((log, bench));

    let bench = Bench::open(folder.path());
    assert_eq!(bench.load(&LogConfig::default(), false)[0].high_watermark, Offset(4));
}

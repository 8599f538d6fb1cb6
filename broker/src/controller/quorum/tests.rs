//! The log store and state machine against openraft's own test suite, and through crashes.

use std::collections::BTreeMap;
use std::sync::Arc;

use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::testing::{StoreBuilder, Suite};
use openraft::{LeaderId, RaftLogReader};
use ottla_core::metadata::{Image, Record};
use ottla_core::{BrokerId, ControllerEpoch, DirectoryId};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

use super::types::{LogEntry, LogId, Payload, StorageError, Vote};
use super::*;

impl From<u64> for VoterId {
    fn from(id: u64) -> Self {
        let node = BrokerId(id.try_into().unwrap_or(i32::MAX));
        Self::new(node, DirectoryId(Uuid::from_u128(u128::from(id))))
    }
}

struct Builder;

impl StoreBuilder<Quorum, Store, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, Store, StateMachine), StorageError> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let committed = watch::Sender::new(Arc::new(Image::default()));
        let machine = StateMachine::load(Snapshots::new(folder.path()), committed).unwrap();
        Ok((folder, store, machine))
    }
}

macro_rules! suite {
    ($($name:ident)*) => {$(
        let (_folder, store, machine) = Builder.build().await?;
        Suite::<Quorum, Store, StateMachine, Builder, TempDir>::$name(store, machine).await?;
    )*};
}

/// All of openraft's suite but `get_initial_state_membership_from_log_and_sm`, which appends an entry that has been
/// purged: a gap, which this store refuses.
#[tokio::test]
async fn the_store_passes_the_suite_of_openraft() -> Result<(), StorageError> {
    suite! {
        last_membership_in_log_initial last_membership_in_log last_membership_in_log_multi_step
        get_membership_initial get_membership_from_log_and_empty_sm get_membership_from_empty_log_and_sm
        get_membership_from_log_le_sm_last_applied get_membership_from_log_gt_sm_last_applied_1
        get_membership_from_log_gt_sm_last_applied_2 get_initial_state_without_init get_initial_state_with_state
        get_initial_state_last_log_gt_sm get_initial_state_last_log_lt_sm get_initial_state_log_ids
        get_initial_state_re_apply_committed save_vote get_log_entries limited_get_log_entries try_get_log_entry
        initial_logs get_log_state get_log_id last_id_in_log last_applied_state purge_logs_upto_0 purge_logs_upto_5
        purge_logs_upto_20 delete_logs_since_11 delete_logs_since_0 append_to_log snapshot_meta apply_single
        apply_multiple
    }
    Suite::<Quorum, Store, StateMachine, Builder, TempDir>::transfer_snapshot(&Builder).await
}

fn id(term: u64, index: u64) -> LogId {
    LogId::new(LeaderId::new(term, VoterId::from(1)), index)
}

fn entry(term: u64, index: u64, bytes: usize) -> LogEntry {
    let record = Record::Feature { name: "x".repeat(bytes), level: 1 };
    let entry = Entry { controller_epoch: ControllerEpoch(term), decided_on: LogIndex(index), records: vec![record] };
    LogEntry { log_id: id(term, index), payload: Payload::Normal(Decided(Arc::new(entry))) }
}

/// What happens to a log.
#[derive(Clone, Debug)]
enum Step {
    Append { entries: u64, bytes: usize },
    Truncate { back: u64 },
    Purge { ahead: u64 },
    Vote,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..20_u64, prop_oneof![4 => 0..200_usize, 1 => 100_000..400_000_usize])
            .prop_map(|(entries, bytes)| Step::Append { entries, bytes }),
        2 => (0..10_u64).prop_map(|back| Step::Truncate { back }),
        2 => (0..40_u64).prop_map(|ahead| Step::Purge { ahead }),
        1 => Just(Step::Vote),
        2 => Just(Step::Restart),
    ]
}

/// What a log must hold.
#[derive(Default)]
struct Model {
    entries: BTreeMap<u64, LogEntry>,
    purged: Option<LogId>,
    vote: Option<Vote>,
    term: u64,
}

impl Model {
    fn next(&self) -> u64 {
        self.entries.keys().next_back().copied().or(self.purged.map(|id| id.index)).map_or(0, |last| last + 1)
    }
}

async fn play(store: &mut Store, model: &mut Model, step: &Step) {
    match *step {
        Step::Append { entries, bytes } => {
            let new: Vec<_> = (model.next()..model.next() + entries).map(|at| entry(model.term, at, bytes)).collect();
            store.blocking_append(new.clone()).await.unwrap();
            model.entries.extend(new.into_iter().map(|entry| (entry.log_id.index, entry)));
        }
        Step::Truncate { back } => {
            let Some(from) = model.entries.values().rev().nth(back as usize).map(|entry| entry.log_id) else { return };
            store.truncate(from).await.unwrap();
            model.entries.split_off(&from.index);
            model.term += 1; // another leader takes over
        }
        Step::Purge { ahead } => {
            let Some(upto) = model.entries.values().nth(ahead as usize).map(|entry| entry.log_id) else { return };
            store.purge(upto).await.unwrap();
            model.entries = model.entries.split_off(&(upto.index + 1));
            model.purged = Some(upto);
        }
        Step::Vote => {
            model.term += 1;
            let vote = Vote::new(model.term, VoterId::from(1));
            store.save_vote(&vote).await.unwrap();
            model.vote = Some(vote);
        }
        Step::Restart => {}
    }
}

async fn check(store: &mut Store, model: &Model) {
    let state = store.get_log_state().await.unwrap();
    let last = model.entries.values().next_back().map(|entry| entry.log_id).or(model.purged);
    assert_eq!((state.last_purged_log_id, state.last_log_id), (model.purged, last));
    assert_eq!(store.read_vote().await.unwrap(), model.vote);
    let entries: Vec<_> = model.entries.values().cloned().collect();
    assert!(store.try_get_log_entries(..).await.unwrap() == entries, "the entries differ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_happens_the_log_holds_what_it_should_and_a_restart_changes_nothing(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (mut store, mut model) = (Store::open(folder.path()).unwrap(), Model::default());
            for step in &steps {
                play(&mut store, &mut model, step).await;
                if matches!(step, Step::Restart) {
                    store = Store::open(folder.path()).unwrap();
                }
                check(&mut store, &model).await;
            }
            let mut reopened = Store::open(folder.path()).unwrap();
            check(&mut reopened, &model).await;
        });
    }
}

#[tokio::test]
async fn purging_gives_the_disk_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let vote = Vote::new(3, VoterId::from(1));
    store.save_vote(&vote).await.unwrap();
    for index in 0..60 {
        store.blocking_append([entry(1, index, 400_000)]).await.unwrap();
    }
    let size = || {
        let files = std::fs::read_dir(folder.path()).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    assert!(size() > 20 << 20);
    store.purge(id(1, 59)).await.unwrap();
    assert!(size() < 1 << 10, "{} bytes left", size());
    let mut reopened = Store::open(folder.path()).unwrap();
    assert_eq!(reopened.read_vote().await.unwrap(), Some(vote), "the vote is not lost with the segment it was in");
    assert_eq!(reopened.get_log_state().await.unwrap().last_log_id, Some(id(1, 59)));
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::new(folder.path());
    assert!(snapshots.load().unwrap().is_none());
    let meta = types::SnapshotMeta { last_log_id: Some(id(1, 5)), ..Default::default() };
    snapshots.save(&meta, &Image::default().encode_snapshot()).unwrap();
    assert_eq!(snapshots.load().unwrap().unwrap().meta, meta);
    let path = folder.path().join("snapshot");
    let whole = std::fs::read(&path).unwrap();
    for byte in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[byte] ^= 0x10;
        std::fs::write(&path, &flipped).unwrap();
        assert!(snapshots.load().is_err(), "byte {byte}");
    }
}

#[tokio::test]
async fn what_is_written_when_the_lead_is_lost_is_not_told_as_lost() {
    let (_sender, role) = watch::channel(Role::Follower { leader: None });
    for written in 0..64 {
        assert_eq!(roles::while_leading(std::future::ready(written), role.clone()).await, Some(written));
    }
    assert_eq!(roles::while_leading(std::future::pending::<()>(), role).await, None);
}

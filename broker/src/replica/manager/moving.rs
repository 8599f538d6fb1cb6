//! Moves replicas between the log directories of this broker while they are served (KIP-113).
//!
//! A copy grows beside the logs of the other directory; when it has all that is committed, the rest is copied and the two
//! change places under the partition's lock. Only what is committed is copied before, so that a truncation seldom
//! concerns the copy. A move that a stop interrupts begins again at the next start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ottla_core::throttle::Throttle;
use ottla_core::{DirectoryId, Offset, TopicPartition};
use ottla_storage::{Log, LogDir, LogReader};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Manager;
use crate::replica::{Error, Partition};

/// Bytes copied at a time.
const PIECE: usize = 1 << 20;
/// The most that is copied while the partition waits.
const LAST_PIECE: u64 = 8 << 20;
/// How long a copy that has caught up, and cannot take the place of its log yet, waits for the watermark.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A replica on its way.
struct Move {
    partition: Arc<Partition>,
    target: DirectoryId,
    reader: LogReader,
    /// None once the copy has taken its place, or the move has ended otherwise.
    copy: Mutex<Option<Log>>,
}

/// The moves under way.
pub(super) struct Moves {
    under_way: Mutex<BTreeMap<TopicPartition, Arc<Move>>>,
    throttle: Mutex<Throttle>,
    /// Partitions whose move was interrupted by the last stop, and where they were going.
    interrupted: Mutex<BTreeMap<TopicPartition, DirectoryId>>,
    begun: Notify,
}

/// A copy as others see it.
#[derive(Clone, Debug)]
pub struct FutureReplica {
    /// The partition.
    pub partition: TopicPartition,
    /// The directory it grows in.
    pub directory: DirectoryId,
    /// Its bytes.
    pub size: u64,
    /// Offsets that it lacks.
    pub lag: i64,
}

/// Why a replica cannot be moved to a directory.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// LOG_DIR_NOT_FOUND.
    #[error("the broker has no log directory {}", .0.display())]
    UnknownDirectory(PathBuf),
    /// The directory has failed, the replica is not here, or the copy cannot be made.
    #[error(transparent)]
    Replica(#[from] Error),
}

impl Moves {
    pub(super) fn new(interrupted: BTreeMap<TopicPartition, DirectoryId>) -> Self {
        let throttle = Mutex::new(Throttle::new(None, Duration::ZERO));
        Self { under_way: Mutex::default(), throttle, interrupted: Mutex::new(interrupted), begun: Notify::new() }
    }

    pub(super) fn set_rate(&self, rate: Option<u64>, now: Duration) {
        self.throttle.lock().set_rate(rate, now);
    }

    fn all(&self) -> Vec<Arc<Move>> {
        self.under_way.lock().values().cloned().collect()
    }
}

impl Manager {
    /// Has the replica move to the directory at `path`. A move to another one under way ends; to the one it is in is
    /// all that has to be said to call a move off.
    pub fn move_replica(&self, partition: &Arc<Partition>, path: &Path) -> Result<(), MoveError> {
        let unknown = || MoveError::UnknownDirectory(path.to_owned());
        let known = self.directories();
        let target = known.iter().find(|one| is_same(&one.path, path)).ok_or_else(unknown)?;
        if target.failure.is_some() {
            return Err(Error::Offline.into());
        }
        Ok(self.begin_move(partition, target.id)?)
    }

    /// Begins again the move of a replica that the last stop interrupted.
    pub(super) fn resume_move(&self, partition: &Arc<Partition>) {
        let Some(target) = self.moves.interrupted.lock().remove(partition.id()) else { return };
        if let Err(error) = self.begin_move(partition, target) {
            warn!(partition = %partition.id(), %error, "cannot go on with the move between directories");
        }
    }

    fn begin_move(&self, partition: &Arc<Partition>, target: DirectoryId) -> Result<(), Error> {
        if self.moves.under_way.lock().get(partition.id()).is_some_and(|one| one.target == target) {
            return Ok(());
        }
        self.end_move(partition.id());
        let state = partition.with_log(|log| (log.directory().to_owned(), log.config().clone(), log.log_start()));
        let (present, config, start) = state.ok_or(Error::UnknownPartition)?;
        let directories = self.directories.read();
        let directory = directories.iter().find(|dir| dir.id() == target).ok_or(Error::Offline)?;
        if directory.path() == present {
            return Ok(());
        }
        let (id, handle, now) = (partition.id().clone(), self.router.next_handle(), self.clock.now());
        let mut copy = directory.create_future(id.clone(), partition.topic_id(), config, handle, now)?;
        copy.truncate_fully_and_start_at(start)?;
        info!(partition = %id, to = %directory.path().display(), "moving the replica to another log directory");
        let (partition, reader) = (Arc::clone(partition), copy.reader());
        let begun = Move { partition, target, reader, copy: Mutex::new(Some(copy)) };
        self.moves.under_way.lock().insert(id, Arc::new(begun));
        self.moves.begun.notify_one();
        Ok(())
    }

    /// Ends the move of a partition, if there is one, and throws the copy away.
    pub(super) fn end_move(&self, partition: &TopicPartition) {
        self.moves.interrupted.lock().remove(partition);
        let Some(ended) = self.moves.under_way.lock().remove(partition) else { return };
        let Some(copy) = ended.copy.lock().take() else { return };
        if let Some(directory) = self.directories.read().iter().find(|dir| dir.id() == ended.target) {
            directory.discard_future(copy);
        }
    }

    /// The copies that grow.
    pub fn future_replicas(&self) -> Vec<FutureReplica> {
        let describe = |one: &Arc<Move>| FutureReplica {
            partition: one.partition.id().clone(),
            directory: one.target,
            size: one.reader.size(),
            lag: (one.partition.reader().log_end().0 - one.reader.log_end().0).max(0),
        };
        self.moves.all().iter().map(describe).collect()
    }

    /// Copies until shutdown, one piece of each move after the other.
    pub async fn run_moves(self: Arc<Self>, shutdown: CancellationToken) {
        let work = async {
            loop {
                let moves = self.moves.all();
                if moves.is_empty() {
                    self.moves.begun.notified().await;
                    continue;
                }
                let mut copied = false;
                for one in moves {
                    let wait = self.moves.throttle.lock().wait(self.clock.now().monotonic);
                    tokio::time::sleep(wait).await;
                    let manager = Arc::clone(&self);
                    // A panic in there ends nothing but this piece.
                    let bytes = tokio::task::spawn_blocking(move || manager.go_on(&one)).await.unwrap_or(0);
                    self.moves.throttle.lock().take(bytes, self.clock.now().monotonic);
                    copied |= bytes > 0;
                }
                if !copied {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
        };
        tokio::select! { () = work => {}, () = shutdown.cancelled() => {} }
    }

    /// Copies one piece, or ends the move; gives the bytes copied.
    fn go_on(&self, one: &Move) -> u64 {
        let result = self.copy_piece(one);
        match result {
            Ok(bytes) => bytes,
            Err(error) => {
                warn!(partition = %one.partition.id(), %error, "the move between directories has ended in vain");
                self.end_move(one.partition.id());
                0
            }
        }
    }

    fn copy_piece(&self, one: &Move) -> Result<u64, Error> {
        let mut slot = one.copy.lock();
        let Some(copy) = &mut *slot else { return Ok(0) };
        let aligned = one.partition.with_log(|log| align(log, copy));
        aligned.ok_or(Error::UnknownPartition)??;
        let committed = one.partition.high_watermark();
        let bytes = self.copy_once(&one.partition, copy, committed)?;
        if bytes > 0 {
            return Ok(bytes);
        }
        let Some(copy) = slot.take() else { return Ok(0) };
        match self.exchange(one, copy) {
            Ok(None) => {
                self.moves.under_way.lock().remove(one.partition.id());
                Ok(0)
            }
            // Too much is not committed yet.
            Ok(Some(copy)) => {
                *slot = Some(copy);
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    fn copy_once(&self, partition: &Partition, copy: &mut Log, upper: Offset) -> Result<u64, Error> {
        let from = copy.log_end();
        if from >= upper {
            return Ok(0);
        }
        let Some(slice) = partition.reader().read(from, PIECE, upper, true)? else { return Ok(0) };
        let bytes = slice.read().map_err(|source| {
            let path = partition.id().to_string().into();
            Error::Storage(ottla_storage::Error::Io { operation: "read", path, source })
        })?;
        copy.append_as_follower(&bytes, self.clock.now())?;
        Ok(bytes.len() as u64)
    }

    /// Puts the copy in the place of the log; gives it back if there is too much to copy still.
    fn exchange(&self, one: &Move, copy: Log) -> Result<Option<Log>, Error> {
        // Most of it is flushed before the partition has to wait.
        copy.reader().request_flush();
        let directories = self.directories.read();
        let target = directories.iter().find(|dir| dir.id() == one.target).ok_or(Error::Offline)?;
        let mut left = Some(copy);
        let old = one.partition.exchange_log(|log| {
            let Some(mut copy) = left.take() else { return Ok(None) };
            align(log, &mut copy)?;
            if rest(log, &copy) > LAST_PIECE {
                left = Some(copy);
                return Ok(None);
            }
            while self.copy_once(&one.partition, &mut copy, log.log_end())? > 0 {}
            copy.advance_log_start(log.log_start())?;
            if let Some(epoch) = log.latest_epoch().filter(|epoch| copy.latest_epoch() < Some(*epoch)) {
                copy.begin_epoch(epoch);
            }
            Ok(Some(target.promote(copy, self.clock.now())?))
        })?;
        drop(directories);
        let Some(old) = old else { return Ok(left) };
        info!(partition = %one.partition.id(), "the replica is in its new log directory");
        self.reports.placed(one.partition.topic_id(), one.partition.id().partition, one.target);
        self.delete_log(old);
        Ok(None)
    }
}

/// Makes the copy a beginning of the log again, if the log was cut at either end meanwhile.
fn align(log: &Log, copy: &mut Log) -> Result<(), Error> {
    if copy.log_end() < log.log_start() {
        copy.truncate_fully_and_start_at(log.log_start())?;
    }
    let Some(epoch) = copy.latest_epoch() else { return Ok(()) };
    let end = log.end_offset_for_epoch(epoch).map_or(log.log_start(), |found| found.end);
    if end < copy.log_end() {
        copy.truncate_to(end)?;
    }
    Ok(())
}

/// About how many bytes the copy lacks: the records it lacks, at the size that records of this log have.
fn rest(log: &Log, copy: &Log) -> u64 {
    let (reader, lacking) = (log.reader(), (log.log_end().0 - copy.log_end().0).unsigned_abs());
    let records = (log.log_end().0 - log.log_start().0).unsigned_abs().max(1);
    (u128::from(reader.size()) * u128::from(lacking) / u128::from(records)) as u64
}

/// Whether two paths name the same directory; clients see absolute ones.
fn is_same(configured: &Path, asked: &Path) -> bool {
    let absolute = std::path::absolute(configured);
    absolute.is_ok_and(|path| path == asked) || configured == asked
}

/// The moves that the last run left unfinished in `directory`.
pub(super) fn interrupted(directory: &LogDir) -> Result<BTreeMap<TopicPartition, DirectoryId>, ottla_storage::Error> {
    Ok(directory.interrupted_moves()?.into_iter().map(|partition| (partition, directory.id())).collect())
}

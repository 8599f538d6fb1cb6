//! The thread that writes the metadata log.
//!
//! Flushing takes as long as the disk likes, so it must not happen on a thread that others need. After a failed write
//! nothing is written any more: what the disk holds is not known, and an error is never tried again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tracing::error;

use super::frame::Kind;
use super::index::Index;
use super::segments::{Position, SegmentError, Segments};
use super::types::{LogId, Vote};
use super::wire;

/// Told when it is on disk.
pub(super) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Something to write.
pub(super) enum Job {
    /// Encoded entries.
    Append(Vec<(LogId, Vec<u8>)>, Done),
    /// The vote.
    Vote(Vote, Done),
    /// The entries from this one on are gone.
    Truncate(LogId, Done),
    /// The entries up to this one are gone.
    Purge(LogId, Done),
}

/// Hands jobs to the thread, which ends with the last clone.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: Sender<Job>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(segments: Segments, index: Arc<Mutex<Index>>, written: Arc<AtomicU64>) -> Self {
        let (jobs, waiting) = mpsc::channel();
        let thread = Thread { segments, index, written, failed: None };
        // A thread that cannot be started drops the receiver: every job is then answered with an error.
        if let Err(error) = std::thread::Builder::new().name("metadata-log".into()).spawn(|| thread.run(waiting)) {
            error!(%error, "cannot start the thread of the metadata log");
        }
        Self { jobs }
    }

    /// Has entries written after all jobs before, and `done` told.
    pub(super) fn append(&self, frames: Vec<(LogId, Vec<u8>)>, done: Done) {
        if let Err(mpsc::SendError(Job::Append(_, done))) = self.jobs.send(Job::Append(frames, done)) {
            done(Err(gone()));
        }
    }

    /// Has a job done after all jobs before, and waits for it.
    pub(super) async fn write(&self, job: impl FnOnce(Done) -> Job) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        // Whoever waited may be gone; the job is done all the same.
        let done = Box::new(|result| drop(sender.send(result)));
        self.jobs.send(job(done)).map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())?
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread of the metadata log has ended")
}

struct Thread {
    segments: Segments,
    index: Arc<Mutex<Index>>,
    /// Bytes of entries ever written, to tell when a snapshot is due.
    written: Arc<AtomicU64>,
    failed: Option<String>,
}

impl Thread {
    fn run(mut self, waiting: Receiver<Job>) {
        while let Ok(first) = waiting.recv() {
            let jobs: Vec<Job> = std::iter::once(first).chain(waiting.try_iter()).collect();
            self.write(jobs);
        }
    }

    /// Writes all jobs with one flush, then tells everyone.
    fn write(&mut self, jobs: Vec<Job>) {
        let (mut frames, mut entries, mut told) = (Vec::new(), Vec::new(), Vec::new());
        let mut purged = false;
        for job in jobs {
            match job {
                Job::Append(batch, done) => {
                    for (id, bytes) in batch {
                        entries.push((frames.len(), id));
                        frames.push((Kind::Entry, bytes));
                    }
                    told.push(done);
                }
                Job::Vote(vote, done) => {
                    self.index.lock().vote = Some(vote);
                    frames.push((Kind::Vote, wire::encode_vote(&vote)));
                    told.push(done);
                }
                Job::Truncate(id, done) => {
                    frames.push((Kind::Truncate, wire::encode_log_id(&id)));
                    told.push(done);
                }
                Job::Purge(id, done) => {
                    purged = true;
                    frames.push((Kind::Purge, wire::encode_log_id(&id)));
                    told.push(done);
                }
            }
        }
        let result = self.append(&frames, &entries).and_then(|()| if purged { self.compact() } else { Ok(()) });
        if let Err(error) = result {
            error!(%error, "the metadata log cannot be written any more");
            self.failed = Some(error.to_string());
        }
        for done in told {
            done(self.failed.as_ref().map_or(Ok(()), |reason| Err(io::Error::other(reason.clone()))));
        }
    }

    fn append(&mut self, frames: &[(Kind, Vec<u8>)], entries: &[(usize, LogId)]) -> Result<(), SegmentError> {
        if self.failed.is_some() {
            return Ok(()); // told above, for ever
        }
        let positions: Vec<Position> = self.segments.append(frames)?;
        let mut index = self.index.lock();
        for (frame, id) in entries {
            self.written.fetch_add(positions[*frame].len() as u64, Ordering::Relaxed);
            index.written(*id, positions[*frame].clone());
        }
        Ok(())
    }

    /// Deletes the segments of which no entry is needed.
    fn compact(&mut self) -> Result<(), SegmentError> {
        if self.failed.is_some() {
            return Ok(());
        }
        let (oldest, vote, purged) = {
            let index = self.index.lock();
            (index.oldest_segment(), index.vote, index.purged)
        };
        let first_needed = oldest.unwrap_or(self.segments.active());
        // What is said only in the segments that go is said again first.
        let vote = vote.map(|vote| (Kind::Vote, wire::encode_vote(&vote)));
        let purged = purged.map(|id| (Kind::Purge, wire::encode_log_id(&id)));
        let head: Vec<_> = vote.into_iter().chain(purged).collect();
        if first_needed == self.segments.active() && self.segments.is_worth_rolling() {
            self.segments.roll(&head)?;
        } else if self.segments.has_before(first_needed) {
            self.segments.append(&head)?;
        }
        // Segments that were rolled away just now and hold nothing that is needed go too.
        let first_needed = oldest.unwrap_or(self.segments.active());
        self.segments.delete_before(first_needed)
    }
}

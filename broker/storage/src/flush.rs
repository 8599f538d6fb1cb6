//! Group commit: one thread per log directory makes appended bytes durable, and all that waited for a pass are
//! completed together.
//!
//! A flush that fails once fails the directory for good: the kernel may have dropped the dirty pages, so a second call
//! that succeeds would prove nothing.

mod helpers;
mod marks;
mod pass;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use ottla_core::{Offset, TopicPartition};
use parking_lot::{Condvar, Mutex};

pub(crate) use helpers::Helpers;
pub(crate) use marks::FlushMarks;
pub(crate) use pass::flush_now;

use crate::shared::{DirShared, LogShared};

/// What a pass of the flusher has made durable in one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flushed {
    /// The partition.
    pub partition: TopicPartition,
    /// The number that the log was opened with.
    pub handle: u64,
    /// Everything below this offset is on disk.
    pub end: Offset,
}

/// Told by the flusher's thread what has become durable. The calls must be quick and must not wait for a flush.
pub trait FlushListener: Send + Sync {
    /// One pass is done: complete everything that waits for these offsets.
    fn on_flushed(&self, pass: &[Flushed]);

    /// The directory is offline: nothing that waits on it will ever be durable. Called once, by whoever met the failure.
    fn on_directory_failed(&self, dir: &Path, reason: &str);
}

/// What the flusher has to do.
#[derive(Default)]
pub(crate) struct FlushQueue {
    work: Mutex<Work>,
    wake: Condvar,
}

#[derive(Default)]
struct Work {
    dirty: Vec<Arc<LogShared>>,
    /// Files and folders that have been renamed out of the way, to be removed.
    trash: Vec<PathBuf>,
    paused: bool,
    stop: bool,
}

impl FlushQueue {
    pub(crate) fn push(&self, log: Arc<LogShared>) {
        self.work.lock().dirty.push(log);
        self.wake.notify_one();
    }

    pub(crate) fn remove(&self, paths: impl IntoIterator<Item = PathBuf>) {
        self.work.lock().trash.extend(paths);
        self.wake.notify_one();
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.work.lock().paused = paused;
        self.wake.notify_one();
    }

    fn stop(&self) {
        self.work.lock().stop = true;
        self.wake.notify_one();
    }

    /// Waits for work; none when stopped and nothing is left to do.
    fn take(&self) -> Option<(Vec<Arc<LogShared>>, Vec<PathBuf>)> {
        let mut work = self.work.lock();
        loop {
            // Paused and stopped: what is queued is given up, as by a crash.
            let idle = work.paused || (work.dirty.is_empty() && work.trash.is_empty());
            if idle && work.stop {
                return None;
            }
            if !idle {
                return Some((std::mem::take(&mut work.dirty), std::mem::take(&mut work.trash)));
            }
            self.wake.wait(&mut work);
        }
    }
}

/// The flusher's thread; dropping it finishes what is queued and stops it.
pub(crate) struct Flusher {
    dir: Arc<DirShared>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    pub(crate) fn start(dir: Arc<DirShared>) -> std::io::Result<Self> {
        let worker = Arc::clone(&dir);
        let thread = std::thread::Builder::new().name("flusher".into()).spawn(move || run(&worker))?;
        Ok(Self { dir, thread: Some(thread) })
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.dir.queue.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            self.dir.fail("its flusher panicked");
        }
    }
}

fn run(dir: &DirShared) {
    while let Some((logs, trash)) = dir.queue.take() {
        if !logs.is_empty() && dir.check_online().is_ok() {
            pass::run(dir, logs);
        }
        for path in trash {
            let result = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            if let Err(error) = result {
                tracing::warn!(path = %path.display(), %error, "cannot remove what was deleted");
            }
        }
    }
}

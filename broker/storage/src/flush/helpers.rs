//! Threads that call `fdatasync` beside the flusher's own: files synced at once share journal commits.
//!
//! They are kept, since a thread made for a pass costs more than the sync of a small batch. Nothing here decides which
//! files are synced.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use parking_lot::{Condvar, Mutex};

/// Threads besides the caller's.
const HELPERS: usize = 3;

/// The threads of one log directory, started when a pass first has more than one file; they end when this is dropped.
#[derive(Default)]
pub(crate) struct Helpers {
    threads: Mutex<Vec<Sender<Arc<Job>>>>,
}

/// The files of one pass.
struct Job {
    files: Vec<Arc<File>>,
    next: AtomicUsize,
    state: Mutex<State>,
    done: Condvar,
}

struct State {
    left: usize,
    failure: Option<io::Error>,
}

impl Helpers {
    /// Syncs the data of all `files`; the error of one of them if any fails.
    pub(crate) fn sync_all(&self, files: Vec<Arc<File>>) -> io::Result<()> {
        if files.len() < 2 {
            return files.first().map_or(Ok(()), |file| file.sync_data());
        }
        let state = Mutex::new(State { left: files.len(), failure: None });
        let job = Arc::new(Job { files, next: AtomicUsize::new(0), state, done: Condvar::new() });
        self.offer(&job);
        job.work();
        let mut state = job.state.lock();
        while state.left > 0 {
            job.done.wait(&mut state);
        }
        state.failure.take().map_or(Ok(()), Err)
    }

    /// Hands `job` to as many threads as can be of use. One that comes too late finds nothing to do; without any the
    /// caller does it all.
    fn offer(&self, job: &Arc<Job>) {
        let mut threads = self.threads.lock();
        let wanted = (job.files.len() - 1).min(HELPERS);
        while threads.len() < wanted {
            let (sender, receiver) = channel();
            match std::thread::Builder::new().name("flush-helper".into()).spawn(move || serve(&receiver)) {
                Ok(_) => threads.push(sender),
                Err(error) => {
                    tracing::warn!(%error, "cannot start a thread for flushing");
                    break;
                }
            }
        }
        for thread in threads.iter().take(wanted) {
            // A thread ends only when its sender is dropped.
            let _ = thread.send(Arc::clone(job));
        }
    }
}

fn serve(jobs: &Receiver<Arc<Job>>) {
    while let Ok(job) = jobs.recv() {
        job.work();
    }
}

impl Job {
    fn work(&self) {
        while let Some(file) = self.files.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let result = file.sync_data();
            let mut state = self.state.lock();
            state.left -= 1;
            if let Err(error) = result {
                state.failure = Some(error);
            }
            if state.left == 0 {
                self.done.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_synced_and_a_failure_is_told() {
        let helpers = Helpers::default();
        let good: Vec<_> = (0..9).map(|_| Arc::new(tempfile::tempfile().unwrap())).collect();
        for count in [0, 1, 2, 9] {
            helpers.sync_all(good[..count].to_vec()).unwrap();
        }
        // A pipe cannot be synced.
        let (pipe, _writer) = rustix::pipe::pipe().unwrap();
        for place in [0, 8] {
            let mut files = good.clone();
            files.insert(place, Arc::new(File::from(pipe.try_clone().unwrap())));
            assert_eq!(helpers.sync_all(files).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}

//! The output of containers: where it is kept, who writes it, and how it is read again.
//!
//! One file for the current run and one for the run before, in a folder a pod; each line begins with the time of its writing
//! (RFC 3339) and a space. The folder goes with its pod.

mod reader;
mod writer;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

pub use writer::Writer;

use crate::logs::{LogError, LogRequest, LogSource, LogStream};

/// How much of a log a container's status may hold, as with Kubernetes.
const LAST_WORDS: u64 = 2048;

/// Whose output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
    /// The container's name.
    pub container: String,
}

/// All logs of one kubelet. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Logs {
    folder: PathBuf,
    /// For each container that runs now: a signal that there is more to read, closed when the run has ended.
    running: Arc<Mutex<HashMap<Owner, watch::Receiver<()>>>>,
}

impl Logs {
    /// Logs below `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), running: Arc::default() }
    }

    /// Starts the log of a new run of `owner`; the last run's becomes the previous one.
    pub fn begin(&self, owner: &Owner) -> io::Result<Writer> {
        let current = self.current(owner);
        fs::create_dir_all(self.pod_folder(owner))?;
        for (from, to) in [(&current, self.previous(owner)), (&rotated(&current), rotated(&self.previous(owner)))] {
            match fs::rename(from, &to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::remove_file(&to) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                },
                other => other?,
            }
        }
        let (more, signal) = watch::channel(());
        let writer = Writer::create(current, more)?;
        self.running.lock().insert(owner.clone(), signal);
        Ok(writer)
    }

    /// The run that [`Logs::begin`] began is over: followers end after what is written.
    pub fn ended(&self, owner: &Owner) {
        self.running.lock().remove(owner);
    }

    /// The end of what the current run of `owner` wrote: whole lines, at most [`LAST_WORDS`] bytes of them.
    pub fn last_words(&self, owner: &Owner) -> io::Result<String> {
        reader::tail(&self.current(owner), LAST_WORDS)
    }

    /// Removes all logs of the pod of `owner`.
    pub fn remove_pod(&self, namespace: &str, pod: &str, uid: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.folder.join(pod_folder_name(namespace, pod, uid))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn pod_folder(&self, owner: &Owner) -> PathBuf {
        self.folder.join(pod_folder_name(&owner.namespace, &owner.pod, &owner.uid))
    }

    fn current(&self, owner: &Owner) -> PathBuf {
        self.pod_folder(owner).join(format!("{}.log", owner.container))
    }

    fn previous(&self, owner: &Owner) -> PathBuf {
        self.pod_folder(owner).join(format!("{}.previous.log", owner.container))
    }
}

impl LogSource for Logs {
    fn open(&self, request: LogRequest) -> BoxFuture<'static, Result<LogStream, LogError>> {
        let owner = Owner {
            namespace: request.namespace.clone(),
            pod: request.pod.clone(),
            uid: request.uid.clone(),
            container: request.container.clone(),
        };
        let path = if request.previous { self.previous(&owner) } else { self.current(&owner) };
        let more = self.running.lock().get(&owner).cloned().filter(|_| request.follow && !request.previous);
        async move {
            if !path.exists() {
                let (container, pod) = (request.container, request.pod);
                return Err(match request.previous {
                    true => LogError::NoPrevious { container, pod },
                    false => LogError::Waiting { container, pod, why: "ContainerCreating".to_owned() },
                });
            }
            Ok(reader::read(path, more, request)?)
        }
        .boxed()
    }
}

fn pod_folder_name(namespace: &str, pod: &str, uid: &str) -> String {
    format!("{namespace}_{pod}_{uid}")
}

/// Where the earlier part of a long log is.
fn rotated(path: &Path) -> PathBuf {
    path.with_extension("rotated.log")
}

#[cfg(test)]
mod tests;

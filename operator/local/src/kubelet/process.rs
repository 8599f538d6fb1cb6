//! One run of a container: a child process in a process group of its own, its output in a file.
//!
//! It knows nothing of pods. Signals go to the first process, as to process 1 of a container; when that has ended, what is left of its
//! group is killed, as the end of a container kills all in it.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::guard::Guard;
use super::logs;

/// How long the last output of an ended container is waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Program and arguments; never empty.
    pub words: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub environment: Vec<(String, String)>,
    /// The working folder.
    pub folder: PathBuf,
}

/// How a container ended, in Kubernetes' terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code; 128 + signal if a signal ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// A running container.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: Pid,
    output: JoinHandle<()>,
    guard: Arc<Guard>,
}

impl Process {
    /// Starts `launch`; what it writes to its output and errors goes to `log`.
    pub fn start(launch: &Launch, log: logs::Writer, guard: Arc<Guard>) -> io::Result<Self> {
        let (program, arguments) = launch.words.split_first().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "neither the image nor the pod names a command")
        })?;
        fs::create_dir_all(&launch.folder)?;
        // One pipe for both, so that lines keep their order.
        let (output, input) = io::pipe()?;
        let output = pipe::Receiver::from_owned_fd(output.into())?;
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&launch.folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(input.try_clone()?)
            .stdout(input)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("cannot start {program:?}: {error}")))?;
        let pid =
            child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("a child not yet waited for has an id");
        guard.add(pid);
        let output = tokio::spawn(log.copy(output));
        Ok(Self { child, pid, output, guard })
    }

    /// The process id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends `signal` to the first process; to an ended one it does nothing.
    pub fn signal(&self, signal: Signal) {
        // Not yet reaped, so the id cannot belong to another process.
        if self.child.id().is_some() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Kills all of the group at once.
    pub fn kill(&self) {
        if self.child.id().is_some() {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    /// Waits for the end of the first process. Can be dropped and called again.
    pub async fn wait(&mut self) -> Exit {
        let status = self.child.wait().await;
        let _ = kill_process_group(self.pid, Signal::KILL);
        self.guard.remove(self.pid);
        // The pipe ends with its last holder; one that left the group may keep it for longer than we care to wait.
        if !self.output.is_finished() {
            let _ = tokio::time::timeout(LAST_WORDS, &mut self.output).await;
        }
        // Waiting fails only if someone else reaped the child; how it ended is then unknown.
        status.map_or(Exit { code: 255, signal: None }, Exit::from)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        let signal = status.signal();
        Self { code: status.code().or(signal.map(|signal| 128 + signal)).unwrap_or(255), signal }
    }
}

//! A broker process under test: its address, its log lines and its memory.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use ottla_protocol::client::{Client, ClientConfig};
use parking_lot::Mutex;
use tempfile::TempDir;

/// A broker with data of its own; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
    lines: Arc<Mutex<Vec<String>>>,
    _data: TempDir,
}

impl Process {
    /// Starts a broker on a free port with `properties`; returns when it listens.
    pub(crate) fn start(properties: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let log_dirs = format!("log.dirs={}", data.path().display());
        let listeners = "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0";
        let mut command = Command::new(env!("CARGO_BIN_EXE_ottla-broker"));
        command.env("NO_COLOR", "1").env_remove("OTTLA_LOG").stderr(Stdio::piped());
        for property in [listeners, "ottla.http.listener=", &log_dirs].iter().chain(properties) {
            command.args(["--override", property]);
        }
        let mut child = command.spawn().unwrap();
        let mut from_child = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let listening = from_child.by_ref().find(|line| line.contains("listening listener=PLAINTEXT"));
        let address = listening.as_deref().and_then(|line| line.split("address=").nth(1)).map(str::trim);
        let address = address.expect("the broker listens").to_owned();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || from_child.for_each(|line| kept.lock().push(line)));
        Self { child, address, lines, _data: data }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect([self.address.clone()], ClientConfig::new("ordinary")).await.unwrap()
    }

    /// How many lines it has logged that contain `text`.
    pub(crate) fn logged(&self, text: &str) -> usize {
        self.lines.lock().iter().filter(|line| line.contains(text)).count()
    }

    /// What it has logged about a thread or task that died, or anything else that is an error.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let is_one =
            |line: &&String| line.contains("panicked") || line.contains("ERROR") || line.contains("did not finish");
        self.lines.lock().iter().filter(is_one).cloned().collect()
    }

    /// The file that tells its memory.
    pub(crate) fn status_file(&self) -> String {
        format!("/proc/{}/status", self.child.id())
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes of a process that are in memory, by its status file.
pub(crate) fn resident(status_file: &str) -> usize {
    let status = std::fs::read_to_string(status_file).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

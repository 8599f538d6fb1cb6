//! One operating-system process that may be killed, frozen and started again; killed when dropped.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// A process, running or not.
#[derive(Debug)]
pub struct Child {
    log: PathBuf,
    running: Option<std::process::Child>,
}

impl Child {
    /// One that is not running yet and will append what it says to `log`.
    pub fn new(log: PathBuf) -> Self {
        Self { log, running: None }
    }

    /// Starts it.
    pub fn start(&mut self, command: &mut Command) -> anyhow::Result<()> {
        ensure!(self.running.is_none(), "it is running already");
        let log = File::options().create(true).append(true).open(&self.log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.running = Some(command.spawn().with_context(|| format!("cannot start {command:?}"))?);
        Ok(())
    }

    /// Whether it runs; also false once it ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Its id, while it was started and not waited for.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(std::process::Child::id)
    }

    /// SIGKILL, and waits until it is gone. Fails if it was not running: the fault would not have taken effect.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        ensure!(self.is_running(), "it was not running when it was to be killed; see {}", self.log.display());
        self.signal(Signal::KILL)?;
        let status = self.running.take().context("not started")?.wait()?;
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        ensure!(signal == Some(9), "it ended with {status} instead of by SIGKILL");
        Ok(())
    }

    /// SIGSTOP, and waits until the kernel shows it as stopped.
    pub fn freeze(&mut self) -> anyhow::Result<()> {
        ensure!(self.is_running(), "it was not running when it was to be frozen");
        self.signal(Signal::STOP)?;
        let deadline = Instant::now() + Duration::from_secs(2);
        while !self.is_frozen() {
            ensure!(Instant::now() < deadline, "SIGSTOP did not stop it");
            std::thread::yield_now();
        }
        Ok(())
    }

    /// SIGCONT.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Whether the kernel shows it as stopped.
    pub fn is_frozen(&self) -> bool {
        self.stat().is_ok_and(|fields| fields.first().is_some_and(|state| state == "T"))
    }

    /// SIGTERM; the status with which it then ended by itself.
    pub async fn terminate(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + within;
        let child = self.running.as_mut().context("not started")?;
        loop {
            if let Some(status) = child.try_wait()? {
                self.running = None;
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "it did not stop within {within:?}; see {}", self.log.display());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The status of a process that ended by itself; afterwards it may be started again.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.running.as_mut()?.try_wait().ok()??;
        self.running = None;
        Some(status)
    }

    /// Processor seconds used so far, to the hundredth.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let fields = self.stat()?;
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(ticks as f64 / 100.0)
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        let pid = self.pid().context("not running")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib << 10)
    }

    /// The fields of `/proc/<pid>/stat` after the command; the first is the state.
    fn stat(&self) -> anyhow::Result<Vec<String>> {
        let pid = self.pid().context("not running")?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, fields) = stat.rsplit_once(')').context("no command in stat")?;
        Ok(fields.split_whitespace().map(str::to_owned).collect())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed())).context("not running")?;
        Ok(kill_process(pid, signal)?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            // Both fail only when the process is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(dir: &tempfile::TempDir) -> Child {
        let mut child = Child::new(dir.path().join("log"));
        child.start(Command::new("sleep").arg("600")).unwrap();
        child
    }

    #[test]
    fn a_process_is_frozen_thawed_and_killed_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = sleeper(&dir);
        assert!(!child.is_frozen());
        child.freeze().unwrap();
        assert!(child.is_frozen());
        child.thaw().unwrap();
        child.kill().unwrap();
        assert!(!child.is_running());
        assert!(child.kill().is_err());
        assert!(child.freeze().is_err());
    }

    #[tokio::test]
    async fn a_process_that_ended_by_sigterm_may_be_started_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = sleeper(&dir);
        assert!(!child.terminate(Duration::from_secs(5)).await.unwrap().success());
        child.start(Command::new("sleep").arg("600")).unwrap();
        assert!(child.is_running());
    }
}

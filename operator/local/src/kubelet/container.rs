//! One container of a pod, from its first start to its last end: make it, run it, probe it, start it again.
//!
//! Each container has one task, which owns its process. What happens is reported as a whole [`View`]; the pod's task makes the status.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::jiff::Timestamp;
use kube::{Resource as _, ResourceExt as _};
use rustix::process::Signal;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Node;
use super::config::Backoff;
use super::logs::Owner;
use super::prober::{self, Verdict};
use super::process::{Exit, Process};
use super::sandbox::{self, Prepared, Sandbox};
use super::status::{Ended, State, View};
use crate::recorder::Kind;

/// Pauses between tries to make a container whose parts are not there yet.
const RETRY: std::ops::Range<Duration> = Duration::from_millis(20)..Duration::from_secs(2);

/// An order to end, to be obeyed within this time from when it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// When the container is killed if it still runs.
    pub deadline: Instant,
}

/// The task of one container.
pub struct Runner {
    pub node: Arc<Node>,
    pub sandbox: Arc<Sandbox>,
    pub container: Container,
    pub view: View,
    pub views: mpsc::UnboundedSender<View>,
    pub stop: watch::Receiver<Option<Stop>>,
}

/// How a run of a container came to its end.
struct Run {
    ended: Ended,
    lasted: Duration,
}

impl Runner {
    /// Runs the container until it is over or told to stop.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(self.node.config.restart);
        while let Some(prepared) = self.prepare().await {
            let run = self.run_once(prepared).await;
            (self.view.started, self.view.ready) = (false, false);
            self.view.over = self.stopping() || !self.starts_again(run.ended.code);
            self.view.state = State::Ended(run.ended.clone());
            self.publish();
            if self.view.over {
                return;
            }
            let pause = backoff.pause(run.lasted);
            self.view.last = Some(run.ended);
            if !pause.is_zero() {
                self.wait_before_restart(pause).await;
            }
            self.view.restarts += 1;
        }
        // Stopped before it ran (again).
        self.view.over = true;
        self.publish();
    }

    fn starts_again(&self, code: i32) -> bool {
        let policy = self.sandbox.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
        match policy {
            Some("Never") => false,
            Some("OnFailure") => code != 0,
            _ => true,
        }
    }

    async fn wait_before_restart(&mut self, pause: Duration) {
        let (pod, name) = (self.sandbox.pod.name_any(), &self.container.name);
        let message = format!("back-off {pause:?} restarting failed container={name} pod={pod}");
        self.event(Kind::Warning, "BackOff", message.clone());
        self.view.state = State::Waiting { reason: "CrashLoopBackOff".to_owned(), message: Some(message) };
        self.publish();
        self.sleep_unless_stopped(pause).await;
    }

    /// All that a start needs, as soon as it can be had; `None` when told to stop before that.
    async fn prepare(&mut self) -> Option<Prepared> {
        let mut pause = RETRY.start;
        let mut said = String::new();
        while !self.stopping() {
            let problem = match sandbox::prepare(&self.node, &self.sandbox, &self.container).await {
                Ok(prepared) => return Some(prepared),
                Err(problem) => problem,
            };
            let message = problem.to_string();
            if said != message {
                if problem.is_worth_an_event() {
                    self.event(Kind::Warning, "Failed", format!("Error: {message}"));
                }
                self.view.state =
                    State::Waiting { reason: problem.reason().to_owned(), message: Some(message.clone()) };
                self.publish();
                said = message;
            }
            self.sleep_unless_stopped(pause).await;
            pause = (pause * 2).min(RETRY.end);
        }
        None
    }

    async fn run_once(&mut self, prepared: Prepared) -> Run {
        let (image, program) = (self.view.image.clone(), prepared.launch.words.first().cloned().unwrap_or_default());
        self.event(Kind::Normal, "Pulled", format!("Container image {image:?} is already here as {program}"));
        let (began, clock) = (Timestamp::now(), Instant::now());
        let owner = self.owner();
        let started =
            self.node.logs.begin(&owner).and_then(|log| Process::start(&prepared.launch, log, self.node.guard.clone()));
        let (exit, reason, message) = match started {
            Ok(process) => {
                let exit = self.supervise(process, prepared, began).await;
                (exit, if exit.code == 0 { "Completed" } else { "Error" }, self.last_words(&owner, exit))
            }
            Err(error) => {
                self.event(Kind::Warning, "Failed", format!("Error: {error}"));
                (Exit { code: 128, signal: None }, "StartError", Some(error.to_string()))
            }
        };
        self.node.logs.ended(&owner);
        let ended = Ended { code: exit.code, signal: exit.signal, reason, message, began, ended: Timestamp::now() };
        Run { ended, lasted: clock.elapsed() }
    }

    /// What a run that failed said last, where the container asks for it.
    fn last_words(&self, owner: &Owner, exit: Exit) -> Option<String> {
        let wanted = self.container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        let words = (wanted && exit.code != 0).then(|| self.node.logs.last_words(owner))?;
        words.ok().filter(|words| !words.is_empty())
    }

    /// Watches a process to its end, whoever brings that about.
    async fn supervise(&mut self, mut process: Process, prepared: Prepared, began: Timestamp) -> Exit {
        self.view.id = Some(format!("process://{}", process.pid()));
        self.view.state = State::Running { since: began };
        self.publish();
        self.event(
            Kind::Normal,
            "Started",
            format!("Started container {} as process {}", self.container.name, process.pid()),
        );
        let (verdicts, mut decided) = mpsc::channel(8);
        let target = Arc::new(prepared.target);
        let probes = tokio::spawn(prober::run(prepared.container, target, verdicts));
        let exit = loop {
            tokio::select! {
                exit = process.wait() => break exit,
                _ = self.stop.changed() => {
                    self.event(Kind::Normal, "Killing", format!("Stopping container {}", self.container.name));
                    break self.terminate(process, None).await;
                }
                Some(verdict) = decided.recv() => {
                    if let Some(grace) = self.heed(verdict) {
                        break self.terminate(process, Some(Instant::now() + grace)).await;
                    }
                }
            }
        };
        probes.abort();
        exit
    }

    /// Takes note of what a probe says; a time to end in if the container must be restarted.
    fn heed(&mut self, verdict: Verdict) -> Option<Duration> {
        match verdict {
            Verdict::Started => self.view.started = true,
            Verdict::Ready(ready) => self.view.ready = ready,
            Verdict::Failed { role, why } => {
                self.event(Kind::Warning, "Unhealthy", format!("{} probe failed: {why}", role.name()));
                return None;
            }
            Verdict::Doomed { role, grace } => {
                let (name, role) = (&self.container.name, role.name().to_lowercase());
                self.event(Kind::Normal, "Killing", format!("Container {name} failed {role} probe, will be restarted"));
                let grace = grace.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
                return Some(grace.unwrap_or_else(|| self.sandbox.grace()));
            }
        }
        self.publish();
        None
    }

    /// Asks the process to end, and kills it at `deadline` or at that of the order to stop, whichever is first.
    async fn terminate(&mut self, mut process: Process, deadline: Option<Instant>) -> Exit {
        process.signal(Signal::TERM);
        loop {
            let ordered = self.stop.borrow_and_update().map(|stop| stop.deadline);
            let Some(kill_at) = deadline.into_iter().chain(ordered).min() else {
                // The order was withdrawn with its sender: the pod's task is gone.
                break;
            };
            tokio::select! {
                exit = process.wait() => return exit,
                () = tokio::time::sleep_until(kill_at) => break,
                Ok(()) = self.stop.changed() => {}
            }
        }
        process.kill();
        process.wait().await
    }

    fn stopping(&self) -> bool {
        self.stop.borrow().is_some() || self.stop.has_changed().is_err()
    }

    async fn sleep_unless_stopped(&mut self, pause: Duration) {
        let _ = tokio::time::timeout(pause, self.stop.wait_for(Option::is_some)).await;
    }

    fn publish(&self) {
        // The pod's task ends only after its containers.
        let _ = self.views.send(self.view.clone());
    }

    fn event(&self, kind: Kind, reason: &str, message: String) {
        let mut about = self.sandbox.pod.object_ref(&());
        about.field_path = Some(format!("spec.containers{{{}}}", self.container.name));
        self.node.recorder.record(about, kind, reason, message);
    }

    fn owner(&self) -> Owner {
        let pod = &self.sandbox.pod;
        Owner {
            namespace: pod.namespace().unwrap_or_default(),
            pod: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            container: self.container.name.clone(),
        }
    }
}

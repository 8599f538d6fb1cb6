//! When a container is tried and what the results decide: whether it has started, is ready, must be restarted.
//!
//! As Kubernetes' rules, with one addition: until the first success, startup and readiness are also tried between the periods, soon
//! after the start and then ever more rarely. A failure of such an early try is not counted. So a server that is up after 100 ms
//! is Ready after about 120 ms, whatever its period is.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::probe::{Outcome, Target};

/// The first pause between early tries; it grows by half each time, up to the period.
const EARLY: Duration = Duration::from_millis(20);

/// Which of a container's probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Gates the other two.
    Startup,
    /// Decides whether the pod gets traffic.
    Readiness,
    /// Decides whether the container goes on.
    Liveness,
}

impl Role {
    /// As in Kubernetes' events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// What the probes of a container say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The container has started.
    Started,
    /// Readiness changed.
    Ready(bool),
    /// A counted try failed; for an event.
    Failed {
        /// The probe.
        role: Role,
        /// Why.
        why: String,
    },
    /// The container must be restarted.
    Doomed {
        /// The probe that decided.
        role: Role,
        /// How long the container may take to end, if the probe says so itself. Seconds.
        grace: Option<i64>,
    },
}

/// Counts results in a row against the thresholds of a probe.
#[derive(Debug)]
struct Tally {
    success_threshold: u32,
    failure_threshold: u32,
    successes: u32,
    failures: u32,
}

impl Tally {
    fn new(probe: &Probe) -> Self {
        let or = |value: Option<i32>, default: u32| {
            value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default).max(1)
        };
        Self {
            success_threshold: or(probe.success_threshold, 1),
            failure_threshold: or(probe.failure_threshold, 3),
            successes: 0,
            failures: 0,
        }
    }

    /// What is decided once `outcome` is counted: `Some(true)` good, `Some(false)` bad.
    fn count(&mut self, outcome: &Outcome) -> Option<bool> {
        if outcome.is_ok() {
            (self.successes, self.failures) = (self.successes + 1, 0);
            (self.successes >= self.success_threshold).then_some(true)
        } else {
            (self.successes, self.failures) = (0, self.failures + 1);
            (self.failures >= self.failure_threshold).then_some(false)
        }
    }
}

/// Probes a running container until the receiver of `verdicts` is gone or the container is doomed. `container` must have been
/// rewritten for this machine.
pub async fn run(container: Container, target: Arc<Target>, verdicts: mpsc::Sender<Verdict>) {
    if let Some(probe) = &container.startup_probe
        && !startup(probe, &target, &verdicts).await
    {
        return;
    }
    if verdicts.send(Verdict::Started).await.is_err() {
        return;
    }
    let readiness = async {
        match &container.readiness_probe {
            Some(probe) => readiness(probe, &target, &verdicts).await,
            None => drop(verdicts.send(Verdict::Ready(true)).await),
        }
    };
    let liveness = async {
        if let Some(probe) = &container.liveness_probe {
            liveness(probe, &target, &verdicts).await;
        }
    };
    tokio::join!(readiness, liveness);
}

/// Whether the container has started.
async fn startup(probe: &Probe, target: &Target, verdicts: &mpsc::Sender<Verdict>) -> bool {
    let (mut tally, mut schedule) = (Tally::new(probe), Schedule::early(probe));
    loop {
        let counted = schedule.next().await;
        let outcome = target.try_once(probe).await;
        if outcome.is_ok() {
            return true;
        }
        if !counted {
            continue;
        }
        let decided = tally.count(&outcome);
        if tell(verdicts, Role::Startup, outcome).await.is_err() {
            return false;
        }
        if decided == Some(false) {
            let grace = probe.termination_grace_period_seconds;
            let _ = verdicts.send(Verdict::Doomed { role: Role::Startup, grace }).await;
            return false;
        }
    }
}

async fn readiness(probe: &Probe, target: &Target, verdicts: &mpsc::Sender<Verdict>) {
    let (mut tally, mut schedule, mut ready) = (Tally::new(probe), Schedule::early(probe), false);
    loop {
        let counted = schedule.next().await;
        let outcome = target.try_once(probe).await;
        if outcome.is_err() && !counted {
            continue;
        }
        let decided = tally.count(&outcome);
        if tell(verdicts, Role::Readiness, outcome).await.is_err() {
            return;
        }
        let Some(now_ready) = decided.filter(|decided| *decided != ready) else { continue };
        ready = now_ready;
        if ready {
            schedule.no_longer_early();
        }
        if verdicts.send(Verdict::Ready(ready)).await.is_err() {
            return;
        }
    }
}

async fn liveness(probe: &Probe, target: &Target, verdicts: &mpsc::Sender<Verdict>) {
    let (mut tally, mut schedule) = (Tally::new(probe), Schedule::regular(probe));
    loop {
        schedule.next().await;
        let outcome = target.try_once(probe).await;
        let decided = tally.count(&outcome);
        if tell(verdicts, Role::Liveness, outcome).await.is_err() {
            return;
        }
        if decided == Some(false) {
            let grace = probe.termination_grace_period_seconds;
            let _ = verdicts.send(Verdict::Doomed { role: Role::Liveness, grace }).await;
            return;
        }
    }
}

/// Passes a failure on. An error: nobody listens any more.
async fn tell(verdicts: &mpsc::Sender<Verdict>, role: Role, outcome: Outcome) -> Result<(), ()> {
    match outcome {
        Ok(()) if verdicts.is_closed() => Err(()),
        Ok(()) => Ok(()),
        Err(why) => verdicts.send(Verdict::Failed { role, why }).await.map_err(drop),
    }
}

/// The times of tries.
struct Schedule {
    period: Duration,
    next_regular: Instant,
    early_pause: Option<Duration>,
}

impl Schedule {
    fn regular(probe: &Probe) -> Self {
        let seconds = |value: i32| Duration::from_secs(value.max(0).unsigned_abs().into());
        let period = seconds(probe.period_seconds.unwrap_or(10)).max(Duration::from_secs(1));
        let delay = seconds(probe.initial_delay_seconds.unwrap_or(0));
        Self { period, next_regular: Instant::now() + delay.max(EARLY), early_pause: None }
    }

    fn early(probe: &Probe) -> Self {
        let early_pause = probe.initial_delay_seconds.is_none_or(|delay| delay <= 0).then_some(EARLY);
        let mut schedule = Self { early_pause, ..Self::regular(probe) };
        if early_pause.is_some() {
            // The first counted failure is after one period, not before the process had a chance.
            schedule.next_regular = Instant::now() + schedule.period;
        }
        schedule
    }

    fn no_longer_early(&mut self) {
        self.early_pause = None;
    }

    /// Waits for the next try; whether its failure counts.
    async fn next(&mut self) -> bool {
        if let Some(pause) = self.early_pause {
            let at = Instant::now() + pause;
            self.early_pause = Some((pause + pause / 2).min(self.period));
            if at < self.next_regular {
                tokio::time::sleep_until(at).await;
                return false;
            }
        }
        tokio::time::sleep_until(self.next_regular).await;
        // Not the missed ones in a burst after a long try.
        self.next_regular = (self.next_regular + self.period).max(Instant::now());
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn probe(file: &std::path::Path, period: i32, failures: i32) -> serde_json::Value {
        json!({"exec": {"command": ["test", "-e", file]}, "periodSeconds": period, "failureThreshold": failures})
    }

    fn start(container: serde_json::Value) -> mpsc::Receiver<Verdict> {
        let container: Container = from_value(container).unwrap();
        let path = ("PATH".to_owned(), std::env::var("PATH").unwrap());
        let target = Target {
            address: std::net::Ipv4Addr::LOCALHOST,
            ports: Vec::new(),
            environment: vec![path],
            folder: "/".into(),
        };
        let (verdicts, receiver) = mpsc::channel(16);
        tokio::spawn(run(container, Arc::new(target), verdicts));
        receiver
    }

    async fn next(verdicts: &mut mpsc::Receiver<Verdict>) -> Verdict {
        tokio::time::timeout(Duration::from_secs(20), verdicts.recv()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_container_without_probes_is_started_and_ready_at_once() {
        let mut verdicts = start(json!({"name": "c"}));
        assert_eq!(next(&mut verdicts).await, Verdict::Started);
        assert_eq!(next(&mut verdicts).await, Verdict::Ready(true));
    }

    #[tokio::test]
    async fn success_is_seen_long_before_the_period_has_passed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("up");
        let began = Instant::now();
        let mut verdicts =
            start(json!({"name": "c", "startupProbe": probe(&file, 30, 1), "readinessProbe": probe(&file, 30, 1)}));
        std::fs::write(&file, "").unwrap();
        assert_eq!(next(&mut verdicts).await, Verdict::Started);
        assert_eq!(next(&mut verdicts).await, Verdict::Ready(true));
        assert!(began.elapsed() < Duration::from_secs(15));
    }

    #[tokio::test]
    async fn readiness_goes_and_liveness_dooms_at_their_thresholds() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("up");
        std::fs::write(&file, "").unwrap();
        let mut verdicts =
            start(json!({"name": "c", "readinessProbe": probe(&file, 1, 1), "livenessProbe": probe(&file, 1, 2)}));
        assert_eq!(next(&mut verdicts).await, Verdict::Started);
        assert_eq!(next(&mut verdicts).await, Verdict::Ready(true));
        std::fs::remove_file(&file).unwrap();
        let (mut unready, mut failures) = (false, 0);
        loop {
            match next(&mut verdicts).await {
                Verdict::Ready(false) => unready = true,
                Verdict::Failed { role: Role::Liveness, .. } => failures += 1,
                Verdict::Failed { .. } => {}
                Verdict::Doomed { role: Role::Liveness, .. } => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(unready);
        assert_eq!(failures, 2);
    }

    #[tokio::test]
    async fn a_container_that_does_not_start_is_doomed_by_its_startup_probe_alone() {
        let never = std::path::Path::new("/nonexistent/up");
        let mut verdicts =
            start(json!({"name": "c", "startupProbe": probe(never, 1, 1), "livenessProbe": probe(never, 1, 1)}));
        assert!(matches!(next(&mut verdicts).await, Verdict::Failed { role: Role::Startup, .. }));
        assert!(matches!(next(&mut verdicts).await, Verdict::Doomed { role: Role::Startup, .. }));
        assert!(tokio::time::timeout(Duration::from_secs(20), verdicts.recv()).await.unwrap().is_none());
    }
}

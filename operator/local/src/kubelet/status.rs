//! A pod's status from what its containers do. Pure.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, HostIP,
    Pod, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::downward::HOST_ADDRESS;

/// What a container is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not running, and not for good.
    Waiting {
        /// CamelCase, as kubectl shows it.
        reason: String,
        /// For a person.
        message: Option<String>,
    },
    /// Its process runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// It ran and has ended.
    Ended(Ended),
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit code; 128 + signal if a signal ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// `Completed`, `Error`, `StartError`.
    pub reason: &'static str,
    /// For a person.
    pub message: Option<String>,
    /// When the run began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

/// All that is to be said about one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Identifies the current run: `process://<pid>`.
    pub id: Option<String>,
    /// What it is doing.
    pub state: State,
    /// The end of the run before.
    pub last: Option<Ended>,
    /// How often it was started again.
    pub restarts: i32,
    /// Whether its startup probe has succeeded in this run.
    pub started: bool,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it will not run again.
    pub over: bool,
}

impl View {
    /// A container that is about to be made.
    pub fn creating(name: &str, image: &str) -> Self {
        Self {
            name: name.to_owned(),
            image: image.to_owned(),
            id: None,
            state: State::Waiting { reason: "ContainerCreating".to_owned(), message: None },
            last: None,
            restarts: 0,
            started: false,
            ready: false,
            over: false,
        }
    }

    fn has_run(&self) -> bool {
        self.last.is_some() || self.restarts > 0 || !matches!(self.state, State::Waiting { .. })
    }

    fn status(&self) -> ContainerStatus {
        ContainerStatus {
            name: self.name.clone(),
            image: self.image.clone(),
            image_id: String::new(),
            container_id: self.id.clone(),
            state: Some(container_state(&self.state)),
            last_state: Some(self.last.as_ref().map_or_else(ContainerState::default, terminated)),
            ready: self.ready,
            started: Some(self.started),
            restart_count: self.restarts,
            ..ContainerStatus::default()
        }
    }
}

/// The status of `pod` at `address` with these containers, at `now`. Conditions of other writers are kept.
pub fn of_pod(pod: &Pod, address: Option<Ipv4Addr>, views: &[View], now: Timestamp) -> PodStatus {
    let before = pod.status.clone().unwrap_or_default();
    let phase = phase(views);
    PodStatus {
        observed_generation: pod.metadata.generation,
        conditions: Some(conditions(pod, &before, phase, views, now)),
        phase: Some(phase.to_owned()),
        pod_ip: address.map(|ip| ip.to_string()),
        pod_ips: address.map(|ip| vec![PodIP { ip: ip.to_string() }]),
        host_ip: Some(HOST_ADDRESS.to_string()),
        host_ips: Some(vec![HostIP { ip: HOST_ADDRESS.to_string() }]),
        start_time: before.start_time.or(Some(Time(now))),
        container_statuses: Some(views.iter().map(View::status).collect()),
        qos_class: before.qos_class,
        ..PodStatus::default()
    }
}

fn phase(views: &[View]) -> &'static str {
    let succeeded = |view: &View| matches!(&view.state, State::Ended(ended) if ended.code == 0);
    if !views.is_empty() && views.iter().all(|view| view.over) {
        return if views.iter().all(succeeded) { "Succeeded" } else { "Failed" };
    }
    if views.iter().any(View::has_run) { "Running" } else { "Pending" }
}

fn conditions(pod: &Pod, before: &PodStatus, phase: &str, views: &[View], now: Timestamp) -> Vec<PodCondition> {
    let unready: Vec<_> = views.iter().filter(|view| !view.ready).map(|view| view.name.as_str()).collect();
    let unready_reason = match phase {
        "Succeeded" => Some(("PodCompleted", String::new())),
        "Failed" => Some(("PodFailed", String::new())),
        _ if unready.is_empty() => None,
        _ => Some(("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" ")))),
    };
    let of_others = |kind: &str| before.conditions.iter().flatten().find(|condition| condition.type_ == kind);
    let gates = pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    let closed_gate = gates
        .map(|gate| gate.condition_type.as_str())
        .find(|kind| of_others(kind).is_none_or(|condition| condition.status != "True"))
        .map(|kind| ("ReadinessGatesNotReady", format!("the condition {kind:?} is not True")));
    let ours = [
        ("PodReadyToStartContainers", None),
        ("Initialized", None),
        ("Ready", unready_reason.clone().or(closed_gate)),
        ("ContainersReady", unready_reason),
        ("PodScheduled", None),
    ];
    let mut all: Vec<_> = (before.conditions.iter().flatten())
        .filter(|condition| !ours.iter().any(|(kind, _)| *kind == condition.type_))
        .cloned()
        .collect();
    all.extend(ours.map(|(kind, problem)| {
        let status = if problem.is_none() { "True" } else { "False" };
        let same = of_others(kind).filter(|condition| condition.status == status);
        let (reason, message) =
            problem.map_or((None, None), |(reason, message)| (Some(reason.to_owned()), Some(message)));
        PodCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            last_transition_time: same.and_then(|condition| condition.last_transition_time.clone()).or(Some(Time(now))),
            observed_generation: pod.metadata.generation,
            message: message.filter(|message| !message.is_empty()),
            reason,
            ..PodCondition::default()
        }
    }));
    all
}

fn container_state(state: &State) -> ContainerState {
    match state {
        State::Waiting { reason, message } => ContainerState {
            waiting: Some(ContainerStateWaiting { reason: Some(reason.clone()), message: message.clone() }),
            ..ContainerState::default()
        },
        State::Running { since } => ContainerState {
            running: Some(ContainerStateRunning { started_at: Some(Time(*since)) }),
            ..ContainerState::default()
        },
        State::Ended(ended) => terminated(ended),
    }
}

fn terminated(ended: &Ended) -> ContainerState {
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: ended.code,
            signal: ended.signal,
            reason: Some(ended.reason.to_owned()),
            message: ended.message.clone(),
            started_at: Some(Time(ended.began)),
            finished_at: Some(Time(ended.ended)),
            container_id: None,
        }),
        ..ContainerState::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn condition<'a>(status: &'a PodStatus, kind: &str) -> &'a PodCondition {
        status.conditions.iter().flatten().find(|condition| condition.type_ == kind).unwrap()
    }

    #[test]
    fn a_pod_is_ready_when_all_its_containers_and_gates_are() {
        let mut pod: Pod = from_value(json!({
            "metadata": {"name": "web-0"},
            "spec": {"containers": [], "readinessGates": [{"conditionType": "x.io/gate"}]},
        }))
        .unwrap();
        let mut view = View::creating("web", "image");
        let status = of_pod(&pod, Some(Ipv4Addr::new(127, 1, 2, 3)), std::slice::from_ref(&view), at(1));
        assert_eq!((status.phase.as_deref(), status.pod_ip.as_deref()), (Some("Pending"), Some("127.1.2.3")));
        assert_eq!(condition(&status, "Ready").reason.as_deref(), Some("ContainersNotReady"));
        assert_eq!(condition(&status, "Ready").message.as_deref(), Some("containers with unready status: [web]"));

        view.state = State::Running { since: at(2) };
        (view.started, view.ready) = (true, true);
        pod.status = Some(status);
        let status = of_pod(&pod, None, std::slice::from_ref(&view), at(2));
        assert_eq!(status.phase.as_deref(), Some("Running"));
        assert_eq!(condition(&status, "ContainersReady").status, "True");
        assert_eq!(condition(&status, "Ready").reason.as_deref(), Some("ReadinessGatesNotReady"));
        let since = |kind| condition(&status, kind).last_transition_time.clone().unwrap().0;
        assert_eq!((since("Ready"), since("ContainersReady"), since("PodScheduled")), (at(1), at(2), at(1)));

        let mut gated = status;
        let gate = PodCondition { type_: "x.io/gate".into(), status: "True".into(), ..PodCondition::default() };
        gated.conditions.as_mut().unwrap().push(gate);
        pod.status = Some(gated);
        let status = of_pod(&pod, None, &[view], at(3));
        assert_eq!(condition(&status, "Ready").status, "True");
        assert_eq!(condition(&status, "x.io/gate").status, "True");
    }

    #[test]
    fn a_pod_whose_containers_are_over_has_succeeded_or_failed() {
        let ended = |code| Ended { code, signal: None, reason: "Error", message: None, began: at(0), ended: at(1) };
        let over = |code| View { state: State::Ended(ended(code)), over: true, ..View::creating("c", "i") };
        let phase_of = |views: &[View]| of_pod(&Pod::default(), None, views, at(2)).phase.unwrap();
        assert_eq!(phase_of(&[over(0), over(0)]), "Succeeded");
        assert_eq!(phase_of(&[over(0), over(3)]), "Failed");
        let waiting = View { last: Some(ended(137)), ..View::creating("c", "i") };
        assert_eq!(phase_of(&[over(0), waiting.clone()]), "Running");
        let status = of_pod(&Pod::default(), None, &[waiting], at(2));
        let last = status.container_statuses.unwrap().remove(0).last_state.unwrap().terminated.unwrap();
        assert_eq!(last.exit_code, 137);
    }
}

//! The cells of pods: the status word is worked out from phase, containers and deletion.

use serde_json::Value;

use super::age;
use super::builtin::text;
use crate::object;

pub(super) fn cell(pod: &Value, column: &str) -> String {
    let statuses = object::list_at(pod, &["status", "containerStatuses"]);
    match column {
        "Ready" => {
            let ready = statuses.iter().filter(|status| status["ready"] == true).count();
            format!("{ready}/{}", object::list_at(pod, &["spec", "containers"]).len())
        }
        "Status" => status(pod),
        "Restarts" => restarts(statuses),
        "IP" => text(pod, &["status", "podIP"]),
        "Node" => text(pod, &["spec", "nodeName"]),
        "Nominated Node" => text(pod, &["status", "nominatedNodeName"]),
        _ => "<none>".to_owned(),
    }
}

fn status(pod: &Value) -> String {
    if object::is_terminating(pod) {
        return "Terminating".to_owned();
    }
    let waiting_init =
        object::list_at(pod, &["status", "initContainerStatuses"]).iter().enumerate().find_map(|(i, s)| {
            let reason = s["state"]["waiting"]["reason"].as_str().or(s["state"]["terminated"]["reason"].as_str());
            let done = s["state"]["terminated"]["exitCode"] == 0;
            let total = object::list_at(pod, &["spec", "initContainers"]).len();
            (!done).then(|| match reason {
                Some(reason) if reason != "PodInitializing" => format!("Init:{reason}"),
                _ => format!("Init:{i}/{total}"),
            })
        });
    if let Some(init) = waiting_init {
        return init;
    }
    let own = object::str_at(pod, &["status", "reason"]);
    let phase = if own.is_empty() { object::str_at(pod, &["status", "phase"]) } else { own };
    let of_container = object::list_at(pod, &["status", "containerStatuses"]).iter().rev().find_map(|status| {
        let state = &status["state"];
        let reason = [&state["waiting"]["reason"], &state["terminated"]["reason"]].into_iter().find_map(Value::as_str);
        match (reason, state["terminated"]["exitCode"].as_i64()) {
            (Some(reason), _) if !reason.is_empty() => Some(reason.to_owned()),
            (_, Some(code)) => Some(format!("ExitCode:{code}")),
            _ => None,
        }
    });
    of_container.unwrap_or_else(|| if phase.is_empty() { "Unknown".to_owned() } else { phase.to_owned() })
}

fn restarts(statuses: &[Value]) -> String {
    let count: u64 = statuses.iter().filter_map(|status| status["restartCount"].as_u64()).sum();
    let ends = statuses.iter().filter_map(|status| status["lastState"]["terminated"]["finishedAt"].as_str());
    match ends.max() {
        Some(last) if count > 0 => format!("{count} ({} ago)", age::since(last)),
        _ => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::cell;

    #[test]
    fn the_status_word_is_the_one_that_explains_most() {
        let pod = |extra: serde_json::Value| json!({"metadata": {}, "spec": {"containers": [{}]}, "status": extra});
        assert_eq!(cell(&pod(json!({"phase": "Pending"})), "Status"), "Pending");
        let crashing = json!({"phase": "Running", "containerStatuses": [
            {"restartCount": 2, "ready": false, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]});
        assert_eq!(cell(&pod(crashing.clone()), "Status"), "CrashLoopBackOff");
        assert_eq!(cell(&pod(crashing), "Restarts"), "2");
        let failed = json!({"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]});
        assert_eq!(cell(&pod(failed), "Status"), "ExitCode:3");
        let mut going = pod(json!({"phase": "Running"}));
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(cell(&going, "Status"), "Terminating");
    }
}

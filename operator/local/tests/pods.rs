//! The process kubelet and its controllers against the embedded API server: real processes, real probes.
//!
//! The containers are this test binary itself (see [`serve_when_started_as_a_pod`]) and small shell scripts.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod bench;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

use bench::{Bench, container, is_ready, pid, server_set, within};

/// Not a test by itself: what the pods of image `server` run. It answers every request on PORT of all addresses, which the kubelet
/// makes the pod's own.
#[test]
fn serve_when_started_as_a_pod() {
    let Ok(address) = std::env::var("SERVE_ON") else { return };
    let listener = TcpListener::bind(&address).unwrap();
    println!("serving on {address} as {}", std::env::var("HOSTNAME").unwrap());
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }
}

fn shell_pod(name: &str, script: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 30,
            "containers": [{"name": "main", "image": "shell", "args": ["-c", script]}],
        },
    }))
    .unwrap()
}

#[tokio::test]
async fn a_stateful_set_of_two_becomes_ready_with_names_disks_endpoints_and_logs() {
    let bench = Bench::start().await;
    bench.create(&server_set("web", 2)).await;
    bench.create(&bench::headless_service("web")).await;
    let sets = bench.api::<StatefulSet>();
    let set = bench
        .until(&sets, "web", |set| {
            set.and_then(|set| set.status.as_ref()).is_some_and(|status| status.ready_replicas == Some(2))
        })
        .await
        .unwrap();
    assert_eq!(set.status.unwrap().observed_generation, set.metadata.generation);

    let mut addresses = Vec::new();
    for name in ["web-0", "web-1"] {
        let pod = bench.api::<Pod>().get(name).await.unwrap();
        let spec = pod.spec.as_ref().unwrap();
        assert_eq!(spec.node_name.as_deref(), Some("local"));
        let claim = bench.api::<PersistentVolumeClaim>().get(&format!("data-{name}")).await.unwrap();
        assert_eq!(claim.status.unwrap().phase.as_deref(), Some("Bound"));
        let volumes = kube::Api::<PersistentVolume>::all(bench.client.clone());
        let volume = volumes.get(&claim.spec.unwrap().volume_name.unwrap()).await.unwrap();
        assert_eq!(volume.status.unwrap().phase.as_deref(), Some("Bound"));
        let folder = volume.spec.unwrap().host_path.unwrap().path;
        assert!(std::path::Path::new(&folder).is_dir());
        let address = pod.status.unwrap().pod_ip.unwrap();
        let hosts = std::fs::read_to_string(bench.hosts.path()).unwrap();
        assert!(hosts.contains(&format!("{address} {name}.web.default.svc.cluster.local")), "{hosts}");
        let log = bench.api::<Pod>().logs(name, &LogParams::default()).await.unwrap();
        assert!(log.contains(&format!("serving on {address}:8080 as {name}")), "{log}");
        addresses.push(address);
    }
    assert_ne!(addresses[0], addresses[1], "both listen on port 8080");

    let both_ready = |slice: Option<&EndpointSlice>| {
        let endpoints = slice.and_then(|slice| slice.endpoints.clone()).unwrap_or_default();
        endpoints.len() == 2
            && endpoints.iter().all(|endpoint| endpoint.conditions.as_ref().unwrap().ready == Some(true))
    };
    bench.until(&bench.api::<EndpointSlice>(), "web-ipv4", both_ready).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_killed_process_is_started_again_and_its_end_is_told() {
    let bench = Bench::start().await;
    bench.create(&server_set("web", 1)).await;
    let pods = bench.api::<Pod>();
    let first = bench.until(&pods, "web-0", is_ready).await.unwrap();
    kill_process(pid(&first), Signal::KILL).unwrap();
    let again = bench
        .until(&pods, "web-0", |pod| is_ready(pod) && container(pod).is_some_and(|c| c.restart_count == 1))
        .await
        .unwrap();
    assert_eq!(again.uid(), first.uid());
    assert_eq!(again.status.as_ref().unwrap().pod_ip, first.status.as_ref().unwrap().pod_ip);
    assert_ne!(pid(&again), pid(&first));
    let last = container(Some(&again)).unwrap().last_state.unwrap().terminated.unwrap();
    assert_eq!((last.exit_code, last.signal, last.reason.as_deref()), (137, Some(9), Some("Error")));
    let previous = pods.logs("web-0", &LogParams { previous: true, ..LogParams::default() }).await.unwrap();
    assert!(previous.contains("serving on"), "{previous}");
    bench.stop().await;
}

#[tokio::test]
async fn scaling_down_ends_the_highest_pod_and_keeps_its_disk_and_a_deleted_pod_comes_back() {
    let bench = Bench::start().await;
    bench.create(&server_set("web", 2)).await;
    let pods = bench.api::<Pod>();
    let first = bench.until(&pods, "web-0", is_ready).await.unwrap();
    let second = bench.until(&pods, "web-1", is_ready).await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"replicas": 1}}));
    bench.api::<StatefulSet>().patch("web", &PatchParams::default(), &patch).await.unwrap();
    bench.until(&pods, "web-1", |pod| pod.is_none()).await;
    assert!(test_kill_process(pid(&second)).is_err(), "its process has ended before its object");
    assert!(bench.api::<PersistentVolumeClaim>().get_opt("data-web-1").await.unwrap().is_some());
    let same = bench.api::<Pod>().get("web-0").await.unwrap();
    assert_eq!((same.uid(), pid(&same)), (first.uid(), pid(&first)));

    pods.delete("web-0", &DeleteParams::default()).await.unwrap();
    let new = bench
        .until(&pods, "web-0", |pod| is_ready(pod) && pod.and_then(kube::ResourceExt::uid) != first.uid())
        .await
        .unwrap();
    assert!(test_kill_process(pid(&first)).is_err());
    assert!(test_kill_process(pid(&new)).is_ok());
    bench.stop().await;
}

#[tokio::test]
async fn a_deleted_pod_has_its_grace_to_end_in_and_no_more() {
    let bench = Bench::start().await;
    let witness = bench.folder.path().join("witness");
    let polite =
        format!("trap 'echo ended > {}; exit 0' TERM; echo up; while :; do sleep 0.05; done", witness.display());
    let stubborn = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let pods = bench.api::<Pod>();
    for (name, script) in [("polite", polite.as_str()), ("stubborn", stubborn)] {
        bench.create(&shell_pod(name, script)).await;
        bench.until(&pods, name, is_ready).await.unwrap();
        bench.until_log(name, "up").await;
    }
    let stubborn_pid = pid(&pods.get("stubborn").await.unwrap());
    pods.delete("polite", &DeleteParams::default()).await.unwrap();
    bench.until(&pods, "polite", |pod| pod.is_none()).await;
    assert_eq!(std::fs::read_to_string(&witness).unwrap(), "ended\n");

    let asked = std::time::Instant::now();
    pods.delete("stubborn", &DeleteParams { grace_period_seconds: Some(1), ..DeleteParams::default() }).await.unwrap();
    bench.until(&pods, "stubborn", |pod| pod.is_none()).await;
    assert!(asked.elapsed() >= Duration::from_secs(1), "killed before its time: {:?}", asked.elapsed());
    assert!(test_kill_process(stubborn_pid).is_err());
    bench.stop().await;
}

#[tokio::test]
async fn a_container_that_keeps_failing_says_so_and_waits_longer_each_time() {
    let bench = Bench::start().await;
    bench.create(&shell_pod("failing", "echo trying; exit 3")).await;
    let waiting = |pod: Option<&Pod>| {
        let state = container(pod).and_then(|container| container.state).and_then(|state| state.waiting);
        state.is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"))
    };
    let pod = bench.until(&bench.api::<Pod>(), "failing", waiting).await.unwrap();
    assert_eq!(pod.status.as_ref().unwrap().phase.as_deref(), Some("Running"));
    let last = container(Some(&pod)).unwrap().last_state.unwrap().terminated.unwrap();
    assert_eq!(last.exit_code, 3);
    bench.until_event("failing", "BackOff").await;
    bench.stop().await;
}

#[tokio::test]
async fn a_pod_that_cannot_start_says_what_is_missing_and_starts_when_it_is_there() {
    let bench = Bench::start().await;
    let mut pod = shell_pod("wanting", "cat /etc/app/greeting; while :; do sleep 0.05; done");
    let spec = pod.spec.as_mut().unwrap();
    spec.volumes = serde_json::from_value(json!([{"name": "config", "configMap": {"name": "settings"}}])).unwrap();
    spec.containers[0].volume_mounts =
        serde_json::from_value(json!([{"name": "config", "mountPath": "/etc/app"}])).unwrap();
    bench.create(&pod).await;
    let waits_for_map = |pod: Option<&Pod>| {
        let state = container(pod).and_then(|container| container.state).and_then(|state| state.waiting);
        state.is_some_and(|waiting| {
            waiting.reason.as_deref() == Some("CreateContainerConfigError")
                && waiting.message.unwrap().contains("\"settings\"")
        })
    };
    bench.until(&bench.api::<Pod>(), "wanting", waits_for_map).await.unwrap();
    let map: k8s_openapi::api::core::v1::ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "settings"}, "data": {"greeting": "hello from a map\n"}}))
            .unwrap();
    bench.create(&map).await;
    bench.until(&bench.api::<Pod>(), "wanting", is_ready).await.unwrap();
    bench.until_log("wanting", "hello from a map").await;

    let mut unknown = shell_pod("unknown", "");
    unknown.spec.as_mut().unwrap().containers[0].image = Some("nowhere/thing:1".to_owned());
    bench.create(&unknown).await;
    let no_image = |pod: Option<&Pod>| {
        let state = container(pod).and_then(|container| container.state).and_then(|state| state.waiting);
        state.is_some_and(|waiting| {
            waiting.reason.as_deref() == Some("ErrImagePull") && waiting.message.unwrap().contains("shell*")
        })
    };
    bench.until(&bench.api::<Pod>(), "unknown", no_image).await.unwrap();
    bench.stop().await;
}

#[tokio::test]
async fn stopping_leaves_no_process_and_a_later_run_starts_the_pods_again_on_their_disks() {
    let bench = Bench::start().await;
    bench.create(&server_set("web", 1)).await;
    let first = bench.until(&bench.api::<Pod>(), "web-0", is_ready).await.unwrap();
    let claim = bench.api::<PersistentVolumeClaim>().get("data-web-0").await.unwrap();
    let kept =
        bench.folder.path().join("claims").join(format!("default_data-web-0_{}", claim.uid().unwrap())).join("kept");
    std::fs::write(&kept, "x").unwrap();
    let folder = bench.stop().await;
    assert!(test_kill_process(pid(&first)).is_err());

    let bench = Bench::start_in(folder).await;
    let restarted =
        |pod: Option<&Pod>| is_ready(pod) && container(pod).is_some_and(|container| container.restart_count == 1);
    let again = bench.until(&bench.api::<Pod>(), "web-0", restarted).await.unwrap();
    assert_eq!(again.uid(), first.uid());
    assert!(kept.exists());
    bench.stop().await;
}

#[tokio::test]
async fn a_deleted_claim_waits_for_its_pod_and_then_takes_its_folder_along() {
    let bench = Bench::start().await;
    bench.create(&server_set("web", 1)).await;
    let pods = bench.api::<Pod>();
    let first = bench.until(&pods, "web-0", is_ready).await.unwrap();
    let claims = bench.api::<PersistentVolumeClaim>();
    let claim = claims.get("data-web-0").await.unwrap();
    let folder = bench.folder.path().join("claims").join(format!("default_data-web-0_{}", claim.uid().unwrap()));
    claims.delete("data-web-0", &DeleteParams::default()).await.unwrap();
    assert!(claims.get("data-web-0").await.unwrap().metadata.deletion_timestamp.is_some());
    assert!(folder.exists());
    pods.delete("web-0", &DeleteParams::default()).await.unwrap();
    let new =
        bench.until(&pods, "web-0", |pod| is_ready(pod) && pod.and_then(kube::ResourceExt::uid) != first.uid()).await;
    assert!(new.is_some());
    assert!(!folder.exists());
    assert_ne!(claims.get("data-web-0").await.unwrap().uid(), claim.uid());
    bench.stop().await;
}

#[tokio::test]
async fn a_live_container_that_stops_answering_is_restarted() {
    let bench = Bench::start().await;
    let mut set: Value = serde_json::to_value(server_set("web", 1)).unwrap();
    let container_spec = &mut set["spec"]["template"]["spec"]["containers"][0];
    let alive = bench.folder.path().join("alive");
    std::fs::write(&alive, "").unwrap();
    container_spec["livenessProbe"] = json!({"exec": {"command": ["test", "-e", alive]}, "periodSeconds": 1, "failureThreshold": 1, "terminationGracePeriodSeconds": 1});
    bench.create(&serde_json::from_value::<StatefulSet>(set).unwrap()).await;
    let pods = bench.api::<Pod>();
    bench.until(&pods, "web-0", is_ready).await.unwrap();
    std::fs::remove_file(&alive).unwrap();
    bench
        .until(&pods, "web-0", |pod| container(pod).is_some_and(|container| container.restart_count >= 1))
        .await
        .unwrap();
    bench.until_event("web-0", "Unhealthy").await;
    bench.stop().await;
}

#[test]
fn a_killed_parent_leaves_nothing_running() {
    // The parent is this binary again, told to run a bench and wait to be killed.
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "run_a_bench_when_told", "--nocapture"])
        .env("RUN_A_BENCH", "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(parent.stdout.take().unwrap());
    let pids: Vec<Pid> = std::iter::from_fn(|| {
        let mut line = String::new();
        (std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0).then_some(line)
    })
    .find_map(|line| line.split_once("running: ").map(|(_, rest)| rest.to_owned()))
    .unwrap()
    .split_whitespace()
    .map(|word| Pid::from_raw(word.parse().unwrap()).unwrap())
    .collect();
    assert!(pids.iter().all(|pid| test_kill_process(*pid).is_ok()));
    parent.kill().unwrap();
    parent.wait().unwrap();
    within(Duration::from_secs(10), || pids.iter().all(|pid| test_kill_process(*pid).is_err()));
}

/// Not a test by itself: the parent of [`a_killed_parent_leaves_nothing_running`].
#[tokio::test]
async fn run_a_bench_when_told() {
    if std::env::var_os("RUN_A_BENCH").is_none() {
        return;
    }
    let bench = Bench::start().await;
    bench.create(&shell_pod("family", "sleep 600 & echo child $!; wait")).await;
    let pod = bench.until(&bench.api::<Pod>(), "family", is_ready).await.unwrap();
    let log = bench.until_log("family", "child ").await;
    let child = log.trim().rsplit(' ').next().unwrap().to_owned();
    println!("running: {} {child}", pid(&pod));
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn events_tell_what_happened_to_a_pod() {
    let bench = Bench::start().await;
    bench.create(&shell_pod("eventful", "while :; do sleep 0.05; done")).await;
    for reason in ["Scheduled", "Pulled", "Started"] {
        bench.until_event("eventful", reason).await;
    }
    let events = bench.api::<Event>().list(&ListParams::default()).await.unwrap();
    assert!(events.iter().all(|event| event.involved_object.uid.is_some()));
    bench.stop().await;
}

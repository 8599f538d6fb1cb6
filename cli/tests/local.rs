//! `ottla local` as a person runs it: the executable, its output, its exit code and what it leaves behind.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// No run takes longer than this, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

fn ottla(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.arg("local").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ended(mut child: Child) -> Output {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > DEADLINE {
            child.kill().unwrap();
            panic!("still running: {:?}", child.wait_with_output());
        }
        std::thread::yield_now();
    }
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A run that stays up, with what it said until it was ready.
struct Up {
    child: Child,
    bootstrap: String,
    broker: Pid,
}

impl Up {
    fn start(data: &Path) -> Self {
        let mut child = ottla(&["--data", data.to_str().unwrap()]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let bootstrap =
            lines.find_map(|line| line.trim().strip_prefix("bootstrap servers").map(|rest| rest.trim().to_owned()));
        let Some(bootstrap) = bootstrap else { panic!("it ended without being ready: {:?}", child.wait_with_output()) };
        // It goes on talking; let it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { bootstrap, broker: broker(&data.join("kubeconfig")), child }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(self) -> Option<i32> {
        ended(self.child).status.code()
    }
}

/// The broker's process, as the pod's status names it.
fn broker(kubeconfig: &Path) -> Pid {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pod = runtime.block_on(async {
        let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
        let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
            kube::Api::default_namespaced(config.try_into().unwrap());
        pods.get("demo-broker-0").await.unwrap()
    });
    let id = pod.status.unwrap().container_statuses.unwrap().remove(0).container_id.unwrap();
    Pid::from_raw(id.strip_prefix("process://").unwrap().parse().unwrap()).unwrap()
}

fn is_gone(pid: Pid) -> bool {
    let began = Instant::now();
    while test_kill_process(pid).is_ok() {
        if began.elapsed() > Duration::from_secs(10) {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

#[test]
fn two_checks_side_by_side_both_bring_a_cluster_up_and_use_it() {
    let both = [ottla(&["--check"]).spawn().unwrap(), ottla(&["--check"]).spawn().unwrap()];
    for output in both.map(ended) {
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains("consumed again"), "{}", said(&output));
    }
}

#[test]
fn an_interrupt_leaves_nothing_running_and_the_data_is_found_again() {
    let data = tempfile::tempdir().unwrap();
    let up = Up::start(data.path());
    assert!(up.bootstrap.ends_with(":9092") && !up.bootstrap.starts_with("127.0."), "{}", up.bootstrap);
    let broker = up.broker;
    up.signal(Signal::INT);
    assert_eq!(up.end(), Some(0));
    assert!(test_kill_process(broker).is_err(), "the broker has ended before its parent");

    let again = ended(ottla(&["--check", "--data", data.path().to_str().unwrap()]).spawn().unwrap());
    assert!(again.status.success(), "{}", said(&again));
    let log = std::fs::read_to_string(data.path().join("ottla-local.log")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn a_killed_parent_takes_its_brokers_along() {
    let data = tempfile::tempdir().unwrap();
    let up = Up::start(data.path());
    let broker = up.broker;
    up.signal(Signal::KILL);
    assert_eq!(up.end(), None);
    assert!(is_gone(broker));
}

#[test]
fn a_folder_in_use_and_a_port_that_is_taken_are_named() {
    let data = tempfile::tempdir().unwrap();
    let up = Up::start(data.path());
    let second = ended(ottla(&["--check", "--data", data.path().to_str().unwrap()]).spawn().unwrap());
    assert_eq!(second.status.code(), Some(1));
    assert!(said(&second).contains("another `ottla local`"), "{}", said(&second));
    up.signal(Signal::TERM);
    assert_eq!(up.end(), Some(0));

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = ended(ottla(&["--check", "--kube-port", &port]).spawn().unwrap());
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains(&port) && said(&refused).contains("--kube-port"), "{}", said(&refused));
}

#[test]
fn a_manifest_that_cannot_be_is_refused_by_the_field_and_one_that_cannot_be_read_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.yaml");
    std::fs::write(
        &file,
        "apiVersion: ottla.io/v1alpha1\nkind: KafkaTopic\nmetadata: {name: t}\nspec: {clusterRef: {name: demo}, partitions: 0}\n",
    )
    .unwrap();
    let refused = ended(ottla(&["--check", "--manifest", file.to_str().unwrap()]).spawn().unwrap());
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("spec.partitions"), "{}", said(&refused));

    let missing = ended(ottla(&["--check", "--manifest", "/nonexistent/m.yaml"]).spawn().unwrap());
    assert_eq!(missing.status.code(), Some(1));
    assert!(said(&missing).contains("cannot read /nonexistent/m.yaml"), "{}", said(&missing));
}

//! Of two operators at most one may write at any time, and one that waits takes over when the other is gone.

use std::time::Duration;

use k8s_openapi::api::{coordination::v1::Lease, core::v1::ConfigMap};
use kube::{Api, Client, ResourceExt, api::PostParams};
use ottla_local::{ApiServer, ApiServerConfig};
use tokio::time::Instant;

use super::{
    Election, Gate, LeaseName, REQUEST, Terms, fenced,
    rule::{Candidate, Record, Step},
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn record(version: &str, holder: Option<&str>) -> Record {
    Record { version: version.to_owned(), holder: holder.map(str::to_owned), lease: seconds(15), transitions: 3 }
}

fn candidate() -> Candidate {
    Candidate::new("a".to_owned(), Terms::default())
}

#[test]
fn a_lease_that_nobody_holds_is_taken_at_once() {
    let now = Instant::now();
    assert_eq!(candidate().decide(now, None), Step::Write { transitions: 0, begins: true });
    let released = record("1", None);
    assert_eq!(candidate().decide(now, Some(&released)), Step::Write { transitions: 4, begins: true });
}

#[test]
fn anothers_lease_is_taken_only_once_it_stayed_the_same_for_its_whole_duration() {
    let (mut one, start) = (candidate(), Instant::now());
    assert_eq!(one.decide(start, Some(&record("1", Some("b")))), Step::Wait(seconds(2)));
    assert_eq!(one.decide(start + seconds(14), Some(&record("1", Some("b")))), Step::Wait(seconds(1)));
    // Renewed: the wait begins anew.
    assert_eq!(one.decide(start + seconds(15), Some(&record("2", Some("b")))), Step::Wait(seconds(2)));
    assert_eq!(one.decide(start + seconds(29), Some(&record("2", Some("b")))), Step::Wait(seconds(1)));
    let taken = one.decide(start + seconds(30), Some(&record("2", Some("b"))));
    assert_eq!(taken, Step::Write { transitions: 4, begins: true });
}

#[test]
fn a_holder_renews_in_time_and_counts_from_the_beginning_of_the_renewal() {
    let (mut one, start) = (candidate(), Instant::now());
    assert_eq!(one.wrote(start), start + seconds(10));
    assert_eq!(one.decide(start + seconds(1), Some(&record("1", Some("a")))), Step::Wait(seconds(1)));
    let renewal = one.decide(start + seconds(2), Some(&record("1", Some("a"))));
    assert_eq!(renewal, Step::Write { transitions: 3, begins: false });
}

#[test]
fn a_holder_that_finds_another_in_its_place_is_deposed_even_if_that_one_is_over() {
    let (mut one, start) = (candidate(), Instant::now());
    one.wrote(start);
    for later in [6, 60] {
        assert_eq!(one.decide(start + seconds(later), Some(&record("9", Some("b")))), Step::Deposed);
    }
    assert_eq!(one.decide(start + seconds(6), Some(&record("9", None))), Step::Deposed);
}

#[test]
fn a_process_that_started_again_under_its_name_goes_on_at_once() {
    let step = candidate().decide(Instant::now(), Some(&record("1", Some("a"))));
    assert_eq!(step, Step::Write { transitions: 3, begins: true });
}

#[test]
fn a_holder_stops_well_before_another_may_begin() {
    let terms = Terms::default();
    assert!(terms.writes_for + terms.renew_every <= terms.lease);
    let slowest_renewal = REQUEST * 2;
    assert!(
        terms.renew_every + slowest_renewal < terms.writes_for,
        "an API server may be slow without costing the lease"
    );
}

#[tokio::test(start_paused = true)]
async fn a_gate_shuts_by_itself() {
    let gate = Gate::closed();
    assert!(gate.pass().is_err());
    gate.open_until(Instant::now() + seconds(10));
    assert!(gate.pass().is_ok());
    tokio::time::advance(seconds(10)).await;
    assert!(gate.pass().is_err());
}

fn server() -> (ApiServer, Client) {
    let server = ApiServer::new(ApiServerConfig::default()).unwrap();
    let client = server.client("default");
    (server, client)
}

fn election(client: &Client, me: &str) -> Election {
    let lease = LeaseName { namespace: "default".to_owned(), name: "ottla".to_owned() };
    Election::new(client.clone(), lease, me.to_owned(), Terms::default())
}

#[tokio::test]
async fn reads_pass_a_shut_gate_and_writes_do_not() {
    let (_server, client) = server();
    let gate = Gate::closed();
    let maps: Api<ConfigMap> = Api::default_namespaced(fenced(client, gate.clone()));
    let map = ConfigMap {
        metadata: kube::core::ObjectMeta { name: Some("a".to_owned()), ..Default::default() },
        ..Default::default()
    };
    assert!(maps.list(&Default::default()).await.is_ok());
    let refused = maps.create(&PostParams::default(), &map).await.unwrap_err();
    assert!(refused.to_string().contains("may not write"), "{refused}");
    gate.open_until(Instant::now() + seconds(60));
    maps.create(&PostParams::default(), &map).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_waits_while_the_other_renews_and_takes_over_when_it_lets_go() {
    let (_server, client) = server();
    let (mut first, mut second) = (election(&client, "first"), election(&client, "second"));
    first.win().await;
    assert!(first.gate().pass().is_ok());
    let waits = tokio::time::timeout(seconds(120), async {
        tokio::join!(first.hold(), second.win());
    });
    assert!(waits.await.is_err(), "both go on as they are");
    assert!(first.gate().pass().is_ok() && second.gate().pass().is_err());
    first.release().await;
    assert!(first.gate().pass().is_err());
    let began = Instant::now();
    second.win().await;
    assert!(began.elapsed() <= Terms::default().look_every && second.gate().pass().is_ok());
    let lease = Api::<Lease>::default_namespaced(client).get("ottla").await.unwrap();
    assert_eq!(lease.name_any(), "ottla");
    let spec = lease.spec.unwrap();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("second"), Some(1)));
}

#[tokio::test(start_paused = true)]
async fn one_that_dies_is_followed_after_its_lease_and_never_writes_beside_its_heir() {
    let (_server, client) = server();
    let (mut first, mut second) = (election(&client, "first"), election(&client, "second"));
    first.win().await;
    let began = Instant::now();
    second.win().await;
    assert!(began.elapsed() >= Terms::default().lease);
    assert!(first.gate().pass().is_err() && second.gate().pass().is_ok());
    first.hold().await;
    assert!(first.gate().pass().is_err());
}

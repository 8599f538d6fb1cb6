//! What stops a plan midway.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{ResourceExt, api::PostParams};
use ottla_core::ids::BrokerId;

use super::*;
use crate::{
    cluster::{
        plan::Request,
        testing::{claims, of_brokers, settled},
    },
    kafka::fake::Call,
    names::Names,
    tests::support::{Bench, NAMESPACE},
};

#[tokio::test]
async fn no_disk_is_retired_whose_claim_could_not_be_marked() {
    let bench = Bench::new().await;
    let mut observed = settled(&of_brokers(3));
    observed.names = Names::new("demo", NAMESPACE);
    let mark =
        |uid: String| Step::MarkClaim { claim: "data-demo-broker-2".to_owned(), uid, disks: "disk-2".to_owned() };
    let retire = || Step::Ask(Request::RetireDisk { broker: BrokerId(2), directory: "disk-2".to_owned() });
    let context = bench.context();

    let mut claim = claims(3).remove(2);
    (claim.metadata.uid, claim.status) = (None, None);
    let claim = bench.api::<PersistentVolumeClaim>().create(&PostParams::default(), &claim).await.unwrap();
    let error = apply(&vec![mark("an-earlier-one".to_owned()), retire()], &observed, &context).await.unwrap_err();
    assert_eq!(error.refusal(), None, "it is tried again: {error}");
    assert_eq!(bench.kafka.take_calls(), []);

    apply(&vec![mark(claim.uid().unwrap()), retire()], &observed, &context).await.unwrap();
    let marked: PersistentVolumeClaim = bench.api().get("data-demo-broker-2").await.unwrap();
    assert_eq!(marked.annotations()[RETIRED], "disk-2");
    assert_eq!(bench.kafka.take_calls(), [Call::RetireDisk(BrokerId(2), "disk-2".to_owned())]);
}

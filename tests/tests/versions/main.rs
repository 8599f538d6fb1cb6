//! Every version of every API that ApiVersions advertises is asked for real, and held to what it means: the same scenario
//! at each version, told apart only by what the version itself changes.
//!
//! Which versions there are a broker says. Who advertises another API has to write its scenario; who advertises another
//! version has it asked by the scenario that is there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod client_metrics;
mod configs;
mod consumer_groups;
mod data;
mod groups;
mod offsets;
mod operation;
mod page;
mod quotas;
mod share_groups;
mod share_states;
mod shares;
mod streams_groups;
mod topics;
mod transactions;
mod world;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use ottla_protocol::ApiKey;

use world::{Scenario, World};

/// The scenarios, by what they are about.
const SCENARIOS: [&[(ApiKey, Scenario)]; 14] = [
    data::SCENARIOS,
    groups::SCENARIOS,
    offsets::SCENARIOS,
    consumer_groups::SCENARIOS,
    transactions::SCENARIOS,
    topics::SCENARIOS,
    configs::SCENARIOS,
    operation::SCENARIOS,
    quotas::SCENARIOS,
    client_metrics::SCENARIOS,
    share_states::SCENARIOS,
    shares::SCENARIOS,
    share_groups::SCENARIOS,
    streams_groups::SCENARIOS,
];

/// Plays each scenario at every version that is advertised, and makes sure that it was asked. All that fail are told.
async fn play(brokers: usize, scenarios: &[(ApiKey, Scenario)]) {
    let mut world = World::start(brokers).await;
    let (advertised, mut failed) = (world.advertised().await, Vec::new());
    for (key, scenario) in scenarios {
        for version in advertised.get(key).unwrap_or_else(|| panic!("{key} is not advertised")).clone() {
            eprintln!("{key} {version}");
            world.asked.clear();
            let outcome = AssertUnwindSafe(scenario(&mut world, version)).catch_unwind().await;
            if outcome.is_err() || !world.asked.contains(&(*key, version)) {
                failed.push(format!("{key} {version}"));
                world.reconnect().await;
            }
        }
    }
    assert!(failed.is_empty(), "not answered as they should be, or not asked: {failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_api_that_is_advertised_has_a_scenario_and_no_other() {
    let advertised: BTreeSet<ApiKey> = World::start(1).await.advertised().await.into_keys().collect();
    let known: Vec<ApiKey> = SCENARIOS.into_iter().flatten().map(|(key, _)| *key).collect();
    let distinct: BTreeSet<ApiKey> = known.iter().copied().collect();
    assert_eq!(distinct.len(), known.len(), "an API has two scenarios");
    assert_eq!(distinct, advertised);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_of_apis_in_the_page_of_compatibility_is_that_of_a_broker() {
    page::check(&World::start(1).await.advertised().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_written_read_found_and_deleted_at_every_version() {
    play(1, data::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_form_and_dissolve_at_every_version() {
    play(1, groups::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_committed_and_told_at_every_version() {
    play(1, offsets::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_the_consumer_protocol_work_at_every_version() {
    play(1, consumer_groups::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn share_groups_form_and_stand_somewhere_at_every_version() {
    play(1, share_groups::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applications_have_their_topics_and_tasks_at_every_version() {
    play(1, streams_groups::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_work_at_every_version() {
    play(1, transactions::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_made_grown_told_and_deleted_at_every_version() {
    play(1, topics::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configurations_are_changed_and_told_at_every_version() {
    play(1, configs::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_are_operated_at_every_version() {
    play(3, operation::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_are_set_and_told_at_every_version() {
    play(1, quotas::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_what_to_push_and_push_it_at_every_version() {
    play(1, client_metrics::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_of_share_groups_is_kept_at_every_version() {
    play(1, share_states::SCENARIOS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_share_groups_are_served_at_every_version() {
    play(1, shares::SCENARIOS).await;
}

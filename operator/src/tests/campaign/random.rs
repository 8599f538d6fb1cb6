//! From one valid spec to another and back while calls go wrong at random: once they no longer do, the whole operator comes to
//! rest, and everything is as after a fresh install.
//!
//! A seed stands for the specs, for what befalls which call, and for what happens besides. `OTTLA_CAMPAIGN_SEED=n` plays one
//! alone.

use std::{fmt::Write as _, sync::Mutex};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    super::{
        mortal::{Call, Fate, Mortal, When},
        support::Bench,
        there_and_back::{Play, create, differences, draw, look, replace},
    },
    is_whole,
    lives::Lives,
    report::Report,
    scenario::Step,
};

/// How many seeds are played, and how many of `OTTLA_CAMPAIGN=all`.
const SEEDS: [u64; 2] = [2, 100];

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_meanwhile_a_cluster_ends_as_a_fresh_one() {
    let only = std::env::var("OTTLA_CAMPAIGN_SEED").ok().map(|seed| seed.parse().unwrap());
    let last = SEEDS[usize::from(is_whole())];
    let (first, last) = only.map_or((1, last), |seed| (seed, seed));
    let mut report = Report::new("Random specs, there and back, and random faults");
    let mut seeds = String::new();
    for seed in first..=last {
        println!("OTTLA_CAMPAIGN_SEED={seed}");
        let effects = play(seed).await;
        let _ = write!(seeds, "{}{seed} ({})", if seeds.is_empty() { "" } else { ", " }, effects.len());
        report.add(effects);
    }
    report.publish("19-random", &format!("Each seed, and its blows: {seeds}."));
}

/// What befell the calls of one seed.
async fn play(seed: u64) -> Vec<(String, Fate)> {
    let mut chance = StdRng::seed_from_u64(seed);
    let journey = draw(seed);
    let weather = Mutex::new(StdRng::seed_from_u64(!seed));
    let mortal = Mortal::new(true, move |call| fate(call, &mut weather.lock().unwrap()));
    let bench = Bench::living().await;
    mortal.begin();
    let mut lives = Lives::begin(&bench, &mortal);
    let told = |what: &str| format!("OTTLA_CAMPAIGN_SEED={seed}: {what} of {journey:#?}");
    create(&bench, &journey.first).await;
    lives.settle(&bench, &told("the founding")).await;
    replace(&bench, &journey.second).await;
    if chance.random_bool(0.5) {
        lives.work(&bench, chance.random_range(1..40)).await;
    } else {
        lives.settle(&bench, &told("the way there")).await;
        Step::DeletePod(0).happen(&bench).await;
    }
    replace(&bench, &journey.back).await;
    lives.settle(&bench, &told("the way back")).await;
    lives.come_to_rest(&bench, &told("the rest")).await;
    assert_eq!(bench.kafka.state().violations, Vec::<String>::new(), "{}", told("a step"));
    let fresh = Play::of(&journey.back).await;
    let differences = differences("", &look(&bench).await, &look(&fresh.bench).await);
    assert_eq!(differences, Vec::<String>::new(), "{} after {:?}", told("the end"), mortal.effects());
    mortal.effects()
}

/// About one write of thirteen goes wrong, and one read of fifty.
fn fate(call: Call, chance: &mut StdRng) -> Fate {
    const FAILURES: [u16; 5] = [409, 429, 500, 503, 504];
    const LOST: [u16; 2] = [503, 504];
    let code = FAILURES[chance.random_range(0..FAILURES.len())];
    let lost = LOST[chance.random_range(0..LOST.len())];
    let when = [When::Before, When::After, When::Late][chance.random_range(0..3)];
    match (call.is_write, chance.random_range(0..1000)) {
        (true, 0..25) => Fate::Die(when),
        (true, 25..50) => Fate::Fail(code),
        (true, 50..75) => Fate::LoseAnswer(lost),
        (false, 0..300) if call.is_watch => Fate::EndEarly,
        (false, 0..3) => Fate::Fail(code),
        (false, 3..20) if !call.is_to_brokers => Fate::Stale,
        _ => Fate::Done,
    }
}

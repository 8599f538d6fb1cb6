//! Runs the simulation over many seeds. `OTTLA_SIM_SEEDS` says how many, `OTTLA_SIM_FIRST` from which on, and
//! `OTTLA_SIM_SEED` replays one with its trace.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};

use ottla_simulation::{Coverage, Fault, Outcome, run};

/// What faults and the administrator do besides being counted themselves; each happens within some hundred seeds.
const EFFECTS: [&str; 28] = [
    "appends refused for want of replicas",
    "appends refused for want of space",
    "brokers unregistered",
    "clean stops",
    "controllers deposed",
    "directories of replicas reported",
    "durability changes",
    "eligible leader replicas kept",
    "entries given up",
    "entries lost",
    "entries skipped",
    "failed directories reported",
    "fetched records without space",
    "losses of what was not flushed",
    "messages cut off",
    "messages doubled",
    "messages lost",
    "messages overtaken",
    "messages very late",
    "moves cancelled",
    "moves ended",
    "replicas in a failed directory",
    "torn tails",
    "truncations undone by a loss",
    "unclean elections that lost records",
    "voters added",
    "voters removed",
    "voters replaced",
];

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().expect("the seeds and their count are numbers"))
}

/// Runs seeds on every core; the failures by seed, and what was covered.
fn run_all(first: u64, count: u64) -> (Vec<Outcome>, Coverage) {
    let next = AtomicU64::new(first);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let (mut failed, mut coverage) = (Vec::new(), Coverage::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count || failed.len() >= 10 {
                return (failed, coverage);
            }
            let outcome = run(seed, false);
            coverage.add(&outcome.coverage);
            if outcome.violation.is_some() {
                failed.push(outcome);
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let (mut failed, mut coverage) = (Vec::new(), Coverage::default());
        for worker in workers {
            let (more, covered) = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            failed.extend(more);
            coverage.add(&covered);
        }
        failed.sort_by_key(|outcome| outcome.seed);
        (failed, coverage)
    })
}

#[test]
fn a_cluster_keeps_its_promises_whatever_happens() {
    if let Some(seed) = number("OTTLA_SIM_SEED") {
        let outcome = run(seed, true);
        assert_eq!(outcome.violation, None, "seed {seed}");
        return;
    }
    let (first, count) = (number("OTTLA_SIM_FIRST").unwrap_or(0), number("OTTLA_SIM_SEEDS").unwrap_or(40));
    let (failed, coverage) = run_all(first, count);
    println!("{count} seeds from {first}:\n{coverage}");
    for outcome in &failed {
        let violation = outcome.violation.as_ref().map(|one| format!("{} at {:?}: {}", one.promise, one.at, one.story));
        println!("OTTLA_SIM_SEED={} {}", outcome.seed, violation.unwrap_or_default());
    }
    assert!(failed.is_empty(), "{} seeds failed; the first is OTTLA_SIM_SEED={}", failed.len(), failed[0].seed);
    let faults = Fault::ALL.into_iter().map(Fault::name).filter(|_| count >= 40);
    let effects = EFFECTS.into_iter().filter(|_| count >= 300);
    let never: Vec<_> = faults.chain(effects).filter(|what| coverage.of(what) == 0).collect();
    assert!(never.is_empty(), "planned and never took effect: {never:?}");
}

#[test]
fn the_same_seed_takes_the_same_course() {
    let course = |seed| {
        let outcome = run(seed, false);
        (outcome.trace, outcome.coverage)
    };
    for seed in [1, 2, 3] {
        let elsewhere = std::thread::spawn(move || course(seed)).join().expect("a run does not panic");
        assert_eq!(course(seed), elsewhere, "seed {seed}");
    }
    assert_ne!(run(1, false).trace, run(2, false).trace);
}

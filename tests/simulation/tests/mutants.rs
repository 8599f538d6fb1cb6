//! Every bug of [`ottla_core::mutant`] must be found within a bounded number of seeds. With the feature `mutants` only.
#![cfg(feature = "mutants")]

use ottla_core::mutant::{self, Mutant};
use ottla_simulation::run;

/// The seed that finds each mutant first, as last recorded in `docs/simulation.md`; tried before the others.
const FOUND_BY: [(Mutant, u64); 18] = [
    (Mutant::TruncateToHighWatermark, 0),
    (Mutant::WatermarkOnPlainIsr, 4),
    (Mutant::AckBeforeFlush, 0),
    (Mutant::NoBrokerEpoch, 4011),
    (Mutant::Kip279Hole, 77),
    (Mutant::UncleanStopKeepsPlace, 2),
    (Mutant::MinIsrNotStrict, 0),
    (Mutant::AdmitBeforeEstablished, 1),
    (Mutant::FetchOfAnyEpoch, 11_507),
    (Mutant::MoveEndsEarly, 2),
    (Mutant::DirectoryForgotten, 0),
    (Mutant::StaleEntryCounts, 11),
    (Mutant::FsyncAtOnce, 35),
    (Mutant::LatestBeforeEstablished, 3),
    (Mutant::IsrBeforeMinimum, 1490),
    (Mutant::FailedDirectoryForgotten, 16),
    (Mutant::LastCopyDropped, 231),
    (Mutant::SilentOutsideIsr, 28),
];

/// Seeds that are tried before a mutant counts as having got away.
const MOST: u64 = 6_000;

/// The first seed that finds `mutant`, and what it breaks.
fn find(mutant: Mutant) -> Option<(u64, &'static str)> {
    mutant::set(Some(mutant));
    let recorded = FOUND_BY.iter().filter(|(one, _)| *one == mutant).map(|(_, seed)| *seed);
    let found = recorded.chain(0..MOST).find_map(|seed| Some((seed, broken(seed)?)));
    mutant::set(None);
    found
}

/// What breaks under `seed`. A mutant may also run core into a state that it takes for impossible.
fn broken(seed: u64) -> Option<&'static str> {
    match std::panic::catch_unwind(|| run(seed, false)) {
        Ok(outcome) => outcome.violation.map(|violation| violation.promise),
        Err(_) => Some("panic"),
    }
}

#[test]
fn every_mutant_is_caught() {
    std::panic::set_hook(Box::new(|_| {}));
    let found: Vec<_> = std::thread::scope(|scope| {
        let work = |half: usize| {
            move || {
                let mine = Mutant::ALL.into_iter().skip(half).step_by(2);
                mine.map(|mutant| (mutant, find(mutant))).collect::<Vec<_>>()
            }
        };
        let workers = [scope.spawn(work(0)), scope.spawn(work(1))];
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    let _ = std::panic::take_hook();
    for (mutant, caught) in &found {
        match caught {
            Some((seed, promise)) => println!("| `{mutant:?}` | {promise} | {seed} |"),
            None => println!("| `{mutant:?}` | not caught in {MOST} seeds | |"),
        }
    }
    let got_away: Vec<_> = found.iter().filter(|(_, caught)| caught.is_none()).map(|(mutant, _)| mutant).collect();
    assert!(got_away.is_empty(), "not caught: {got_away:?}");
}

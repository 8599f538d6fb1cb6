//! The operator dies at every one of its writes, one run each, and another takes over: the world comes out the same
//! (invariants O1 to O6, faults 21 and 22 of the matrix).
//!
//! A death is one before the write is done, one before its answer comes, or a deposal: the write is on its way while the next
//! operator is at work, and arrives late. Reads change nothing and nothing of a process outlives it, so that to die at a
//! read is to die before the next write.
//!
//! A scenario is what a person does and what befalls the cluster. `OTTLA_CAMPAIGN=all` tries every write; without it a few
//! are tried. `OTTLA_CAMPAIGN_PAGES=folder` has each scenario write down there what it tried. A new one is a [`Scenario`]
//! in [`scenarios`]. What goes wrong with other calls, and several times in one run, is drawn from seeds ([`random`]).

mod lives;
mod outcome;
mod play;
mod random;
mod report;
mod scenario;
mod scenarios;
mod watches;

use super::mortal::{Mortal, When};
use play::play;
use report::Report;
use scenario::Scenario;

/// Without `OTTLA_CAMPAIGN=all`, so many writes are tried, spread over all of them.
const SAMPLES: usize = 3;
const DEATHS: [When; 3] = [When::Before, When::After, When::Late];

/// Whether everything is to be tried.
fn is_whole() -> bool {
    std::env::var("OTTLA_CAMPAIGN").is_ok_and(|which| which == "all")
}

/// Plays `scenario` undisturbed, then once for each death, and compares.
async fn run(file: &str, scenario: &Scenario) {
    let undisturbed = Mortal::undisturbed();
    let expected = play(scenario, &undisturbed).await;
    let writes = undisturbed.writes();
    let mut report = Report::new(scenario.name);
    for (number, when) in points(writes) {
        let mortal = Mortal::dying(number, when);
        let found = play(scenario, &mortal).await;
        let effects = mortal.effects();
        // One run has a few writes more than another, as brokers take longer to start.
        assert!(!effects.is_empty() || number > writes * 3 / 4, "{}: no write {number} of {writes}", scenario.name);
        assert_eq!(found, expected, "{}: death {when:?} write {number}, {effects:?}", scenario.name);
        report.add(effects);
    }
    report.publish(file, &format!("Undisturbed, it takes {writes} writes."));
}

/// The deaths to try.
fn points(writes: usize) -> Vec<(usize, When)> {
    if is_whole() {
        let of = |number| DEATHS.map(|when| (number, when));
        return (1..=writes).flat_map(of).collect();
    }
    let last = writes * 3 / 4;
    let spread = (1..=last).step_by(last.div_ceil(SAMPLES).max(1));
    spread.zip(DEATHS.into_iter().cycle()).collect()
}

//! Whether what brokers use grows from turn to turn. Pure.

use super::{Sample, Turn};

/// Caches fill and allocators settle in the first quarter, which is what the last is held against.
const PARTS: usize = 4;
/// A soak of fewer turns shows no trend.
pub(super) const LEAST: usize = 2 * PARTS;

/// A figure that must not grow: its name, how it is read, and how much more is no growth, beside a quarter of it.
type Figure = (&'static str, fn(&Sample) -> u64, u64);

const FIGURES: [Figure; 4] = [
    ("resident memory, in MiB", |sample| sample.memory >> 20, 16),
    ("open files", |sample| sample.files, 64),
    ("threads", |sample| sample.threads, 4),
    ("disk, in MiB", |sample| sample.disk >> 20, 64),
];

/// What has grown, a sentence each: the median of the last quarter of the turns beside that of the first, the very first
/// turn left out, in which a broker meets everything for the first time.
pub fn grown(turns: &[Turn]) -> Vec<String> {
    if turns.len() < LEAST {
        return Vec::new();
    }
    let turns = &turns[1..];
    let quarter = turns.len() / PARTS;
    let (first, last) = (&turns[..quarter], &turns[turns.len() - quarter..]);
    let brokers = turns[0].samples.len();
    let grown = (0..brokers).flat_map(|broker| FIGURES.map(|figure| (broker, figure)));
    grown
        .filter_map(|(broker, (name, read, more))| {
            let of = |turns: &[Turn]| median(turns.iter().map(|turn| read(&turn.samples[broker])).collect());
            let (before, after) = (of(first), of(last));
            let is_growth = after > before + before / 4 + more;
            is_growth.then(|| format!("{name} of broker {broker} grew from {before} to {after}"))
        })
        .collect()
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Counts;

    fn turn(memory: u64, files: u64) -> Turn {
        let sample = Sample { memory: memory << 20, files, ..Sample::default() };
        Turn { ended: 0.0, counts: Counts::default(), committed: 0, latency: [0, 0], samples: vec![sample] }
    }

    #[test]
    fn what_rises_with_the_turns_is_told_and_what_wavers_is_not() {
        let rising: Vec<Turn> = (0..16).map(|nth| turn(20 + 4 * nth, 30)).collect();
        assert_eq!(grown(&rising), ["resident memory, in MiB of broker 0 grew from 28 to 76"]);
        let wavering: Vec<Turn> = (0..16).map(|nth| turn(20 + 9 * (nth % 2), 30 + 50 * (nth % 3))).collect();
        assert_eq!(grown(&wavering), Vec::<String>::new());
    }

    #[test]
    fn the_first_turn_and_a_short_soak_say_nothing() {
        let mut turns = vec![turn(1, 1)];
        turns.extend((0..12).map(|_| turn(60, 90)));
        assert_eq!(grown(&turns), Vec::<String>::new());
        let short: Vec<Turn> = (0..7).map(|nth| turn(20 << nth, 30)).collect();
        assert_eq!(grown(&short), Vec::<String>::new());
    }
}

//! Which event loops connections belong on: few while there is little to do, more as soon as one has much.
//!
//! A rule without time and threads: it is told how much of a period each loop was at work, and says who moves. To wake a
//! thread on a processor that sleeps takes longer than most requests, so what little there is to do is done by one, which
//! also answers a consumer on the spot for the producer that it waits for. A loop that has more to do keeps others waiting.

/// At work for more than this share of a period, a loop gives connections away.
const CROWDED: f64 = 0.35;
/// To one that had at least so much less to do.
const DIFFERENCE: f64 = 0.15;
/// Two loops that together had less than this to do become one.
const LITTLE: f64 = 0.2;
/// After so many such periods in a row.
const PATIENCE: u32 = 10;

/// Connections of one loop go to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Move {
    /// Where they are.
    pub from: usize,
    /// Where they go.
    pub to: usize,
    /// Together they were at work for no more than this share of the period.
    pub most: f64,
}

/// The rule, and what it remembers from one period to the next.
#[derive(Debug, Default)]
pub struct Balance {
    periods_with_little: u32,
}

impl Balance {
    /// Who moves after a period in which each loop was at work for a share of it (`loads`, 0 to 1), and has so many
    /// connections.
    pub fn next(&mut self, loads: &[f64], connections: &[usize]) -> Vec<Move> {
        let by_load = by_load(loads);
        let mut moves = spread(loads, &by_load);
        let gathered = gather(loads, connections, &by_load);
        self.periods_with_little = if gathered.is_some() { self.periods_with_little + 1 } else { 0 };
        if self.periods_with_little == PATIENCE {
            self.periods_with_little = 0;
            moves.extend(gathered);
        }
        moves
    }
}

/// Where a new connection goes: to the first loop that had little to do in the last period, or to the one that had the least.
pub fn of_newcomer(loads: &[f64]) -> usize {
    let little = loads.iter().position(|load| *load < LITTLE);
    little.or_else(|| by_load(loads).first().copied()).unwrap_or_default()
}

/// Those with the least to do first.
fn by_load(loads: &[f64]) -> Vec<usize> {
    let mut by_load: Vec<usize> = (0..loads.len()).collect();
    by_load.sort_by(|a, b| loads[*a].total_cmp(&loads[*b]));
    by_load
}

/// The crowded ones each share with one of those that have the least to do, so that each period doubles how many are at work.
fn spread(loads: &[f64], by_load: &[usize]) -> Vec<Move> {
    let pairs = by_load.iter().rev().zip(by_load).take(loads.len() / 2);
    let difference = |from: usize, to: usize| loads[from] - loads[to];
    pairs
        .filter(|&(&from, &to)| loads[from] > CROWDED && difference(from, to) >= DIFFERENCE)
        .map(|(&from, &to)| Move { from, to, most: difference(from, to) / 2.0 })
        .collect()
}

/// The two that have the least to do become one, if that is little.
fn gather(loads: &[f64], connections: &[usize], by_load: &[usize]) -> Option<Move> {
    let mut used = by_load.iter().copied().filter(|one| connections[*one] > 0);
    let (one, other) = (used.next()?, used.next()?);
    let is_little = loads[one] + loads[other] < LITTLE;
    is_little.then(|| Move { from: one.max(other), to: one.min(other), most: f64::INFINITY })
}

/// Which of the connections, each at work for a share of the period, move where `most` may: the heaviest that fit first, so
/// that those left behind have few beside them.
pub fn chosen<T>(mut connections: Vec<(T, f64)>, mut most: f64) -> Vec<T> {
    connections.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let fits = |&(_, share): &(T, f64)| {
        let fits = share <= most;
        if fits {
            most -= share;
        }
        fits
    };
    connections.into_iter().filter(fits).map(|(connection, _)| connection).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the rule says after `PATIENCE` periods that were all the same, and never before.
    fn at_last(loads: &[f64], connections: &[usize]) -> Vec<Move> {
        let mut balance = Balance::default();
        for _ in 1..PATIENCE {
            assert_eq!(balance.next(loads, connections), []);
        }
        balance.next(loads, connections)
    }

    #[test]
    fn a_crowded_loop_gives_half_of_the_difference_to_the_one_with_the_least_to_do() {
        let moves = Balance::default().next(&[0.9, 0.5, 0.1], &[3, 1, 1]);
        assert_eq!(moves, [Move { from: 0, to: 2, most: 0.4 }]);
    }

    #[test]
    fn each_period_doubles_how_many_loops_are_at_work() {
        let moves = Balance::default().next(&[1.0, 1.0, 0.0, 0.0], &[8, 8, 0, 0]);
        let expected = [Move { from: 1, to: 2, most: 0.5 }, Move { from: 0, to: 3, most: 0.5 }];
        assert_eq!(moves, expected);
    }

    #[test]
    fn loops_that_are_all_crowded_or_none_of_which_is_keep_what_they_have() {
        assert_eq!(at_last(&[0.9, 0.8], &[4, 4]), []);
        assert_eq!(at_last(&[0.3, 0.1], &[4, 4]), []);
        assert_eq!(at_last(&[1.0], &[4]), []);
        assert_eq!(at_last(&[], &[]), []);
    }

    #[test]
    fn two_that_have_had_little_to_do_for_a_while_become_the_first_of_them() {
        assert_eq!(at_last(&[0.1, 0.3, 0.05, 0.0], &[1, 9, 1, 0]), [Move { from: 2, to: 0, most: f64::INFINITY }]);
        assert_eq!(at_last(&[0.12, 0.05], &[5, 1]), [Move { from: 1, to: 0, most: f64::INFINITY }]);
        assert_eq!(at_last(&[0.05, 0.12], &[1, 5]), [Move { from: 1, to: 0, most: f64::INFINITY }]);
        assert_eq!(at_last(&[0.2, 0.0], &[5, 0]), [], "there is nobody to move");
    }

    #[test]
    fn that_another_is_crowded_does_not_keep_them_apart() {
        let mut balance = Balance::default();
        let gathered = |moves: &[Move]| moves.iter().any(|one| one.most == f64::INFINITY);
        let periods = (0..PATIENCE).map(|_| gathered(&balance.next(&[0.1, 0.9, 0.05, 0.0], &[1, 1, 1, 0])));
        assert_eq!(periods.filter(|gathered| *gathered).count(), 1);
    }

    #[test]
    fn a_period_with_more_to_do_begins_the_wait_anew() {
        let mut balance = Balance::default();
        for period in 0..3 * PATIENCE {
            let load = if period % (PATIENCE - 1) == 0 { 0.3 } else { 0.1 };
            assert_eq!(balance.next(&[load, 0.0], &[1, 1]), []);
        }
    }

    #[test]
    fn newcomers_go_to_the_first_loop_with_little_to_do_or_else_to_the_one_with_the_least() {
        assert_eq!(of_newcomer(&[0.1, 0.0]), 0);
        assert_eq!(of_newcomer(&[0.5, 0.1, 0.0]), 1);
        assert_eq!(of_newcomer(&[0.5, 0.3, 0.9]), 1);
    }

    #[test]
    fn the_heaviest_that_fit_move_and_one_that_does_all_the_work_is_left_alone() {
        assert_eq!(chosen(vec![("a", 0.51), ("b", 0.49)], 0.5), ["b"]);
        assert_eq!(chosen(vec![("a", 0.2), ("b", 0.1), ("c", 0.25)], 0.4), ["c", "b"]);
        assert_eq!(chosen(vec![("idle", 0.0), ("all", 0.95), ("light", 0.02)], 0.47), ["light", "idle"]);
        assert_eq!(chosen(vec![("a", 0.9), ("b", 0.1)], f64::INFINITY), ["a", "b"]);
    }

    /// Loops on which connections ask for shares of a period, at work for one whole period at most.
    struct World {
        demands: Vec<f64>,
        on: Vec<usize>,
        loops: usize,
        balance: Balance,
    }

    impl World {
        /// What each connection gets: its demand, or its part of a loop that is asked for more than there is.
        fn shares(&self) -> Vec<f64> {
            let asked =
                |one: usize| (0..self.on.len()).filter(|i| self.on[*i] == one).map(|i| self.demands[i]).sum::<f64>();
            self.on.iter().zip(&self.demands).map(|(one, demand)| demand / asked(*one).max(1.0)).collect()
        }

        fn loads(&self) -> Vec<f64> {
            let mut loads = vec![0.0; self.loops];
            self.shares().iter().zip(&self.on).for_each(|(share, one)| loads[*one] += share);
            loads
        }

        /// Whether one that has something to do has moved.
        fn pass(&mut self) -> bool {
            let (shares, before) = (self.shares(), self.on.clone());
            let connections = |one: usize| self.on.iter().filter(|on| **on == one).count();
            let connections: Vec<usize> = (0..self.loops).map(connections).collect();
            for planned in self.balance.next(&self.loads(), &connections) {
                let there =
                    (0..self.on.len()).filter(|i| self.on[*i] == planned.from).map(|i| (i, shares[i])).collect();
                chosen(there, planned.most).into_iter().for_each(|i| self.on[i] = planned.to);
            }
            (0..self.on.len()).any(|i| self.on[i] != before[i] && self.demands[i] > 0.0)
        }
    }

    #[test]
    fn whatever_connections_ask_for_they_come_to_rest_where_no_move_helps() {
        let mut state = 1_u64;
        let mut dice = |sides: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % sides
        };
        for _ in 0..300 {
            let loops = 1 + dice(8) as usize;
            let count = 1 + dice(20) as usize;
            let most = [3, 30, 100][dice(3) as usize];
            let demands: Vec<f64> = (0..count).map(|_| dice(most) as f64 / 100.0).collect();
            let on = (0..count).map(|_| dice(loops as u64) as usize).collect();
            let mut world = World { demands, on, loops, balance: Balance::default() };
            for _ in 0..200 {
                world.pass();
            }
            assert!((0..50).all(|_| !world.pass()), "{:?} of {:?} move without end", world.on, world.demands);
            let (loads, shares) = (world.loads(), world.shares());
            let by_load = by_load(&loads);
            let (busiest, idlest) = (by_load[loops - 1], by_load[0]);
            let difference = loads[busiest] - loads[idlest];
            let fits = |(one, share): (&usize, f64)| *one == busiest && share > 0.0 && share <= difference / 2.0;
            let helps = loads[busiest] > CROWDED && difference >= DIFFERENCE;
            let mut there = world.on.iter().zip(shares);
            assert!(!(helps && there.any(fits)), "{:?} of {:?} are crowded", world.on, world.demands);
            if world.demands.iter().sum::<f64>() < LITTLE - 0.001 {
                assert!(world.on.iter().all(|one| *one == world.on[0]), "{:?} of {:?}", world.on, world.demands);
            }
        }
    }
}

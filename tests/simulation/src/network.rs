//! The network between brokers and clients: what is lost, doubled, late, out of order, or cut off.
//!
//! It knows of messages only that they go from somewhere to somewhere.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::dice::Dice;

/// Who sends and receives: a broker by its place, or the clients, who share one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A broker.
    Broker(usize),
    /// The clients.
    Clients,
}

/// The state of all links.
#[derive(Debug, Default)]
pub struct Network {
    /// Directed links on which nothing arrives.
    cut: BTreeSet<(Node, Node)>,
    /// Messages lost, of a thousand.
    loss: u64,
    /// Messages that arrive twice, of a thousand.
    doubles: u64,
    /// Messages that are very late, of a thousand.
    stragglers: u64,
}

impl Network {
    /// Cuts what `from` sends to `to`.
    pub fn cut(&mut self, from: Node, to: Node) {
        self.cut.insert((from, to));
    }

    /// Everything arrives again.
    pub fn heal(&mut self) {
        *self = Self::default();
    }

    /// Joins what was cut; weather stays as it is.
    pub fn join(&mut self) {
        self.cut.clear();
    }

    /// Sets how many messages of a thousand are lost, doubled and very late.
    pub fn weather(&mut self, loss: u64, doubles: u64, stragglers: u64) {
        (self.loss, self.doubles, self.stragglers) = (loss, doubles, stragglers);
    }

    /// Whether what `from` sends now can reach `to`.
    pub fn reaches(&self, from: Node, to: Node) -> bool {
        from == to || !self.cut.contains(&(from, to))
    }

    /// Whether the two can talk.
    pub fn connects(&self, one: Node, other: Node) -> bool {
        self.reaches(one, other) && self.reaches(other, one)
    }

    /// How long one message takes: once for each time it arrives, never if it is lost.
    pub fn deliveries(&mut self, from: Node, to: Node, dice: &mut Dice) -> Vec<Duration> {
        if from == to {
            return vec![dice.micros(5, 50)];
        }
        if !self.reaches(from, to) || dice.chance(self.loss) {
            return Vec::new();
        }
        let copies = if dice.chance(self.doubles) { 2 } else { 1 };
        (0..copies).map(|_| self.delay(dice)).collect()
    }

    fn delay(&self, dice: &mut Dice) -> Duration {
        if dice.chance(self.stragglers) { dice.millis(20, 2_000) } else { dice.micros(100, 3_000) }
    }
}

//! The network between brokers and clients: what is lost, doubled, late, out of order, or cut off.
//!
//! It knows of messages only that they go from somewhere to somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::coverage::Coverage;
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
    /// When the last message that was sent arrives, by link.
    arrivals: BTreeMap<(Node, Node), Duration>,
    /// What has happened to messages.
    pub fates: Coverage,
}

impl Network {
    /// Cuts what `from` sends to `to`.
    pub fn cut(&mut self, from: Node, to: Node) {
        self.cut.insert((from, to));
    }

    /// Everything arrives again.
    pub fn heal(&mut self) {
        self.join();
        self.weather(0, 0, 0);
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

    /// When one message that is sent now arrives: once for each time it does, never if it is lost.
    pub fn arrivals(&mut self, now: Duration, from: Node, to: Node, dice: &mut Dice) -> Vec<Duration> {
        if from == to {
            return vec![now + dice.micros(5, 50)];
        }
        if !self.reaches(from, to) {
            self.fates.count("messages cut off");
            return Vec::new();
        }
        if dice.chance(self.loss) {
            self.fates.count("messages lost");
            return Vec::new();
        }
        let copies = if dice.chance(self.doubles) { 2 } else { 1 };
        self.fates.count_many("messages doubled", copies - 1);
        (0..copies).map(|_| self.arrival(now, from, to, dice)).collect()
    }

    fn arrival(&mut self, now: Duration, from: Node, to: Node, dice: &mut Dice) -> Duration {
        let late = dice.chance(self.stragglers);
        let at = now + if late { dice.millis(20, 2_000) } else { dice.micros(100, 3_000) };
        self.fates.count_many("messages very late", u64::from(late));
        let before = self.arrivals.entry((from, to)).or_insert(at);
        self.fates.count_many("messages overtaken", u64::from(at < *before));
        *before = at;
        at
    }
}

//! Which copies of partitions should lie on which brokers: the next few changes towards that.
//!
//! Pure: a view of the cluster in, a bounded set of changes out, and nothing for a cluster that is balanced. A plan is
//! made anew from what is each time, so it may be cut off anywhere, and the world may change between two of them.
//! In this order, each only once nothing is left of those before:
//!
//! 1. duties ([`duties`]): leaving brokers are emptied, partitions have as many copies as they should, in different
//!    racks while there are enough;
//! 2. counts ([`counts`]): every broker holds as many copies as any other, within the slack;
//! 3. leaders ([`leaders`]): and leads as many partitions, which costs no bytes where their order can change;
//! 4. bytes ([`bytes`]): and has about as many bytes.
//!
//! Nothing ever comes back: each group of changes lowers the first of these measures that it touches, and those before
//! it stay as they are.

mod bytes;
mod counts;
pub mod disks;
mod duties;
mod layout;
mod leaders;
mod racks;

use std::sync::Arc;

use ottla_core::ids::BrokerId;

use layout::Layout;

/// The brokers and partitions of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Every registered broker.
    pub brokers: Vec<Broker>,
    /// Every partition, those of internal topics too.
    pub partitions: Vec<Partition>,
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub id: BrokerId,
    /// Its rack; one without is a rack of its own.
    pub rack: Option<Arc<str>>,
    /// Whether it serves.
    pub alive: bool,
    /// What is to become of it.
    pub role: Role,
}

/// What is to become of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It carries its share.
    Member,
    /// It keeps what it has and gets nothing more.
    Closed,
    /// It gives away all that it has.
    Leaving,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its index.
    pub index: i32,
    /// The brokers that hold it once the move under way, if any, has ended: the preferred leader first.
    pub target: Vec<BrokerId>,
    /// Those that a move under way adds.
    pub adding: Vec<BrokerId>,
    /// Those that a move under way takes away.
    pub removing: Vec<BrokerId>,
    /// Its leader, if it has one.
    pub leader: Option<BrokerId>,
    /// Who is in sync.
    pub in_sync: Vec<BrokerId>,
    /// In-sync replicas that acks=all needs.
    pub min_isr: usize,
    /// Bytes of one copy.
    pub bytes: u64,
    /// How many copies it should have: as many as it has, unless somebody asks for another number.
    pub copies: usize,
}

/// How much may happen, and what is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Partitions that move at once, those under way included.
    pub moves: usize,
    /// By how many copies, and by how many partitions led, brokers may differ; at least 1.
    pub slack: usize,
    /// By how many bytes they may differ.
    pub byte_slack: u64,
}

/// What to do next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Moves to call off.
    pub cancel: Vec<Place>,
    /// Partitions that get other copies, or the same in another order.
    pub assign: Vec<Assignment>,
    /// Partitions that their preferred leader should lead again.
    pub elect: Vec<Place>,
    /// What cannot be done now.
    pub blocked: Vec<Blocked>,
}

/// A partition by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition's index.
    pub index: i32,
}

/// The brokers that a partition should lie on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The partition.
    pub place: Place,
    /// The brokers, the preferred leader first.
    pub replicas: Vec<BrokerId>,
}

/// A partition that cannot be moved off a leaving broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The partition.
    pub place: Place,
    /// Why.
    pub why: Why,
}

/// What keeps a partition where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has no leader to copy from.
    Offline,
    /// No other broker that serves may take it: there are too few, or too few in other racks.
    NoPlace,
}

impl Partition {
    /// Whether a move is under way.
    pub fn is_moving(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// Its name.
    pub fn place(&self) -> Place {
        Place { topic: self.topic.clone(), index: self.index }
    }

    /// Whether every copy that stays is in sync and acks=all is served: it can be moved for the sake of evenness.
    fn is_whole(&self) -> bool {
        self.leader.is_some()
            && self.in_sync.len() >= self.min_isr.min(self.target.len())
            && self.target.iter().all(|broker| self.in_sync.contains(broker))
    }
}

/// The next changes; none for a cluster that is balanced, and while nothing can be done but wait.
pub fn next(view: &View, limits: &Limits) -> Changes {
    let mut changes = Changes::default();
    let mut layout = Layout::new(view);
    duties::call_off(&mut layout, &mut changes);
    let under_way = view.partitions.iter().filter(|partition| partition.is_moving()).count() - changes.cancel.len();
    let mut budget = Budget { most: limits.moves.max(1), left: limits.moves.max(1).saturating_sub(under_way) };
    duties::fulfil(&mut layout, &mut budget, &mut changes);
    let duties_left = !changes.assign.is_empty() || !changes.cancel.is_empty();
    if !duties_left && layout.all_members_serve() {
        let even =
            counts::even_out(&mut layout, &mut budget, limits) && leaders::even_out(&mut layout, &mut budget, limits);
        if even {
            bytes::even_out(&mut layout, &mut budget, limits);
        }
        changes.assign = layout.assignments();
    }
    changes.elect = leaders::to_elect(&layout);
    changes
}

/// How many more partitions may move now.
#[derive(Clone, Copy, Debug)]
struct Budget {
    /// All at once, when nothing is under way.
    most: usize,
    left: usize,
}

impl Budget {
    /// Whether `count` more may begin together.
    fn allows(&self, count: usize) -> bool {
        count <= self.left
    }

    fn take(&mut self, count: usize) {
        self.left -= count;
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

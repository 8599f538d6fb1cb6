//! Which partitions move next: what the planner of [`crate::balance`] makes of the cluster.
//!
//! While the number of brokers changes, copies are evened out as far as they can be; at other times only what is clearly
//! uneven is touched, so that a new topic does not have others moved.

use std::sync::Arc;

use ottla_core::ids::BrokerId;
use ottla_crds::cluster::Mode;

use super::{
    super::{
        observe::{Controller, Observed},
        validate::ValidCluster,
    },
    Request, Step,
    copies::Copies,
    scale::Scale,
};
use crate::{
    balance::{self, Blocked, Changes, Limits, Place, Role, View, Why},
    error::Refusal,
    kafka::{BrokerView, Reassignment, TopicPlacement},
};

/// Brokers may differ by so many bytes, however little they hold.
const LEAST_BYTE_SLACK: u64 = 1 << 30;

/// What the planner says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Balance {
    /// The next moves and elections.
    pub steps: Vec<Step>,
    /// Whether anything is moving.
    pub is_moving: bool,
    /// What keeps a leaving broker from being emptied, if anything does.
    pub stuck: Option<Refusal>,
}

/// The next moves; none while the spec pauses them, and none that rest on a view without the controller's word.
pub(super) fn next(cluster: &ValidCluster, observed: &Observed, scale: &Scale) -> Balance {
    let Some(controller) = observed.controller().filter(|_| cluster.rebalance.mode == Mode::Automatic) else {
        return Balance::default();
    };
    let view = view(cluster, observed, controller, scale);
    let mut changes = balance::next(&view, &limits(cluster, observed, &view));
    if !leaders_go_back(cluster) {
        changes.elect.clear();
    }
    let is_moving = view.partitions.iter().any(balance::Partition::is_moving);
    Balance { is_moving, stuck: stuck(&changes.blocked), steps: steps(changes) }
}

/// Whether preferred leaders are to lead again by themselves: not where the spec has that turned off for the brokers.
fn leaders_go_back(cluster: &ValidCluster) -> bool {
    let setting = cluster.settings.at_start.get("auto.leader.rebalance.enable");
    setting.is_none_or(|value| !value.trim().eq_ignore_ascii_case("false"))
}

fn stuck(blocked: &[Blocked]) -> Option<Refusal> {
    let Blocked { place: Place { topic, index }, why } = blocked.first()?;
    let more = match blocked.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let cause = match why {
        Why::Offline => "there is no leader to copy from: bring brokers that hold a copy back",
        Why::NoPlace => {
            "no other broker may take a copy: bring back those that do not serve, uncordon others, or raise spec.brokers"
        }
    };
    Some(Refusal::new("DrainBlocked", format!("{topic}-{index}{more} cannot leave a broker that is to go: {cause}")))
}

fn steps(changes: Changes) -> Vec<Step> {
    let cancelled = changes.cancel.into_iter().map(|place| reassignment(place, None));
    let assigned = changes.assign.into_iter().map(|one| reassignment(one.place, Some(one.replicas)));
    let moves: Vec<Reassignment> = cancelled.chain(assigned).collect();
    let elections: Vec<(String, i32)> =
        changes.elect.into_iter().map(|place| (place.topic.to_string(), place.index)).collect();
    let moves = Some(moves).filter(|moves| !moves.is_empty()).map(|moves| Step::Ask(Request::Reassign(moves)));
    let elections = Some(elections).filter(|elections| !elections.is_empty()).map(|all| Step::Ask(Request::Elect(all)));
    moves.into_iter().chain(elections).collect()
}

fn reassignment(place: Place, replicas: Option<Vec<BrokerId>>) -> Reassignment {
    Reassignment { topic: place.topic.to_string(), partition: place.index, replicas }
}

fn limits(cluster: &ValidCluster, observed: &Observed, view: &View) -> Limits {
    let brokers = u64::try_from(cluster.brokers).unwrap_or(1).max(1);
    let copies = || view.partitions.iter().map(|partition| partition.target.len() as u64);
    let bytes = view.partitions.iter().map(|partition| partition.bytes.saturating_mul(partition.target.len() as u64));
    let tenth = usize::try_from(copies().sum::<u64>() / brokers / 10).unwrap_or(usize::MAX);
    Limits {
        moves: usize::try_from(cluster.rebalance.max_concurrent_moves).unwrap_or(1),
        slack: if observed.scaling().is_some() { 1 } else { tenth.max(2) },
        byte_slack: (bytes.fold(0, u64::saturating_add) / brokers / 5).max(LEAST_BYTE_SLACK),
    }
}

fn view(cluster: &ValidCluster, observed: &Observed, controller: &Controller, scale: &Scale) -> View {
    let ours = observed.scaling().map(|scaling| scaling.cordoned).unwrap_or_default();
    let broker = |broker: &BrokerView| balance::Broker {
        id: broker.id,
        rack: broker.rack.as_deref().map(Arc::from),
        alive: !broker.fenced,
        role: match broker.cordoned {
            _ if scale.leaving.contains(&broker.id) => Role::Leaving,
            true if !ours.contains(&broker.id.0) => Role::Closed,
            _ => Role::Member,
        },
    };
    let mut brokers: Vec<balance::Broker> = controller.brokers.iter().map(broker).collect();
    // One that is on its way: nothing is evened out without it.
    let missing = (0..cluster.brokers).map(BrokerId).filter(|id| !controller.brokers.iter().any(|one| one.id == *id));
    let missing: Vec<_> =
        missing.map(|id| balance::Broker { id, rack: None, alive: false, role: Role::Member }).collect();
    brokers.extend(missing);
    let copies = Copies::of(cluster, observed);
    let partitions = controller.placements.iter().flat_map(|topic| partitions(&copies, topic));
    View { brokers, partitions: partitions.collect() }
}

fn partitions(copies: &Copies<'_>, topic: &TopicPlacement) -> impl Iterator<Item = balance::Partition> {
    let name: Arc<str> = topic.topic.as_str().into();
    topic.partitions.iter().map(move |partition| balance::Partition {
        topic: name.clone(),
        index: partition.index,
        target: partition.target.clone(),
        adding: partition.adding.clone(),
        removing: partition.removing.clone(),
        leader: partition.leader,
        in_sync: partition.in_sync.clone(),
        min_isr: topic.min_in_sync,
        bytes: partition.bytes.unwrap_or(0),
        copies: copies.wanted(&name, partition.target.len()),
    })
}

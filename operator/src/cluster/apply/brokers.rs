//! What is asked of the brokers: votes, cordons, moves and farewells.

use ottla_core::ids::BrokerId;
use tracing::{info, warn};

use super::super::{
    observe::{Observed, is_empty},
    plan::Request,
};
use crate::{
    context::Context,
    error::{Error, Result},
    kafka::{self, ClusterAdmin, ConfigOf, Reassignment},
};

/// Asks it.
pub(super) async fn ask(request: &Request, observed: &Observed, context: &Context) -> Result<()> {
    let doing = describe(request);
    let admin = super::admin(observed, context).map_err(Error::kafka(doing.clone()))?;
    let done = match request {
        Request::Cordon { broker, cordoned } => admin.cordon(*broker, *cordoned).await,
        Request::Reassign(moves) => reassign(&*admin, moves, observed).await,
        Request::Shift { broker, moves } => admin.alter_log_dirs(broker, moves).await,
        Request::Elect(partitions) => admin.elect_preferred(partitions).await,
        Request::Advertise { broker, listeners } => admin.advertise(*broker, listeners).await,
        Request::Configure { topic, changes } => admin.change_config(&ConfigOf::Topic(topic.clone()), changes).await,
        Request::AddVoter(broker) => admin.add_voter(*broker).await,
        Request::RemoveVoter { broker, directory } => admin.remove_voter(*broker, directory).await,
        Request::RetireDisk { broker, directory } => admin.retire_disk(*broker, directory).await,
        Request::Unregister(broker) => admin.unregister(*broker).await,
    };
    done.map_err(Error::kafka(doing.clone()))?;
    info!(cluster = %observed.names.cluster, namespace = %observed.names.namespace, "asked to {doing}");
    Ok(())
}

/// A broker at or above `size` that holds anything at this moment, or is to.
pub(super) async fn first_in_use(size: i32, observed: &Observed, context: &Context) -> Result<Option<BrokerId>> {
    let doing = "ask whether brokers are empty";
    let admin = super::admin(observed, context).map_err(Error::kafka(doing))?;
    let placements = admin.placements().await.map_err(Error::kafka(doing))?;
    let brokers = admin.brokers().await.map_err(Error::kafka(doing))?;
    let beyond = (size..observed.broker_ids().end).map(BrokerId).chain(brokers.iter().map(|broker| broker.id));
    Ok(beyond.filter(|id| id.0 >= size).find(|id| !is_empty(*id, &brokers, &placements)))
}

/// What is refused is planned anew: the world was another one by then.
async fn reassign(admin: &dyn ClusterAdmin, moves: &[Reassignment], observed: &Observed) -> kafka::Result<()> {
    for refused in admin.reassign(moves).await? {
        let (topic, partition, reason) = (refused.topic, refused.partition, refused.reason);
        warn!(cluster = %observed.names.cluster, topic, partition, reason, "a partition is not moved");
    }
    Ok(())
}

fn describe(request: &Request) -> String {
    match request {
        Request::Cordon { broker, cordoned: true } => format!("give broker {broker} nothing more"),
        Request::Cordon { broker, cordoned: false } => format!("give broker {broker} partitions again"),
        Request::Advertise { broker, listeners } => format!("tell clients outside of broker {broker}: {listeners:?}"),
        Request::Reassign(moves) => format!("move {} partitions", moves.len()),
        Request::Shift { broker, moves } => {
            format!("move {} replicas between disks of broker {}", moves.len(), broker.id)
        }
        Request::Elect(partitions) => format!("have preferred leaders lead {} partitions", partitions.len()),
        Request::Configure { topic, changes } => format!("change settings of topic {topic}: {changes:?}"),
        Request::AddVoter(broker) => format!("give broker {broker} a vote"),
        Request::RemoveVoter { broker, .. } => format!("take the vote of broker {broker} away"),
        Request::RetireDisk { broker, directory } => format!("retire disk {directory} of broker {broker}"),
        Request::Unregister(broker) => format!("forget broker {broker}"),
    }
}

//! ListBrokers: the registered brokers of the image, with the disks that they tell of.

use ottla_control as proto;
use ottla_core::config::ADVERTISED;
use ottla_core::controller::BrokerLoad;
use ottla_core::metadata::{Broker, Image, Resource};

use super::Admin;
use super::restart::count;
use super::status::directory_text;
use crate::controller::MetadataLog;

impl Admin {
    /// Every registered broker. This broker must have the active controller.
    pub(super) async fn registered_brokers(&self) -> proto::ListBrokersResponse {
        let image = self.log.committed().borrow().clone();
        // Those that are taken for dead would only make everybody wait for the time-out.
        let asked = image.brokers().values().filter(|broker| !broker.fenced).map(|broker| (broker.id, Vec::new()));
        let disks = self.ask_for_disks(asked.collect()).await;
        let loads = BrokerLoad::of_all(&image);
        let brokers = image.brokers().values().map(|broker| {
            let load = loads.get(&broker.id).copied().unwrap_or_default();
            let advertised = image.config_value(&Resource::broker(broker.id.to_string()), ADVERTISED);
            view(broker, load, disks.get(&broker.id), advertised.unwrap_or_default())
        });
        proto::ListBrokersResponse {
            brokers: brokers.collect(),
            metadata_index: image.index().0,
            controller_id: controller(&image),
        }
    }
}

fn controller(image: &Image) -> i32 {
    image.controller().map_or(-1, |controller| controller.broker.0)
}

fn view(
    broker: &Broker,
    load: BrokerLoad,
    disks: Option<&proto::DescribeDisksResponse>,
    advertised: &str,
) -> proto::Broker {
    let registered = || broker.directories.iter().map(|id| unknown(directory_text(*id))).collect();
    let directories = disks.map_or_else(registered, |disks| disks.directories.clone());
    proto::Broker {
        id: broker.id.0,
        epoch: broker.epoch.0,
        incarnation: broker.incarnation.as_bytes().to_vec(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        cordoned: broker.cordoned,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        draining: broker.cordoned && load.replicas > 0,
        leaders: count(load.leaders),
        replicas: count(load.replicas),
        directories,
        answered: disks.is_some(),
        advertised: advertised.to_owned(),
    }
}

/// A directory of which no more is known than that it is registered.
fn unknown(id: String) -> proto::LogDirectory {
    proto::LogDirectory { id, ..proto::LogDirectory::default() }
}

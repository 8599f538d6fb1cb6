//! Gives leaders back to their preferred replicas, a bounded number at a time, while this node's driver decides.

use ottla_core::controller::{BalanceLeaders, Operation as _, Response, Settings};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info};

use super::handle::{Pending, ask_driver};
use super::log::Role;

/// At most so many leaders move in a pass, as in Kafka.
const PER_PASS: usize = 1000;

/// Runs until the driver is gone; does nothing where `settings` turn it off.
pub(super) async fn balance(settings: Settings, role: watch::Receiver<Role>, local: mpsc::Sender<Pending>) {
    let Some(period) = settings.balance_interval() else { return };
    let mut passes = interval(period);
    passes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !local.is_closed() {
        passes.tick().await;
        if *role.borrow() != Role::Leader {
            continue;
        }
        match ask_driver(&local, BalanceLeaders { limit: PER_PASS }.into_command()).await.map(|answer| answer.result) {
            Ok(Ok(Response::BalanceLeaders(0))) => {}
            Ok(Ok(Response::BalanceLeaders(moved))) => info!(moved, "preferred replicas lead again"),
            other => debug!(?other, "leaders were not balanced"),
        }
    }
}

//! Clusters of real broker processes on this machine, of Ottla or of Apache Kafka: started, harmed, started again.
//!
//! Signals go only to processes that were started here. Knows nothing of loads or checks.

mod boot;
mod broker;
mod child;
mod cluster;
mod disk;
mod flavor;
mod network;
mod shutdown;
mod topics;

pub use boot::Boot;
pub use broker::Broker;
pub use child::Child;
pub use cluster::{Cluster, Options, quick_client};
pub use disk::Disk;
pub use flavor::{Durability, Flavor};
pub use network::Network;
pub use topics::{Assigned, make_topic};
